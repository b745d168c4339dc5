#include "bench.h"
#include "fail.h"
#include "insn.h"
#include "options.h"
#include "print.h"
#include "string.h"
#include "vmx_insn.h"
#include "vmx_root.h"

#define BENCH_VPID 0xffff

/* Two VMCSs: [0] is current when a bench starts, [1] is the other. */
static void *vmcs[2];

static void bench_cpuid(u64 i)
{
	cpuid((u32)i & 1, 0);
}

static void bench_rdmsr(u64 i)
{
	(void)i;
	rdmsr(MSR_IA32_VMX_BASIC);
}

/* A field that a hypervisor touches at every exit, and one that it hardly ever does. */
static void bench_vmread(u64 i)
{
	(void)i;
	vmread(ENC_guest_rip);
}

static void bench_vmread_cold(u64 i)
{
	(void)i;
	vmread(ENC_guest_gdtr_base);
}

static void bench_vmwrite(u64 i)
{
	vmwrite(ENC_guest_rip, i);
}

static void bench_vmwrite_cold(u64 i)
{
	vmwrite(ENC_guest_gdtr_base, i);
}

static void bench_vmptrld(u64 i)
{
	vmx_make_current(vmcs[~i & 1]);
}

static void bench_vmclear(u64 i)
{
	(void)i;
	vmclear((uintptr_t)vmcs[1]);
}

static void bench_invept(u64 i)
{
	(void)i;
	invept(INVEPT_global, 0);
}

static void bench_invvpid(u64 i)
{
	(void)i;
	invvpid(INVVPID_single_context, BENCH_VPID, 0);
}

static const struct bench {
	const char *name;
	void (*once)(u64 i);
} benches[] = {
	{ "cpuid", bench_cpuid },           { "rdmsr", bench_rdmsr },
	{ "vmread", bench_vmread },         { "vmread_cold", bench_vmread_cold },
	{ "vmwrite", bench_vmwrite },       { "vmwrite_cold", bench_vmwrite_cold },
	{ "vmptrld", bench_vmptrld },       { "vmclear", bench_vmclear },
	{ "invept", bench_invept },         { "invvpid", bench_invvpid },
};

static void run_one(const char *name, u64 count)
{
	for (size_t b = 0; b < ARRAY_SIZE(benches); b++) {
		if (strcmp(name, benches[b].name))
			continue;
		vmx_make_current(vmcs[0]);
		for (u64 i = 0; i < count; i++)
			benches[b].once(i);
		print("bench %s %lu done\n", name, count);
		return;
	}
	fail("bench=%s: there is no such bench; see l1/minivisor/README.md for those there are", name);
}

/* Split one "NAME:COUNT" and run it. */
static void run_item(char *item)
{
	char *colon = strchr(item, ':');
	u64 count;

	if (!colon || !parse_number(colon + 1, &count))
		fail("bench=%s: give NAME:COUNT, several separated by commas", item);
	*colon = '\0';
	run_one(item, count);
}

void bench_run(const char *list)
{
	char items[OPTION_SIZE];
	char *item = items, *comma;

	memcpy(items, list, strlen(list) + 1);
	vmcs[0] = vmx_new_vmcs();
	vmcs[1] = vmx_new_vmcs();
	while ((comma = strchr(item, ','))) {
		*comma = '\0';
		run_item(item);
		item = comma + 1;
	}
	run_item(item);
	vmclear((uintptr_t)vmcs[0]);
	vmclear((uintptr_t)vmcs[1]);
}
