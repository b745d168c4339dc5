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

/* SDM "IA32_U_CET and IA32_S_CET MSRs" (CET): which bits there are depends on the part of CET that the CPU has. */
#define S_CET_SHADOW_STACKS (S_CET_SH_STK_EN | S_CET_WR_SHSTK_EN)
#define S_CET_BRANCH_TRACKING (BITS(63, 10) | BITS(5, 2))

static inline u64 s_cet_bits(bool shadow_stacks, bool branch_tracking)
{
	return (shadow_stacks ? S_CET_SHADOW_STACKS : 0) | (branch_tracking ? S_CET_BRANCH_TRACKING : 0);
}

/* Tracking cannot be suppressed and under way. */
static inline bool s_cet_is_valid(u64 value, u64 bits)
{
	return !(value & ~bits) && (value & (S_CET_SUPPRESS | S_CET_TRACKER)) != (S_CET_SUPPRESS | S_CET_TRACKER);
}

#endif
