#include "vmcs_shadow/capabilities.h"

#include "ept.h"
#include "vmcs_shadow/vmcs12.h"

/* SDM "Reserved Controls and Default Settings": the TRUE MSRs free bits that the others hold at 1. */
static const struct {
	enum msr_number msr, true_msr;
} group_msr[CONTROL_GROUPS] = {
	[CONTROLS_pin] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS },
	[CONTROLS_proc] = { MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS },
	[CONTROLS_proc2] = { MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2 },
	[CONTROLS_exit] = { MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS },
	[CONTROLS_entry] = { MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS },
};

static u64 controls_capability(const struct vmx_capabilities *caps, enum control_group group)
{
	bool has_true = capability(caps, MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS;

	return capability(caps, has_true ? group_msr[group].true_msr : group_msr[group].msr);
}

u32 controls_required(const struct vmx_capabilities *caps, enum control_group group)
{
	return (u32)controls_capability(caps, group);
}

u32 controls_allowed(const struct vmx_capabilities *caps, enum control_group group)
{
	return (u32)(controls_capability(caps, group) >> 32);
}

const struct vmx_policy vmx_policy_default = {
	.controls = {
		[CONTROLS_pin] = PIN_external_interrupt_exiting | PIN_nmi_exiting | PIN_virtual_nmis |
			PIN_activate_vmx_preemption_timer,
		[CONTROLS_proc] = PROC_interrupt_window_exiting | PROC_use_tsc_offsetting | PROC_hlt_exiting |
			PROC_invlpg_exiting | PROC_mwait_exiting | PROC_rdpmc_exiting | PROC_rdtsc_exiting |
			PROC_cr3_load_exiting | PROC_cr3_store_exiting | PROC_cr8_load_exiting |
			PROC_cr8_store_exiting | PROC_use_tpr_shadow | PROC_nmi_window_exiting |
			PROC_mov_dr_exiting | PROC_unconditional_io_exiting | PROC_use_io_bitmaps |
			PROC_monitor_trap_flag | PROC_use_msr_bitmaps | PROC_monitor_exiting |
			PROC_pause_exiting | PROC_activate_secondary_controls,
		[CONTROLS_proc2] = PROC2_virtualize_apic_accesses | PROC2_enable_ept |
			PROC2_descriptor_table_exiting | PROC2_enable_rdtscp | PROC2_virtualize_x2apic_mode |
			PROC2_enable_vpid | PROC2_wbinvd_exiting | PROC2_unrestricted_guest |
			PROC2_pause_loop_exiting | PROC2_rdrand_exiting | PROC2_enable_invpcid |
			PROC2_rdseed_exiting | PROC2_enable_xsaves_xrstors | PROC2_enable_user_wait_and_pause |
			PROC2_apic_register_virtualization | PROC2_virtual_interrupt_delivery |
			PROC2_enable_vm_functions | PROC2_vmcs_shadowing | PROC2_enable_pml |
			PROC2_ept_violation_ve | PROC2_sub_page_write_permissions | PROC2_use_tsc_scaling,
		[CONTROLS_exit] = EXIT_save_debug_controls | EXIT_host_address_space_size |
			EXIT_acknowledge_interrupt_on_exit | EXIT_save_ia32_pat | EXIT_load_ia32_pat |
			EXIT_save_ia32_efer | EXIT_load_ia32_efer | EXIT_save_vmx_preemption_timer_value |
			EXIT_load_cet_state,
		[CONTROLS_entry] = ENTRY_load_debug_controls | ENTRY_ia32e_mode_guest | ENTRY_load_ia32_pat |
			ENTRY_load_ia32_efer | ENTRY_load_cet_state,
	},
	.ept_vpid = EPT_CAP_EXECUTE_ONLY | EPT_CAP_WALK_4 | EPT_CAP_UC | EPT_CAP_WB | EPT_CAP_2M |
		EPT_CAP_1G | EPT_CAP_INVEPT | EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_GLOBAL |
		EPT_CAP_ACCESSED_DIRTY |
		VPID_CAP_INVVPID | VPID_CAP_INVVPID_INDIVIDUAL | VPID_CAP_INVVPID_SINGLE |
		VPID_CAP_INVVPID_ALL | VPID_CAP_INVVPID_RETAINING_GLOBALS,
	/*
	 * VMWRITE_ANY costs L0 nothing, as exit information is memory of its own. SMM stays the
	 * platform's, so all that misc says of it goes, the MSEG revision in the high half included.
	 */
	.misc = VMX_MISC_PREEMPTION_TIMER_RATE | VMX_MISC_EFER_LMA_STORED | VMX_MISC_ACTIVITY_HLT |
		VMX_MISC_ACTIVITY_SHUTDOWN | VMX_MISC_ACTIVITY_WAIT_FOR_SIPI | VMX_MISC_CR3_TARGETS |
		VMX_MISC_MSR_LIST | VMX_MISC_VMWRITE_ANY | VMX_MISC_ZERO_LENGTH_INJECTION,
};

struct control {
	enum control_group group;
	u32 bit;
};

/*
 * A control is of use only with another; SDM "Checks on VMX Controls". Chains stand in their order.
 */
static const struct {
	struct control control, needs;
} control_needs[] = {
	{ { CONTROLS_pin, PIN_virtual_nmis }, { CONTROLS_pin, PIN_nmi_exiting } },
	{ { CONTROLS_proc, PROC_nmi_window_exiting }, { CONTROLS_pin, PIN_virtual_nmis } },
	{ { CONTROLS_exit, EXIT_save_vmx_preemption_timer_value },
	  { CONTROLS_pin, PIN_activate_vmx_preemption_timer } },
	{ { CONTROLS_proc2, PROC2_virtualize_x2apic_mode }, { CONTROLS_proc, PROC_use_tpr_shadow } },
	{ { CONTROLS_proc2, PROC2_apic_register_virtualization }, { CONTROLS_proc, PROC_use_tpr_shadow } },
	{ { CONTROLS_proc2, PROC2_virtual_interrupt_delivery }, { CONTROLS_proc, PROC_use_tpr_shadow } },
	{ { CONTROLS_proc2, PROC2_virtual_interrupt_delivery }, { CONTROLS_pin, PIN_external_interrupt_exiting } },
	{ { CONTROLS_proc2, PROC2_enable_vm_functions }, { CONTROLS_proc2, PROC2_enable_ept } },
	{ { CONTROLS_proc2, PROC2_enable_pml }, { CONTROLS_proc2, PROC2_enable_ept } },
	{ { CONTROLS_proc2, PROC2_ept_violation_ve }, { CONTROLS_proc2, PROC2_enable_ept } },
	{ { CONTROLS_proc2, PROC2_sub_page_write_permissions }, { CONTROLS_proc2, PROC2_enable_ept } },
	{ { CONTROLS_proc2, PROC2_use_tsc_scaling }, { CONTROLS_proc, PROC_use_tsc_offsetting } },
	{ { CONTROLS_proc2, PROC2_unrestricted_guest }, { CONTROLS_proc2, PROC2_enable_ept } },
	/* Not by the SDM: what an exit loads for L1, L0 has vmcs01 load at an entry. */
	{ { CONTROLS_exit, EXIT_load_cet_state }, { CONTROLS_entry, ENTRY_load_cet_state } },
};

/* SDM "Field Encoding in VMCS", the notes to its tables: fields that exist only with a control. */
static const struct {
	struct control control;
	union field_bits fields;
} control_fields[] = {
	{ { CONTROLS_pin, PIN_activate_vmx_preemption_timer },
	  FIELD_SET_OF(.vmx_preemption_timer_value = 1) },
	{ { CONTROLS_proc, PROC_use_tpr_shadow },
	  FIELD_SET_OF(.virtual_apic_address = 1, .tpr_threshold = 1) },
	{ { CONTROLS_proc, PROC_use_msr_bitmaps }, FIELD_SET_OF(.address_of_msr_bitmaps = 1) },
	{ { CONTROLS_proc, PROC_activate_secondary_controls },
	  FIELD_SET_OF(.secondary_processor_based_controls = 1) },
	{ { CONTROLS_proc2, PROC2_virtualize_apic_accesses }, FIELD_SET_OF(.apic_access_address = 1) },
	{ { CONTROLS_proc2, PROC2_enable_ept },
	  FIELD_SET_OF(.ept_pointer = 1, .guest_physical_address = 1, .guest_pdpte0 = 1, .guest_pdpte1 = 1,
		       .guest_pdpte2 = 1, .guest_pdpte3 = 1) },
	{ { CONTROLS_proc2, PROC2_enable_vpid }, FIELD_SET_OF(.virtual_processor_identifier = 1) },
	{ { CONTROLS_proc2, PROC2_pause_loop_exiting }, FIELD_SET_OF(.ple_gap = 1, .ple_window = 1) },
	{ { CONTROLS_proc2, PROC2_enable_xsaves_xrstors }, FIELD_SET_OF(.xss_exiting_bitmap = 1) },
	{ { CONTROLS_proc2, PROC2_virtual_interrupt_delivery },
	  FIELD_SET_OF(.guest_interrupt_status = 1, .eoi_exit_bitmap_0 = 1, .eoi_exit_bitmap_1 = 1,
		       .eoi_exit_bitmap_2 = 1, .eoi_exit_bitmap_3 = 1) },
	{ { CONTROLS_proc2, PROC2_enable_vm_functions },
	  FIELD_SET_OF(.vm_function_controls = 1, .eptp_list_address = 1) },
	{ { CONTROLS_proc2, PROC2_enable_pml }, FIELD_SET_OF(.pml_address = 1, .pml_index = 1) },
	{ { CONTROLS_proc2, PROC2_ept_violation_ve },
	  FIELD_SET_OF(.virtualization_exception_information_address = 1, .eptp_index = 1) },
	{ { CONTROLS_proc2, PROC2_sub_page_write_permissions },
	  FIELD_SET_OF(.sub_page_permission_table_pointer = 1) },
	{ { CONTROLS_proc2, PROC2_use_tsc_scaling }, FIELD_SET_OF(.tsc_multiplier = 1) },
	{ { CONTROLS_proc2, PROC2_vmcs_shadowing },
	  FIELD_SET_OF(.vmread_bitmap_address = 1, .vmwrite_bitmap_address = 1) },
	{ { CONTROLS_exit, EXIT_save_ia32_pat }, FIELD_SET_OF(.guest_ia32_pat = 1) },
	{ { CONTROLS_entry, ENTRY_load_ia32_pat }, FIELD_SET_OF(.guest_ia32_pat = 1) },
	{ { CONTROLS_exit, EXIT_load_ia32_pat }, FIELD_SET_OF(.host_ia32_pat = 1) },
	{ { CONTROLS_exit, EXIT_save_ia32_efer }, FIELD_SET_OF(.guest_ia32_efer = 1) },
	{ { CONTROLS_entry, ENTRY_load_ia32_efer }, FIELD_SET_OF(.guest_ia32_efer = 1) },
	{ { CONTROLS_exit, EXIT_load_ia32_efer }, FIELD_SET_OF(.host_ia32_efer = 1) },
	{ { CONTROLS_entry, ENTRY_load_cet_state },
	  FIELD_SET_OF(.guest_ia32_s_cet = 1, .guest_ssp = 1, .guest_ia32_interrupt_ssp_table_addr = 1) },
	{ { CONTROLS_exit, EXIT_load_cet_state },
	  FIELD_SET_OF(.host_ia32_s_cet = 1, .host_ssp = 1, .host_ia32_interrupt_ssp_table_addr = 1) },
};

/* Fields without an effect under L0 belong to controls that no policy can offer, but for one. */
static const union field_bits fields_of_l0 = { .has = {
#define F(name, encoding, use, hot) .name = USE_##use != USE_NONE || F_##name == F_executive_vmcs_pointer,
#include "vmcs_fields.def"
#undef F
} };

/* Policy without the controls that would lack what they need. */
static struct vmx_policy policy_on(const struct vmx_capabilities *host, const struct vmx_policy *policy)
{
	struct vmx_policy wish = *policy;

	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		wish.controls[group] &= controls_allowed(host, (enum control_group)group);
	if (!(wish.controls[CONTROLS_proc] & PROC_activate_secondary_controls))
		wish.controls[CONTROLS_proc2] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(control_needs); i++) {
		const struct control *needs = &control_needs[i].needs, *control = &control_needs[i].control;

		if (!(wish.controls[needs->group] & needs->bit))
			wish.controls[control->group] &= ~control->bit;
	}
	/* L2 may write whatever field of a shadow VMCS, and L0 has to put L1's values there. */
	if (!(capability(host, MSR_IA32_VMX_MISC) & wish.misc & VMX_MISC_VMWRITE_ANY))
		wish.controls[CONTROLS_proc2] &= ~(u32)PROC2_vmcs_shadowing;
	if (!wish.controls[CONTROLS_proc2])
		wish.controls[CONTROLS_proc] &= ~(u32)PROC_activate_secondary_controls;
	return wish;
}

