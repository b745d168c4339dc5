#include "ept_merge/ept_entry.h"
#include "host_test.h"

#define TYPE(t) ((u64)(t) << EPT_MEMORY_TYPE_SHIFT)
#define WB TYPE(MEMORY_WB)

static const struct ept_features all = {
	.maxphyaddr = 40, .execute_only = true, .page2m = true, .page1g = true, .accessed_dirty = true,
};
static const struct ept_features least = { .maxphyaddr = 40 };

struct entry_case {
	const char *what;
	u64 entry;
	unsigned level;
	enum ept_entry_kind with_all, with_least;
};

#define SAME(kind) kind, kind

static const struct entry_case entry_cases[] = {
	{ "nothing", 0, 1, SAME(EPT_NOT_PRESENT) },
	{ "no rights, all else set", ~(u64)EPT_RWX, 1, SAME(EPT_NOT_PRESENT) },
	{ "no rights, all else set", ~(u64)EPT_RWX, 4, SAME(EPT_NOT_PRESENT) },
	{ "mode-based execute alone", BIT(10), 1, SAME(EPT_NOT_PRESENT) },

	{ "read-only page", EPT_READ | WB, 1, SAME(EPT_LEAF) },
	{ "read-write page", EPT_READ | EPT_WRITE | WB, 1, SAME(EPT_LEAF) },
	{ "read-execute page", EPT_READ | EPT_EXECUTE | WB, 1, SAME(EPT_LEAF) },
	{ "page with all rights", EPT_RWX | WB, 1, SAME(EPT_LEAF) },
	{ "write-only page", EPT_WRITE | WB, 1, SAME(EPT_MISCONFIGURED) },
	{ "write-execute page", EPT_WRITE | EPT_EXECUTE | WB, 1, SAME(EPT_MISCONFIGURED) },
	{ "execute-only page", EPT_EXECUTE | WB, 1, EPT_LEAF, EPT_MISCONFIGURED },
	{ "write-only table", EPT_WRITE, 2, SAME(EPT_MISCONFIGURED) },
	{ "execute-only table", EPT_EXECUTE, 4, EPT_TABLE, EPT_MISCONFIGURED },
	{ "write-only table at the top", EPT_WRITE, 4, SAME(EPT_MISCONFIGURED) },

	{ "table", BIT(12) | EPT_RWX, 4, SAME(EPT_TABLE) },
	{ "table", BIT(12) | EPT_RWX, 3, SAME(EPT_TABLE) },
	{ "table", BIT(12) | EPT_RWX, 2, SAME(EPT_TABLE) },
	{ "bit 7 at the top", EPT_RWX | EPT_LARGE, 4, SAME(EPT_MISCONFIGURED) },
	{ "1 GiB page", EPT_RWX | WB | EPT_LARGE, 3, EPT_LEAF, EPT_MISCONFIGURED },
	{ "2 MiB page", EPT_RWX | WB | EPT_LARGE, 2, EPT_LEAF, EPT_MISCONFIGURED },
	{ "4 KiB page with bit 7", EPT_RWX | WB | EPT_LARGE, 1, SAME(EPT_LEAF) },

	{ "bit 3 of a table's", EPT_RWX | BIT(3), 4, SAME(EPT_MISCONFIGURED) },
	{ "bit 6 of a table's", EPT_RWX | BIT(6), 4, SAME(EPT_MISCONFIGURED) },
	{ "bit 3 of a table's", EPT_RWX | BIT(3), 3, SAME(EPT_MISCONFIGURED) },
	{ "bit 4 of a table's", EPT_RWX | BIT(4), 3, SAME(EPT_MISCONFIGURED) },
	{ "bit 5 of a table's", EPT_RWX | BIT(5), 2, SAME(EPT_MISCONFIGURED) },
	{ "bit 6 of a table's", EPT_RWX | BIT(6), 2, SAME(EPT_MISCONFIGURED) },
	{ "bit 6 of a page's", EPT_RWX | WB | EPT_IGNORE_PAT, 1, SAME(EPT_LEAF) },

	{ "highest address bit, table", EPT_RWX | BIT(39), 4, SAME(EPT_TABLE) },
	{ "highest address bit, page", EPT_RWX | WB | BIT(39), 1, SAME(EPT_LEAF) },
	{ "address too wide, table", EPT_RWX | BIT(40), 4, SAME(EPT_MISCONFIGURED) },
	{ "address too wide, page", EPT_RWX | WB | BIT(40), 1, SAME(EPT_MISCONFIGURED) },
	{ "address too wide by bit 51", EPT_RWX | WB | BIT(51), 1, SAME(EPT_MISCONFIGURED) },
	{ "2 MiB page, bit 12", EPT_RWX | WB | EPT_LARGE | BIT(12), 2, SAME(EPT_MISCONFIGURED) },
	{ "2 MiB page, bit 20", EPT_RWX | WB | EPT_LARGE | BIT(20), 2, SAME(EPT_MISCONFIGURED) },
	{ "2 MiB page, bit 21", EPT_RWX | WB | EPT_LARGE | BIT(21), 2, EPT_LEAF, EPT_MISCONFIGURED },
	{ "1 GiB page, bit 12", EPT_RWX | WB | EPT_LARGE | BIT(12), 3, SAME(EPT_MISCONFIGURED) },
	{ "1 GiB page, bit 29", EPT_RWX | WB | EPT_LARGE | BIT(29), 3, SAME(EPT_MISCONFIGURED) },
	{ "1 GiB page, bit 30", EPT_RWX | WB | EPT_LARGE | BIT(30), 3, EPT_LEAF, EPT_MISCONFIGURED },

	{ "memory type 0", EPT_RWX | TYPE(0), 1, SAME(EPT_LEAF) },
	{ "memory type 1", EPT_RWX | TYPE(1), 1, SAME(EPT_LEAF) },
	{ "memory type 2", EPT_RWX | TYPE(2), 1, SAME(EPT_MISCONFIGURED) },
	{ "memory type 3", EPT_RWX | TYPE(3), 1, SAME(EPT_MISCONFIGURED) },
	{ "memory type 4", EPT_RWX | TYPE(4), 1, SAME(EPT_LEAF) },
	{ "memory type 5", EPT_RWX | TYPE(5), 1, SAME(EPT_LEAF) },
	{ "memory type 6", EPT_RWX | TYPE(6), 1, SAME(EPT_LEAF) },
	{ "memory type 7", EPT_RWX | TYPE(7), 1, SAME(EPT_MISCONFIGURED) },
	{ "memory type 7, 2 MiB", EPT_RWX | TYPE(7) | EPT_LARGE, 2, SAME(EPT_MISCONFIGURED) },
	{ "memory type 2, 1 GiB", EPT_RWX | TYPE(2) | EPT_LARGE, 3, SAME(EPT_MISCONFIGURED) },

	{ "flags and ignored bits, page", EPT_RWX | WB | BITS(11, 8) | BITS(63, 52), 1, SAME(EPT_LEAF) },
	{ "flags and ignored bits, table", EPT_RWX | BITS(11, 8) | BITS(63, 52), 3, SAME(EPT_TABLE) },
	{ "all ones", ~0ull, 4, SAME(EPT_MISCONFIGURED) },
	{ "all ones", ~0ull, 1, SAME(EPT_MISCONFIGURED) },
};

