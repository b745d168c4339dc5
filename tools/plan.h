/* What goes where in the machine's memory before an image starts; for the makers of ROMs and disks. */
#ifndef TURTLES_PLAN_H
#define TURTLES_PLAN_H

#include "boot/archive.h"
#include <stddef.h>

enum status { STATUS_ERROR = 1, STATUS_USAGE = 2, STATUS_TOO_MUCH = 3 };

#define SEGMENTS_MAX 64

struct blob {
	const char *name;
	u8 *data;
	size_t size;
};

/* What the archive will hold, in the order of copying. */
struct plan {
	enum boot_protocol protocol;
	u32 entry;
	u32 memory_end;
	unsigned count;
	struct {
		const void *data;
		u32 address, size, clear;
	} segments[SEGMENTS_MAX];
};

/* One line on standard error, the program's name before it, and the end with that status. */
NORETURN void fail(enum status status, const char *format, ...) PRINTF_LIKE(2, 3);
/* Zeroed memory; never fails to return. */
void *allocate(size_t size);
struct blob read_file(const char *name);
/* Ends with an error if the file cannot be written. */
void write_file(const char *name, const void *data, size_t size);

/* A piece of the image at an address above 1 MiB; name is what the message is about if that cannot be. */
void plan_add(struct plan *plan, const char *name, const void *data, u64 address, u64 size, u64 clear);
/* The boot information at BOOT_INFO_ADDRESS. */
void plan_add_info(struct plan *plan, const void *data, u32 size);

/* The memory map that multiboot information begins with, and how much room to leave for it. */
struct plan_map {
	const struct multiboot_mmap_entry *entries;
	unsigned count, room;
};

/* A multiboot 1 image, its command line and pairs of module and words. */
void plan_multiboot(struct plan *plan, const struct blob *kernel, const char *command_line, unsigned modules,
		    char **arguments, const struct plan_map *map, const char *loader_name);

/* A Linux kernel, which takes one module at most: its initramfs. */
bool is_linux(const struct blob *kernel);
void plan_linux(struct plan *plan, const struct blob *kernel, const char *command_line, unsigned modules,
		char **arguments);

/*
 * Fills the archive's head. The first segment lies at, each at a multiple of alignment; offsets count in units.
 * Returns where the last ends, in bytes.
 */
u64 plan_place(const struct plan *plan, struct boot_archive *archive, u64 at, u64 alignment, u64 unit);
/* The bytes of an archive's head. */
size_t plan_head_size(const struct plan *plan);

#endif
