/*
 * vmcs02, whatever L1 wrote and whatever L0 needs: each bit of its controls by what it does, addresses
 * from L0 alone, registers as L2 has to see them. What passes L1's entry checks makes a vmcs02 that
 * passes the host's; and a change is never missed.
 */
#include <string.h>

#include "ept.h"
#include "mutate.h"
#include "vmcs_shadow/entry_check.h"
#include "vmcs_shadow/merge.h"

/* Controls of processors by their bits, SDM "Processor-Based VM-Execution Controls". */
#define TSC_OFFSETTING 0x8u
#define UNCONDITIONAL_IO 0x01000000u
#define IO_BITMAPS 0x02000000u
#define MSR_BITMAPS 0x10000000u
#define VPID 0x20u
#define LOGGING 0x20000u
#define VE 0x40000u
#define TSC_SCALING 0x02000000u
#define TIMER 0x40u
#define SAVE_TIMER 0x400000u
#define ACKNOWLEDGE 0x8000u

/*
 * Where a bit of vmcs02 comes from, if the host lets it: vmcs12 alone (what it gives a guest), vmcs01
 * alone (ways of leaving and entering), always, never, or a rule of its own below. Else it is an exit
 * that either may ask for.
 */
static const struct {
	u32 from12, from01, always, never, rule;
} origins[CONTROL_GROUPS] = {
	[CONTROLS_pin] = { .never = 0x80 },
	[CONTROLS_proc] = { .always = 0x80000000, .never = 0x20000,
			    .rule = UNCONDITIONAL_IO | IO_BITMAPS | MSR_BITMAPS },
	/* Logging and #VE are L0's to emulate. */
	[CONTROLS_proc2] = { .from12 = 0x0c107399, .always = 0x2, .rule = VPID | LOGGING | VE | TSC_SCALING },
	[CONTROLS_exit] = { .from01 = 0xff837dfb, .always = 0x3c0204, .rule = SAVE_TIMER | ACKNOWLEDGE },
	[CONTROLS_entry] = { .from12 = 0x100200, .from01 = 0xffef31fb, .always = 0xc004, .never = 0xc00 },
};

/* What L0 may want of vmcs01. */
static const u32 wishes01[CONTROL_GROUPS] = {
	[CONTROLS_pin] = 0x9,
	[CONTROLS_proc] = 0xf2999e88,
	[CONTROLS_proc2] = 0x0c1114ee,
	[CONTROLS_exit] = 0x3c9204,
	[CONTROLS_entry] = 0xe204,
};

static enum vmcs_field control_field(unsigned group)
{
	return (enum vmcs_field)vmcs_control_field[group];
}

/* As they take effect: without their activation the secondary ones are none. */
static u32 effective12(const struct merge_input *input, unsigned group)
{
	if (group == CONTROLS_proc2 && !(input->vmcs12->value[F_primary_processor_based_controls] >> 31))
		return 0;
	return (u32)input->vmcs12->value[control_field(group)];
}

static void check_origins(const struct merge_input *input, unsigned group)
{
	u32 required = controls_required(input->host, (enum control_group)group);
	u32 allowed = controls_allowed(input->host, (enum control_group)group);
	u32 c12 = effective12(input, group), c01 = input->controls01[group];
	u64 c02 = merge_field(input, control_field(group));
	u32 from12 = origins[group].from12, from01 = origins[group].from01;
	u32 always = origins[group].always, never = origins[group].never, rule = origins[group].rule;
	u32 either = ~(from12 | from01 | always | never | rule);
	u32 wish = (c12 & from12) | (c01 & from01) | always | ((c12 | c01) & either);

	AGREE(!(c02 >> 32));
	AGREE((required & ~c02) == 0);
	AGREE((c02 & ~allowed) == 0);
	AGREE((c02 & ~rule) == (((wish | required) & allowed) & ~rule));
}

