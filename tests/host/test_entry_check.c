#include <string.h>

#include "ept.h"
#include "host_test.h"
#include "vmcs_shadow/entry_check.h"
#include "vmx_fake.h"
#include "x86.h"

#define CHANGES 6
#define UG PROC2_unrestricted_guest
#define EVENT(type, vector) (INTR_VALID | (u64)(type) << INTR_TYPE_SHIFT | (vector))

enum stage { STAGE_controls, STAGE_host, STAGE_guest, STAGES };

/* A vmcs12 that is valid but for some changes, and what becomes of it. */
struct entry_case {
	struct fake_change changes[CHANGES]; /* those with neither bits to clear nor to set do nothing */
	enum vmcs_field field;               /* that is to fail; unused where nothing does */
	bool l1_32;
};

struct verdicts {
	struct entry_verdict of[STAGES];
};

static struct verdicts check(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12, bool l1_32)
{
	const struct entry_context context = { .l1_long_mode = !l1_32 };

	return (struct verdicts){ {
		[STAGE_controls] = entry_check_controls(vmcs12, caps12),
		[STAGE_host] = entry_check_host(vmcs12, caps12, &context),
		[STAGE_guest] = entry_check_guest(vmcs12, caps12),
	} };
}

static struct vmcs12 changed(const struct entry_case *c)
{
	struct vmcs12 vmcs12 = fake_vmcs12(!c->l1_32);

	for (unsigned i = 0; i < CHANGES; i++)
		fake_apply(&vmcs12, &c->changes[i]);
	return vmcs12;
}

static void assert_ok(const struct entry_verdict *verdict)
{
	if (verdict->result != ENTRY_ok)
		fail_msg("refused for %s: %s", vmcs_field[verdict->field].name, verdict->rule);
	assert_int_equal(verdict->number, 0);
	assert_int_equal(verdict->field, VMCS_FIELDS);
	assert_null(verdict->rule);
}

static void accept(const struct entry_case *c, const struct vmx_capabilities *caps12)
{
	struct vmcs12 vmcs12 = changed(c);
	struct verdicts verdicts = check(&vmcs12, caps12, c->l1_32);

	for (unsigned stage = 0; stage < STAGES; stage++)
		assert_ok(&verdicts.of[stage]);
}

/* One check fails, with this result, number and field, and the others pass. */
static void refuse(const struct entry_case *c, const struct vmx_capabilities *caps12, enum stage failing,
		   enum entry_result result, u32 number)
{
	struct vmcs12 vmcs12 = changed(c);
	struct verdicts verdicts = check(&vmcs12, caps12, c->l1_32);

	for (unsigned stage = 0; stage < STAGES; stage++) {
		const struct entry_verdict *verdict = &verdicts.of[stage];

		if (stage != failing) {
			assert_ok(verdict);
			continue;
		}
		if (verdict->result == ENTRY_ok)
			fail_msg("accepted: %s %llx", vmcs_field[c->field].name,
				 (unsigned long long)vmcs12_get(&vmcs12, c->field));
		assert_int_equal(verdict->result, result);
		assert_int_equal(verdict->number, number);
		assert_string_equal(vmcs_field[verdict->field].name, vmcs_field[c->field].name);
		assert_non_null(verdict->rule);
	}
}

static void what_is_valid_is_accepted(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();
	const struct entry_case l1_64 = { 0 }, l1_32 = { .l1_32 = true };

	(void)state;
	accept(&l1_64, &caps12);
	accept(&l1_32, &caps12);
}

static void each_control_stays_within_the_capability(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < CONTROL_GROUPS * 32; i++) {
		enum control_group group = (enum control_group)(i / 32);
		enum vmcs_field field = (enum vmcs_field)vmcs_control_field[group];
		u64 bit = BIT(i % 32);
		struct entry_case c = { .field = field };

		if (controls_required(&caps12, group) & bit)
			c.changes[0] = (struct fake_change){ field, bit, 0 };
		else if (!(controls_allowed(&caps12, group) & bit))
			c.changes[0] = (struct fake_change){ field, 0, bit };
		else
			continue;
		refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
	}
}

static void secondary_controls_are_not_checked_unless_activated(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();
	const struct entry_case c = { .changes = {
		{ F_primary_processor_based_controls, PROC_activate_secondary_controls, 0 },
		{ F_secondary_processor_based_controls, 0, ~0ull },
	} };

	(void)state;
	accept(&c, &caps12);
}

static const struct fake_change *page_off_by(enum vmcs_field field, u64 set)
{
	static struct fake_change change;

	change = (struct fake_change){ field, 0, set };
	return &change;
}

