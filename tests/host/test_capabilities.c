#include <string.h>

#include "ept.h"
#include "host_test.h"
#include "vmx_fake.h"

static struct vmx_capabilities offer(const struct vmx_capabilities *host, const struct vmx_policy *policy)
{
	struct vmx_capabilities caps12;

	capabilities_for_l1(&caps12, host, policy);
	return caps12;
}

/* What L0 says in its documents that it offers, written a second time. */
static const struct {
	u32 offered, withheld;
} expected[CONTROL_GROUPS] = {
	[CONTROLS_pin] = { 0x69, 0x80 },
	[CONTROLS_proc] = { 0xfbf99e8c, 0x00020000 },
	[CONTROLS_proc2] = { 0x06977fff, 0x79688000 },
	[CONTROLS_exit] = { 0x107c8204, 0x8f801000 },
	[CONTROLS_entry] = { 0x0010c204, 0x006f2c00 },
};

static void l1_is_offered_what_l0_implements(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < CONTROL_GROUPS; i++) {
		enum control_group group = (enum control_group)i;
		u32 allowed = controls_allowed(&caps12, group);

		assert_int_equal(allowed & expected[i].offered, expected[i].offered);
		assert_int_equal(allowed & expected[i].withheld, 0);
		assert_int_equal(allowed & fake_required[i], fake_required[i]);
		assert_int_equal(controls_required(&caps12, group), fake_required[i]);
	}
}

static void a_control_that_the_host_lacks_is_not_offered(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CONTROL_GROUPS; i++)
		for (unsigned bit = 0; bit < 32; bit++) {
			enum control_group group = (enum control_group)i;
			struct vmx_capabilities host = fake_host(), caps12;

			if (fake_required[i] >> bit & 1)
				continue;
			fake_allow(&host, group, controls_allowed(&host, group) & ~(u32)BIT(bit));
			caps12 = offer(&host, &vmx_policy_default);
			assert_int_equal(controls_allowed(&caps12, group) >> bit & 1, 0);
		}
}

static void a_control_outside_policy_is_not_offered_unless_required(void **state)
{
	struct vmx_capabilities host = fake_host();

	(void)state;
	for (unsigned i = 0; i < CONTROL_GROUPS; i++)
		for (unsigned bit = 0; bit < 32; bit++) {
			struct vmx_policy policy = vmx_policy_default;
			struct vmx_capabilities caps12;

			policy.controls[i] &= ~(u32)BIT(bit);
			caps12 = offer(&host, &policy);
			assert_int_equal(controls_allowed(&caps12, (enum control_group)i) >> bit & 1,
					 fake_required[i] >> bit & 1);
		}
}

static void controls_that_lack_what_they_need_go_with_it(void **state)
{
	static const struct {
		enum control_group group;
		u32 gone;
		enum control_group with;
		u32 also_gone;
	} cases[] = {
		{ CONTROLS_pin, PIN_nmi_exiting, CONTROLS_pin, PIN_virtual_nmis },
		{ CONTROLS_pin, PIN_nmi_exiting, CONTROLS_proc, PROC_nmi_window_exiting },
		{ CONTROLS_pin, PIN_virtual_nmis, CONTROLS_proc, PROC_nmi_window_exiting },
		{ CONTROLS_pin, PIN_activate_vmx_preemption_timer, CONTROLS_exit,
		  EXIT_save_vmx_preemption_timer_value },
		{ CONTROLS_proc, PROC_use_tpr_shadow, CONTROLS_proc2,
		  PROC2_virtualize_x2apic_mode | PROC2_apic_register_virtualization |
		  PROC2_virtual_interrupt_delivery },
		{ CONTROLS_pin, PIN_external_interrupt_exiting, CONTROLS_proc2, PROC2_virtual_interrupt_delivery },
		{ CONTROLS_proc, PROC_use_tsc_offsetting, CONTROLS_proc2, PROC2_use_tsc_scaling },
		{ CONTROLS_proc2, PROC2_enable_ept, CONTROLS_proc2,
		  PROC2_unrestricted_guest | PROC2_enable_vm_functions | PROC2_enable_pml | PROC2_ept_violation_ve },
		{ CONTROLS_proc, (u32)PROC_activate_secondary_controls, CONTROLS_proc2, ~0u },
		{ CONTROLS_proc2, ~0u, CONTROLS_proc, (u32)PROC_activate_secondary_controls },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmx_capabilities host = fake_host(), caps12;
		struct vmx_policy policy = vmx_policy_default;

		policy.controls[cases[i].group] &= ~cases[i].gone;
		caps12 = offer(&host, &policy);
		assert_int_equal(controls_allowed(&caps12, cases[i].with) & cases[i].also_gone, 0);
		fake_allow(&host, cases[i].group,
			   (controls_allowed(&host, cases[i].group) & ~cases[i].gone) |
				   fake_default1[cases[i].group]);
		caps12 = offer(&host, &vmx_policy_default);
		assert_int_equal(controls_allowed(&caps12, cases[i].with) & cases[i].also_gone, 0);
	}
}

