#include "vmcs_shadow/owner.h"

#include "x86.h"
#include "vmcs_shadow/bitmaps.h"

struct exit_case {
	const struct vmcs12 *vmcs12;
	const struct exit_event *event;
	const struct owner_bitmaps *bitmaps;
};

static bool asks(const struct exit_case *exit, enum control_group group, u32 control)
{
	return vmcs12_controls(exit->vmcs12, group) & control;
}

static u64 get12(const struct exit_case *exit, enum vmcs_field field)
{
	return vmcs12_get(exit->vmcs12, field);
}

/* SDM "Exception Bitmap": page faults that the mask and match do not select exit on the inverse bit. */
static bool exception_is_l1s(const struct exit_case *exit)
{
	u32 information = exit->event->interruption_information;
	u32 vector = information & INTR_VECTOR;
	bool bit = get12(exit, F_exception_bitmap) >> (vector % EXCEPTION_VECTORS) & 1;
	u64 masked;

	if ((information & INTR_TYPE) >> INTR_TYPE_SHIFT == INTR_nmi)
		return asks(exit, CONTROLS_pin, PIN_nmi_exiting);
	if (vector != VECTOR_PF)
		return bit;
	masked = exit->event->interruption_error_code & get12(exit, F_page_fault_error_code_mask);
	return bit == (masked == get12(exit, F_page_fault_error_code_match));
}

static bool mov_to_cr3_is_l1s(const struct exit_case *exit)
{
	static const u8 targets[] = {
		F_cr3_target_value_0, F_cr3_target_value_1, F_cr3_target_value_2, F_cr3_target_value_3,
	};

	if (!asks(exit, CONTROLS_proc, PROC_cr3_load_exiting))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(targets) && i < get12(exit, F_cr3_target_count); i++)
		if (exit->event->operand == get12(exit, (enum vmcs_field)targets[i]))
			return false;
	return true;
}

static bool mov_to_cr_is_l1s(const struct exit_case *exit)
{
	u64 value = exit->event->operand;

	switch (exit->event->qualification & CR_ACCESS_NUMBER) {
	case 0:
		return (value ^ get12(exit, F_cr0_read_shadow)) & get12(exit, F_cr0_guest_host_mask);
	case 3:
		return mov_to_cr3_is_l1s(exit);
	case 4:
		return (value ^ get12(exit, F_cr4_read_shadow)) & get12(exit, F_cr4_guest_host_mask);
	case 8:
		return asks(exit, CONTROLS_proc, PROC_cr8_load_exiting);
	default:
		return false;
	}
}

static bool mov_from_cr_is_l1s(const struct exit_case *exit)
{
	switch (exit->event->qualification & CR_ACCESS_NUMBER) {
	case 3:
		return asks(exit, CONTROLS_proc, PROC_cr3_store_exiting);
	case 8:
		return asks(exit, CONTROLS_proc, PROC_cr8_store_exiting);
	default:
		return false;
	}
}

/* LMSW sets PE but never clears it, so a 0 over a 1 is no change there. */
static bool lmsw_is_l1s(const struct exit_case *exit)
{
	u64 source = (exit->event->qualification & CR_ACCESS_LMSW_SOURCE) >> CR_ACCESS_LMSW_SOURCE_SHIFT;
	u64 mask = get12(exit, F_cr0_guest_host_mask), shadow = get12(exit, F_cr0_read_shadow);

	if (source & ~shadow & mask & CR0_PE)
		return true;
	return (source ^ shadow) & mask & (CR0_MP | CR0_EM | CR0_TS);
}

/* SDM "Instructions That Cause VM Exits Conditionally": CLTS, LMSW, MOV from and to CR. */
static bool cr_access_is_l1s(const struct exit_case *exit)
{
	switch ((exit->event->qualification & CR_ACCESS_TYPE) >> CR_ACCESS_TYPE_SHIFT) {
	case CR_ACCESS_mov_to:
		return mov_to_cr_is_l1s(exit);
	case CR_ACCESS_mov_from:
		return mov_from_cr_is_l1s(exit);
	case CR_ACCESS_clts:
		return get12(exit, F_cr0_guest_host_mask) & get12(exit, F_cr0_read_shadow) & CR0_TS;
	default:
		return lmsw_is_l1s(exit);
	}
}

