/* Random EPT12 and EPT01 over thinly spread addresses, and what the two make of an address together. */
#ifndef TURTLES_EPT_WORLD_H
#define TURTLES_EPT_WORLD_H

#include "ept_fake.h"
#include "ept_merge/ept02.h"

/*
 * Each index is one of a few of its table, at every level, so that pages of all sizes meet; the same
 * pages are looked at in L2's address space and in L1's.
 */
#define WORLD_PAGES (2 * 2 * 3 * 3)
u64 world_page(unsigned number);

/* EPTP12s; the last two name the same tables, with and without accessed and dirty flags. */
#define WORLD_CONTEXTS 4

struct world {
	u64 random;
	struct fake_pool pool12, pool01;
	u64 root01;
	u64 eptp12[WORLD_CONTEXTS];
	struct ept_features features12, features01;
	struct ept_memory memory12;
	struct ept_walk_path path12;
	struct ept01_view view01;
	bool misconfigures; /* L1 makes malformed entries at times */
	u8 least_level01;   /* EPT01 maps no smaller pages, but where it protects one */
};

void world_init(struct world *world, u64 seed);
void world_free(struct world *world);

/* One random change to the tables of a context, or to EPT01. */
void world_change12(struct world *world, unsigned context);
void world_change01(struct world *world);

u64 world_random_address(struct world *world);
u8 world_random_access(struct world *world);

/* Both tables together. */
struct world_translation {
	struct fake_translation t12, t01; /* t01 if t12 is mapped */
	bool mapped;                      /* both are */
	u64 address00;
	u8 rights;
};
struct world_translation world_translate(struct world *world, unsigned context, u64 address20);

/* What L0 has to answer to an access. */
enum ept02_fill world_verdict(const struct world_translation *t, u8 access);

#endif