static void addresses_are_aligned_and_within_the_width(void **state)
{
	static const struct {
		enum vmcs_field address;
		u64 alignment, size;
		struct fake_change unused; /* which leaves the address without effect */
	} cases[] = {
		{ F_address_of_io_bitmap_a, 4096, 4096,
		  { F_primary_processor_based_controls, PROC_use_io_bitmaps, 0 } },
		{ F_address_of_io_bitmap_b, 4096, 4096,
		  { F_primary_processor_based_controls, PROC_use_io_bitmaps, 0 } },
		{ F_address_of_msr_bitmaps, 4096, 4096,
		  { F_primary_processor_based_controls, PROC_use_msr_bitmaps, 0 } },
		{ F_virtual_apic_address, 4096, 4096,
		  { F_primary_processor_based_controls, PROC_use_tpr_shadow, 0 } },
		{ F_apic_access_address, 4096, 4096,
		  { F_secondary_processor_based_controls, PROC2_virtualize_apic_accesses, 0 } },
		{ F_vm_exit_msr_store_address, 16, 32, { F_vm_exit_msr_store_count, ~0ull, 0 } },
		{ F_vm_exit_msr_load_address, 16, 32, { F_vm_exit_msr_load_count, ~0ull, 0 } },
		{ F_vm_entry_msr_load_address, 16, 32, { F_vm_entry_msr_load_count, ~0ull, 0 } },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		enum vmcs_field field = cases[i].address;
		u64 bad[] = { 1, cases[i].alignment / 2, FAKE_BEYOND, BIT(63) };
		struct entry_case c = { .field = field };

		for (unsigned j = 0; j < ARRAY_SIZE(bad); j++) {
			c.changes[0] = *page_off_by(field, bad[j]);
			c.changes[1] = (struct fake_change){ 0 };
			refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
			c.changes[1] = cases[i].unused;
			accept(&c, &caps12);
		}
		c.changes[1] = (struct fake_change){ 0 };
		c.changes[0] = (struct fake_change){ field, ~0ull, FAKE_BEYOND - cases[i].size };
		accept(&c, &caps12);
		if (cases[i].alignment == 4096)
			continue;
		c.changes[0].set += cases[i].alignment; /* now the last entry is out of reach */
		refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
	}
}

static void execution_controls_agree_with_each_other(void **state)
{
	static const struct entry_case refused[] = {
		{ { { F_cr3_target_count, ~0ull, 5 } }, F_cr3_target_count, false },
		{ { { F_cr3_target_count, 0, BIT(31) } }, F_cr3_target_count, false },
		{ { { F_tpr_threshold, ~0ull, 16 } }, F_tpr_threshold, false },
		{ { { F_tpr_threshold, 0, BIT(31) } }, F_tpr_threshold, false },
		{ { { F_pin_based_controls, PIN_nmi_exiting, 0 } }, F_pin_based_controls, false },
		{ { { F_pin_based_controls, PIN_virtual_nmis, 0 } }, F_primary_processor_based_controls,
		  false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_virtualize_x2apic_mode } },
		  F_secondary_processor_based_controls, false },
		{ { { F_primary_processor_based_controls, PROC_use_tpr_shadow, 0 },
		    { F_secondary_processor_based_controls, PROC2_virtualize_apic_accesses,
		      PROC2_virtualize_x2apic_mode } },
		  F_secondary_processor_based_controls, false },
		{ { { F_virtual_processor_identifier, ~0ull, 0 } }, F_virtual_processor_identifier, false },
		{ { { F_secondary_processor_based_controls, PROC2_enable_ept, 0 } },
		  F_secondary_processor_based_controls, false },
		{ { { F_ept_pointer, 0, FAKE_BEYOND } }, F_ept_pointer, false },
		{ { { F_ept_pointer, ~0ull, 0x10000 } }, F_ept_pointer, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_virtual_interrupt_delivery },
		    { F_pin_based_controls, PIN_external_interrupt_exiting, 0 } }, F_pin_based_controls, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_enable_vm_functions },
		    { F_vm_function_controls, 0, BIT(1) } }, F_vm_function_controls, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_enable_vm_functions },
		    { F_vm_function_controls, 0, VMFUNC_eptp_switching },
		    { F_eptp_list_address, 0, 8 } }, F_eptp_list_address, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_vmcs_shadowing },
		    { F_vmread_bitmap_address, 0, 8 } },
		  F_vmread_bitmap_address, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_vmcs_shadowing },
		    { F_vmwrite_bitmap_address, 0, FAKE_BEYOND } }, F_vmwrite_bitmap_address, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_enable_pml }, { F_pml_address, 0, 8 } },
		  F_pml_address, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_ept_violation_ve },
		    { F_virtualization_exception_information_address, 0, FAKE_BEYOND } },
		  F_virtualization_exception_information_address, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_use_tsc_scaling },
		    { F_tsc_multiplier, ~0ull, 0 } }, F_tsc_multiplier, false },
	};
	static const struct entry_case accepted[] = {
		{ { { F_cr3_target_count, ~0ull, 0 } }, 0, false },
		{ { { F_tpr_threshold, ~0ull, 0 } }, 0, false },
		{ { { F_ept_pointer, 0, EPTP_ACCESSED_DIRTY } }, 0, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_virtual_interrupt_delivery },
		    { F_pin_based_controls, 0, PIN_external_interrupt_exiting },
		    { F_tpr_threshold, 0, BIT(31) } }, 0, false },
		{ { { F_secondary_processor_based_controls, 0, PROC2_use_tsc_scaling },
		    { F_tsc_multiplier, 0, 1 } }, 0, false },
		{ { { F_tpr_threshold, 0, BIT(31) },
		    { F_primary_processor_based_controls, PROC_use_tpr_shadow, 0 } }, 0, false },
		{ { { F_pin_based_controls, PIN_virtual_nmis, 0 },
		    { F_primary_processor_based_controls, PROC_nmi_window_exiting, 0 } }, 0, false },
		{ { { F_secondary_processor_based_controls, PROC2_virtualize_apic_accesses,
		      PROC2_virtualize_x2apic_mode } }, 0, false },
		{ { { F_virtual_processor_identifier, ~0ull, 0 },
		    { F_secondary_processor_based_controls, PROC2_enable_vpid, 0 } }, 0, false },
		{ { { F_secondary_processor_based_controls, PROC2_enable_ept | UG, 0 },
		    { F_ept_pointer, 0, ~0ull } }, 0, false },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		refuse(&refused[i], &caps12, STAGE_controls, ENTRY_vmfail, 7);
	for (unsigned i = 0; i < ARRAY_SIZE(accepted); i++)
		accept(&accepted[i], &caps12);
}

