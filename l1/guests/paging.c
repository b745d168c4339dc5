/* paging: changes its page tables, with INVLPG and with loads of CR3, and looks where its writes went */
/*
 * Exits with count=N: io_instruction C + 1, C being the characters printed; ept_violation 5, for the pages it
 * takes (with map=eager or map=large none). With ept=off: invlpg N, control_register_access 2 N.
 */
#include "runtime/runtime.h"

#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE)
#define WINDOW GIB(512) /* the second entry of the PML4 */

extern u64 pml4[512];

static u64 *taken_page(unsigned index)
{
	return (u64 *)(free_memory_start() + index * PAGE_SIZE);
}

/* A window of one page, through three tables of its own; the entry that maps it. */
static u64 *make_window(void)
{
	u64 *tables[3];

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
		tables[i] = taken_page(i);
	tables[2][0] = 0;
	tables[1][0] = (uintptr_t)tables[2] | TABLE_FLAGS;
	tables[0][0] = (uintptr_t)tables[1] | TABLE_FLAGS;
	pml4[WINDOW >> 39] = (uintptr_t)tables[0] | TABLE_FLAGS;
	return tables[2];
}

bool payload(u64 count)
{
	volatile u64 *window = (volatile u64 *)WINDOW;
	u64 *a = taken_page(3), *b = taken_page(4);
	u64 *entry = make_window(), wrong = 0;

	for (u64 i = 0; i < count; i++) {
		*entry = (uintptr_t)a | TABLE_FLAGS;
		write_cr3(read_cr3());
		*window = i;
		wrong += *a != i || !(*entry & PTE_DIRTY);
		*entry = (uintptr_t)b | TABLE_FLAGS;
		invlpg(WINDOW);
		*window = ~i;
		wrong += *a != i || *b != ~i;
	}
	report("paging: %lu rounds, %lu wrong", count, wrong);
	return !wrong;
}
