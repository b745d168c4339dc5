/* The checks on VMX controls; those on host and guest state are in entry_check_state.c. */
#include "ept_merge/ept_entry.h"
#include "vmcs_shadow/check.h"

static bool check_reserved(struct check *c, enum control_group group)
{
	u32 controls = vmcs12_controls(c->vmcs12, group);
	u32 lacking = controls_required(c->caps12, group) & ~controls;
	u32 excess = controls & ~controls_allowed(c->caps12, group);
	enum vmcs_field field = (enum vmcs_field)vmcs_control_field[group];

	return require(c, !lacking, field, "a control that must be 1") &&
	       require(c, !excess, field, "a control that must be 0");
}

static bool check_cr3_targets(struct check *c)
{
	u64 misc = capability(c->caps12, MSR_IA32_VMX_MISC);
	u64 limit = (misc & VMX_MISC_CR3_TARGETS) >> VMX_MISC_CR3_TARGETS_SHIFT;

	return require(c, check_get(c, F_cr3_target_count) <= limit, F_cr3_target_count, "CR3-target count");
}

static bool check_bitmaps(struct check *c)
{
	if (check_uses(c, CONTROLS_proc, PROC_use_io_bitmaps) &&
	    !(check_page(c, F_address_of_io_bitmap_a) && check_page(c, F_address_of_io_bitmap_b)))
		return false;
	return !check_uses(c, CONTROLS_proc, PROC_use_msr_bitmaps) || check_page(c, F_address_of_msr_bitmaps);
}

#define TPR_THRESHOLD BITS(3, 0)
#define PROC2_ON_TPR_SHADOW (PROC2_virtualize_x2apic_mode | PROC2_apic_register_virtualization | \
			     PROC2_virtual_interrupt_delivery)

static bool check_tpr_shadow(struct check *c)
{
	bool delivery = check_uses(c, CONTROLS_proc2, PROC2_virtual_interrupt_delivery);
	u64 threshold = check_get(c, F_tpr_threshold);

	if (!check_uses(c, CONTROLS_proc, PROC_use_tpr_shadow))
		return require(c, !check_uses(c, CONTROLS_proc2, PROC2_ON_TPR_SHADOW),
			       F_secondary_processor_based_controls,
			       "x2APIC mode, register virtualization and interrupt delivery need use_tpr_shadow");
	return check_page(c, F_virtual_apic_address) &&
	       require(c, delivery || !(threshold & ~TPR_THRESHOLD), F_tpr_threshold, "TPR threshold above 15") &&
	       require(c, !delivery || check_uses(c, CONTROLS_pin, PIN_external_interrupt_exiting),
		       F_pin_based_controls, "virtual_interrupt_delivery needs external_interrupt_exiting");
}

static bool check_nmi(struct check *c)
{
	bool nmi = check_uses(c, CONTROLS_pin, PIN_nmi_exiting);
	bool virtual_nmis = check_uses(c, CONTROLS_pin, PIN_virtual_nmis);
	bool window = check_uses(c, CONTROLS_proc, PROC_nmi_window_exiting);

	return require(c, !virtual_nmis || nmi, F_pin_based_controls, "virtual_nmis needs nmi_exiting") &&
	       require(c, !window || virtual_nmis, F_primary_processor_based_controls,
		       "nmi_window_exiting needs virtual_nmis");
}

static bool check_apic_accesses(struct check *c)
{
	if (!check_uses(c, CONTROLS_proc2, PROC2_virtualize_apic_accesses))
		return true;
	return check_page(c, F_apic_access_address) &&
	       require(c, !check_uses(c, CONTROLS_proc2, PROC2_virtualize_x2apic_mode),
		       F_secondary_processor_based_controls,
		       "virtualize_x2apic_mode excludes virtualize_apic_accesses");
}

static bool check_vpid(struct check *c)
{
	enum vmcs_field field = F_virtual_processor_identifier;

	if (!check_uses(c, CONTROLS_proc2, PROC2_enable_vpid))
		return true;
	return require(c, check_get(c, field), field, "VPID 0");
}

/* What works on EPT12; all of it is L0's to emulate. */
#define PROC2_ON_EPT (PROC2_unrestricted_guest | PROC2_enable_pml | PROC2_sub_page_write_permissions)

static bool check_vm_functions(struct check *c)
{
	u64 functions = check_get(c, F_vm_function_controls);

	if (!check_uses(c, CONTROLS_proc2, PROC2_enable_vm_functions))
		return true;
	if (!require(c, !(functions & ~capability(c->caps12, MSR_IA32_VMX_VMFUNC)), F_vm_function_controls,
		     "a VM function that is not there"))
		return false;
	return !(functions & VMFUNC_eptp_switching) ||
	       (require(c, check_uses(c, CONTROLS_proc2, PROC2_enable_ept), F_vm_function_controls,
			"EPTP switching needs enable_ept") && check_page(c, F_eptp_list_address));
}

