/* Linux as L1. The protocol is in its own Documentation/x86/boot.rst, "32-bit BOOT PROTOCOL". */
#include "payload_load.h"
#include "cpu.h"
#include "l1_memory.h"
#include "string.h"
#include <asm/bootparam.h>

#define SECTOR 512u
#define BOOT_FLAG 0xaa55
#define HEADER_MAGIC 0x53726448 /* "HdrS" */
#define OLDEST_PROTOCOL 0x020a  /* the first with pref_address and init_size: Linux 2.6.31 */
#define OLD_SETUP_SECTORS 4     /* what a zero in setup_sects means */
#define UNKNOWN_LOADER 0xff

/* The header says itself where it ends, by the jump over it; there is room for it up to the next member. */
#define HEADER_ROOM (offsetof(struct boot_params, edd_mbr_sig_buffer) - offsetof(struct boot_params, hdr))

static const struct setup_header *header_of(const struct image *image)
{
	return (const void *)(image->bytes + offsetof(struct boot_params, hdr));
}

static u64 header_size(const struct setup_header *header)
{
	u64 size = offsetof(struct setup_header, header) + (header->jump >> 8);

	return size < HEADER_ROOM ? size : HEADER_ROOM;
}

bool payload_is_linux(const struct image *image)
{
	return image->size >= offsetof(struct boot_params, edd_mbr_sig_buffer) &&
	       header_of(image)->boot_flag == BOOT_FLAG &&
	       header_of(image)->header == HEADER_MAGIC;
}

/* The kernel unpacks itself in place: it must have init_size bytes from where it is put. */
static u32 load_kernel(struct image *image)
{
	const struct setup_header *header = header_of(image);
	u64 setup = SECTOR * (1u + (header->setup_sects ? header->setup_sects : OLD_SETUP_SECTORS));

	if (header->version < OLDEST_PROTOCOL || !(header->loadflags & LOADED_HIGH))
		l0_refuse("L1's kernel speaks an old Linux boot protocol (%x.%02x); 2.10 or newer is needed",
			  header->version >> 8, header->version & 0xff);
	if (setup >= image->size || image->size - setup > header->init_size)
		l0_refuse("L1's kernel is cut short: it has no protected-mode part");
	memcpy(image_destination(image, header->pref_address, header->init_size), image->bytes + setup,
	       image->size - setup);
	return (u32)header->pref_address;
}

static void add_map_entry(void *context, u64 start, u64 end, u32 type)
{
	struct boot_params *params = context;

	if (params->e820_entries == E820_MAX_ENTRIES_ZEROPAGE)
		l0_refuse("L1's memory map has more than the %u ranges that Linux takes", E820_MAX_ENTRIES_ZEROPAGE);
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry){ start, end - start, type };
}

/* As GRUB and other loaders have it, the first word of the command line is the image's name. */
static const char *without_name(const char *line)
{
	while (*line && *line != ' ')
		line++;
	return *line ? line + 1 : line;
}

static void write_initrd(struct setup_header *header, const struct boot_info *boot)
{
	const struct boot_module *module = &boot->module[1];

	if (boot->module_count > 2)
		l0_refuse("a Linux L1 takes one module, its initrd; join several into one file (cat)");
	if (boot->module_count < 2)
		return;
	header->ramdisk_image = (u32)payload_l1_address(module->start);
	header->ramdisk_size = (u32)(module->end - module->start);
	if (header->ramdisk_image + header->ramdisk_size - 1 > header->initrd_addr_max)
		l0_refuse("L1's initrd ends beyond what this kernel takes (%x)", header->initrd_addr_max);
}

/* screen_info stays empty: which mode the screen is in, L0's own loader does not say. */
static void write_params(struct boot_params *params, const struct setup_header *header, const struct boot_info *boot)
{
	memset(params, 0, sizeof(*params));
	memcpy(&params->hdr, header, header_size(header));
	params->hdr.type_of_loader = UNKNOWN_LOADER;
	params->hdr.code32_start = (u32)header->pref_address;
	write_initrd(&params->hdr, boot);
	payload_memory_map(boot, add_map_entry, params);
}

struct payload payload_load_linux(struct image *image, struct boot_info *boot)
{
	const char *line = without_name(boot->module[0].text);
	u64 line_size = strlen(line) + 1;
	const struct setup_header *header = header_of(image);
	u32 entry = load_kernel(image);
	u64 params10 = payload_settle_modules(boot, ALIGN_UP(image->top, PAGE_SIZE), image->floor);
	struct boot_params *params = (void *)payload_claim(params10, sizeof(*params) + line_size, image->floor);

	if (line_size - 1 > header->cmdline_size)
		l0_refuse("L1's command line is longer than the %u bytes that its kernel takes", header->cmdline_size);
	write_params(params, header, boot);
	params->hdr.cmd_line_ptr = (u32)(params10 + sizeof(*params));
	memcpy(params + 1, line, line_size);
	return (struct payload){ entry, (u32)params10 };
}
