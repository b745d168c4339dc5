/* Packets for the payloads that send them; see guest_abi.h for the device. */
#ifndef GUEST_PACKETS_H
#define GUEST_PACKETS_H

#include "process.h"

/* Take memory for as many packets as a ring holds, and touch all of it. */
void packets_init(void);

/* Write the packet of that number to its place in turn; answers where that is. */
u8 *packet_make(u64 number);

/* The device's port. On minivisor only. */
void packets_send(const struct guest_packet_ring *ring);
u32 packets_sent(void);

#endif
