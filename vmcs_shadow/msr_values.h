/* Which values the MSRs take that a VMCS holds for a guest: the rules of WRMSR and of VM entries are the same. */
#ifndef TURTLES_MSR_VALUES_H
#define TURTLES_MSR_VALUES_H

#include "x86.h"

/* SDM "Page Attribute Table": an entry is one of the memory types, or 7, which is UC-. */
#define PAT_UC_MINUS 7
#define PAT_TYPES (BIT(MEMORY_UC) | BIT(MEMORY_WC) | BIT(MEMORY_WT) | BIT(MEMORY_WP) | BIT(MEMORY_WB) | \
		   BIT(PAT_UC_MINUS))

static inline bool pat_is_valid(u64 pat)
{
	for (; pat; pat >>= 8) {
		u32 type = pat & BITS(7, 0);

		if (type > PAT_UC_MINUS || !(PAT_TYPES >> type & 1))
			return false;
	}
	return true;
}

/* SDM "Extended Feature Enable Register". */
#define EFER_DEFINED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/* SDM "IA32_DEBUGCTL MSR". */
#define DEBUGCTL_RESERVED (BITS(63, 16) | BITS(5, 3))

#endif