static void kinds_follow_the_sdm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(entry_cases); i++) {
		const struct entry_case *c = &entry_cases[i];
		enum ept_entry_kind with_all = ept_entry_kind(c->entry, c->level, &all);
		enum ept_entry_kind with_least = ept_entry_kind(c->entry, c->level, &least);

		if (with_all != c->with_all || with_least != c->with_least)
			fail_msg("%s at level %u: %d and %d", c->what, c->level, with_all, with_least);
	}
}

static void all_address_bits_of_the_widest_cpu_are_good(void **state)
{
	const struct ept_features widest = { .maxphyaddr = 52 };

	(void)state;
	assert_int_equal(ept_entry_kind(EPT_ADDRESS | EPT_RWX | WB, 1, &widest), EPT_LEAF);
	/* What absent memory reads as is misconfigured for every CPU, at every level. */
	for (unsigned level = 1; level <= EPT_LEVELS; level++)
		assert_int_equal(ept_entry_kind(~0ull, level, &widest), EPT_MISCONFIGURED);
}

static void leaves_survive_coding(void **state)
{
	(void)state;
	for (unsigned level = 1; level <= 3; level++) {
		struct ept_leaf leaf = {
			.address = BIT(38) | EPT_LEVEL_SIZE(level), .level = level,
			.rights = EPT_READ | EPT_EXECUTE, .memory_type = MEMORY_WP, .ignore_pat = level == 2,
		};
		u64 entry = ept_leaf_encode(&leaf);
		u64 noise = EPT_ACCESSED | EPT_DIRTY | EPT_SUPPRESS_VE;
		struct ept_leaf again = ept_leaf_decode(entry | noise, level);

		assert_int_equal(ept_entry_kind(entry, level, &all), EPT_LEAF);
		assert_int_equal(again.address, leaf.address);
		assert_int_equal(again.level, level);
		assert_int_equal(again.rights, leaf.rights);
		assert_int_equal(again.memory_type, leaf.memory_type);
		assert_int_equal(again.ignore_pat, leaf.ignore_pat);
	}
}

