#include "vmcs_shadow/merge.h"

static u64 get12(const struct merge_input *input, enum vmcs_field field)
{
	return vmcs12_get(input->vmcs12, field);
}

static u32 controls12(const struct merge_input *input, enum control_group group)
{
	return vmcs12_controls(input->vmcs12, group);
}

static bool entry_loads(const struct merge_input *input, u32 control)
{
	return controls12(input, CONTROLS_entry) & control;
}

static u64 merge_pin(const struct merge_input *input)
{
	u32 wish = controls12(input, CONTROLS_pin) | input->controls01[CONTROLS_pin];

	return controls_adjust(input->host, CONTROLS_pin, wish & ~(u32)PIN_process_posted_interrupts);
}

/*
 * SDM "Primary Processor-Based VM-Execution Controls": I/O bitmaps override unconditional exits, so
 * L0's bitmaps must not lift what L1 asked for, and without vmcs12's MSR bitmaps every access exits.
 */
static u64 merge_proc(const struct merge_input *input)
{
	u32 proc12 = controls12(input, CONTROLS_proc);
	u32 wish = proc12 | input->controls01[CONTROLS_proc] | (u32)PROC_activate_secondary_controls;

	if (!(proc12 & PROC_use_io_bitmaps) && (proc12 & PROC_unconditional_io_exiting))
		wish &= ~(u32)PROC_use_io_bitmaps;
	if (!(proc12 & PROC_use_msr_bitmaps))
		wish &= ~(u32)PROC_use_msr_bitmaps;
	wish &= ~(u32)PROC_activate_tertiary_controls;
	return controls_adjust(input->host, CONTROLS_proc, wish);
}

/* SDM "Time-Stamp Counter Offset and Multiplier": scaling is part of offsetting. */
static bool scales_tsc(const struct merge_input *input)
{
	return controls12(input, CONTROLS_proc) & PROC_use_tsc_offsetting &&
	       controls12(input, CONTROLS_proc2) & PROC2_use_tsc_scaling;
}

/* Secondary controls that give a guest something: L2 has them from L1 or not at all. */
#define PROC2_GRANTS (PROC2_enable_rdtscp | PROC2_enable_invpcid | PROC2_enable_xsaves_xrstors | \
		      PROC2_enable_user_wait_and_pause | PROC2_enable_pconfig | PROC2_enable_vm_functions | \
		      PROC2_unrestricted_guest | PROC2_virtualize_apic_accesses | \
		      PROC2_virtualize_x2apic_mode | PROC2_apic_register_virtualization | \
		      PROC2_virtual_interrupt_delivery | PROC2_enable_vpid | PROC2_vmcs_shadowing)

static u64 merge_proc2(const struct merge_input *input)
{
	u32 wish = controls12(input, CONTROLS_proc2) & ~(u32)PROC2_enable_vpid;

	wish |= input->controls01[CONTROLS_proc2] & ~(u32)PROC2_GRANTS;
	wish |= PROC2_enable_ept;
	/* These are L0's to emulate, and scaling means nothing to vmcs12 without an offset. */
	wish &= ~(u32)(PROC2_enable_pml | PROC2_ept_violation_ve);
	if (!scales_tsc(input))
		wish &= ~(u32)PROC2_use_tsc_scaling;
	if (input->vpid02)
		wish |= PROC2_enable_vpid;
	return controls_adjust(input->host, CONTROLS_proc2, wish);
}

/*
 * SDM "VM-Exit Controls": an exit from L2 arrives in L0, which saves and loads all it can and decides
 * later what of it vmcs12 sees. An interrupt is acknowledged only if it is L1's to receive.
 */
static u64 merge_exit(const struct merge_input *input)
{
	u32 from12 = EXIT_save_vmx_preemption_timer_value | EXIT_acknowledge_interrupt_on_exit;
	u32 wish = input->controls01[CONTROLS_exit] & ~from12;

	if (!(controls12(input, CONTROLS_pin) & PIN_external_interrupt_exiting))
		from12 &= ~(u32)EXIT_acknowledge_interrupt_on_exit;
	wish |= controls12(input, CONTROLS_exit) & from12;
	if (controls12(input, CONTROLS_pin) & PIN_activate_vmx_preemption_timer)
		wish |= EXIT_save_vmx_preemption_timer_value; /* it goes on over exits that are L0's alone */
	wish |= EXIT_host_address_space_size | EXIT_save_debug_controls | EXIT_save_ia32_pat |
		EXIT_load_ia32_pat | EXIT_save_ia32_efer | EXIT_load_ia32_efer;
	return controls_adjust(input->host, CONTROLS_exit, wish);
}

