/* What the boot loader handed over, copied to where it is safe. */
#ifndef TURTLES_BOOT_INFO_H
#define TURTLES_BOOT_INFO_H

#include "multiboot.h"

#define BOOT_MODULES 32
#define BOOT_RANGES 64
#define BOOT_TEXT 8192

struct memory_range {
	u64 start, end;
	u32 type; /* as in the multiboot map */
};

struct boot_module {
	u64 start, end; /* host physical */
	const char *text;
};

struct boot_info {
	const char *command_line;
	unsigned module_count, range_count;
	struct boot_module module[BOOT_MODULES];
	struct memory_range range[BOOT_RANGES];
	u64 ram_top4g; /* end of the highest RAM below 4 GiB */
	u64 ram_bytes;
	char text[BOOT_TEXT];
};

/* Copy and check; refuses a loader that is not multiboot, or gives more than there is room for. */
void boot_info_copy(struct boot_info *boot, u32 magic, u32 info);

#endif