static void encoding_is_the_sdms(void **state)
{
	const struct ept_leaf small = { 0x123000, 1, EPT_READ, MEMORY_WB, false, false };
	const struct ept_leaf large = { 0x200000, 2, EPT_RWX, MEMORY_UC, true, false };

	(void)state;
	assert_int_equal(ept_leaf_encode(&small), 0x123031);
	assert_int_equal(ept_leaf_encode(&large), 0x2000c7);
}

#define CAPS (EPT_CAP_WALK_4 | EPT_CAP_WB | EPT_CAP_UC)
#define EPTP_GOOD (0x5000 | 3 << EPTP_WALK_LENGTH_SHIFT | MEMORY_WB)

struct eptp_case {
	const char *what;
	u64 eptp, capabilities;
	bool valid;
};

static const struct eptp_case eptp_cases[] = {
	{ "write-back", EPTP_GOOD, CAPS, true },
	{ "write-back, not offered", EPTP_GOOD, CAPS & ~EPT_CAP_WB, false },
	{ "uncacheable", EPTP_GOOD & ~EPTP_MEMORY_TYPE, CAPS, true },
	{ "uncacheable, not offered", EPTP_GOOD & ~EPTP_MEMORY_TYPE, CAPS & ~EPT_CAP_UC, false },
	{ "write-through", (EPTP_GOOD & ~EPTP_MEMORY_TYPE) | MEMORY_WT, CAPS, false },
	{ "memory type 7", EPTP_GOOD | 7, CAPS, false },
	{ "walk of 4, not offered", EPTP_GOOD, CAPS & ~EPT_CAP_WALK_4, false },
	{ "walk of 3", EPTP_GOOD & ~BIT(3), CAPS, false },
	{ "walk of 5", (EPTP_GOOD & ~EPTP_WALK_LENGTH) | 4 << EPTP_WALK_LENGTH_SHIFT, CAPS, false },
	{ "accessed and dirty", EPTP_GOOD | EPTP_ACCESSED_DIRTY, CAPS | EPT_CAP_ACCESSED_DIRTY, true },
	{ "accessed and dirty, not offered", EPTP_GOOD | EPTP_ACCESSED_DIRTY, CAPS, false },
	{ "shadow stack", EPTP_GOOD | EPTP_SHADOW_STACK, CAPS | EPT_CAP_SUPERVISOR_SHADOW_STACK, true },
	{ "shadow stack, not offered", EPTP_GOOD | EPTP_SHADOW_STACK, CAPS, false },
	{ "bit 8", EPTP_GOOD | BIT(8), CAPS, false },
	{ "bit 11", EPTP_GOOD | BIT(11), CAPS, false },
	{ "highest address bit", EPTP_GOOD | BIT(39), CAPS, true },
	{ "address too wide", EPTP_GOOD | BIT(40), CAPS, false },
	{ "bit 63", EPTP_GOOD | BIT(63), CAPS, false },
};

static void eptp_follows_the_sdm(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(eptp_cases); i++) {
		const struct eptp_case *c = &eptp_cases[i];

		if (eptp_valid(c->eptp, c->capabilities, 40) != c->valid)
			fail_msg("%s: should be %s", c->what, c->valid ? "valid" : "invalid");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_follow_the_sdm),
		cmocka_unit_test(all_address_bits_of_the_widest_cpu_are_good),
		cmocka_unit_test(leaves_survive_coding),
		cmocka_unit_test(encoding_is_the_sdms),
		cmocka_unit_test(eptp_follows_the_sdm),
	};

	return cmocka_run_group_tests_name("ept_entry", tests, NULL, NULL);
}
