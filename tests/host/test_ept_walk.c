#include "ept_fake.h"
#include "host_test.h"

#define WB ((u64)MEMORY_WB << EPT_MEMORY_TYPE_SHIFT)
#define RW (EPT_READ | EPT_WRITE)
#define RX (EPT_READ | EPT_EXECUTE)
#define ADDRESS 0x8080604abcull /* index 1 at level 4, 2 at 3, 3 at 2, 4 at 1 */
#define POOL_BASE 0x700000ull
#define NOWHERE 0x900000ull

struct walk_test {
	struct fake_pool pool;
	struct ept_memory memory;
	struct ept_walk_path path;
	struct ept_features features;
	u64 root, eptp;
};

static int setup(void **state)
{
	static struct walk_test test;

	fake_pool_init(&test.pool, POOL_BASE, 8);
	test.memory = fake_memory(&test.pool);
	test.path.eptp = 0;
	test.features = (struct ept_features){ 40, true, true, true, true };
	test.root = fake_pool_allocate(&test.pool);
	test.eptp = test.root | MEMORY_WB | 3 << EPTP_WALK_LENGTH_SHIFT;
	*state = &test;
	return 0;
}

static int teardown(void **state)
{
	struct walk_test *test = *state;

	fake_pool_free(&test->pool);
	return 0;
}

/* By the way of the last walk, and then all the way, which must be the same. */
static struct ept_walk_result walk(struct walk_test *test, u8 access)
{
	struct ept_walk_result r, whole;

	test->memory.path = &test->path;
	r = ept_walk(test->eptp, ADDRESS, access, &test->features, &test->memory);
	test->memory.path = NULL;
	whole = ept_walk(test->eptp, ADDRESS, access, &test->features, &test->memory);
	assert_int_equal(r.status, whole.status);
	assert_int_equal(r.address, whole.address);
	assert_int_equal(r.rights, whole.rights);
	assert_int_equal(r.suppress_ve, whole.suppress_ve);
	assert_int_equal(r.leaf.level, whole.leaf.level);
	return r;
}

static u64 *entry(struct walk_test *test, unsigned level)
{
	return fake_entry(&test->pool, test->root, ADDRESS, level);
}

static void map(struct walk_test *test, unsigned level, u64 value)
{
	fake_write_entry(&test->pool, test->root, ADDRESS, level, value);
}

static void pages_of_each_size_translate(void **state)
{
	for (unsigned level = 1; level <= 3; level++) {
		struct walk_test *test = *state;
		struct ept_walk_result r;

		map(test, level, 0x3440000000ull | RX | WB | EPT_IGNORE_PAT | (level > 1 ? EPT_LARGE : 0));
		r = walk(test, EPT_READ);
		assert_int_equal(r.status, EPT_WALK_OK);
		assert_int_equal(r.address, 0x3440000000ull + ADDRESS % EPT_LEVEL_SIZE(level));
		assert_int_equal(r.leaf.address, 0x3440000000ull);
		assert_int_equal(r.leaf.level, level);
		assert_int_equal(r.leaf.rights, RX);
		assert_int_equal(r.leaf.memory_type, MEMORY_WB);
		assert_true(r.leaf.ignore_pat);
		assert_true(r.dirty);
	}
}

static void rights_of_all_levels_are_intersected(void **state)
{
	struct walk_test *test = *state;

	map(test, 1, 0x5000 | EPT_RWX | WB);
	for (unsigned level = 1; level <= EPT_LEVELS; level++) {
		struct ept_walk_result r;

		*entry(test, level) &= ~EPT_WRITE;
		r = walk(test, EPT_WRITE);
		assert_int_equal(r.status, EPT_WALK_VIOLATION);
		assert_int_equal(r.rights, RX);
		r = walk(test, RX);
		assert_int_equal(r.status, EPT_WALK_OK);
		assert_int_equal(r.rights, RX);
		assert_int_equal(r.leaf.rights, RX);
		*entry(test, level) |= EPT_WRITE;
	}
}

static void each_part_of_an_access_needs_its_right(void **state)
{
	struct walk_test *test = *state;

	for (u8 rights = 1; rights <= EPT_RWX; rights++) {
		if ((rights & RW) == EPT_WRITE)
			continue;
		map(test, 1, 0x5000 | rights | WB);
		for (u8 access = 1; access <= EPT_RWX; access++) {
			enum ept_walk_status expected = access & ~rights ? EPT_WALK_VIOLATION : EPT_WALK_OK;

			assert_int_equal(walk(test, access).status, expected);
			assert_int_equal(walk(test, access).rights, rights);
		}
	}
}

