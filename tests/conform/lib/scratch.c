#include "scratch.h"
#include "insn.h"

#define SCRATCH_BASE BIT(39) /* the second entry of the PML4 */

static u64 pdpt[512] __attribute__((aligned(4096)));
static u64 directory[512] __attribute__((aligned(4096)));
static u64 table[512] __attribute__((aligned(4096)));
static u8 memory[SCRATCH_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));

void scratch_init(void)
{
	u64 *pml4 = (u64 *)read_cr3(), flags = PTE_PRESENT | PTE_WRITE | PTE_USER;

	for (unsigned i = 0; i < SCRATCH_PAGES; i++)
		table[i] = (u64)memory[i] | flags;
	directory[0] = (u64)table | flags;
	pdpt[0] = (u64)directory | flags;
	pml4[SCRATCH_BASE >> 39] = (u64)pdpt | flags;
	write_cr3(read_cr3());
}

u64 scratch(unsigned page)
{
	return SCRATCH_BASE + page * PAGE_SIZE;
}

void scratch_change(unsigned page, u64 set, u64 clear)
{
	table[page] = (table[page] & ~clear) | set;
	invlpg(scratch(page));
}

const char *scratch_accessed_dirty(unsigned page)
{
	static const char *const text[] = { "--", "A-", "-D", "AD" };

	return text[(table[page] & PTE_ACCESSED ? 1 : 0) | (table[page] & PTE_DIRTY ? 2 : 0)];
}

void *scratch_memory(unsigned page)
{
	return memory[page];
}
