#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/merge.h"
#include "vmx_fake.h"

struct merge_test {
	struct vmcs12 vmcs12;
	struct vmx_capabilities host;
	struct merge_input input;
};

static int setup(void **state)
{
	static struct merge_test test;

	memset(&test, 0, sizeof(test));
	test.host = fake_host();
	vmcs12_reset(&test.vmcs12);
	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		vmcs12_set(&test.vmcs12, (enum vmcs_field)vmcs_control_field[group], fake_required[group]);
	test.input = (struct merge_input){
		.vmcs12 = &test.vmcs12,
		.host = &test.host,
		.controls01 = {
			[CONTROLS_proc] = PROC_use_io_bitmaps | PROC_use_msr_bitmaps |
				(u32)PROC_activate_secondary_controls,
			[CONTROLS_proc2] = PROC2_enable_ept | PROC2_unrestricted_guest,
		},
		.tsc_offset01 = 1000,
		.bitmap02 = { 0x1000, 0x2000, 0x3000, 0x8000, 0x9000 },
		.virtual_apic02 = 0x4000, .apic_access02 = 0x5000, .eptp02 = 0x601e, .spptp02 = 0xa000, .vpid02 = 7,
		.link_pointer02 = VMCS_NO_POINTER,
		.debugctl01 = 0x41, .pat01 = 0x42, .efer01 = EFER_SCE | EFER_NXE, .dr7_01 = 0x44,
	};
	*state = &test;
	return 0;
}

static void set12(struct merge_test *test, enum vmcs_field field, u64 value)
{
	vmcs12_set(&test->vmcs12, field, value);
}

static void or12(struct merge_test *test, enum vmcs_field field, u64 bits)
{
	set12(test, field, vmcs12_get(&test->vmcs12, field) | bits);
}

static u64 merged(const struct merge_test *test, enum vmcs_field field)
{
	return merge_field(&test->input, field);
}

/* How a control of vmcs02 comes about, bit by bit; what is not listed is L1's or L0's wish alike. */
enum origin {
	FROM_EITHER,
	FROM_12,
	ALWAYS,
	NEVER,
	BY_RULE, /* has its own test */
};

static enum origin origin_of(enum control_group group, u32 bit)
{
	static const struct {
		enum control_group group;
		u32 bits;
		enum origin origin;
	} origins[] = {
		{ CONTROLS_pin, PIN_process_posted_interrupts, NEVER },
		{ CONTROLS_proc, (u32)PROC_activate_secondary_controls, ALWAYS },
		{ CONTROLS_proc, PROC_activate_tertiary_controls, NEVER },
		{ CONTROLS_proc, PROC_use_msr_bitmaps | PROC_use_io_bitmaps |
		  PROC_unconditional_io_exiting, BY_RULE },
		{ CONTROLS_proc2, PROC2_enable_ept, ALWAYS },
		{ CONTROLS_proc2, PROC2_enable_vpid, BY_RULE },
		{ CONTROLS_proc2,
		  PROC2_enable_rdtscp | PROC2_enable_invpcid | PROC2_enable_xsaves_xrstors |
		  PROC2_enable_user_wait_and_pause | PROC2_enable_pconfig | PROC2_enable_vm_functions |
		  PROC2_unrestricted_guest | PROC2_virtualize_apic_accesses | PROC2_virtualize_x2apic_mode |
		  PROC2_apic_register_virtualization | PROC2_virtual_interrupt_delivery |
		  PROC2_vmcs_shadowing, FROM_12 },
		{ CONTROLS_exit,
		  EXIT_host_address_space_size | EXIT_save_debug_controls | EXIT_save_ia32_pat |
		  EXIT_load_ia32_pat | EXIT_save_ia32_efer | EXIT_load_ia32_efer, ALWAYS },
		{ CONTROLS_exit, EXIT_save_vmx_preemption_timer_value, FROM_12 },
		{ CONTROLS_proc2, PROC2_enable_pml | PROC2_ept_violation_ve, NEVER },
		{ CONTROLS_proc2, PROC2_use_tsc_scaling, BY_RULE },
		{ CONTROLS_entry, ENTRY_load_debug_controls | ENTRY_load_ia32_pat | ENTRY_load_ia32_efer,
		  ALWAYS },
		{ CONTROLS_entry, ENTRY_ia32e_mode_guest | ENTRY_load_cet_state, FROM_12 },
		{ CONTROLS_entry, ENTRY_entry_to_smm | ENTRY_deactivate_dual_monitor_treatment, NEVER },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(origins); i++)
		if (origins[i].group == group && origins[i].bits & bit)
			return origins[i].origin;
	return FROM_EITHER;
}

