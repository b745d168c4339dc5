/*
 * L1's bitmaps, each merged with L0's own once for all VMCSs that name it. VMCSs with none have L0's own. The pool of
 * merged pages is a CPU's: while L1 runs on it, none of them is in use.
 */
#include "cpu.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "options.h"
#include "string.h"

static const struct {
	enum vmcs_field address;
	u32 control;
	u64 *const *page01;
} sources[BITMAPS] = {
	[BITMAP_msr] = { F_address_of_msr_bitmaps, PROC_use_msr_bitmaps, &msr_bitmap01 },
	[BITMAP_io_a] = { F_address_of_io_bitmap_a, PROC_use_io_bitmaps, &io_bitmap_a01 },
	[BITMAP_io_b] = { F_address_of_io_bitmap_b, PROC_use_io_bitmaps, &io_bitmap_b01 },
	[BITMAP_vmread] = { F_vmread_bitmap_address, PROC2_vmcs_shadowing, &field_bitmap01 },
	[BITMAP_vmwrite] = { F_vmwrite_bitmap_address, PROC2_vmcs_shadowing, &field_bitmap01 },
};

/* One for each VMCS, as MSR bitmaps mostly differ, and one of each other kind; an entry needs one of each. */
static u64 pages_wanted(void)
{
	return options.vmcs02_slots + BITMAPS - 1;
}

static u64 table_pages(void)
{
	return ALIGN_UP(pages_wanted() * sizeof(struct merged_page), PAGE_SIZE) / PAGE_SIZE;
}

u64 nested_bitmaps_pages(void)
{
	return table_pages() + pages_wanted();
}

void nested_bitmaps_init(struct cpu *cpu)
{
	struct nested *nested = &cpu->nested;

	nested->merged = pool_allocate(table_pages());
	nested->merged_count = (unsigned)pages_wanted();
	for (unsigned i = 0; i < nested->merged_count; i++) {
		nested->merged[i].address10 = NO_BITMAP;
		nested->merged[i].page = pool_allocate(1);
	}
}

void nested_bitmaps_init_slot(struct vmcs_slot *slot)
{
	for (unsigned kind = 0; kind < BITMAPS; kind++) {
		slot->merged[kind] = NULL;
		slot->input.bitmap02[kind] = home_physical(*sources[kind].page01);
	}
}

static void forget(struct merged_page *merged)
{
	watch_clear(&merged->watch);
	merged->address10 = NO_BITMAP;
}

void nested_bitmaps_forget_all(struct cpu *cpu)
{
	for (unsigned i = 0; i < cpu->nested.merged_count; i++)
		forget(&cpu->nested.merged[i]);
}

/* The merged page for that bitmap of L1's, not merged yet if it is new; the one used least recently goes. */
static struct merged_page *merged_page_for(struct nested *nested, enum bitmap kind, u64 address10)
{
	struct merged_page *oldest = nested->merged;

	for (unsigned i = 0; i < nested->merged_count; i++) {
		struct merged_page *merged = &nested->merged[i];

		if (merged->address10 == address10 && merged->kind == kind)
			return merged;
		if (merged->used < oldest->used)
			oldest = merged;
	}
	forget(oldest);
	oldest->kind = kind;
	oldest->address10 = address10;
	return oldest;
}

/* vmcs02 is to name another page. */
static COLD void use_page(struct vmcs_slot *slot, enum bitmap kind, struct merged_page *merged)
{
	slot->merged[kind] = merged;
	slot->input.bitmap02[kind] = home_physical(merged ? merged->page : *sources[kind].page01);
	field_set_add(&slot->vmcs12.dirty, sources[kind].address);
}

/* Absent memory reads as all ones: everything exits. */
static COLD bool merge_again(struct merged_page *merged)
{
	const u64 *bitmap12 = l1_pointer(merged->address10, PAGE_SIZE);

	if (options.bitmap_cache && bitmap12)
		watch_arm(&merged->watch, merged->address10);
	if (bitmap12)
		bitmap_merge(merged->page, bitmap12, *sources[merged->kind].page01);
	else
		memset(merged->page, 0xff, PAGE_SIZE);
	if (merged->kind == BITMAP_vmread || merged->kind == BITMAP_vmwrite)
		merged->passes = vmcs_bitmap_passes(merged->page);
	return merged->watch.armed;
}

static inline bool refresh(struct cpu *cpu, struct vmcs_slot *slot, enum bitmap kind, u32 controls12)
{
	u64 address10 = vmcs12_get(&slot->vmcs12, sources[kind].address);
	struct merged_page *merged = slot->merged[kind];

	if (!(controls12 & sources[kind].control)) {
		if (UNLIKELY(merged))
			use_page(slot, kind, NULL);
		return true;
	}
	if (UNLIKELY(!merged || merged->address10 != address10 || merged->kind != kind)) {
		merged = merged_page_for(&cpu->nested, kind, address10);
		use_page(slot, kind, merged);
	}
	merged->used = ++cpu->nested.clock;
	return LIKELY(merged->watch.armed) || merge_again(merged);
}

bool nested_bitmaps_refresh(struct cpu *cpu, struct vmcs_slot *slot)
{
	u32 proc12 = vmcs12_controls(&slot->vmcs12, CONTROLS_proc);
	u32 proc2_12 = vmcs12_controls(&slot->vmcs12, CONTROLS_proc2);
	bool stay = refresh(cpu, slot, BITMAP_msr, proc12);

	stay &= refresh(cpu, slot, BITMAP_io_a, proc12);
	stay &= refresh(cpu, slot, BITMAP_io_b, proc12);
	if (LIKELY(!(proc2_12 & PROC2_vmcs_shadowing)))
		return stay;
	stay &= refresh(cpu, slot, BITMAP_vmread, proc2_12);
	stay &= refresh(cpu, slot, BITMAP_vmwrite, proc2_12);
	return stay;
}
