/*
 * entry_lists: the VM-entry MSR-load list and the state that a failed entry leaves, SDM "Loading MSRs" and "VM-Entry
 * Failures During or After Loading Guest State"; and RFLAGS.RF of a fault, SDM "RF (resume) flag".
 */
#include "insn.h"
#include "tests/conform/lib/entry.h"

L2_CODE(l2_nothing, "");
CODE(code_wrmsr, "wrmsr");

#define BEFORE 0x1111ull
#define LOADED 0x2222ull
#define PAT_OTHER (PAT_RESET ^ 0x0200)
#define TR_BROKEN 0xffffu /* reserved bits: a check that L0 leaves to the CPU */

static struct vmx_msr_entry list[2] __attribute__((aligned(16)));

static struct l2_exit run(const char *name, u32 second, bool broken)
{
	struct l2_exit exit;

	list[0] = (struct vmx_msr_entry){ .index = MSR_IA32_KERNEL_GS_BASE, .value = LOADED };
	list[1] = (struct vmx_msr_entry){ .index = second, .value = 0 };
	wrmsr(MSR_IA32_KERNEL_GS_BASE, BEFORE);
	wrmsr(MSR_IA32_PAT, PAT_RESET);
	vmcs_make(l2_nothing);
	vmwrite(ENC_vm_entry_msr_load_address, (u64)list);
	vmwrite(ENC_vm_entry_msr_load_count, ARRAY_SIZE(list));
	controls_set(ENTRY_CTLS, ENTRY_load_ia32_pat);
	vmwrite(ENC_guest_ia32_pat, PAT_OTHER);
	if (broken)
		vmwrite(ENC_guest_tr_access_rights, TR_BROKEN);
	exit = l2_case_begin(name);
	observe("kernel_gs_base=%lx pat=%lx", rdmsr(MSR_IA32_KERNEL_GS_BASE), rdmsr(MSR_IA32_PAT));
	wrmsr(MSR_IA32_PAT, PAT_RESET);
	return exit;
}

static void expect_loaded(bool loaded)
{
	if (rdmsr(MSR_IA32_KERNEL_GS_BASE) != (loaded ? LOADED : BEFORE))
		wrong("the first entry of the list must%s be loaded", loaded ? "" : " not");
}

static void lists(void)
{
	struct l2_exit exit = run("good", MSR_IA32_KERNEL_GS_BASE, false);

	expect_exit(&exit, REASON_vmcall);
	case_end();
	exit = run("bad_entry", MSR_IA32_FS_BASE, false);
	expect_entry_failure(&exit, REASON_entry_failure_msr_loading, 2);
	expect_loaded(true);
	case_end();
	exit = run("bad_state", MSR_IA32_KERNEL_GS_BASE, true);
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, ENTRY_FAIL_general);
	expect_loaded(false);
	case_end();
	exit = run("bad_entry_and_state", MSR_IA32_FS_BASE, true);
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, ENTRY_FAIL_general);
	expect_loaded(false);
	case_end();
}

static void resume_flag(void)
{
	struct probe_result result;

	case_begin("rf.wrmsr");
	probe_registers_reset();
	probe_frame.rcx = MSR_IA32_VMX_BASIC;
	result = probe(code_wrmsr);
	observe_fault(&result);
	observe("rf=%d", (result.rflags & RFLAGS_RF) != 0);
	if (!(result.rflags & RFLAGS_RF))
		wrong("a fault pushes RF set");
	case_end();
}

void group(void)
{
	vmx_start();
	lists();
	resume_flag();
}
