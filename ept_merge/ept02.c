#include "ept02.h"
#include "ept_compose.h"
#include "ept_sub_page.h"

#define EPTP_WALK_LENGTH_4 ((u64)(EPT_LEVELS - 1) << EPTP_WALK_LENGTH_SHIFT)

bool ept02_cache_init(struct ept02_cache *cache, struct ept02 *slots, unsigned slot_count,
		      const struct ept_pages *pages, u8 max_level)
{
	*cache = (struct ept02_cache){ .slots = slots, .pages = pages, .max_level = max_level };
	for (unsigned i = 0; i < slot_count; i++) {
		slots[i] = (struct ept02){ .root = pages->allocate(pages->context) };
		if (!slots[i].root) {
			while (i--)
				pages->release(pages->context, slots[i].root);
			return false;
		}
	}
	cache->slot_count = slot_count;
	return true;
}

bool ept02_cache_add_sub_pages(struct ept02_cache *cache)
{
	for (unsigned i = 0; i < cache->slot_count; i++) {
		cache->slots[i].sub_pages = cache->pages->allocate(cache->pages->context);
		if (!cache->slots[i].sub_pages)
			return false;
	}
	return true;
}

u64 ept02_eptp(const struct ept02 *ept02)
{
	return ept02->root | MEMORY_WB | EPTP_WALK_LENGTH_4 | (ept02->eptp12 & EPTP_ACCESSED_DIRTY);
}

static void clear(struct ept02_cache *cache, struct ept02 *ept02, u64 *count)
{
	if (!ept02->filled)
		return;
	ept_table_clear(cache->pages, ept02->root);
	if (ept02->sub_pages)
		ept_sub_page_clear(cache->pages, ept02->sub_pages);
	ept02->table = NULL;
	ept02->filled = ept02->outdated = false;
	ept02->fill_count = 0;
	ept02->invalidate = true;
	++*count;
}

/* Of all slots, those never used first; or of those alone that have tables. */
static struct ept02 *least_recently_used(struct ept02_cache *cache, bool filled)
{
	struct ept02 *oldest = NULL;

	for (unsigned i = 0; i < cache->slot_count; i++) {
		struct ept02 *slot = &cache->slots[i];

		if (filled && !slot->filled)
			continue;
		if (!oldest || slot->used < oldest->used)
			oldest = slot;
	}
	ASSERT(oldest);
	return oldest;
}

struct ept02 *ept02_get(struct ept02_cache *cache, u64 eptp12, u64 spptp12)
{
	u64 key = ept02_key(eptp12);
	struct ept02 *slot;

	for (unsigned i = 0; i < cache->slot_count; i++) {
		slot = &cache->slots[i];
		if (slot->eptp12 == key && slot->spptp12 == spptp12) {
			slot->used = ++cache->clock;
			return slot;
		}
	}
	slot = least_recently_used(cache, false);
	if (slot == &cache->slots[cache->taken]) /* one never used: they are taken in turn */
		cache->taken++;
	clear(cache, slot, &cache->evictions);
	slot->eptp12 = key;
	slot->spptp12 = spptp12;
	slot->used = ++cache->clock;
	return slot;
}

/* L2 touches pages in rows: the next 4 KiB page is mostly of the same table, which stays until it is released. */
static enum ept_table_change map_small(struct ept02_cache *cache, struct ept02 *ept02, u64 address,
				       const struct ept_leaf *leaf)
{
	if (!ept02->table || address - ept02->table_start >= EPT_LEVEL_SIZE(2)) {
		u64 *entry = ept_table_reach(cache->pages, ept02->root, address, 1);

		if (!entry)
			return EPT_TABLE_FULL;
		ept02->table_start = ALIGN_DOWN(address, EPT_LEVEL_SIZE(2));
		ept02->table = entry - (address - ept02->table_start) / PAGE_SIZE;
	}
	ept_table_set(ept_table_entry(ept02->table, address, 1), ept_leaf_encode(leaf));
	return EPT_TABLE_MAPPED;
}

static enum ept_table_change map_leaf(struct ept02_cache *cache, struct ept02 *ept02, u64 address,
				      const struct ept_leaf *leaf)
{
	if (leaf->level == 1)
		return map_small(cache, ept02, address, leaf);
	ept02->table = NULL; /* it may be released */
	return ept_table_map(cache->pages, ept02->root, address, leaf);
}

static void note_fill(struct ept02 *ept02, u64 fill)
{
	if (ept02->fill_count < EPT02_FILLS)
		ept02->fills[ept02->fill_count] = fill;
	ept02->fill_count++;
}

/* With the permissions that the page has, if any: without them, the CPU would find none. */
static enum ept_table_change map_whole(struct ept02_cache *cache, struct ept02 *ept02, u64 address,
				       const struct ept_leaf *leaf, u64 sub_pages)
{
	enum ept_table_change change = map_leaf(cache, ept02, address, leaf);

	if (UNLIKELY(leaf->sub_pages) && change != EPT_TABLE_FULL &&
	    !ept_sub_page_put(cache->pages, ept02->sub_pages, address, sub_pages))
		return EPT_TABLE_FULL;
	return change;
}