/* L2 may write any field of a shadow VMCS, so L0 has to write any field of the CPU's. */
static void shadowing_is_offered_where_any_field_can_be_written(void **state)
{
	struct vmx_capabilities host = fake_host(), caps12 = offer(&host, &vmx_policy_default);
	struct vmx_policy policy = vmx_policy_default;

	(void)state;
	assert_int_not_equal(controls_allowed(&caps12, CONTROLS_proc2) & PROC2_vmcs_shadowing, 0);
	policy.misc &= ~VMX_MISC_VMWRITE_ANY;
	caps12 = offer(&host, &policy);
	assert_int_equal(controls_allowed(&caps12, CONTROLS_proc2) & PROC2_vmcs_shadowing, 0);
	assert_false(field_set_has(&caps12.fields, F_vmread_bitmap_address));
	*fake_msr(&host, MSR_IA32_VMX_MISC) &= ~VMX_MISC_VMWRITE_ANY;
	caps12 = offer(&host, &vmx_policy_default);
	assert_int_equal(controls_allowed(&caps12, CONTROLS_proc2) & PROC2_vmcs_shadowing, 0);
}

/* SDM "Reserved Controls and Default Settings": the older MSRs never let a default1 bit be 0. */
static void the_older_msrs_keep_their_ones(void **state)
{
	static const struct {
		enum control_group group;
		enum msr_number msr, true_msr;
	} cases[] = {
		{ CONTROLS_pin, MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS },
		{ CONTROLS_proc, MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS },
		{ CONTROLS_exit, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS },
		{ CONTROLS_entry, MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 older = capability(&caps12, cases[i].msr), newer = capability(&caps12, cases[i].true_msr);

		assert_int_equal((u32)older, fake_default1[cases[i].group]);
		assert_int_equal((u32)newer, fake_required[cases[i].group]);
		assert_int_equal(older >> 32, newer >> 32 | fake_default1[cases[i].group]);
	}
}

static void without_true_msrs_the_older_ones_count(void **state)
{
	struct vmx_capabilities host = fake_host(), caps12;

	(void)state;
	*fake_msr(&host, MSR_IA32_VMX_BASIC) &= ~BIT(55);
	host.present &= ~0x1e000u;
	for (unsigned msr = MSR_IA32_VMX_TRUE_PINBASED_CTLS; msr <= MSR_IA32_VMX_TRUE_ENTRY_CTLS; msr++)
		*fake_msr(&host, (enum msr_number)msr) = 0;
	caps12 = offer(&host, &vmx_policy_default);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_BASIC) >> 55 & 1, 0);
	assert_false(capability_present(&caps12, MSR_IA32_VMX_TRUE_PINBASED_CTLS));
	assert_int_equal(controls_required(&caps12, CONTROLS_proc), fake_default1[CONTROLS_proc]);
	assert_int_equal(controls_allowed(&caps12, CONTROLS_proc) & expected[CONTROLS_proc].offered,
			 expected[CONTROLS_proc].offered);
	assert_null(capabilities_missing(&host));
}

static void basic_information_is_that_of_a_vmcs_in_l0(void **state)
{
	struct vmx_capabilities host = fake_host(), caps12 = fake_caps12();

	(void)state;
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_BASIC), 0x01d810000000002bull);
	*fake_msr(&host, MSR_IA32_VMX_BASIC) = 0x0003100000000123ull;
	caps12 = offer(&host, &vmx_policy_default);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_BASIC), 0x0018100000000123ull);
	*fake_msr(&host, MSR_IA32_VMX_BASIC) = 0x0000080000000001ull;
	caps12 = offer(&host, &vmx_policy_default);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_BASIC), 0x0018080000000001ull);
}

