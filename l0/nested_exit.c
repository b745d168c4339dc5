/* Out of L2: whose an exit is, what of it L1 gets to see. */
#include "kick.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "msr_list.h"
#include "nested_ept_extras.h"
#include "nested_switch.h"
#include "options.h"
#include "vmcs_shadow/bitmaps.h"
#include "vmcs_shadow/exit_information.h"
#include "vmcs_shadow/owner.h"

#define LEARN(vmcs12, name) vmcs12_learn(vmcs12, F_##name, vmread(ENC_##name))

static void read_event(struct vmcs12 *vmcs12)
{
	LEARN(vmcs12, vm_exit_interruption_information);
	if (vmcs12_get(vmcs12, F_vm_exit_interruption_information) & INTR_VALID)
		LEARN(vmcs12, vm_exit_interruption_error_code);
}

/* What exits of this reason define, out of vmcs02. SDM "VM-Exit Information Fields". */
static void read_exit_information(struct vmcs12 *vmcs12, u32 reason, u64 qualification)
{
	u8 information = exit_information[reason & EXIT_REASON_BASIC];

	vmcs12_learn(vmcs12, F_exit_reason, reason);
	vmcs12_learn(vmcs12, F_exit_qualification, qualification);
	LEARN(vmcs12, vm_exit_instruction_length);
	LEARN(vmcs12, idt_vectoring_information);
	if (UNLIKELY(vmcs12_get(vmcs12, F_idt_vectoring_information) & INTR_VALID))
		LEARN(vmcs12, idt_vectoring_error_code);
	if (information & EXIT_INFORMATION_event)
		read_event(vmcs12);
	else
		vmcs12_learn(vmcs12, F_vm_exit_interruption_information, 0);
	if (information & EXIT_INFORMATION_instruction)
		LEARN(vmcs12, vm_exit_instruction_information);
	if (information & EXIT_INFORMATION_linear)
		LEARN(vmcs12, guest_linear_address);
	if (information & EXIT_INFORMATION_physical)
		LEARN(vmcs12, guest_physical_address);
}

