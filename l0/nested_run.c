/* Into L2 and out of it. vmcs01 is current while L1 runs, the slot's vmcs02 while L2 does. */
#include "host_state12.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "msr_list.h"
#include "options.h"
#include "vmcs_shadow/owner.h"

/* Guest state that the CPU saves at an exit and that hypervisors rarely read. */
#define IS_COLD_GUEST(encoding, use, hot) \
	(VMCS_ENCODING_TYPE(encoding) == TYPE_GUEST && USE_##use == USE_COPY && !(HOT_##hot & HOT_R))

static const union field_bits cold_guest_state = { .has = {
#define F(name, encoding, use, hot) .name = IS_COLD_GUEST(encoding, use, hot),
#include "vmcs_fields.def"
#undef F
} };

static const union field_bits merged_fields = { .has = {
#define F(name, encoding, use, hot) .name = USE_##use == USE_MERGE,
#include "vmcs_fields.def"
#undef F
} };

/* Controls and host state whose rules a change of theirs can break. */
#define HAS_ENTRY_RULE(encoding, use) \
	((VMCS_ENCODING_TYPE(encoding) == TYPE_CONTROL || VMCS_ENCODING_TYPE(encoding) == TYPE_HOST) && \
	 (encoding) != ENC_host_rsp && (encoding) != ENC_tsc_offset && (encoding) != ENC_exception_bitmap)

static const union field_bits ruled_fields = { .has = {
#define F(name, encoding, use, hot) .name = HAS_ENTRY_RULE(encoding, use),
#include "vmcs_fields.def"
#undef F
} };

/* Guest state that vmcs02 does not hold as vmcs12 has it, so that the CPU cannot judge it for L0. */
static const union field_bits judged_guest_state =
	FIELD_SET_OF(.guest_ia32_efer = 1, .guest_ia32_pat = 1, .guest_ia32_debugctl = 1, .guest_dr7 = 1,
		     .vmcs_link_pointer = 1, .guest_cr0 = 1, .guest_cr4 = 1, .vm_entry_controls = 1,
		     .secondary_processor_based_controls = 1, .primary_processor_based_controls = 1);

static u64 get(const struct vmcs_slot *slot, enum vmcs_field field)
{
	return vmcs12_get(&slot->vmcs12, field);
}

/*
 * What follows from the exit controls alone: which state an exit leaves in vmcs02 for vmcs12 to see, and which must
 * be put back into vmcs02 at every entry since vmcs12 loads it but never saves what L2 made of it.
 */
static void plan_exit_state(struct vmcs_slot *slot)
{
	static const struct {
		u32 save, load;
		union field_bits fields;
	} switched[] = {
		{ EXIT_save_debug_controls, ENTRY_load_debug_controls,
		  FIELD_SET_OF(.guest_dr7 = 1, .guest_ia32_debugctl = 1) },
		{ EXIT_save_ia32_pat, ENTRY_load_ia32_pat, FIELD_SET_OF(.guest_ia32_pat = 1) },
		{ EXIT_save_ia32_efer, ENTRY_load_ia32_efer, FIELD_SET_OF(.guest_ia32_efer = 1) },
	};
	u64 exit12 = get(slot, F_primary_vm_exit_controls);

	slot->stale_at_exit = cold_guest_state.set;
	field_set_clear(&slot->always_dirty);
	for (unsigned i = 0; i < ARRAY_SIZE(switched); i++)
		field_set_unite(exit12 & switched[i].save ? &slot->stale_at_exit : &slot->always_dirty,
				&switched[i].fields.set);
	if (!(exit12 & EXIT_save_vmx_preemption_timer_value))
		field_set_remove(&slot->stale_at_exit, F_vmx_preemption_timer_value);
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		slot->stale_at_exit.word[i] &= host_caps.fields.word[i];
}

/* SDM "VM-Execution Control Fields": with nothing else to virtualize the APIC, the threshold may not exceed the TPR. */
static bool tpr_threshold_holds(const struct vmcs_slot *slot)
{
	u32 proc = vmcs12_controls(&slot->vmcs12, CONTROLS_proc), proc2 = vmcs12_controls(&slot->vmcs12, CONTROLS_proc2);
	u8 tpr;

	if (!(proc & PROC_use_tpr_shadow) ||
	    proc2 & (PROC2_virtualize_apic_accesses | PROC2_virtual_interrupt_delivery))
		return true;
	l1_read(get(slot, F_virtual_apic_address) + VIRTUAL_APIC_TPR, &tpr, sizeof(tpr));
	return (get(slot, F_tpr_threshold) & 0xf) <= (u64)tpr >> 4;
}

static struct entry_verdict check_controls_and_host(struct cpu *cpu, struct vmcs_slot *slot, bool long_mode)
{
	struct entry_context context = { .l1_long_mode = long_mode };
	struct entry_verdict verdict = entry_check_controls(&slot->vmcs12, &cpu->nested.caps12);

	if (verdict.result == ENTRY_ok && !tpr_threshold_holds(slot))
		verdict = (struct entry_verdict){ ENTRY_vmfail, VMERR_entry_invalid_control_fields, F_tpr_threshold,
						  "tpr_threshold exceeds the virtual TPR" };
	if (verdict.result == ENTRY_ok)
		verdict = entry_check_host(&slot->vmcs12, &cpu->nested.caps12, &context);
	return verdict;
}

/* The checks of a VM entry, repeated only for what has changed since they last passed. */
static struct entry_verdict check_entry(struct cpu *cpu, struct vmcs_slot *slot)
{
	bool long_mode = vmread(ENC_guest_ia32_efer) & EFER_LMA;
	const struct field_set *dirty = &slot->vmcs12.dirty;
	struct entry_verdict verdict = { .result = ENTRY_ok };

	if (!slot->checked || slot->checked_long_mode != long_mode || field_set_intersects(dirty, &ruled_fields.set) ||
	    !tpr_threshold_holds(slot)) {
		slot->checked = false;
		verdict = check_controls_and_host(cpu, slot, long_mode);
		if (verdict.result != ENTRY_ok)
			return verdict;
		slot->checked = true;
		slot->checked_long_mode = long_mode;
		plan_exit_state(slot);
	}
	if (field_set_intersects(dirty, &judged_guest_state.set))
		verdict = entry_check_guest(&slot->vmcs12, &cpu->nested.caps12);
	return verdict;
}

/* The host page that stands for a page of L1's; absent memory has one too, which nothing backs. */
static u64 host_page(u64 address10)
{
	struct ept_leaf leaf;

	if (!ept01_lookup(NULL, address10, &leaf))
		return 0;
	return leaf.address + ALIGN_DOWN(address10 & (EPT_LEVEL_SIZE(leaf.level) - 1), PAGE_SIZE);
}

static struct merge_input merge_input(struct cpu *cpu, struct vmcs_slot *slot)
{
	struct merge_input input = {
		.vmcs12 = &slot->vmcs12, .host = &host_caps, .tsc_offset01 = cpu->tsc_offset01,
		.msr_bitmap02 = home_physical(slot->merged[MERGED_msr]),
		.io_bitmap_a02 = home_physical(slot->merged[MERGED_io_a]),
		.io_bitmap_b02 = home_physical(slot->merged[MERGED_io_b]),
		.eptp02 = slot->eptp02, .vpid02 = slot->vpid02,
		.debugctl01 = vmread(ENC_guest_ia32_debugctl), .pat01 = vmread(ENC_guest_ia32_pat),
		.efer01 = vmread(ENC_guest_ia32_efer), .dr7_01 = vmread(ENC_guest_dr7),
	};

	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		input.controls01[group] = controls01[group];
	if (vmcs12_controls(&slot->vmcs12, CONTROLS_proc) & PROC_use_tpr_shadow)
		input.virtual_apic02 = host_page(get(slot, F_virtual_apic_address));
	if (vmcs12_controls(&slot->vmcs12, CONTROLS_proc2) & PROC2_virtualize_apic_accesses)
		input.apic_access02 = host_page(get(slot, F_apic_access_address));
	return input;
}

/* What L2 inherits from L1 because vmcs12 loads nothing in its place; L1 changes it without an exit. */
static void add_inherited(struct vmcs_slot *slot, struct field_set *dirty)
{
	u64 entry12 = get(slot, F_vm_entry_controls);

	if (!(entry12 & ENTRY_load_ia32_efer))
		field_set_add(dirty, F_guest_ia32_efer);
	if (!(entry12 & ENTRY_load_ia32_pat))
		field_set_add(dirty, F_guest_ia32_pat);
	if (!(entry12 & ENTRY_load_debug_controls)) {
		field_set_add(dirty, F_guest_dr7);
		field_set_add(dirty, F_guest_ia32_debugctl);
	}
}

static void write_fields(const struct vmcs_slot *slot, struct field_set fields, const struct merge_input *input)
{
	enum vmcs_field f;

	while ((f = field_set_take(&fields)) != VMCS_FIELDS)
		vmwrite(vmcs_field[f].encoding,
			vmcs_field[f].use == USE_MERGE ? merge_field(input, f) : slot->vmcs12.value[f]);
}

/* All that there is, but what vmcs02 alone has the newest value of. */
static void all_fields(const struct vmcs_slot *slot, struct field_set *set)
{
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		set->word[i] = host_caps.fields.word[i] & ~slot->vmcs12.stale.word[i];
}

/* The fields of vmcs02 to write: what L1 changed, what never keeps, and what L0 changed beside it. */
static struct field_set fields_to_write(struct cpu *cpu, struct vmcs_slot *slot)
{
	struct field_set dirty = slot->vmcs12.dirty;
	u64 eptp02 = nested_eptp02(cpu, slot);
	bool vpid = vmcs12_controls(&slot->vmcs12, CONTROLS_proc2) & PROC2_enable_vpid;
	u16 vpid02 = vpid ? nested_vpid02(cpu, (u16)get(slot, F_virtual_processor_identifier)) : 0;

	if (eptp02 != slot->eptp02)
		field_set_add(&dirty, F_ept_pointer);
	if (vpid02 != slot->vpid02)
		field_set_add(&dirty, F_virtual_processor_identifier);
	slot->eptp02 = eptp02;
	slot->vpid02 = vpid02;
	field_set_unite(&dirty, &slot->always_dirty);
	add_inherited(slot, &dirty);
	if (!slot->prepared02 || !options.dirty_tracking)
		all_fields(slot, &dirty);
	dirty = merge_affected(&dirty);
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		dirty.word[i] &= host_caps.fields.word[i];
	return dirty;
}

static void load_vmcs02(struct vmcs_slot *slot)
{
	ASSERT(vmptrld(slot->vmcs02) == VMX_SUCCEED);
}

static void load_vmcs01(struct cpu *cpu)
{
	ASSERT(vmptrld(cpu->vmcs01) == VMX_SUCCEED);
}

/* Constants of every vmcs02: L0's host state; L1's MSR lists are L0's to work through. */
static void prepare_vmcs02(struct cpu *cpu, struct vmcs_slot *slot)
{
	vmcs_write_host_state(cpu);
	vmwrite(ENC_vm_exit_msr_store_count, 0);
	vmwrite(ENC_vm_exit_msr_load_count, 0);
	vmwrite(ENC_vm_entry_msr_load_count, 0);
	slot->prepared02 = true;
}

static void switch_to_l2(struct cpu *cpu, struct vmcs_slot *slot)
{
	struct field_set fields = fields_to_write(cpu, slot);
	struct merge_input input;

	nested_bitmaps_refresh(slot);
	if (field_set_intersects(&fields, &merged_fields.set))
		input = merge_input(cpu, slot);
	load_vmcs02(slot);
	if (UNLIKELY(!slot->prepared02))
		prepare_vmcs02(cpu, slot);
	write_fields(slot, fields, &input);
	field_set_clear(&slot->vmcs12.dirty);
	cpu->level = LEVEL_2;
	cpu->launch = !slot->launched02;
}

/* L1's TLB entries without a VPID go at every transition; SDM "Operations that Invalidate Cached Mappings". */
static void flush_l1_if_l2_has_no_vpid(const struct vmcs_slot *slot)
{
	if (options.vpid02 && !slot->vpid02)
		ASSERT(invvpid(INVVPID_single_context, VPID01, 0) == VMX_SUCCEED);
}

static void switch_to_l1(struct cpu *cpu, struct vmcs_slot *slot, const struct left_by_l2 *left)
{
	load_vmcs01(cpu);
	host_state12_load(&slot->vmcs12, left);
	flush_l1_if_l2_has_no_vpid(slot);
	cpu->level = LEVEL_1;
	cpu->launch = false;
	if (!msr_list_load(cpu, get(slot, F_vm_exit_msr_load_address), (u32)get(slot, F_vm_exit_msr_load_count), NULL))
		exit_unexpected(cpu, "VMX abort: L1's VM-exit MSR-load list cannot be loaded");
}

/* SDM "VM-Entry Failures During or After Loading Guest State": the exit is seen by L1 alone, L2 never ran. */
static void fail_entry(struct cpu *cpu, struct vmcs_slot *slot, u32 reason, u64 qualification)
{
	struct left_by_l2 left;

	load_vmcs01(cpu);
	left = (struct left_by_l2){
		.efer = vmread(ENC_guest_ia32_efer), .pat = vmread(ENC_guest_ia32_pat),
		.nmi_blocked = vmread(ENC_guest_interruptibility_state) & INTERRUPTIBILITY_nmi,
	};
	vmcs12_learn(&slot->vmcs12, F_exit_reason, reason | EXIT_REASON_ENTRY_FAILURE);
	vmcs12_learn(&slot->vmcs12, F_exit_qualification, qualification);
	switch_to_l1(cpu, slot, &left);
}

static void load_entry_msrs(struct cpu *cpu, struct vmcs_slot *slot)
{
	u32 failed;

	if (msr_list_load(cpu, get(slot, F_vm_entry_msr_load_address), (u32)get(slot, F_vm_entry_msr_load_count), &failed))
		return;
	fail_entry(cpu, slot, REASON_entry_failure_msr_loading, failed);
}

void nested_enter(struct cpu *cpu, bool launch)
{
	struct vmcs_slot *slot = cpu->nested.current;
	struct entry_verdict verdict;

	if (!slot) {
		nested_complete(cpu, VMX_FAIL_INVALID, 0);
	} else if (vmread(ENC_guest_interruptibility_state) & INTERRUPTIBILITY_mov_ss) {
		nested_complete(cpu, VMX_FAIL_VALID, VMERR_entry_events_blocked_by_mov_ss);
	} else if (slot->vmcs12.launched == launch) {
		nested_complete(cpu, VMX_FAIL_VALID,
				launch ? VMERR_vmlaunch_nonclear_vmcs : VMERR_vmresume_nonlaunched_vmcs);
	} else {
		verdict = check_entry(cpu, slot);
		if (verdict.result == ENTRY_vmfail) {
			nested_complete(cpu, VMX_FAIL_VALID, verdict.number);
		} else if (verdict.result == ENTRY_failure) {
			fail_entry(cpu, slot, REASON_entry_failure_guest_state, verdict.number);
		} else {
			switch_to_l2(cpu, slot);
			load_entry_msrs(cpu, slot);
		}
	}
}

/* Hot exit information and guest state out of vmcs02, one VMREAD each. */
static void read_exit_information(struct vmcs12 *vmcs12)
{
#define F(name, encoding, use, hot) \
	if (USE_##use == USE_EXIT && (HOT_##hot & HOT_R)) \
		vmcs12_learn(vmcs12, F_##name, vmread(encoding));
#include "vmcs_fields.def"
#undef F
}

static void read_hot_guest_state(struct vmcs12 *vmcs12)
{
#define F(name, encoding, use, hot) \
	if (VMCS_ENCODING_TYPE(encoding) == TYPE_GUEST && (HOT_##hot & HOT_R)) \
		vmcs12_learn(vmcs12, F_##name, vmread(encoding));
#include "vmcs_fields.def"
#undef F
}

static void read_fields(struct vmcs12 *vmcs12, struct field_set fields)
{
	enum vmcs_field f;

	while ((f = field_set_take(&fields)) != VMCS_FIELDS)
		vmcs12_learn(vmcs12, f, vmread(vmcs_field[f].encoding));
}

void nested_fetch_stale(struct cpu *cpu, struct vmcs_slot *slot)
{
	load_vmcs02(slot);
	read_fields(&slot->vmcs12, slot->vmcs12.stale);
	field_set_clear(&slot->vmcs12.stale);
	load_vmcs01(cpu);
}

/* SDM "Saving Guest State" and "Saving Control Registers ...": what an exit changes in vmcs12. */
static void save_guest_state(struct vmcs_slot *slot)
{
	struct vmcs12 *vmcs12 = &slot->vmcs12;
	u64 entry12 = vmcs12_get(vmcs12, F_vm_entry_controls);

	read_hot_guest_state(vmcs12);
	vmcs12->stale = slot->stale_at_exit;
	if (!options.lazy_guest_state) {
		read_fields(vmcs12, vmcs12->stale);
		field_set_clear(&vmcs12->stale);
	}
	vmcs12_learn(vmcs12, F_vm_entry_interruption_information,
		     vmcs12_get(vmcs12, F_vm_entry_interruption_information) & ~INTR_VALID);
	vmcs12_learn(vmcs12, F_vm_entry_controls, (entry12 & ~ENTRY_ia32e_mode_guest) |
		     (vmread(ENC_vm_entry_controls) & ENTRY_ia32e_mode_guest));
}

static struct left_by_l2 left_by_l2(const struct vmcs_slot *slot, u32 reason)
{
	u64 exit12 = get(slot, F_primary_vm_exit_controls);
	u64 information = get(slot, F_vm_exit_interruption_information);
	bool nmi = reason == REASON_exception_or_nmi && (information & INTR_TYPE) >> INTR_TYPE_SHIFT == INTR_nmi;
	bool l2_blocks = !(get(slot, F_pin_based_controls) & PIN_virtual_nmis) &&
			 get(slot, F_guest_interruptibility_state) & INTERRUPTIBILITY_nmi;

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
	struct left_by_l2 left;

	save_guest_state(slot);
	left = left_by_l2(slot, reason);
	msr_list_store(cpu, get(slot, F_vm_exit_msr_store_address), (u32)get(slot, F_vm_exit_msr_store_count));
	switch_to_l1(cpu, slot, &left);
}

void nested_reflect(struct cpu *cpu, u32 reason, u64 qualification)
{
	struct vmcs12 *vmcs12 = &cpu->nested.current->vmcs12;

	read_exit_information(vmcs12);
	vmcs12_learn(vmcs12, F_exit_reason, reason);
	vmcs12_learn(vmcs12, F_exit_qualification, qualification);
	stats_reflected(&cpu->stats, reason);
	leave_l2(cpu, reason);
}

void nested_reflect_nmi(struct cpu *cpu)
{
	struct vmcs12 *vmcs12 = &cpu->nested.current->vmcs12;

	vmcs12_learn(vmcs12, F_exit_reason, REASON_exception_or_nmi);
	vmcs12_learn(vmcs12, F_exit_qualification, 0);
	vmcs12_learn(vmcs12, F_vm_exit_interruption_information,
		     INTR_VALID | INTR_nmi << INTR_TYPE_SHIFT | VECTOR_NMI);
	vmcs12_learn(vmcs12, F_idt_vectoring_information, 0);
	leave_l2(cpu, REASON_exception_or_nmi);
}

/* An event whose delivery the exit cut short is injected again; SDM "Information for VM Exits During Event Delivery". */
static void inject_again(u64 vectoring)
{
	bool nmi = (vectoring & INTR_TYPE) >> INTR_TYPE_SHIFT == INTR_nmi;

	vmwrite(ENC_vm_entry_interruption_information, vectoring & ~INTR_RESERVED_ENTRY);
	vmwrite(ENC_vm_entry_exception_error_code, vmread(ENC_idt_vectoring_error_code));
	vmwrite(ENC_vm_entry_instruction_length, vmread(ENC_vm_exit_instruction_length));
	if (nmi)
		vmwrite(ENC_guest_interruptibility_state,
			vmread(ENC_guest_interruptibility_state) & ~INTERRUPTIBILITY_nmi);
}

void nested_resume(struct cpu *cpu)
{
	struct vmcs_slot *slot = cpu->nested.current;
	u64 vectoring = vmread(ENC_idt_vectoring_information);

	if (UNLIKELY(vectoring & INTR_VALID))
		inject_again(vectoring);
	if (slot->ept02 && slot->ept02->invalidate)
		vmwrite(ENC_ept_pointer, slot->eptp02 = nested_eptp02(cpu, slot));
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
	};
}

static struct owner_bitmaps bitmaps12(const struct vmcs_slot *slot)
{
	return (struct owner_bitmaps){
		.msr = l1_pointer(get(slot, F_address_of_msr_bitmaps), PAGE_SIZE),
		.io_a = l1_pointer(get(slot, F_address_of_io_bitmap_a), PAGE_SIZE),
		.io_b = l1_pointer(get(slot, F_address_of_io_bitmap_b), PAGE_SIZE),
	};
}

static enum exit_owner owner_of(const struct cpu *cpu, const struct vmcs_slot *slot, u32 reason)
{
	struct exit_event event = exit_event(cpu, &slot->vmcs12);
	struct owner_bitmaps bitmaps = { NULL, NULL, NULL };

	if (reason == REASON_io_instruction || reason == REASON_rdmsr || reason == REASON_wrmsr)
		bitmaps = bitmaps12(slot);
	return exit_owner(&slot->vmcs12, &event, &bitmaps);
}

/* What L1 lets L2 do freely, but L0 keeps from both. */
static void handle_for_l1(struct cpu *cpu, u32 reason)
{
	switch (reason) {
	case REASON_io_instruction:
		l1_io_exit(cpu);
		break;
	case REASON_rdmsr:
		l1_rdmsr_exit(cpu);
		break;
	case REASON_wrmsr:
		l1_wrmsr_exit(cpu);
		break;
	default:
		exit_unexpected(cpu, "neither L1 nor L0 asked for this exit of L2");
	}
}

static void refused_by_cpu(struct cpu *cpu, u32 reason)
{
	stats_exit(&cpu->stats, LEVEL_2, reason);
	stats_reflected(&cpu->stats, reason);
	fail_entry(cpu, cpu->nested.current, reason, vmread(ENC_exit_qualification));
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
	cpu->launch = false;
	stats_exit(&cpu->stats, LEVEL_2, reason);
	if (reason == REASON_ept_violation) {
		nested_ept_violation(cpu, vmread(ENC_exit_qualification));
	} else if (UNLIKELY(reason == REASON_ept_misconfiguration)) {
		nested_ept_misconfiguration(cpu);
	} else {
		read_exit_information(&slot->vmcs12);
		if (LIKELY(owner_of(cpu, slot, reason) == OWNER_l1)) {
			stats_reflected(&cpu->stats, reason);
			leave_l2(cpu, reason);
		} else {
			handle_for_l1(cpu, reason);
		}
	}
}
