#include "ept_fake.h"
#include "ept_merge/ept02.h"
#include "host_test.h"

#define SLOTS 4
#define POOL02_BASE 0x700000ull
#define POOL12_BASE 0x4000000ull
#define NOWHERE 0x9000000ull
#define WB ((u64)MEMORY_WB << EPT_MEMORY_TYPE_SHIFT)
#define RX (EPT_READ | EPT_EXECUTE)
#define ADDRESS20 0x40203000ull
#define ADDRESS10 0x5000ull
#define OFFSET01 GIB(64) /* where L1's memory lies in the host's */
#define PAGES_FOR_ONE (EPT_LEVELS - 1)

struct cache_test {
	struct fake_pool pool02, pool12;
	struct ept02 slots[SLOTS];
	struct ept02_cache cache;
	struct ept_features features;
	struct ept_memory memory12;
	struct ept_leaf leaf01; /* what EPT01 has everywhere, its address aside */
	struct ept01_view view01;
	u64 eptp12;
};

static bool lookup01(void *context, u64 address10, struct ept_leaf *leaf)
{
	const struct cache_test *test = context;

	*leaf = test->leaf01;
	leaf->address = ALIGN_DOWN(address10, EPT_LEVEL_SIZE(leaf->level)) + OFFSET01;
	return leaf->rights;
}

static u64 new_eptp12(struct cache_test *test)
{
	return fake_pool_allocate(&test->pool12) | MEMORY_WB | 3 << EPTP_WALK_LENGTH_SHIFT;
}

static int setup_with(void **state, unsigned pool_pages)
{
	static struct cache_test test;

	fake_pool_init(&test.pool02, POOL02_BASE, pool_pages);
	fake_pool_init(&test.pool12, POOL12_BASE, 64);
	test.features = (struct ept_features){ 40, true, true, true, true };
	test.memory12 = fake_memory(&test.pool12);
	test.leaf01 = (struct ept_leaf){ .level = 3, .rights = EPT_RWX, .memory_type = MEMORY_WB };
	test.view01 = (struct ept01_view){ &test, lookup01 };
	test.eptp12 = new_eptp12(&test);
	assert_true(ept02_cache_init(&test.cache, test.slots, SLOTS, &test.pool02.pages, 3));
	*state = &test;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 64);
}

static int setup_tight(void **state)
{
	return setup_with(state, SLOTS + PAGES_FOR_ONE);
}

static int teardown(void **state)
{
	struct cache_test *test = *state;

	fake_pool_free(&test->pool02);
	fake_pool_free(&test->pool12);
	return 0;
}

static void map12(struct cache_test *test, u64 eptp12, u64 address20, unsigned level, u64 entry)
{
	fake_write_entry(&test->pool12, eptp12 & EPTP_ADDRESS, address20, level, entry);
}

static struct ept02_result fill(struct cache_test *test, u64 eptp12, u64 address20, u8 access)
{
	return ept02_fill(&test->cache, ept02_get(&test->cache, eptp12, EPT02_NO_SUB_PAGES), eptp12, address20, access,
			  &test->features, &test->memory12, &test->view01);
}

static struct fake_translation translate02(struct cache_test *test, u64 eptp12, u64 address20)
{
	const struct ept02 *ept02 = ept02_get(&test->cache, eptp12, EPT02_NO_SUB_PAGES);

	return fake_translate(&test->pool02, ept02->root, address20, &test->features);
}

static void the_key_is_address_walk_length_and_flags(void **state)
{
	(void)state;
	assert_int_equal(ept02_key(0x12345678901e), 0x123456789018);
	assert_int_equal(ept02_key(0x12345678905e), 0x123456789058);
	assert_int_equal(ept02_key(~0ull), EPTP_ADDRESS | EPTP_ACCESSED_DIRTY | EPTP_WALK_LENGTH);
}

static void a_pool_without_room_for_the_roots_is_refused(void **state)
{
	struct cache_test *test = *state;
	struct ept02 slots[SLOTS];
	struct ept02_cache cache;
	struct fake_pool small;

	fake_pool_init(&small, POOL02_BASE, SLOTS - 1);
	assert_false(ept02_cache_init(&cache, slots, SLOTS, &small.pages, 3));
	assert_int_equal(small.in_use, 0);
	fake_pool_free(&small);
	assert_int_equal(test->pool02.in_use, SLOTS);
}

