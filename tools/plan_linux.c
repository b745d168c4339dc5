/* Linux, Documentation/arch/x86/boot.rst: the 32-bit boot protocol of a bzImage. */
#include "plan.h"
#include "x86.h"
#include <asm/bootparam.h>
#include <string.h>

#define LINUX_MAGIC 0x53726448u /* "HdrS" */
#define LINUX_LOADER_UNDEFINED 0xff
#define LINUX_PROTOCOL_LEAST 0x020a /* the first with pref_address and init_size */
#define SETUP_SECTOR 512u
#define SETUP_SECTORS_DEFAULT 4

_Static_assert(offsetof(struct boot_params, e820_table) == LINUX_E820_TABLE, "the map in the boot parameters");
_Static_assert(offsetof(struct boot_params, e820_entries) == LINUX_E820_COUNT, "its size in the boot parameters");

/* The header ends where the jump over it leads to, or where the room for it does. */
static struct setup_header setup_header(const struct blob *kernel)
{
	struct setup_header header = { 0 };
	size_t size;

	if (kernel->size <= sizeof(struct boot_params))
		return header;
	memcpy(&header, kernel->data + offsetof(struct boot_params, hdr), sizeof(header));
	size = offsetof(struct setup_header, header) + (header.jump >> 8);
	if (size < sizeof(header))
		memset((u8 *)&header + size, 0, sizeof(header) - size);
	return header;
}

bool is_linux(const struct blob *kernel)
{
	return setup_header(kernel).header == LINUX_MAGIC;
}

static void plan_kernel(struct plan *plan, const struct blob *kernel, const struct setup_header *header)
{
	u32 sectors = header->setup_sects ? header->setup_sects : SETUP_SECTORS_DEFAULT;
	u32 setup = SETUP_SECTOR * (1 + sectors);

	if (header->version < LINUX_PROTOCOL_LEAST || !(header->loadflags & LOADED_HIGH) || kernel->size < setup)
		fail(STATUS_ERROR, "%s: speaks an old Linux boot protocol; 2.10 or newer is needed", kernel->name);
	plan->protocol = BOOT_LINUX;
	plan->entry = (u32)header->pref_address;
	plan_add(plan, kernel->name, kernel->data + setup, header->pref_address, kernel->size - setup, 0);
}

/* Above all that the kernel uses while it unpacks itself. */
static void plan_initramfs(struct plan *plan, struct setup_header *header, const char *name)
{
	struct blob initramfs = read_file(name);
	u64 start = ALIGN_UP(header->pref_address + header->init_size, PAGE_SIZE);

	if (start + initramfs.size - 1 > header->initrd_addr_max)
		fail(STATUS_ERROR, "%s: too big for this kernel", name);
	plan_add(plan, initramfs.name, initramfs.data, start, initramfs.size, 0);
	header->ramdisk_image = (u32)start;
	header->ramdisk_size = (u32)initramfs.size;
}

void plan_linux(struct plan *plan, const struct blob *kernel, const char *command_line, unsigned modules,
		char **arguments)
{
	struct setup_header header = setup_header(kernel);
	const char *words = command_line + strcspn(command_line, " "); /* the first is the image's name */
	size_t size = strlen(words) + 1;
	u8 *info;

	plan_kernel(plan, kernel, &header);
	if (size - 1 > header.cmdline_size || size > BOOT_INFO_LIMIT - BOOT_INFO_ADDRESS - sizeof(struct boot_params))
		fail(STATUS_ERROR, "%s: a command line of %u characters is the most it takes", kernel->name,
		     header.cmdline_size);
	if (modules > 1)
		fail(STATUS_ERROR, "%s: Linux takes one module, its initramfs, not %u", kernel->name, modules);
	if (modules)
		plan_initramfs(plan, &header, arguments[0]);
	header.type_of_loader = LINUX_LOADER_UNDEFINED;
	header.code32_start = plan->entry;
	header.cmd_line_ptr = BOOT_INFO_ADDRESS + sizeof(struct boot_params);
	info = allocate(sizeof(struct boot_params) + size);
	memcpy(info + offsetof(struct boot_params, hdr), &header, sizeof(header));
	memcpy(info + sizeof(struct boot_params), words + (*words == ' '), size);
	plan_add_info(plan, info, (u32)(sizeof(struct boot_params) + size));
}
