/* Loading: multiboot 1 (Multiboot Specification 0.6.96) and bzImage (Linux, Documentation/arch/x86/boot.rst). */
#include "kvmrun.h"
#include "multiboot.h"
#include <asm/bootparam.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINUX_LOAD_ADDRESS 0x100000u
#define LINUX_MAGIC 0x53726448u /* "HdrS" */
#define LINUX_LOADER_UNDEFINED 0xff
#define LINUX_PROTOCOL_LEAST 0x0206 /* the first with cmdline_size; any kernel of this century */
#define SECTOR 512u
#define SETUP_SECTORS_DEFAULT 4

struct file {
	const char *name;
	const u8 *bytes;
	u64 size;
};

static struct file file_map(const char *name)
{
	struct file file = { name, (const u8 *)"", 0 };
	int descriptor = open(name, O_RDONLY | O_CLOEXEC);
	struct stat stat;

	if (descriptor < 0 || fstat(descriptor, &stat))
		fail_errno("%s", name);
	file.size = (u64)stat.st_size;
	if (file.size)
		file.bytes = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, descriptor, 0);
	if (file.bytes == MAP_FAILED)
		fail_errno("%s", name);
	close(descriptor);
	return file;
}

static void *guest_memory(const char *what, u64 address, u64 size)
{
	if (address > memory_size || size > memory_size - address)
		fail("%s does not fit the guest's memory of %lu MiB: raise --memory", what, memory_size >> 20);
	return memory + address;
}

static void put_command_line(const char *line)
{
	if (strlen(line) >= COMMAND_LINE_SIZE)
		fail("the command line has more than %u characters", COMMAND_LINE_SIZE - 1);
	strcpy(guest_memory("the command line", COMMAND_LINE_ADDRESS, COMMAND_LINE_SIZE), line);
}

/* Puts size bytes of the file to address, and zeros up to memory_end. Raises *top to that end. */
static void put_segment(const struct file *file, u64 offset, u64 size, u64 address, u64 memory_end, u64 *top)
{
	u8 *to;

	if (offset > file->size || size > file->size - offset || address + size > memory_end)
		fail("%s is cut short, or contradicts itself", file->name);
	to = guest_memory(file->name, address, memory_end - address);
	memcpy(to, file->bytes + offset, size);
	memset(to + size, 0, memory_end - address - size);
	if (memory_end > *top)
		*top = memory_end;
}

static u32 put_addressed(const struct file *file, const struct multiboot_header *header, u64 *top)
{
	u64 at = (u64)((const u8 *)header - file->bytes);
	u64 offset = at - (header->header_addr - header->load_addr);
	u64 load_end = header->load_end_addr ? header->load_end_addr : header->load_addr + file->size - offset;
	u64 end = header->bss_end_addr ? header->bss_end_addr : load_end;

	if (header->header_addr < header->load_addr || load_end < header->load_addr)
		fail("%s has a multiboot header whose addresses contradict each other", file->name);
	put_segment(file, offset, load_end - header->load_addr, header->load_addr, end, top);
	return header->entry_addr;
}

/* The two classes have the same fields in another order and width. */
#define DEFINE_PUT_ELF(bits) \
	static u32 put_elf##bits(const struct file *file, u64 *top) \
	{ \
		const Elf##bits##_Ehdr *elf = (const void *)file->bytes; \
		const Elf##bits##_Phdr *segment = (const void *)(file->bytes + elf->e_phoff); \
		u64 entry = elf->e_entry; \
\
		if (elf->e_phoff > file->size || elf->e_phnum > (file->size - elf->e_phoff) / sizeof(*segment)) \
			fail("%s is cut short", file->name); \
		for (unsigned i = 0; i < elf->e_phnum; i++, segment++) { \
			if (segment->p_type != PT_LOAD) \
				continue; \
			put_segment(file, segment->p_offset, segment->p_filesz, segment->p_paddr, \
				    segment->p_paddr + segment->p_memsz, top); \
			if (elf->e_entry >= segment->p_vaddr && elf->e_entry - segment->p_vaddr < segment->p_memsz) \
				entry = elf->e_entry - segment->p_vaddr + segment->p_paddr; \
		} \
		return (u32)entry; \
	}
