/* L2's EPT violations, the EPTP and VPID that L2 runs with, INVVPID. */
#include "cpu.h"
#include "l1_apic.h"
#include "l1_memory.h"
#include "nested_ept_extras.h"
#include "options.h"

static const u64 *entry12_at(void *context, u64 address10)
{
	(void)context;
	return l1_pointer(address10, sizeof(u64));
}

/* A walk of EPT12: what flags it set, or would have set if it did more than look. */
struct walk12 {
	bool only_look;
	bool sets_nothing; /* the walk ends where it would set a flag */
	bool got_accessed, got_dirty;
	bool translated; /* what a linear address leads to, not what leads there: sub-page permissions are for that */
};

static bool set_bits12(void *context, u64 address10, u64 bits)
{
	struct walk12 *walk = context;
	u64 *at = l1_pointer(address10, sizeof(bits));

	if (!at || walk->sets_nothing)
		return false;
	if (bits & EPT_ACCESSED & ~*at)
		walk->got_accessed = true;
	if (bits & EPT_DIRTY & ~*at)
		walk->got_dirty = true;
	if (walk->only_look)
		return true;
	watch_written(address10);
	__atomic_fetch_or(at, bits, __ATOMIC_SEQ_CST);
	return true;
}

static bool has_sub_pages(const struct vmcs_slot *slot)
{
	return controls12(slot, CONTROLS_proc2) & PROC2_sub_page_write_permissions;
}

/* EPT12 as a walk finds it: mostly in the piece of L1's RAM that has its root. */
static ALWAYS_INLINE struct ept_memory memory12_of(struct cpu *cpu, struct walk12 *walk, const struct vmcs_slot *slot)
{
	return (struct ept_memory){
		.context = walk, .entry = entry12_at, .set_bits = set_bits12,
		.window = slot->piece12, .window_start = slot->piece12_start, .window_size = slot->piece12_size,
		.path = options.ept12_path ? &cpu->nested.path12 : NULL,
		.sub_pages = walk->translated && slot->spptp12 != EPT02_NO_SUB_PAGES, .spptp = slot->spptp12,
	};
}

static const struct ept01_view view01 = { NULL, ept01_lookup };

static struct ept02 *ept02_of(struct cpu *cpu, struct vmcs_slot *slot)
{
	u64 eptp12 = vmcs12_get(&slot->vmcs12, F_ept_pointer);

	if (!slot->ept02 || slot->ept02->eptp12 != ept02_key(eptp12) || slot->ept02->spptp12 != slot->spptp12)
		slot->ept02 = ept02_get(&cpu->nested.ept02, eptp12, slot->spptp12);
	return slot->ept02;
}

static void note_mapping(u64 address10, const struct ept_leaf *leaf)
{
	u64 size = EPT_LEVEL_SIZE(leaf->level);

	watch_mapped02(ALIGN_DOWN(address10, size), size);
}

/* What EPT12 maps at an address of L2's goes into EPT02, if an access finds all it needs there. */
static ALWAYS_INLINE void compose_ahead(struct cpu *cpu, const struct vmcs_slot *slot, u64 address20, u8 access)
{
	struct walk12 walk = { .sets_nothing = true };
	struct ept_memory memory12 = memory12_of(cpu, &walk, slot);
	struct ept02_result result =
		ept02_fill(&cpu->nested.ept02, slot->ept02, field12(slot, F_ept_pointer), address20, access,
			   &cpu->nested.features12, &memory12, &view01);

	if (result.fill == EPT02_FILLED)
		note_mapping(result.address10, &result.leaf);
}

static COLD void renew(struct cpu *cpu, const struct vmcs_slot *slot)
{
	u64 fills[EPT02_FILLS];
	unsigned count = ept02_empty(&cpu->nested.ept02, slot->ept02, fills);

	for (unsigned i = 0; i < count; i++)
		compose_ahead(cpu, slot, EPT02_FILL_ADDRESS(fills[i]), EPT02_FILL_ACCESS(fills[i]));
}

