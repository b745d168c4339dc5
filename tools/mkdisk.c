/*
 * mkdisk OUT LOADER KERNEL CMDLINE [MODULE CMDLINE]...: a disk that boots a multiboot 1 image with its modules, or a
 * Linux kernel with its initramfs. For what does not fit a ROM, or needs the BIOS's tables.
 */
#include "plan.h"
#include <string.h>

#define LOADER_SIZE (DISK_ARCHIVE_SECTOR * DISK_SECTOR)
/* Whole cylinders of 16 heads and 63 sectors, by which an emulator finds out the geometry. */
#define CYLINDER_SIZE (16 * 63 * DISK_SECTOR)

static void write_disk(const char *out, const struct blob *loader, const struct plan *plan)
{
	size_t head = plan_head_size(plan);
	struct boot_archive *archive = allocate(head);
	u64 end = plan_place(plan, archive, DISK_ARCHIVE_SECTORS * DISK_SECTOR, DISK_SECTOR, DISK_SECTOR);
	u64 size = (LOADER_SIZE + end + CYLINDER_SIZE - 1) / CYLINDER_SIZE * CYLINDER_SIZE;
	u8 *disk = allocate(size);

	if (head > DISK_ARCHIVE_SECTORS * DISK_SECTOR)
		fail(STATUS_ERROR, "%u segments and modules are too many", plan->count);
	memcpy(disk, loader->data, loader->size);
	memcpy(disk + LOADER_SIZE, archive, head);
	for (unsigned i = 0; i < plan->count; i++)
		memcpy(disk + LOADER_SIZE + (u64)archive->segments[i].offset * DISK_SECTOR, plan->segments[i].data,
		       plan->segments[i].size);
	write_file(out, disk, size);
}

int main(int argc, char **argv)
{
	const struct plan_map map = { NULL, 0, BOOT_MMAP_MAX };
	struct plan plan = { 0 };
	struct blob loader, kernel;

	if (argc < 5 || argc % 2 == 0)
		fail(STATUS_USAGE, "usage: mkdisk OUT LOADER KERNEL CMDLINE [MODULE CMDLINE]...");
	loader = read_file(argv[2]);
	if (loader.size != LOADER_SIZE)
		fail(STATUS_ERROR, "%s: a loader is %u bytes long", loader.name, LOADER_SIZE);
	kernel = read_file(argv[3]);
	if (is_linux(&kernel))
		plan_linux(&plan, &kernel, argv[4], (argc - 5) / 2, argv + 5);
	else
		plan_multiboot(&plan, &kernel, argv[4], (argc - 5) / 2, argv + 5, &map, "turtles-disk");
	write_disk(argv[1], &loader, &plan);
	return 0;
}
