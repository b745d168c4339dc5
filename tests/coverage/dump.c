/*
 * Linked into an L0 that is built for coverage, around machine_end(): the counters that gcc put into L0 go to the log,
 * as the files that gcov reads, in hexadecimal. GCC manual, "Profiling and Test Coverage in Freestanding Environments".
 */
#include "l0/cpu.h"
#include "machine.h"
#include "print.h"
#include <gcov.h>

#define BYTES_PER_LINE 64u

extern const struct gcov_info *const gcov_info_start[], *const gcov_info_end[];
NORETURN void __wrap_machine_end(u8 status);
NORETURN void __real_machine_end(u8 status);
NORETURN void abort(void);
void *mmap(void *address, u64 size, int protection, int flags, int file, long offset);
void __gcov_merge_add(void *counters, unsigned count);

/* The place in the line, which goes from one piece of a file to the next. */
static unsigned column;

static void file_name(const char *name, void *context)
{
	(void)context;
	print("\ngcda\t%s", name);
	column = 0;
}

static void file_bytes(const void *bytes, unsigned count, void *context)
{
	const u8 *byte = bytes;

	(void)context;
	for (unsigned i = 0; i < count; i++, column++) {
		if (column % BYTES_PER_LINE == 0)
			print("\ngcdx\t");
		print("%02x", byte[i]);
	}
}

static void *no_memory(unsigned size, void *context)
{
	(void)context;
	l0_panic("the coverage of this L0 wants %u bytes", size);
}

void __wrap_machine_end(u8 status)
{
	for (const struct gcov_info *const *info = gcov_info_start; info < gcov_info_end; info++)
		__gcov_info_to_gcda(*info, file_name, file_bytes, no_memory, NULL);
	print("\n");
	__real_machine_end(status);
}

/* What libgcov refers to and does not use here: its files are merged on the host. */
void abort(void)
{
	l0_panic("libgcov gave up");
}

void *mmap(void *address, u64 size, int protection, int flags, int file, long offset)
{
	(void)address, (void)size, (void)protection, (void)flags, (void)file, (void)offset;
	return (void *)-1;
}

void __gcov_merge_add(void *counters, unsigned count)
{
	(void)counters, (void)count;
}