static void the_timer_is_saved_only_where_it_runs(void **state)
{
	static const struct entry_case refused = {
		{ { F_pin_based_controls, PIN_activate_vmx_preemption_timer, 0 } },
		F_primary_vm_exit_controls, false,
	};
	static const struct entry_case accepted = {
		{ { F_pin_based_controls, PIN_activate_vmx_preemption_timer, 0 },
		  { F_primary_vm_exit_controls, EXIT_save_vmx_preemption_timer_value, 0 } }, 0, false,
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	refuse(&refused, &caps12, STAGE_controls, ENTRY_vmfail, 7);
	accept(&accepted, &caps12);
}

/* A vmcs12 that injects, with an instruction length and an error code that suit any event. */
static struct entry_case injects(u64 information)
{
	return (struct entry_case){
		.changes = {
			{ F_vm_entry_interruption_information, 0, information },
			{ F_vm_entry_instruction_length, 0, 2 },
			{ F_vm_entry_exception_error_code, 0, 0xffff },
		},
		.field = F_vm_entry_interruption_information,
	};
}

/* The rules of an event's type, vector and error code, as a second opinion. */
static bool event_is_good(unsigned type, unsigned vector, bool error_code)
{
	static const bool pushes[32] = {
		[8] = true, [10] = true, [11] = true, [12] = true, [13] = true, [14] = true, [17] = true,
	};

	if (type == 3)
		return vector < 32 && error_code == pushes[vector];
	if (type == 1 || error_code)
		return false;
	return (type != 2 || vector == 2) && (type != 7 || vector == 0);
}

/* What is wrong with the event alone, the check of events tells just as that of all controls does. */
static void judge_event(const struct entry_case *c, const struct vmx_capabilities *caps12, bool good)
{
	struct vmcs12 vmcs12 = changed(c);
	struct entry_verdict event = entry_check_event(&vmcs12, caps12), all = entry_check_controls(&vmcs12, caps12);

	assert_int_equal(event.result, good ? ENTRY_ok : ENTRY_vmfail);
	assert_int_equal(event.result, all.result);
	assert_int_equal(event.number, all.number);
	assert_int_equal(event.field, all.field);
}

static void every_event_is_judged(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	*fake_msr(&caps12, MSR_IA32_VMX_BASIC) &= ~VMX_BASIC_ANY_EXCEPTION_ERROR_CODE;
	for (unsigned i = 0; i < 8 * 256 * 2; i++) {
		unsigned type = i / 512, vector = i / 2 % 256;
		bool error_code = i & 1;
		struct entry_case c = injects(EVENT(type, vector) | (error_code ? INTR_ERROR_CODE : 0));

		judge_event(&c, &caps12, event_is_good(type, vector, error_code));
		if (event_is_good(type, vector, error_code))
			accept(&c, &caps12);
		else
			refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
		c.changes[0].set &= ~INTR_VALID;
		accept(&c, &caps12);
	}
}

static void events_depend_on_the_capabilities(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();
	struct entry_case other = injects(EVENT(INTR_other_event, 0));
	struct entry_case error_code = injects(EVENT(INTR_hardware_exception, 3) | INTR_ERROR_CODE);
	struct entry_case no_error_code = injects(EVENT(INTR_hardware_exception, 13));

	(void)state;
	*fake_msr(&caps12, MSR_IA32_VMX_BASIC) |= VMX_BASIC_ANY_EXCEPTION_ERROR_CODE;
	accept(&error_code, &caps12);
	accept(&no_error_code, &caps12);
	fake_allow(&caps12, CONTROLS_proc, controls_allowed(&caps12, CONTROLS_proc) & ~(u32)BIT(27));
	refuse(&other, &caps12, STAGE_controls, ENTRY_vmfail, 7);
}

static void real_mode_has_no_error_codes(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();
	struct entry_case c = injects(EVENT(INTR_hardware_exception, 13) | INTR_ERROR_CODE);

	(void)state;
	*fake_msr(&caps12, MSR_IA32_VMX_BASIC) &= ~VMX_BASIC_ANY_EXCEPTION_ERROR_CODE;
	c.changes[3] = (struct fake_change){ F_guest_cr0, CR0_PE | CR0_PG, 0 };
	c.changes[4] = (struct fake_change){ F_vm_entry_controls, ENTRY_ia32e_mode_guest, 0 };
	c.changes[5] = (struct fake_change){ F_guest_ia32_efer, EFER_LMA, 0 };
	refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
	c.changes[0].set &= ~INTR_ERROR_CODE;
	accept(&c, &caps12);
	*fake_msr(&caps12, MSR_IA32_VMX_BASIC) |= VMX_BASIC_ANY_EXCEPTION_ERROR_CODE;
	accept(&c, &caps12);
	c.changes[0].set |= INTR_ERROR_CODE;
	refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
}

static void reserved_bits_of_an_event_are_zero(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned bit = 12; bit < 31; bit++) {
		struct entry_case c = injects(EVENT(INTR_external, 0x30) | BIT(bit));

		refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		struct entry_case c = injects(EVENT(INTR_hardware_exception, 14) | INTR_ERROR_CODE);

		c.changes[2].set = BIT(bit);
		c.field = F_vm_entry_exception_error_code;
		if (bit < 16)
			accept(&c, &caps12);
		else
			refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
		/* Without delivery, nobody looks at it. */
		c.changes[0].set = EVENT(INTR_hardware_exception, 6);
		accept(&c, &caps12);
	}
}