/* What the host demands stays demanded, and so allowed. */
static u64 restrict_controls(u64 host, u32 wish)
{
	u32 required = (u32)host;
	u32 allowed = ((u32)(host >> 32) & wish) | required;

	return (u64)allowed << 32 | required;
}

static u64 *capability_msr(struct vmx_capabilities *caps, enum msr_number msr)
{
	return &caps->msr[msr - MSR_VMX_FIRST];
}

static void remove_msr(struct vmx_capabilities *caps, enum msr_number msr)
{
	*capability_msr(caps, msr) = 0;
	caps->present &= ~(u32)BIT(msr - MSR_VMX_FIRST);
}

static void offer_controls(struct vmx_capabilities *caps12, const struct vmx_capabilities *host,
			   const struct vmx_policy *wish)
{
	for (unsigned group = 0; group < CONTROL_GROUPS; group++) {
		enum msr_number msr = group_msr[group].msr, true_msr = group_msr[group].true_msr;

		*capability_msr(caps12, msr) =
			restrict_controls(capability(host, msr), wish->controls[group]);
		*capability_msr(caps12, true_msr) =
			restrict_controls(capability(host, true_msr), wish->controls[group]);
	}
}

/* SDM "Basic VMX Information". The region holds L0's image; SMM and its monitor stay out of L1's reach. */
static u64 basic_for_l1(u64 host)
{
	u64 size = (host & VMX_BASIC_REGION_SIZE) >> VMX_BASIC_REGION_SIZE_SHIFT;

	if (size < VMCS12_IMAGE_SIZE)
		size = PAGE_SIZE;
	return (host & (VMX_BASIC_REVISION | VMX_BASIC_INS_OUTS_INFORMATION | VMX_BASIC_TRUE_CONTROLS |
			VMX_BASIC_ANY_EXCEPTION_ERROR_CODE)) |
	       size << VMX_BASIC_REGION_SIZE_SHIFT | (u64)MEMORY_WB << VMX_BASIC_MEMORY_TYPE_SHIFT;
}

