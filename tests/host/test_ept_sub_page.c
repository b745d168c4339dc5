/* Sub-page write permissions: walks, L0's own tables, and how they go with EPT02. */
#include "ept_fake.h"
#include "ept_merge/ept02.h"
#include "ept_merge/ept_sub_page.h"
#include "host_test.h"

#define SLOTS 2
#define POOL02_BASE 0x700000ull
#define POOL12_BASE 0x4000000ull
#define NOWHERE 0x9000000ull
#define ADDRESS20 0x40203000ull
#define ADDRESS10 0x5000ull
#define OFFSET01 GIB(64)
#define VECTOR 0x4000000000000041ull /* sub-pages 0, 3 and 31 */
#define ALLOWED (ADDRESS20 + 3 * 128 + 127)
#define REFUSED (ADDRESS20 + 4 * 128)

struct sub_page_test {
	struct fake_pool pool02, pool12;
	struct ept02 slots[SLOTS];
	struct ept02_cache cache;
	struct ept_features features;
	struct ept_memory memory12;
	struct ept01_view view01;
	u8 rights01;
	u64 eptp12, spptp12;
};

static bool lookup01(void *context, u64 address10, struct ept_leaf *leaf)
{
	const struct sub_page_test *test = context;

	*leaf = (struct ept_leaf){ .address = ALIGN_DOWN(address10, GIB(1)) + OFFSET01, .level = 3,
				   .rights = test->rights01, .memory_type = MEMORY_WB };
	return true;
}

/* A table of sub-page permissions as L1 would write it: tables above the last level are named by bit 0 alone. */
static u64 *entry12(struct sub_page_test *test, u64 address, unsigned level)
{
	u64 *table = fake_pool_entries(&test->pool12, test->spptp12);

	for (unsigned above = 4; above > level; above--) {
		u64 *entry = &table[address >> (12 + 9 * (above - 1)) & 511];

		if (!*entry)
			*entry = fake_pool_allocate(&test->pool12) | 1;
		table = fake_pool_entries(&test->pool12, *entry & EPT_ADDRESS);
	}
	return &table[address >> (12 + 9 * (level - 1)) & 511];
}

static int setup(void **state)
{
	static struct sub_page_test test;

	fake_pool_init(&test.pool02, POOL02_BASE, 2 * SLOTS + 6);
	fake_pool_init(&test.pool12, POOL12_BASE, 64);
	test.features = (struct ept_features){ 40, true, true, true, true };
	test.memory12 = fake_memory(&test.pool12);
	test.memory12.sub_pages = true;
	test.rights01 = EPT_RWX;
	test.view01 = (struct ept01_view){ &test, lookup01 };
	test.eptp12 = fake_pool_allocate(&test.pool12) | MEMORY_WB | 3 << EPTP_WALK_LENGTH_SHIFT;
	test.spptp12 = test.memory12.spptp = fake_pool_allocate(&test.pool12);
	assert_true(ept02_cache_init(&test.cache, test.slots, SLOTS, &test.pool02.pages, 3));
	assert_true(ept02_cache_add_sub_pages(&test.cache));
	fake_write_entry(&test.pool12, test.eptp12 & EPTP_ADDRESS, ADDRESS20, 1,
			 ADDRESS10 | EPT_READ | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT | BIT(61));
	*entry12(&test, ADDRESS20, 1) = VECTOR;
	*state = &test;
	return 0;
}

static int teardown(void **state)
{
	struct sub_page_test *test = *state;

	fake_pool_free(&test->pool02);
	fake_pool_free(&test->pool12);
	return 0;
}

static enum ept_sub_page_status walk(struct sub_page_test *test, u64 address)
{
	u64 vector;

	return ept_sub_page_walk(test->spptp12, address, test->features.maxphyaddr, &test->memory12, &vector);
}

static void each_sub_page_has_its_bit(void **state)
{
	struct sub_page_test *test = *state;

	for (unsigned offset = 0; offset < 4096; offset++) {
		unsigned n = offset / 128;
		bool writable = n == 0 || n == 3 || n == 31;

		assert_int_equal(walk(test, ADDRESS20 + offset), writable ? SUB_PAGE_WRITABLE : SUB_PAGE_READ_ONLY);
	}
}

static void a_table_that_is_not_there_is_a_miss(void **state)
{
	struct sub_page_test *test = *state;

	for (unsigned level = 2; level <= 4; level++) {
		u64 old = *entry12(test, ADDRESS20, level);

		*entry12(test, ADDRESS20, level) = 0xfffffffffffffffe;
		assert_int_equal(walk(test, ALLOWED), SUB_PAGE_MISS);
		*entry12(test, ADDRESS20, level) = old;
	}
	assert_int_equal(walk(test, ADDRESS20 + GIB(512)), SUB_PAGE_MISS);
	assert_int_equal(walk(test, ADDRESS20 + 4096), SUB_PAGE_READ_ONLY);
}