static void software_events_have_the_length_of_an_instruction(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12(), no_zero = fake_caps12();

	(void)state;
	*fake_msr(&no_zero, MSR_IA32_VMX_MISC) &= ~VMX_MISC_ZERO_LENGTH_INJECTION;
	for (unsigned type = 4; type <= 6; type++)
		for (unsigned length = 0; length < 18; length++) {
			struct entry_case c = injects(EVENT(type, 4));

			c.field = F_vm_entry_instruction_length;
			c.changes[1].set = length;
			if (length > 15)
				refuse(&c, &caps12, STAGE_controls, ENTRY_vmfail, 7);
			else
				accept(&c, &caps12);
			if (length == 0)
				refuse(&c, &no_zero, STAGE_controls, ENTRY_vmfail, 7);
			else if (length <= 15)
				accept(&c, &no_zero);
		}
	for (unsigned length = 0; length < 18; length += 17) {
		struct entry_case c = injects(EVENT(INTR_external, 0x30));

		c.changes[1].set = length;
		accept(&c, &no_zero);
	}
}

static void fixed_bits_of_host_registers_are_checked(void **state)
{
	static const struct entry_case refused[] = {
		{ { { F_host_cr0, CR0_PE, 0 } }, F_host_cr0, false },
		{ { { F_host_cr0, CR0_NE, 0 } }, F_host_cr0, false },
		{ { { F_host_cr0, CR0_PG, 0 } }, F_host_cr0, false },
		{ { { F_host_cr0, 0, BIT(32) } }, F_host_cr0, false },
		{ { { F_host_cr4, CR4_VMXE, 0 } }, F_host_cr4, false },
		{ { { F_host_cr4, 0, BIT(31) } }, F_host_cr4, false },
		{ { { F_host_cr3, 0, FAKE_BEYOND } }, F_host_cr3, false },
		{ { { F_host_cr3, 0, BIT(63) } }, F_host_cr3, false },
	};
	static const struct entry_case accepted[] = {
		{ { { F_host_cr0, 0, CR0_WP | CR0_CD | CR0_NW } }, 0, false },
		{ { { F_host_cr4, 0, CR4_PGE | CR4_PCIDE } }, 0, false },
		{ { { F_host_cr3, 0, FAKE_BEYOND - 1 } }, 0, false },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		refuse(&refused[i], &caps12, STAGE_host, ENTRY_vmfail, 8);
	for (unsigned i = 0; i < ARRAY_SIZE(accepted); i++)
		accept(&accepted[i], &caps12);
}

static void host_addresses_are_canonical(void **state)
{
	static const enum vmcs_field fields[] = {
		F_host_ia32_sysenter_esp, F_host_ia32_sysenter_eip, F_host_fs_base, F_host_gs_base,
		F_host_gdtr_base, F_host_idtr_base, F_host_tr_base, F_host_rip,
	};
	struct vmx_capabilities caps12 = fake_caps12(), la57 = fake_caps12();

	(void)state;
	*fake_msr(&la57, MSR_IA32_VMX_CR4_FIXED1) |= CR4_LA57;
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		struct entry_case c = { .changes = { { fields[i], ~0ull, 0x0000800000000000 } },
					.field = fields[i] };

		refuse(&c, &caps12, STAGE_host, ENTRY_vmfail, 8);
		accept(&c, &la57);
		c.changes[0].set = 0xffff7fffffffffff;
		refuse(&c, &caps12, STAGE_host, ENTRY_vmfail, 8);
		c.changes[0].set = 0x0100000000000000;
		refuse(&c, &la57, STAGE_host, ENTRY_vmfail, 8);
		c.changes[0].set = 0x00007fffffffffff;
		accept(&c, &caps12);
		c.changes[0].set = 0xffff800000000000;
		accept(&c, &caps12);
	}
}

static bool pat_type_is_good(unsigned type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 7);
}

static void check_pat_of(enum vmcs_field field, enum vmcs_field controls, u64 control, enum stage stage,
			 enum entry_result result, u32 number)
{
	struct vmx_capabilities caps12 = fake_caps12();

	for (unsigned i = 0; i < 8 * 256; i++) {
		unsigned entry = i / 256, type = i % 256;
		struct entry_case c = { .field = field };

		c.changes[0] = (struct fake_change){ field, 0xffull << 8 * entry, (u64)type << 8 * entry };
		if (pat_type_is_good(type))
			accept(&c, &caps12);
		else
			refuse(&c, &caps12, stage, result, number);
		c.changes[1] = (struct fake_change){ controls, control, 0 };
		accept(&c, &caps12);
	}
}

static void pat_entries_are_memory_types(void **state)
{
	(void)state;
	check_pat_of(F_host_ia32_pat, F_primary_vm_exit_controls, EXIT_load_ia32_pat, STAGE_host,
		     ENTRY_vmfail, 8);
	check_pat_of(F_guest_ia32_pat, F_vm_entry_controls, ENTRY_load_ia32_pat, STAGE_guest,
		     ENTRY_failure, 0);
}

static void host_efer_suits_the_address_space(void **state)
{
	static const struct entry_case refused[] = {
		{ { { F_host_ia32_efer, EFER_LMA, 0 } }, F_host_ia32_efer, false },
		{ { { F_host_ia32_efer, EFER_LME, 0 } }, F_host_ia32_efer, false },
		{ { { F_host_ia32_efer, 0, BIT(1) } }, F_host_ia32_efer, false },
		{ { { F_host_ia32_efer, 0, BIT(9) } }, F_host_ia32_efer, false },
		{ { { F_host_ia32_efer, 0, BIT(12) } }, F_host_ia32_efer, false },
		{ { { F_host_ia32_efer, 0, BIT(63) } }, F_host_ia32_efer, false },
		{ { { F_host_ia32_efer, 0, EFER_LMA } }, F_host_ia32_efer, true },
		{ { { F_host_ia32_efer, 0, EFER_LME } }, F_host_ia32_efer, true },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		struct entry_case c = refused[i];

		refuse(&c, &caps12, STAGE_host, ENTRY_vmfail, 8);
		c.changes[1] = (struct fake_change){ F_primary_vm_exit_controls, EXIT_load_ia32_efer, 0 };
		accept(&c, &caps12);
	}
}

