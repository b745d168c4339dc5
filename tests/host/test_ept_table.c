#include "ept_fake.h"
#include "host_test.h"

#define POOL_BASE 0x700000ull
#define POOL_PAGES 24 /* less than the tables of all pages of the model below */
#define BASE (BIT(39) | 3 * GIB(1)) /* aligned for every size */
#define HOST (5 * GIB(1))

static const struct ept_features features = { 46, true, true, true, true };

struct table_test {
	struct fake_pool pool;
	u64 root;
};

static int setup(void **state)
{
	static struct table_test test;

	fake_pool_init(&test.pool, POOL_BASE, POOL_PAGES);
	test.root = fake_pool_allocate(&test.pool);
	*state = &test;
	return 0;
}

static int teardown(void **state)
{
	struct table_test *test = *state;

	fake_pool_free(&test->pool);
	return 0;
}

static enum ept_table_change map(struct table_test *test, u64 address, u64 to, unsigned level, u8 rights)
{
	const struct ept_leaf leaf = { to, level, rights, MEMORY_WB, false, false };

	return ept_table_map(&test->pool.pages, test->root, address, &leaf);
}

static void check_mapped(struct table_test *test, u64 address, u64 to, unsigned level, unsigned rights)
{
	struct fake_translation t = fake_translate(&test->pool, test->root, address, &features);
	struct ept_leaf leaf;

	assert_int_equal(t.status, FAKE_MAPPED);
	assert_int_equal(t.address, to);
	assert_int_equal(t.level, level);
	assert_int_equal(t.rights, rights);
	assert_int_equal(t.memory_type, MEMORY_WB);
	assert_true(ept_table_lookup(&test->pool.pages, test->root, address, &leaf));
	assert_int_equal(leaf.address, ALIGN_DOWN(to, EPT_LEVEL_SIZE(level)));
	assert_int_equal(leaf.level, level);
	assert_int_equal(leaf.rights, rights);
}

static void check_absent(struct table_test *test, u64 address)
{
	struct ept_leaf leaf;

	assert_int_equal(fake_translate(&test->pool, test->root, address, &features).status, FAKE_ABSENT);
	assert_false(ept_table_lookup(&test->pool.pages, test->root, address, &leaf));
}

static void pages_of_each_size_are_mapped_and_unmapped(void **state)
{
	struct table_test *test = *state;

	for (unsigned level = 1; level <= 3; level++) {
		u64 size = EPT_LEVEL_SIZE(level);

		assert_int_equal(map(test, BASE, HOST, level, EPT_RWX),
				 level == 1 ? EPT_TABLE_MAPPED : EPT_TABLE_RELEASED);
		check_mapped(test, BASE, HOST, level, EPT_RWX);
		check_mapped(test, BASE + size - 1, HOST + size - 1, level, EPT_RWX);
		check_absent(test, BASE - 1);
		check_absent(test, BASE + size);
		ept_table_unmap(&test->pool.pages, test->root, BASE + size - 1);
		check_absent(test, BASE);
		ept_table_unmap(&test->pool.pages, test->root, BASE);
		assert_int_equal(map(test, BASE, HOST, 1, EPT_READ), EPT_TABLE_MAPPED);
	}
}

static void a_page_in_the_way_is_replaced(void **state)
{
	struct table_test *test = *state;
	unsigned in_use;

	assert_int_equal(map(test, BASE, HOST, 1, EPT_RWX), EPT_TABLE_MAPPED);
	in_use = test->pool.in_use;
	assert_int_equal(map(test, BASE, HOST + PAGE_SIZE, 1, EPT_READ), EPT_TABLE_MAPPED);
	check_mapped(test, BASE, HOST + PAGE_SIZE, 1, EPT_READ);
	assert_int_equal(test->pool.in_use, in_use);
}

static void a_larger_page_in_the_way_is_split(void **state)
{
	struct table_test *test = *state;

	map(test, BASE, HOST, 3, EPT_READ | EPT_EXECUTE);
	assert_int_equal(map(test, BASE + 5 * PAGE_SIZE, 0x1000, 1, EPT_RWX), EPT_TABLE_MAPPED);
	check_mapped(test, BASE + 5 * PAGE_SIZE, 0x1000, 1, EPT_RWX);
	check_mapped(test, BASE, HOST, 1, EPT_READ | EPT_EXECUTE);
	check_mapped(test, BASE + MIB(2) - 1, HOST + MIB(2) - 1, 1, EPT_READ | EPT_EXECUTE);
	check_mapped(test, BASE + MIB(2), HOST + MIB(2), 2, EPT_READ | EPT_EXECUTE);
	check_mapped(test, BASE + GIB(1) - 1, HOST + GIB(1) - 1, 2, EPT_READ | EPT_EXECUTE);
	check_absent(test, BASE + GIB(1));
	/* Bit 7 names a page at levels 2 and 3 alone. */
	assert_int_equal(*fake_entry(&test->pool, test->root, BASE, 1), HOST | 0x35);
	assert_int_equal(*fake_entry(&test->pool, test->root, BASE + MIB(2), 2), (HOST + MIB(2)) | 0xb5);
}

