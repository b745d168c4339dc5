#include "ept.h"
#include "insn.h"
#include "note.h"
#include "random.h"
#include "vmcs.h"

#define TSC_OFFSET_SHIFT 56
#define UNDO_MAX 8
#define BEYOND_WIDTH_FIRST 40
#define DEBUGCTL_LBR_BTF 3u

/*
 * SDM "Saving Non-Register State": the PDPTEs are not defined unless L2 uses PAE paging; the timer's value is time. The
 * emulated CPU writes the EPTP index at each EPTP switching, not only where #VE is enabled, and never saves
 * IA32_DEBUGCTL.
 */
#define IS_INCOMPARABLE(encoding) \
	((encoding) == ENC_vmx_preemption_timer_value || (encoding) == ENC_eptp_index || \
	 (encoding) == ENC_guest_ia32_debugctl || \
	 ((encoding) >= ENC_guest_pdpte0 && (encoding) <= ENC_guest_pdpte3))
enum field_use { USE_COPY, USE_MERGE, USE_HOST, USE_EMUL, USE_EXIT, USE_NONE };
const struct vmcs_field vmcs_fields[] = {
#define F(name, encoding, use, hot) \
	{ #name, encoding, USE_##use != USE_EXIT && USE_##use != USE_NONE && !IS_INCOMPARABLE(encoding) },
#include "vmcs_fields.def"
#undef F
};
const unsigned vmcs_field_count = ARRAY_SIZE(vmcs_fields);

static u64 read_or_zero(u64 encoding)
{
	u64 value;

	return vmread_checked(encoding, &value) == VMX_SUCCEED ? value : 0;
}

/* An address stays what it was, but for what makes it an invalid one. */
static u64 safe_address(u64 old, u64 value)
{
	return one_in(2) ? old ^ (value & 0xfff) : old | BIT(BEYOND_WIDTH_FIRST + value % 24);
}

/* What cannot be loaded or stored at an exit is a VMX abort: another list must not pass for a valid one. */
static u64 safe_list(u64 old, u64 value)
{
	return safe_address(old, value) | BIT(value % 4);
}

static u64 safe_cr0(const struct vm *vm, u64 old, u64 value)
{
	if (!vm->ept)
		return old ^ (value & CR0_HARMLESS);
	/* The emulated CPU does not look at CR0.PG for the IA-32e mode of an unrestricted guest. */
	if (read_or_zero(ENC_vm_entry_controls) & ENTRY_ia32e_mode_guest)
		value |= CR0_PG;
	/* Nor at CR0.PE for the error code of an event. */
	if (!(value & CR0_PE))
		vmwrite(ENC_vm_entry_interruption_information, 0);
	return value;
}

static u64 safe_entry_controls(const struct vm *vm, u64 old, u64 value)
{
	value = vmcs_safe_controls(vm, ENTRY_CTLS, value);
	if (!vm->ept || !(read_or_zero(ENC_guest_cr0) & CR0_PG))
		value = (value & ~ENTRY_ia32e_mode_guest) | (old & ENTRY_ia32e_mode_guest);
	return value;
}

/* Waiting for a SIPI has no end, and the other states one by the timer alone. */
static u64 safe_activity(const struct vm *vm, u64 value)
{
	if (value == ACTIVITY_wait_for_sipi)
		return ACTIVITY_wait_for_sipi + 1;
	return vm->watched || value > ACTIVITY_wait_for_sipi ? value : ACTIVITY_active;
}

/* What depends on whether EPT keeps L2 within its memory. */
static u64 safe_paging(const struct vm *vm, u64 encoding, u64 old, u64 value)
{
	switch (encoding) {
	case ENC_guest_cr0:
		return safe_cr0(vm, old, value);
	case ENC_vm_entry_controls:
		return safe_entry_controls(vm, old, value);
	case ENC_guest_cr4:
		return vm->ept ? value : old ^ (value & CR4_HARMLESS);
	case ENC_guest_cr3:
		return vm->ept ? value : old | (one_in(2) ? BIT(50) : 0);
	case ENC_cr0_guest_host_mask:
		return vmcs_safe_cr0_mask(vm, value);
	case ENC_cr4_guest_host_mask:
		return vm->ept ? value : value | CR4_PAGING;
	case ENC_cr3_target_value_0:
	case ENC_cr3_target_value_1:
	case ENC_cr3_target_value_2:
	case ENC_cr3_target_value_3:
		return vm->ept ? value : old;
	default:
		return value;
	}
}

static u64 safe_value(const struct vm *vm, u64 encoding, u64 old, u64 value)
{
	switch (encoding) {
	case ENC_pin_based_controls:
		return vmcs_safe_controls(vm, PIN_CTLS, value);
	case ENC_primary_processor_based_controls:
		return vmcs_safe_controls(vm, PROC_CTLS, value);
	case ENC_secondary_processor_based_controls:
		value = (value & ~PROC2_unrestricted_guest) | (old & PROC2_unrestricted_guest);
		return vmcs_safe_controls(vm, PROC2_CTLS, value);
	case ENC_primary_vm_exit_controls:
		return vmcs_safe_controls(vm, EXIT_CTLS, value);
	case ENC_address_of_io_bitmap_a:
	case ENC_address_of_io_bitmap_b:
	case ENC_address_of_msr_bitmaps:
	case ENC_virtual_apic_address:
	case ENC_apic_access_address:
	case ENC_eptp_list_address:
	case ENC_virtualization_exception_information_address:
		return safe_address(old, value);
	case ENC_vm_exit_msr_store_address:
	case ENC_vm_exit_msr_load_address:
	case ENC_vm_entry_msr_load_address:
		return safe_list(old, value);
	case ENC_ept_pointer:
		return one_in(8) ? safe_address(old, 0) : old ^ (value & 0xfff & ~EPTP_SHADOW_STACK);
	case ENC_guest_ia32_s_cet:
		/* As in vmcs.c. */
		return vm->ring ? 0 : value;
	case ENC_tsc_offset:
		return value << TSC_OFFSET_SHIFT;
	case ENC_guest_rflags:
		/* As in program.c: no single steps. */
		return value & ~RFLAGS_TF;
	case ENC_guest_ia32_debugctl:
		/* The emulated CPU does not look at the other bits. */
		return value & DEBUGCTL_LBR_BTF;
	case ENC_vmx_preemption_timer_value:
		/* Nothing else: the emulated CPU may execute a few instructions before a timer of 0 expires. */
		return WATCHDOG_TICKS;
	case ENC_guest_activity_state:
		return safe_activity(vm, value);
	case ENC_vmcs_link_pointer:
		return one_in(2) ? VMCS_NO_POINTER : one_in(2) ? (u64)vm_page(vm, PAGE_DATA) : value | 1;
	default:
		return safe_paging(vm, encoding, old, value);
	}
}

/* Left alone: what is written elsewhere, or would be a matter of time, or of no effect on either machine. */
static bool is_changeable(const struct vmcs_field *field)
{
	switch (field->encoding) {
	case ENC_vm_exit_msr_store_count:
	case ENC_vm_exit_msr_load_count:
	case ENC_vm_entry_msr_load_count:
	case ENC_tsc_multiplier:
	case ENC_ple_gap:
	case ENC_ple_window:
	case ENC_vm_entry_interruption_information:
	/* What a virtual interrupt's delivery reports is beyond the emulated CPU. */
	case ENC_guest_interrupt_status:
		return false;
	case ENC_guest_ia32_debugctl:
	case ENC_vmx_preemption_timer_value:
		return true;
	default:
		return field->comparable && VMCS_ENCODING_TYPE(field->encoding) != TYPE_HOST;
	}
}

static unsigned bits_of(u64 encoding)
{
	static const u8 bits[] = { [WIDTH_16] = 16, [WIDTH_64] = 64, [WIDTH_32] = 32, [WIDTH_NATURAL] = 64 };

	return bits[VMCS_ENCODING_WIDTH(encoding)];
}

static struct undo {
	const struct vmcs_field *field;
	u64 value;
} undo[UNDO_MAX];
static unsigned undo_count;

void vmcs_changes_begin(void)
{
	undo_count = 0;
}

void vmcs_changes_undo(void)
{
	tell("  takes it back\n");
	while (undo_count) {
		undo_count--;
		vmwrite_checked(undo[undo_count].field->encoding, undo[undo_count].value);
	}
}

static void set_field(const struct vmcs_field *field, u64 value)
{
	enum vmx_outcome outcome;

	if (undo_count < UNDO_MAX)
		undo[undo_count++] = (struct undo){ field, read_or_zero(field->encoding) };
	outcome = vmwrite_checked(field->encoding, value);
	tell("  %s := %lx\n", field->name, value);
	note("outcome", outcome);
	if (outcome == VMX_FAIL_VALID)
		note("error", vmread(ENC_vm_instruction_error));

}

static const struct vmcs_field *field_of(u16 encoding)
{
	for (unsigned i = 0; i < vmcs_field_count; i++)
		if (vmcs_fields[i].encoding == encoding)
			return &vmcs_fields[i];
	give_up("no field %x", encoding);
}

/* L1 itself runs on the host state: fields that do no harm, and values that fail the entry. */
static void change_host(void)
{
	static const u16 selectors[] = { ENC_host_es_selector, ENC_host_cs_selector, ENC_host_ss_selector,
					 ENC_host_ds_selector, ENC_host_fs_selector, ENC_host_gs_selector,
					 ENC_host_tr_selector };
	static const u16 free[] = { ENC_host_fs_base, ENC_host_gs_base, ENC_host_ia32_sysenter_cs,
				    ENC_host_ia32_sysenter_esp, ENC_host_ia32_sysenter_eip };
	static const u16 fixed[] = { ENC_host_cr0, ENC_host_cr3, ENC_host_cr4, ENC_host_tr_base, ENC_host_gdtr_base,
				     ENC_host_idtr_base, ENC_host_rip };
	u64 field;

	switch (random_below(4)) {
	case 0:
		field = selectors[random_below(ARRAY_SIZE(selectors))];
		set_field(field_of((u16)field), one_in(4) ? 0 : read_or_zero(field) ^ BIT(random_below(3)));
		break;
	case 1:
	case 2:
		field = free[random_below(ARRAY_SIZE(free))];
		/* The emulated CPU keeps 16 bits of IA32_SYSENTER_CS. */
		set_field(field_of((u16)field), random_odd(field == ENC_host_ia32_sysenter_cs ? 16 : 64));
		break;
	default:
		/* Not canonical, or a reserved bit. */
		field = fixed[random_below(ARRAY_SIZE(fixed))];
		set_field(field_of((u16)field), read_or_zero(field) ^ BIT(50));
	}
}

void vmcs_change(const struct vm *vm)
{
	const struct vmcs_field *field;
	u64 old, value;

	if (one_in(12)) {
		change_host();
		return;
	}
	do
		field = &vmcs_fields[random_below(vmcs_field_count)];
	while (!is_changeable(field));
	old = read_or_zero(field->encoding);
	value = one_in(2) ? old ^ BIT(random_below(bits_of(field->encoding))) : random_odd(bits_of(field->encoding));
	set_field(field, safe_value(vm, field->encoding, old, value));
}

/* SDM "Checks on VMX Controls": only these have an error code, where not any exception may. */
static bool has_error_code(unsigned vector)
{
	return vector == VECTOR_DF || (vector >= VECTOR_TS && vector <= VECTOR_PF) || vector == VECTOR_AC;
}

/*
 * Where any exception may have an error code, the emulated CPU lets any event have one; so none has that must not.
 */
void vmcs_inject(const struct vm *vm)
{
	static const u8 types[] = { INTR_external, INTR_nmi, INTR_hardware_exception, INTR_hardware_exception,
				    INTR_software_interrupt, INTR_privileged_software_exception,
				    INTR_software_exception };
	u64 type = types[random_below(ARRAY_SIZE(types))], vector = random_below(EXCEPTION_VECTORS), information;

	if (type == INTR_nmi && !one_in(8))
		vector = VECTOR_NMI;
	else if (type == INTR_external || type == INTR_software_interrupt)
		vector = random_below(256);
	information = INTR_VALID | type << INTR_TYPE_SHIFT | vector;
	if (type == INTR_hardware_exception && has_error_code((unsigned)vector) &&
	    vmread(ENC_guest_cr0) & CR0_PE && vm->mode != VM_REAL)
		information |= INTR_ERROR_CODE;
	if (one_in(16))
		information ^= BIT(random_below(32)) & ~INTR_ERROR_CODE & ~INTR_TYPE;
	set_field(field_of(ENC_vm_entry_interruption_information), information);
	set_field(field_of(ENC_vm_entry_exception_error_code), one_in(8) ? random_odd(32) : random_below(16));
	set_field(field_of(ENC_vm_entry_instruction_length), one_in(8) ? random_below(32) : 1 + random_below(3));
}

void vmcs_note(void)
{
	
	for (unsigned i = 0; i < vmcs_field_count; i++) {
		u64 value = 0;

		if (vmcs_fields[i].comparable && vmread_checked(vmcs_fields[i].encoding, &value) == VMX_SUCCEED)
			note(vmcs_fields[i].name, value);
	}
}