static void host_selectors_are_of_the_gdt_and_ring_0(void **state)
{
	static const enum vmcs_field fields[] = {
		F_host_es_selector, F_host_cs_selector, F_host_ss_selector, F_host_ds_selector,
		F_host_fs_selector, F_host_gs_selector, F_host_tr_selector,
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		struct entry_case null = { .changes = { { fields[i], ~0ull, 0 } }, .field = fields[i] };
		bool never_null = fields[i] == F_host_cs_selector || fields[i] == F_host_tr_selector;

		for (unsigned bit = 0; bit < 3; bit++) {
			struct entry_case c = { .changes = { { fields[i], 0, BIT(bit) | 0x28 } },
						.field = fields[i] };

			refuse(&c, &caps12, STAGE_host, ENTRY_vmfail, 8);
			c.changes[0].set = 0x28;
			accept(&c, &caps12);
		}
		if (never_null)
			refuse(&null, &caps12, STAGE_host, ENTRY_vmfail, 8);
		else
			accept(&null, &caps12);
		null.l1_32 = true;
		if (never_null || fields[i] == F_host_ss_selector)
			refuse(&null, &caps12, STAGE_host, ENTRY_vmfail, 8);
		else
			accept(&null, &caps12);
	}
}

static void the_address_space_is_that_of_l1(void **state)
{
	static const struct entry_case refused[] = {
		{ { { F_host_cr4, CR4_PAE, 0 } }, F_host_cr4, false },
		{ { { F_host_cr4, 0, CR4_PCIDE } }, F_host_cr4, true },
		{ { { F_host_rip, 0, BIT(32) } }, F_host_rip, true },
		{ { { F_vm_entry_controls, 0, ENTRY_ia32e_mode_guest },
		    { F_guest_ia32_efer, 0, EFER_LMA | EFER_LME } }, F_vm_entry_controls, true },
		/* A host of the other size than L1 now has. */
		{ { { F_primary_vm_exit_controls, EXIT_host_address_space_size, 0 },
		    { F_vm_entry_controls, ENTRY_ia32e_mode_guest, 0 },
		    { F_host_ia32_efer, EFER_LMA | EFER_LME, 0 },
		    { F_host_ss_selector, 0, 8 } }, F_primary_vm_exit_controls, false },
		{ { { F_primary_vm_exit_controls, 0, EXIT_host_address_space_size },
		    { F_host_ia32_efer, 0, EFER_LMA | EFER_LME } }, F_primary_vm_exit_controls, true },
	};
	static const struct entry_case accepted[] = {
		{ { { F_host_cr4, CR4_PAE, 0 } }, 0, true },
		{ { { F_host_rip, ~0ull, 0xffffffff } }, 0, true },
		{ { { F_vm_entry_controls, ENTRY_ia32e_mode_guest, 0 },
		    { F_guest_ia32_efer, EFER_LMA | EFER_LME, 0 } }, 0, false },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		struct vmcs12 vmcs12 = changed(&refused[i]);
		const struct entry_context context = { .l1_long_mode = !refused[i].l1_32 };
		struct entry_verdict verdict = entry_check_host(&vmcs12, &caps12, &context);

		assert_int_equal(verdict.result, ENTRY_vmfail);
		assert_int_equal(verdict.number, 8);
		assert_int_equal(verdict.field, refused[i].field);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(accepted); i++)
		accept(&accepted[i], &caps12);
}

