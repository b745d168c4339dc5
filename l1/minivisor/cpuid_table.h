/* CPUID as L2 sees it. */
#ifndef MINIVISOR_CPUID_TABLE_H
#define MINIVISOR_CPUID_TABLE_H

#include "insn.h"

/* The CPU's answer, less VMX and any hypervisor below; each leaf is asked of the CPU once, and kept. */
struct cpuid_result cpuid_table_look_up(u32 leaf, u32 subleaf);

#endif