static bool check_vmcs_shadowing(struct check *c)
{
	return !check_uses(c, CONTROLS_proc2, PROC2_vmcs_shadowing) ||
	       (check_page(c, F_vmread_bitmap_address) && check_page(c, F_vmwrite_bitmap_address));
}

static bool check_ept_helpers(struct check *c)
{
	bool ve = check_uses(c, CONTROLS_proc2, PROC2_ept_violation_ve);

	if (check_uses(c, CONTROLS_proc2, PROC2_enable_pml) && !check_page(c, F_pml_address))
		return false;
	if (ve && !check_page(c, F_virtualization_exception_information_address))
		return false;
	return !check_uses(c, CONTROLS_proc2, PROC2_sub_page_write_permissions) ||
	       check_page(c, F_sub_page_permission_table_pointer);
}

static bool check_ept(struct check *c)
{
	u64 capabilities = capability(c->caps12, MSR_IA32_VMX_EPT_VPID_CAP);

	if (!check_uses(c, CONTROLS_proc2, PROC2_enable_ept))
		return require(c, !check_uses(c, CONTROLS_proc2, PROC2_ON_EPT),
			       F_secondary_processor_based_controls, "unrestricted_guest, PML and sub-pages need EPT");
	return require(c, eptp_valid(check_get(c, F_ept_pointer), capabilities, c->caps12->maxphyaddr),
		       F_ept_pointer, "EPT pointer");
}

static bool check_tsc_scaling(struct check *c)
{
	return !check_uses(c, CONTROLS_proc2, PROC2_use_tsc_scaling) ||
	       require(c, check_get(c, F_tsc_multiplier), F_tsc_multiplier, "TSC multiplier 0");
}

/* SDM "VM-Execution Control Fields" under "Checks on VMX Controls". */
static bool check_execution_controls(struct check *c)
{
	return check_reserved(c, CONTROLS_pin) && check_reserved(c, CONTROLS_proc) &&
	       check_reserved(c, CONTROLS_proc2) && check_cr3_targets(c) && check_bitmaps(c) &&
	       check_tpr_shadow(c) && check_nmi(c) && check_apic_accesses(c) && check_vpid(c) && check_ept(c) &&
	       check_vm_functions(c) && check_vmcs_shadowing(c) && check_ept_helpers(c) && check_tsc_scaling(c);
}

static bool check_msr_list(struct check *c, enum vmcs_field count, enum vmcs_field address)
{
	u64 first = check_get(c, address), size = check_get(c, count) * sizeof(struct vmx_msr_entry);

	if (!size)
		return true;
	return require(c, IS_ALIGNED(first, sizeof(struct vmx_msr_entry)), address, "16-byte alignment") &&
	       require(c, fits_width(c, first), address, "physical-address width") &&
	       require(c, fits_width(c, first + size - 1), address, "physical-address width of the end");
}

/* SDM "VM-Exit Control Fields" under "Checks on VMX Controls". */
static bool check_exit_controls(struct check *c)
{
	bool timer = check_uses(c, CONTROLS_pin, PIN_activate_vmx_preemption_timer);
	bool saves = check_uses(c, CONTROLS_exit, EXIT_save_vmx_preemption_timer_value);

	return check_reserved(c, CONTROLS_exit) &&
	       require(c, timer || !saves, F_primary_vm_exit_controls,
		       "save_vmx_preemption_timer_value needs activate_vmx_preemption_timer") &&
	       check_msr_list(c, F_vm_exit_msr_store_count, F_vm_exit_msr_store_address) &&
	       check_msr_list(c, F_vm_exit_msr_load_count, F_vm_exit_msr_load_address);
}

#define INTR_TYPE_RESERVED 1
#define INJECTED_ERROR_CODE BITS(15, 0)
#define INJECTED_LENGTH_MAX 15

static enum interruption_type injected_type(u32 information)
{
	return (enum interruption_type)((information & INTR_TYPE) >> INTR_TYPE_SHIFT);
}

static bool type_is_known(const struct check *c, u32 information)
{
	u32 type = injected_type(information);

	if (type == INTR_other_event)
		return controls_allowed(c->caps12, CONTROLS_proc) & PROC_monitor_trap_flag;
	return type != INTR_TYPE_RESERVED;
}

static bool vector_suits_type(u32 information)
{
	u32 vector = information & INTR_VECTOR;

	switch (injected_type(information)) {
	case INTR_nmi:
		return vector == VECTOR_NMI;
	case INTR_hardware_exception:
		return vector < EXCEPTION_VECTORS;
	case INTR_other_event:
		return vector == 0;
	default:
		return true;
	}
}

/* SDM "Interrupt and Exception Vectors": those that push an error code, as VMX counts them. */
static bool vector_has_error_code(u32 vector)
{
	const u32 vectors = BIT(VECTOR_DF) | BIT(VECTOR_TS) | BIT(VECTOR_NP) | BIT(VECTOR_SS) |
			    BIT(VECTOR_GP) | BIT(VECTOR_PF) | BIT(VECTOR_AC);

	return vectors >> vector & 1;
}

