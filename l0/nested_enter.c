/* Into L2: the checks of L1's VM entry, and vmcs02 brought up to date. */
#include "host_state12.h"
#include "guest_memory.h"
#include "kick.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "msr_list.h"
#include "nested_direct.h"
#include "nested_switch.h"
#include "options.h"
#include "smp.h"

/* Guest state that the CPU saves at an exit and that hypervisors rarely read. */
#define IS_COLD_GUEST(encoding, use, hot) \
	(VMCS_ENCODING_TYPE(encoding) == TYPE_GUEST && USE_##use == USE_COPY && !(HOT_##hot & HOT_R))

static const union field_bits cold_guest_state = { .has = {
#define F(name, encoding, use, hot) .name = IS_COLD_GUEST(encoding, use, hot),
#include "vmcs_fields.def"
#undef F
} };

static const union field_bits copied_fields = { .has = {
#define F(name, encoding, use, hot) .name = USE_##use == USE_COPY,
#include "vmcs_fields.def"
#undef F
} };

static const union field_bits merged_fields = { .has = {
#define F(name, encoding, use, hot) .name = USE_##use == USE_MERGE,
#include "vmcs_fields.def"
#undef F
} };

/*
 * Fields that an entry cannot take unseen: checked, merged, or something merged depends on them. Where none of those in
 * the second set has changed, or only a window has, the event to inject and host state are all there is to check.
 */
static struct field_set unsettling, merging;

void nested_enter_init(void)
{
	for (unsigned f = 0; f < VMCS_FIELDS; f++) {
		struct field_set one = { { 0 } }, affected;

		field_set_add(&one, (enum vmcs_field)f);
		affected = merge_affected(&one);
		field_set_remove(&affected, (enum vmcs_field)f);
		if (vmcs_field[f].use == USE_MERGE || vmcs_field[f].use == USE_EMUL || !field_set_is_empty(&affected))
			field_set_add(&merging, (enum vmcs_field)f);
	}
	field_set_unite(&merging, &entry_check_guest_fields.set);
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		merging.word[i] |= entry_check_controls_fields.set.word[i] & ~entry_check_event_fields.set.word[i];
	unsettling = merging;
	field_set_remove(&merging, F_primary_processor_based_controls); /* for windows_suit() */
	field_set_unite(&unsettling, &entry_check_event_fields.set);
	field_set_unite(&unsettling, &entry_check_host_fields.set);
}

/* Of the state that an exit leaves in vmcs02: what L1 reads without an exit of its own comes into vmcs12 at once. */
static void plan_reading(const struct cpu *cpu, struct vmcs_slot *slot)
{
	const struct field_set *direct = &cpu->nested.direct.set.read;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++) {
		u64 all = slot->stale_at_exit.word[i];

		slot->read_at_exit.word[i] = options.lazy_guest_state ? all & direct->word[i] : all;
		slot->stale_at_exit.word[i] = all & ~slot->read_at_exit.word[i];
	}
	slot->reads_at_exit = !field_set_is_empty(&slot->read_at_exit);
}

/*
 * What follows from the exit controls alone: which state an exit leaves in vmcs02 for vmcs12 to see, and which must
 * be put back into vmcs02 at every entry since vmcs12 loads it but never saves what L2 made of it.
 */
static void plan_exit_state(const struct cpu *cpu, struct vmcs_slot *slot)
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
	u64 exit12 = field12(slot, F_primary_vm_exit_controls), entry12 = field12(slot, F_vm_entry_controls);

	slot->stale_at_exit = cold_guest_state.set;
	field_set_clear(&slot->always_dirty);
	for (unsigned i = 0; i < ARRAY_SIZE(switched); i++)
		if (exit12 & switched[i].save)
			field_set_unite(&slot->stale_at_exit, &switched[i].fields.set);
		else if (entry12 & switched[i].load) /* else L2 inherits it from L1 */
			field_set_unite(&slot->always_dirty, &switched[i].fields.set);
	slot->saves_timer = exit12 & EXIT_save_vmx_preemption_timer_value;
	if (!slot->saves_timer &&
	    field12(slot, F_pin_based_controls) & PIN_activate_vmx_preemption_timer) {
		field_set_remove(&slot->stale_at_exit, F_vmx_preemption_timer_value);
		field_set_add(&slot->always_dirty, F_vmx_preemption_timer_value);
	}
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		slot->stale_at_exit.word[i] &= host_caps.fields.word[i];
	plan_reading(cpu, slot);
}

