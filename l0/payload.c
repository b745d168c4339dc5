#include "payload.h"
#include "cpu.h"
#include "l1_memory.h"
#include "print.h"
#include "string.h"
#include "turtles_abi.h"
#include <elf.h>

#define INFO_SPACE KIB(16)
#define LOADER_NAME "Turtles L0"

/* What L1's loader works on: the image as it came, and how far down L1's memory is taken. */
struct image {
	const u8 *bytes;
	u64 size;
	u64 floor; /* L1-physical: from here up lie the modules as they wait */
	u64 top;   /* L1-physical: the end of what is loaded */
};

/* The L1-physical address of a host physical one in L1's RAM. */
static u64 l1_address(u64 host)
{
	const struct l1_region *region;
	unsigned count = l1_regions(&region);

	for (unsigned i = 0; i < count; i++, region++)
		if (region->ram && host >= region->host && host - region->host < region->end - region->start)
			return region->start + (host - region->host);
	l0_refuse("L1's image and modules do not fit its memory; give the machine more memory");
}

/* Empty modules have nothing to be moved. */
static struct boot_module *highest_below(struct boot_info *boot, u64 limit)
{
	struct boot_module *found = NULL;

	for (unsigned i = 0; i < boot->module_count; i++) {
		struct boot_module *module = &boot->module[i];

		if (module->start < module->end && module->end <= limit &&
		    (!found || module->start > found->start))
			found = module;
	}
	return found;
}

/* The loader put the modules where L1's image wants to be: move them up against L0's home, the highest first. */
static u64 move_modules_up(struct boot_info *boot)
{
	u64 floor = home.start, limit = home.start;
	struct boot_module *module;

	while ((module = highest_below(boot, limit))) {
		u64 size = module->end - module->start;

		limit = module->start;
		floor = ALIGN_DOWN(floor - (size ? size : 1), PAGE_SIZE); /* an empty one has its place too */
		if (floor > module->start)
			memmove(direct(floor), direct(module->start), size);
		else
			floor = module->start;
		*module = (struct boot_module){ floor, floor + size, module->text };
	}
	return floor;
}

static u8 *destination(struct image *image, u64 address, u64 size)
{
	u8 *to = address + size >= address && address + size <= image->floor ? l1_pointer(address, size) : NULL;

	if (!to)
		l0_refuse("L1's image wants memory at %lx to %lx, but L1 has none free there; "
			  "give the machine more memory",
			  address, (address + size));
	if (address + size > image->top)
		image->top = address + size;
	return to;
}

static void load_segment(struct image *image, u64 offset, u64 file_size, u64 address, u64 memory_size)
{
	u8 *to;

	if (offset > image->size || file_size > image->size - offset || file_size > memory_size)
		l0_refuse("L1's image is cut short: a segment lies beyond its end");
	to = destination(image, address, memory_size);
	memcpy(to, image->bytes + offset, file_size);
	memset(to + file_size, 0, memory_size - file_size);
}

/* The a.out kludge of the Multiboot Specification, section 3.1.3. */
static u32 load_by_addresses(struct image *image, const struct multiboot_header *header)
{
	u64 header_offset = (u64)((const u8 *)header - image->bytes);
	u64 before = header->header_addr - header->load_addr;
	u64 offset = header_offset - before;
	u64 file_size = header->load_end_addr ? header->load_end_addr - header->load_addr : image->size - offset;
	u64 end = header->bss_end_addr ? header->bss_end_addr : header->load_addr + file_size;

	if (header->header_addr < header->load_addr || before > header_offset || end < header->load_addr + file_size)
		l0_refuse("L1's image has a multiboot header whose addresses contradict each other");
	load_segment(image, offset, file_size, header->load_addr, end - header->load_addr);
	return header->entry_addr;
}

/* Both ELF classes have the same program header fields in another order and width. */
#define DEFINE_LOAD_ELF(bits) \
	static u32 load_elf##bits(struct image *image) \
	{ \
		const Elf##bits##_Ehdr *elf = (const void *)image->bytes; \
		const Elf##bits##_Phdr *segment = (const void *)(image->bytes + elf->e_phoff); \
		u64 entry = elf->e_entry; \
\
		if (elf->e_phoff > image->size || elf->e_phnum > (image->size - elf->e_phoff) / sizeof(*segment)) \
			l0_refuse("L1's image is cut short: its program headers lie beyond its end"); \
		for (unsigned i = 0; i < elf->e_phnum; i++, segment++) { \
			if (segment->p_type != PT_LOAD) \
				continue; \
			load_segment(image, segment->p_offset, segment->p_filesz, segment->p_paddr, segment->p_memsz); \
			if (elf->e_entry >= segment->p_vaddr && elf->e_entry - segment->p_vaddr < segment->p_memsz) \
				entry = elf->e_entry - segment->p_vaddr + segment->p_paddr; \
		} \
		return (u32)entry; \
	}
DEFINE_LOAD_ELF(32)
DEFINE_LOAD_ELF(64)
#undef DEFINE_LOAD_ELF

static const struct multiboot_header *find_header(const struct image *image)
{
	u64 end = image->size < MULTIBOOT_HEADER_SEARCH ? image->size : MULTIBOOT_HEADER_SEARCH;

	for (u64 at = 0; at + sizeof(struct multiboot_header) <= end; at += sizeof(u32)) {
		const struct multiboot_header *header = (const void *)(image->bytes + at);

		if (header->magic == MULTIBOOT_HEADER_MAGIC && header->magic + header->flags + header->checksum == 0)
			return header;
	}
	l0_refuse("L1's image is not a multiboot 1 image: no header in its first %u bytes", MULTIBOOT_HEADER_SEARCH);
}

