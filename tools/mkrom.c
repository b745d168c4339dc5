/*
 * mkrom OUT LOADER KERNEL CMDLINE [MODULE CMDLINE]...: a ROM that boots a multiboot 1 image with its modules.
 * All is laid out here, so that the loader in the ROM (boot/rom) has only to copy.
 */
#include "../boot/rom/archive.h"
#include "x86.h"
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status { STATUS_ERROR = 1, STATUS_USAGE = 2, STATUS_NEEDS_GRUB = 3 };

#define LOADER_SIZE 4096u
#define SEGMENTS_MAX 64
#define LOADER_NAME "turtles-rom"

/* 128 and 256 KiB are taken for flash memory by Bochs. */
static const u32 rom_sizes[] = { KIB(64), KIB(512), MIB(1), MIB(2) };

struct blob {
	const char *name;
	u8 *data;
	size_t size;
};

/* What the archive will hold, in the order of copying. */
struct plan {
	u32 entry;
	u32 memory_end;
	unsigned count;
	struct {
		const void *data;
		u32 address, size, clear;
	} segments[SEGMENTS_MAX];
};

static NORETURN PRINTF_LIKE(2, 3) void fail(enum status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("mkrom: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(status);
}

static void *allocate(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		fail(STATUS_ERROR, "out of memory");
	return p;
}

static struct blob read_file(const char *name)
{
	struct blob blob = { .name = name };
	FILE *f = fopen(name, "rb");
	long size;

	if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
		fail(STATUS_ERROR, "%s: %s", name, strerror(errno));
	if ((u64)size > GIB(1))
		fail(STATUS_ERROR, "%s: too big: 1 GiB is the limit", name);
	blob.size = size;
	blob.data = allocate(blob.size);
	if (fread(blob.data, 1, blob.size, f) != blob.size)
		fail(STATUS_ERROR, "%s: cannot read it", name);
	fclose(f);
	return blob;
}

static void plan_add(struct plan *plan, const char *name, const void *data, u64 address, u64 size, u64 clear)
{
	u64 end = address + size + clear;

	if (plan->count == SEGMENTS_MAX)
		fail(STATUS_ERROR, "%s: more than %d segments and modules", name, SEGMENTS_MAX);
	if (address < MIB(1) || end < address || end > GIB(4))
		fail(STATUS_ERROR, "%s: asks to be loaded at %#llx to %#llx: link it between 1 MiB and 4 GiB",
		     name, (unsigned long long)address, (unsigned long long)end);
	plan->segments[plan->count].data = data;
	plan->segments[plan->count].address = address;
	plan->segments[plan->count].size = size;
	plan->segments[plan->count++].clear = clear;
	if (end > plan->memory_end)
		plan->memory_end = end;
}

static bool header_valid(const struct multiboot_header *header)
{
	return header->magic == MULTIBOOT_HEADER_MAGIC && header->magic + header->flags + header->checksum == 0;
}

static size_t find_header(const struct blob *kernel, struct multiboot_header *header)
{
	static const size_t required = offsetof(struct multiboot_header, header_addr);
	size_t limit = kernel->size < MULTIBOOT_HEADER_SEARCH ? kernel->size : MULTIBOOT_HEADER_SEARCH;

	for (size_t at = 0; at + required <= limit; at += sizeof(u32)) {
		size_t left = kernel->size - at;

		memset(header, 0, sizeof(*header));
		memcpy(header, kernel->data + at, left < sizeof(*header) ? left : sizeof(*header));
		if (header_valid(header))
			return at;
	}
	fail(STATUS_ERROR, "%s: no multiboot 1 header in its first 8 KiB: not an image that can be booted",
	     kernel->name);
}

/* The header itself says where its file goes (the "a.out kludge"). */
static void plan_by_addresses(struct plan *plan, const struct blob *kernel, const struct multiboot_header *h,
			      size_t at)
{
	u64 before = (u64)h->header_addr - h->load_addr;
	u64 offset, size, clear = 0;

	if (h->header_addr < h->load_addr || before > at)
		fail(STATUS_ERROR, "%s: the addresses in its multiboot header contradict each other",
		     kernel->name);
	offset = at - before;
	size = kernel->size - offset;
	if (h->load_end_addr) {
		if (h->load_end_addr < h->load_addr || h->load_end_addr - h->load_addr > size)
			fail(STATUS_ERROR, "%s: cut short: its multiboot header asks for more than it has",
			     kernel->name);
		size = h->load_end_addr - h->load_addr;
	}
	if (h->bss_end_addr > h->load_addr + size)
		clear = h->bss_end_addr - h->load_addr - size;
	plan_add(plan, kernel->name, kernel->data + offset, h->load_addr, size, clear);
	plan->entry = h->entry_addr;
}

/* The two ELF classes differ in layout alone; an Elf64 program header holds either. */
static Elf64_Phdr elf_phdr(const struct blob *kernel, const Elf64_Ehdr *e, unsigned index)
{
	u64 at = e->e_phoff + (u64)index * e->e_phentsize;
	Elf64_Phdr wide = { 0 };
	Elf32_Phdr narrow;

	if (e->e_ident[EI_CLASS] == ELFCLASS64) {
		memcpy(&wide, kernel->data + at, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, kernel->data + at, sizeof(narrow));
	wide.p_type = narrow.p_type;
	wide.p_offset = narrow.p_offset;
	wide.p_vaddr = narrow.p_vaddr;
	wide.p_paddr = narrow.p_paddr;
	wide.p_filesz = narrow.p_filesz;
	wide.p_memsz = narrow.p_memsz;
	return wide;
}

static Elf64_Ehdr elf_header(const struct blob *kernel)
{
	Elf64_Ehdr wide = { 0 };
	Elf32_Ehdr narrow;
	size_t phentsize = sizeof(Elf64_Phdr);

	if (kernel->size < sizeof(wide))
		fail(STATUS_ERROR, "%s: cut short: no ELF header", kernel->name);
	memcpy(&wide, kernel->data, sizeof(wide));
	if (wide.e_ident[EI_CLASS] != ELFCLASS64) {
		memcpy(&narrow, kernel->data, sizeof(narrow));
		wide.e_entry = narrow.e_entry;
		wide.e_phoff = narrow.e_phoff;
		wide.e_phnum = narrow.e_phnum;
		wide.e_phentsize = narrow.e_phentsize;
		wide.e_machine = narrow.e_machine;
		phentsize = sizeof(Elf32_Phdr);
	}
	if (wide.e_machine != EM_386 && wide.e_machine != EM_X86_64)
		fail(STATUS_ERROR, "%s: an ELF file for another processor", kernel->name);
	if (wide.e_phentsize < phentsize || wide.e_phoff > kernel->size ||
	    (u64)wide.e_phnum * wide.e_phentsize > kernel->size - wide.e_phoff)
		fail(STATUS_ERROR, "%s: cut short: its ELF program headers lie beyond its end", kernel->name);
	return wide;
}

static void plan_elf(struct plan *plan, const struct blob *kernel)
{
	Elf64_Ehdr e = elf_header(kernel);

	plan->entry = e.e_entry;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		Elf64_Phdr p = elf_phdr(kernel, &e, i);

		if (p.p_type != PT_LOAD || !p.p_memsz)
			continue;
		if (p.p_filesz > p.p_memsz || p.p_offset > kernel->size ||
		    p.p_filesz > kernel->size - p.p_offset)
			fail(STATUS_ERROR, "%s: cut short: a segment lies beyond its end", kernel->name);
		plan_add(plan, kernel->name, kernel->data + p.p_offset, p.p_paddr, p.p_filesz,
			 p.p_memsz - p.p_filesz);
		if (e.e_entry >= p.p_vaddr && e.e_entry - p.p_vaddr < p.p_memsz)
			plan->entry = e.e_entry - p.p_vaddr + p.p_paddr;
	}
	if (!plan->count)
		fail(STATUS_ERROR, "%s: an ELF file with nothing to load", kernel->name);
}

static void plan_kernel(struct plan *plan, const struct blob *kernel)
{
	struct multiboot_header header;
	size_t at = find_header(kernel, &header);

	if (header.flags & (MULTIBOOT_HEADER_UNSUPPORTED | MULTIBOOT_HEADER_VIDEO))
		fail(STATUS_NEEDS_GRUB, "%s: its multiboot header asks for more than the ROM gives (flags %#x)",
		     kernel->name, header.flags);
	if (header.flags & MULTIBOOT_HEADER_ADDRESSES)
		plan_by_addresses(plan, kernel, &header, at);
	else if (kernel->size > SELFMAG && !memcmp(kernel->data, ELFMAG, SELFMAG))
		plan_elf(plan, kernel);
	else
		fail(STATUS_ERROR, "%s: neither an ELF file nor load addresses in its header", kernel->name);
}

/* The block at ROM_INFO_ADDRESS as it grows: struct rom_info, the module table, the strings. */
struct info_block {
	void *data;
	u32 size;
};

static u32 info_string(struct info_block *block, const char *string)
{
	u32 at = block->size;
	size_t length = strlen(string) + 1;

	if (length > ROM_INFO_LIMIT - ROM_INFO_ADDRESS - at)
		fail(STATUS_ERROR, "the command lines are too long: %u bytes is the limit",
		     ROM_INFO_LIMIT - ROM_INFO_ADDRESS);
	memcpy((u8 *)block->data + at, string, length);
	block->size += length;
	return ROM_INFO_ADDRESS + at;
}

static void fill_mmap(struct multiboot_mmap_entry *mmap)
{
	static const struct multiboot_mmap_entry layout[ROM_MMAP_ENTRIES] = {
		[ROM_MMAP_LOW] = { .address = 0, .length = KIB(640), .type = MULTIBOOT_RAM },
		[ROM_MMAP_HOLE] = { .address = KIB(640), .length = KIB(384), .type = MULTIBOOT_RESERVED },
		[ROM_MMAP_HIGH] = { .address = MIB(1), .type = MULTIBOOT_RAM },
		/* I/O APIC, local APICs, this ROM */
		[ROM_MMAP_TOP] = { .address = 0xfec00000, .length = 0x1400000, .type = MULTIBOOT_RESERVED },
	};

	memcpy(mmap, layout, sizeof(layout));
	for (int i = 0; i < ROM_MMAP_ENTRIES; i++)
		mmap[i].size = sizeof(*mmap) - sizeof(mmap->size);
}

/* Places the modules above all that the kernel takes, and tells of them. */
static void plan_modules(struct plan *plan, struct info_block *block, unsigned count, char **arguments)
{
	struct rom_info *rom = block->data;
	struct multiboot_module *table = (void *)((u8 *)block->data + block->size);

	rom->info.mods_count = count;
	rom->info.mods_addr = ROM_INFO_ADDRESS + block->size;
	block->size += count * sizeof(*table);
	for (unsigned i = 0; i < count; i++) {
		struct blob module = read_file(arguments[2 * i]);
		u64 address = ALIGN_UP((u64)plan->memory_end, PAGE_SIZE);

		table[i].start = address;
		table[i].end = address + module.size;
		table[i].string = info_string(block, arguments[2 * i + 1]);
		plan_add(plan, module.name, module.data, address, module.size, 0);
	}
}

static void plan_info(struct plan *plan, const char *cmdline, unsigned modules, char **arguments)
{
	struct info_block block = { allocate(ROM_INFO_LIMIT - ROM_INFO_ADDRESS), sizeof(struct rom_info) };
	struct rom_info *rom = block.data;

	rom->info.flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS |
			  MULTIBOOT_INFO_MMAP | MULTIBOOT_INFO_LOADER_NAME;
	rom->info.mem_lower = KIB(640) >> 10;
	rom->info.mmap_length = sizeof(rom->mmap);
	rom->info.mmap_addr = ROM_INFO_ADDRESS + offsetof(struct rom_info, mmap);
	fill_mmap(rom->mmap);
	plan_modules(plan, &block, modules, arguments);
	rom->info.cmdline = info_string(&block, cmdline);
	rom->info.boot_loader_name = info_string(&block, LOADER_NAME);
	if (plan->count == SEGMENTS_MAX)
		fail(STATUS_ERROR, "more than %d segments and modules", SEGMENTS_MAX);
	plan->segments[plan->count].data = block.data;
	plan->segments[plan->count].address = ROM_INFO_ADDRESS;
	plan->segments[plan->count].size = block.size;
	plan->segments[plan->count++].clear = 0;
}

/* Offsets of all segments' bytes; returns where the last ends. */
static u64 place(const struct plan *plan, struct rom_archive *archive)
{
	u64 at = sizeof(*archive) + plan->count * sizeof(archive->segments[0]);

	for (unsigned i = 0; i < plan->count; i++) {
		archive->segments[i].offset = at;
		archive->segments[i].address = plan->segments[i].address;
		archive->segments[i].size = plan->segments[i].size;
		archive->segments[i].clear = plan->segments[i].clear;
		at = ALIGN_UP(at + plan->segments[i].size, sizeof(u64));
	}
	archive->magic = ROM_ARCHIVE_MAGIC;
	archive->entry = plan->entry;
	archive->memory_end = plan->memory_end;
	archive->segment_count = plan->count;
	return at;
}

static u32 rom_size(const char *kernel, u64 archive_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(rom_sizes); i++)
		if (archive_size + LOADER_SIZE <= rom_sizes[i])
			return rom_sizes[i];
	fail(STATUS_NEEDS_GRUB, "%s and its modules: %llu KiB do not fit a ROM of 2 MiB", kernel,
	     (unsigned long long)archive_size >> 10);
}

