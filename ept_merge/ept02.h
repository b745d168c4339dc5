/* The cache of EPT02: one set of tables per EPTP12, filled on demand, dropped by INVEPT. */
#ifndef TURTLES_EPT02_H
#define TURTLES_EPT02_H

#include "ept_table.h"
#include "ept_walk.h"

struct ept02 {
	u64 eptp12; /* the key, as ept02_key() cuts it; 0 if unused */
	u64 root;   /* host physical address of the PML4 page */
	u64 used;   /* the cache's clock at the last use */
};

/* How L1's memory lies in the host's: the leaf of EPT01 around an L1-physical address. */
struct ept01_view {
	void *context;
	/* false where EPT01 has nothing at all */
	bool (*lookup)(void *context, u64 address10, struct ept_leaf *leaf);
};

struct ept02_cache {
	struct ept02 *slots;
	unsigned slot_count;
	u64 clock;
	const struct ept_pages *pages;
	u8 max_level; /* the largest page that EPT02 may use */
	u64 fills, drops, evictions; /* for the statistics */
};

enum ept02_fill {
	EPT02_FILLED,          /* L0's own exit: run L2 again */
	EPT02_VIOLATION12,     /* EPT12 forbids it: L1's exit, with rights12 for the qualification */
	EPT02_MISCONFIGURED12, /* EPT12 is malformed: L1's exit */
	EPT02_DENIED01,        /* EPT12 allows it, but EPT01 does not: address10 says where */
};

struct ept02_result {
	enum ept02_fill fill;
	u8 rights12;
	u64 address10;
	struct ept_leaf leaf; /* what was mapped, if EPT02_FILLED */
};

/* What of an EPTP names a set of translations; SDM "Caching Translation Information". */
u64 ept02_key(u64 eptp12);

/* The tables for eptp12: those kept, or new ones (the least recently used go if all slots are taken). */
struct ept02 *ept02_get(struct ept02_cache *cache, u64 eptp12);

/*
 * Answer an EPT violation of L2 at address20 by an access (EPT_READ, EPT_WRITE, EPT_EXECUTE).
 * When the pool runs empty, every other ept02 is dropped first, and then this one.
 */
struct ept02_result ept02_fill(struct ept02_cache *cache, struct ept02 *ept02, u64 eptp12, u64 address20, u8 access,
			       const struct ept_features *features12, const struct ept_memory *memory12,
			       const struct ept01_view *view01);

/* INVEPT single-context: drop what was composed for eptp12. SDM "Operations that Invalidate Cached Mappings". */
void ept02_drop(struct ept02_cache *cache, u64 eptp12);
/* INVEPT global, or EPT01 has changed under them. The slots keep their roots. */
void ept02_drop_all(struct ept02_cache *cache);

#endif