static void what_l1_need_not_know_is_left_out(void **state)
{
	struct vmx_capabilities host = fake_host(), caps12 = fake_caps12();

	(void)state;
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_MISC), 0x600401e7);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_EPT_VPID_CAP), 0xf0106334141ull);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_CR0_FIXED0), 0x80000021);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_CR0_FIXED1), 0xffffffff);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_CR4_FIXED0), 0x2000);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_CR4_FIXED1), 0xb767ff);
	assert_int_equal(caps12.maxphyaddr, FAKE_MAXPHYADDR);
	assert_true(caps12.page1g);
	*fake_msr(&host, MSR_IA32_VMX_MISC) &= ~VMX_MISC_VMWRITE_ANY;
	caps12 = offer(&host, &vmx_policy_default);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_MISC), 0x400401e7);
}

static void msrs_are_present_with_what_they_describe(void **state)
{
	struct vmx_capabilities host = fake_host(), caps12 = fake_caps12();
	struct vmx_policy policy = vmx_policy_default;

	(void)state;
	assert_int_equal(caps12.present, 0x3ffff);
	assert_true(capability_present(&caps12, MSR_IA32_VMX_VMFUNC));
	assert_false(capability_present(&caps12, MSR_VMX_FIRST - 1));
	assert_false(capability_present(&caps12, MSR_VMX_LAST + 1));
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_VMFUNC), VMFUNC_eptp_switching);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_PROCBASED_CTLS3), 0);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_EXIT_CTLS2), 0);
	policy.controls[CONTROLS_proc2] &= ~(u32)PROC2_enable_ept;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_EPT_VPID_CAP), 0xf0100000000ull);
	policy = vmx_policy_default;
	policy.controls[CONTROLS_proc2] &= ~(u32)PROC2_enable_vpid;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_EPT_VPID_CAP), 0x6334141);
	policy.controls[CONTROLS_proc2] &= ~(u32)PROC2_enable_ept;
	caps12 = offer(&host, &policy);
	assert_false(capability_present(&caps12, MSR_IA32_VMX_EPT_VPID_CAP));
	assert_true(capability_present(&caps12, MSR_IA32_VMX_PROCBASED_CTLS2));
	policy.controls[CONTROLS_proc2] = PROC2_enable_vpid;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_EPT_VPID_CAP), 0xf0100000000ull);
	policy.controls[CONTROLS_proc2] = 0;
	caps12 = offer(&host, &policy);
	assert_false(capability_present(&caps12, MSR_IA32_VMX_PROCBASED_CTLS2));
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_PROCBASED_CTLS2), 0);
}