/* A bitmap that cannot be read traps everything, as memory that is not there reads as ones. */
static bool io_is_l1s(const struct exit_case *exit)
{
	u64 qualification = exit->event->qualification;
	u16 port = IO_ACCESS_PORT_OF(qualification);
	unsigned size = IO_ACCESS_SIZE_OF(qualification);
	const struct owner_bitmaps *bitmaps = exit->bitmaps;

	if (!asks(exit, CONTROLS_proc, PROC_use_io_bitmaps))
		return asks(exit, CONTROLS_proc, PROC_unconditional_io_exiting);
	return !bitmaps->io_a || !bitmaps->io_b || io_bitmap_traps(bitmaps->io_a, bitmaps->io_b, port, size);
}

static bool msr_is_l1s(const struct exit_case *exit)
{
	bool write = (exit->event->reason & EXIT_REASON_BASIC) == REASON_wrmsr;

	if (!asks(exit, CONTROLS_proc, PROC_use_msr_bitmaps) || !exit->bitmaps->msr)
		return true;
	return msr_bitmap_traps(exit->bitmaps->msr, exit->event->msr, write);
}

static bool pause_is_l1s(const struct exit_case *exit)
{
	return asks(exit, CONTROLS_proc, PROC_pause_exiting) ||
	       asks(exit, CONTROLS_proc2, PROC2_pause_loop_exiting);
}

/* IA32_XSS takes part too, but the CPU has looked at it before it exited. */
static bool xsaves_is_l1s(const struct exit_case *exit)
{
	return asks(exit, CONTROLS_proc2, PROC2_enable_xsaves_xrstors) &&
	       (exit->event->operand & get12(exit, F_xss_exiting_bitmap));
}

/*
 * SDM "Instructions That Cause VM Exits Conditionally": VMREAD and VMWRITE, whose bitmaps cover encodings of 15 bits.
 */
static bool field_access_is_l1s(const struct exit_case *exit)
{
	bool write = (exit->event->reason & EXIT_REASON_BASIC) == REASON_vmwrite;
	const u64 *bitmap = write ? exit->bitmaps->vmwrite : exit->bitmaps->vmread;

	return !asks(exit, CONTROLS_proc2, PROC2_vmcs_shadowing) || !bitmap ||
	       vmcs_bitmap_traps(bitmap, exit->event->operand);
}

#define UNEXPECTED { .kind = RULE_unexpected }
#define ALWAYS_L0 { .kind = RULE_l0 }
#define ALWAYS_L1 { .kind = RULE_l1 }
#define BY_PIN(name) { .kind = RULE_control, .group = CONTROLS_pin, .control = PIN_##name }
#define BY_PROC(name) { .kind = RULE_control, .group = CONTROLS_proc, .control = (u32)PROC_##name }
#define BY_PROC2(name) { .kind = RULE_control, .group = CONTROLS_proc2, .control = PROC2_##name }
#define BY(function) { .kind = RULE_function, .is_l1s = function }

/*
 * SDM "Instructions That Cause VM Exits" and "Other Causes of VM Exits". Unexpected are exits of SMM's
 * dual-monitor treatment and of controls that neither L1 nor L0 has.
 */