DEFINE_PUT_ELF(32)
DEFINE_PUT_ELF(64)
#undef DEFINE_PUT_ELF

static const struct multiboot_header *multiboot_header(const struct file *file)
{
	u64 end = file->size < MULTIBOOT_HEADER_SEARCH ? file->size : MULTIBOOT_HEADER_SEARCH;

	for (u64 at = 0; at + sizeof(struct multiboot_header) <= end; at += sizeof(u32)) {
		const struct multiboot_header *header = (const void *)(file->bytes + at);

		if (header->magic == MULTIBOOT_HEADER_MAGIC && !(header->magic + header->flags + header->checksum))
			return header;
	}
	return NULL;
}

static u32 put_image(const struct file *file, const struct multiboot_header *header, u64 *top)
{
	if (header->flags & MULTIBOOT_HEADER_UNSUPPORTED)
		fail("%s asks for multiboot features that kvmrun does not have (flags %x)", file->name, header->flags);
	if (header->flags & MULTIBOOT_HEADER_ADDRESSES)
		return put_addressed(file, header, top);
	if (file->size < sizeof(Elf64_Ehdr) || memcmp(file->bytes, ELFMAG, SELFMAG))
		fail("%s is neither ELF nor has it load addresses in its multiboot header", file->name);
	return file->bytes[EI_CLASS] == ELFCLASS64 ? put_elf64(file, top) : put_elf32(file, top);
}

/* Space behind the multiboot information, taken from its start. */
static u32 info_take(u32 *used, u64 size)
{
	u32 address = INFO_ADDRESS + *used;

	*used += (u32)ALIGN_UP(size, 8);
	if (INFO_ADDRESS + *used > COMMAND_LINE_ADDRESS)
		fail("the modules' words are too long");
	return address;
}

/* Modules go behind the image, page-aligned, in their order. */
static void put_modules(struct multiboot_info *info, u32 *used, const struct module *modules, unsigned count, u64 top)
{
	struct multiboot_module *entry;

	info->mods_count = count;
	info->mods_addr = info_take(used, count * sizeof(*entry));
	entry = (void *)(memory + info->mods_addr);
	for (unsigned i = 0; i < count; i++, entry++) {
		struct file file = file_map(modules[i].file);
		u64 start = ALIGN_UP(top, 4096);

		top = start;
		put_segment(&file, 0, file.size, start, start + file.size, &top);
		*entry = (struct multiboot_module){ (u32)start, (u32)top, 0, 0 };
		entry->string = info_take(used, strlen(modules[i].text) + 1);
		strcpy((char *)memory + entry->string, modules[i].text);
	}
}

static void put_memory_map(struct multiboot_info *info, u32 *used)
{
	const struct multiboot_mmap_entry map[] = {
		{ sizeof(map[0]) - 4, 0, LOW_MEMORY_END, MULTIBOOT_RAM },
		{ sizeof(map[0]) - 4, LOW_MEMORY_END, MIB(1) - LOW_MEMORY_END, MULTIBOOT_RESERVED },
		{ sizeof(map[0]) - 4, MIB(1), memory_size - MIB(1), MULTIBOOT_RAM },
	};

	info->mem_lower = LOW_MEMORY_END >> 10;
	info->mem_upper = (u32)((memory_size - MIB(1)) >> 10);
	info->mmap_length = sizeof(map);
	info->mmap_addr = info_take(used, sizeof(map));
	memcpy(memory + info->mmap_addr, map, sizeof(map));
}