/* I/O and MSR accesses: what L1 wants to see exits, and L0's bitmaps stand in where either has some. */
static void check_bitmaps(const struct merge_input *input)
{
	u32 proc12 = effective12(input, CONTROLS_proc), proc01 = input->controls01[CONTROLS_proc];
	u64 proc02 = merge_field(input, F_primary_processor_based_controls);

	if (proc12 & ~controls_allowed(input->host, CONTROLS_proc))
		return; /* no entry comes of it */
	if (proc12 & IO_BITMAPS)
		AGREE(proc02 & IO_BITMAPS);
	else if (proc12 & UNCONDITIONAL_IO)
		AGREE((proc02 & UNCONDITIONAL_IO) && !(proc02 & IO_BITMAPS));
	else
		AGREE(!(proc02 & UNCONDITIONAL_IO) && (proc02 & IO_BITMAPS) == (proc01 & IO_BITMAPS));
	/* Without bitmaps of L1's every access exits, as L1 has it. */
	AGREE((proc02 & MSR_BITMAPS) == (proc12 & MSR_BITMAPS));
	AGREE(merge_field(input, F_address_of_io_bitmap_a) == input->bitmap02[BITMAP_io_a]);
	AGREE(merge_field(input, F_address_of_io_bitmap_b) == input->bitmap02[BITMAP_io_b]);
	AGREE(merge_field(input, F_address_of_msr_bitmaps) == input->bitmap02[BITMAP_msr]);
}

static void check_translation(const struct merge_input *input)
{
	u32 allowed = controls_allowed(input->host, CONTROLS_proc2);
	u64 proc2_02 = merge_field(input, F_secondary_processor_based_controls);

	AGREE(proc2_02 & 0x2);
	AGREE(!!(proc2_02 & VPID) == (input->vpid02 && (allowed & VPID)));
	/* L0 writes L1's log and its #VE information itself, and scales only for L1. */
	AGREE(!(proc2_02 & (LOGGING | VE)));
	AGREE(!(proc2_02 & TSC_SCALING & ~effective12(input, CONTROLS_proc2)));
	AGREE(merge_field(input, F_vm_function_controls) == 0);
	AGREE(merge_field(input, F_virtual_processor_identifier) == input->vpid02);
	AGREE(merge_field(input, F_ept_pointer) == input->eptp02);
	AGREE(merge_field(input, F_sub_page_permission_table_pointer) == input->spptp02);
	AGREE(merge_field(input, F_virtual_apic_address) == input->virtual_apic02);
	AGREE(merge_field(input, F_apic_access_address) == input->apic_access02);
	AGREE(merge_field(input, F_vmcs_link_pointer) == input->link_pointer02);
	AGREE(merge_field(input, F_vmread_bitmap_address) == input->bitmap02[BITMAP_vmread]);
	AGREE(merge_field(input, F_vmwrite_bitmap_address) == input->bitmap02[BITMAP_vmwrite]);
}

static void check_exit_controls(const struct merge_input *input)
{
	u32 exit12 = effective12(input, CONTROLS_exit), pin12 = effective12(input, CONTROLS_pin);
	u32 allowed = controls_allowed(input->host, CONTROLS_exit);
	u64 exit02 = merge_field(input, F_primary_vm_exit_controls);

	AGREE((exit02 & ACKNOWLEDGE) == (pin12 & 1 ? exit12 & ACKNOWLEDGE & allowed : 0));
	AGREE(!!(exit02 & SAVE_TIMER) == ((exit12 & SAVE_TIMER || pin12 & TIMER) && allowed & SAVE_TIMER));
}

/* What L2 reads of a control register: where L1 masks, L1's shadow; else what is in the register. */
static void check_register(const struct merge_input *input, enum vmcs_field mask, enum vmcs_field shadow,
			   enum vmcs_field guest, u64 mask01)
{
	const u64 *value12 = input->vmcs12->value;
	u64 mask02 = merge_field(input, mask), shadow02 = merge_field(input, shadow);

	AGREE(mask02 == (value12[mask] | mask01));
	for (unsigned n = 0; n < 64; n++) {
		u64 bit = 1ull << n;
		u64 expected = (value12[mask] & bit ? value12[shadow] : value12[guest]) & bit;

		AGREE(((mask02 & bit ? shadow02 : value12[guest]) & bit) == expected);
	}
}

/*
 * SDM "Time-Stamp Counter Offset and Multiplier": what L2 reads is L1's TSC as vmcs12 has it. Two roundings may
 * differ from one by one. From the middle of all values no offset leads around the end.
 */
static u64 tsc_through(u64 tsc, u64 proc, u64 proc2, u64 multiplier, u64 offset)
{
	if (!(proc & TSC_OFFSETTING))
		return tsc;
	if (proc2 & TSC_SCALING)
		tsc = (u64)((unsigned __int128)tsc * multiplier >> 48);
	return tsc + offset;
}