/* Fields and the controls of which each needs one at the least. */
static const struct {
	enum vmcs_field field;
	struct {
		enum control_group group;
		u32 bit;
	} by[2];
} conditional[] = {
	{ F_vmx_preemption_timer_value, { { CONTROLS_pin, PIN_activate_vmx_preemption_timer } } },
	{ F_virtual_apic_address, { { CONTROLS_proc, PROC_use_tpr_shadow } } },
	{ F_tpr_threshold, { { CONTROLS_proc, PROC_use_tpr_shadow } } },
	{ F_address_of_msr_bitmaps, { { CONTROLS_proc, PROC_use_msr_bitmaps } } },
	{ F_secondary_processor_based_controls,
	  { { CONTROLS_proc, (u32)PROC_activate_secondary_controls } } },
	{ F_apic_access_address, { { CONTROLS_proc2, PROC2_virtualize_apic_accesses } } },
	{ F_ept_pointer, { { CONTROLS_proc2, PROC2_enable_ept } } },
	{ F_guest_physical_address, { { CONTROLS_proc2, PROC2_enable_ept } } },
	{ F_guest_pdpte0, { { CONTROLS_proc2, PROC2_enable_ept } } },
	{ F_guest_pdpte1, { { CONTROLS_proc2, PROC2_enable_ept } } },
	{ F_guest_pdpte2, { { CONTROLS_proc2, PROC2_enable_ept } } },
	{ F_guest_pdpte3, { { CONTROLS_proc2, PROC2_enable_ept } } },
	{ F_virtual_processor_identifier, { { CONTROLS_proc2, PROC2_enable_vpid } } },
	{ F_ple_gap, { { CONTROLS_proc2, PROC2_pause_loop_exiting } } },
	{ F_ple_window, { { CONTROLS_proc2, PROC2_pause_loop_exiting } } },
	{ F_xss_exiting_bitmap, { { CONTROLS_proc2, PROC2_enable_xsaves_xrstors } } },
	{ F_guest_interrupt_status, { { CONTROLS_proc2, PROC2_virtual_interrupt_delivery } } },
	{ F_eoi_exit_bitmap_0, { { CONTROLS_proc2, PROC2_virtual_interrupt_delivery } } },
	{ F_eoi_exit_bitmap_1, { { CONTROLS_proc2, PROC2_virtual_interrupt_delivery } } },
	{ F_eoi_exit_bitmap_2, { { CONTROLS_proc2, PROC2_virtual_interrupt_delivery } } },
	{ F_eoi_exit_bitmap_3, { { CONTROLS_proc2, PROC2_virtual_interrupt_delivery } } },
	{ F_vm_function_controls, { { CONTROLS_proc2, PROC2_enable_vm_functions } } },
	{ F_eptp_list_address, { { CONTROLS_proc2, PROC2_enable_vm_functions } } },
	{ F_vmread_bitmap_address, { { CONTROLS_proc2, PROC2_vmcs_shadowing } } },
	{ F_vmwrite_bitmap_address, { { CONTROLS_proc2, PROC2_vmcs_shadowing } } },
	{ F_pml_address, { { CONTROLS_proc2, PROC2_enable_pml } } },
	{ F_pml_index, { { CONTROLS_proc2, PROC2_enable_pml } } },
	{ F_virtualization_exception_information_address, { { CONTROLS_proc2, PROC2_ept_violation_ve } } },
	{ F_eptp_index, { { CONTROLS_proc2, PROC2_ept_violation_ve } } },
	{ F_tsc_multiplier, { { CONTROLS_proc2, PROC2_use_tsc_scaling } } },
	{ F_sub_page_permission_table_pointer, { { CONTROLS_proc2, PROC2_sub_page_write_permissions } } },
	{ F_guest_ia32_pat, { { CONTROLS_entry, ENTRY_load_ia32_pat },
			      { CONTROLS_exit, EXIT_save_ia32_pat } } },
	{ F_guest_ia32_efer, { { CONTROLS_entry, ENTRY_load_ia32_efer },
			       { CONTROLS_exit, EXIT_save_ia32_efer } } },
	{ F_host_ia32_pat, { { CONTROLS_exit, EXIT_load_ia32_pat } } },
	{ F_host_ia32_efer, { { CONTROLS_exit, EXIT_load_ia32_efer } } },
	{ F_guest_ia32_s_cet, { { CONTROLS_entry, ENTRY_load_cet_state } } },
	{ F_guest_ssp, { { CONTROLS_entry, ENTRY_load_cet_state } } },
	{ F_guest_ia32_interrupt_ssp_table_addr, { { CONTROLS_entry, ENTRY_load_cet_state } } },
	{ F_host_ia32_s_cet, { { CONTROLS_exit, EXIT_load_cet_state } } },
	{ F_host_ssp, { { CONTROLS_exit, EXIT_load_cet_state } } },
	{ F_host_ia32_interrupt_ssp_table_addr, { { CONTROLS_exit, EXIT_load_cet_state } } },
};

static void fields_come_and_go_with_their_controls(void **state)
{
	struct vmx_capabilities host = fake_host();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(conditional); i++) {
		struct vmx_policy policy = vmx_policy_default;
		struct vmx_capabilities caps12 = offer(&host, &policy);

		assert_true(field_set_has(&caps12.fields, conditional[i].field));
		for (unsigned j = 0; j < 2 && conditional[i].by[j].bit; j++) {
			assert_true(field_set_has(&caps12.fields, conditional[i].field));
			policy.controls[conditional[i].by[j].group] &= ~conditional[i].by[j].bit;
			caps12 = offer(&host, &policy);
		}
		assert_false(field_set_has(&caps12.fields, conditional[i].field));
	}
}

static bool is_conditional(enum vmcs_field field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(conditional); i++)
		if (conditional[i].field == field)
			return true;
	return false;
}

static void the_other_fields_need_no_control(void **state)
{
	struct vmx_capabilities host = fake_host(), caps12, without;
	const struct vmx_policy none = { 0 };

	(void)state;
	caps12 = offer(&host, &none);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		enum vmcs_field field = (enum vmcs_field)i;
		bool without_effect = vmcs_field[i].use == USE_NONE && field != F_executive_vmcs_pointer;

		assert_int_equal(field_set_has(&caps12.fields, field),
				 !without_effect && !is_conditional(field));
		field_set_remove(&host.fields, field);
		without = offer(&host, &vmx_policy_default);
		assert_false(field_set_has(&without.fields, field));
	}
}