#define NOT_IA32E { F_vm_entry_controls, ENTRY_ia32e_mode_guest, 0 }, { F_guest_ia32_efer, EFER_LMA, 0 }
static void guest_registers_keep_the_fixed_bits(void **state)
{
	static const struct entry_case refused[] = {
		{ { { F_guest_cr0, CR0_NE, 0 } }, F_guest_cr0, false },
		{ { { F_guest_cr0, 0, BIT(32) } }, F_guest_cr0, false },
		{ { { F_guest_cr0, CR0_PG, 0 } }, F_guest_cr0, false },
		{ { { F_guest_cr0, CR0_PE, 0 } }, F_guest_cr0, false },
		{ { { F_guest_cr0, CR0_PG, 0 }, { F_secondary_processor_based_controls, UG, 0 } },
		  F_guest_cr0, false },
		{ { { F_guest_cr0, CR0_PE | CR0_PG, 0 }, { F_secondary_processor_based_controls, UG, 0 } },
		  F_guest_cr0, false },
		{ { { F_guest_cr0, CR0_PG, 0 },
		    { F_primary_processor_based_controls, PROC_activate_secondary_controls, 0 } },
		  F_guest_cr0, false },
		{ { { F_guest_cr4, CR4_VMXE, 0 } }, F_guest_cr4, false },
		{ { { F_guest_cr4, 0, BIT(31) } }, F_guest_cr4, false },
	};
	static const struct entry_case accepted[] = {
		{ { { F_guest_cr0, CR0_PG, 0 }, NOT_IA32E }, 0, false },
		{ { { F_guest_cr0, CR0_PE | CR0_PG, 0 }, NOT_IA32E }, 0, false },
		{ { { F_secondary_processor_based_controls, UG, 0 } }, 0, false },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		refuse(&refused[i], &caps12, STAGE_guest, ENTRY_failure, ENTRY_FAIL_general);
	for (unsigned i = 0; i < ARRAY_SIZE(accepted); i++)
		accept(&accepted[i], &caps12);
}

static void guest_msrs_are_checked_where_the_entry_loads_them(void **state)
{
	static const struct {
		struct entry_case broken;
		u64 control;
	} cases[] = {
		{ { { { F_guest_dr7, 0, BIT(32) } }, F_guest_dr7, false }, ENTRY_load_debug_controls },
		{ { { { F_guest_dr7, 0, BIT(63) } }, F_guest_dr7, false }, ENTRY_load_debug_controls },
		{ { { { F_guest_ia32_debugctl, 0, BIT(3) } }, F_guest_ia32_debugctl, false },
		  ENTRY_load_debug_controls },
		{ { { { F_guest_ia32_debugctl, 0, BIT(16) } }, F_guest_ia32_debugctl, false },
		  ENTRY_load_debug_controls },
		{ { { { F_guest_ia32_efer, 0, BIT(1) } }, F_guest_ia32_efer, false }, ENTRY_load_ia32_efer },
		{ { { { F_guest_ia32_efer, EFER_LMA, 0 } }, F_guest_ia32_efer, false },
		  ENTRY_load_ia32_efer },
		{ { { { F_guest_ia32_efer, EFER_LME, 0 } }, F_guest_ia32_efer, false },
		  ENTRY_load_ia32_efer },
		{ { { { F_guest_ia32_efer, 0, EFER_LMA } }, F_guest_ia32_efer, true }, ENTRY_load_ia32_efer },
		{ { { { F_guest_ia32_efer, 0, EFER_LME } }, F_guest_ia32_efer, true }, ENTRY_load_ia32_efer },
	};
	static const struct entry_case accepted[] = {
		{ { { F_guest_ia32_debugctl, 0, 0x1fc7 } }, 0, false },
		{ { { F_guest_dr7, 0, BITS(31, 0) } }, 0, false },
		/* Without paging LME may stand alone, before a switch to long mode. */
		{ { { F_guest_ia32_efer, 0, EFER_LME }, { F_guest_cr0, CR0_PG, 0 } }, 0, true },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct entry_case c = cases[i].broken;

		refuse(&c, &caps12, STAGE_guest, ENTRY_failure, ENTRY_FAIL_general);
		c.changes[1] = (struct fake_change){ F_vm_entry_controls, cases[i].control, 0 };
		accept(&c, &caps12);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(accepted); i++)
		accept(&accepted[i], &caps12);
}

/* SDM "IA32_DEBUGCTL MSR": bits 5:3 and those above 15 are reserved. */
static void every_bit_of_debugctl_is_judged(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		struct entry_case c = { .changes = { { F_guest_ia32_debugctl, 0, BIT(bit) } } };

		c.field = F_guest_ia32_debugctl;
		if (bit > 15 || (bit >= 3 && bit <= 5))
			refuse(&c, &caps12, STAGE_guest, ENTRY_failure, ENTRY_FAIL_general);
		else
			accept(&c, &caps12);
	}
}

static void cet_of_the_host_needs_write_protection(void **state)
{
	static const struct entry_case refused = { { { F_host_cr4, 0, CR4_CET } }, F_host_cr4, false };
	static const struct entry_case accepted = { { { F_host_cr4, 0, CR4_CET }, { F_host_cr0, 0, CR0_WP } }, 0,
						   false };
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	refuse(&refused, &caps12, STAGE_host, ENTRY_vmfail, 8);
	accept(&accepted, &caps12);
}

static void cet_state_of_the_host_is_checked_where_the_exit_loads_it(void **state)
{
	static const struct entry_case cases[] = {
		{ { { F_host_ssp, 0, 1 } }, F_host_ssp, false },
		{ { { F_host_ssp, 0, 2 } }, F_host_ssp, false },
		{ { { F_host_ssp, 0, BIT(47) } }, F_host_ssp, false },
		{ { { F_host_ssp, 0, BIT(32) } }, F_host_ssp, true },
		{ { { F_host_ia32_s_cet, 0, BIT(47) } }, F_host_ia32_s_cet, false },
		{ { { F_host_ia32_s_cet, 0, BIT(32) } }, F_host_ia32_s_cet, true },
		{ { { F_host_ia32_interrupt_ssp_table_addr, 0, BIT(47) } },
		  F_host_ia32_interrupt_ssp_table_addr, false },
		{ { { F_host_ia32_interrupt_ssp_table_addr, 0, BIT(47) } },
		  F_host_ia32_interrupt_ssp_table_addr, true },
	};
	static const struct entry_case accepted[] = {
		{ { { F_host_ssp, 0, BIT(46) | 4 } }, 0, false },
		{ { { F_host_ia32_s_cet, 0, BIT(46) | BIT(12) } }, 0, false },
		{ { { F_host_ia32_interrupt_ssp_table_addr, 0, BIT(46) | 1 } }, 0, true },
	};
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct entry_case c = cases[i];

		refuse(&c, &caps12, STAGE_host, ENTRY_vmfail, 8);
		c.changes[1] = (struct fake_change){ F_primary_vm_exit_controls, EXIT_load_cet_state, 0 };
		accept(&c, &caps12);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(accepted); i++)
		accept(&accepted[i], &caps12);
}

