/* CPUID for L1: the CPU's own answer, but for what depends on the state of whoever asks, and L0's signature. */
#include "l1_exit.h"
#include "options.h"
#include "string.h"

#define LEAF_FEATURES 1u
#define LEAF_EXTENDED_FEATURES 7u
#define LEAF_PROCESSOR_TRACE 0x14u
#define EBX7_INTEL_PT BIT(25)
#define ECX7_OSPKE BIT(4)

/* Leaves that L0 answers in part or in whole itself, all below 32 but its own; and LEAF_FEATURES. */
#define RARE_LEAVES (BIT(LEAF_EXTENDED_FEATURES) | BIT(LEAF_PROCESSOR_TRACE))

/* OSXSAVE mirrors CR4.OSXSAVE of L1, not of L0; SDM "CPUID". SMX is not offered. */
static inline u64 leaf_features_ecx(u64 ecx)
{
	bool osxsave = vmread(ENC_guest_cr4) & CR4_OSXSAVE;

	ecx &= ~(CPUID1_ECX_OSXSAVE | CPUID1_ECX_SMX);
	return ecx | CPUID1_ECX_HYPERVISOR | (osxsave ? CPUID1_ECX_OSXSAVE : 0);
}

/* Intel PT writes to physical memory past EPT01, so it is not offered. */
static void leaf_extended_features(struct cpuid_result *r, u32 subleaf)
{
	if (subleaf != 0)
		return;
	r->ebx &= ~(u32)EBX7_INTEL_PT;
	r->ecx &= ~(u32)ECX7_OSPKE;
	if (vmread(ENC_guest_cr4) & CR4_PKE)
		r->ecx |= ECX7_OSPKE;
}

static struct cpuid_result signature(void)
{
	struct cpuid_result r = { .eax = options.drw ? TURTLES_CPUID_FEATURES : TURTLES_CPUID_SIGNATURE };

	memcpy(&r.ebx, TURTLES_SIGNATURE, 4);
	memcpy(&r.ecx, TURTLES_SIGNATURE + 4, 4);
	memcpy(&r.edx, TURTLES_SIGNATURE + 8, 4);
	return r;
}

static struct cpuid_result features(u32 leaf, u32 subleaf)
{
	if (!options.drw)
		return cpuid(leaf, subleaf);
	return (struct cpuid_result){ .eax = TURTLES_FEATURE_DRW, .ebx = FIELD_PLACES };
}

static void answer(struct cpu *cpu, const struct cpuid_result *r)
{
	cpu->gpr[GPR_rax] = r->eax;
	cpu->gpr[GPR_rbx] = r->ebx;
	cpu->gpr[GPR_rcx] = r->ecx;
	cpu->gpr[GPR_rdx] = r->edx;
	l1_skip_instruction();
}

static COLD void rare_leaf(struct cpu *cpu, u32 leaf, u32 subleaf)
{
	struct cpuid_result r = { 0 };

	if (leaf == TURTLES_CPUID_SIGNATURE) {
		r = signature();
	} else if (leaf == TURTLES_CPUID_FEATURES) {
		r = features(leaf, subleaf);
	} else if (leaf == LEAF_EXTENDED_FEATURES) {
		r = cpuid(leaf, subleaf);
		leaf_extended_features(&r, subleaf);
	}
	answer(cpu, &r);
}

static inline bool is_rare(u32 leaf)
{
	if (LIKELY(leaf < 32))
		return RARE_LEAVES >> leaf & 1;
	return leaf == TURTLES_CPUID_SIGNATURE || leaf == TURTLES_CPUID_FEATURES;
}

void l1_cpuid_exit(struct cpu *cpu)
{
	u64 *gpr = cpu->gpr;
	u32 leaf = (u32)gpr[GPR_rax];

	if (UNLIKELY(is_rare(leaf))) {
		rare_leaf(cpu, leaf, (u32)gpr[GPR_rcx]);
		return;
	}
	cpuid_in_place(&gpr[GPR_rax], &gpr[GPR_rbx], &gpr[GPR_rcx], &gpr[GPR_rdx]);
	if (leaf == LEAF_FEATURES)
		gpr[GPR_rcx] = leaf_features_ecx(gpr[GPR_rcx]);
	l1_skip_instruction();
}