static void a_host_has_no_field_of_a_control_that_it_lacks(void **state)
{
	struct vmx_capabilities host = fake_host(), all = fake_host();

	(void)state;
	capabilities_limit_fields(&host);
	assert_memory_equal(&host.fields, &all.fields, sizeof(all.fields));
	fake_allow(&host, CONTROLS_proc2,
		   controls_allowed(&host, CONTROLS_proc2) & ~(u32)PROC2_sub_page_write_permissions);
	fake_allow(&host, CONTROLS_entry, controls_allowed(&host, CONTROLS_entry) & ~(u32)ENTRY_load_cet_state);
	capabilities_limit_fields(&host);
	assert_false(field_set_has(&host.fields, F_sub_page_permission_table_pointer));
	assert_false(field_set_has(&host.fields, F_guest_ssp));
	assert_true(field_set_has(&host.fields, F_host_ssp));
	assert_true(field_set_has(&host.fields, F_guest_rsp));
}

static void the_highest_index_is_that_of_the_fields_offered(void **state)
{
	struct vmx_capabilities host = fake_host(), caps12 = fake_caps12();
	struct vmx_policy policy = vmx_policy_default;

	(void)state;
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_VMCS_ENUM), 0x32); /* of the TSC multiplier */
	policy.controls[CONTROLS_proc2] &= ~(u32)PROC2_use_tsc_scaling;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_VMCS_ENUM), 0x30); /* the sub-page permission-table pointer */
	policy.controls[CONTROLS_proc2] &= ~(u32)PROC2_sub_page_write_permissions;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_VMCS_ENUM), 0x2e); /* the preemption timer */
	policy.controls[CONTROLS_pin] = 0;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_VMCS_ENUM), 0x2c); /* the XSS-exiting bitmap */
	policy.controls[CONTROLS_proc2] &= ~(u32)PROC2_enable_xsaves_xrstors;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_VMCS_ENUM), 0x2c); /* guest_ia32_interrupt_ssp_table_addr */
	policy.controls[CONTROLS_entry] &= ~(u32)ENTRY_load_cet_state;
	caps12 = offer(&host, &policy);
	assert_int_equal(capability(&caps12, MSR_IA32_VMX_VMCS_ENUM), 0x2a); /* IA32_SYSENTER_CS */
}

static void a_wish_is_brought_within_the_capability(void **state)
{
	struct vmx_capabilities host = fake_host();

	(void)state;
	fake_allow(&host, CONTROLS_pin, 0x1f);
	assert_int_equal(controls_adjust(&host, CONTROLS_pin, 0), 0x16);
	assert_int_equal(controls_adjust(&host, CONTROLS_pin, 0xffffffff), 0x1f);
	assert_int_equal(controls_adjust(&host, CONTROLS_pin, 0x21), 0x17);
}

static void what_l0_needs_is_named_when_it_is_missing(void **state)
{
	static const struct {
		enum control_group group;
		u32 bit;
		const char *name;
	} controls[] = {
		{ CONTROLS_proc, (u32)PROC_activate_secondary_controls, "activate_secondary_controls" },
		{ CONTROLS_proc, PROC_use_io_bitmaps, "use_io_bitmaps" },
		{ CONTROLS_proc, PROC_use_msr_bitmaps, "use_msr_bitmaps" },
		{ CONTROLS_proc2, PROC2_enable_ept, "enable_ept" },
		{ CONTROLS_proc2, PROC2_unrestricted_guest, "unrestricted_guest" },
		{ CONTROLS_exit, EXIT_host_address_space_size, "host_address_space_size" },
		{ CONTROLS_exit, EXIT_save_ia32_pat, "save_ia32_pat" },
		{ CONTROLS_exit, EXIT_load_ia32_pat, "load_ia32_pat (exit)" },
		{ CONTROLS_exit, EXIT_save_ia32_efer, "save_ia32_efer" },
		{ CONTROLS_exit, EXIT_load_ia32_efer, "load_ia32_efer (exit)" },
		{ CONTROLS_entry, ENTRY_ia32e_mode_guest, "ia32e_mode_guest" },
		{ CONTROLS_entry, ENTRY_load_ia32_pat, "load_ia32_pat (entry)" },
		{ CONTROLS_entry, ENTRY_load_ia32_efer, "load_ia32_efer (entry)" },
	};
	static const struct {
		unsigned bit;
		const char *name;
	} ept[] = {
		{ 6, "EPT page-walk length 4" }, { 14, "EPT memory type WB" }, { 20, "INVEPT" },
		{ 25, "INVEPT single-context" }, { 26, "INVEPT global" },
	};
	struct vmx_capabilities whole = fake_host();

	(void)state;
	assert_null(capabilities_missing(&whole));
	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++) {
		struct vmx_capabilities host = whole;

		fake_allow(&host, controls[i].group,
			   controls_allowed(&host, controls[i].group) & ~controls[i].bit);
		assert_string_equal(capabilities_missing(&host), controls[i].name);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(ept); i++) {
		struct vmx_capabilities host = whole;

		*fake_msr(&host, MSR_IA32_VMX_EPT_VPID_CAP) &= ~BIT(ept[i].bit);
		assert_string_equal(capabilities_missing(&host), ept[i].name);
	}
}