/* SDM "VM-Execution Control Fields": with nothing else to virtualize the APIC, the threshold may not exceed the TPR. */
static bool uses_tpr_threshold(const struct vmcs_slot *slot)
{
	u32 proc2 = controls12(slot, CONTROLS_proc2);

	return controls12(slot, CONTROLS_proc) & PROC_use_tpr_shadow &&
	       !(proc2 & (PROC2_virtualize_apic_accesses | PROC2_virtual_interrupt_delivery));
}

static bool tpr_threshold_holds(const struct vmcs_slot *slot)
{
	u8 tpr;

	if (!uses_tpr_threshold(slot))
		return true;
	l1_read(field12(slot, F_virtual_apic_address) + VIRTUAL_APIC_TPR, &tpr, sizeof(tpr));
	return (field12(slot, F_tpr_threshold) & 0xf) <= (u64)tpr >> 4;
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

/*
 * SDM "Checks on Guest Page-Directory-Pointer-Table Entries": without EPT12 they come from memory at the entry, while
 * the CPU, which runs L2 with EPT01, takes them from vmcs02. What is wrong with them it finds there, in its order.
 */
static bool has_pdptes_in_memory(const struct vmcs_slot *slot)
{
	return !(controls12(slot, CONTROLS_proc2) & PROC2_enable_ept) && field12(slot, F_guest_cr0) & CR0_PG &&
	       field12(slot, F_guest_cr4) & CR4_PAE && !(field12(slot, F_vm_entry_controls) & ENTRY_ia32e_mode_guest);
}

/* The checks of a VM entry, repeated only for what has changed since they last passed. */
static struct entry_verdict check_entry(struct cpu *cpu, struct vmcs_slot *slot, bool long_mode)
{
	const struct field_set *dirty = &slot->vmcs12.dirty;
	struct entry_verdict verdict = { .result = ENTRY_ok };

	if (!slot->checked || slot->checked_long_mode != long_mode ||
	    field_set_intersects(dirty, &entry_check_controls_fields.set) ||
	    field_set_intersects(dirty, &entry_check_host_fields.set) || !tpr_threshold_holds(slot)) {
		slot->checked = false;
		verdict = check_controls_and_host(cpu, slot, long_mode);
		if (verdict.result != ENTRY_ok)
			return verdict;
		slot->checked = true;
		slot->checked_long_mode = long_mode;
		plan_exit_state(cpu, slot);
	}
	if (field_set_intersects(dirty, &entry_check_guest_fields.set)) {
		if (field_set_intersects(&slot->vmcs12.stale, &entry_check_guest_fields.set))
			nested_fetch_fields(cpu, slot, &entry_check_guest_fields.set);
		verdict = entry_check_guest(&slot->vmcs12, &cpu->nested.caps12);
	}
	if (verdict.result == ENTRY_ok && UNLIKELY(field12(slot, F_vmcs_link_pointer) != VMCS_NO_POINTER))
		verdict = nested_check_link(cpu, slot);
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

/* The parts of the merge's input that may have changed since the last entry. */
static void update_input(struct cpu *cpu, struct vmcs_slot *slot, const struct field_set *fields)
{
	struct merge_input *input = &slot->input;

	input->tsc_offset01 = cpu->tsc_offset01;
	if (field_set_has(fields, F_virtual_apic_address))
		input->virtual_apic02 = host_page(field12(slot, F_virtual_apic_address));
	if (field_set_has(fields, F_apic_access_address))
		input->apic_access02 = host_page(field12(slot, F_apic_access_address));
}

/*
 * What L2 inherits from L1 because vmcs12 loads nothing in its place; L1 changes it without an exit. A PAT that L1 took
 * over from L2 is in vmcs02 already, unless L1 has changed it since.
 */
static NOINLINE void note_inherited(struct vmcs_slot *slot, u64 lacking, struct field_set *fields)
{
	struct merge_input *input = &slot->input;

	field_set_clear(fields);
	if (lacking & ENTRY_load_ia32_efer) {
		field_set_add(fields, F_guest_ia32_efer);
		input->efer01 = vmread(ENC_guest_ia32_efer);
	}
	if (lacking & ENTRY_load_ia32_pat)
		field_set_add(fields, F_guest_ia32_pat);
	if (lacking & ENTRY_load_debug_controls) {
		field_set_add(fields, F_guest_dr7);
		field_set_add(fields, F_guest_ia32_debugctl);
		input->dr7_01 = vmread(ENC_guest_dr7);
		input->debugctl01 = vmread(ENC_guest_ia32_debugctl);
	}
}

/* False if there is nothing of that kind to write: fields stay unset. */
static inline bool find_inherited(struct vmcs_slot *slot, struct field_set *fields)
{
	const u64 loads = ENTRY_load_ia32_efer | ENTRY_load_ia32_pat | ENTRY_load_debug_controls;
	u64 lacking = ~field12(slot, F_vm_entry_controls) & loads;

	if (lacking & ENTRY_load_ia32_pat) {
		slot->input.pat01 = vmread(ENC_guest_ia32_pat);
		if (LIKELY(slot->knows_pat02) && slot->input.pat01 == slot->pat02)
			lacking &= ~(u64)ENTRY_load_ia32_pat;
	}
	if (LIKELY(!lacking))
		return false;
	note_inherited(slot, lacking, fields);
	return true;
}

static void write_fields(const struct vmcs_slot *slot, struct field_set fields)
{
	enum vmcs_field f;

	while ((f = field_set_take(&fields)) != VMCS_FIELDS)
		vmwrite(vmcs_field[f].encoding,
			vmcs_field[f].use == USE_MERGE ? merge_field(&slot->input, f) : slot->vmcs12.value[f]);
}

/*
 * The fields of vmcs02 to write: what L1 changed with all that depends on it, what never keeps, what L0 changed beside
 * it. Where vmcs02 alone has the newest value it stays, unless L2 inherits another from L1.
 */
static struct field_set fields_to_write(struct cpu *cpu, struct vmcs_slot *slot, const struct field_set *inherited)
{
	bool everything = !slot->prepared02 || !options.dirty_tracking;
	struct field_set dirty = everything ? host_caps.fields : slot->vmcs12.dirty;
	u64 eptp02 = nested_eptp02(cpu, slot), spptp02 = nested_spptp02(slot), link02 = VMCS_NO_POINTER;
	bool vpid = controls12(slot, CONTROLS_proc2) & PROC2_enable_vpid;
	u16 vpid02 = vpid ? nested_vpid02(cpu, (u16)field12(slot, F_virtual_processor_identifier)) : 0;

	if (UNLIKELY(field12(slot, F_vmcs_link_pointer) != VMCS_NO_POINTER))
		link02 = nested_link_pointer02(cpu, slot);
	if (eptp02 != slot->input.eptp02)
		field_set_add(&dirty, F_ept_pointer);
	if (spptp02 != slot->input.spptp02)
		field_set_add(&dirty, F_sub_page_permission_table_pointer);
	if (link02 != slot->input.link_pointer02)
		field_set_add(&dirty, F_vmcs_link_pointer);
	if (vpid02 != slot->input.vpid02)
		field_set_add(&dirty, F_virtual_processor_identifier);
	slot->input.eptp02 = eptp02;
	slot->input.spptp02 = spptp02;
	slot->input.vpid02 = vpid02;
	slot->input.link_pointer02 = link02;
	field_set_unite(&dirty, &slot->always_dirty);
	dirty = merge_affected(&dirty);
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		dirty.word[i] = host_caps.fields.word[i] &
				((dirty.word[i] & ~slot->vmcs12.stale.word[i]) | inherited->word[i]);
	return dirty;
}

/* Constants of every vmcs02: L0's host state; L1's MSR lists are L0's to work through. */
static void prepare_vmcs02(struct cpu *cpu, struct vmcs_slot *slot)
{
	vmcs_write_host_state(cpu, LEVEL_2);
	vmwrite(ENC_vm_exit_msr_store_count, 0);
	vmwrite(ENC_vm_exit_msr_load_count, 0);
	vmwrite(ENC_vm_entry_msr_load_count, 0);
	slot->prepared02 = true;
}

/* What an entry puts there takes the place of what an exit has saved, which vmcs12 keeps: this entry may fail. */
static void save_before(struct vmcs_slot *slot, const struct field_set *fields)
{
	struct field_set saved;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++) {
		saved.word[i] = slot->vmcs12.stale.word[i] & fields->word[i];
		slot->vmcs12.stale.word[i] &= ~fields->word[i];
	}
	read_fields02(&slot->vmcs12, saved);
}

/* Into vmcs02 alone: vmcs12 keeps its own, for when it uses EPT, and for L1 if this entry fails. */
static void load_pdptes_from_memory(struct vmcs_slot *slot)
{
	struct field_set fields = { { 0 } };
	u64 pdpte[PDPTES];

	for (unsigned i = 0; i < PDPTES; i++)
		field_set_add(&fields, (enum vmcs_field)(F_guest_pdpte0 + i));
	save_before(slot, &fields);
	(void)l1_read_pdptes(field12(slot, F_guest_cr3), pdpte);
	for (unsigned i = 0; i < PDPTES; i++)
		vmwrite(ENC_guest_pdpte0 + 2 * i, pdpte[i]);
	field_set_unite(&slot->vmcs12.dirty, &fields);
}

/* Into vmcs02, which is current. What L2 then makes of the PAT is not known before an exit. */
static void write_all(struct vmcs_slot *slot, struct field_set fields)
{
	save_before(slot, &fields);
	write_fields(slot, fields);
	if (UNLIKELY(field_set_has(&fields, F_guest_ia32_pat)))
		slot->knows_pat02 = false;
	if (UNLIKELY(slot->input.link_pointer02 != VMCS_NO_POINTER))
		vmwrite(ENC_vm_instruction_error, field12(slot, F_vm_instruction_error));
	field_set_clear(&slot->vmcs12.dirty);
}

/*
 * Does an entry need nothing that can change beside vmcs12's fields and nested_generation? It does with PDPTEs or MSRs
 * to load in memory, or with L1's shadow VMCS for L2.
 */
static bool can_settle(const struct vmcs_slot *slot)
{
	bool pdptes = !(controls12(slot, CONTROLS_proc2) & PROC2_enable_ept) && field12(slot, F_guest_cr4) & CR4_PAE;

	return options.dirty_tracking && options.ept02_cache && !pdptes &&
	       slot->input.link_pointer02 == VMCS_NO_POINTER && !field12(slot, F_vm_entry_msr_load_count);
}

/* What goes into vmcs02 at every entry while all else is settled, whatever L2 has made of it. */
static void note_always(struct vmcs_slot *slot)
{
	struct field_set fields = slot->always_dirty;
	enum vmcs_field f;

	slot->always_count = 0;
	while ((f = field_set_take(&fields)) != VMCS_FIELDS) {
		struct field_write *write = &slot->always[slot->always_count];

		if (!field_set_has(&host_caps.fields, f))
			continue;
		*write = (struct field_write){ vmcs_field[f].encoding, &slot->vmcs12.value[f], 0 };
		if (vmcs_field[f].use == USE_MERGE) {
			write->merged = merge_field(&slot->input, f);
			write->value = &write->merged;
		}
		slot->always_count++;
	}
}

/* Everything is looked at, and vmcs02 brought up to date. vmcs01 is current. */
static void switch_to_l2(struct cpu *cpu, struct vmcs_slot *slot, const struct field_set *inherited)
{
	u64 generation = nested_generation;
	bool stays = nested_bitmaps_refresh(cpu, slot); /* before the EPTP, for it may drop what was composed */
	struct field_set fields = fields_to_write(cpu, slot, inherited);

	if (field_set_intersects(&fields, &merged_fields.set))
		update_input(cpu, slot, &fields);
	slot->settled = stays && generation == nested_generation && can_settle(slot) ? generation : 0;
	slot->settled_eptp12 = slot->ept02 ? slot->ept02->eptp12 : 0;
	slot->settled_proc12 = field12(slot, F_primary_processor_based_controls);
	load_vmcs02(slot);
	if (UNLIKELY(!slot->prepared02))
		prepare_vmcs02(cpu, slot);
	write_all(slot, fields);
	if (UNLIKELY(has_pdptes_in_memory(slot)))
		load_pdptes_from_memory(slot);
	note_always(slot);
}

/*
 * Is all as it was at the last entry but for fields of vmcs12? The merge, the bitmaps, EPT02 and VPID02 are what they
 * would be now, if merging has none of those fields. What L1 may have written over the virtual TPR since, the CPU
 * checks: nested_entry_refused().
 */
static bool is_settled(const struct vmcs_slot *slot, bool long_mode)
{
	const struct ept02 *ept02 = slot->ept02;

	return slot->settled == nested_generation && slot->checked_long_mode == long_mode &&
	       field12(slot, F_guest_activity_state) != ACTIVITY_wait_for_sipi &&
	       (!ept02 || (!ept02->invalidate && ept02->eptp12 == slot->settled_eptp12));
}

/* A window opens or closes: it changes nothing that is merged but these controls themselves. */
static bool windows_suit(const struct cpu *cpu, const struct vmcs_slot *slot)
{
	u64 changed = field12(slot, F_primary_processor_based_controls) ^ slot->settled_proc12;

	return !(changed & ~(u64)PROC_WINDOWS) &&
	       entry_check_windows(&slot->vmcs12, &cpu->nested.caps12).result == ENTRY_ok;
}

/* The checks that passed at the last entry and that these fields may fail now; false where others are to be made. */
static bool checks_pass_still(const struct cpu *cpu, const struct vmcs_slot *slot, bool long_mode)
{
	const struct field_set *dirty = &slot->vmcs12.dirty;
	struct entry_context context = { .l1_long_mode = long_mode };

	if (field_set_intersects(dirty, &merging))
		return false;
	if (field_set_has(dirty, F_primary_processor_based_controls) && !windows_suit(cpu, slot))
		return false;
	if (field_set_intersects(dirty, &entry_check_host_fields.set) &&
	    entry_check_host(&slot->vmcs12, &cpu->nested.caps12, &context).result != ENTRY_ok)
		return false;
	return entry_check_event(&slot->vmcs12, &cpu->nested.caps12).result == ENTRY_ok;
}

static NOINLINE bool settles_still(const struct cpu *cpu, const struct vmcs_slot *slot, bool long_mode)
{
	if (!checks_pass_still(cpu, slot, long_mode))
		return false;
	if (field_set_has(&slot->vmcs12.dirty, F_primary_processor_based_controls)) {
		load_vmcs02(slot);
		vmwrite(ENC_primary_processor_based_controls,
			merge_field(&slot->input, F_primary_processor_based_controls));
	}
	return true;
}

/* Can the entry copy the fields that have changed, and do nothing else? */
static bool may_copy(const struct cpu *cpu, const struct vmcs_slot *slot, bool long_mode)
{
	return is_settled(slot, long_mode) && (LIKELY(!field_set_intersects(&slot->vmcs12.dirty, &unsettling)) ||
					       settles_still(cpu, slot, long_mode));
}

/*
 * SDM "VM Entries": L1's list comes behind the checks of guest state, most of which the CPU makes. So the CPU loads the
 * list, or enters with one first that it must refuse: only where guest state is valid does it get there.
 */
static const struct vmx_msr_entry refused_list[1] __attribute__((aligned(16))) = { { .index = MSR_IA32_FS_BASE } };

static bool copy_entry_list(const struct cpu *cpu, const struct vmcs_slot *slot, u32 count)
{
	return options.msr_lists &&
	       msr_list_copy(cpu->nested.list02, field12(slot, F_vm_entry_msr_load_address), count);
}

static void take_list(struct vmcs_slot *slot, const struct vmx_msr_entry *list, u32 count)
{
	vmwrite(ENC_vm_entry_msr_load_address, home_physical(list));
	vmwrite(ENC_vm_entry_msr_load_count, count);
	slot->list02 = count;
	slot->trying = list == refused_list;
}

void nested_try_guest_state(struct vmcs_slot *slot)
{
	take_list(slot, refused_list, ARRAY_SIZE(refused_list));
}

void nested_list_done(struct vmcs_slot *slot)
{
	vmwrite(ENC_vm_entry_msr_load_count, 0);
	slot->list02 = slot->trying = false;
}

static void give_list(struct cpu *cpu, struct vmcs_slot *slot)
{
	u32 count = (u32)field12(slot, F_vm_entry_msr_load_count);
	bool waits = smp_l2_waits();

	if (waits) /* Bochs would not leave the state, though the entry fails */
		vmwrite(ENC_guest_activity_state, ACTIVITY_active);
	if (!waits && (!count || copy_entry_list(cpu, slot, count)))
		take_list(slot, cpu->nested.list02, count);
	else
		nested_try_guest_state(slot);
}

static void load_entry_msrs(struct cpu *cpu, struct vmcs_slot *slot)
{
	u32 count = (u32)field12(slot, F_vm_entry_msr_load_count), failed;

	if (msr_list_load(cpu, field12(slot, F_vm_entry_msr_load_address), count, &failed))
		return;
	stats_reflected(&cpu->stats);
	fail_entry(cpu, slot, REASON_entry_failure_msr_loading, failed);
}

void nested_guest_state_tried(struct cpu *cpu, struct vmcs_slot *slot)
{
	nested_list_done(slot);
	load_entry_msrs(cpu, slot);
	if (cpu->level == LEVEL_2 && smp_l2_waits())
		wish(cpu, WISH_wait);
}

static void begin_l2(struct cpu *cpu)
{
	cpu->nested.entering = true;
	cpu->level = LEVEL_2;
}

/* The fields that L1 changed are copied. */
static inline void switch_to_settled_l2(struct cpu *cpu, struct vmcs_slot *slot)
{
	struct vmcs12 *vmcs12 = &slot->vmcs12;

	if (slot->ept02)
		slot->ept02->used = cpu->nested.ept02.clock;
	load_vmcs02(slot);
	for (unsigned i = 0; i < slot->always_count; i++)
		vmwrite_from(slot->always[i].encoding, slot->always[i].value);
#pragma GCC unroll 3
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++) {
		for (u64 word = vmcs12->dirty.word[i] & copied_fields.set.word[i]; word; word &= word - 1) {
			unsigned f = 64 * i + (unsigned)__builtin_ctzll(word);

			vmwrite_from(vmcs_field[f].encoding, &vmcs12->value[f]);
		}
		vmcs12->dirty.word[i] = 0;
	}
	begin_l2(cpu);
}

