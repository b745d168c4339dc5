#include "payload_load.h"
#include "cpu.h"
#include "l1_memory.h"
#include "print.h"
#include "string.h"
#include "turtles_abi.h"
#include <elf.h>

#define INFO_SPACE KIB(16)
#define LOADER_NAME "Turtles L0"

static void load_segment(struct image *image, u64 offset, u64 file_size, u64 address, u64 memory_size)
{
	u8 *to;

	if (offset > image->size || file_size > image->size - offset || file_size > memory_size)
		l0_refuse("L1's image is cut short: a segment lies beyond its end");
	to = image_destination(image, address, memory_size);
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

/* Where the entries of the memory map go. */
struct map_writer {
	struct block *block;
	struct multiboot_info *info;
};

/* Entries are 24 bytes, so they follow each other. */
static void add_map_entry(void *context, u64 start, u64 end, u32 type)
{
	const struct map_writer *writer = context;
	struct multiboot_info *info = writer->info;
	u32 address;
	struct multiboot_mmap_entry *entry = block_take(writer->block, sizeof(*entry), &address);

	*entry = (struct multiboot_mmap_entry){ sizeof(*entry) - sizeof(entry->size), start, end - start, type };
	if (!info->mmap_length)
		info->mmap_addr = address;
	info->mmap_length += sizeof(*entry);
	if (type == MULTIBOOT_RAM && start == 0)
		info->mem_lower = (u32)(end >> 10);
	if (type == MULTIBOOT_RAM && start == MIB(1))
		info->mem_upper = (u32)((end - start) >> 10);
}

static void write_modules(struct block *block, struct multiboot_info *info, const struct boot_info *boot)
{
	struct multiboot_module *module;

	info->mods_count = boot->module_count - 1;
	module = block_take(block, info->mods_count * sizeof(*module), &info->mods_addr);
	for (unsigned i = 1; i < boot->module_count; i++, module++) {
		u32 start = (u32)payload_l1_address(boot->module[i].start);

		*module = (struct multiboot_module){
			.start = start, .end = start + (u32)(boot->module[i].end - boot->module[i].start),
			.string = block_text(block, boot->module[i].text),
		};
	}
}

static u32 write_info(const struct boot_info *boot, u64 address10, u64 floor)
{
	struct block block = { payload_claim(address10, INFO_SPACE, floor), address10, 0 };
	struct multiboot_info *info;
	u32 address;

	memset(block.memory, 0, INFO_SPACE);
	info = block_take(&block, sizeof(*info), &address);
	info->flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_MMAP |
		      MULTIBOOT_INFO_LOADER_NAME;
	info->cmdline = block_text(&block, boot->module[0].text);
	info->boot_loader_name = block_text(&block, LOADER_NAME);
	payload_memory_map(boot, add_map_entry, &(struct map_writer){ &block, info });
	write_modules(&block, info, boot);
	return address;
}

struct payload payload_load_multiboot(struct image *image, struct boot_info *boot)
{
	u32 entry = load_image(image);
	u64 top = ALIGN_UP(image->top > MIB(1) ? image->top : MIB(1), PAGE_SIZE);
	u64 info = payload_settle_modules(boot, top, image->floor);

	return (struct payload){ entry, write_info(boot, info, image->floor) };
}
