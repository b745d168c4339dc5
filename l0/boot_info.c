#include "boot_info.h"
#include "cpu.h"
#include "string.h"

/* Multiboot hands over 32-bit physical addresses; the early page tables map them one to one. */
static const void *low(u32 address)
{
	return (const void *)(u64)address;
}

static const char *keep_text(struct boot_info *boot, size_t *used, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = boot->text + *used;

	if (size > BOOT_TEXT - *used)
		l0_refuse("the command lines together are longer than %u bytes", BOOT_TEXT);
	memcpy(copy, text, size);
	*used += size;
	return copy;
}

static void add_range(struct boot_info *boot, u64 start, u64 end, u32 type)
{
	if (start >= end)
		return;
	if (boot->range_count == BOOT_RANGES)
		l0_refuse("the memory map has more than %u ranges", BOOT_RANGES);
	boot->range[boot->range_count++] = (struct memory_range){ start, end, type };
	if (type != MULTIBOOT_RAM)
		return;
	boot->ram_bytes += end - start;
	if (end <= GIB(4) && end > boot->ram_top4g)
		boot->ram_top4g = end;
}

static void copy_map(struct boot_info *boot, const struct multiboot_info *info)
{
	u64 at = info->mmap_addr, end = at + info->mmap_length;

	if (!(info->flags & MULTIBOOT_INFO_MMAP)) {
		add_range(boot, 0, KIB(info->mem_lower), MULTIBOOT_RAM);
		add_range(boot, MIB(1), MIB(1) + KIB(info->mem_upper), MULTIBOOT_RAM);
		return;
	}
	while (at < end) {
		const struct multiboot_mmap_entry *entry = low((u32)at);

		add_range(boot, entry->address, entry->address + entry->length, entry->type);
		at += entry->size + sizeof(entry->size);
	}
}

static void copy_modules(struct boot_info *boot, const struct multiboot_info *info, size_t *text)
{
	const struct multiboot_module *module = low(info->mods_addr);

	if (!(info->flags & MULTIBOOT_INFO_MODS))
		return;
	if (info->mods_count > BOOT_MODULES)
		l0_refuse("more than %u modules", BOOT_MODULES);
	boot->module_count = info->mods_count;
	for (unsigned i = 0; i < boot->module_count; i++) {
		boot->module[i].start = module[i].start;
		boot->module[i].end = module[i].end;
		boot->module[i].text = keep_text(boot, text, module[i].string ? low(module[i].string) : "");
	}
}

void boot_info_copy(struct boot_info *boot, u32 magic, u32 address)
{
	const struct multiboot_info *info = low(address);
	size_t text = 0;

	if (magic != MULTIBOOT_BOOT_MAGIC)
		l0_refuse("L0 was not started by a multiboot 1 loader (EAX is %x)", magic);
	boot->command_line = info->flags & MULTIBOOT_INFO_CMDLINE ?
		keep_text(boot, &text, low(info->cmdline)) : "";
	copy_map(boot, info);
	copy_modules(boot, info, &text);
}