/* SDM "IA32_U_CET and IA32_S_CET MSRs": bits 9:6 are reserved, those of a part of CET that the CPU lacks as well. */
static void every_bit_of_s_cet_is_judged(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12(), stacks = fake_caps12();
	const struct entry_case both = { .changes = { { F_host_ia32_s_cet, 0, BIT(10) | BIT(11) } },
					 .field = F_host_ia32_s_cet };

	(void)state;
	stacks.s_cet = 3;
	for (unsigned bit = 0; bit < 47; bit++) {
		struct entry_case c = { .changes = { { F_host_ia32_s_cet, 0, BIT(bit) } }, .field = F_host_ia32_s_cet };

		if (bit >= 6 && bit <= 9)
			refuse(&c, &caps12, STAGE_host, ENTRY_vmfail, 8);
		else
			accept(&c, &caps12);
		if (bit >= 2)
			refuse(&c, &stacks, STAGE_host, ENTRY_vmfail, 8);
		else
			accept(&c, &stacks);
	}
	refuse(&both, &caps12, STAGE_host, ENTRY_vmfail, 8);
}

static void a_link_pointer_is_a_page_or_all_ones(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();
	struct entry_case c = { .changes = { { F_vmcs_link_pointer, ~0ull, 0x20000 } },
				.field = F_vmcs_link_pointer };

	(void)state;
	accept(&c, &caps12);
	c.changes[0].set = 0x20800;
	refuse(&c, &caps12, STAGE_guest, ENTRY_failure, ENTRY_FAIL_vmcs_link_pointer);
	c.changes[0].set = 0x20000 | FAKE_BEYOND;
	refuse(&c, &caps12, STAGE_guest, ENTRY_failure, ENTRY_FAIL_vmcs_link_pointer);
}

/* What the pointer leads to: revision, type by the control, and not the VMCS that has it. */
static void a_link_leads_to_a_vmcs_of_its_type(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();
	u32 revision = (u32)capability(&caps12, MSR_IA32_VMX_BASIC) & 0x7fffffff;
	struct vmcs12 vmcs12 = fake_vmcs12(true);

	(void)state;
	vmcs12_set(&vmcs12, F_vmcs_link_pointer, 0x20000);
	for (unsigned i = 0; i < 16; i++) {
		bool shadowing = i & 1, shadow = i & 2, itself = i & 4, other = i & 8;
		u32 header = (other ? revision ^ 2 : revision) | (shadow ? 0x80000000 : 0);
		struct entry_verdict verdict;

		vmcs12_set(&vmcs12, F_secondary_processor_based_controls, shadowing ? 0x4002 : 2);
		verdict = entry_check_link(&vmcs12, &caps12, itself ? 0x20000 : 0x30000, header);
		if (shadowing == shadow && !itself && !other) {
			assert_ok(&verdict);
			continue;
		}
		assert_int_equal(verdict.result, ENTRY_failure);
		assert_int_equal(verdict.number, 4);
		assert_int_equal(verdict.field, F_vmcs_link_pointer);
		assert_non_null(verdict.rule);
	}
	/* A control that is not activated is 0. */
	vmcs12_set(&vmcs12, F_secondary_processor_based_controls, 0x4002);
	vmcs12_set(&vmcs12, F_primary_processor_based_controls, 0);
	assert_int_equal(entry_check_link(&vmcs12, &caps12, 0x30000, revision).result, ENTRY_ok);
}

/* The order of the SDM: what fails first is what is told. */
static void the_first_failure_is_told(void **state)
{
	struct vmx_capabilities caps12 = fake_caps12();
	const struct entry_case c = { .changes = {
		{ F_cr3_target_count, 0, 0xff },
		{ F_primary_vm_exit_controls, 0, BIT(31) },
		{ F_guest_cr4, CR4_VMXE, 0 },
		{ F_vmcs_link_pointer, 1, 0 },
	} };
	struct vmcs12 vmcs12 = changed(&c);
	struct verdicts verdicts = check(&vmcs12, &caps12, false);

	(void)state;
	assert_int_equal(verdicts.of[STAGE_controls].field, F_cr3_target_count);
	assert_int_equal(verdicts.of[STAGE_guest].field, F_guest_cr4);
	assert_int_equal(verdicts.of[STAGE_guest].number, ENTRY_FAIL_general);
}

static bool same_verdict(const struct entry_verdict *a, const struct entry_verdict *b)
{
	return a->result == b->result && a->number == b->number && a->field == b->field && a->rule == b->rule;
}

static void check_reads(const struct vmcs12 *vmcs12, bool l1_32, enum vmcs_field field, u64 value)
{
	const struct field_set *reads[STAGES] = {
		[STAGE_controls] = &entry_check_controls_fields.set,
		[STAGE_host] = &entry_check_host_fields.set,
		[STAGE_guest] = &entry_check_guest_fields.set,
	};
	struct vmx_capabilities caps12 = fake_caps12();
	struct verdicts before = check(vmcs12, &caps12, l1_32), after;
	struct vmcs12 other = *vmcs12;

	vmcs12_set(&other, field, value);
	after = check(&other, &caps12, l1_32);
	for (unsigned stage = 0; stage < STAGES; stage++)
		if (!field_set_has(reads[stage], field))
			assert_true(same_verdict(&before.of[stage], &after.of[stage]));
}