static bool error_code_suits(const struct check *c, u32 information)
{
	bool delivers = information & INTR_ERROR_CODE;

	if (injected_type(information) != INTR_hardware_exception || !(check_get(c, F_guest_cr0) & CR0_PE))
		return !delivers;
	if (capability(c->caps12, MSR_IA32_VMX_BASIC) & VMX_BASIC_ANY_EXCEPTION_ERROR_CODE)
		return true;
	return delivers == vector_has_error_code(information & INTR_VECTOR);
}

static bool length_suits(const struct check *c, u32 information)
{
	bool zero = capability(c->caps12, MSR_IA32_VMX_MISC) & VMX_MISC_ZERO_LENGTH_INJECTION;
	u64 length = check_get(c, F_vm_entry_instruction_length);

	switch (injected_type(information)) {
	case INTR_software_interrupt:
	case INTR_privileged_software_exception:
	case INTR_software_exception:
		return length <= INJECTED_LENGTH_MAX && (length || zero);
	default:
		return true;
	}
}

static bool check_injection(struct check *c)
{
	enum vmcs_field field = F_vm_entry_interruption_information;
	u32 information = (u32)check_get(c, field);
	u64 error_code = check_get(c, F_vm_entry_exception_error_code);

	if (LIKELY(!(information & INTR_VALID)))
		return true;
	return require(c, type_is_known(c, information), field, "type of event") &&
	       require(c, vector_suits_type(information), field, "vector of this type") &&
	       require(c, error_code_suits(c, information), field, "whether there is an error code") &&
	       require(c, !(information & INTR_RESERVED_ENTRY), field, "reserved bits") &&
	       require(c, !(information & INTR_ERROR_CODE) || !(error_code & ~INJECTED_ERROR_CODE),
		       F_vm_entry_exception_error_code, "reserved bits") &&
	       require(c, length_suits(c, information), F_vm_entry_instruction_length, "instruction length");
}

/*
 * SDM "VM-Entry Control Fields" under "Checks on VMX Controls". The rules on SMM are among the
 * reserved bits, because L1 is offered neither of its controls.
 */
static bool check_entry_controls(struct check *c)
{
	return check_reserved(c, CONTROLS_entry) && check_injection(c) &&
	       check_msr_list(c, F_vm_entry_msr_load_count, F_vm_entry_msr_load_address);
}

struct entry_verdict entry_check_event(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12)
{
	struct check c = { .vmcs12 = vmcs12, .caps12 = caps12 };
	bool passed = check_injection(&c);

	return verdict(&c, passed, ENTRY_vmfail, VMERR_entry_invalid_control_fields);
}

struct entry_verdict entry_check_windows(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12)
{
	struct check c = { .vmcs12 = vmcs12, .caps12 = caps12 };
	bool passed = check_reserved(&c, CONTROLS_proc) && check_nmi(&c);

	return verdict(&c, passed, ENTRY_vmfail, VMERR_entry_invalid_control_fields);
}

struct entry_verdict entry_check_controls(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12)
{
	struct check c = { .vmcs12 = vmcs12, .caps12 = caps12 };
	bool passed = check_execution_controls(&c) && check_exit_controls(&c) && check_entry_controls(&c);

	return verdict(&c, passed, ENTRY_vmfail, VMERR_entry_invalid_control_fields);
}

const union field_bits entry_check_event_fields = FIELD_SET_OF(
	.vm_entry_interruption_information = 1, .vm_entry_exception_error_code = 1, .vm_entry_instruction_length = 1);

const union field_bits entry_check_controls_fields = FIELD_SET_OF(
	.pin_based_controls = 1, .primary_processor_based_controls = 1,
	.secondary_processor_based_controls = 1,
	.cr3_target_count = 1, .address_of_io_bitmap_a = 1, .address_of_io_bitmap_b = 1,
	.address_of_msr_bitmaps = 1, .virtual_apic_address = 1, .tpr_threshold = 1, .apic_access_address = 1,
	.virtual_processor_identifier = 1, .ept_pointer = 1, .primary_vm_exit_controls = 1,
	.vm_exit_msr_store_count = 1, .vm_exit_msr_store_address = 1, .vm_exit_msr_load_count = 1,
	.vm_exit_msr_load_address = 1, .vm_entry_controls = 1, .vm_entry_msr_load_count = 1,
	.vm_entry_msr_load_address = 1, .vm_entry_interruption_information = 1,
	.vm_entry_exception_error_code = 1, .vm_entry_instruction_length = 1, .guest_cr0 = 1,
	.vm_function_controls = 1, .eptp_list_address = 1, .vmread_bitmap_address = 1,
	.vmwrite_bitmap_address = 1, .pml_address = 1,
	.virtualization_exception_information_address = 1, .sub_page_permission_table_pointer = 1,
	.tsc_multiplier = 1);