static bool has_ept12(const struct vmcs_slot *slot)
{
	return vmcs12_controls(&slot->vmcs12, CONTROLS_proc2) & PROC2_enable_ept;
}

/* What every walk of EPT12 needs until the next such entry. */
static void note_tables12(struct vmcs_slot *slot)
{
	struct l1_piece piece = l1_piece(field12(slot, F_ept_pointer) & EPTP_ADDRESS);

	slot->spptp12 = has_sub_pages(slot) ? field12(slot, F_sub_page_permission_table_pointer) : EPT02_NO_SUB_PAGES;
	slot->piece12 = piece.at;
	slot->piece12_start = piece.start;
	slot->piece12_size = piece.size;
}

u64 nested_eptp02(struct cpu *cpu, struct vmcs_slot *slot)
{
	struct ept02 *ept02;
	u64 eptp02;

	note_tables12(slot);
	if (!has_ept12(slot))
		return eptp01; /* L1 shadows L2's paging itself: L2-physical is L1-physical */
	ept02 = ept02_of(cpu, slot);
	if (!options.ept02_cache)
		ept02_drop(&cpu->nested.ept02, vmcs12_get(&slot->vmcs12, F_ept_pointer));
	if (UNLIKELY(ept02->outdated))
		renew(cpu, slot);
	ept02->used = ++cpu->nested.ept02.clock; /* the least recently used goes first when room is wanted */
	eptp02 = ept02_eptp(ept02);
	if (ept02->invalidate) {
		ASSERT(invept(INVEPT_single_context, eptp02) == VMX_SUCCEED);
		ept02->invalidate = false;
	}
	return eptp02;
}

u64 nested_spptp02(const struct vmcs_slot *slot)
{
	return slot->spptp12 != EPT02_NO_SUB_PAGES ? slot->ept02->sub_pages : 0;
}

/* SDM "Exit Qualification for EPT Violations": the access as the CPU saw it, the rights as EPT12 has them. */
static u64 qualification12(u64 qualification02, u8 rights12)
{
	return (qualification02 & ~EPT_VIOLATION_ENTRY_RWX) | (u64)rights12 << EPT_VIOLATION_ENTRY_SHIFT;
}

static u8 access_of(u64 qualification)
{
	return (u8)(qualification & EPT_VIOLATION_ACCESS); /* the bits stand where EPT_READ, WRITE, EXECUTE do */
}

/* L2 touched what EPT12 allows and EPT01 does not: a watched page, or EPT01 has yet to be filled there. */
static void denied_by_ept01(struct cpu *cpu, u64 address10, u8 access)
{
	struct ept_leaf leaf;

	if (access & EPT_WRITE)
		watch_written(address10);
	if (!ept01_lookup(NULL, address10, &leaf) || (access & ~leaf.rights))
		exit_unexpected(cpu, "EPT01 denies L2 an access that EPT12 allows");
}

bool nested_translate20(struct cpu *cpu, u64 address20, u64 *address10)
{
	struct vmcs_slot *slot = cpu->nested.current;
	struct walk12 walk = { .only_look = true };
	struct ept_memory memory12 = memory12_of(cpu, &walk, slot);
	struct ept_walk_result result;

	*address10 = address20;
	if (!has_ept12(slot))
		return true;
	result = ept_walk(vmcs12_get(&slot->vmcs12, F_ept_pointer), address20, EPT_READ, &cpu->nested.features12,
			  &memory12);
	*address10 = result.address;
	return result.status == EPT_WALK_OK;
}

static bool is_guarded_write(u64 address10, u8 access)
{
	return access & EPT_WRITE && l1_memory_is_guarded(address10);
}

/* A page that L1 hands to L2 for writing though L0 guards it: as if L1 wrote itself. */
static void guarded_write(struct cpu *cpu, u64 address10)
{
	l1_guarded_write(cpu, address10);
	nested_renew_eptp02(cpu);
}