static bool expected_bit(enum origin origin, enum control_group group, bool in12, bool in01)
{
	switch (origin) {
	case FROM_12:
		return in12;
	case ALWAYS:
		return true;
	case NEVER:
		return false;
	default:
		/* Exit and entry controls that L1 may have, but that are not named above, are L0's alone. */
		return in01 || (in12 && group != CONTROLS_exit && group != CONTROLS_entry);
	}
}

static void controls_come_from_where_they_should(void **state)
{
	struct merge_test *test = *state;

	for (unsigned i = 0; i < CONTROL_GROUPS * 32 * 4; i++) {
		enum control_group group = (enum control_group)(i / 128);
		enum vmcs_field field = (enum vmcs_field)vmcs_control_field[group];
		u32 bit = (u32)BIT(i / 4 % 32), allowed = controls_allowed(&test->host, group);
		bool in12 = i & 1, in01 = i & 2;
		enum origin origin = origin_of(group, bit);

		setup(state);
		if (origin == BY_RULE || !(allowed & bit) || fake_required[group] & bit ||
		    (group == CONTROLS_exit && bit == EXIT_acknowledge_interrupt_on_exit))
			continue;
		if (group == CONTROLS_proc2)
			or12(test, F_primary_processor_based_controls, PROC_activate_secondary_controls);
		if (in12)
			or12(test, field, bit);
		test->input.controls01[group] &= ~bit;
		if (in01)
			test->input.controls01[group] |= bit;
		assert_int_equal(!!(merged(test, field) & bit), expected_bit(origin, group, in12, in01));
	}
}

static void controls_stay_within_the_host(void **state)
{
	struct merge_test *test = *state;

	for (unsigned i = 0; i < CONTROL_GROUPS; i++) {
		enum vmcs_field field = (enum vmcs_field)vmcs_control_field[i];

		set12(test, field, 0);
		assert_int_equal(merged(test, field) & fake_required[i], fake_required[i]);
		fake_allow(&test->host, (enum control_group)i, fake_required[i]);
		set12(test, field, ~0ull);
		assert_int_equal(merged(test, field), fake_required[i]);
	}
}

static void secondary_controls_of_l1_need_their_activation(void **state)
{
	struct merge_test *test = *state;

	set12(test, F_secondary_processor_based_controls, PROC2_enable_rdtscp | PROC2_wbinvd_exiting);
	assert_int_equal(merged(test, F_secondary_processor_based_controls),
			 PROC2_enable_ept | PROC2_enable_vpid);
	or12(test, F_primary_processor_based_controls, PROC_activate_secondary_controls);
	assert_int_equal(merged(test, F_secondary_processor_based_controls),
			 PROC2_enable_ept | PROC2_enable_vpid | PROC2_enable_rdtscp | PROC2_wbinvd_exiting);
}

static void io_exits_are_those_of_l1_or_else_of_l0(void **state)
{
	static const struct {
		u64 in12, in02;
	} cases[] = {
		{ 0, PROC_use_io_bitmaps },
		{ PROC_unconditional_io_exiting, PROC_unconditional_io_exiting },
		{ PROC_use_io_bitmaps, PROC_use_io_bitmaps },
		{ PROC_use_io_bitmaps | PROC_unconditional_io_exiting,
		  PROC_use_io_bitmaps | PROC_unconditional_io_exiting },
	};
	struct merge_test *test = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set12(test, F_primary_processor_based_controls, fake_required[CONTROLS_proc] | cases[i].in12);
		assert_int_equal(merged(test, F_primary_processor_based_controls) &
				 (PROC_use_io_bitmaps | PROC_unconditional_io_exiting), cases[i].in02);
	}
	assert_int_equal(merged(test, F_address_of_io_bitmap_a), 0x2000);
	assert_int_equal(merged(test, F_address_of_io_bitmap_b), 0x3000);
}

static void msr_bitmaps_are_used_only_where_l1_uses_some(void **state)
{
	struct merge_test *test = *state;

	assert_int_equal(merged(test, F_primary_processor_based_controls) & PROC_use_msr_bitmaps, 0);
	or12(test, F_primary_processor_based_controls, PROC_use_msr_bitmaps);
	assert_int_not_equal(merged(test, F_primary_processor_based_controls) & PROC_use_msr_bitmaps, 0);
	assert_int_equal(merged(test, F_address_of_msr_bitmaps), 0x1000);
}