static void each_eptp12_keeps_its_tables(void **state)
{
	struct cache_test *test = *state;
	u64 other = new_eptp12(test);
	struct ept02 *first = ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES);
	struct ept02 *second = ept02_get(&test->cache, other, EPT02_NO_SUB_PAGES);

	assert_ptr_not_equal(first, second);
	assert_ptr_equal(ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES), first);
	assert_ptr_equal(ept02_get(&test->cache, other, EPT02_NO_SUB_PAGES), second);
	/* The memory type of EPT12's own tables makes no difference, the flags do. */
	assert_ptr_equal(ept02_get(&test->cache, other & ~EPTP_MEMORY_TYPE, EPT02_NO_SUB_PAGES), second);
	assert_ptr_not_equal(ept02_get(&test->cache, other | EPTP_ACCESSED_DIRTY, EPT02_NO_SUB_PAGES), second);
}

static void the_least_recently_used_slot_is_taken(void **state)
{
	struct cache_test *test = *state;
	u64 eptp12[SLOTS + 1];
	struct ept02 *slot[SLOTS];

	for (unsigned i = 0; i <= SLOTS; i++) {
		eptp12[i] = new_eptp12(test);
		map12(test, eptp12[i], ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		slot[i] = ept02_get(&test->cache, eptp12[i], EPT02_NO_SUB_PAGES);
		assert_int_equal(fill(test, eptp12[i], ADDRESS20, EPT_READ).fill, EPT02_FILLED);
		assert_false(slot[i]->invalidate);
	}
	ept02_get(&test->cache, eptp12[0], EPT02_NO_SUB_PAGES);
	assert_ptr_equal(ept02_get(&test->cache, eptp12[SLOTS], EPT02_NO_SUB_PAGES), slot[1]);
	assert_true(slot[1]->invalidate);
	assert_int_equal(test->cache.evictions, 1);
	assert_int_equal(translate02(test, eptp12[SLOTS], ADDRESS20).status, FAKE_ABSENT);
	assert_int_equal(translate02(test, eptp12[0], ADDRESS20).status, FAKE_MAPPED);
	assert_int_equal(test->pool02.in_use, SLOTS + (SLOTS - 1) * PAGES_FOR_ONE);
}

static void the_eptp_of_02_follows_that_of_12(void **state)
{
	struct cache_test *test = *state;
	struct ept02 *ept02 = ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES);

	assert_int_equal(ept02_eptp(ept02), ept02->root | 0x1e);
	ept02 = ept02_get(&test->cache, test->eptp12 | EPTP_ACCESSED_DIRTY, EPT02_NO_SUB_PAGES);
	assert_int_equal(ept02_eptp(ept02), ept02->root | 0x5e);
	assert_true(eptp_valid(ept02_eptp(ept02), EPT_CAP_WB | EPT_CAP_WALK_4 | EPT_CAP_ACCESSED_DIRTY, 40));
}

static void a_fill_maps_what_both_allow(void **state)
{
	struct cache_test *test = *state;
	struct ept02_result r;
	struct fake_translation t;

	map12(test, test->eptp12, ADDRESS20, 2, MIB(6) | RX | WB | EPT_LARGE);
	r = fill(test, test->eptp12, ADDRESS20, EPT_EXECUTE);
	assert_int_equal(r.fill, EPT02_FILLED);
	assert_int_equal(r.rights12, RX);
	assert_int_equal(r.address10, MIB(6) + ADDRESS20 % MIB(2));
	assert_int_equal(r.leaf.level, 2);
	assert_int_equal(r.leaf.address, MIB(6) + OFFSET01);
	t = translate02(test, test->eptp12, ADDRESS20);
	assert_int_equal(t.status, FAKE_MAPPED);
	assert_int_equal(t.address, OFFSET01 + r.address10);
	assert_int_equal(t.rights, RX);
	assert_int_equal(test->cache.fills, 1);
}

static void what_ept12_forbids_is_l1s(void **state)
{
	struct cache_test *test = *state;
	struct ept02_result r = fill(test, test->eptp12, ADDRESS20, EPT_READ);

	assert_int_equal(r.fill, EPT02_VIOLATION12);
	assert_int_equal(r.rights12, 0);
	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | RX | WB);
	r = fill(test, test->eptp12, ADDRESS20, EPT_WRITE);
	assert_int_equal(r.fill, EPT02_VIOLATION12);
	assert_int_equal(r.rights12, RX);
	assert_int_equal(test->cache.fills, 0);
	assert_int_equal(test->pool02.in_use, SLOTS);
}

