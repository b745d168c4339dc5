/* The cache of EPT02: one set of tables per EPTP12, filled on demand, dropped by INVEPT. */
#ifndef TURTLES_EPT02_H
#define TURTLES_EPT02_H

#include "ept_table.h"
#include "ept_walk.h"

/* A page that was composed: its L2-physical address, with the access that asked for it and its level below. */
#define EPT02_FILL(address, access, level) (ALIGN_DOWN(address, PAGE_SIZE) | (u64)(level) << 3 | (access))
#define EPT02_FILL_ADDRESS(fill) ALIGN_DOWN(fill, PAGE_SIZE)
#define EPT02_FILL_ACCESS(fill) ((u8)((fill) & EPT_RWX))
#define EPT02_FILL_LEVEL(fill) ((unsigned)(fill) >> 3 & 7)
#define EPT02_FILLS 32

struct ept02 {
	u64 eptp12; /* the key, as ept02_key() cuts it; 0 if unused */
	u64 root;   /* host physical address of the PML4 page */
	u64 spptp12; /* a key, too: the table of sub-page write permissions that goes with it, or EPT02_NO_SUB_PAGES */
	u64 sub_pages; /* host physical: the root of L0's own such table; 0: no VMCS of L1's has any */
	u64 used;   /* the cache's clock at the last use */
	u64 *table; /* of level 1, the last that a page was mapped in; NULL if none */
	u64 table_start;
	bool filled; /* there is something below the root */
	/*
	 * The CPU may hold translations, or pointers to tables, that are gone. L0 must run INVEPT
	 * (single-context, on ept02_eptp()) before it enters L2 on these tables, and clear this.
	 */
	bool invalidate;
	bool outdated; /* L1 has invalidated it: ept02_empty() before L2 next runs on it */
	unsigned fill_count; /* of those in the tables; more than EPT02_FILLS: nobody knows which */
	u64 fills[EPT02_FILLS];
};

/* How L1's memory lies in the host's: the leaf of EPT01 around an L1-physical address. */
struct ept01_view {
	void *context;
	/* false where EPT01 has nothing at all */
	bool (*lookup)(void *context, u64 address10, struct ept_leaf *leaf);
};

/*
 * One cache serves one logical processor: it relies on an EPT violation having dropped what that CPU
 * had cached for the address; SDM "Operations that Invalidate Cached Mappings".
 */
struct ept02_cache {
	struct ept02 *slots;
	unsigned slot_count, taken; /* those ever used are the first */
	u64 clock;
	const struct ept_pages *pages;
	u8 max_level; /* the largest page that EPT02 may use */
	/* For the statistics: pages mapped, tables given up by ept02_drop() and _drop_all(), and for room. */
	u64 fills, drops, evictions;
};

#define EPT02_NO_SUB_PAGES (~0ull)

enum ept02_fill {
	EPT02_FILLED,          /* L0's own exit: run L2 again */
	EPT02_VIOLATION12,     /* EPT12 forbids it: L1's exit, with rights12 for the qualification */
	EPT02_MISCONFIGURED12, /* EPT12 is malformed, or lies where L1 has no memory: L1's exit */
	EPT02_DENIED01,        /* EPT12 allows it, but EPT01 does not: address10 says where */
	EPT02_SUB_PAGE_MISS,          /* L1's exit: the permissions of the sub-page are not there, */
	EPT02_SUB_PAGE_MISCONFIGURED, /* or malformed */
};

struct ept02_result {
	enum ept02_fill fill;
	u8 rights12;
	bool suppress_ve12; /* if EPT02_VIOLATION12: no #VE for it */
	u64 address10;
	struct ept_leaf leaf; /* what was mapped, if EPT02_FILLED */
};

/*
 * Make a cache of slot_count empty ept02, each with its root out of pages. False when the pool is too
 * small; nothing is then taken from it. Over the roots, the pool needs EPT_LEVELS - 1 pages for ever.
 */
bool ept02_cache_init(struct ept02_cache *cache, struct ept02 *slots, unsigned slot_count,
		      const struct ept_pages *pages, u8 max_level);
/* Give each ept02 a table for sub-page write permissions, out of the pool; false when that is too small. */
bool ept02_cache_add_sub_pages(struct ept02_cache *cache);

/*
 * What of an EPTP names a set of translations. SDM "Caching Translation Information" tags them with
 * bits 51:12 alone. The walk length and the enable bit for accessed and dirty flags are kept as well,
 * since tables composed under one setting are wrong under another: with the flags on, EPT02 withholds
 * writes from pages that are not dirty in EPT12.
 */
static inline u64 ept02_key(u64 eptp12)
{
	return eptp12 & (EPTP_ADDRESS | EPTP_ACCESSED_DIRTY | EPTP_WALK_LENGTH);
}

/*
 * The tables for eptp12 and, where sub-page write permissions go with it, spptp12, else EPT02_NO_SUB_PAGES: those kept,
 * or new ones (the least recently used go if all slots are taken). The answer holds until the next call.
 */
struct ept02 *ept02_get(struct ept02_cache *cache, u64 eptp12, u64 spptp12);

/*
 * The EPTP that vmcs02 needs for these tables: write-back, and with accessed and dirty flags as in
 * EPTP12, for they turn the CPU's accesses to L2's paging structures into writes.
 */
u64 ept02_eptp(const struct ept02 *ept02);

/*
 * Answer an EPT violation of L2 at address20 by an access (EPT_READ, EPT_WRITE, EPT_EXECUTE).
 * When the pool runs empty, the other ept02 are dropped, the least recently used first, and then this
 * one.
 */
struct ept02_result ept02_fill(struct ept02_cache *cache, struct ept02 *ept02, u64 eptp12, u64 address20,
			       u8 access, const struct ept_features *features12,
			       const struct ept_memory *memory12, const struct ept01_view *view01);

/*
 * INVEPT single-context: drop what was composed for any EPTP with the address of eptp12.
 * SDM "Operations that Invalidate Cached Mappings".
 */
void ept02_drop(struct ept02_cache *cache, u64 eptp12);
/*
 * The same, but not before L2 is to run on them: they are marked as outdated. What ept02_empty() then returns may be
 * filled again at once.
 */
void ept02_outdate(struct ept02_cache *cache, u64 eptp12);
void ept02_outdate_all(struct ept02_cache *cache);
/* Drop what was composed there, and tell how many pages that were if they are few: 0 otherwise. */
unsigned ept02_empty(struct ept02_cache *cache, struct ept02 *ept02, u64 fills[EPT02_FILLS]);
/* INVEPT global, or EPT01 has changed under them. The slots keep their roots. */
void ept02_drop_all(struct ept02_cache *cache);

#endif