static void map(struct ept02_cache *cache, struct ept02 *ept02, u64 address20, u8 access, const struct ept_leaf *leaf,
		u64 sub_pages)
{
	u64 address = ALIGN_DOWN(address20, EPT_LEVEL_SIZE(leaf->level));
	enum ept_table_change change;
	struct ept02 *evicted = NULL;

	ept02->used = ++cache->clock; /* so that its own tables are the last to go */
	for (;;) {
		ept02->filled = true;
		change = map_whole(cache, ept02, address, leaf, sub_pages);
		if (change != EPT_TABLE_FULL)
			break;
		ASSERT(evicted != ept02);
		evicted = least_recently_used(cache, true);
		clear(cache, evicted, &cache->evictions);
	}
	if (ept02->fill_count <= EPT02_FILLS)
		note_fill(ept02, EPT02_FILL(address20, access, leaf->level));
	/* The violation made the CPU forget this address, but not its neighbours' way through that table. */
	if (change == EPT_TABLE_RELEASED)
		ept02->invalidate = true;
	cache->fills++;
}

static enum ept02_fill walk_failure(enum ept_walk_status status)
{
	switch (status) {
	case EPT_WALK_VIOLATION:
		return EPT02_VIOLATION12;
	case EPT_WALK_SUB_PAGE_MISS:
		return EPT02_SUB_PAGE_MISS;
	case EPT_WALK_SUB_PAGE_MISCONFIGURATION:
		return EPT02_SUB_PAGE_MISCONFIGURED;
	default:
		/* Where L1 has no memory its CPU reads all ones, which is misconfigured at every level. */
		return EPT02_MISCONFIGURED12;
	}
}

struct ept02_result ept02_fill(struct ept02_cache *cache, struct ept02 *ept02, u64 eptp12, u64 address20,
			       u8 access, const struct ept_features *features12,
			       const struct ept_memory *memory12, const struct ept01_view *view01)
{
	struct ept_walk_result walk12 = ept_walk(eptp12, address20, access, features12, memory12);
	struct ept02_result result; /* of which some is valid only by fill */
	struct ept_leaf leaf01, *leaf = &result.leaf;

	ASSERT(ept02->eptp12 == ept02_key(eptp12));
	result.rights12 = walk12.rights;
	result.suppress_ve12 = walk12.suppress_ve;
	result.address10 = walk12.address;
	if (walk12.status != EPT_WALK_OK) {
		result.fill = walk_failure(walk12.status);
		return result;
	}
	if (!view01->lookup(view01->context, walk12.address, &leaf01) || (access & ~leaf01.rights)) {
		result.fill = EPT02_DENIED01;
		return result;
	}
	result.fill = EPT02_FILLED;
	*leaf = ept_compose(address20, walk12.address, &walk12.leaf, &leaf01, cache->max_level);
	leaf->sub_pages = walk12.sub_page;
	/* The first write must exit, so that the walk can set the dirty flag. */
	if (!walk12.dirty)
		leaf->rights &= ~EPT_WRITE;
	map(cache, ept02, address20, access, leaf, walk12.sub_pages);
	return result;
}

void ept02_drop(struct ept02_cache *cache, u64 eptp12)
{
	for (unsigned i = 0; i < cache->taken; i++)
		if (!((cache->slots[i].eptp12 ^ eptp12) & EPTP_ADDRESS))
			clear(cache, &cache->slots[i], &cache->drops);
}

void ept02_drop_all(struct ept02_cache *cache)
{
	for (unsigned i = 0; i < cache->taken; i++)
		clear(cache, &cache->slots[i], &cache->drops);
}

static void outdate(struct ept02 *ept02)
{
	if (ept02->filled)
		ept02->outdated = ept02->invalidate = true;
}

void ept02_outdate(struct ept02_cache *cache, u64 eptp12)
{
	for (unsigned i = 0; i < cache->taken; i++)
		if (!((cache->slots[i].eptp12 ^ eptp12) & EPTP_ADDRESS))
			outdate(&cache->slots[i]);
}

void ept02_outdate_all(struct ept02_cache *cache)
{
	for (unsigned i = 0; i < cache->taken; i++)
		outdate(&cache->slots[i]);
}

/* Of few pages the tables stay, as they will be needed again. */
unsigned ept02_empty(struct ept02_cache *cache, struct ept02 *ept02, u64 fills[EPT02_FILLS])
{
	unsigned count = ept02->fill_count;

	if (count > EPT02_FILLS) {
		clear(cache, ept02, &cache->drops);
		return 0;
	}
	for (unsigned i = 0; i < count; i++) {
		fills[i] = ept02->fills[i];
		ept_table_remove(cache->pages, ept02->root, EPT02_FILL_ADDRESS(fills[i]), EPT02_FILL_LEVEL(fills[i]));
	}
	ept02->table = NULL; /* it may have been released */
	ept02->outdated = false;
	ept02->fill_count = 0;
	cache->drops++;
	return count;
}
