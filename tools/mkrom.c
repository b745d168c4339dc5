/*
 * mkrom OUT LOADER KERNEL CMDLINE [MODULE CMDLINE]...: a ROM that boots a multiboot 1 image with its modules.
 * All is laid out here, so that the loader in the ROM (boot/rom) has only to copy.
 */
#include "plan.h"
#include <string.h>

#define LOADER_SIZE 4096u

/* 128 and 256 KiB are taken for flash memory by Bochs. */
static const u32 rom_sizes[] = { KIB(64), KIB(512), MIB(1), MIB(2) };

#define MAP_ENTRY(start, bytes, kind) \
	{ .size = sizeof(struct multiboot_mmap_entry) - sizeof(u32), .address = start, .length = bytes, .type = kind }
static const struct multiboot_mmap_entry memory_map[ROM_MMAP_ENTRIES] = {
	[ROM_MMAP_LOW] = MAP_ENTRY(0, KIB(640), MULTIBOOT_RAM),
	[ROM_MMAP_HOLE] = MAP_ENTRY(KIB(640), KIB(384), MULTIBOOT_RESERVED),
	[ROM_MMAP_HIGH] = MAP_ENTRY(MIB(1), 0, MULTIBOOT_RAM),
	/* I/O APIC, local APICs, this ROM */
	[ROM_MMAP_TOP] = MAP_ENTRY(0xfec00000, 0x1400000, MULTIBOOT_RESERVED),
};

static u32 rom_size(const char *kernel, u64 archive_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(rom_sizes); i++)
		if (archive_size + LOADER_SIZE <= rom_sizes[i])
			return rom_sizes[i];
	fail(STATUS_TOO_MUCH, "%s and its modules: %llu KiB do not fit a ROM of 2 MiB", kernel,
	     (unsigned long long)archive_size >> 10);
}

static void write_rom(const char *out, const char *kernel, const struct blob *loader, const struct plan *plan)
{
	size_t head = plan_head_size(plan);
	struct boot_archive *archive = allocate(head);
	u32 size = rom_size(kernel, plan_place(plan, archive, head, sizeof(u64), 1));
	u32 base = GIB(4) - size;
	u8 *rom = allocate(size);

	memset(rom, 0xff, size);
	memcpy(rom, archive, head);
	for (unsigned i = 0; i < plan->count; i++)
		memcpy(rom + archive->segments[i].offset, plan->segments[i].data, plan->segments[i].size);
	memcpy(rom + size - LOADER_SIZE, loader->data, LOADER_SIZE);
	memcpy(rom + size - (GIB(4) - ROM_ARCHIVE_POINTER), &base, sizeof(base));
	write_file(out, rom, size);
}

int main(int argc, char **argv)
{
	const struct plan_map map = { memory_map, ROM_MMAP_ENTRIES, ROM_MMAP_ENTRIES };
	struct plan plan = { 0 };
	struct blob loader, kernel;

	if (argc < 5 || argc % 2 == 0)
		fail(STATUS_USAGE, "usage: mkrom OUT LOADER KERNEL CMDLINE [MODULE CMDLINE]...");
	loader = read_file(argv[2]);
	if (loader.size != LOADER_SIZE)
		fail(STATUS_ERROR, "%s: a loader is %u bytes long", loader.name, LOADER_SIZE);
	kernel = read_file(argv[3]);
	plan_multiboot(&plan, &kernel, argv[4], (argc - 5) / 2, argv + 5, &map, "turtles-rom");
	write_rom(argv[1], kernel.name, &loader, &plan);
	return 0;
}