/* Without EPT12 L2-physical is L1-physical, and the violation EPT01's alone. */
static void violation_of_ept01(struct cpu *cpu, u64 address10, u64 qualification)
{
	if (is_guarded_write(address10, access_of(qualification))) {
		guarded_write(cpu, address10);
		return;
	}
	denied_by_ept01(cpu, address10, access_of(qualification));
	nested_resume(cpu, qualification);
}

static void fill(struct cpu *cpu, struct vmcs_slot *slot, u64 address20, u8 access, struct walk12 *walk,
		 struct ept02_result *result)
{
	u64 eptp12 = vmcs12_get(&slot->vmcs12, F_ept_pointer);
	struct ept_memory memory12 = memory12_of(cpu, walk, slot);

	for (;;) {
		*result = ept02_fill(&cpu->nested.ept02, ept02_of(cpu, slot), eptp12, address20, access,
				     &cpu->nested.features12, &memory12, &view01);
		if (LIKELY(result->fill != EPT02_DENIED01) || is_guarded_write(result->address10, access))
			return;
		denied_by_ept01(cpu, result->address10, access);
	}
}

/* SDM "Page-Modification Logging": a full log exits before any flag is set, accessed ones included. */
static bool would_set_flags(struct cpu *cpu, struct vmcs_slot *slot, u64 address20, u8 access, bool translated)
{
	struct walk12 walk = { .only_look = true, .translated = translated };
	struct ept_memory memory12 = memory12_of(cpu, &walk, slot);
	struct ept_walk_result result = ept_walk(vmcs12_get(&slot->vmcs12, F_ept_pointer), address20, access,
						 &cpu->nested.features12, &memory12);

	return result.status == EPT_WALK_OK && (walk.got_accessed || walk.got_dirty);
}

static void filled(struct cpu *cpu, struct vmcs_slot *slot, const struct ept02_result *result, u64 address20,
		   bool got_dirty, u64 qualification)
{
	if (got_dirty && pml_in_use(slot))
		pml_log(slot, address20);
	note_mapping(result->address10, &result->leaf);
	nested_resume(cpu, qualification);
}

static void violation_of_ept12(struct cpu *cpu, struct vmcs_slot *slot, const struct ept02_result *result,
			       u64 address20, u64 qualification02)
{
	u64 qualification = qualification12(qualification02, result->rights12);

	if (ve_in_use(slot) && ve_deliver(cpu, qualification, result->suppress_ve12))
		return;
	if (options.ept02_ahead && options.ept02_cache) {
		slot->awaited20 = address20;
		slot->awaited_access = access_of(qualification);
	}
	nested_reflect(cpu, REASON_ept_violation, qualification);
}

void nested_compose_ahead(struct cpu *cpu, struct vmcs_slot *slot)
{
	u64 eptp12 = vmcs12_get(&slot->vmcs12, F_ept_pointer);
	u8 access = slot->awaited_access;

	slot->awaited_access = 0;
	/* Otherwise L1 has changed it, and it is not checked yet. */
	if (slot->ept02 && slot->ept02->eptp12 == ept02_key(eptp12))
		compose_ahead(cpu, slot, slot->awaited20, access);
}

static bool is_translated(u64 qualification)
{
	return qualification & EPT_VIOLATION_LINEAR_VALID && qualification & EPT_VIOLATION_LINEAR_TRANSLATED;
}

static bool is_sub_page_event(enum ept02_fill fill)
{
	return fill == EPT02_SUB_PAGE_MISS || fill == EPT02_SUB_PAGE_MISCONFIGURED;
}

/* SDM "Exit Qualification for SPP-Related Events" */
static u64 sub_page_event(enum ept02_fill fill, u64 violation)
{
	return (fill == EPT02_SUB_PAGE_MISS ? SPP_EVENT_MISS : 0) | (violation & EPT_VIOLATION_NMI_UNBLOCKING);
}