static u64 ept_vpid_for_l1(u64 host, const struct vmx_policy *wish)
{
	u64 offered = 0;

	if (wish->controls[CONTROLS_proc2] & PROC2_enable_ept)
		offered |= BITS(31, 0);
	if (wish->controls[CONTROLS_proc2] & PROC2_enable_vpid)
		offered |= BITS(63, 32);
	return host & wish->ept_vpid & offered;
}

/* Of these fields, those that exist with these controls. */
static struct field_set fields_given(const struct field_set *fields, const u32 controls[CONTROL_GROUPS])
{
	struct field_set conditional = { { 0 } }, offered = { { 0 } }, given;

	for (unsigned i = 0; i < ARRAY_SIZE(control_fields); i++) {
		field_set_unite(&conditional, &control_fields[i].fields.set);
		if (controls[control_fields[i].control.group] & control_fields[i].control.bit)
			field_set_unite(&offered, &control_fields[i].fields.set);
	}
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		given.word[i] = fields->word[i] & (~conditional.word[i] | offered.word[i]);
	return given;
}

static struct field_set fields_for_l1(const struct field_set *host, const struct vmx_policy *wish)
{
	struct field_set fields = fields_given(host, wish->controls);

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		fields.word[i] &= fields_of_l0.set.word[i];
	return fields;
}