static struct start multiboot_load(const struct file *file, const struct multiboot_header *header,
				   const char *command_line, const struct module *modules, unsigned count)
{
	u32 used = 0;
	u64 top = MIB(1);
	u32 entry = put_image(file, header, &top);
	struct multiboot_info *info = (void *)(memory + info_take(&used, sizeof(*info)));

	info->flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_CMDLINE | MULTIBOOT_INFO_MODS | MULTIBOOT_INFO_MMAP;
	put_command_line(command_line);
	info->cmdline = COMMAND_LINE_ADDRESS;
	put_memory_map(info, &used);
	put_modules(info, &used, modules, count, top);
	return (struct start){ .entry = entry, .eax = MULTIBOOT_BOOT_MAGIC, .ebx = INFO_ADDRESS };
}

static void put_e820(struct boot_params *params)
{
	const struct boot_e820_entry map[] = {
		{ 0, LOW_MEMORY_END, MULTIBOOT_RAM },
		{ ACPI_ADDRESS, MIB(1) - ACPI_ADDRESS, MULTIBOOT_RESERVED },
		{ MIB(1), memory_size - MIB(1), MULTIBOOT_RAM },
	};

	memcpy(params->e820_table, map, sizeof(map));
	params->e820_entries = ARRAY_SIZE(map);
}

/* As high as the kernel allows: out of its way while it unpacks itself. */
static void put_initramfs(struct boot_params *params, const struct module *module)
{
	struct file file = file_map(module->file);
	u64 limit = params->hdr.initrd_addr_max + 1ull, top = 0, start;

	if (limit > memory_size)
		limit = memory_size;
	if (file.size > limit)
		fail("%s does not fit the guest's memory: raise --memory", file.name);
	start = ALIGN_DOWN(limit - file.size, 4096);
	if (start < LINUX_LOAD_ADDRESS + (u64)params->hdr.init_size)
		fail("kernel and %s do not fit the guest's memory: raise --memory", file.name);
	put_segment(&file, 0, file.size, start, start + file.size, &top);
	params->hdr.ramdisk_image = (u32)start;
	params->hdr.ramdisk_size = (u32)file.size;
}

static struct start linux_load(const struct file *file, const char *command_line, const struct module *modules,
			       unsigned count)
{
	const struct setup_header *header = (const void *)(file->bytes + offsetof(struct boot_params, hdr));
	struct boot_params *params = guest_memory("Linux's boot parameters", INFO_ADDRESS, sizeof(*params));
	u64 setup = (header->setup_sects ? header->setup_sects : SETUP_SECTORS_DEFAULT) * SECTOR + SECTOR, top = 0;

	if (header->version < LINUX_PROTOCOL_LEAST || !(header->loadflags & LOADED_HIGH) || file->size < setup)
		fail("%s is not a bzImage that kvmrun can start", file->name);
	if (count > 1)
		fail("Linux takes one initramfs, not %u modules", count);
	params->hdr = *header;
	params->hdr.type_of_loader = LINUX_LOADER_UNDEFINED;
	put_command_line(command_line);
	params->hdr.cmd_line_ptr = COMMAND_LINE_ADDRESS;
	put_e820(params);
	put_segment(file, setup, file->size - setup, LINUX_LOAD_ADDRESS, LINUX_LOAD_ADDRESS + file->size - setup, &top);
	if (count)
		put_initramfs(params, modules);
	return (struct start){ .entry = LINUX_LOAD_ADDRESS, .esi = INFO_ADDRESS };
}

static bool is_linux(const struct file *file)
{
	const struct setup_header *header = (const void *)(file->bytes + offsetof(struct boot_params, hdr));

	return file->size > sizeof(struct boot_params) && header->header == LINUX_MAGIC;
}

struct start image_load(const char *name, const char *command_line, const struct module *modules, unsigned count)
{
	struct file file = file_map(name);
	const struct multiboot_header *header;

	if (is_linux(&file))
		return linux_load(&file, command_line, modules, count);
	header = multiboot_header(&file);
	if (!header)
		fail("%s is neither a multiboot 1 image nor a bzImage", name);
	return multiboot_load(&file, header, command_line, modules, count);
}
