/* fault: takes page faults, and maps a page for each: what=N tables written, 1 to 4; what=Nu: of used memory */
/*
 * Exits with count=N: io_instruction C + 1, C being the characters printed; ept_violation 803 for its pool, and N more
 * of fresh memory (with map=eager or map=large none). With ept=off: exception_or_nmi instead, and 2 N for the faults.
 */
#include "runtime/runtime.h"

#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE)
#define LEVELS 4
#define WINDOW GIB(512) /* the second entry of the PML4 */
#define COUNT_MAX 200
/* A table of each level but the PML4 for every fault, three that the first has for all, and pages that were used. */
#define POOL_TABLES ((LEVELS - 1) * COUNT_MAX + LEVELS - 1)
#define POOL_PAGES (POOL_TABLES + COUNT_MAX)

extern u64 pml4[512];

static u64 tables_taken, pages_taken, faults;
static bool used_memory;

static u64 *pool_page(u64 index)
{
	return (u64 *)(free_memory_start() + index * PAGE_SIZE);
}

/* All of it is touched beforehand, as much for one fault as for many. */
static void prepare_pool(void)
{
	for (u64 i = 0; i < POOL_PAGES; i++)
		*(volatile u64 *)pool_page(i) = 0;
}

static u64 new_table(void)
{
	return (uintptr_t)pool_page(tables_taken++) | TABLE_FLAGS;
}

static u64 new_page(void)
{
	return (uintptr_t)pool_page((used_memory ? POOL_TABLES : POOL_PAGES) + pages_taken++) | TABLE_FLAGS;
}

/* The entry for an address in the table of a level, 4 being the PML4. */
static u64 *entry_at(u64 *table, unsigned level, u64 address)
{
	return &table[address >> (12 + 9 * (level - 1)) & 511];
}

/* The entry in the lowest table, with those above it in place. */
static u64 *entry_of(u64 address)
{
	u64 *table = pml4;

	for (unsigned level = LEVELS; level > 1; level--) {
		u64 *entry = entry_at(table, level, address);

		if (!(*entry & PTE_PRESENT))
			*entry = new_table();
		table = (u64 *)(uintptr_t)(*entry & PTE_ADDRESS);
	}
	return entry_at(table, 1, address);
}

static void map_page(struct trap_frame *frame)
{
	(void)frame;
	*entry_of(read_cr2()) = new_page();
	faults++;
}

bool payload(u64 count)
{
	char what = parameters->what[0];
	unsigned levels = what >= '1' && what <= '0' + LEVELS ? (unsigned)(what - '0') : 1;
	u64 stride = PAGE_SIZE << 9 * (levels - 1), wrong = 0;

	if (count > COUNT_MAX || free_memory_end() - free_memory_start() < (POOL_PAGES + count) * PAGE_SIZE) {
		report("fault: give it count=%u at most, and memory=6", COUNT_MAX);
		return false;
	}
	used_memory = what && parameters->what[1] == 'u';
	prepare_pool();
	on_trap(VECTOR_PF, map_page);
	/* With an address that shares all but the last table written with those to come. */
	for (unsigned level = LEVELS; level > levels; level--)
		entry_of(WINDOW);
	for (u64 i = 0; i < count; i++) {
		volatile u64 *address = (volatile u64 *)(WINDOW + i * stride);

		*address = i;
		wrong += *address != i;
	}
	report("fault: %lu page faults, %lu wrong", faults, wrong);
	return faults == count && !wrong;
}