void capabilities_limit_fields(struct vmx_capabilities *host)
{
	u32 controls[CONTROL_GROUPS];

	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		controls[group] = controls_allowed(host, (enum control_group)group);
	host->fields = fields_given(&host->fields, controls);
}

/* SDM "VMCS Enumeration": the highest index of any encoding, in the place that it has in encodings. */
static u64 vmcs_enum_of(const struct field_set *fields)
{
	struct field_set rest = *fields;
	enum vmcs_field field;
	u64 highest = 0;

	while ((field = field_set_take(&rest)) != VMCS_FIELDS)
		if (VMCS_ENCODING_INDEX(vmcs_field[field].encoding) > highest)
			highest = VMCS_ENCODING_INDEX(vmcs_field[field].encoding);
	return highest << 1;
}

void capabilities_for_l1(struct vmx_capabilities *caps12, const struct vmx_capabilities *host,
			 const struct vmx_policy *policy)
{
	struct vmx_policy wish = policy_on(host, policy);
	u64 ept_vpid = ept_vpid_for_l1(capability(host, MSR_IA32_VMX_EPT_VPID_CAP), &wish);

	*caps12 = *host;
	*capability_msr(caps12, MSR_IA32_VMX_BASIC) = basic_for_l1(capability(host, MSR_IA32_VMX_BASIC));
	*capability_msr(caps12, MSR_IA32_VMX_MISC) &= wish.misc;
	offer_controls(caps12, host, &wish);
	*capability_msr(caps12, MSR_IA32_VMX_EPT_VPID_CAP) = ept_vpid;
	if (!wish.controls[CONTROLS_proc2])
		remove_msr(caps12, MSR_IA32_VMX_PROCBASED_CTLS2);
	if (!(wish.controls[CONTROLS_proc2] & (PROC2_enable_ept | PROC2_enable_vpid)))
		remove_msr(caps12, MSR_IA32_VMX_EPT_VPID_CAP);
	*capability_msr(caps12, MSR_IA32_VMX_VMFUNC) &= VMFUNC_eptp_switching;
	if (!(wish.controls[CONTROLS_proc2] & PROC2_enable_vm_functions))
		remove_msr(caps12, MSR_IA32_VMX_VMFUNC);
	remove_msr(caps12, MSR_IA32_VMX_PROCBASED_CTLS3);
	remove_msr(caps12, MSR_IA32_VMX_EXIT_CTLS2);
	caps12->fields = fields_for_l1(&host->fields, &wish);
	*capability_msr(caps12, MSR_IA32_VMX_VMCS_ENUM) = vmcs_enum_of(&caps12->fields);
}

