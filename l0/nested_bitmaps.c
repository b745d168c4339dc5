/* The merged bitmaps of a slot. */
#include "vmcs_shadow/bitmaps.h"
#include "cpu.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "options.h"
#include "string.h"

static const struct {
	enum vmcs_field address;
	u32 control;
	u64 *const *page01;
} sources[MERGED_PAGES] = {
	[MERGED_msr] = { F_address_of_msr_bitmaps, PROC_use_msr_bitmaps, &msr_bitmap01 },
	[MERGED_io_a] = { F_address_of_io_bitmap_a, PROC_use_io_bitmaps, &io_bitmap_a01 },
	[MERGED_io_b] = { F_address_of_io_bitmap_b, PROC_use_io_bitmaps, &io_bitmap_b01 },
	[MERGED_vmread] = { F_vmread_bitmap_address, PROC2_vmcs_shadowing, &field_bitmap01 },
	[MERGED_vmwrite] = { F_vmwrite_bitmap_address, PROC2_vmcs_shadowing, &field_bitmap01 },
};

static void merge_page(struct vmcs_slot *slot, enum merged_page page, u64 address10)
{
	const u64 *bitmap12 = l1_pointer(address10, PAGE_SIZE);

	if (bitmap12)
		bitmap_merge(slot->merged[page], bitmap12, *sources[page].page01);
	else /* absent memory reads as all ones: everything exits */
		memset(slot->merged[page], 0xff, PAGE_SIZE);
	if (page == MERGED_vmread)
		slot->passes_vmread = vmcs_bitmap_passes(slot->merged[page]);
	if (page == MERGED_vmwrite)
		slot->passes_vmwrite = vmcs_bitmap_passes(slot->merged[page]);
}

static COLD bool merge_again(struct vmcs_slot *slot, enum merged_page page, u64 address10)
{
	if (options.bitmap_cache && l1_pointer(address10, PAGE_SIZE))
		watch_arm(&slot->watch[page], address10);
	merge_page(slot, page, address10);
	slot->holds01[page] = false;
	return slot->watch[page].armed && slot->watch[page].address10 == address10;
}

/* vmcs12 uses none: L0's own serve, and are used only where vmcs12 lets accesses pass. */
static COLD void take_own(struct vmcs_slot *slot, enum merged_page page)
{
	memcpy(slot->merged[page], *sources[page].page01, PAGE_SIZE);
	slot->holds01[page] = true;
}

static inline bool refresh(struct vmcs_slot *slot, enum merged_page page, u32 controls12)
{
	u64 address10 = vmcs12_get(&slot->vmcs12, sources[page].address);
	const struct watch *watch = &slot->watch[page];

	if (!(controls12 & sources[page].control)) {
		if (UNLIKELY(!slot->holds01[page]))
			take_own(slot, page);
	} else if (UNLIKELY(!watch->armed || watch->address10 != address10 || slot->holds01[page])) {
		return merge_again(slot, page, address10);
	}
	return true;
}

bool nested_bitmaps_refresh(struct vmcs_slot *slot)
{
	u32 proc12 = vmcs12_controls(&slot->vmcs12, CONTROLS_proc);
	u32 proc2_12 = vmcs12_controls(&slot->vmcs12, CONTROLS_proc2);
	bool stay = refresh(slot, MERGED_msr, proc12);

	stay &= refresh(slot, MERGED_io_a, proc12);
	stay &= refresh(slot, MERGED_io_b, proc12);
	if (LIKELY(!(proc2_12 & PROC2_vmcs_shadowing)))
		return stay;
	stay &= refresh(slot, MERGED_vmread, proc2_12);
	stay &= refresh(slot, MERGED_vmwrite, proc2_12);
	return stay;
}
