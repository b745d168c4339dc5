/* The merged MSR and I/O bitmaps of a slot. */
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
};

static void merge_page(struct vmcs_slot *slot, enum merged_page page, u64 address10)
{
	const u64 *bitmap12 = l1_pointer(address10, PAGE_SIZE);

	if (bitmap12)
		bitmap_merge(slot->merged[page], bitmap12, *sources[page].page01);
	else /* absent memory reads as all ones: everything exits */
		memset(slot->merged[page], 0xff, PAGE_SIZE);
}

/*
 * With more than one CPU the pages are merged at every entry: another CPU may still write through a translation that
 * it cached before EPT01 forbade writing, and L0 does not yet shoot such down.
 */
static bool refresh(struct vmcs_slot *slot, enum merged_page page)
{
	u64 address10 = vmcs12_get(&slot->vmcs12, sources[page].address);
	struct watch *watch = &slot->watch[page];

	if (!(vmcs12_get(&slot->vmcs12, F_primary_processor_based_controls) & sources[page].control)) {
		/* vmcs12 uses none: L0's own serve, and are used only where vmcs12 lets accesses pass. */
		if (!slot->holds01[page])
			memcpy(slot->merged[page], *sources[page].page01, PAGE_SIZE);
		slot->holds01[page] = true;
		return true;
	}
	if (LIKELY(watch->armed && watch->address10 == address10 && !slot->holds01[page]))
		return true;
	if (options.bitmap_cache && cpu_count == 1 && l1_pointer(address10, PAGE_SIZE))
		watch_arm(watch, address10);
	merge_page(slot, page, address10);
	slot->holds01[page] = false;
	return watch->armed && watch->address10 == address10;
}

bool nested_bitmaps_refresh(struct vmcs_slot *slot)
{
	bool stay = true;

	for (unsigned page = 0; page < MERGED_PAGES; page++)
		stay &= refresh(slot, (enum merged_page)page);
	return stay;
}
