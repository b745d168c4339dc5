#include "ept_table.h"

static bool is_present(u64 entry)
{
	return entry & EPT_RWX;
}

static bool is_table(u64 entry, unsigned level)
{
	return level > 1 && is_present(entry) && !(entry & EPT_LARGE);
}

static u64 *table_below(const struct ept_pages *pages, u64 entry)
{
	return pages->entries(pages->context, entry & EPT_ADDRESS);
}

/* Put a new table in the place of an entry: empty, or with the pages that a larger page was. */
static bool grow(const struct ept_pages *pages, u64 *entry, unsigned level)
{
	u64 address = pages->allocate(pages->context);

	if (!address)
		return false;
	if (is_present(*entry)) {
		u64 *table = pages->entries(pages->context, address);
		u64 page = level == 2 ? *entry & ~EPT_LARGE : *entry;

		for (unsigned i = 0; i < EPT_ENTRIES; i++)
			table[i] = page + i * EPT_LEVEL_SIZE(level - 1);
	}
	ept_table_set(entry, address | EPT_RWX);
	return true;
}

/* Release the table that an entry at level named, and those below it. */
static void release_table(const struct ept_pages *pages, u64 entry, unsigned level)
{
	const u64 *table = table_below(pages, entry);

	/* Below level 2 lie tables of leaves alone. */
	for (unsigned i = 0; level > 2 && i < EPT_ENTRIES; i++)
		if (is_table(table[i], level - 1))
			release_table(pages, table[i], level - 1);
	pages->release(pages->context, entry & EPT_ADDRESS);
}

u64 *ept_table_reach(const struct ept_pages *pages, u64 root, u64 address, unsigned level)
{
	u64 *table = pages->entries(pages->context, root);

	for (unsigned above = EPT_LEVELS; above > level; above--) {
		u64 *entry = ept_table_entry(table, address, above);

		if (!is_table(*entry, above) && !grow(pages, entry, above))
			return NULL;
		table = table_below(pages, *entry);
	}
	return ept_table_entry(table, address, level);
}

/* The entry of the leaf that maps address; NULL if none does. */
static u64 *find(const struct ept_pages *pages, u64 root, u64 address, unsigned *level)
{
	u64 *entry = ept_table_entry(pages->entries(pages->context, root), address, EPT_LEVELS);

	for (*level = EPT_LEVELS; is_table(*entry, *level); --*level)
		entry = ept_table_entry(table_below(pages, *entry), address, *level - 1);
	return is_present(*entry) ? entry : NULL;
}

enum ept_table_change ept_table_map(const struct ept_pages *pages, u64 root, u64 address,
				    const struct ept_leaf *leaf)
{
	unsigned level = leaf->level;
	u64 *entry, old;

	ASSERT(level >= 1 && level < EPT_LEVELS);
	ASSERT(IS_ALIGNED(address | leaf->address, EPT_LEVEL_SIZE(level)));
	entry = ept_table_reach(pages, root, address, level);
	if (!entry)
		return EPT_TABLE_FULL;
	old = *entry;
	ept_table_set(entry, ept_leaf_encode(leaf));
	if (!is_table(old, level))
		return EPT_TABLE_MAPPED;
	release_table(pages, old, level);
	return EPT_TABLE_RELEASED;
}

bool ept_table_lookup(const struct ept_pages *pages, u64 root, u64 address, struct ept_leaf *leaf)
{
	unsigned level;
	const u64 *entry = find(pages, root, address, &level);

	if (!entry)
		return false;
	*leaf = ept_leaf_decode(*entry, level);
	return true;
}

void ept_table_unmap(const struct ept_pages *pages, u64 root, u64 address)
{
	unsigned level;
	u64 *entry = find(pages, root, address, &level);

	if (entry)
		ept_table_set(entry, 0);
}

void ept_table_remove(const struct ept_pages *pages, u64 root, u64 address, unsigned level)
{
	u64 *table = pages->entries(pages->context, root), *entry, old;

	for (unsigned above = EPT_LEVELS; above > level; above--) {
		entry = ept_table_entry(table, address, above);
		if (!is_table(*entry, above))
			return;
		table = table_below(pages, *entry);
	}
	entry = ept_table_entry(table, address, level);
	old = *entry;
	ept_table_set(entry, 0);
	if (is_table(old, level))
		release_table(pages, old, level);
}

bool ept_table_protect(const struct ept_pages *pages, u64 root, u64 address, u8 rights)
{
	unsigned level;
	u64 *entry = find(pages, root, address, &level);

	if (!entry)
		return true;
	entry = ept_table_reach(pages, root, address, 1);
	if (!entry)
		return false;
	ept_table_set(entry, rights ? (*entry & ~EPT_RWX) | rights : 0);
	return true;
}

void ept_table_clear(const struct ept_pages *pages, u64 root)
{
	u64 *table = pages->entries(pages->context, root);

	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		u64 entry = table[i];

		ept_table_set(&table[i], 0);
		if (is_table(entry, EPT_LEVELS))
			release_table(pages, entry, EPT_LEVELS);
	}
}