static void reserved_bits_are_a_misconfiguration(void **state)
{
	struct sub_page_test *test = *state;

	for (unsigned level = 1; level <= 4; level++)
		for (unsigned bit = 0; bit < 64; bit++) {
			u64 *entry = entry12(test, ADDRESS20, level), old = *entry;
			bool reserved = level == 1 ? bit % 2 : (bit >= 1 && bit <= 11) || bit >= 40;

			if (!reserved)
				continue;
			*entry = old | BIT(bit);
			assert_int_equal(walk(test, ALLOWED), SUB_PAGE_MISCONFIGURATION);
			*entry = old;
		}
	*entry12(test, ADDRESS20, 2) = NOWHERE | 1;
	assert_int_equal(walk(test, ALLOWED), SUB_PAGE_MISCONFIGURATION);
}

static struct ept02_result fill_with(struct sub_page_test *test, u64 eptp12, u64 address20, u8 access)
{
	return ept02_fill(&test->cache, ept02_get(&test->cache, eptp12, test->spptp12), eptp12, address20, access,
			  &test->features, &test->memory12, &test->view01);
}

static enum ept02_fill fill(struct sub_page_test *test, u64 address20, u8 access)
{
	return fill_with(test, test->eptp12, address20, access).fill;
}

/* What the CPU finds in L0's tables: the entry of EPT02, and the vector if there is one. */
static u64 entry02(struct sub_page_test *test, u64 address20)
{
	const struct ept02 *ept02 = ept02_get(&test->cache, test->eptp12, test->spptp12);
	const u64 *entry = fake_entry(&test->pool02, ept02->root, address20, 1);

	return entry ? *entry : 0;
}

static u64 vector02(struct sub_page_test *test, u64 address20)
{
	const struct ept02 *ept02 = ept02_get(&test->cache, test->eptp12, test->spptp12);
	u64 *table = fake_pool_entries(&test->pool02, ept02->sub_pages);

	for (unsigned level = 4; level > 1; level--) {
		u64 entry = table[address20 >> (12 + 9 * (level - 1)) & 511];

		if (!entry)
			return 0;
		assert_int_equal(entry & 0xfff, 1);
		table = fake_pool_entries(&test->pool02, entry & ~0xfffull);
	}
	return table[address20 >> 12 & 511];
}

static void a_write_brings_the_permissions(void **state)
{
	struct sub_page_test *test = *state;

	assert_int_equal(fill(test, REFUSED, EPT_READ), EPT02_FILLED);
	assert_int_equal(entry02(test, ADDRESS20), (ADDRESS10 + OFFSET01) | 0x31);
	assert_int_equal(vector02(test, ADDRESS20), 0);
	assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_FILLED);
	assert_int_equal(entry02(test, ADDRESS20), (ADDRESS10 + OFFSET01) | 0x31 | BIT(61));
	assert_int_equal(vector02(test, ADDRESS20), VECTOR);
	assert_int_equal(fill(test, REFUSED, EPT_WRITE), EPT02_VIOLATION12);
}

static void what_is_wrong_with_the_table_is_l1s(void **state)
{
	struct sub_page_test *test = *state;

	*entry12(test, ADDRESS20, 1) = VECTOR | 2;
	assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_SUB_PAGE_MISCONFIGURED);
	*entry12(test, ADDRESS20, 2) = 0;
	assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_SUB_PAGE_MISS);
	test->memory12.sub_pages = false;
	assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_VIOLATION12);
}

static void pages_that_are_not_eligible_are_not_asked_about(void **state)
{
	static const u64 entries[] = { EPT_READ, EPT_EXECUTE | BIT(61) };
	struct sub_page_test *test = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		fake_write_entry(&test->pool12, test->eptp12 & EPTP_ADDRESS, ADDRESS20, 1,
				 ADDRESS10 | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT | entries[i]);
		assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_VIOLATION12);
	}
	fake_write_entry(&test->pool12, test->eptp12 & EPTP_ADDRESS, ADDRESS20, 2,
			 EPT_READ | EPT_LARGE | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT | BIT(61));
	assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_VIOLATION12);
}

/* Where L0 itself must see a write, it does. */
static void ept01_denies_such_a_write_too(void **state)
{
	struct sub_page_test *test = *state;

	test->rights01 = EPT_READ | EPT_EXECUTE;
	assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_DENIED01);
	assert_int_equal(entry02(test, ADDRESS20), 0);
	assert_int_equal(vector02(test, ADDRESS20), 0);
}