/* vmcs02 is ready. With an MSR list L2 may have to wait. */
static void begin_unsettled_l2(struct cpu *cpu, struct vmcs_slot *slot)
{
	begin_l2(cpu);
	slot->accesses = &cpu->nested.accesses;
	if (UNLIKELY(!slot->launched02))
		wish(cpu, WISH_look); /* at the launch state */
	if (UNLIKELY(smp_l2_waits() || slot->list02 || field12(slot, F_vm_entry_msr_load_count)))
		give_list(cpu, slot);
}

/* The checks, and all that they may find: L1 may go on with their answer instead. */
static NOINLINE void enter_unsettled_l2(struct cpu *cpu, struct vmcs_slot *slot, bool long_mode)
{
	struct field_set inherited = { { 0 } };
	struct entry_verdict verdict;

	load_vmcs01(cpu);
	(void)find_inherited(slot, &inherited);
	verdict = check_entry(cpu, slot, long_mode);
	if (verdict.result == ENTRY_vmfail) {
		nested_complete(cpu, VMX_FAIL_VALID, verdict.number);
	} else if (verdict.result == ENTRY_failure) {
		fail_entry(cpu, slot, REASON_entry_failure_guest_state, verdict.number);
	} else {
		switch_to_l2(cpu, slot, &inherited);
		begin_unsettled_l2(cpu, slot);
	}
}

