/* L2: one VMCS at a time, its code functions of the image. */
#include "feature.h"
#include "cpus.h"
#include "l1/minivisor/cpu.h"
#include "l1/minivisor/enter.h"
#include "l1/minivisor/fail.h"
#include "l1/minivisor/vmx_root.h"
#include "traps.h"

#define STACK_SIZE 8192
#define SEGMENT_LIMIT 0xffffffffull
#define TSS_LIMIT 0x67
#define GDT_LIMIT 39

/* Each CPU has one. */
static struct cpu_guest {
	u8 stack[STACK_SIZE] __attribute__((aligned(16)));
	struct guest_registers registers;
	void *vmcs;
	bool launched;
} guests[FEATURE_CPUS];

static struct cpu_guest *mine(void)
{
	return &guests[cpu_number()];
}

/* Where L2's code returns to. */
void l2_done(void);
__asm__(".globl l2_done\nl2_done:\n\tvmcall\n\tud2\n");

static u64 allowed(enum msr_number msr)
{
	return rdmsr(msr) >> 32;
}

bool offers(const struct controls *controls, const char *what)
{
	u64 proc = allowed(MSR_IA32_VMX_PROCBASED_CTLS), proc2 = 0;

	if (proc & PROC_activate_secondary_controls)
		proc2 = allowed(MSR_IA32_VMX_PROCBASED_CTLS2);
	if (!(controls->pin & ~allowed(MSR_IA32_VMX_PINBASED_CTLS)) && !(controls->proc & ~proc) &&
	    !(controls->proc2 & ~proc2))
		return true;
	print("not offered: %s\n", what);
	return false;
}

u64 ept_vpid_capabilities(void)
{
	return rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
}

static void set_controls(const struct controls *controls, u64 eptp)
{
	u64 proc2 = controls->proc2 | (eptp ? PROC2_enable_ept : 0);
	u64 exit = controls->exit | EXIT_host_address_space_size | EXIT_load_ia32_efer;

	vmwrite(ENC_pin_based_controls, vmx_controls(MSR_IA32_VMX_PINBASED_CTLS, controls->pin, "pin-based"));
	vmwrite(ENC_primary_processor_based_controls,
		vmx_controls(MSR_IA32_VMX_PROCBASED_CTLS,
			     controls->proc | (proc2 ? PROC_activate_secondary_controls : 0), "primary"));
	if (proc2)
		vmwrite(ENC_secondary_processor_based_controls,
			vmx_controls(MSR_IA32_VMX_PROCBASED_CTLS2, proc2, "secondary"));
	if (eptp)
		vmwrite(ENC_ept_pointer, eptp);
	vmwrite(ENC_primary_vm_exit_controls, vmx_controls(MSR_IA32_VMX_EXIT_CTLS, exit, "VM-exit"));
	vmwrite(ENC_vm_entry_controls,
		vmx_controls(MSR_IA32_VMX_ENTRY_CTLS, ENTRY_ia32e_mode_guest | ENTRY_load_ia32_efer, "VM-entry"));
}