const struct exit_rule exit_rules[EXIT_REASONS] = {
	[REASON_exception_or_nmi] = BY(exception_is_l1s),
	[REASON_external_interrupt] = BY_PIN(external_interrupt_exiting),
	[REASON_triple_fault] = ALWAYS_L1,
	[REASON_init_signal] = ALWAYS_L1,
	[REASON_startup_ipi] = ALWAYS_L1,
	[REASON_io_smi] = UNEXPECTED,
	[REASON_other_smi] = UNEXPECTED,
	[REASON_interrupt_window] = BY_PROC(interrupt_window_exiting),
	[REASON_nmi_window] = BY_PROC(nmi_window_exiting),
	[REASON_task_switch] = ALWAYS_L1,
	[REASON_cpuid] = ALWAYS_L1,
	[REASON_getsec] = ALWAYS_L1,
	[REASON_hlt] = BY_PROC(hlt_exiting),
	[REASON_invd] = ALWAYS_L1,
	[REASON_invlpg] = BY_PROC(invlpg_exiting),
	[REASON_rdpmc] = BY_PROC(rdpmc_exiting),
	[REASON_rdtsc] = BY_PROC(rdtsc_exiting),
	[REASON_rsm] = UNEXPECTED,
	[REASON_vmcall] = ALWAYS_L1,
	[REASON_vmclear] = ALWAYS_L1,
	[REASON_vmlaunch] = ALWAYS_L1,
	[REASON_vmptrld] = ALWAYS_L1,
	[REASON_vmptrst] = ALWAYS_L1,
	[REASON_vmread] = BY(field_access_is_l1s),
	[REASON_vmresume] = ALWAYS_L1,
	[REASON_vmwrite] = BY(field_access_is_l1s),
	[REASON_vmxoff] = ALWAYS_L1,
	[REASON_vmxon] = ALWAYS_L1,
	[REASON_control_register_access] = BY(cr_access_is_l1s),
	[REASON_mov_dr] = BY_PROC(mov_dr_exiting),
	[REASON_io_instruction] = BY(io_is_l1s),
	[REASON_rdmsr] = BY(msr_is_l1s),
	[REASON_wrmsr] = BY(msr_is_l1s),
	[REASON_entry_failure_guest_state] = ALWAYS_L1,
	[REASON_entry_failure_msr_loading] = ALWAYS_L1,
	[REASON_mwait] = BY_PROC(mwait_exiting),
	[REASON_monitor_trap_flag] = ALWAYS_L1, /* by its control, or injected */
	[REASON_monitor] = BY_PROC(monitor_exiting),
	[REASON_pause] = BY(pause_is_l1s),
	[REASON_entry_failure_machine_check] = ALWAYS_L1,
	[REASON_tpr_below_threshold] = BY_PROC(use_tpr_shadow),
	[REASON_apic_access] = BY_PROC2(virtualize_apic_accesses),
	[REASON_virtualized_eoi] = BY_PROC2(virtual_interrupt_delivery),
	[REASON_access_to_gdtr_or_idtr] = BY_PROC2(descriptor_table_exiting),
	[REASON_access_to_ldtr_or_tr] = BY_PROC2(descriptor_table_exiting),
	[REASON_ept_violation] = ALWAYS_L0,
	[REASON_ept_misconfiguration] = ALWAYS_L0,
	[REASON_invept] = ALWAYS_L1,
	[REASON_rdtscp] = BY_PROC(rdtsc_exiting),
	[REASON_preemption_timer_expired] = BY_PIN(activate_vmx_preemption_timer),
	[REASON_invvpid] = ALWAYS_L1,
	[REASON_wbinvd] = BY_PROC2(wbinvd_exiting),
	[REASON_xsetbv] = ALWAYS_L1,
	[REASON_apic_write] = BY_PROC2(apic_register_virtualization),
	[REASON_rdrand] = BY_PROC2(rdrand_exiting),
	[REASON_invpcid] = BY_PROC(invlpg_exiting),
	[REASON_vmfunc] = BY_PROC2(enable_vm_functions),
	[REASON_encls] = BY_PROC2(enable_encls_exiting),
	[REASON_rdseed] = BY_PROC2(rdseed_exiting),
	[REASON_page_modification_log_full] = BY_PROC2(enable_pml),
	[REASON_xsaves] = BY(xsaves_is_l1s),
	[REASON_xrstors] = BY(xsaves_is_l1s),
	[REASON_pconfig] = BY_PROC2(enable_pconfig),
	[REASON_spp_related_event] = ALWAYS_L0,
	[REASON_umwait] = BY_PROC(rdtsc_exiting),
	[REASON_tpause] = BY_PROC(rdtsc_exiting),
	[REASON_loadiwkey] = UNEXPECTED,
	[REASON_enclv] = BY_PROC2(enable_enclv_exiting),
	[REASON_enqcmd_pasid] = UNEXPECTED,
	[REASON_enqcmds_pasid] = UNEXPECTED,
	[REASON_bus_lock] = UNEXPECTED,
	[REASON_instruction_timeout] = UNEXPECTED,
	[REASON_seamcall] = ALWAYS_L1,
	[REASON_tdcall] = ALWAYS_L1,
	[REASON_rdmsrlist] = UNEXPECTED,
	[REASON_wrmsrlist] = UNEXPECTED,
};

enum exit_owner exit_owner(const struct vmcs12 *vmcs12, const struct exit_event *event,
			   const struct owner_bitmaps *bitmaps)
{
	const struct exit_case exit = { vmcs12, event, bitmaps };
	u32 reason = event->reason & EXIT_REASON_BASIC;
	enum exit_owner owner = exit_owner_by_reason(vmcs12, reason);

	if (owner != OWNER_by_event)
		return owner;
	return exit_rules[reason].is_l1s(&exit) ? OWNER_l1 : OWNER_l0;
}
