/* memory: touches fresh 4 KiB pages, one after the other, then reads all of them again */
/*
 * Exits with count=N: io_instruction C + 1, C being the characters printed; ept_violation N (with map=eager
 * or map=large none).
 */
#include "runtime/runtime.h"

static volatile u64 *page(u64 index)
{
	return (volatile u64 *)(free_memory_start() + index * PAGE_SIZE);
}

bool payload(u64 count)
{
	u64 pages = (free_memory_end() - free_memory_start()) / PAGE_SIZE, wrong = 0;

	if (count > pages) {
		report("memory: count=%lu is too large: there are %lu free pages; raise memory=", count,
		       pages);
		return false;
	}
	for (u64 i = 0; i < count; i++)
		*page(i) = ~i;
	for (u64 i = 0; i < count; i++)
		wrong += *page(i) != ~i;
	report("memory: %lu pages written and read, %lu wrong", count, wrong);
	return !wrong;
}