static void check_tsc(const struct merge_input *input)
{
	const u64 *value12 = input->vmcs12->value, host = BIT(63);
	u32 proc12 = effective12(input, CONTROLS_proc), proc2_12 = effective12(input, CONTROLS_proc2);
	u64 l1 = tsc_through(host, input->controls01[CONTROLS_proc], 0, 0, input->tsc_offset01);
	u64 wanted = tsc_through(l1, proc12, proc2_12, value12[F_tsc_multiplier], value12[F_tsc_offset]);
	u64 read = tsc_through(host, merge_field(input, F_primary_processor_based_controls),
			       merge_field(input, F_secondary_processor_based_controls),
			       merge_field(input, F_tsc_multiplier), merge_field(input, F_tsc_offset));

	if (!(proc12 & ~controls_allowed(input->host, CONTROLS_proc)) &&
	    !(proc2_12 & ~controls_allowed(input->host, CONTROLS_proc2)))
		AGREE(wanted - read <= 1);
}

static void check_registers(const struct merge_input *input)
{
	const u64 *value12 = input->vmcs12->value;

	check_register(input, F_cr0_guest_host_mask, F_cr0_read_shadow, F_guest_cr0,
		       input->cr0_guest_host_mask01);
	check_register(input, F_cr4_guest_host_mask, F_cr4_read_shadow, F_guest_cr4,
		       input->cr4_guest_host_mask01);
	AGREE(merge_field(input, F_exception_bitmap) ==
	      (value12[F_exception_bitmap] | input->exception_bitmap01));
	check_tsc(input);
}

static u64 loaded(const struct merge_input *input, u32 control, enum vmcs_field field, u64 otherwise)
{
	return effective12(input, CONTROLS_entry) & control ? input->vmcs12->value[field] : otherwise;
}

/* SDM "Loading Guest Control Registers, Debug Registers, and MSRs". */
static void check_msrs(const struct merge_input *input)
{
	u64 efer02 = merge_field(input, F_guest_ia32_efer);
	u32 entry12 = effective12(input, CONTROLS_entry);
	bool long_mode = entry12 & 0x200, paging = input->vmcs12->value[F_guest_cr0] >> 31 & 1;

	AGREE(merge_field(input, F_guest_ia32_debugctl) ==
	      loaded(input, 0x4, F_guest_ia32_debugctl, input->debugctl01));
	AGREE(merge_field(input, F_guest_dr7) == loaded(input, 0x4, F_guest_dr7, input->dr7_01));
	AGREE(merge_field(input, F_guest_ia32_pat) == loaded(input, 0x4000, F_guest_ia32_pat, input->pat01));
	if (entry12 & 0x8000) {
		AGREE(efer02 == input->vmcs12->value[F_guest_ia32_efer]);
		return;
	}
	AGREE((efer02 >> 10 & 1) == long_mode);
	AGREE((efer02 >> 8 & 1) == (paging ? long_mode : input->efer01 >> 8 & 1));
	AGREE((efer02 & ~0x500ull) == (input->efer01 & ~0x500ull));
}

/* vmcs02 as L0 writes it, but for what is the host's: host state and lists of L0's own. */
static struct vmcs12 vmcs02_of(const struct merge_input *input)
{
	struct vmcs12 vmcs02;

	vmcs12_reset(&vmcs02);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		enum vmcs_field field = (enum vmcs_field)i;

		if (vmcs_field[i].use == USE_MERGE)
			vmcs12_set(&vmcs02, field, merge_field(input, field));
		else if (vmcs_field[i].use == USE_COPY)
			vmcs12_set(&vmcs02, field, vmcs12_get(input->vmcs12, field));
	}
	return vmcs02;
}

static void check_entry(const struct merge_input *input, const struct vmx_capabilities *caps12)
{
	struct vmcs12 vmcs02;

	if (entry_check_controls(input->vmcs12, caps12).result != ENTRY_ok)
		return;
	vmcs02 = vmcs02_of(input);
	AGREE(entry_check_controls(&vmcs02, input->host).result == ENTRY_ok);
	if (entry_check_guest(input->vmcs12, caps12).result == ENTRY_ok)
		AGREE(entry_check_guest(&vmcs02, input->host).result == ENTRY_ok);
}

