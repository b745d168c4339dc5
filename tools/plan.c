#include "plan.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(enum status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(status);
}

void *allocate(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		fail(STATUS_ERROR, "out of memory");
	return p;
}

struct blob read_file(const char *name)
{
	struct blob blob = { .name = name };
	FILE *f = fopen(name, "rb");
	long size;

	if (!f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET))
		fail(STATUS_ERROR, "%s: %s", name, strerror(errno));
	if ((u64)size > GIB(1))
		fail(STATUS_ERROR, "%s: too big: 1 GiB is the limit", name);
	blob.size = size;
	blob.data = allocate(blob.size);
	if (fread(blob.data, 1, blob.size, f) != blob.size)
		fail(STATUS_ERROR, "%s: cannot read it", name);
	fclose(f);
	return blob;
}

void write_file(const char *name, const void *data, size_t size)
{
	FILE *f = fopen(name, "wb");

	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		fail(STATUS_ERROR, "%s: %s", name, strerror(errno));
}

static void add(struct plan *plan, const char *name, const void *data, u32 address, u32 size, u32 clear)
{
	if (plan->count == SEGMENTS_MAX)
		fail(STATUS_ERROR, "%s: more than %d segments and modules", name, SEGMENTS_MAX);
	plan->segments[plan->count].data = data;
	plan->segments[plan->count].address = address;
	plan->segments[plan->count].size = size;
	plan->segments[plan->count++].clear = clear;
}

void plan_add(struct plan *plan, const char *name, const void *data, u64 address, u64 size, u64 clear)
{
	u64 end = address + size + clear;

	if (address < MIB(1) || end < address || end > GIB(4))
		fail(STATUS_ERROR, "%s: asks to be loaded at %#llx to %#llx: link it between 1 MiB and 4 GiB",
		     name, (unsigned long long)address, (unsigned long long)end);
	add(plan, name, data, (u32)address, (u32)size, (u32)clear);
	if (end > plan->memory_end)
		plan->memory_end = (u32)end;
}

void plan_add_info(struct plan *plan, const void *data, u32 size)
{
	add(plan, "boot information", data, BOOT_INFO_ADDRESS, size, 0);
}

size_t plan_head_size(const struct plan *plan)
{
	return sizeof(struct boot_archive) + plan->count * sizeof(struct boot_segment);
}

u64 plan_place(const struct plan *plan, struct boot_archive *archive, u64 at, u64 alignment, u64 unit)
{
	for (unsigned i = 0; i < plan->count; i++) {
		archive->segments[i].offset = (u32)(at / unit);
		archive->segments[i].address = plan->segments[i].address;
		archive->segments[i].size = plan->segments[i].size;
		archive->segments[i].clear = plan->segments[i].clear;
		at = ALIGN_UP(at + plan->segments[i].size, alignment);
	}
	archive->magic = BOOT_ARCHIVE_MAGIC;
	archive->protocol = plan->protocol;
	archive->entry = plan->entry;
	archive->memory_end = plan->memory_end;
	archive->segment_count = plan->count;
	return at;
}
