/* What the ways of loading L1 share. Every function refuses what does not fit L1's memory. */
#ifndef TURTLES_PAYLOAD_LOAD_H
#define TURTLES_PAYLOAD_LOAD_H

#include "boot_info.h"

/* What L1's loader works on: the image as it came, and how far down L1's memory is taken. */
struct image {
	const u8 *bytes;
	u64 size;
	u64 floor; /* L1-physical: from here up lie the modules as they wait */
	u64 top;   /* L1-physical: the end of what is loaded */
};

/* Where a loader starts L1, both L1-physical: its first instruction, and what it finds there about its machine. */
struct payload {
	u32 entry;
	u32 info;
};

/* The image's place in L1's memory, size bytes from an L1-physical address. */
u8 *image_destination(struct image *image, u64 address10, u64 size);

/* L1's memory for what its loader leaves there. */
u8 *payload_claim(u64 address10, u64 size, u64 floor);

/*
 * Put the modules but the first one behind each other from an L1-physical address on, and note where. Returns the
 * address of the next free page.
 */
u64 payload_settle_modules(struct boot_info *boot, u64 address10, u64 floor);

/* The L1-physical address of a host physical one in L1's RAM. */
u64 payload_l1_address(u64 host);

/* Tell of each range of L1's memory map: RAM as L1 has it, then what the machine and L0 reserve. */
typedef void (*map_entry)(void *context, u64 start, u64 end, u32 type);
void payload_memory_map(const struct boot_info *boot, map_entry add, void *context);

/* Multiboot Specification version 0.6.96. */
struct payload payload_load_multiboot(struct image *image, struct boot_info *boot);

/* Documentation/x86/boot.rst of Linux: the 32-bit boot protocol. */
bool payload_is_linux(const struct image *image);
struct payload payload_load_linux(struct image *image, struct boot_info *boot);

/*
 * Prepare the BIOS to boot L1 from the device that the switch l1 names. Returns where L1 starts in real mode: the
 * number of a page below 1 MiB.
 */
u8 payload_load_bios(const struct boot_info *boot);

#endif