static u64 merge_entry(const struct merge_input *input)
{
	u32 from12 = ENTRY_ia32e_mode_guest | ENTRY_load_cet_state;
	u32 smm = ENTRY_entry_to_smm | ENTRY_deactivate_dual_monitor_treatment;
	u32 wish = input->controls01[CONTROLS_entry] & ~(from12 | smm);

	wish |= controls12(input, CONTROLS_entry) & from12;
	wish |= ENTRY_load_debug_controls | ENTRY_load_ia32_pat | ENTRY_load_ia32_efer;
	return controls_adjust(input->host, CONTROLS_entry, wish);
}

/*
 * SDM "Guest/Host Masks and Read Shadows for CR0 and CR4": of bits that L0 alone owns, L2 reads its
 * own value.
 */
static u64 merge_read_shadow(u64 mask12, u64 shadow12, u64 guest12)
{
	return (shadow12 & mask12) | (guest12 & ~mask12);
}

/*
 * SDM "Time-Stamp Counter Offset and Multiplier": L2's TSC is L1's, scaled and with one more offset, so that L0's
 * offset is scaled as well.
 */
static u64 scale_tsc(u64 value, u64 multiplier)
{
	return (u64)((__int128)(s64)value * (__int128)multiplier >> TSC_MULTIPLIER_SHIFT);
}

static u64 merge_tsc_offset(const struct merge_input *input)
{
	bool uses = controls12(input, CONTROLS_proc) & PROC_use_tsc_offsetting;
	u64 offset01 = input->tsc_offset01;

	if (scales_tsc(input))
		offset01 = scale_tsc(offset01, get12(input, F_tsc_multiplier));
	return offset01 + (uses ? get12(input, F_tsc_offset) : 0);
}

/* SDM "Loading Guest Control Registers, Debug Registers, and MSRs": the case without load_ia32_efer. */
static u64 merge_efer(const struct merge_input *input)
{
	bool long_mode = entry_loads(input, ENTRY_ia32e_mode_guest);
	u64 follows = EFER_LMA;

	if (entry_loads(input, ENTRY_load_ia32_efer))
		return get12(input, F_guest_ia32_efer);
	if (get12(input, F_guest_cr0) & CR0_PG)
		follows |= EFER_LME;
	return (input->efer01 & ~follows) | (long_mode ? follows : 0);
}

static u64 loaded_or(const struct merge_input *input, u32 control, enum vmcs_field field, u64 otherwise)
{
	return entry_loads(input, control) ? get12(input, field) : otherwise;
}

static u64 merge_guest_state(const struct merge_input *input, enum vmcs_field field)
{
	switch (field) {
	case F_vmcs_link_pointer:
		return input->link_pointer02;
	case F_guest_ia32_debugctl:
		return loaded_or(input, ENTRY_load_debug_controls, field, input->debugctl01);
	case F_guest_dr7:
		return loaded_or(input, ENTRY_load_debug_controls, field, input->dr7_01);
	case F_guest_ia32_pat:
		return loaded_or(input, ENTRY_load_ia32_pat, field, input->pat01);
	case F_guest_ia32_efer:
		return merge_efer(input);
	default:
		ASSERT(!"a merged field");
	}
}

/* Addresses that L1 gave stand for L1's memory; the CPU gets those that L0 made of them. */
static u64 merge_address(const struct merge_input *input, enum vmcs_field field)
{
	switch (field) {
	case F_address_of_io_bitmap_a:
		return input->bitmap02[BITMAP_io_a];
	case F_address_of_io_bitmap_b:
		return input->bitmap02[BITMAP_io_b];
	case F_address_of_msr_bitmaps:
		return input->bitmap02[BITMAP_msr];
	case F_vmread_bitmap_address:
		return input->bitmap02[BITMAP_vmread];
	case F_vmwrite_bitmap_address:
		return input->bitmap02[BITMAP_vmwrite];
	case F_virtual_apic_address:
		return input->virtual_apic02;
	case F_apic_access_address:
		return input->apic_access02;
	case F_ept_pointer:
		return input->eptp02;
	case F_sub_page_permission_table_pointer:
		return input->spptp02;
	default:
		return merge_guest_state(input, field);
	}
}

