#include "boot.h"
#include "fail.h"
#include "string.h"
#include "x86.h"

/* The identity map that start.S builds ends here. */
#define MAPPED_MEMORY GIB(4)

extern u8 image_start[], image_end[];

static u64 free_start, free_end;

static const void *pointer(u32 address)
{
	return (const void *)(uintptr_t)address;
}

/* If [start, end) lies in [*low, high), free memory begins above it. */
static void keep(u64 *low, u64 high, u64 start, u64 end)
{
	if (start < high && end > *low)
		*low = end;
}

static void keep_text(u64 *low, u64 high, u32 text)
{
	if (text)
		keep(low, high, text, text + strlen(pointer(text)) + 1);
}

/* A piece of RAM, less all that the loader put there; the largest rest becomes the free memory. */
static void offer_memory(const struct multiboot_info *info, u64 low, u64 high)
{
	const struct multiboot_module *modules = pointer(info->mods_addr);

	high = ALIGN_DOWN(high < MAPPED_MEMORY ? high : MAPPED_MEMORY, PAGE_SIZE);
	keep(&low, high, (uintptr_t)image_start, (uintptr_t)image_end);
	keep(&low, high, (uintptr_t)info, (uintptr_t)(info + 1));
	if (info->flags & MULTIBOOT_INFO_CMDLINE)
		keep_text(&low, high, info->cmdline);
	if (info->flags & MULTIBOOT_INFO_MMAP)
		keep(&low, high, info->mmap_addr, info->mmap_addr + info->mmap_length);
	for (u32 i = 0; info->flags & MULTIBOOT_INFO_MODS && i < info->mods_count; i++) {
		keep(&low, high, (uintptr_t)&modules[i], (uintptr_t)&modules[i + 1]);
		keep(&low, high, modules[i].start, modules[i].end);
		keep_text(&low, high, modules[i].string);
	}
	low = ALIGN_UP(low, PAGE_SIZE);
	if (low < high && high - low > free_end - free_start) {
		free_start = low;
		free_end = high;
	}
}

static void find_memory(const struct multiboot_info *info)
{
	const struct multiboot_mmap_entry *entry = pointer(info->mmap_addr);
	const void *end = (const u8 *)entry + info->mmap_length;

	if (!(info->flags & MULTIBOOT_INFO_MMAP)) {
		offer_memory(info, MIB(1), MIB(1) + KIB(info->mem_upper));
		return;
	}
	while ((const void *)entry < end) {
		if (entry->type == MULTIBOOT_RAM && entry->address >= MIB(1))
			offer_memory(info, entry->address, entry->address + entry->length);
		entry = (const void *)((const u8 *)entry + entry->size + sizeof(entry->size));
	}
}

struct boot boot_read(u32 magic, u32 info_address)
{
	const struct multiboot_info *info = pointer(info_address);
	struct boot boot = { .command_line = "" };

	if (magic != MULTIBOOT_BOOT_MAGIC)
		fail("start it with a multiboot loader: EAX was 0x%x", magic);
	find_memory(info);
	if (info->flags & MULTIBOOT_INFO_CMDLINE)
		boot.command_line = pointer(info->cmdline);
	if (info->flags & MULTIBOOT_INFO_MODS) {
		boot.modules = pointer(info->mods_addr);
		boot.module_count = info->mods_count;
	}
	return boot;
}

void *memory_take(u64 size, u64 alignment)
{
	u64 start = ALIGN_UP(free_start, alignment);

	if (start > free_end || size > free_end - start)
		fail("out of memory: %lu KiB more are needed: give the machine more, guests less (memory=)",
		     (size - (start < free_end ? free_end - start : 0) + 1023) / 1024);
	free_start = start + ALIGN_UP(size, PAGE_SIZE);
	return (void *)start;
}

void *memory_take_zeroed(u64 size)
{
	return memset(memory_take(size, PAGE_SIZE), 0, size);
}
