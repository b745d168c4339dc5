/* What a payload and minivisor share: how the image starts, the parameters, ports and hypercalls. */
#ifndef GUEST_ABI_H
#define GUEST_ABI_H

#include "multiboot.h"
#include "turtles_abi.h"

/* Images are flat, linked to this guest-physical address, and start with a guest_header. */
#define GUEST_LOAD_ADDRESS 0x100000u
#define GUEST_MAGIC 0x324c7472u /* "rtL2" */

struct guest_header {
	struct multiboot_header multiboot; /* for any multiboot loader; also says where the image ends */
	u32 magic;
	u32 entry64; /* called in 64-bit mode, with RDI the guest-physical address of guest_parameters */
	u32 cr3;     /* the page tables to start it with; they are part of the image */
};

/* In the guest's memory, by its hypervisor. */
#define GUEST_PARAMETERS_ADDRESS 0x1000u
#define GUEST_WHAT_SIZE 32
struct guest_parameters {
	u64 count;         /* how often the payload does what it does */
	u64 memory_size;   /* guest-physical memory is [0, memory_size) */
	u32 timer_pending; /* 1 from when the timer went off until its interrupt is delivered */
	char what[GUEST_WHAT_SIZE]; /* what the payload is to do, where it has a choice; "" as it likes */
};

#define GUEST_PORT_CONSOLE PORT_COM1
#define GUEST_PORT_CONSOLE_STATUS (PORT_COM1 + 5)
/* Reads as the value last written, plus one; each read adds one more. Any width. */
#define GUEST_PORT_TEST 0xe0
/* Not intercepted. */
#define GUEST_PORT_PASS 0x80

/*
 * A device that sends packets. A 32-bit write is the guest-physical address of a struct guest_packet_ring; reads say
 * how many packets have been sent. What it sends goes out by GUEST_PORT_PASS, a write each.
 */
#define GUEST_PORT_PACKETS 0xe4
#define GUEST_PACKET_SIZE 1500
#define GUEST_RING_PACKETS 64
struct guest_packet_ring {
	u32 count;
	u32 packets[GUEST_RING_PACKETS]; /* guest-physical addresses */
};

/* Hypercalls: VMCALL with the number in RAX and an argument in RBX; the answer is in RAX. */
enum guest_hypercall {
	HYPERCALL_increment = 0, /* answers RBX + 1 */
	HYPERCALL_timer = 1,     /* interrupt on GUEST_VECTOR_TIMER after RBX ticks of the timer; answers 0 */
	HYPERCALL_start_cpu = 2, /* the second virtual CPU goes at RBX in 64-bit mode, with no stack; answers 0 */
};
#define HYPERCALL_UNKNOWN (~0ull)
#define GUEST_VECTOR_TIMER 0x30
/* The one that virtual CPUs send each other by their APICs, in x2APIC mode; IDs are 0 and 1. */
#define GUEST_VECTOR_IPI 0x33

/* The longest delay that HYPERCALL_timer takes. */
#define GUEST_TIMER_MAX 0xffffffffull

#endif
