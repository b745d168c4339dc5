#include "ept_merge/ept_compose.h"
#include "host_test.h"

#define BASE20 0x7fc0000000ull
#define BASE10 0x0080000000ull
#define BASE00 0x1c00000000ull
#define OFFSET 0x12345678ull /* within 1 GiB */

static struct ept_leaf leaf_at(u64 base, unsigned level)
{
	return (struct ept_leaf){
		.address = base + ALIGN_DOWN(OFFSET, EPT_LEVEL_SIZE(level)),
		.level = level,
		.rights = EPT_RWX,
		.memory_type = MEMORY_WB,
	};
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

static void the_smaller_page_wins_in_every_combination(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 27; i++) {
		unsigned level12 = 1 + i % 3, level01 = 1 + i / 3 % 3, max = 1 + i / 9;
		struct ept_leaf leaf12 = leaf_at(BASE10, level12), leaf01 = leaf_at(BASE00, level01);
		struct ept_leaf leaf02 = ept_compose(BASE20 + OFFSET, BASE10 + OFFSET, &leaf12, &leaf01, max);

		assert_int_equal(leaf02.level, least(level12, level01, max));
		assert_int_equal(leaf02.address, BASE00 + ALIGN_DOWN(OFFSET, EPT_LEVEL_SIZE(leaf02.level)));
		assert_int_equal(leaf02.rights, EPT_RWX);
	}
}

static void rights_are_intersected(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		struct ept_leaf leaf12 = leaf_at(BASE10, 1), leaf01 = leaf_at(BASE00, 1);

		leaf12.rights = i % 8;
		leaf01.rights = i / 8;
		assert_int_equal(ept_compose(BASE20 + OFFSET, BASE10 + OFFSET, &leaf12, &leaf01, 3).rights,
				 i % 8 & i / 8);
	}
}

static void memory_types_and_ignored_pat_are_combined(void **state)
{
	struct ept_leaf leaf12 = leaf_at(BASE10, 1), leaf01 = leaf_at(BASE00, 1), leaf02;

	(void)state;
	leaf12.memory_type = MEMORY_WT;
	leaf02 = ept_compose(BASE20 + OFFSET, BASE10 + OFFSET, &leaf12, &leaf01, 3);
	assert_int_equal(leaf02.memory_type, MEMORY_WT);
	assert_false(leaf02.ignore_pat);
	leaf01.memory_type = MEMORY_UC;
	leaf01.ignore_pat = true;
	leaf02 = ept_compose(BASE20 + OFFSET, BASE10 + OFFSET, &leaf12, &leaf01, 3);
	assert_int_equal(leaf02.memory_type, MEMORY_UC);
	assert_true(leaf02.ignore_pat);
	leaf01.ignore_pat = false;
	leaf12.ignore_pat = true;
	assert_true(ept_compose(BASE20 + OFFSET, BASE10 + OFFSET, &leaf12, &leaf01, 3).ignore_pat);
}

static const u8 types[] = { MEMORY_UC, MEMORY_WC, MEMORY_WT, MEMORY_WP, MEMORY_WB };

/* Rows and columns as in types. */
static const u8 combined[ARRAY_SIZE(types)][ARRAY_SIZE(types)] = {
	{ MEMORY_UC, MEMORY_UC, MEMORY_UC, MEMORY_UC, MEMORY_UC },
	{ MEMORY_UC, MEMORY_WC, MEMORY_UC, MEMORY_UC, MEMORY_WC },
	{ MEMORY_UC, MEMORY_UC, MEMORY_WT, MEMORY_UC, MEMORY_WT },
	{ MEMORY_UC, MEMORY_UC, MEMORY_UC, MEMORY_WP, MEMORY_WP },
	{ MEMORY_UC, MEMORY_WC, MEMORY_WT, MEMORY_WP, MEMORY_WB },
};

static void the_stricter_memory_type_wins(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(types); j++)
			assert_int_equal(ept_combine_memory_types(types[i], types[j]), combined[i][j]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smaller_page_wins_in_every_combination),
		cmocka_unit_test(rights_are_intersected),
		cmocka_unit_test(memory_types_and_ignored_pat_are_combined),
		cmocka_unit_test(the_stricter_memory_type_wins),
	};

	return cmocka_run_group_tests_name("ept_compose", tests, NULL, NULL);
}