static void a_vpid_is_used_only_where_there_is_one(void **state)
{
	struct merge_test *test = *state;

	or12(test, F_primary_processor_based_controls, PROC_activate_secondary_controls);
	or12(test, F_secondary_processor_based_controls, PROC2_enable_vpid);
	test->input.controls01[CONTROLS_proc2] |= PROC2_enable_vpid;
	assert_int_equal(merged(test, F_virtual_processor_identifier), 7);
	assert_int_not_equal(merged(test, F_secondary_processor_based_controls) & PROC2_enable_vpid, 0);
	test->input.vpid02 = 0;
	assert_int_equal(merged(test, F_secondary_processor_based_controls) & PROC2_enable_vpid, 0);
}

static void an_interrupt_is_acknowledged_only_for_l1(void **state)
{
	struct merge_test *test = *state;

	test->input.controls01[CONTROLS_exit] |= EXIT_acknowledge_interrupt_on_exit;
	for (unsigned i = 0; i < 4; i++) {
		u64 exit02;

		set12(test, F_pin_based_controls, i & 1 ? PIN_external_interrupt_exiting : 0);
		set12(test, F_primary_vm_exit_controls, i & 2 ? EXIT_acknowledge_interrupt_on_exit : 0);
		exit02 = merged(test, F_primary_vm_exit_controls);
		assert_int_equal(!!(exit02 & EXIT_acknowledge_interrupt_on_exit), i == 3);
	}
}

static void l0s_offset_is_scaled_with_the_rest(void **state)
{
	struct merge_test *test = *state;

	test->input.tsc_offset01 = 0x1000;
	or12(test, F_primary_processor_based_controls, PROC_activate_secondary_controls | PROC_use_tsc_offsetting);
	or12(test, F_secondary_processor_based_controls, PROC2_use_tsc_scaling);
	set12(test, F_tsc_offset, 5);
	set12(test, F_tsc_multiplier, BIT(TSC_MULTIPLIER_SHIFT) * 3 / 2);
	assert_int_equal(merged(test, F_tsc_offset), 0x1805);
	assert_int_equal(merged(test, F_tsc_multiplier), BIT(TSC_MULTIPLIER_SHIFT) * 3 / 2);
	assert_int_not_equal(merged(test, F_secondary_processor_based_controls) & PROC2_use_tsc_scaling, 0);
	test->input.tsc_offset01 = -0x1000ull; /* L1 may be behind the machine */
	assert_int_equal(merged(test, F_tsc_offset), 5 - 0x1800ull);
	set12(test, F_primary_processor_based_controls, PROC_activate_secondary_controls);
	assert_int_equal(merged(test, F_tsc_offset), -0x1000ull);
	assert_int_equal(merged(test, F_secondary_processor_based_controls) & PROC2_use_tsc_scaling, 0);
}

static void addresses_are_those_of_l0(void **state)
{
	struct merge_test *test = *state;

	set12(test, F_virtual_apic_address, 0x99000);
	set12(test, F_apic_access_address, 0x99000);
	set12(test, F_ept_pointer, 0x9901e);
	set12(test, F_vmcs_link_pointer, 0x99000);
	set12(test, F_vmread_bitmap_address, 0x99000);
	set12(test, F_vmwrite_bitmap_address, 0x99000);
	assert_int_equal(merged(test, F_virtual_apic_address), 0x4000);
	assert_int_equal(merged(test, F_apic_access_address), 0x5000);
	assert_int_equal(merged(test, F_ept_pointer), 0x601e);
	assert_int_equal(merged(test, F_vmcs_link_pointer), ~0ull);
	assert_int_equal(merged(test, F_vmread_bitmap_address), 0x8000);
	assert_int_equal(merged(test, F_vmwrite_bitmap_address), 0x9000);
	test->input.link_pointer02 = 0xa000;
	assert_int_equal(merged(test, F_vmcs_link_pointer), 0xa000);
}