static void clear_other_controls(void)
{
	static const u32 fields[] = {
		ENC_exception_bitmap, ENC_page_fault_error_code_mask, ENC_page_fault_error_code_match,
		ENC_cr3_target_count, ENC_vm_exit_msr_store_count, ENC_vm_exit_msr_load_count,
		ENC_vm_entry_msr_load_count, ENC_vm_entry_interruption_information, ENC_cr0_guest_host_mask,
		ENC_cr4_guest_host_mask,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		vmwrite(fields[i], 0);
}

static void set_host_state(void)
{
	vmwrite(ENC_host_cr0, read_cr0());
	vmwrite(ENC_host_cr3, read_cr3());
	vmwrite(ENC_host_cr4, read_cr4());
	vmwrite(ENC_host_ia32_efer, rdmsr(MSR_IA32_EFER));
	vmwrite(ENC_host_cs_selector, SELECTOR_CODE);
	vmwrite(ENC_host_ss_selector, SELECTOR_DATA);
	vmwrite(ENC_host_ds_selector, SELECTOR_DATA);
	vmwrite(ENC_host_es_selector, SELECTOR_DATA);
	vmwrite(ENC_host_fs_selector, 0);
	vmwrite(ENC_host_gs_selector, 0);
	vmwrite(ENC_host_tr_selector, SELECTOR_TSS);
	vmwrite(ENC_host_fs_base, 0);
	vmwrite(ENC_host_gs_base, 0);
	vmwrite(ENC_host_tr_base, cpu_tss_base());
	vmwrite(ENC_host_gdtr_base, cpu_gdt_base());
	vmwrite(ENC_host_idtr_base, cpu_idt_base());
	vmwrite(ENC_host_ia32_sysenter_cs, 0);
	vmwrite(ENC_host_ia32_sysenter_esp, 0);
	vmwrite(ENC_host_ia32_sysenter_eip, 0);
	vmwrite(ENC_host_rsp, (uintptr_t)&mine()->registers.host_stack);
	vmwrite(ENC_host_rip, (uintptr_t)vmx_exit_point);
}

static void set_guest_segments(void)
{
#define SEGMENT(name, selector, base, limit, rights) \
	do { \
		vmwrite(ENC_guest_##name##_selector, selector); \
		vmwrite(ENC_guest_##name##_base, base); \
		vmwrite(ENC_guest_##name##_limit, limit); \
		vmwrite(ENC_guest_##name##_access_rights, rights); \
	} while (0)
	SEGMENT(cs, SELECTOR_CODE, 0, SEGMENT_LIMIT, AR_CODE64);
	SEGMENT(ss, SELECTOR_DATA, 0, SEGMENT_LIMIT, AR_DATA);
	SEGMENT(ds, SELECTOR_DATA, 0, SEGMENT_LIMIT, AR_DATA);
	SEGMENT(es, SELECTOR_DATA, 0, SEGMENT_LIMIT, AR_DATA);
	SEGMENT(fs, 0, 0, 0, AR_UNUSABLE);
	SEGMENT(gs, 0, 0, 0, AR_UNUSABLE);
	SEGMENT(ldtr, 0, 0, 0, AR_UNUSABLE);
	SEGMENT(tr, SELECTOR_TSS, cpu_tss_base(), TSS_LIMIT, AR_TSS64_BUSY);
#undef SEGMENT
	vmwrite(ENC_guest_gdtr_base, cpu_gdt_base());
	vmwrite(ENC_guest_gdtr_limit, GDT_LIMIT);
	vmwrite(ENC_guest_idtr_base, traps_idt());
	vmwrite(ENC_guest_idtr_limit, TRAP_IDT_LIMIT);
}

static void set_guest_rest(void)
{
	vmwrite(ENC_guest_cr0, read_cr0());
	vmwrite(ENC_guest_cr3, read_cr3());
	vmwrite(ENC_guest_cr4, read_cr4());
	vmwrite(ENC_guest_ia32_efer, EFER_LME | EFER_LMA);
	vmwrite(ENC_guest_dr7, DR7_RESET);
	vmwrite(ENC_guest_ia32_debugctl, 0);
	vmwrite(ENC_guest_ia32_sysenter_cs, 0);
	vmwrite(ENC_guest_ia32_sysenter_esp, 0);
	vmwrite(ENC_guest_ia32_sysenter_eip, 0);
	vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
}

void guest_new(const struct controls *controls, u64 eptp)
{
	if (!mine()->vmcs)
		mine()->vmcs = vmx_new_vmcs();
	if (vmclear((uintptr_t)mine()->vmcs) != VMX_SUCCEED)
		fail("VMCLEAR failed");
	vmx_make_current(mine()->vmcs);
	mine()->launched = false;
	set_controls(controls, eptp);
	clear_other_controls();
	set_host_state();
	set_guest_segments();
	set_guest_rest();
}

struct exit guest_call(l2_code *code, u64 argument)
{
	u64 *top = (u64 *)(mine()->stack + STACK_SIZE) - 1;

	*top = (uintptr_t)l2_done;
	mine()->registers = (struct guest_registers){ .gpr[RDI] = argument };
	vmwrite(ENC_guest_rip, (uintptr_t)code);
	vmwrite(ENC_guest_rsp, (uintptr_t)top);
	vmwrite(ENC_guest_rflags, RFLAGS_ONE);
	vmwrite(ENC_guest_activity_state, ACTIVITY_active);
	vmwrite(ENC_guest_interruptibility_state, 0);
	vmwrite(ENC_guest_pending_debug_exceptions, 0);
	return guest_resume();
}

struct exit guest_resume(void)
{
	struct exit exit = { .outcome = vmx_enter(&mine()->registers, mine()->launched) };

	if (exit.outcome != VMX_SUCCEED) {
		exit.error = exit.outcome == VMX_FAIL_VALID ? vmread(ENC_vm_instruction_error) : 0;
		return exit;
	}
	exit.reason = (u32)vmread(ENC_exit_reason);
	mine()->launched = mine()->launched || !(exit.reason & EXIT_REASON_ENTRY_FAILURE);
	exit.rax = mine()->registers.gpr[RAX];
	exit.done = exit.reason == REASON_vmcall && vmread(ENC_guest_rip) == (uintptr_t)l2_done;
	exit.qualification = vmread(ENC_exit_qualification);
	exit.guest_physical_address = vmread(ENC_guest_physical_address);
	exit.guest_linear_address = vmread(ENC_guest_linear_address);
	exit.interruption_information = vmread(ENC_vm_exit_interruption_information);
	exit.length = vmread(ENC_vm_exit_instruction_length);
	return exit;
}

struct exit guest_skip(void)
{
	vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + vmread(ENC_vm_exit_instruction_length));
	return guest_resume();
}

void tell(const char *what, const struct exit *exit)
{
	if (exit->outcome != VMX_SUCCEED) {
		print("%s: not entered, VM-instruction error %lu\n", what, exit->error);
		return;
	}
	if (exit->done) {
		print("%s: done\n", what);
		return;
	}
	print("%s: exit %x", what, exit->reason);
	if (exit->reason == REASON_exception_or_nmi)
		print(", interruption information %lx", exit->interruption_information);
	print(", qualification %lx", exit->qualification);
	if (exit->reason == REASON_ept_violation)
		print(", guest-physical %lx, linear %lx", exit->guest_physical_address, exit->guest_linear_address);
	if (exit->reason == REASON_ept_misconfiguration)
		print(", guest-physical %lx", exit->guest_physical_address);
	print("\n");
}

void guest_clear(void)
{
	if (vmclear((uintptr_t)mine()->vmcs) != VMX_SUCCEED)
		fail("VMCLEAR failed");
	mine()->launched = false;
}

/* SDM "Software Use of Virtual-Machine Control Structures": cleared there, it may become active here. */
void guest_take_from(unsigned number)
{
	struct cpu_guest *from = &guests[number];

	vmx_make_current(from->vmcs);
	mine()->registers = from->registers;
	mine()->launched = false;
	set_host_state();
}