static void tables_in_the_way_are_released(void **state)
{
	struct table_test *test = *state;

	map(test, BASE, HOST, 1, EPT_RWX);
	map(test, BASE + MIB(2), HOST, 1, EPT_RWX);
	map(test, BASE + MIB(6), HOST, 2, EPT_RWX);
	assert_int_equal(test->pool.in_use, 5); /* root, PDPT, PD, two PTs */
	assert_int_equal(map(test, BASE, HOST, 3, EPT_RWX), EPT_TABLE_RELEASED);
	assert_int_equal(test->pool.in_use, 2);
	check_mapped(test, BASE + MIB(2), HOST + MIB(2), 3, EPT_RWX);
}

static void clear_gives_every_page_back_but_the_root(void **state)
{
	struct table_test *test = *state;

	for (unsigned i = 0; i < 4; i++) {
		map(test, BASE + i * GIB(1), HOST, 1, EPT_RWX);
		map(test, i * BIT(40), HOST, 2, EPT_RWX);
	}
	ept_table_clear(&test->pool.pages, test->root);
	assert_int_equal(test->pool.in_use, 1);
	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		assert_int_equal(fake_pool_entries(&test->pool, test->root)[i], 0);
}

static bool protect(struct table_test *test, u64 address, u8 rights)
{
	return ept_table_protect(&test->pool.pages, test->root, address, rights);
}

static void protect_changes_one_small_page(void **state)
{
	struct table_test *test = *state;
	u64 page = BASE + MIB(4) + 7 * PAGE_SIZE;

	map(test, BASE, HOST, 3, EPT_RWX);
	assert_true(protect(test, page + 123, EPT_READ));
	check_mapped(test, page, HOST + (page - BASE), 1, EPT_READ);
	check_mapped(test, page - 1, HOST + (page - 1 - BASE), 1, EPT_RWX);
	check_mapped(test, page + PAGE_SIZE, HOST + (page + PAGE_SIZE - BASE), 1, EPT_RWX);
	check_mapped(test, BASE, HOST, 2, EPT_RWX);
	assert_true(protect(test, page, EPT_RWX));
	check_mapped(test, page, HOST + (page - BASE), 1, EPT_RWX);
	assert_true(protect(test, page, 0));
	check_absent(test, page);
}

static void protect_leaves_what_is_not_mapped(void **state)
{
	struct table_test *test = *state;

	assert_true(protect(test, BASE, EPT_READ));
	check_absent(test, BASE);
	assert_int_equal(test->pool.in_use, 1);
}

/* With as many pages as are free, then none: the answer is no, and everything else stays as it was. */
static void an_empty_pool_changes_no_translation(void **state)
{
	struct table_test *test = *state;
	u64 page = BASE + MIB(2);

	map(test, BASE, HOST, 3, EPT_RWX);
	for (unsigned spare = 0; spare < 2; spare++) {
		while (test->pool.in_use < POOL_PAGES - (spare ? 0 : 1))
			fake_pool_allocate(&test->pool);
		assert_false(protect(test, page, EPT_READ));
		assert_int_equal(map(test, page, 0x1000, 1, EPT_READ), EPT_TABLE_FULL);
		check_mapped(test, page, HOST + MIB(2), 2, EPT_RWX);
		check_mapped(test, BASE + MIB(8) + 5, HOST + MIB(8) + 5, 2, EPT_RWX);
		assert_int_equal(map(test, 0, 0x1000, 1, EPT_RWX), EPT_TABLE_FULL);
		check_absent(test, 0);
	}
	assert_int_equal(map(test, page, 0, 2, EPT_READ), EPT_TABLE_MAPPED);
	check_mapped(test, page, 0, 2, EPT_READ);
}

/*
 * A model of the tables: what each of a few pages, thinly spread, maps to. Each index is one of the
 * first two or the last of its table.
 */
#define SPREAD 3
#define MODEL_PAGES (SPREAD * SPREAD * SPREAD * SPREAD)

