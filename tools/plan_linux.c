/* Linux, Documentation/arch/x86/boot.rst: the 32-bit boot protocol of a bzImage. */
#include "plan.h"
#include "x86.h"
#include <asm/bootparam.h>
#include <string.h>

#define LINUX_MAGIC 0x53726448u /* "HdrS" */
#define LINUX_LOADER_UNDEFINED 0xff
#define LINUX_PROTOCOL_LEAST 0x020a /* the first that tells how much memory the kernel needs to unpack itself */
#define SETUP_SECTOR 512u
#define SETUP_SECTORS_DEFAULT 4

_Static_assert(offsetof(struct boot_params, e820_table) == LINUX_E820_TABLE, "the map in the boot parameters");
_Static_assert(offsetof(struct boot_params, e820_entries) == LINUX_E820_COUNT, "its size in the boot parameters");

static struct setup_header setup_header(const struct blob *kernel)
{
	struct setup_header header = { 0 };

	if (kernel->size > sizeof(struct boot_params))
		memcpy(&header, kernel->data + offsetof(struct boot_params, hdr), sizeof(header));
	return header;
}

bool is_linux(const struct blob *kernel)
{
	return setup_header(kernel).header == LINUX_MAGIC;
}

/* Above all that the kernel uses while it unpacks itself, whether it stays where it is or moves to where it prefers. */
static void plan_initramfs(struct plan *plan, struct setup_header *header, const char *name)
{
	struct blob initramfs = read_file(name);
	u64 start = plan->memory_end;

	if (start < header->pref_address + header->init_size)
		start = header->pref_address + header->init_size;
	start = ALIGN_UP(start, PAGE_SIZE);
	plan_add(plan, initramfs.name, initramfs.data, start, initramfs.size, 0);
	header->ramdisk_image = (u32)start;
	header->ramdisk_size = (u32)initramfs.size;
}

void plan_linux(struct plan *plan, const struct blob *kernel, const char *command_line, unsigned modules,
		char **arguments)
{
	struct setup_header header = setup_header(kernel);
	u32 setup = SETUP_SECTOR + (header.setup_sects ? header.setup_sects : SETUP_SECTORS_DEFAULT) * SETUP_SECTOR;
	size_t length = strlen(command_line) + 1;
	u8 *info;

	if (header.version < LINUX_PROTOCOL_LEAST || !(header.loadflags & LOADED_HIGH) || kernel->size < setup)
		fail(STATUS_ERROR, "%s: not a bzImage of this century", kernel->name);
	if (length > header.cmdline_size || length > BOOT_INFO_LIMIT - BOOT_INFO_ADDRESS - sizeof(struct boot_params))
		fail(STATUS_ERROR, "%s: a command line of %u characters is the most it takes", kernel->name,
		     header.cmdline_size);
	if (modules > 1)
		fail(STATUS_ERROR, "%s: Linux takes one module, its initramfs, not %u", kernel->name, modules);
	plan->protocol = BOOT_LINUX;
	plan->entry = header.code32_start;
	plan_add(plan, kernel->name, kernel->data + setup, header.code32_start, kernel->size - setup, 0);
	if (modules)
		plan_initramfs(plan, &header, arguments[0]);
	header.type_of_loader = LINUX_LOADER_UNDEFINED;
	header.cmd_line_ptr = BOOT_INFO_ADDRESS + sizeof(struct boot_params);
	info = allocate(sizeof(struct boot_params) + length);
	memcpy(info + offsetof(struct boot_params, hdr), &header, sizeof(header));
	memcpy(info + sizeof(struct boot_params), command_line, length);
	plan_add_info(plan, info, (u32)(sizeof(struct boot_params) + length));
}
