#include "payload.h"
#include "cpu.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "options.h"
#include "payload_load.h"
#include "string.h"

u64 payload_l1_address(u64 host)
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

u8 *image_destination(struct image *image, u64 address10, u64 size)
{
	u64 end = address10 + size;
	u8 *to = end >= address10 && end <= image->floor ? l1_pointer(address10, size) : NULL;

	if (!to)
		l0_refuse("L1's image wants memory at %lx to %lx, but L1 has none free there; "
			  "give the machine more memory",
			  address10, end);
	if (end > image->top)
		image->top = end;
	return to;
}

u8 *payload_claim(u64 address10, u64 size, u64 floor)
{
	u8 *memory = address10 + size <= floor ? l1_pointer(address10, size) : NULL;

	if (!memory)
		l0_refuse("L1's modules do not fit its memory; give the machine more memory");
	return memory;
}

/* In their order, as loaders put them: what is above is L1's to use. */
u64 payload_settle_modules(struct boot_info *boot, u64 address10, u64 floor)
{
	for (unsigned i = 1; i < boot->module_count; i++) {
		struct boot_module *module = &boot->module[i];
		u64 size = module->end - module->start;
		u8 *to = payload_claim(address10, size, floor);

		memmove(to, direct(module->start), size);
		module->start = host_of(to);
		module->end = module->start + size;
		address10 = ALIGN_UP(address10 + size, PAGE_SIZE);
	}
	return address10;
}

void payload_memory_map(const struct boot_info *boot, map_entry add, void *context)
{
	const struct l1_region *region;
	unsigned count = l1_regions(&region);

	for (unsigned i = 0; i < count; i++, region++)
		if (region->ram || region->absent)
			add(context, region->start, region->end, region->ram ? MULTIBOOT_RAM : MULTIBOOT_RESERVED);
	for (unsigned i = 0; i < boot->range_count; i++)
		if (boot->range[i].type != MULTIBOOT_RAM)
			add(context, boot->range[i].start, boot->range[i].end, boot->range[i].type);
}

static void start_module(struct cpu *cpu, struct boot_info *boot)
{
	struct image image = { 0 };
	struct payload payload;

	if (!boot->module_count)
		l0_refuse("no L1: L0's first module must be L1's image");
	if (boot->module[0].start == boot->module[0].end)
		l0_refuse("L1's image is empty");
	image.floor = payload_l1_address(move_modules_up(boot));
	image.bytes = direct(boot->module[0].start);
	image.size = boot->module[0].end - boot->module[0].start;
	if (payload_is_linux(&image)) {
		payload = payload_load_linux(&image, boot);
		vmcs01_start_linux(cpu, payload.entry, payload.info);
	} else {
		payload = payload_load_multiboot(&image, boot);
		vmcs01_start_multiboot(cpu, payload.entry, payload.info);
	}
}

void payload_start(struct cpu *cpu, struct boot_info *boot)
{
	if (options.l1 == L1_module)
		start_module(cpu, boot);
	else
		vmcs01_start_real_mode(cpu, payload_load_bios(boot));
}