u64 merge_field(const struct merge_input *input, enum vmcs_field field)
{
	switch (field) {
	case F_pin_based_controls:
		return merge_pin(input);
	case F_primary_processor_based_controls:
		return merge_proc(input);
	case F_secondary_processor_based_controls:
		return merge_proc2(input);
	case F_primary_vm_exit_controls:
		return merge_exit(input);
	case F_vm_entry_controls:
		return merge_entry(input);
	case F_exception_bitmap:
		return get12(input, field) | input->exception_bitmap01;
	case F_virtual_processor_identifier:
		return input->vpid02;
	case F_tsc_offset:
		return merge_tsc_offset(input);
	case F_vm_function_controls:
		return 0; /* each VMFUNC exits, and L0 does what vmcs12 allows */
	case F_tsc_multiplier:
	case F_xss_exiting_bitmap:
		return get12(input, field);
	case F_cr0_guest_host_mask:
		return get12(input, field) | input->cr0_guest_host_mask01;
	case F_cr4_guest_host_mask:
		return get12(input, field) | input->cr4_guest_host_mask01;
	case F_cr0_read_shadow:
		return merge_read_shadow(get12(input, F_cr0_guest_host_mask), get12(input, field),
					 get12(input, F_guest_cr0));
	case F_cr4_read_shadow:
		return merge_read_shadow(get12(input, F_cr4_guest_host_mask), get12(input, field),
					 get12(input, F_guest_cr4));
	default:
		return merge_address(input, field);
	}
}

/* Which merged fields depend on a field of vmcs12 beside their own. */
static const struct {
	u8 source;
	union field_bits targets;
} dependencies[] = {
	{ F_pin_based_controls, FIELD_SET_OF(.primary_vm_exit_controls = 1) },
	{ F_primary_processor_based_controls,
	  FIELD_SET_OF(.secondary_processor_based_controls = 1, .address_of_io_bitmap_a = 1,
		       .address_of_io_bitmap_b = 1, .address_of_msr_bitmaps = 1, .tsc_offset = 1,
		       .virtual_apic_address = 1, .apic_access_address = 1, .ept_pointer = 1,
		       .sub_page_permission_table_pointer = 1,
		       .virtual_processor_identifier = 1) },
	{ F_secondary_processor_based_controls,
	  FIELD_SET_OF(.apic_access_address = 1, .ept_pointer = 1, .sub_page_permission_table_pointer = 1,
		       .virtual_processor_identifier = 1,
		       .tsc_offset = 1) },
	{ F_tsc_multiplier, FIELD_SET_OF(.tsc_offset = 1) },
	{ F_virtual_processor_identifier, FIELD_SET_OF(.secondary_processor_based_controls = 1) },
	{ F_vm_entry_controls,
	  FIELD_SET_OF(.guest_ia32_efer = 1, .guest_ia32_pat = 1, .guest_ia32_debugctl = 1, .guest_dr7 = 1) },
	{ F_guest_cr0, FIELD_SET_OF(.cr0_read_shadow = 1, .guest_ia32_efer = 1) },
	{ F_guest_cr4, FIELD_SET_OF(.cr4_read_shadow = 1) },
	{ F_cr0_guest_host_mask, FIELD_SET_OF(.cr0_read_shadow = 1) },
	{ F_cr4_guest_host_mask, FIELD_SET_OF(.cr4_read_shadow = 1) },
};

/* The fields of vmcs12 that reach vmcs02 at all. */
static const union field_bits written_fields = { .has = {
#define F(name, encoding, use, hot) .name = USE_##use == USE_COPY || USE_##use == USE_MERGE,
#include "vmcs_fields.def"
#undef F
} };

struct field_set merge_affected(const struct field_set *dirty)
{
	struct field_set affected;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		affected.word[i] = dirty->word[i] & written_fields.set.word[i];
	for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++)
		if (field_set_has(dirty, (enum vmcs_field)dependencies[i].source))
			field_set_unite(&affected, &dependencies[i].targets.set);
	return affected;
}