/* vmcs01 and vmcs02 both use these. An unrestricted guest is what L1 starts as. */
static const struct named_control {
	struct control control;
	const char *name;
} needed_controls[] = {
	{ { CONTROLS_proc, PROC_activate_secondary_controls }, "activate_secondary_controls" },
	{ { CONTROLS_proc, PROC_use_io_bitmaps }, "use_io_bitmaps" },
	{ { CONTROLS_proc, PROC_use_msr_bitmaps }, "use_msr_bitmaps" },
	{ { CONTROLS_proc2, PROC2_enable_ept }, "enable_ept" },
	{ { CONTROLS_proc2, PROC2_unrestricted_guest }, "unrestricted_guest" },
	{ { CONTROLS_exit, EXIT_host_address_space_size }, "host_address_space_size" },
	{ { CONTROLS_exit, EXIT_save_ia32_pat }, "save_ia32_pat" },
	{ { CONTROLS_exit, EXIT_load_ia32_pat }, "load_ia32_pat (exit)" },
	{ { CONTROLS_exit, EXIT_save_ia32_efer }, "save_ia32_efer" },
	{ { CONTROLS_exit, EXIT_load_ia32_efer }, "load_ia32_efer (exit)" },
	{ { CONTROLS_entry, ENTRY_ia32e_mode_guest }, "ia32e_mode_guest" },
	{ { CONTROLS_entry, ENTRY_load_ia32_pat }, "load_ia32_pat (entry)" },
	{ { CONTROLS_entry, ENTRY_load_ia32_efer }, "load_ia32_efer (entry)" },
};

