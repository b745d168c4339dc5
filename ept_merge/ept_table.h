/* EPT tables that L0 builds: EPT01 and EPT02 alike. Pages come from the caller. */
#ifndef TURTLES_EPT_TABLE_H
#define TURTLES_EPT_TABLE_H

#include "ept_entry.h"

/* A pool of page-table pages, by host physical address. */
struct ept_pages {
	void *context;
	u64 (*allocate)(void *context);              /* a zeroed page; 0 when the pool is empty */
	void (*release)(void *context, u64 address);
	u64 *(*entries)(void *context, u64 address); /* the page's EPT_ENTRIES entries */
};

/*
 * Map leaf's page at address (aligned to its size), replacing what was there; a larger page in the
 * way is split, a table in the way is released. False when the pool is empty: the tables are then
 * still sound, and at worst lack the mapping.
 */
bool ept_table_map(const struct ept_pages *pages, u64 root, u64 address, const struct ept_leaf *leaf);

/* The leaf that maps address, if any. */
bool ept_table_lookup(const struct ept_pages *pages, u64 root, u64 address, struct ept_leaf *leaf);

/* Remove the page that maps address, whatever its size. */
void ept_table_unmap(const struct ept_pages *pages, u64 root, u64 address);

/* Release every table below the root and clear the root. */
void ept_table_clear(const struct ept_pages *pages, u64 root);

#endif
