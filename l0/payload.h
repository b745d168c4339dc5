/* Starting L1: its image and modules into its memory, and what its loader would have told it. */
#ifndef TURTLES_PAYLOAD_H
#define TURTLES_PAYLOAD_H

#include "boot_info.h"

struct cpu;

/*
 * Load the first module as L1, the rest for it, and make this CPU ready to enter L1's first instruction: a Linux kernel
 * by the Linux boot protocol, anything else by multiboot 1. Refuses what cannot be loaded.
 */
void payload_start(struct cpu *cpu, struct boot_info *boot);

#endif
