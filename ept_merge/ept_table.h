/* EPT tables that L0 builds: EPT01 and EPT02 alike. Pages come from the caller. */
#ifndef TURTLES_EPT_TABLE_H
#define TURTLES_EPT_TABLE_H

#include "ept_entry.h"

/* The least pages for a pool: all that one instruction of a guest touches must be mapped at once, or it never ends. */
#define EPT_TABLES_MIN 64u
#define EPT_ADDRESS_WIDTH EPT_LEVEL_SHIFT(EPT_LEVELS + 1)

/* A pool of page-table pages, by host physical address. */
struct ept_pages {
	void *context;
	u64 (*allocate)(void *context);              /* a zeroed page; 0 when the pool is empty */
	void (*release)(void *context, u64 address);
	u64 *(*entries)(void *context, u64 address); /* the page's EPT_ENTRIES entries */
};

/*
 * After any change but the mapping of what was not mapped, the CPU may still use what the tables said
 * before: INVEPT is the caller's, before a released page serves in another table.
 */
enum ept_table_change {
	EPT_TABLE_FULL = 0, /* the pool is empty: the tables are still sound, and at worst lack the mapping */
	EPT_TABLE_MAPPED,
	EPT_TABLE_RELEASED, /* mapped, and a table was in the way, which is back in the pool */
};

/*
 * Map leaf's page at address (aligned to its size), replacing what was there; a larger page in the
 * way is split, a table in the way is released.
 */
enum ept_table_change ept_table_map(const struct ept_pages *pages, u64 root, u64 address,
				    const struct ept_leaf *leaf);

/* The entry for address in a table of that level. */
static inline u64 *ept_table_entry(u64 *table, u64 address, unsigned level)
{
	return &table[(address >> EPT_LEVEL_SHIFT(level)) % EPT_ENTRIES];
}

/* A CPU may walk the tables at any time: it sees an entry whole, and no table before its content. */
static inline void ept_table_set(u64 *entry, u64 value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* The entry for address at level, with the tables above it made; NULL when the pool is empty. */
u64 *ept_table_reach(const struct ept_pages *pages, u64 root, u64 address, unsigned level);

/* The leaf that maps address, if any. */
bool ept_table_lookup(const struct ept_pages *pages, u64 root, u64 address, struct ept_leaf *leaf);

/* Remove the page that maps address, whatever its size. */
void ept_table_unmap(const struct ept_pages *pages, u64 root, u64 address);

/* Remove what maps the size of a page of that level around address: that page, or smaller ones with their table. */
void ept_table_remove(const struct ept_pages *pages, u64 root, u64 address, unsigned level);

/*
 * Give the 4 KiB page at address these rights (none: unmap it), splitting a larger page around it; a
 * page that is not mapped stays so. False when the pool is empty: the rights are then as they were.
 */
bool ept_table_protect(const struct ept_pages *pages, u64 root, u64 address, u8 rights);

/* Release every table below the root and clear the root. */
void ept_table_clear(const struct ept_pages *pages, u64 root);

#endif