static void malformed_and_absent_tables_are_misconfigurations(void **state)
{
	struct cache_test *test = *state;

	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | EPT_WRITE | WB);
	assert_int_equal(fill(test, test->eptp12, ADDRESS20, EPT_READ).fill, EPT02_MISCONFIGURED12);
	map12(test, test->eptp12, ADDRESS20, 3, NOWHERE | EPT_RWX);
	assert_int_equal(fill(test, test->eptp12, ADDRESS20, EPT_READ).fill, EPT02_MISCONFIGURED12);
}

static void what_ept01_denies_is_told_with_its_address(void **state)
{
	struct cache_test *test = *state;
	struct ept02_result r;

	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	test->leaf01.rights = EPT_READ;
	r = fill(test, test->eptp12, ADDRESS20 + 0x123, EPT_WRITE);
	assert_int_equal(r.fill, EPT02_DENIED01);
	assert_int_equal(r.address10, ADDRESS10 + 0x123);
	test->leaf01.rights = 0; /* nothing at all */
	assert_int_equal(fill(test, test->eptp12, ADDRESS20, EPT_READ).fill, EPT02_DENIED01);
	assert_int_equal(test->pool02.in_use, SLOTS);
}

static void drop_goes_by_the_address_of_the_tables(void **state)
{
	struct cache_test *test = *state;
	u64 with_flags = test->eptp12 | EPTP_ACCESSED_DIRTY, other = new_eptp12(test);

	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	map12(test, other, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	fill(test, test->eptp12, ADDRESS20, EPT_READ);
	fill(test, with_flags, ADDRESS20, EPT_READ);
	fill(test, other, ADDRESS20, EPT_READ);
	ept02_drop(&test->cache, test->eptp12);
	assert_int_equal(translate02(test, test->eptp12, ADDRESS20).status, FAKE_ABSENT);
	assert_int_equal(translate02(test, with_flags, ADDRESS20).status, FAKE_ABSENT);
	assert_int_equal(translate02(test, other, ADDRESS20).status, FAKE_MAPPED);
	assert_true(ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES)->invalidate);
	assert_true(ept02_get(&test->cache, with_flags, EPT02_NO_SUB_PAGES)->invalidate);
	assert_false(ept02_get(&test->cache, other, EPT02_NO_SUB_PAGES)->invalidate);
	assert_int_equal(test->cache.drops, 2);
	ept02_drop_all(&test->cache);
	assert_int_equal(translate02(test, other, ADDRESS20).status, FAKE_ABSENT);
	assert_int_equal(test->cache.drops, 3);
	assert_int_equal(test->cache.evictions, 0);
	assert_int_equal(test->pool02.in_use, SLOTS);
}

/* Few pages: they are told, and gone, whatever has become of a larger page among them; their tables stay. */
static void what_is_outdated_is_emptied_and_told(void **state)
{
	struct cache_test *test = *state;
	struct ept02 *ept02 = ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES);
	u64 fills[EPT02_FILLS];

	ept02_outdate(&test->cache, test->eptp12);
	assert_false(ept02->outdated); /* there is nothing */
	map12(test, test->eptp12, ADDRESS20, 2, MIB(2) | EPT_RWX | WB | EPT_LARGE);
	assert_int_equal(fill(test, test->eptp12, ADDRESS20, EPT_READ).leaf.level, 2);
	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	assert_int_equal(fill(test, test->eptp12, ADDRESS20, EPT_WRITE).leaf.level, 1);
	assert_int_equal(translate02(test, test->eptp12, ADDRESS20 ^ PAGE_SIZE).status, FAKE_MAPPED);
	ept02_outdate(&test->cache, test->eptp12);
	assert_true(ept02->outdated && ept02->invalidate);
	assert_int_equal(ept02_empty(&test->cache, ept02, fills), 2);
	assert_false(ept02->outdated);
	assert_int_equal(EPT02_FILL_ADDRESS(fills[1]), ALIGN_DOWN(ADDRESS20, PAGE_SIZE));
	assert_int_equal(EPT02_FILL_ACCESS(fills[0]), EPT_READ);
	assert_int_equal(EPT02_FILL_ACCESS(fills[1]), EPT_WRITE);
	assert_int_equal(EPT02_FILL_LEVEL(fills[0]), 2);
	assert_int_equal(EPT02_FILL_LEVEL(fills[1]), 1);
	assert_int_equal(translate02(test, test->eptp12, ADDRESS20).status, FAKE_ABSENT);
	assert_int_equal(translate02(test, test->eptp12, ADDRESS20 ^ PAGE_SIZE).status, FAKE_ABSENT);
	assert_true(test->pool02.in_use > SLOTS);
	assert_int_equal(test->cache.drops, 1);
}

