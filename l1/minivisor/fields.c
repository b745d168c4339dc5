#include "fields.h"
#include "boot.h"
#include "insn.h"
#include "print.h"
#include "string.h"
#include "turtles_abi.h"

struct field_page *fields_page;

static bool in_use;

static bool has_signature(const struct cpuid_result *leaf)
{
	return !memcmp(&leaf->ebx, TURTLES_SIGNATURE, 4) && !memcmp(&leaf->ecx, TURTLES_SIGNATURE + 4, 4) &&
	       !memcmp(&leaf->edx, TURTLES_SIGNATURE + 8, 4);
}

static bool is_offered(void)
{
	struct cpuid_result leaf;

	if (!(cpuid(1, 0).ecx & CPUID1_ECX_HYPERVISOR))
		return false;
	leaf = cpuid(TURTLES_CPUID_SIGNATURE, 0);
	if (!has_signature(&leaf) || leaf.eax < TURTLES_CPUID_FEATURES)
		return false;
	leaf = cpuid(TURTLES_CPUID_FEATURES, 0);
	return leaf.eax & TURTLES_FEATURE_DRW && leaf.ebx == FIELD_PLACES;
}

void fields_init(bool drw)
{
	if (!drw)
		return;
	in_use = is_offered();
	if (in_use)
		print("minivisor: drw=on: VMCS fields are read and written in memory\n");
	else
		print("minivisor: drw=on is ignored: nothing below offers it\n");
}

struct field_page *fields_new_page(void)
{
	struct field_page *page;

	if (!in_use)
		return NULL;
	page = memory_take_zeroed(PAGE_SIZE);
	wrmsr(MSR_TURTLES_FIELD_PAGE, (uintptr_t)page | FIELD_PAGE_ENABLE);
	return page;
}