static void what_is_not_present_has_no_rights(void **state)
{
	struct walk_test *test = *state;

	map(test, 1, 0x5000 | EPT_RWX | WB);
	for (unsigned level = 1; level <= EPT_LEVELS; level++) {
		struct ept_walk_result r;
		u64 old = *entry(test, level);

		*entry(test, level) = old & ~EPT_RWX;
		r = walk(test, EPT_READ);
		assert_int_equal(r.status, EPT_WALK_VIOLATION);
		assert_int_equal(r.rights, 0);
		*entry(test, level) = old;
	}
}

static void misconfiguration_is_found_at_each_level(void **state)
{
	struct walk_test *test = *state;

	map(test, 1, 0x5000 | EPT_RWX | WB);
	for (unsigned level = 1; level <= EPT_LEVELS; level++) {
		*entry(test, level) |= BIT(45);
		assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_MISCONFIGURATION);
		*entry(test, level) &= ~BIT(45);
	}
	assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_OK);
}

/* SDM "EPT Violations": only an access whose translation is not misconfigured causes one. */
static void misconfiguration_goes_before_rights(void **state)
{
	struct walk_test *test = *state;

	map(test, 1, 0x5000 | EPT_RWX | WB | BIT(45));
	*entry(test, 4) &= ~EPT_WRITE;
	assert_int_equal(walk(test, EPT_WRITE).status, EPT_WALK_MISCONFIGURATION);
	*entry(test, 2) &= ~EPT_RWX;
	assert_int_equal(walk(test, EPT_WRITE).status, EPT_WALK_VIOLATION);
}

static void tables_outside_memory_are_told(void **state)
{
	struct walk_test *test = *state;

	for (unsigned level = EPT_LEVELS; level > 1; level--) {
		map(test, level, NOWHERE | EPT_RWX);
		assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_UNREADABLE);
	}
	test->eptp = NOWHERE | MEMORY_WB | 3 << EPTP_WALK_LENGTH_SHIFT;
	assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_UNREADABLE);
}

/* Wherever the window begins and ends among the tables. */
static void what_lies_in_the_window_is_as_what_does_not(void **state)
{
	struct walk_test *test = *state;
	u64 leaf = 0x3440000000ull | RW | WB;

	map(test, 1, leaf);
	for (unsigned first = 0; first < test->pool.in_use; first++)
		for (unsigned count = 0; count <= test->pool.in_use - first; count++) {
			struct ept_walk_result r;

			test->memory.window = (const u8 *)test->pool.page[first];
			test->memory.window_start = POOL_BASE + first * PAGE_SIZE;
			test->memory.window_size = count * PAGE_SIZE;
			r = walk(test, EPT_WRITE);
			assert_int_equal(r.status, EPT_WALK_OK);
			assert_int_equal(r.address, 0x3440000000ull + ADDRESS % PAGE_SIZE);
			assert_int_equal(r.rights, RW);
		}
	fake_entry(&test->pool, test->root, ADDRESS, 3)[0] = NOWHERE | EPT_RWX;
	assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_UNREADABLE);
}

static void a_way_that_has_changed_is_not_gone_again(void **state)
{
	struct walk_test *test = *state;

	map(test, 1, 0x3440000000ull | EPT_RWX | WB);
	assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_OK);
	assert_int_equal(test->path.eptp, test->eptp);
	*entry(test, 1) = 0;
	assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_VIOLATION);
	for (unsigned level = 4; level > 1; level--) {
		u64 before = *entry(test, level);

		map(test, 1, 0x3440000000ull | EPT_RWX | WB);
		assert_int_equal(walk(test, EPT_READ).rights, EPT_RWX);
		fake_entry(&test->pool, test->root, ADDRESS, level)[0] = before & ~(u64)EPT_WRITE;
		assert_int_equal(walk(test, EPT_READ).rights, RX);
		assert_int_equal(walk(test, EPT_WRITE).status, EPT_WALK_VIOLATION);
		fake_entry(&test->pool, test->root, ADDRESS, level)[0] = before;
	}
}

