/* Multiboot 1, as far as loaders and images here need it. Multiboot Specification version 0.6.96. */
#ifndef TURTLES_MULTIBOOT_H
#define TURTLES_MULTIBOOT_H

#include "ports.h"
#include "types.h"

#define MULTIBOOT_HEADER_SEARCH 8192u
#define MULTIBOOT_HEADER_PAGE_ALIGN BIT(0)
#define MULTIBOOT_HEADER_MEMORY BIT(1)
#define MULTIBOOT_HEADER_VIDEO BIT(2)
#define MULTIBOOT_HEADER_ADDRESSES BIT(16)
#define MULTIBOOT_HEADER_UNSUPPORTED BITS(15, 3)

struct multiboot_header {
	u32 magic, flags, checksum;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

#define MULTIBOOT_INFO_MEMORY BIT(0)
#define MULTIBOOT_INFO_BOOTDEV BIT(1)
#define MULTIBOOT_INFO_CMDLINE BIT(2)
#define MULTIBOOT_INFO_MODS BIT(3)
#define MULTIBOOT_INFO_MMAP BIT(6)
#define MULTIBOOT_INFO_LOADER_NAME BIT(9)

struct multiboot_info {
	u32 flags;
	u32 mem_lower, mem_upper; /* KiB; upper counts from 1 MiB */
	u32 boot_device;
	u32 cmdline;
	u32 mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr;
	u32 drives_length, drives_addr;
	u32 config_table;
	u32 boot_loader_name;
	u32 apm_table;
	u32 vbe[6];
};

struct multiboot_module {
	u32 start, end;
	u32 string;
	u32 reserved;
};

struct multiboot_mmap_entry {
	u32 size; /* of the rest of the entry */
	u64 address, length;
	u32 type; /* MULTIBOOT_RAM, or memory that is not free */
} PACKED;
#define MULTIBOOT_RAM 1u
#define MULTIBOOT_RESERVED 2u

#endif