static void read_hot_guest_state(struct vmcs_slot *slot)
{
	struct vmcs12 *vmcs12 = &slot->vmcs12;

#define F(name, encoding, use, hot) \
	if (VMCS_ENCODING_TYPE(encoding) == TYPE_GUEST && USE_##use == USE_COPY && (HOT_##hot & HOT_R) && \
	    (F_##name != F_vmx_preemption_timer_value || slot->saves_timer)) \
		vmcs12_learn(vmcs12, F_##name, vmread(encoding));
#include "vmcs_fields.def"
#undef F
}

/* SDM "Saving Guest State" and "Saving Control Registers ...": what an exit changes in vmcs12. */
static void save_guest_state(struct vmcs_slot *slot)
{
	struct vmcs12 *vmcs12 = &slot->vmcs12;
	u64 entry12 = vmcs12_get(vmcs12, F_vm_entry_controls);

	read_hot_guest_state(slot);
	if (UNLIKELY(slot->input.link_pointer02 != VMCS_NO_POINTER)) /* by L2's VMREAD and VMWRITE */
		vmcs12_learn(vmcs12, F_vm_instruction_error, vmread(ENC_vm_instruction_error));
	vmcs12->stale = slot->stale_at_exit;
	if (UNLIKELY(slot->reads_at_exit))
		read_fields02(vmcs12, slot->read_at_exit);
	vmcs12_learn(vmcs12, F_vm_entry_interruption_information,
		     vmcs12_get(vmcs12, F_vm_entry_interruption_information) & ~INTR_VALID);
	if (UNLIKELY((entry12 ^ vmread(ENC_vm_entry_controls)) & ENTRY_ia32e_mode_guest))
		vmcs12_learn(vmcs12, F_vm_entry_controls, entry12 ^ ENTRY_ia32e_mode_guest);
}

static struct left_by_l2 left_by_l2(const struct vmcs_slot *slot, u32 reason)
{
	u64 exit12 = field12(slot, F_primary_vm_exit_controls);
	u64 information = field12(slot, F_vm_exit_interruption_information);
	bool nmi = reason == REASON_exception_or_nmi && (information & INTR_TYPE) >> INTR_TYPE_SHIFT == INTR_nmi;
	bool l2_blocks = !(field12(slot, F_pin_based_controls) & PIN_virtual_nmis) &&
			 field12(slot, F_guest_interruptibility_state) & INTERRUPTIBILITY_nmi;

	return (struct left_by_l2){
		.efer = exit12 & EXIT_load_ia32_efer ? 0 : vmread(ENC_guest_ia32_efer),
		.pat = exit12 & EXIT_load_ia32_pat ? 0 : vmread(ENC_guest_ia32_pat),
		.nmi_blocked = nmi || l2_blocks,
	};
}

/* The exit is L1's, its information already in vmcs12. */
static void leave_l2(struct cpu *cpu, u32 reason)
{
	struct vmcs_slot *slot = cpu->nested.current;
	u32 stores = (u32)field12(slot, F_vm_exit_msr_store_count);
	struct left_by_l2 left;

	save_guest_state(slot);
	left = left_by_l2(slot, reason);
	slot->knows_pat02 = !(field12(slot, F_primary_vm_exit_controls) & EXIT_load_ia32_pat);
	slot->pat02 = left.pat;
	if (LIKELY(!stores) ||
	    LIKELY(msr_list_store(cpu, field12(slot, F_vm_exit_msr_store_address), stores)))
		switch_to_l1(cpu, slot, &left);
	else
		vmx_abort(cpu, slot, VMX_ABORT_saving_guest_msrs);
}

/* The exit information is in vmcs12. */
static void reflect(struct cpu *cpu, u32 reason)
{
	stats_reflected(&cpu->stats);
	leave_l2(cpu, reason);
}

void nested_reflect(struct cpu *cpu, u32 reason, u64 qualification)
{
	read_exit_information(&cpu->nested.current->vmcs12, reason, qualification);
	reflect(cpu, reason);
}

static void reflect_made_up(struct cpu *cpu, u32 reason, u64 qualification, u64 information)
{
	struct vmcs12 *vmcs12 = &cpu->nested.current->vmcs12;

	vmcs12->launched = true; /* the entry succeeded, though L2 came to nothing */
	vmcs12_learn(vmcs12, F_exit_reason, reason);
	vmcs12_learn(vmcs12, F_exit_qualification, qualification);
	vmcs12_learn(vmcs12, F_vm_exit_interruption_information, information);
	vmcs12_learn(vmcs12, F_idt_vectoring_information, 0);
	leave_l2(cpu, reason);
}

void nested_reflect_access(struct cpu *cpu, u32 reason, u64 qualification, u64 address20, u64 linear)
{
	struct vmcs12 *vmcs12 = &cpu->nested.current->vmcs12;

	read_exit_information(vmcs12, reason, qualification);
	vmcs12_learn(vmcs12, F_guest_physical_address, address20);
	vmcs12_learn(vmcs12, F_guest_linear_address, linear);
	reflect(cpu, reason);
}

void nested_reflect_event(struct cpu *cpu, u64 information)
{
	reflect_made_up(cpu, REASON_exception_or_nmi, 0, information);
}

void nested_reflect_signal(struct cpu *cpu, u32 reason, u64 qualification)
{
	reflect_made_up(cpu, reason, qualification, 0);
}

void nested_renew_eptp02(struct cpu *cpu)
{
	struct vmcs_slot *slot = cpu->nested.current;

	if (slot->ept02 && slot->ept02->invalidate)
		vmwrite(ENC_ept_pointer, slot->input.eptp02 = nested_eptp02(cpu, slot));
}

/* L0 has put an event into vmcs02 that is not in vmcs12. */
static void note_injected(struct vmcs12 *vmcs12)
{
	field_set_add(&vmcs12->dirty, F_vm_entry_exception_error_code);
	field_set_add(&vmcs12->dirty, F_vm_entry_instruction_length);
}

void nested_resume(struct cpu *cpu, u64 qualification)
{
	cpu->nested.entering = false;
	if (UNLIKELY(ept_violation_resume(qualification)))
		note_injected(&cpu->nested.current->vmcs12);
	nested_renew_eptp02(cpu);
}

/* What the instruction that exited would have written, where that decides whose the exit is. */
static u64 exit_operand(const struct cpu *cpu, u32 reason, u64 qualification)
{
	if (reason == REASON_control_register_access)
		return cr_mov_source(cpu, qualification);
	if (reason == REASON_xsaves || reason == REASON_xrstors)
		return cpu->gpr[GPR_rdx] << 32 | (u32)cpu->gpr[GPR_rax];
	if (reason == REASON_vmread || reason == REASON_vmwrite)
		return nested_field_operand(cpu);
	return 0;
}

static struct exit_event exit_event(const struct cpu *cpu, const struct vmcs12 *vmcs12)
{
	return (struct exit_event){
		.reason = (u32)vmcs12_get(vmcs12, F_exit_reason),
		.interruption_information = (u32)vmcs12_get(vmcs12, F_vm_exit_interruption_information),
		.interruption_error_code = (u32)vmcs12_get(vmcs12, F_vm_exit_interruption_error_code),
		.instruction_information = (u32)vmcs12_get(vmcs12, F_vm_exit_instruction_information),
		.qualification = vmcs12_get(vmcs12, F_exit_qualification),
		.msr = (u32)cpu->gpr[GPR_rcx],
		.operand = exit_operand(cpu, (u32)vmcs12_get(vmcs12, F_exit_reason),
					vmcs12_get(vmcs12, F_exit_qualification)),
	};
}

/*
 * A VMREAD or VMWRITE bitmap is asked only about fields that L1's CPU does not have: for the others nobody but L1 makes
 * L2 exit, whatever L1 has made of its page since.
 */
static const u64 *field_bitmap12(const struct cpu *cpu, const struct vmcs_slot *slot, u64 encoding,
				 enum vmcs_field field)
{
	if (field_set_has(&cpu->nested.caps12.fields, vmcs_field_of_half(encoding)))
		return NULL;
	return l1_pointer(field12(slot, field), PAGE_SIZE);
}

static struct owner_bitmaps bitmaps12(const struct vmcs_slot *slot)
{
	return (struct owner_bitmaps){
		.msr = l1_pointer(field12(slot, F_address_of_msr_bitmaps), PAGE_SIZE),
		.io_a = l1_pointer(field12(slot, F_address_of_io_bitmap_a), PAGE_SIZE),
		.io_b = l1_pointer(field12(slot, F_address_of_io_bitmap_b), PAGE_SIZE),
	};
}

/* What L0's own bitmaps let pass, L1 alone has asked for; its bitmaps need not be looked at. */
static bool l0_asks_for(const struct cpu *cpu, u32 reason, u64 qualification)
{
	if (reason == REASON_io_instruction)
		return io_bitmap_traps(io_bitmap_a01, io_bitmap_b01, IO_ACCESS_PORT_OF(qualification),
				       IO_ACCESS_SIZE_OF(qualification));
	if (reason == REASON_rdmsr || reason == REASON_wrmsr)
		return msr_bitmap_traps(msr_bitmap01, (u32)cpu->gpr[GPR_rcx], reason == REASON_wrmsr);
	return true;
}

static NOINLINE enum exit_owner owner_by_event(const struct cpu *cpu, const struct vmcs_slot *slot, u32 reason)
{
	struct owner_bitmaps bitmaps = { NULL };
	struct exit_event event;

	if (!l0_asks_for(cpu, reason, field12(slot, F_exit_qualification)))
		return OWNER_l1;
	event = exit_event(cpu, &slot->vmcs12);
	if (reason == REASON_io_instruction || reason == REASON_rdmsr || reason == REASON_wrmsr)
		bitmaps = bitmaps12(slot);
	if (reason == REASON_vmread)
		bitmaps.vmread = field_bitmap12(cpu, slot, event.operand, F_vmread_bitmap_address);
	if (reason == REASON_vmwrite)
		bitmaps.vmwrite = field_bitmap12(cpu, slot, event.operand, F_vmwrite_bitmap_address);
	return exit_owner(&slot->vmcs12, &event, &bitmaps);
}

static enum exit_owner owner_of(const struct cpu *cpu, const struct vmcs_slot *slot, u32 reason)
{
	enum exit_owner owner = exit_owner_by_reason(&slot->vmcs12, reason);

	return LIKELY(owner != OWNER_by_event) ? owner : owner_by_event(cpu, slot, reason);
}

/* What L1 lets L2 do freely, but L0 keeps from both. */
static void handle_for_l1(struct cpu *cpu, u32 reason)
{
	switch (reason) {
	case REASON_nmi_window:
		l1_nmi_window_exit(cpu);
		break;
	case REASON_io_instruction:
		l1_io_exit(cpu);
		break;
	case REASON_rdmsr:
		l1_rdmsr_exit(cpu);
		break;
	case REASON_wrmsr:
		l1_wrmsr_exit(cpu);
		break;
	case REASON_vmread:
	case REASON_vmwrite:
		nested_refuse_field(cpu, reason == REASON_vmwrite);
		break;
	default:
		exit_unexpected(cpu, "neither L1 nor L0 asked for this exit of L2");
	}
}

/*
 * L0 refused what L1 lets pass: the fault is L2's, so by vmcs12's exception bitmap it may be an exit. SDM "Exception
 * Bitmap".
 */
static void fault_of_l2(struct cpu *cpu, u64 cr2)
{
	struct vmcs12 *vmcs12 = &cpu->nested.current->vmcs12;
	struct exit_event event = {
		.reason = REASON_exception_or_nmi,
		.interruption_information = (u32)vmread(ENC_vm_entry_interruption_information),
		.interruption_error_code = (u32)vmread(ENC_vm_entry_exception_error_code),
	};
	bool page_fault = (event.interruption_information & INTR_VECTOR) == VECTOR_PF;
	const struct owner_bitmaps none = { NULL };

	if (!(event.interruption_information & INTR_VALID))
		return;
	note_injected(vmcs12);
	if (exit_owner(vmcs12, &event, &none) != OWNER_l1)
		return;
	stats_reflected(&cpu->stats);
	vmwrite(ENC_vm_entry_interruption_information, 0);
	vmcs12_learn(vmcs12, F_exit_reason, REASON_exception_or_nmi);
	vmcs12_learn(vmcs12, F_exit_qualification, page_fault ? read_cr2() : 0);
	write_cr2(cr2); /* a fault that exits does not reach it */
	vmcs12_learn(vmcs12, F_vm_exit_interruption_information, event.interruption_information);
	vmcs12_learn(vmcs12, F_vm_exit_interruption_error_code,
		     event.interruption_information & INTR_ERROR_CODE ? event.interruption_error_code : 0);
	leave_l2(cpu, REASON_exception_or_nmi);
}

static COLD void refused_by_cpu(struct cpu *cpu, u32 reason)
{
	struct vmcs_slot *slot = cpu->nested.current;

	stats_exit(&cpu->stats, LEVEL_2, reason);
	slot->settled = 0; /* vmcs02 may still be clear, at which no settled entry looks */
	if (field12(slot, F_guest_activity_state) == ACTIVITY_wait_for_sipi) /* give_list() has hidden it */
		vmwrite(ENC_guest_activity_state, ACTIVITY_wait_for_sipi);
	wish(cpu, WISH_look);
	if (slot->trying && reason == REASON_entry_failure_msr_loading) {
		nested_guest_state_tried(cpu, slot);
		return;
	}
	stats_reflected(&cpu->stats);
	fail_entry(cpu, slot, reason, vmread(ENC_exit_qualification));
}

/* L1 has not asked for it. */
static NOINLINE void handle_unasked(struct cpu *cpu, u32 reason)
{
	u64 cr2 = read_cr2();

	cpu->nested.entering = false;
	handle_for_l1(cpu, reason);
	if (cpu->level == LEVEL_2) /* not if it came to an exit of another kind */
		fault_of_l2(cpu, cr2);
}

static void exit_by_owner(struct cpu *cpu, struct vmcs_slot *slot, u32 full_reason)
{
	u32 reason = full_reason & EXIT_REASON_BASIC;

	read_exit_information(&slot->vmcs12, full_reason, vmread(ENC_exit_qualification));
	if (LIKELY(owner_of(cpu, slot, reason) == OWNER_l1))
		reflect(cpu, reason);
	else
		handle_unasked(cpu, reason);
}

void nested_exit(struct cpu *cpu, u32 full_reason)
{
	struct vmcs_slot *slot = cpu->nested.current;
	u32 reason = full_reason & EXIT_REASON_BASIC;

	if (UNLIKELY(reason >= EXIT_REASONS))
		exit_unexpected(cpu, "a reason that L0 does not know");
	if (UNLIKELY(full_reason & EXIT_REASON_ENTRY_FAILURE)) {
		refused_by_cpu(cpu, reason);
		return;
	}
	slot->vmcs12.launched = slot->launched02 = true;
	if (UNLIKELY(slot->list02))
		nested_list_done(slot);
	stats_exit(&cpu->stats, LEVEL_2, reason);
	if (reason == REASON_ept_violation)
		nested_ept_violation(cpu, vmread(ENC_exit_qualification));
	else if (UNLIKELY(reason == REASON_ept_misconfiguration))
		nested_ept_misconfiguration(cpu);
	else if (UNLIKELY(reason == REASON_exception_or_nmi && cpu_count > 1) && exit_is_nmi())
		l1_nmi_exit(cpu); /* one that vmcs12 wants is passed on like any other */
	else if (LIKELY(reason != REASON_vmfunc) || !vmfunc_switch_eptp(cpu))
		exit_by_owner(cpu, slot, full_reason);
}