static const struct named_bit {
	u64 bit;
	const char *name;
} needed_ept[] = {
	{ EPT_CAP_WALK_4, "EPT page-walk length 4" },
	{ EPT_CAP_WB, "EPT memory type WB" },
	{ EPT_CAP_INVEPT, "INVEPT" },
	{ EPT_CAP_INVEPT_SINGLE, "INVEPT single-context" },
	{ EPT_CAP_INVEPT_GLOBAL, "INVEPT global" },
};

static bool has_control(const struct vmx_capabilities *host, const struct control *control)
{
	return controls_allowed(host, control->group) & control->bit;
}

const char *capabilities_missing(const struct vmx_capabilities *host)
{
	for (unsigned i = 0; i < ARRAY_SIZE(needed_controls); i++)
		if (!has_control(host, &needed_controls[i].control))
			return needed_controls[i].name;
	for (unsigned i = 0; i < ARRAY_SIZE(needed_ept); i++)
		if (!(capability(host, MSR_IA32_VMX_EPT_VPID_CAP) & needed_ept[i].bit))
			return needed_ept[i].name;
	return NULL;
}

/* What L0 uses or offers to L1 where it is. */
static const struct named_control wanted_controls[] = {
	{ { CONTROLS_pin, PIN_virtual_nmis }, "virtual_nmis" },
	{ { CONTROLS_pin, PIN_activate_vmx_preemption_timer }, "activate_vmx_preemption_timer" },
	{ { CONTROLS_proc, PROC_monitor_trap_flag }, "monitor_trap_flag" },
	{ { CONTROLS_proc2, PROC2_enable_vpid }, "enable_vpid" },
	{ { CONTROLS_proc2, PROC2_vmcs_shadowing }, "vmcs_shadowing" },
	{ { CONTROLS_proc2, PROC2_virtualize_apic_accesses }, "virtualize_apic_accesses" },
	{ { CONTROLS_proc2, PROC2_virtualize_x2apic_mode }, "virtualize_x2apic_mode" },
	{ { CONTROLS_proc2, PROC2_apic_register_virtualization }, "apic_register_virtualization" },
	{ { CONTROLS_proc2, PROC2_virtual_interrupt_delivery }, "virtual_interrupt_delivery" },
	{ { CONTROLS_proc2, PROC2_use_tsc_scaling }, "use_tsc_scaling" },
};

static const struct named_bit wanted_ept[] = {
	{ EPT_CAP_2M, "EPT 2 MiB pages" },
	{ EPT_CAP_1G, "EPT 1 GiB pages" },
	{ EPT_CAP_EXECUTE_ONLY, "EPT execute-only" },
	{ EPT_CAP_ACCESSED_DIRTY, "EPT accessed and dirty flags" },
};

const char *capabilities_next_lacked(const struct vmx_capabilities *host, unsigned *next)
{
	while (*next < ARRAY_SIZE(wanted_controls)) {
		const struct named_control *wanted = &wanted_controls[(*next)++];

		if (!has_control(host, &wanted->control))
			return wanted->name;
	}
	while (*next < ARRAY_SIZE(wanted_controls) + ARRAY_SIZE(wanted_ept)) {
		const struct named_bit *wanted = &wanted_ept[(*next)++ - ARRAY_SIZE(wanted_controls)];

		if (!(capability(host, MSR_IA32_VMX_EPT_VPID_CAP) & wanted->bit))
			return wanted->name;
	}
	return NULL;
}
