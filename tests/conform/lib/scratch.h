/* A few 4 KiB pages of L1's linear memory far above the rest, whose page-table entries a case may change. */
#ifndef CONFORM_SCRATCH_H
#define CONFORM_SCRATCH_H

#include "x86.h"

enum { SCRATCH_PAGES = 8 };

/* Maps them all, present and writable, clean. */
void scratch_init(void);
/* The linear address of a page. */
u64 scratch(unsigned page);
/* Sets bits of its entry and clears others; the TLB follows. */
void scratch_change(unsigned page, u64 set, u64 clear);
/* Accessed and dirty bits of the entry, as text. */
const char *scratch_accessed_dirty(unsigned page);
/* The page as the rest of memory has it. */
void *scratch_memory(unsigned page);

#endif
