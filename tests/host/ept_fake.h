/* Fake physical memory for EPT tables, and a walk of them that shares no code with the one under test. */
#ifndef TURTLES_EPT_FAKE_H
#define TURTLES_EPT_FAKE_H

#include "ept_merge/ept_table.h"
#include "ept_merge/ept_walk.h"

/* Table pages at physical addresses from base on. Touching one that is not in use fails the test. */
struct fake_pool {
	u64 base;
	unsigned count, in_use;
	u64 (*page)[EPT_ENTRIES];
	bool *used;
	struct ept_pages pages; /* the pool as L0 has it */
};

void fake_pool_init(struct fake_pool *pool, u64 base, unsigned count);
void fake_pool_free(struct fake_pool *pool);
bool fake_pool_has(const struct fake_pool *pool, u64 address);
/* A page that must be there. */
u64 fake_pool_allocate(struct fake_pool *pool);
u64 *fake_pool_entries(struct fake_pool *pool, u64 address);

/* The pool as an owner's memory, in which there is nothing but the pages in use. */
struct ept_memory fake_memory(struct fake_pool *pool);

/* Write an entry at level as a guest would, with whatever it has; tables above it are made as needed. */
void fake_write_entry(struct fake_pool *pool, u64 root, u64 address, unsigned level, u64 entry);
/* The entry at level for address; NULL where no table leads to it. */
u64 *fake_entry(struct fake_pool *pool, u64 root, u64 address, unsigned level);

enum fake_status { FAKE_MAPPED, FAKE_ABSENT, FAKE_BAD };

struct fake_translation {
	enum fake_status status; /* FAKE_BAD: misconfigured, or read from where nothing is */
	u64 address;
	unsigned rights, level, memory_type;
	bool ignore_pat;
	bool accessed; /* in every entry used */
	bool dirty;
};

/* What the SDM makes of an address, told from the entries' bits. */
struct fake_translation fake_translate(struct fake_pool *pool, u64 root, u64 address,
				       const struct ept_features *features);

#endif
