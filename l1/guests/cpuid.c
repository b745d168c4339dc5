/* cpuid: executes CPUID */
/* Exits with count=N: cpuid N, io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"

#define HYPERVISOR_LEAF 0x40000000u

static const u32 leaves[] = { 0, 1, HYPERVISOR_LEAF, 0x80000000u };

static bool same(const struct cpuid_result *a, const struct cpuid_result *b)
{
	return a->eax == b->eax && a->ebx == b->ebx && a->ecx == b->ecx && a->edx == b->edx;
}

/* A virtual CPU without VMX and without a hypervisor to be seen; each leaf says the same every time. */
bool payload(u64 count)
{
	struct cpuid_result first[ARRAY_SIZE(leaves)], answer;
	u64 wrong = 0;

	for (u64 i = 0; i < count; i++) {
		unsigned leaf = i % ARRAY_SIZE(leaves);

		answer = cpuid(leaves[leaf], 0);
		if (i < ARRAY_SIZE(leaves))
			first[leaf] = answer;
		wrong += !same(&answer, &first[leaf]);
		if (leaves[leaf] == 1 && on_minivisor())
			wrong += !!(answer.ecx & (CPUID1_ECX_VMX | CPUID1_ECX_HYPERVISOR));
		if (leaves[leaf] == HYPERVISOR_LEAF && on_minivisor())
			wrong += answer.eax || answer.ebx || answer.ecx || answer.edx;
	}
	report("cpuid: %lu answers, %lu wrong", count, wrong);
	return !wrong;
}