static void bitmaps_and_masks_are_united(void **state)
{
	struct merge_test *test = *state;

	set12(test, F_exception_bitmap, 0x4002);
	test->input.exception_bitmap01 = 0x40;
	assert_int_equal(merged(test, F_exception_bitmap), 0x4042);
	set12(test, F_cr0_guest_host_mask, 0x1);
	test->input.cr0_guest_host_mask01 = 0x20;
	assert_int_equal(merged(test, F_cr0_guest_host_mask), 0x21);
	set12(test, F_cr4_guest_host_mask, 0x8);
	test->input.cr4_guest_host_mask01 = 0x2000;
	assert_int_equal(merged(test, F_cr4_guest_host_mask), 0x2008);
	set12(test, F_xss_exiting_bitmap, 0x1234);
	assert_int_equal(merged(test, F_xss_exiting_bitmap), 0x1234);
}

static void l2_reads_its_own_bits_where_only_l0_masks(void **state)
{
	static const struct {
		enum vmcs_field mask, shadow, guest;
	} cases[] = {
		{ F_cr0_guest_host_mask, F_cr0_read_shadow, F_guest_cr0 },
		{ F_cr4_guest_host_mask, F_cr4_read_shadow, F_guest_cr4 },
	};
	struct merge_test *test = *state;

	test->input.cr0_guest_host_mask01 = test->input.cr4_guest_host_mask01 = 0xff00;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set12(test, cases[i].mask, 0x0ff0);
		set12(test, cases[i].shadow, 0x5a5a);
		set12(test, cases[i].guest, 0xc3c3);
		assert_int_equal(merged(test, cases[i].shadow), 0xca53);
	}
}

static void tsc_offsets_add_up(void **state)
{
	struct merge_test *test = *state;

	set12(test, F_tsc_offset, (u64)-1500);
	assert_int_equal(merged(test, F_tsc_offset), 1000);
	or12(test, F_primary_processor_based_controls, PROC_use_tsc_offsetting);
	assert_int_equal(merged(test, F_tsc_offset), (u64)-500);
}

static void msrs_are_those_of_l1_unless_the_entry_loads_others(void **state)
{
	static const struct {
		enum vmcs_field field;
		u64 control, in01;
	} cases[] = {
		{ F_guest_ia32_debugctl, ENTRY_load_debug_controls, 0x41 },
		{ F_guest_dr7, ENTRY_load_debug_controls, 0x44 },
		{ F_guest_ia32_pat, ENTRY_load_ia32_pat, 0x42 },
	};
	struct merge_test *test = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set12(test, cases[i].field, 0x99);
		set12(test, F_vm_entry_controls, 0);
		assert_int_equal(merged(test, cases[i].field), cases[i].in01);
		set12(test, F_vm_entry_controls, cases[i].control);
		assert_int_equal(merged(test, cases[i].field), 0x99);
	}
}

/* SDM "Loading Guest Control Registers, Debug Registers, and MSRs". */
static void efer_follows_the_mode_of_the_guest(void **state)
{
	static const struct {
		u64 entry12, cr0, efer01, efer02;
	} cases[] = {
		{ 0, 0, EFER_NXE, EFER_NXE },
		{ 0, CR0_PG, EFER_NXE | EFER_LMA | EFER_LME, EFER_NXE },
		{ 0, 0, EFER_NXE | EFER_LMA | EFER_LME, EFER_NXE | EFER_LME },
		{ ENTRY_ia32e_mode_guest, CR0_PG, EFER_NXE, EFER_NXE | EFER_LMA | EFER_LME },
		{ ENTRY_ia32e_mode_guest, 0, EFER_NXE, EFER_NXE | EFER_LMA },
		{ ENTRY_load_ia32_efer, CR0_PG, EFER_NXE, EFER_SCE },
		{ ENTRY_load_ia32_efer | ENTRY_ia32e_mode_guest, CR0_PG, EFER_NXE, EFER_SCE },
	};
	struct merge_test *test = *state;

	set12(test, F_guest_ia32_efer, EFER_SCE);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set12(test, F_vm_entry_controls, cases[i].entry12);
		set12(test, F_guest_cr0, cases[i].cr0);
		test->input.efer01 = cases[i].efer01;
		assert_int_equal(merged(test, F_guest_ia32_efer), cases[i].efer02);
	}
}

static bool reaches_vmcs02(enum vmcs_field field)
{
	return vmcs_field[field].use == USE_COPY || vmcs_field[field].use == USE_MERGE;
}