static u32 load_image(struct image *image)
{
	const struct multiboot_header *header = find_header(image);

	if (header->flags & MULTIBOOT_HEADER_UNSUPPORTED)
		l0_refuse("L1's image asks for multiboot features that L0 does not have (flags %x)", header->flags);
	if (header->flags & MULTIBOOT_HEADER_ADDRESSES)
		return load_by_addresses(image, header);
	if (image->size < sizeof(Elf64_Ehdr) || memcmp(image->bytes, ELFMAG, SELFMAG) != 0)
		l0_refuse("L1's image is neither ELF nor has it load addresses in its multiboot header");
	return image->bytes[EI_CLASS] == ELFCLASS64 ? load_elf64(image) : load_elf32(image);
}

/* Memory of L1 for what its loader leaves there. */
static u8 *claim(u64 address10, u64 size, u64 floor)
{
	u8 *memory = address10 + size <= floor ? l1_pointer(address10, size) : NULL;

	if (!memory)
		l0_refuse("L1's modules do not fit its memory; give the machine more memory");
	return memory;
}

/* The block of boot information, filled from its start. */
struct block {
	u8 *memory;
	u64 address10;
	u64 used;
};

static void *block_take(struct block *block, u64 size, u32 *address)
{
	u8 *at = block->memory + block->used;

	if (size > INFO_SPACE - block->used)
		l0_refuse("L1's boot information does not fit %lu KiB", INFO_SPACE >> 10);
	*address = (u32)(block->address10 + block->used);
	block->used += ALIGN_UP(size, sizeof(u64));
	return at;
}

static u32 block_text(struct block *block, const char *text)
{
	u32 address;
	u64 size = strlen(text) + 1;

	memcpy(block_take(block, size, &address), text, size);
	return address;
}

static void add_map_entry(struct block *block, struct multiboot_info *info, u64 start, u64 end, u32 type)
{
	u32 address;
	struct multiboot_mmap_entry *entry = block_take(block, sizeof(*entry), &address);

	*entry = (struct multiboot_mmap_entry){ sizeof(*entry) - sizeof(entry->size), start, end - start, type };
	if (!info->mmap_length)
		info->mmap_addr = address;
	info->mmap_length += sizeof(*entry);
}

/* RAM as L1 has it, then what the machine itself reserves. entries are 24 bytes, so they follow each other. */
static void write_map(struct block *block, struct multiboot_info *info, const struct boot_info *boot)
{
	const struct l1_region *region;
	unsigned count = l1_regions(&region);

	for (unsigned i = 0; i < count; i++, region++) {
		if (region->ram)
			add_map_entry(block, info, region->start, region->end, MULTIBOOT_RAM);
		if (region->ram && region->start == 0)
			info->mem_lower = (u32)(region->end >> 10);
		if (region->ram && region->start == MIB(1))
			info->mem_upper = (u32)((region->end - region->start) >> 10);
		if (region->absent)
			add_map_entry(block, info, region->start, region->end, MULTIBOOT_RESERVED);
	}
	for (unsigned i = 0; i < boot->range_count; i++)
		if (boot->range[i].type != MULTIBOOT_RAM)
			add_map_entry(block, info, boot->range[i].start, boot->range[i].end, boot->range[i].type);
}

static void write_modules(struct block *block, struct multiboot_info *info, const struct boot_info *boot)
{
	struct multiboot_module *module;

	info->mods_count = boot->module_count - 1;
	module = block_take(block, info->mods_count * sizeof(*module), &info->mods_addr);
	for (unsigned i = 1; i < boot->module_count; i++, module++) {
		u32 start = (u32)l1_address(boot->module[i].start);

		*module = (struct multiboot_module){
			.start = start, .end = start + (u32)(boot->module[i].end - boot->module[i].start),
			.string = block_text(block, boot->module[i].text),
		};
	}
}

static u32 write_info(const struct boot_info *boot, u64 address10, u64 floor)
{
	struct block block = { claim(address10, INFO_SPACE, floor), address10, 0 };
	struct multiboot_info *info;
	u32 address;

	memset(block.memory, 0, INFO_SPACE);
	info = block_take(&block, sizeof(*info), &address);
	info->flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_MMAP |
		      MULTIBOOT_INFO_LOADER_NAME;
	info->cmdline = block_text(&block, boot->module[0].text);
	info->boot_loader_name = block_text(&block, LOADER_NAME);
	write_map(&block, info, boot);
	write_modules(&block, info, boot);
	return address;
}

/* Modules go right behind the image, in their order, as loaders put them: what is above is L1's to use. */
static u64 settle_modules(struct boot_info *boot, u64 address10, u64 floor)
{
	for (unsigned i = 1; i < boot->module_count; i++) {
		struct boot_module *module = &boot->module[i];
		u64 size = module->end - module->start;
		u8 *to = claim(address10, size, floor);

		memmove(to, direct(module->start), size);
		module->start = host_of(to);
		module->end = module->start + size;
		address10 = ALIGN_UP(address10 + size, PAGE_SIZE);
	}
	return address10;
}

struct payload payload_load(struct boot_info *boot)
{
	struct payload payload;
	struct image image = { 0 };
	u64 info;

	if (!boot->module_count)
		l0_refuse("no L1: L0's first module must be L1's multiboot image");
	if (boot->module[0].start == boot->module[0].end)
		l0_refuse("L1's image is empty");
	image.floor = l1_address(move_modules_up(boot));
	image.bytes = direct(boot->module[0].start);
	image.size = boot->module[0].end - boot->module[0].start;
	payload.entry = load_image(&image);
	info = settle_modules(boot, ALIGN_UP(image.top > MIB(1) ? image.top : MIB(1), PAGE_SIZE), image.floor);
	payload.info = write_info(boot, info, image.floor);
	return payload;
}
