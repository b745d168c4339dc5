#include "ept_sub_page.h"

/* SDM "Sub-Page Write Permissions": entries above the last level name a table or nothing. */
static bool is_malformed(u64 entry, u8 maxphyaddr)
{
	return entry & SPP_TABLE_RESERVED || (entry & EPT_ADDRESS) >> maxphyaddr;
}

enum ept_sub_page_status ept_sub_page_walk(u64 spptp, u64 address, u8 maxphyaddr, const struct ept_memory *memory,
					   u64 *vector)
{
	u64 table = spptp & EPT_ADDRESS;

	for (unsigned level = EPT_LEVELS;; level--) {
		const u64 *at = ept_memory_entry(memory, ept_entry_address(table, address, level));
		u64 entry = at ? __atomic_load_n(at, __ATOMIC_RELAXED) : ~0ull;

		if (level == 1) {
			*vector = entry;
			break;
		}
		if (!(entry & SPP_PRESENT))
			return SUB_PAGE_MISS;
		if (is_malformed(entry, maxphyaddr))
			return SUB_PAGE_MISCONFIGURATION;
		table = entry & EPT_ADDRESS;
	}
	if (*vector & SPP_VECTOR_RESERVED)
		return SUB_PAGE_MISCONFIGURATION;
	return *vector >> SPP_VECTOR_SHIFT(address) & 1 ? SUB_PAGE_WRITABLE : SUB_PAGE_READ_ONLY;
}

static u64 *entries(const struct ept_pages *pages, u64 table)
{
	return pages->entries(pages->context, table & EPT_ADDRESS);
}

bool ept_sub_page_put(const struct ept_pages *pages, u64 root, u64 address, u64 vector)
{
	u64 *table = entries(pages, root);

	for (unsigned level = EPT_LEVELS; level > 1; level--) {
		u64 *entry = ept_table_entry(table, address, level), below;

		if (!*entry) {
			below = pages->allocate(pages->context);
			if (!below)
				return false;
			ept_table_set(entry, below | SPP_PRESENT);
		}
		table = entries(pages, *entry);
	}
	ept_table_set(ept_table_entry(table, address, 1), vector);
	return true;
}

/* All below an entry of that level. */
static void release(const struct ept_pages *pages, u64 entry, unsigned level)
{
	const u64 *table = entries(pages, entry);

	for (unsigned i = 0; level > 2 && i < EPT_ENTRIES; i++)
		if (table[i])
			release(pages, table[i], level - 1);
	pages->release(pages->context, entry & EPT_ADDRESS);
}

void ept_sub_page_clear(const struct ept_pages *pages, u64 root)
{
	u64 *table = entries(pages, root);

	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		u64 entry = table[i];

		ept_table_set(&table[i], 0);
		if (entry)
			release(pages, entry, EPT_LEVELS);
	}
}