static void a_change_affects_itself_if_it_reaches_vmcs02(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		struct field_set dirty = { { 0 } }, affected;
		enum vmcs_field field;

		field_set_add(&dirty, (enum vmcs_field)i);
		affected = merge_affected(&dirty);
		assert_int_equal(field_set_has(&affected, (enum vmcs_field)i),
				 reaches_vmcs02((enum vmcs_field)i));
		while ((field = field_set_take(&affected)) != VMCS_FIELDS)
			assert_true(reaches_vmcs02(field));
	}
}

/* Where L0 puts an address depends on whether L1 has a use for it. */
static void addresses_of_l0_follow_the_controls_that_use_them(void **state)
{
	static const struct {
		enum vmcs_field control, address;
	} cases[] = {
		{ F_primary_processor_based_controls, F_address_of_io_bitmap_a },
		{ F_primary_processor_based_controls, F_address_of_io_bitmap_b },
		{ F_primary_processor_based_controls, F_address_of_msr_bitmaps },
		{ F_primary_processor_based_controls, F_virtual_apic_address },
		{ F_primary_processor_based_controls, F_apic_access_address },
		{ F_primary_processor_based_controls, F_ept_pointer },
		{ F_primary_processor_based_controls, F_virtual_processor_identifier },
		{ F_secondary_processor_based_controls, F_apic_access_address },
		{ F_secondary_processor_based_controls, F_ept_pointer },
		{ F_secondary_processor_based_controls, F_virtual_processor_identifier },
		{ F_virtual_processor_identifier, F_secondary_processor_based_controls },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct field_set dirty = { { 0 } }, affected;

		field_set_add(&dirty, cases[i].control);
		affected = merge_affected(&dirty);
		assert_true(field_set_has(&affected, cases[i].address));
	}
}

static u64 random_value(u64 *random, enum vmcs_field field)
{
	return host_random(random) & vmcs_field_mask(field);
}

static void check_change(struct merge_test *test, enum vmcs_field changed, u64 value)
{
	struct field_set dirty = { { 0 } }, affected;
	u64 before[VMCS_FIELDS];

	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		if (vmcs_field[i].use == USE_MERGE)
			before[i] = merged(test, (enum vmcs_field)i);
	set12(test, changed, value);
	field_set_add(&dirty, changed);
	affected = merge_affected(&dirty);
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		if (vmcs_field[i].use == USE_MERGE && merged(test, (enum vmcs_field)i) != before[i])
			assert_true(field_set_has(&affected, (enum vmcs_field)i));
}

/* Whatever L1 writes, a merged field that comes out otherwise is among those that are written again. */
static void no_change_of_a_merged_value_is_missed(void **state)
{
	struct merge_test *test = *state;
	u64 random = host_seed();

	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < VMCS_FIELDS; i++)
			set12(test, (enum vmcs_field)i, random_value(&random, (enum vmcs_field)i));
		test->input.efer01 = host_random(&random);
		test->input.cr0_guest_host_mask01 = host_random(&random);
		test->input.vpid02 = (u16)(round & 1);
		for (unsigned i = 0; i < VMCS_FIELDS; i++)
			check_change(test, (enum vmcs_field)i, random_value(&random, (enum vmcs_field)i));
	}
}

#define MERGE_TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MERGE_TEST(controls_come_from_where_they_should),
		MERGE_TEST(controls_stay_within_the_host),
		MERGE_TEST(secondary_controls_of_l1_need_their_activation),
		MERGE_TEST(io_exits_are_those_of_l1_or_else_of_l0),
		MERGE_TEST(msr_bitmaps_are_used_only_where_l1_uses_some),
		MERGE_TEST(a_vpid_is_used_only_where_there_is_one),
		MERGE_TEST(an_interrupt_is_acknowledged_only_for_l1),
		MERGE_TEST(l0s_offset_is_scaled_with_the_rest),
		MERGE_TEST(addresses_are_those_of_l0),
		MERGE_TEST(bitmaps_and_masks_are_united),
		MERGE_TEST(l2_reads_its_own_bits_where_only_l0_masks),
		MERGE_TEST(tsc_offsets_add_up),
		MERGE_TEST(msrs_are_those_of_l1_unless_the_entry_loads_others),
		MERGE_TEST(efer_follows_the_mode_of_the_guest),
		MERGE_TEST(a_change_affects_itself_if_it_reaches_vmcs02),
		MERGE_TEST(addresses_of_l0_follow_the_controls_that_use_them),
		MERGE_TEST(no_change_of_a_merged_value_is_missed),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