struct model {
	u64 address[MODEL_PAGES], to[MODEL_PAGES];
	u8 rights[MODEL_PAGES]; /* 0 if not mapped */
};

static void model_init(struct model *model)
{
	static const u64 index[SPREAD] = { 0, 1, 511 };

	*model = (struct model){ 0 };
	for (unsigned i = 0; i < MODEL_PAGES; i++) {
		unsigned digits = i;

		for (unsigned level = 1; level <= EPT_LEVELS; level++, digits /= SPREAD)
			model->address[i] |= index[digits % SPREAD] << EPT_LEVEL_SHIFT(level);
	}
}

static void model_map(struct model *model, u64 address, unsigned level, u64 to, u8 rights)
{
	for (unsigned i = 0; i < MODEL_PAGES; i++) {
		u64 offset = model->address[i] - address;

		if (offset < EPT_LEVEL_SIZE(level)) {
			model->to[i] = to + offset;
			model->rights[i] = rights;
		}
	}
}

static void model_check(const struct model *model, struct table_test *test)
{
	for (unsigned i = 0; i < MODEL_PAGES; i++) {
		struct fake_translation t =
			fake_translate(&test->pool, test->root, model->address[i], &features);

		if (!model->rights[i]) {
			assert_int_equal(t.status, FAKE_ABSENT);
			continue;
		}
		assert_int_equal(t.status, FAKE_MAPPED);
		assert_int_equal(t.address, model->to[i]);
		assert_int_equal(t.rights, model->rights[i]);
	}
}

static u8 random_rights(u64 *rng)
{
	return EPT_READ | (host_random(rng) & (EPT_WRITE | EPT_EXECUTE));
}

/* Returns whether the pool had room. */
static bool random_map(struct model *model, struct table_test *test, u64 *rng)
{
	unsigned level = 1 + host_random_below(rng, 3);
	u64 size = EPT_LEVEL_SIZE(level);
	u64 address = ALIGN_DOWN(model->address[host_random_below(rng, MODEL_PAGES)], size);
	u64 to = ALIGN_DOWN(host_random(rng) & BITS(45, 0), size);
	u8 rights = random_rights(rng);

	if (map(test, address, to, level, rights) == EPT_TABLE_FULL)
		return false;
	model_map(model, address, level, to, rights);
	return true;
}

static bool random_protect(struct model *model, struct table_test *test, u64 *rng)
{
	unsigned i = host_random_below(rng, MODEL_PAGES);
	u8 rights = random_rights(rng);

	if (!protect(test, model->address[i], rights))
		return false;
	if (model->rights[i])
		model->rights[i] = rights;
	return true;
}

static void random_unmap(struct model *model, struct table_test *test, u64 *rng)
{
	u64 address = model->address[host_random_below(rng, MODEL_PAGES)];
	struct ept_leaf leaf;

	if (ept_table_lookup(&test->pool.pages, test->root, address, &leaf))
		model_map(model, ALIGN_DOWN(address, EPT_LEVEL_SIZE(leaf.level)), leaf.level, 0, 0);
	ept_table_unmap(&test->pool.pages, test->root, address);
}

static void tables_do_what_a_flat_model_does(void **state)
{
	struct table_test *test = *state;
	unsigned full = 0, done = 0;
	u64 rng = host_seed();
	struct model model;

	for (unsigned round = 0; round < 100; round++) {
		model_init(&model);
		for (unsigned step = 0; step < 200; step++) {
			bool room = true;

			if (host_random_percent(&rng, 50))
				room = random_map(&model, test, &rng);
			else if (host_random_percent(&rng, 50))
				room = random_protect(&model, test, &rng);
			else
				random_unmap(&model, test, &rng);
			*(room ? &done : &full) += 1;
			model_check(&model, test);
		}
		ept_table_clear(&test->pool.pages, test->root);
		assert_int_equal(test->pool.in_use, 1);
	}
	assert_in_range(full, 100, done);
}

#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(pages_of_each_size_are_mapped_and_unmapped),
		TABLE_TEST(a_page_in_the_way_is_replaced),
		TABLE_TEST(a_larger_page_in_the_way_is_split),
		TABLE_TEST(tables_in_the_way_are_released),
		TABLE_TEST(clear_gives_every_page_back_but_the_root),
		TABLE_TEST(protect_changes_one_small_page),
		TABLE_TEST(protect_leaves_what_is_not_mapped),
		TABLE_TEST(an_empty_pool_changes_no_translation),
		TABLE_TEST(tables_do_what_a_flat_model_does),
	};

	return cmocka_run_group_tests_name("ept_table", tests, NULL, NULL);
}
