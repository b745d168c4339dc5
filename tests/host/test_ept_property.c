/*
 * For random tables: translating through EPT02, filled on demand, is translating through EPT12 and
 * EPT01, with rights intersected; as long as each change is followed by the invalidation that is due.
 */
#include <stdio.h>

#include "ept_merge/ept_compose.h"
#include "ept_world.h"
#include "host_test.h"

#define ROUNDS 60
#define STEPS 2000
#define SLOTS 3
#define POOL02_BASE BIT(35)
#define PAGE_SIZES 3

struct property_test {
	struct world world;
	struct fake_pool pool02;
	struct ept02 slots[SLOTS];
	struct ept02_cache cache;
};

/* What has been seen at all: a test of nothing would pass as well. */
struct seen {
	unsigned fill[EPT02_DENIED01 + 1];
	unsigned sizes[PAGE_SIZES][PAGE_SIZES];
	unsigned hits, evictions, write_after_read;
};

static void test_init(struct property_test *test, u64 seed)
{
	unsigned room = EPT_LEVELS - 1 + seed % 32;
	u8 max_level = 1 + seed / 32 % 3;

	world_init(&test->world, seed);
	fake_pool_init(&test->pool02, POOL02_BASE, SLOTS + room);
	assert_true(ept02_cache_init(&test->cache, test->slots, SLOTS, &test->pool02.pages, max_level));
	for (unsigned i = 0; i < 120; i++) {
		world_change01(&test->world);
		world_change12(&test->world, i % WORLD_CONTEXTS);
	}
}

static void test_end(struct property_test *test, struct seen *seen)
{
	seen->evictions += test->cache.evictions;
	ept02_drop_all(&test->cache);
	assert_int_equal(test->pool02.in_use, SLOTS);
	fake_pool_free(&test->pool02);
	world_free(&test->world);
}

static struct fake_translation translate02(struct property_test *test, unsigned context, u64 address20)
{
	const struct ept02 *ept02 = ept02_get(&test->cache, test->world.eptp12[context], EPT02_NO_SUB_PAGES);
	struct fake_translation t =
		fake_translate(&test->pool02, ept02->root, address20, &test->world.features01);

	assert_int_not_equal(t.status, FAKE_BAD);
	return t;
}

static bool tracks_dirty(const struct property_test *test, unsigned context)
{
	return test->world.eptp12[context] & EPTP_ACCESSED_DIRTY;
}

/* Where EPT02 maps a page, it says what the two say; but a page that is clean in EPT12 is not writable. */
static void check_agreement(struct property_test *test, unsigned context, u64 address20)
{
	struct fake_translation t02 = translate02(test, context, address20);
	struct world_translation t = world_translate(&test->world, context, address20);

	if (t02.status == FAKE_ABSENT)
		return;
	assert_true(t.mapped);
	assert_int_equal(t02.address, t.address00);
	assert_true(t02.level <= t.t12.level && t02.level <= t.t01.level);
	assert_true(t02.level <= test->cache.max_level);
	assert_int_equal(t02.memory_type, ept_combine_memory_types(t.t12.memory_type, t.t01.memory_type));
	assert_int_equal(t02.ignore_pat, t.t12.ignore_pat || t.t01.ignore_pat);
	if (!tracks_dirty(test, context)) {
		assert_int_equal(t02.rights, t.rights);
		return;
	}
	assert_int_equal(t02.rights | EPT_WRITE, t.rights | EPT_WRITE);
	if (t02.rights & EPT_WRITE)
		assert_true((t.rights & EPT_WRITE) && t.t12.dirty);
}

static void check_filled(struct property_test *test, unsigned context, u64 address20, u8 access,
			 const struct ept02_result *result, struct seen *seen)
{
	struct fake_translation t02 = translate02(test, context, address20);
	struct world_translation t = world_translate(&test->world, context, address20);
	unsigned level = t.t12.level < t.t01.level ? t.t12.level : t.t01.level;

	assert_int_equal(t02.status, FAKE_MAPPED);
	assert_int_equal(access & ~t02.rights, 0);
	assert_int_equal(t02.level, level < test->cache.max_level ? level : test->cache.max_level);
	assert_int_equal(t02.level, result->leaf.level);
	if (!tracks_dirty(test, context) || t.t12.dirty)
		assert_int_equal(t02.rights, t.rights);
	seen->sizes[t.t12.level - 1][t.t01.level - 1]++;
}