static unsigned lacked(const struct vmx_capabilities *host)
{
	unsigned next = 0, count = 0;

	while (capabilities_next_lacked(host, &next))
		count++;
	return count;
}

static void what_is_lacked_is_named(void **state)
{
	struct vmx_capabilities host = fake_host();
	unsigned next = 0;

	(void)state;
	fake_allow(&host, CONTROLS_pin, ~0u);
	fake_allow(&host, CONTROLS_proc, ~0u);
	fake_allow(&host, CONTROLS_proc2, ~0u);
	*fake_msr(&host, MSR_IA32_VMX_EPT_VPID_CAP) = ~0ull;
	assert_int_equal(lacked(&host), 0);
	fake_allow(&host, CONTROLS_proc2, ~(u32)(PROC2_enable_vpid | PROC2_use_tsc_scaling));
	*fake_msr(&host, MSR_IA32_VMX_EPT_VPID_CAP) &= ~(u64)EPT_CAP_1G;
	assert_string_equal(capabilities_next_lacked(&host, &next), "enable_vpid");
	assert_string_equal(capabilities_next_lacked(&host, &next), "use_tsc_scaling");
	assert_string_equal(capabilities_next_lacked(&host, &next), "EPT 1 GiB pages");
	assert_null(capabilities_next_lacked(&host, &next));
}

static void what_l0_can_do_without_is_not_missing(void **state)
{
	struct vmx_capabilities host = fake_host();

	(void)state;
	fake_allow(&host, CONTROLS_pin, fake_default1[CONTROLS_pin]);
	fake_allow(&host, CONTROLS_proc2, PROC2_enable_ept | PROC2_unrestricted_guest);
	*fake_msr(&host, MSR_IA32_VMX_EPT_VPID_CAP) = 0x06104040;
	assert_null(capabilities_missing(&host));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l1_is_offered_what_l0_implements),
		cmocka_unit_test(a_control_that_the_host_lacks_is_not_offered),
		cmocka_unit_test(a_control_outside_policy_is_not_offered_unless_required),
		cmocka_unit_test(controls_that_lack_what_they_need_go_with_it),
		cmocka_unit_test(shadowing_is_offered_where_any_field_can_be_written),
		cmocka_unit_test(the_older_msrs_keep_their_ones),
		cmocka_unit_test(without_true_msrs_the_older_ones_count),
		cmocka_unit_test(basic_information_is_that_of_a_vmcs_in_l0),
		cmocka_unit_test(what_l1_need_not_know_is_left_out),
		cmocka_unit_test(msrs_are_present_with_what_they_describe),
		cmocka_unit_test(fields_come_and_go_with_their_controls),
		cmocka_unit_test(the_other_fields_need_no_control),
		cmocka_unit_test(a_host_has_no_field_of_a_control_that_it_lacks),
		cmocka_unit_test(the_highest_index_is_that_of_the_fields_offered),
		cmocka_unit_test(a_wish_is_brought_within_the_capability),
		cmocka_unit_test(what_l0_needs_is_named_when_it_is_missing),
		cmocka_unit_test(what_is_lacked_is_named),
		cmocka_unit_test(what_l0_can_do_without_is_not_missing),
	};

	return cmocka_run_group_tests_name("capabilities", tests, NULL, NULL);
}