static void the_dirty_flag_is_set_by_the_write(void **state)
{
	struct sub_page_test *test = *state;
	u64 with_flags = test->eptp12 | EPTP_ACCESSED_DIRTY;
	const u64 *leaf = fake_entry(&test->pool12, test->eptp12 & EPTP_ADDRESS, ADDRESS20, 1);
	struct ept02_result result = fill_with(test, with_flags, ALLOWED, EPT_READ);

	assert_int_equal(result.fill, EPT02_FILLED);
	assert_false(result.leaf.sub_pages);
	assert_int_equal(*leaf & (EPT_ACCESSED | EPT_DIRTY), EPT_ACCESSED);
	result = fill_with(test, with_flags, REFUSED, EPT_WRITE);
	assert_int_equal(result.fill, EPT02_VIOLATION12);
	assert_int_equal(*leaf & EPT_DIRTY, 0);
	result = fill_with(test, with_flags, ALLOWED, EPT_WRITE);
	assert_int_equal(result.fill, EPT02_FILLED);
	assert_true(result.leaf.sub_pages);
	assert_int_equal(*leaf & EPT_DIRTY, EPT_DIRTY);
}

static void another_table_has_an_ept02_of_its_own(void **state)
{
	struct sub_page_test *test = *state;
	const struct ept02 *first = ept02_get(&test->cache, test->eptp12, test->spptp12);

	assert_ptr_not_equal(ept02_get(&test->cache, test->eptp12, test->spptp12 + 4096), first);
	assert_ptr_equal(ept02_get(&test->cache, test->eptp12, test->spptp12), first);
	assert_ptr_not_equal(ept02_get(&test->cache, test->eptp12, EPT02_NO_SUB_PAGES), first);
}

static void invalidation_drops_the_permissions(void **state)
{
	struct sub_page_test *test = *state;

	assert_int_equal(fill(test, ALLOWED, EPT_WRITE), EPT02_FILLED);
	ept02_drop(&test->cache, test->eptp12);
	assert_int_equal(entry02(test, ADDRESS20), 0);
	assert_int_equal(vector02(test, ADDRESS20), 0);
	assert_int_equal(test->pool02.in_use, 2 * SLOTS);
	assert_true(ept02_get(&test->cache, test->eptp12, test->spptp12)->invalidate);
}

/* With pages for one way of each kind alone: the entry is never there without its vector. */
static void a_pool_that_runs_empty_keeps_both_or_none(void **state)
{
	struct sub_page_test *test = *state;

	for (unsigned i = 0; i < 8; i++) {
		u64 address = ADDRESS20 + i * GIB(1);

		fake_write_entry(&test->pool12, test->eptp12 & EPTP_ADDRESS, address, 1,
				 ADDRESS10 | EPT_READ | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT | BIT(61));
		*entry12(test, address, 1) = VECTOR;
		assert_int_equal(fill(test, address, EPT_WRITE), EPT02_FILLED);
		for (unsigned j = 0; j <= i; j++) {
			bool mapped = entry02(test, ADDRESS20 + j * GIB(1)) & BIT(61);

			assert_int_equal(vector02(test, ADDRESS20 + j * GIB(1)), mapped ? VECTOR : 0);
			assert_true(mapped || j < i);
		}
	}
}

static void a_pool_without_room_for_the_tables_is_refused(void **state)
{
	struct ept02 slots[SLOTS];
	struct ept02_cache cache;
	struct fake_pool small;

	(void)state;
	fake_pool_init(&small, POOL02_BASE, 2 * SLOTS - 1);
	assert_true(ept02_cache_init(&cache, slots, SLOTS, &small.pages, 3));
	assert_false(ept02_cache_add_sub_pages(&cache));
	fake_pool_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_sub_page_has_its_bit, setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_that_is_not_there_is_a_miss, setup, teardown),
		cmocka_unit_test_setup_teardown(reserved_bits_are_a_misconfiguration, setup, teardown),
		cmocka_unit_test_setup_teardown(a_write_brings_the_permissions, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_with_the_table_is_l1s, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_that_are_not_eligible_are_not_asked_about, setup, teardown),
		cmocka_unit_test_setup_teardown(ept01_denies_such_a_write_too, setup, teardown),
		cmocka_unit_test_setup_teardown(the_dirty_flag_is_set_by_the_write, setup, teardown),
		cmocka_unit_test_setup_teardown(another_table_has_an_ept02_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(invalidation_drops_the_permissions, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pool_that_runs_empty_keeps_both_or_none, setup, teardown),
		cmocka_unit_test(a_pool_without_room_for_the_tables_is_refused),
	};

	return cmocka_run_group_tests_name("sub_page", tests, NULL, NULL);
}
