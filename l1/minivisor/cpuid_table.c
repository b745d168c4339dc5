#include "cpuid_table.h"

#define BASIC_LEAVES 32
#define EXTENDED_LEAVES 16
#define SUBLEAVES 8
#define CPUID_EXTENDED 0x80000000u
#define CPUID_HYPERVISOR 0x40000000u
#define CPUID_HYPERVISOR_LEAVES 0x10000000u

struct kept {
	bool known;
	struct cpuid_result answer;
};

static struct kept basic[BASIC_LEAVES][SUBLEAVES], extended[EXTENDED_LEAVES][SUBLEAVES];

static struct cpuid_result ask(u32 leaf, u32 subleaf)
{
	struct cpuid_result answer = cpuid(leaf, subleaf);

	if (leaf - CPUID_HYPERVISOR < CPUID_HYPERVISOR_LEAVES)
		answer = (struct cpuid_result){ 0 };
	if (leaf == 1)
		answer.ecx &= (u32)~(CPUID1_ECX_VMX | CPUID1_ECX_HYPERVISOR);
	return answer;
}

static struct kept *place(u32 leaf, u32 subleaf)
{
	if (subleaf >= SUBLEAVES)
		return NULL;
	if (leaf < BASIC_LEAVES)
		return &basic[leaf][subleaf];
	if (leaf - CPUID_EXTENDED < EXTENDED_LEAVES)
		return &extended[leaf - CPUID_EXTENDED][subleaf];
	return NULL;
}

struct cpuid_result cpuid_table_look_up(u32 leaf, u32 subleaf)
{
	struct kept *kept = place(leaf, subleaf);

	if (!kept)
		return ask(leaf, subleaf);
	if (!kept->known) {
		kept->answer = ask(leaf, subleaf);
		kept->known = true;
	}
	return kept->answer;
}