static void of_many_pages_all_tables_go(void **state)
{
	struct cache_test *test = *state;
	struct ept02 *ept02 = ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES);
	u64 fills[EPT02_FILLS], start = ALIGN_DOWN(ADDRESS20, MIB(2));

	for (u64 i = 0; i <= EPT02_FILLS; i++) {
		map12(test, test->eptp12, start + i * PAGE_SIZE, 1, ADDRESS10 | EPT_RWX | WB);
		fill(test, test->eptp12, start + i * PAGE_SIZE, EPT_READ);
	}
	ept02_outdate_all(&test->cache);
	assert_int_equal(ept02_empty(&test->cache, ept02, fills), 0);
	assert_false(ept02->outdated);
	assert_int_equal(translate02(test, test->eptp12, start).status, FAKE_ABSENT);
	assert_int_equal(test->pool02.in_use, SLOTS);
	assert_int_equal(test->cache.drops, 1);
}

static void the_first_write_to_a_clean_page_exits(void **state)
{
	struct cache_test *test = *state;
	u64 eptp12 = test->eptp12 | EPTP_ACCESSED_DIRTY;
	const u64 *leaf12;

	map12(test, eptp12, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	leaf12 = fake_entry(&test->pool12, eptp12 & EPTP_ADDRESS, ADDRESS20, 1);
	fill(test, eptp12, ADDRESS20, EPT_READ);
	assert_int_equal(translate02(test, eptp12, ADDRESS20).rights, RX);
	assert_int_equal(*leaf12 & (EPT_ACCESSED | EPT_DIRTY), EPT_ACCESSED);
	fill(test, eptp12, ADDRESS20, EPT_WRITE);
	assert_int_equal(translate02(test, eptp12, ADDRESS20).rights, EPT_RWX);
	assert_int_equal(*leaf12 & (EPT_ACCESSED | EPT_DIRTY), EPT_ACCESSED | EPT_DIRTY);
	ept02_drop(&test->cache, eptp12);
	fill(test, eptp12, ADDRESS20, EPT_READ);
	assert_int_equal(translate02(test, eptp12, ADDRESS20).rights, EPT_RWX);
}

/* Raising the rights of one page needs no INVEPT, as the violation has dropped what was cached for it. */
static void only_a_released_table_asks_for_invept(void **state)
{
	struct cache_test *test = *state;
	struct ept02 *ept02 = ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES);

	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | EPT_READ | WB);
	fill(test, test->eptp12, ADDRESS20, EPT_READ);
	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	fill(test, test->eptp12, ADDRESS20, EPT_WRITE);
	assert_false(ept02->invalidate);
	map12(test, test->eptp12, ADDRESS20, 2, MIB(2) | EPT_RWX | WB | EPT_LARGE);
	assert_int_equal(fill(test, test->eptp12, ADDRESS20, EPT_WRITE).leaf.level, 2);
	assert_true(ept02->invalidate);
}

