/* Starting L1: its image and modules into its memory, and what its loader would have told it. */
#ifndef TURTLES_PAYLOAD_H
#define TURTLES_PAYLOAD_H

#include "boot_info.h"

struct cpu;

/*
 * Make this CPU ready to enter the first instruction of L1. L1 is the first module, with the rest for it (a Linux
 * kernel by the Linux boot protocol, anything else by multiboot 1), or what the BIOS boots from the device that the
 * switch l1 names. Refuses what cannot be loaded.
 */
void payload_start(struct cpu *cpu, struct boot_info *boot);

#endif
