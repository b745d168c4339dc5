/* What tools/mkrom.c and tools/mkdisk.c write, and the loaders in the ROM and on the disk read. */
#ifndef TURTLES_BOOT_ARCHIVE_H
#define TURTLES_BOOT_ARCHIVE_H

#include "multiboot.h"

#define BOOT_ARCHIVE_MAGIC 0x4d525254u /* "TRRM" */

/* The ROM ends at 4 GiB; its last word holds the address of its first byte, where the archive is. */
#define ROM_ARCHIVE_POINTER 0xfffffffcu

/* The image, its modules and the boot information alike: bytes to copy, then bytes to clear. */
struct boot_segment {
	u32 offset; /* from the archive's first byte; on a disk, the first sector of its own */
	u32 address;
	u32 size;
	u32 clear;
};

enum boot_protocol { BOOT_MULTIBOOT, BOOT_LINUX };

struct boot_archive {
	u32 magic;
	u32 protocol;
	u32 entry;
	u32 memory_end; /* one past the last byte above 1 MiB that a segment touches */
	u32 segment_count;
	struct boot_segment segments[];
};

/*
 * The multiboot information, or Linux's boot parameters, sit below 1 MiB, where GRUB keeps the former too: above all
 * that a real-mode start-up of other processors may use, and out of the way of images that take what follows their
 * own end.
 */
#define BOOT_INFO_ADDRESS 0x10000u
#define BOOT_INFO_LIMIT 0x20000u

/* A ROM knows the memory map but for the memory's size; a disk asks the BIOS, which may have this much to tell. */
enum rom_mmap { ROM_MMAP_LOW, ROM_MMAP_HOLE, ROM_MMAP_HIGH, ROM_MMAP_TOP, ROM_MMAP_ENTRIES };
#define BOOT_MMAP_MAX 32

/* Complete but for what the loader asks the machine for. */
struct boot_info {
	struct multiboot_info info;
	struct multiboot_mmap_entry mmap[];
};

/* Linux, Documentation/arch/x86/zero-page.rst: in the boot parameters, how many entries the map has, and the map. */
#define LINUX_E820_COUNT 0x1e8
#define LINUX_E820_TABLE 0x2d0

/* On a disk of 512-byte sectors: the boot sector, the loader, the archive. */
#define DISK_SECTOR 512u
#define DISK_LOADER_SECTORS 8
#define DISK_ARCHIVE_SECTOR (1 + DISK_LOADER_SECTORS)
#define DISK_ARCHIVE_SECTORS 3

#endif