/* A pool that holds the tables of one page and no more. */
static void a_full_pool_drops_the_others_first(void **state)
{
	struct cache_test *test = *state;
	u64 other = new_eptp12(test);

	map12(test, test->eptp12, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	map12(test, test->eptp12, ADDRESS20 + MIB(2), 1, ADDRESS10 | EPT_RWX | WB);
	map12(test, other, ADDRESS20, 1, ADDRESS10 | EPT_RWX | WB);
	fill(test, other, ADDRESS20, EPT_READ);
	assert_int_equal(fill(test, test->eptp12, ADDRESS20, EPT_READ).fill, EPT02_FILLED);
	assert_int_equal(translate02(test, other, ADDRESS20).status, FAKE_ABSENT);
	assert_int_equal(translate02(test, test->eptp12, ADDRESS20).status, FAKE_MAPPED);
	assert_true(ept02_get(&test->cache, other, EPT02_NO_SUB_PAGES)->invalidate);
	assert_false(ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES)->invalidate);
	assert_int_equal(test->cache.evictions, 1);

	assert_int_equal(fill(test, test->eptp12, ADDRESS20 + MIB(2), EPT_READ).fill, EPT02_FILLED);
	assert_int_equal(translate02(test, test->eptp12, ADDRESS20).status, FAKE_ABSENT);
	assert_int_equal(translate02(test, test->eptp12, ADDRESS20 + MIB(2)).status, FAKE_MAPPED);
	assert_true(ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES)->invalidate);
	assert_int_equal(test->cache.evictions, 2);
	ept02_drop_all(&test->cache);
	assert_int_equal(test->pool02.in_use, SLOTS);
}

static void a_full_pool_drops_the_least_recently_used_first(void **state)
{
	struct cache_test *test = *state;
	u64 eptp12[SLOTS], mine;
	struct ept02 *ept02;

	for (unsigned i = 0; i < SLOTS; i++) {
		eptp12[i] = new_eptp12(test);
		map12(test, eptp12[i], 0, 3, EPT_RWX | WB | EPT_LARGE);
		assert_int_equal(fill(test, eptp12[i], 0, EPT_READ).leaf.level, 3);
	}
	while (test->pool02.in_use < test->pool02.count)
		fake_pool_allocate(&test->pool02);
	mine = eptp12[SLOTS - 1];
	map12(test, mine, GIB(1), 2, EPT_RWX | WB | EPT_LARGE);
	map12(test, mine, GIB(2), 2, EPT_RWX | WB | EPT_LARGE);

	ept02_get(&test->cache, eptp12[0], EPT02_NO_SUB_PAGES);
	fill(test, mine, GIB(1), EPT_READ); /* wants one page */
	assert_int_equal(test->cache.evictions, 1);
	assert_int_equal(translate02(test, eptp12[1], 0).status, FAKE_ABSENT);

	/* Not even when it was used before all others do its own tables go. */
	ept02 = ept02_get(&test->cache, mine, EPT02_NO_SUB_PAGES);
	assert_int_equal(translate02(test, eptp12[2], 0).status, FAKE_MAPPED);
	assert_int_equal(translate02(test, eptp12[0], 0).status, FAKE_MAPPED);
	ept02_fill(&test->cache, ept02, mine, GIB(2), EPT_READ, &test->features, &test->memory12,
		   &test->view01);
	assert_int_equal(test->cache.evictions, 2);
	assert_int_equal(translate02(test, eptp12[2], 0).status, FAKE_ABSENT);
	assert_int_equal(translate02(test, eptp12[0], 0).status, FAKE_MAPPED);
	assert_int_equal(translate02(test, mine, 0).status, FAKE_MAPPED);
	assert_int_equal(translate02(test, mine, GIB(2)).status, FAKE_MAPPED);
}

#define CACHE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CACHE_TEST(the_key_is_address_walk_length_and_flags),
		CACHE_TEST(a_pool_without_room_for_the_roots_is_refused),
		CACHE_TEST(each_eptp12_keeps_its_tables),
		CACHE_TEST(the_least_recently_used_slot_is_taken),
		CACHE_TEST(the_eptp_of_02_follows_that_of_12),
		CACHE_TEST(a_fill_maps_what_both_allow),
		CACHE_TEST(what_ept12_forbids_is_l1s),
		CACHE_TEST(malformed_and_absent_tables_are_misconfigurations),
		CACHE_TEST(what_ept01_denies_is_told_with_its_address),
		CACHE_TEST(drop_goes_by_the_address_of_the_tables),
		CACHE_TEST(what_is_outdated_is_emptied_and_told),
		CACHE_TEST(of_many_pages_all_tables_go),
		CACHE_TEST(the_first_write_to_a_clean_page_exits),
		CACHE_TEST(only_a_released_table_asks_for_invept),
		cmocka_unit_test_setup_teardown(a_full_pool_drops_the_others_first, setup_tight, teardown),
		CACHE_TEST(a_full_pool_drops_the_least_recently_used_first),
	};

	return cmocka_run_group_tests_name("ept02", tests, NULL, NULL);
}