static void check_flags(struct property_test *test, unsigned context, u64 address20, u8 access)
{
	struct world_translation t = world_translate(&test->world, context, address20);

	assert_true(t.t12.accessed);
	if (access & EPT_WRITE)
		assert_true(t.t12.dirty);
}

/* L2 touches an address, with L0 behind it. */
static void touch(struct property_test *test, unsigned context, struct seen *seen)
{
	struct world *world = &test->world;
	u64 address20 = world_random_address(world), eptp12 = world->eptp12[context];
	u8 access = world_random_access(world);
	struct fake_translation t02 = translate02(test, context, address20);
	struct world_translation t = world_translate(world, context, address20);
	enum ept02_fill verdict = world_verdict(&t, access);
	struct ept02_result result = { .fill = EPT02_FILLED };

	if (t02.status == FAKE_MAPPED && !(access & ~t02.rights)) {
		seen->hits++;
	} else {
		if (t02.status == FAKE_MAPPED && access == EPT_WRITE && verdict == EPT02_FILLED)
			seen->write_after_read++;
		result = ept02_fill(&test->cache, ept02_get(&test->cache, eptp12, EPT02_NO_SUB_PAGES), eptp12,
				    address20, access, &world->features12, &world->memory12, &world->view01);
		seen->fill[result.fill]++;
		if (result.fill == EPT02_FILLED)
			check_filled(test, context, address20, access, &result, seen);
		if (result.fill != EPT02_MISCONFIGURED12)
			assert_int_equal(result.rights12, t.t12.rights);
		if (result.fill == EPT02_DENIED01)
			assert_int_equal(result.address10, t.t12.address);
	}
	assert_int_equal(result.fill, verdict);
	if (verdict == EPT02_FILLED && tracks_dirty(test, context))
		check_flags(test, context, address20, access);
}

static void change(struct property_test *test)
{
	unsigned context = host_random_below(&test->world.random, WORLD_CONTEXTS);

	if (host_random_percent(&test->world.random, 30)) {
		world_change01(&test->world);
		ept02_drop_all(&test->cache);
	} else {
		world_change12(&test->world, context);
		ept02_drop(&test->cache, test->world.eptp12[context]);
	}
}

static void run_round(u64 seed, struct seen *seen)
{
	struct property_test test;
	unsigned context = 0;

	test_init(&test, seed);
	for (unsigned step = 0; step < STEPS; step++) {
		if (host_random_percent(&test.world.random, 10))
			context = host_random_below(&test.world.random, WORLD_CONTEXTS);
		if (host_random_percent(&test.world.random, 3))
			change(&test);
		touch(&test, context, seen);
		for (unsigned i = 0; i < WORLD_PAGES; i++)
			check_agreement(&test, context, world_page(i) | (step & (PAGE_SIZE - 1)));
	}
	test_end(&test, seen);
}

static void ept02_translates_as_ept12_and_ept01_do(void **state)
{
	struct seen seen = { 0 };
	u64 random = host_seed();

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++)
		run_round(host_random(&random), &seen);
	printf("# hits %u, fills %u, violations %u, misconfigurations %u, denials %u, evictions %u\n",
	       seen.hits, seen.fill[EPT02_FILLED], seen.fill[EPT02_VIOLATION12],
	       seen.fill[EPT02_MISCONFIGURED12], seen.fill[EPT02_DENIED01], seen.evictions);
	for (unsigned i = 0; i <= EPT02_DENIED01; i++)
		assert_int_not_equal(seen.fill[i], 0);
	for (unsigned i = 0; i < PAGE_SIZES * PAGE_SIZES; i++)
		assert_int_not_equal(seen.sizes[i / PAGE_SIZES][i % PAGE_SIZES], 0);
	assert_int_not_equal(seen.hits, 0);
	assert_int_not_equal(seen.evictions, 0);
	assert_int_not_equal(seen.write_after_read, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ept02_translates_as_ept12_and_ept01_do),
	};

	return cmocka_run_group_tests_name("ept_property", tests, NULL, NULL);
}
