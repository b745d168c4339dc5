/* What L1 does itself, without entering L2. */
#include "bench.h"
#include "insn.h"
#include "l1/minivisor/vmx_root.h"
#include "l2.h"
#include "vmx_insn.h"

static struct l2 pair[2];

L2_LOOP(code_once, "vmcall");

/* Both have run, as VMCSs in use have. */
void l1_operations_init(void)
{
	l2_init();
	for (unsigned i = 0; i < ARRAY_SIZE(pair); i++) {
		l2_create(&pair[i]);
		l2_start(code_once);
		l2_run(REASON_vmcall);
	}
}

static void begin(u64 count)
{
	(void)count;
	l2_select(&pair[0]);
}

#define LOOP(name, action) \
	static void name(u64 count) \
	{ \
		for (u64 i = 0; i < count; i++) \
			action; \
	}

LOOP(loop_cpuid, cpuid(0, 0))
LOOP(loop_rdmsr, rdmsr(MSR_IA32_VMX_BASIC))
/* A field that every hypervisor touches at nearly every exit, and one that it hardly ever does. */
LOOP(loop_vmread, vmread(ENC_guest_rip))
LOOP(loop_vmread_rare, vmread(ENC_guest_gdtr_base))
LOOP(loop_vmwrite, vmwrite(ENC_guest_rip, i))
LOOP(loop_vmwrite_rare, vmwrite(ENC_guest_gdtr_base, i))
LOOP(loop_vmclear, vmclear((u64)pair[1].vmcs))
LOOP(loop_invept_single, invept(INVEPT_single_context, l2_eptp()))
LOOP(loop_invept_global, invept(INVEPT_global, 0))
LOOP(loop_invvpid, invvpid(INVVPID_single_context, L2_VPID, 0))

static void loop_vmptrld(u64 count)
{
	static unsigned turn;

	for (u64 i = 0; i < count; i++)
		vmx_make_current(pair[++turn % 2].vmcs);
}

static void loop_vmptrld_vmclear(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		vmx_make_current(pair[1].vmcs);
		vmclear((u64)pair[1].vmcs);
	}
}

const struct operation l1_operations[] = {
	{ "l1_cpuid", begin, loop_cpuid, .least = 16 },
	{ "l1_rdmsr", begin, loop_rdmsr, .least = 16 },
	{ "l1_vmread", begin, loop_vmread, .least = 16 },
	{ "l1_vmread_rare", begin, loop_vmread_rare, .least = 16 },
	{ "l1_vmwrite", begin, loop_vmwrite, .least = 16 },
	{ "l1_vmwrite_rare", begin, loop_vmwrite_rare, .least = 16 },
	{ "l1_vmptrld", begin, loop_vmptrld, .least = 16 },
	{ "l1_vmclear", begin, loop_vmclear, .least = 16 },
	{ "l1_vmptrld_vmclear", begin, loop_vmptrld_vmclear, .least = 16 },
	{ "l1_invept_single", begin, loop_invept_single, .least = 16 },
	{ "l1_invept_global", begin, loop_invept_global, .least = 16 },
	{ "l1_invvpid", begin, loop_invvpid, .least = 16 },
};
const size_t l1_operation_count = ARRAY_SIZE(l1_operations);