/* L1 changes vmcs12 once more: what merge_affected() does not name is what it was. */
static void check_affected(struct fuzz_input *in, const struct merge_input *input, struct vmcs12 *vmcs12,
			   const struct vmx_capabilities *caps12)
{
	struct vmcs12 before = vmcs02_of(input), after;
	struct field_set affected;

	field_set_clear(&vmcs12->dirty);
	if (fuzz_bool(in)) {
		enum vmcs_field field = mutate_pick(in);

		vmcs12_set(vmcs12, field, mutate_value(in, field, vmcs12_get(vmcs12, field)));
	} else {
		mutate_vmcs12(in, vmcs12, caps12);
	}
	affected = merge_affected(&vmcs12->dirty);
	after = vmcs02_of(input);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		bool named = field_set_has(&affected, (enum vmcs_field)i);

		AGREE(named || before.value[i] == after.value[i]);
		AGREE(!named || vmcs_field[i].use == USE_COPY || vmcs_field[i].use == USE_MERGE);
	}
}

static u64 page02(struct fuzz_input *in, const struct vmx_capabilities *host)
{
	return fuzz_take(in, 3) << 12 & ((1ull << host->maxphyaddr) - 1);
}

/* What the host allows of L0's wishes; L1's own registers are sound, as the CPU saw to it. */
static struct merge_input take_input(struct fuzz_input *in, const struct vmx_capabilities *host)
{
	struct merge_input input = {
		.host = host, .exception_bitmap01 = (u32)fuzz_take(in, 4),
		.cr0_guest_host_mask01 = fuzz_take(in, 4), .cr4_guest_host_mask01 = fuzz_take(in, 4),
		.tsc_offset01 = fuzz_take(in, 8),
		.virtual_apic02 = page02(in, host), .apic_access02 = page02(in, host),
		.eptp02 = page02(in, host) | 0x1e, .spptp02 = page02(in, host), .vpid02 = (u16)fuzz_take(in, 2),
		.link_pointer02 = fuzz_bool(in) ? page02(in, host) : ~0ull,
		.debugctl01 = fuzz_take(in, 2) & 0xffc7, .pat01 = PAT_RESET,
		.efer01 = fuzz_take(in, 2) & 0xd01, .dr7_01 = fuzz_take(in, 4),
	};

	for (unsigned kind = 0; kind < BITMAPS; kind++)
		input.bitmap02[kind] = page02(in, host);
	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		input.controls01[group] = controls_adjust(host, (enum control_group)group,
							  (u32)fuzz_take(in, 4) & wishes01[group]);
	if (!(input.controls01[CONTROLS_proc] & TSC_OFFSETTING))
		input.tsc_offset01 = 0;
	return input;
}

/* L1's CPU is no more than L0's. */
static void check_offer(const struct vmx_capabilities *caps12, const struct vmx_capabilities *host)
{
	for (unsigned group = 0; group < CONTROL_GROUPS; group++) {
		enum control_group g = (enum control_group)group;

		AGREE(controls_required(caps12, g) == controls_required(host, g));
		AGREE((controls_allowed(caps12, g) & ~controls_allowed(host, g)) == 0);
		AGREE((controls_required(caps12, g) & ~controls_allowed(caps12, g)) == 0);
	}
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		AGREE((caps12->fields.word[i] & ~host->fields.word[i]) == 0);
	AGREE((caps12->present & ~host->present) == 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	struct vmx_capabilities host = mutate_host(&in), caps12;
	struct merge_input input = take_input(&in, &host);
	struct vmcs12 vmcs12;

	input.vmcs12 = &vmcs12;
	capabilities_for_l1(&caps12, &host, &vmx_policy_default);
	check_offer(&caps12, &host);
	do {
		vmcs12 = fake_vmcs12(!fuzz_bool(&in));
		mutate_vmcs12(&in, &vmcs12, &caps12);
		for (unsigned group = 0; group < CONTROL_GROUPS; group++)
			check_origins(&input, group);
		check_bitmaps(&input);
		check_translation(&input);
		check_exit_controls(&input);
		check_registers(&input);
		check_msrs(&input);
		check_entry(&input, &caps12);
		check_affected(&in, &input, &vmcs12, &caps12);
	} while (fuzz_goes_on(&in));
	return 0;
}
