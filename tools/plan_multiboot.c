/* Multiboot Specification 0.6.96: where a multiboot 1 image goes, and the information it gets. */
#include "plan.h"
#include "x86.h"
#include <elf.h>
#include <string.h>

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
		fail(STATUS_TOO_MUCH, "%s: its multiboot header asks for more than there is (flags %#x)",
		     kernel->name, header.flags);
	if (header.flags & MULTIBOOT_HEADER_ADDRESSES)
		plan_by_addresses(plan, kernel, &header, at);
	else if (kernel->size > SELFMAG && !memcmp(kernel->data, ELFMAG, SELFMAG))
		plan_elf(plan, kernel);
	else
		fail(STATUS_ERROR, "%s: neither an ELF file nor load addresses in its header", kernel->name);
}

/* The block at BOOT_INFO_ADDRESS as it grows: struct boot_info, the module table, the strings. */
struct info_block {
	void *data;
	u32 size;
};

static u32 info_string(struct info_block *block, const char *string)
{
	u32 at = block->size;
	size_t length = strlen(string) + 1;

	if (length > BOOT_INFO_LIMIT - BOOT_INFO_ADDRESS - at)
		fail(STATUS_ERROR, "the command lines are too long: %u bytes is the limit",
		     BOOT_INFO_LIMIT - BOOT_INFO_ADDRESS);
	memcpy((u8 *)block->data + at, string, length);
	block->size += length;
	return BOOT_INFO_ADDRESS + at;
}

/* Places the modules above all that the kernel takes, and tells of them. */
static void plan_modules(struct plan *plan, struct info_block *block, unsigned count, char **arguments)
{
	struct boot_info *boot = block->data;
	struct multiboot_module *table = (void *)((u8 *)block->data + block->size);

	boot->info.mods_count = count;
	boot->info.mods_addr = BOOT_INFO_ADDRESS + block->size;
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

void plan_multiboot(struct plan *plan, const struct blob *kernel, const char *command_line, unsigned modules,
		    char **arguments, const struct plan_map *map, const char *loader_name)
{
	struct boot_info *boot = allocate(BOOT_INFO_LIMIT - BOOT_INFO_ADDRESS);
	struct info_block block = { boot, sizeof(*boot) + map->room * sizeof(map->entries[0]) };

	plan->protocol = BOOT_MULTIBOOT;
	plan_kernel(plan, kernel);
	boot->info.flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS |
			   MULTIBOOT_INFO_MMAP | MULTIBOOT_INFO_LOADER_NAME;
	boot->info.mem_lower = KIB(640) >> 10;
	boot->info.mmap_length = map->count * sizeof(map->entries[0]);
	boot->info.mmap_addr = BOOT_INFO_ADDRESS + offsetof(struct boot_info, mmap);
	if (map->count)
		memcpy(boot->mmap, map->entries, boot->info.mmap_length);
	plan_modules(plan, &block, modules, arguments);
	boot->info.cmdline = info_string(&block, command_line);
	boot->info.boot_loader_name = info_string(&block, loader_name);
	plan_add_info(plan, block.data, block.size);
}
