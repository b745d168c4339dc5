#include <stdlib.h>
#include <string.h>

#include "ept_fake.h"
#include "host_test.h"

#define POISON 0xa5 /* in every byte of a page not in use: present, and nothing sane */

static u64 pool_allocate(void *context)
{
	struct fake_pool *pool = context;

	for (unsigned i = 0; i < pool->count; i++) {
		if (pool->used[i])
			continue;
		pool->used[i] = true;
		pool->in_use++;
		memset(pool->page[i], 0, sizeof(pool->page[i]));
		return pool->base + i * PAGE_SIZE;
	}
	return 0;
}

static u64 *pool_entries(void *context, u64 address)
{
	struct fake_pool *pool = context;

	if (!fake_pool_has(pool, address) || !IS_ALIGNED(address, PAGE_SIZE))
		fail_msg("no table page in use at %#llx", (unsigned long long)address);
	return pool->page[(address - pool->base) / PAGE_SIZE];
}

static void pool_release(void *context, u64 address)
{
	struct fake_pool *pool = context;

	memset(pool_entries(pool, address), POISON, PAGE_SIZE);
	pool->used[(address - pool->base) / PAGE_SIZE] = false;
	pool->in_use--;
}

void fake_pool_init(struct fake_pool *pool, u64 base, unsigned count)
{
	*pool = (struct fake_pool){
		.base = base,
		.count = count,
		.page = malloc(count * sizeof(pool->page[0])),
		.used = calloc(count, sizeof(pool->used[0])),
		.pages = { pool, pool_allocate, pool_release, pool_entries },
	};
	assert_non_null(pool->page);
	assert_non_null(pool->used);
	memset(pool->page, POISON, count * sizeof(pool->page[0]));
}

void fake_pool_free(struct fake_pool *pool)
{
	free(pool->page);
	free(pool->used);
}

bool fake_pool_has(const struct fake_pool *pool, u64 address)
{
	return address >= pool->base && address < pool->base + pool->count * PAGE_SIZE &&
	       pool->used[(address - pool->base) / PAGE_SIZE];
}

u64 fake_pool_allocate(struct fake_pool *pool)
{
	u64 address = pool_allocate(pool);

	assert_int_not_equal(address, 0);
	return address;
}

u64 *fake_pool_entries(struct fake_pool *pool, u64 address)
{
	return pool_entries(pool, address);
}

static const u64 *memory_entry(void *context, u64 address)
{
	struct fake_pool *pool = context;

	assert_true(IS_ALIGNED(address, sizeof(u64)));
	if (!fake_pool_has(pool, address))
		return NULL;
	return &pool->page[(address - pool->base) / PAGE_SIZE][address % PAGE_SIZE / sizeof(u64)];
}

static bool memory_set_bits(void *context, u64 address, u64 bits)
{
	struct fake_pool *pool = context;

	assert_true(IS_ALIGNED(address, sizeof(u64)));
	if (!fake_pool_has(pool, address))
		return false;
	pool->page[(address - pool->base) / PAGE_SIZE][address % PAGE_SIZE / sizeof(u64)] |= bits;
	return true;
}

struct ept_memory fake_memory(struct fake_pool *pool)
{
	return (struct ept_memory){ .context = pool, .entry = memory_entry, .set_bits = memory_set_bits };
}

static unsigned index_at(u64 address, unsigned level)
{
	return address >> (12 + 9 * (level - 1)) & 511;
}

/* Does an entry lead to a table in the pool? */
static bool leads_on(const struct fake_pool *pool, u64 entry, unsigned level)
{
	return level > 1 && (entry & 7) && (level == 4 || !(entry & 0x80)) &&
	       fake_pool_has(pool, entry & 0xffffffffff000);
}

static void release_below(struct fake_pool *pool, u64 entry, unsigned level)
{
	u64 *table;

	if (!leads_on(pool, entry, level))
		return;
	table = pool_entries(pool, entry & 0xffffffffff000);
	for (unsigned i = 0; i < 512; i++)
		release_below(pool, table[i], level - 1);
	pool_release(pool, entry & 0xffffffffff000);
}

void fake_write_entry(struct fake_pool *pool, u64 root, u64 address, unsigned level, u64 entry)
{
	u64 *at = &pool_entries(pool, root)[index_at(address, 4)];

	for (unsigned above = 4; above > level; above--) {
		if (!leads_on(pool, *at, above))
			*at = fake_pool_allocate(pool) | 7;
		at = &pool_entries(pool, *at & 0xffffffffff000)[index_at(address, above - 1)];
	}
	if (!leads_on(pool, entry, level) || (entry ^ *at) & 0xffffffffff000)
		release_below(pool, *at, level);
	*at = entry;
}

u64 *fake_entry(struct fake_pool *pool, u64 root, u64 address, unsigned level)
{
	u64 *at = &pool_entries(pool, root)[index_at(address, 4)];

	for (unsigned above = 4; above > level; above--) {
		if (!leads_on(pool, *at, above))
			return NULL;
		at = &pool_entries(pool, *at & 0xffffffffff000)[index_at(address, above - 1)];
	}
	return at;
}

/* The bits that must be 0, out of the SDM's tables of formats: PML4E; PDPTE, PDE, PTE as page or table. */
static u64 must_be_zero(unsigned level, bool page)
{
	switch (level) {
	case 4:
		return 0xf8;
	case 3:
		return page ? 0x3ffff000 : 0x78;
	case 2:
		return page ? 0x1ff000 : 0x78;
	default:
		return 0;
	}
}

static bool entry_bad(u64 entry, unsigned level, bool page, const struct ept_features *features)
{
	unsigned type = entry >> 3 & 7;

	if ((entry & 3) == 2 || ((entry & 7) == 4 && !features->execute_only))
		return true;
	if (entry & must_be_zero(level, page))
		return true;
	if ((entry & 0xfffffffffffff) >= 1ull << features->maxphyaddr)
		return true;
	if (!page)
		return false;
	if ((level == 3 && !features->page1g) || (level == 2 && !features->page2m))
		return true;
	return type == 2 || type == 3 || type == 7;
}

struct fake_translation fake_translate(struct fake_pool *pool, u64 root, u64 address,
				       const struct ept_features *features)
{
	struct fake_translation t = { .status = FAKE_BAD, .rights = 7, .level = 4, .accessed = true };
	u64 table = root, entry, within;

	for (;; t.level--) {
		bool page;

		if (!fake_pool_has(pool, table))
			return t;
		entry = pool_entries(pool, table)[index_at(address, t.level)];
		t.rights &= entry & 7;
		if ((entry & 7) == 0) {
			t.status = FAKE_ABSENT;
			return t;
		}
		page = t.level == 1 || (t.level < 4 && (entry & 0x80));
		if (entry_bad(entry, t.level, page, features))
			return t;
		t.accessed = t.accessed && (entry & 0x100);
		if (page)
			break;
		table = entry & 0xffffffffff000;
	}
	within = (1ull << (12 + 9 * (t.level - 1))) - 1;
	t.status = FAKE_MAPPED;
	t.address = (entry & 0xffffffffff000 & ~within) + (address & within);
	t.memory_type = entry >> 3 & 7;
	t.ignore_pat = entry & 0x40;
	t.dirty = entry & 0x200;
	return t;
}
