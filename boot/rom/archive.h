/* What tools/mkrom.c writes at the bottom of the ROM and the loader at its top reads. */
#ifndef TURTLES_ROM_ARCHIVE_H
#define TURTLES_ROM_ARCHIVE_H

#include "multiboot.h"

#define ROM_ARCHIVE_MAGIC 0x4d525254u /* "TRRM" */

/* The ROM ends at 4 GiB; its last word holds the address of its first byte, where the archive is. */
#define ROM_ARCHIVE_POINTER 0xfffffffcu

/* The image, its modules and the multiboot information alike: bytes to copy, then bytes to clear. */
struct rom_segment {
	u32 offset; /* from the archive's first byte */
	u32 address;
	u32 size;
	u32 clear;
};

struct rom_archive {
	u32 magic;
	u32 entry;
	u32 memory_end; /* one past the last byte above 1 MiB that a segment touches */
	u32 segment_count;
	struct rom_segment segments[];
};

/*
 * The multiboot information sits below 1 MiB, where GRUB keeps it too: above all a real-mode start-up
 * of other processors may use, and out of the way of images that take what follows their own end.
 */
#define ROM_INFO_ADDRESS 0x10000u
#define ROM_INFO_LIMIT 0x20000u

enum rom_mmap { ROM_MMAP_LOW, ROM_MMAP_HOLE, ROM_MMAP_HIGH, ROM_MMAP_TOP, ROM_MMAP_ENTRIES };

/* Complete but for the size of the memory, which the loader asks the machine for. */
struct rom_info {
	struct multiboot_info info;
	struct multiboot_mmap_entry mmap[ROM_MMAP_ENTRIES];
};

#endif