/* Whoever skips a check because none of its fields is dirty must not miss a thing. */
static void no_check_reads_a_field_outside_its_set(void **state)
{
	static const u64 events[] = {
		EVENT(INTR_hardware_exception, 13) | INTR_ERROR_CODE,
		EVENT(INTR_software_interrupt, 0x80),
	};
	u64 random = host_seed();

	(void)state;
	for (unsigned round = 0; round < 400; round++) {
		bool l1_32 = round & 1;
		struct vmcs12 vmcs12 = fake_vmcs12(!l1_32);

		vmcs12_set(&vmcs12, F_vm_entry_interruption_information, events[round / 2 % 2]);
		vmcs12_set(&vmcs12, F_vm_entry_instruction_length, 2);
		if (round % 3 == 0)
			vmcs12_set(&vmcs12, F_guest_cr0, CR0_NE);
		vmcs12_set(&vmcs12, (enum vmcs_field)host_random_below(&random, VMCS_FIELDS),
			   host_random(&random));
		for (unsigned i = 0; i < VMCS_FIELDS; i++) {
			check_reads(&vmcs12, l1_32, (enum vmcs_field)i, 0);
			check_reads(&vmcs12, l1_32, (enum vmcs_field)i, ~0ull);
			check_reads(&vmcs12, l1_32, (enum vmcs_field)i, host_random(&random));
		}
	}
}

/* RSP and the event change at nearly every entry, and must not drag the other checks along. */
static void what_changes_at_every_entry_is_in_as_few_sets_as_can_be(void **state)
{
	(void)state;
	assert_false(field_set_has(&entry_check_host_fields.set, F_host_rsp));
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		if (vmcs_field[i].hot & HOT_W && i != F_primary_processor_based_controls) {
			assert_false(field_set_has(&entry_check_host_fields.set, (enum vmcs_field)i));
			assert_false(field_set_has(&entry_check_guest_fields.set, (enum vmcs_field)i));
		}
}

static void an_event_is_checked_by_its_own_fields_and_cr0(void **state)
{
	struct entry_case wrong = { .changes = { { F_pin_based_controls, 0, ~0ull } } };
	struct vmx_capabilities caps12 = fake_caps12();
	struct vmcs12 vmcs12 = changed(&wrong);
	struct entry_verdict verdict = entry_check_event(&vmcs12, &caps12);

	(void)state;
	assert_ok(&verdict);
	assert_int_equal(entry_check_controls(&vmcs12, &caps12).result, ENTRY_vmfail);
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		assert_false(entry_check_event_fields.set.word[i] & ~entry_check_controls_fields.set.word[i]);
}

static void a_window_is_checked_by_its_own_control_and_virtual_nmis(void **state)
{
	struct entry_case nmi_window = { .changes = { { F_pin_based_controls, PIN_virtual_nmis, 0 } } };
	struct entry_case other = { .changes = { { F_primary_processor_based_controls, 0, ~0ull } } };
	struct entry_case elsewhere = { .changes = { { F_primary_vm_exit_controls, 0, ~0ull } } };
	const struct entry_case *wrong[] = { &nmi_window, &other };
	struct vmx_capabilities caps12 = fake_caps12();

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct vmcs12 vmcs12 = changed(wrong[i]);
		struct entry_verdict window = entry_check_windows(&vmcs12, &caps12);
		struct entry_verdict all = entry_check_controls(&vmcs12, &caps12);

		assert_int_equal(window.result, ENTRY_vmfail);
		assert_int_equal(window.number, all.number);
		assert_int_equal(window.field, all.field);
	}
	struct vmcs12 vmcs12 = changed(&elsewhere);
	struct entry_verdict verdict = entry_check_windows(&vmcs12, &caps12);

	assert_ok(&verdict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_valid_is_accepted),
		cmocka_unit_test(each_control_stays_within_the_capability),
		cmocka_unit_test(secondary_controls_are_not_checked_unless_activated),
		cmocka_unit_test(addresses_are_aligned_and_within_the_width),
		cmocka_unit_test(execution_controls_agree_with_each_other),
		cmocka_unit_test(the_timer_is_saved_only_where_it_runs),
		cmocka_unit_test(every_event_is_judged),
		cmocka_unit_test(an_event_is_checked_by_its_own_fields_and_cr0),
		cmocka_unit_test(a_window_is_checked_by_its_own_control_and_virtual_nmis),
		cmocka_unit_test(events_depend_on_the_capabilities),
		cmocka_unit_test(real_mode_has_no_error_codes),
		cmocka_unit_test(reserved_bits_of_an_event_are_zero),
		cmocka_unit_test(software_events_have_the_length_of_an_instruction),
		cmocka_unit_test(fixed_bits_of_host_registers_are_checked),
		cmocka_unit_test(host_addresses_are_canonical),
		cmocka_unit_test(pat_entries_are_memory_types),
		cmocka_unit_test(host_efer_suits_the_address_space),
		cmocka_unit_test(host_selectors_are_of_the_gdt_and_ring_0),
		cmocka_unit_test(the_address_space_is_that_of_l1),
		cmocka_unit_test(guest_registers_keep_the_fixed_bits),
		cmocka_unit_test(guest_msrs_are_checked_where_the_entry_loads_them),
		cmocka_unit_test(every_bit_of_debugctl_is_judged),
		cmocka_unit_test(cet_of_the_host_needs_write_protection),
		cmocka_unit_test(cet_state_of_the_host_is_checked_where_the_exit_loads_it),
		cmocka_unit_test(every_bit_of_s_cet_is_judged),
		cmocka_unit_test(a_link_pointer_is_a_page_or_all_ones),
		cmocka_unit_test(a_link_leads_to_a_vmcs_of_its_type),
		cmocka_unit_test(the_first_failure_is_told),
		cmocka_unit_test(no_check_reads_a_field_outside_its_set),
		cmocka_unit_test(what_changes_at_every_entry_is_in_as_few_sets_as_can_be),
	};

	return cmocka_run_group_tests_name("entry_check", tests, NULL, NULL);
}
