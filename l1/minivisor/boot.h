/* What the multiboot loader left: command line, modules, memory. */
#ifndef MINIVISOR_BOOT_H
#define MINIVISOR_BOOT_H

#include "multiboot.h"

struct boot {
	const char *command_line;
	const struct multiboot_module *modules;
	unsigned module_count;
};

/* Read the multiboot information, and hand the memory that nothing lies in to memory_take(). */
struct boot boot_read(u32 magic, u32 info);

/* Pages that are never given back; ends the run when there are none. Their content is left as it is. */
void *memory_take(u64 size, u64 alignment);
/* The same, cleared. */
void *memory_take_zeroed(u64 size);

#endif