void nested_ept_violation(struct cpu *cpu, u64 qualification)
{
	struct vmcs_slot *slot = cpu->nested.current;
	u64 address20 = vmread(ENC_guest_physical_address);
	u8 access = access_of(qualification);
	struct walk12 walk = { .translated = is_translated(qualification) };
	struct ept02_result result;

	if (!has_ept12(slot)) {
		violation_of_ept01(cpu, address20, qualification);
		return;
	}
	if (pml_in_use(slot) && pml_is_full(slot) &&
	    would_set_flags(cpu, slot, address20, access, walk.translated)) {
		nested_reflect(cpu, REASON_page_modification_log_full, qualification & EPT_VIOLATION_NMI_UNBLOCKING);
		return;
	}
	fill(cpu, slot, address20, access, &walk, &result);
	if (result.fill == EPT02_FILLED)
		filled(cpu, slot, &result, address20, walk.got_dirty, qualification);
	else if (result.fill == EPT02_DENIED01)
		guarded_write(cpu, result.address10);
	else if (result.fill == EPT02_VIOLATION12)
		violation_of_ept12(cpu, slot, &result, address20, qualification);
	else if (UNLIKELY(is_sub_page_event(result.fill)))
		nested_reflect(cpu, REASON_spp_related_event, sub_page_event(result.fill, qualification));
	else
		nested_reflect(cpu, REASON_ept_misconfiguration, 0);
}

static void violation_of_reach(struct cpu *cpu, const struct ept02_result *result, u64 address20, u64 linear,
			       u64 qualification)
{
	if (result->fill == EPT02_VIOLATION12)
		nested_reflect_access(cpu, REASON_ept_violation, qualification12(qualification, result->rights12),
				      address20, linear);
	else if (is_sub_page_event(result->fill))
		nested_reflect_access(cpu, REASON_spp_related_event, sub_page_event(result->fill, 0), address20,
				      linear);
	else
		nested_reflect_access(cpu, REASON_ept_misconfiguration, 0, address20, linear);
}

bool nested_reach(struct cpu *cpu, u64 address20, u64 linear, u8 access, bool itself, u64 *address10)
{
	struct vmcs_slot *slot = cpu->nested.current;
	struct walk12 walk = { .translated = itself };
	struct ept02_result result;

	*address10 = address20;
	if (!has_ept12(slot))
		return true;
	if (pml_in_use(slot) && pml_is_full(slot) && would_set_flags(cpu, slot, address20, access, itself)) {
		nested_reflect(cpu, REASON_page_modification_log_full, 0);
		return false;
	}
	fill(cpu, slot, address20, access, &walk, &result);
	if (result.fill == EPT02_FILLED) {
		filled(cpu, slot, &result, address20, walk.got_dirty, 0);
		*address10 = result.address10;
		return true;
	}
	violation_of_reach(cpu, &result, address20, linear,
			   access | EPT_VIOLATION_LINEAR_VALID | (itself ? EPT_VIOLATION_LINEAR_TRANSLATED : 0));
	return false;
}

/* EPT01 and EPT02 are L0's own and never malformed. */
void nested_ept_misconfiguration(struct cpu *cpu)
{
	exit_unexpected(cpu, "the CPU finds EPT02 misconfigured");
}

u16 nested_vpid02(struct cpu *cpu, u16 vpid12)
{
	unsigned place = vpid12 % VPID02_SLOTS;

	if (!options.vpid02 || !vpid12)
		return 0;
	if (cpu->nested.vpid12_of[place] != vpid12) {
		cpu->nested.vpid12_of[place] = vpid12;
		nested_generation++;
		ASSERT(invvpid(INVVPID_single_context, (u16)(VPID02_FIRST + place), 0) == VMX_SUCCEED);
	}
	return (u16)(VPID02_FIRST + place);
}

void nested_invvpid(struct cpu *cpu, u64 type, u16 vpid12, u64 address)
{
	unsigned place = vpid12 % VPID02_SLOTS;

	if (!options.vpid02)
		return; /* every entry and exit flushes */
	if (type == INVVPID_all_contexts || !options.selective_invalidation)
		ASSERT(invvpid(INVVPID_all_contexts, 0, 0) == VMX_SUCCEED);
	else if (cpu->nested.vpid12_of[place] == vpid12)
		ASSERT(invvpid(type, (u16)(VPID02_FIRST + place), address) == VMX_SUCCEED);
}