static void addresses_beyond_four_levels_are_not_mapped(void **state)
{
	struct walk_test *test = *state;
	struct ept_walk_result r;

	map(test, 1, 0x5000 | EPT_RWX | WB);
	r = ept_walk(test->eptp, ADDRESS | BIT(48), EPT_READ, &test->features, &test->memory);
	assert_int_equal(r.status, EPT_WALK_VIOLATION);
	assert_int_equal(r.rights, 0);
}

static u64 flags(struct walk_test *test, unsigned level)
{
	return *entry(test, level) & (EPT_ACCESSED | EPT_DIRTY);
}

static void no_flag_is_set_unless_asked_for(void **state)
{
	struct walk_test *test = *state;

	map(test, 1, 0x5000 | EPT_RWX | WB);
	test->memory.set_bits = NULL;
	assert_int_equal(walk(test, EPT_WRITE).status, EPT_WALK_OK);
	for (unsigned level = 1; level <= EPT_LEVELS; level++)
		assert_int_equal(flags(test, level), 0);
}

static void flags_are_set_as_the_access_uses_entries(void **state)
{
	struct walk_test *test = *state;

	for (unsigned leaf = 1; leaf <= 3; leaf++) {
		struct ept_walk_result r;

		test->eptp |= EPTP_ACCESSED_DIRTY;
		map(test, EPT_LEVELS, 0);
		map(test, leaf, EPT_RWX | WB | (leaf > 1 ? EPT_LARGE : 0));
		r = walk(test, RX);
		assert_int_equal(r.status, EPT_WALK_OK);
		assert_false(r.dirty);
		for (unsigned level = leaf; level <= EPT_LEVELS; level++)
			assert_int_equal(flags(test, level), EPT_ACCESSED);
		r = walk(test, RW);
		assert_true(r.dirty);
		for (unsigned level = leaf; level <= EPT_LEVELS; level++)
			assert_int_equal(flags(test, level), EPT_ACCESSED | (level == leaf ? EPT_DIRTY : 0));
		r = walk(test, EPT_READ);
		assert_true(r.dirty);
	}
}

static void a_denied_access_sets_no_flag(void **state)
{
	struct walk_test *test = *state;

	test->eptp |= EPTP_ACCESSED_DIRTY;
	map(test, 1, 0x5000 | EPT_READ | WB);
	assert_int_equal(walk(test, EPT_WRITE).status, EPT_WALK_VIOLATION);
	for (unsigned level = 1; level <= EPT_LEVELS; level++)
		assert_int_equal(flags(test, level), 0);
}

static void flags_that_are_set_are_not_written_again(void **state)
{
	struct walk_test *test = *state;

	test->eptp |= EPTP_ACCESSED_DIRTY;
	map(test, 1, 0x5000 | EPT_RWX | WB);
	assert_int_equal(walk(test, EPT_WRITE).status, EPT_WALK_OK);
	test->memory.set_bits = NULL;
	assert_int_equal(walk(test, EPT_WRITE).status, EPT_WALK_OK);
}

static bool refuse(void *context, u64 address, u64 bits)
{
	(void)context, (void)address, (void)bits;
	return false;
}

static void flags_that_cannot_be_set_are_told(void **state)
{
	struct walk_test *test = *state;

	test->eptp |= EPTP_ACCESSED_DIRTY;
	map(test, 1, 0x5000 | EPT_RWX | WB);
	test->memory.set_bits = refuse;
	assert_int_equal(walk(test, EPT_READ).status, EPT_WALK_UNREADABLE);
}

#define WALK_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WALK_TEST(pages_of_each_size_translate),
		WALK_TEST(rights_of_all_levels_are_intersected),
		WALK_TEST(each_part_of_an_access_needs_its_right),
		WALK_TEST(what_is_not_present_has_no_rights),
		WALK_TEST(misconfiguration_is_found_at_each_level),
		WALK_TEST(misconfiguration_goes_before_rights),
		WALK_TEST(tables_outside_memory_are_told),
		WALK_TEST(a_way_that_has_changed_is_not_gone_again),
		WALK_TEST(what_lies_in_the_window_is_as_what_does_not),
		WALK_TEST(addresses_beyond_four_levels_are_not_mapped),
		WALK_TEST(no_flag_is_set_unless_asked_for),
		WALK_TEST(flags_are_set_as_the_access_uses_entries),
		WALK_TEST(a_denied_access_sets_no_flag),
		WALK_TEST(flags_that_are_set_are_not_written_again),
		WALK_TEST(flags_that_cannot_be_set_are_told),
	};

	return cmocka_run_group_tests_name("ept_walk", tests, NULL, NULL);
}
