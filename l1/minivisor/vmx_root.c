#include "vmx_root.h"
#include "boot.h"
#include "fail.h"
#include "insn.h"
#include "vmx_insn.h"

/* SDM "Enabling and Entering VMX Operation" */
static void enable_vmx(void)
{
	u64 control;

	if (!(cpuid(1, 0).ecx & CPUID1_ECX_VMX))
		fail("this CPU has no VMX (CPUID.1:ECX bit 5): choose a CPU, or a hypervisor below, with it");
	control = rdmsr(MSR_IA32_FEATURE_CONTROL);
	if (!(control & FEATURE_CONTROL_LOCK)) {
		control |= FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON_OUTSIDE_SMX;
		wrmsr(MSR_IA32_FEATURE_CONTROL, control);
	}
	if (!(control & FEATURE_CONTROL_VMXON_OUTSIDE_SMX))
		fail("the firmware has locked VMX off (IA32_FEATURE_CONTROL): enable it in its set-up");
}

static u64 within_fixed_bits(u64 value, enum msr_number fixed0, enum msr_number fixed1)
{
	return (value | rdmsr(fixed0)) & rdmsr(fixed1);
}

static void *new_region(void)
{
	struct vmcs_region_header *region = memory_take_zeroed(PAGE_SIZE);

	region->revision = (u32)(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
	return region;
}

void vmx_on(void)
{
	enum vmx_outcome outcome;

	enable_vmx();
	write_cr0(within_fixed_bits(read_cr0(), MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR0_FIXED1));
	write_cr4(within_fixed_bits(read_cr4() | CR4_VMXE, MSR_IA32_VMX_CR4_FIXED0, MSR_IA32_VMX_CR4_FIXED1));
	outcome = vmxon((uintptr_t)new_region());
	if (outcome != VMX_SUCCEED)
		vmx_failed("VMXON", outcome);
}

/* With the default settings, a few bits must be 1 that a CPU with "true" MSRs lets us clear. */
static enum msr_number true_capability(enum msr_number capability)
{
	if (!(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS) ||
	    capability == MSR_IA32_VMX_PROCBASED_CTLS2)
		return capability;
	return capability - MSR_IA32_VMX_PINBASED_CTLS + MSR_IA32_VMX_TRUE_PINBASED_CTLS;
}

u32 vmx_controls(enum msr_number capability, u64 wish, const char *what)
{
	u64 allowed = rdmsr(true_capability(capability));
	u64 must_be_1 = (u32)allowed, may_be_1 = allowed >> 32;

	if (wish & ~may_be_1)
		fail("the CPU lacks %s controls 0x%lx, which these settings need", what, wish & ~may_be_1);
	return (u32)(wish | must_be_1);
}

void *vmx_new_vmcs(void)
{
	void *vmcs = new_region();
	enum vmx_outcome outcome = vmclear((uintptr_t)vmcs);

	if (outcome != VMX_SUCCEED)
		vmx_failed("VMCLEAR", outcome);
	return vmcs;
}

void vmx_make_current(const void *vmcs)
{
	enum vmx_outcome outcome = vmptrld((uintptr_t)vmcs);

	if (outcome != VMX_SUCCEED)
		vmx_failed("VMPTRLD", outcome);
}

void vmx_failed(const char *instruction, enum vmx_outcome outcome)
{
	if (outcome == VMX_FAIL_INVALID)
		fail("%s failed: VMfailInvalid", instruction);
	fail("%s failed: VMfailValid, VM-instruction error %lu", instruction,
	     vmread(ENC_vm_instruction_error));
}