static void write_rom(const char *out, const char *kernel, const struct blob *loader, const struct plan *plan)
{
	size_t head = sizeof(struct rom_archive) + plan->count * sizeof(struct rom_segment);
	struct rom_archive *archive = allocate(head);
	u32 size = rom_size(kernel, place(plan, archive));
	u32 base = GIB(4) - size;
	u8 *rom = allocate(size);
	FILE *f;

	memset(rom, 0xff, size);
	memcpy(rom, archive, head);
	for (unsigned i = 0; i < plan->count; i++)
		memcpy(rom + archive->segments[i].offset, plan->segments[i].data, plan->segments[i].size);
	memcpy(rom + size - LOADER_SIZE, loader->data, LOADER_SIZE);
	memcpy(rom + size - (GIB(4) - ROM_ARCHIVE_POINTER), &base, sizeof(base));
	f = fopen(out, "wb");
	if (!f || fwrite(rom, 1, size, f) != size || fclose(f))
		fail(STATUS_ERROR, "%s: %s", out, strerror(errno));
}

int main(int argc, char **argv)
{
	struct plan plan = { 0 };
	struct blob loader, kernel;

	if (argc < 5 || argc % 2 == 0)
		fail(STATUS_USAGE, "usage: mkrom OUT LOADER KERNEL CMDLINE [MODULE CMDLINE]...");
	loader = read_file(argv[2]);
	if (loader.size != LOADER_SIZE)
		fail(STATUS_ERROR, "%s: a loader is %u bytes long", loader.name, LOADER_SIZE);
	kernel = read_file(argv[3]);
	plan_kernel(&plan, &kernel);
	plan_info(&plan, argv[4], (argc - 5) / 2, argv + 5);
	write_rom(argv[1], kernel.name, &loader, &plan);
	return 0;
}