/* The SDM's "VM Entries", behind the checks that come first of all. */
static void enter_l2(struct cpu *cpu, struct vmcs_slot *slot)
{
	bool long_mode = vmread(ENC_guest_ia32_efer) & EFER_LMA, inherits;
	struct field_set inherited;

	inherits = find_inherited(slot, &inherited);
	nested_direct_collect(cpu, slot);
	nested_direct_count(cpu);
	if (UNLIKELY(slot->awaited_access))
		nested_compose_ahead(cpu, slot);
	if (UNLIKELY(!may_copy(cpu, slot, long_mode))) {
		enter_unsettled_l2(cpu, slot, long_mode);
		return;
	}
	switch_to_settled_l2(cpu, slot);
	if (UNLIKELY(inherits))
		write_all(slot, inherited);
}

void nested_enter(struct cpu *cpu, bool launch)
{
	struct vmcs_slot *slot = cpu->nested.current;

	if (UNLIKELY(!slot || slot->shadow))
		nested_complete(cpu, VMX_FAIL_INVALID, 0);
	else if (UNLIKELY(vmread(ENC_guest_interruptibility_state) & INTERRUPTIBILITY_mov_ss))
		nested_complete(cpu, VMX_FAIL_VALID, VMERR_entry_events_blocked_by_mov_ss);
	else if (UNLIKELY(slot->vmcs12.launched == launch))
		nested_complete(cpu, VMX_FAIL_VALID,
				launch ? VMERR_vmlaunch_nonclear_vmcs : VMERR_vmresume_nonlaunched_vmcs);
	else
		enter_l2(cpu, slot);
}

bool nested_entry_refused(struct cpu *cpu)
{
	struct vmcs_slot *slot = cpu->nested.current;

	if (vmread(ENC_vm_instruction_error) != VMERR_entry_invalid_control_fields || !uses_tpr_threshold(slot))
		return false;
	if (!cpu->nested.entering) {
		nested_reflect(cpu, REASON_tpr_below_threshold, 0);
		return true;
	}
	slot->settled = 0;
	load_vmcs01(cpu);
	cpu->level = LEVEL_1;
	nested_complete(cpu, VMX_FAIL_VALID, VMERR_entry_invalid_control_fields);
	return true;
}
