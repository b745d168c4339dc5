/*
 * A CPU that keeps translations and pointers to tables for as long as the SDM lets it ("Caching
 * Translation Information") runs on EPT02 while L1 changes EPT12, invalidates late or not at all, and
 * EPT01 changes under both. Whatever it uses must be what EPT12 and EPT01 said at some time since L1
 * last invalidated that context and since EPT01 last changed; anything else fails the test.
 */
#ifndef TURTLES_EPT_TLB_H
#define TURTLES_EPT_TLB_H

#include "ept_world.h"

#define TLB_SLOTS 3
#define TLB_ENTRIES 128
#define TLB_POINTERS 64
#define TLB_PAST 512

/* A guest-physical translation as a TLB has it; no size, no entry. */
struct tlb_entry {
	u64 ep4ta, address20, address00, size;
	u8 rights;
};

/* An entry of a paging-structure cache: where the table of a level for a region lies. */
struct tlb_pointer {
	u64 ep4ta, region, size, table;
	unsigned level;
};

/* What has been seen at all. */
struct tlb_seen {
	unsigned uses, cached, pointed, stale, invalidations, renewals;
};

struct tlb_cpu {
	u64 *random;
	struct fake_pool *pool02;
	struct tlb_seen *seen;
	struct tlb_entry tlb[TLB_ENTRIES];
	struct tlb_pointer pointers[TLB_POINTERS];
};

/* What a page has been translated to since the last invalidation. */
struct tlb_past {
	unsigned count;
	u64 address00[TLB_PAST];
	u8 rights[TLB_PAST];
};

struct tlb_test {
	struct world world;
	struct fake_pool pool02;
	struct ept02 slots[TLB_SLOTS];
	struct ept02_cache cache;
	struct tlb_cpu cpu;
	struct tlb_past past[WORLD_CONTEXTS][WORLD_PAGES];
};

/* Random tables, a pool for EPT02 that may be small, and a CPU that remembers nothing. */
void tlb_test_init(struct tlb_test *test, u64 seed, struct tlb_seen *seen);
void tlb_test_free(struct tlb_test *test);

/* L1 changes the tables of a context, or executes INVEPT for them; L0 changes EPT01. */
void tlb_l1_changes(struct tlb_test *test, unsigned context);
void tlb_l1_invalidates(struct tlb_test *test, unsigned context);
void tlb_l1_invalidates_all(struct tlb_test *test);
void tlb_l0_changes(struct tlb_test *test);

/* L2 uses a random page on a context's tables, by way of an EPT violation if need be. */
void tlb_l2_uses(struct tlb_test *test, unsigned context);

#endif
