/*
 * How L1's page tables translated the last memory operand of a VMX instruction, remembered with the entries that said
 * so. It holds as long as all of them say the same: whatever L1 changes, and whether it invalidates or not, a walk
 * would find what is remembered.
 */
#ifndef TURTLES_L1_WALK_H
#define TURTLES_L1_WALK_H

#include "vmx_insn.h"
#include "x86.h"

#define WALK_ENTRIES 4
#define WALK_NO_PAGE (~0ull)

struct l1_walk {
	u64 page; /* linear address / PAGE_SIZE; WALK_NO_PAGE if nothing is remembered */
	u64 cr3, cr4, efer;
	const volatile u64 *at[WALK_ENTRIES];
	u64 entry[WALK_ENTRIES];
	const u8 *memory; /* what the page is, in L0's memory */
	unsigned used;
};

/* Where L0 finds size bytes at a linear address that a supervisor reads; NULL if that is not remembered. */
static inline const void *l1_walk_recall(const struct l1_walk *walk, u64 linear, unsigned size)
{
	u64 offset = linear % PAGE_SIZE, differs;

	if (linear / PAGE_SIZE != walk->page || offset + size > PAGE_SIZE)
		return NULL;
	differs = (vmread(ENC_guest_cr3) ^ walk->cr3) | (vmread(ENC_guest_cr4) ^ walk->cr4) |
		  (vmread(ENC_guest_ia32_efer) ^ walk->efer);
	for (unsigned i = 0; i < WALK_ENTRIES; i++)
		differs |= *walk->at[i] ^ walk->entry[i];
	return differs ? NULL : walk->memory + offset;
}

/* Nothing is remembered. */
void l1_walk_forget(struct l1_walk *walk);
/* Walk for a supervisor's read of this address, and remember the walk if it can be, and with the switch walk_cache. */
void l1_walk_remember(struct l1_walk *walk, u64 linear);

#endif
