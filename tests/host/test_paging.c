#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/paging.h"

/* Tables for each level lie one page apart; level 1 is at TABLES + 1 page. */
#define TABLES 0x10000ull
#define TABLE(level) (TABLES + (level) * PAGE_SIZE)
#define MEMORY_SIZE 0x20000
#define NOWHERE 0x400000ull
#define PAGE 0x12345000ull
#define RWU (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define RW (PTE_PRESENT | PTE_WRITE)

struct paging_test {
	u8 bytes[MEMORY_SIZE];
	struct paging_memory memory;
	struct paging_state state;
	unsigned writes;
	bool read_only;
};

static bool memory_read(void *context, u64 address, unsigned size, u64 *entry)
{
	struct paging_test *test = context;

	assert_true((size == 4 || size == 8) && IS_ALIGNED(address, size));
	if (address + size > MEMORY_SIZE)
		return false;
	*entry = 0;
	memcpy(entry, test->bytes + address, size);
	return true;
}

static bool memory_write(void *context, u64 address, unsigned size, u64 entry)
{
	struct paging_test *test = context;

	assert_true((size == 4 || size == 8) && IS_ALIGNED(address, size));
	if (address + size > MEMORY_SIZE || test->read_only)
		return false;
	memcpy(test->bytes + address, &entry, size);
	test->writes++;
	return true;
}

/* A paging mode, as much of it as the tests need. */
struct mode {
	const char *name;
	u64 cr4, efer;
	unsigned levels, index_bits, entry_size;
	u64 linear;
};

static const struct mode modes[] = {
	{ "32-bit", 0, 0, 2, 10, 4, 0x00c03abcull },
	{ "PAE", CR4_PAE, EFER_NXE, 2, 9, 8, 0x40605abcull },
	{ "4-level", CR4_PAE, EFER_LMA | EFER_LME | EFER_NXE, 4, 9, 8, 0xffff818140605abcull },
	{ "5-level", CR4_PAE | CR4_LA57, EFER_LMA | EFER_LME | EFER_NXE, 5, 9, 8, 0xff02818140605abcull },
};
#define MODE_32BIT (&modes[0])
#define MODE_PAE (&modes[1])
#define MODE_4LEVEL (&modes[2])

static u64 entry_at(const struct mode *mode, unsigned level)
{
	u64 index = mode->linear >> (12 + mode->index_bits * (level - 1)) & (BIT(mode->index_bits) - 1);

	return TABLE(level) + index * mode->entry_size;
}

static void set(struct paging_test *test, const struct mode *mode, unsigned level, u64 entry)
{
	memcpy(test->bytes + entry_at(mode, level), &entry, mode->entry_size);
}

static u64 get(struct paging_test *test, const struct mode *mode, unsigned level)
{
	u64 entry = 0;

	memcpy(&entry, test->bytes + entry_at(mode, level), mode->entry_size);
	return entry;
}

/* Tables of the mode, with a 4 KiB page for user and supervisor. */
static void build(struct paging_test *test, const struct mode *mode)
{
	*test = (struct paging_test){ .memory = { test, memory_read, memory_write } };
	test->state = (struct paging_state){
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = TABLE(mode->levels) | 0x18,
		.cr4 = mode->cr4,
		.efer = mode->efer,
		.page1g = true,
		.maxphyaddr = 39,
	};
	test->state.pdpte[mode->linear >> 30 & 3] = TABLE(2) | PTE_PRESENT;
	for (unsigned level = mode->levels; level > 1; level--)
		set(test, mode, level, TABLE(level - 1) | RWU);
	set(test, mode, 1, PAGE | RWU);
}

static struct paging_result walk(struct paging_test *test, const struct mode *mode, bool write)
{
	return paging_walk(&test->state, &test->memory, mode->linear, write);
}

static void check_ok(struct paging_test *test, const struct mode *mode, bool write, u64 address)
{
	struct paging_result r = walk(test, mode, write);

	if (r.status != PAGING_OK || r.address != address)
		fail_msg("%s: status %d, error code %#x, address %#llx", mode->name, r.status, r.error_code,
			 (unsigned long long)r.address);
}

static void check_fault(struct paging_test *test, const struct mode *mode, bool write, u32 error_code)
{
	struct paging_result r = walk(test, mode, write);

	if (r.status != PAGING_FAULT || r.error_code != error_code)
		fail_msg("%s: status %d, error code %#x", mode->name, r.status, r.error_code);
	assert_int_equal(test->writes, 0);
}

#define FOR_EACH_MODE(m) for (const struct mode *m = modes; m < modes + ARRAY_SIZE(modes); m++)

static void without_paging_an_address_is_itself(void **state)
{
	struct paging_test test;

	(void)state;
	build(&test, MODE_32BIT);
	test.state.cr0 &= ~CR0_PG;
	test.memory.read = NULL;
	check_ok(&test, MODE_32BIT, true, MODE_32BIT->linear);
}

static void small_pages_translate(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		build(&test, m);
		check_ok(&test, m, false, PAGE | 0xabc);
		check_ok(&test, m, true, PAGE | 0xabc);
	}
}

static void large_pages_translate(void **state)
{
	struct paging_test test;
	u64 base = 0x1c0000000ull;

	(void)state;
	FOR_EACH_MODE(m) {
		for (unsigned level = 2; level <= 3 && level <= m->levels; level++) {
			u64 size = BIT(12 + m->index_bits * (level - 1));

			if (m->entry_size == 4)
				continue;
			build(&test, m);
			set(&test, m, level, base | RWU | PTE_LARGE | BIT(12)); /* bit 12 is the PAT's */
			check_ok(&test, m, true, base | (m->linear & (size - 1)));
		}
	}
}

static void pages_of_4m_reach_beyond_4g(void **state)
{
	struct paging_test test;
	u64 offset = MODE_32BIT->linear & (MIB(4) - 1);

	(void)state;
	build(&test, MODE_32BIT);
	test.state.cr4 |= CR4_PSE;
	test.state.maxphyaddr = 40;
	/* Bits 39:32 of the address, 0xa5, in bits 20:13. */
	set(&test, MODE_32BIT, 2, 0x8a400000 | 0xa5 << 13 | RWU | PTE_LARGE);
	check_ok(&test, MODE_32BIT, true, 0xa58a400000ull | offset);
	set(&test, MODE_32BIT, 2, 0x8a400000 | 0xa5 << 13 | BIT(21) | RW | PTE_LARGE);
	test.writes = 0;
	check_fault(&test, MODE_32BIT, false, PF_PRESENT | PF_RSVD);
	test.state.maxphyaddr = 36;
	for (unsigned bit = 13; bit <= 21; bit++) {
		set(&test, MODE_32BIT, 2, BIT(bit) | RWU | PTE_LARGE);
		test.writes = 0;
		if (bit < 17)
			check_ok(&test, MODE_32BIT, false, BIT(bit + 19) | offset);
		else
			check_fault(&test, MODE_32BIT, false, PF_PRESENT | PF_RSVD);
	}
}

static void without_pse_bit_7_means_nothing(void **state)
{
	struct paging_test test;

	(void)state;
	build(&test, MODE_32BIT);
	set(&test, MODE_32BIT, 2, TABLE(1) | RWU | PTE_LARGE);
	check_ok(&test, MODE_32BIT, false, PAGE | 0xabc);
}

static void entries_that_are_not_present_fault(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		for (unsigned level = 1; level <= m->levels; level++) {
			build(&test, m);
			set(&test, m, level, ~PTE_PRESENT);
			check_fault(&test, m, false, 0);
			check_fault(&test, m, true, PF_WRITE);
		}
	}
	build(&test, MODE_PAE);
	test.state.pdpte[1] = TABLE(2);
	check_fault(&test, MODE_PAE, true, PF_WRITE);
}

static void check_reserved(struct paging_test *test, const struct mode *mode, unsigned level, u64 bits,
			   bool reserved)
{
	u64 entry;

	build(test, mode);
	entry = get(test, mode, level);
	set(test, mode, level, entry | bits);
	if (reserved) {
		check_fault(test, mode, false, PF_PRESENT | PF_RSVD);
		check_fault(test, mode, true, PF_PRESENT | PF_RSVD | PF_WRITE);
	} else {
		check_ok(test, mode, true, PAGE | 0xabc);
	}
}

static void reserved_bits_fault_with_their_flag(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		for (unsigned level = 1; m->entry_size == 8 && level <= m->levels; level++) {
			check_reserved(&test, m, level, BIT(39), true);
			check_reserved(&test, m, level, BIT(51), true);
			/* Above bit 51: reserved to PAE paging, for software elsewhere. */
			check_reserved(&test, m, level, BIT(52), m == MODE_PAE);
			check_reserved(&test, m, level, BIT(62), m == MODE_PAE);
			check_reserved(&test, m, level, PTE_NX, false);
			check_reserved(&test, m, level, BITS(11, 8), false);
			if (level > 3)
				check_reserved(&test, m, level, PTE_LARGE, true);
		}
	}
}

static void execute_disable_is_reserved_until_enabled(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		for (unsigned level = 1; m->entry_size == 8 && level <= m->levels; level++) {
			build(&test, m);
			test.state.efer &= ~EFER_NXE;
			check_ok(&test, m, false, PAGE | 0xabc);
			set(&test, m, level, get(&test, m, level) | PTE_NX);
			test.writes = 0;
			check_fault(&test, m, false, PF_PRESENT | PF_RSVD);
		}
	}
}

static void large_pages_have_reserved_bits(void **state)
{
	struct paging_test test;

	(void)state;
	for (unsigned level = 2; level <= 3; level++) {
		unsigned shift = 12 + 9 * (level - 1);

		for (unsigned bit = 13; bit <= shift; bit++) {
			build(&test, MODE_4LEVEL);
			set(&test, MODE_4LEVEL, level, BIT(bit) | RWU | PTE_LARGE);
			if (bit < shift)
				check_fault(&test, MODE_4LEVEL, false, PF_PRESENT | PF_RSVD);
			else
				check_ok(&test, MODE_4LEVEL, false,
					 BIT(bit) | (MODE_4LEVEL->linear & (BIT(shift) - 1)));
		}
	}
	build(&test, MODE_4LEVEL);
	test.state.page1g = false;
	set(&test, MODE_4LEVEL, 3, RWU | PTE_LARGE);
	check_fault(&test, MODE_4LEVEL, false, PF_PRESENT | PF_RSVD);
}

/* One page with less than all rights, by a bit that one level lacks. */
static void build_without(struct paging_test *test, const struct mode *mode, unsigned level, u64 bit)
{
	build(test, mode);
	set(test, mode, level, get(test, mode, level) & ~bit);
}

static void write_protection_holds_for_the_supervisor_with_wp(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		for (unsigned level = 1; level <= m->levels; level++) {
			build_without(&test, m, level, PTE_WRITE);
			check_fault(&test, m, true, PF_PRESENT | PF_WRITE);
			check_ok(&test, m, false, PAGE | 0xabc);
			test.state.cr0 &= ~CR0_WP;
			check_ok(&test, m, true, PAGE | 0xabc);
		}
	}
}

static void smap_keeps_the_supervisor_from_user_pages(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		build(&test, m);
		test.state.cr4 |= CR4_SMAP;
		check_fault(&test, m, false, PF_PRESENT);
		check_fault(&test, m, true, PF_PRESENT | PF_WRITE);
		test.state.cr0 &= ~CR0_WP;
		check_fault(&test, m, true, PF_PRESENT | PF_WRITE);
		test.state.alignment_check = true;
		check_ok(&test, m, true, PAGE | 0xabc);
		for (unsigned level = 1; level <= m->levels; level++) {
			build_without(&test, m, level, PTE_USER);
			test.state.cr4 |= CR4_SMAP;
			check_ok(&test, m, true, PAGE | 0xabc);
		}
	}
}

static void the_cpu_itself_is_kept_from_user_pages_whatever_ac_says(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		build(&test, m);
		test.state.privilege = PAGING_system;
		check_ok(&test, m, true, PAGE | 0xabc);
		test.writes = 0;
		test.state.cr4 |= CR4_SMAP;
		test.state.alignment_check = true;
		check_fault(&test, m, false, PF_PRESENT);
	}
}

static void a_user_has_what_every_level_gives_him(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		for (unsigned level = 1; level <= m->levels; level++) {
			build_without(&test, m, level, PTE_WRITE);
			test.state.privilege = PAGING_user;
			test.state.cr4 |= CR4_SMAP;
			test.state.cr0 &= ~CR0_WP;
			check_ok(&test, m, false, PAGE | 0xabc);
			test.writes = 0;
			check_fault(&test, m, true, PF_PRESENT | PF_WRITE | PF_USER);
			build_without(&test, m, level, PTE_USER);
			test.state.privilege = PAGING_user;
			check_fault(&test, m, false, PF_PRESENT | PF_USER);
			build_without(&test, m, level, PTE_PRESENT);
			test.state.privilege = PAGING_user;
			check_fault(&test, m, true, PF_WRITE | PF_USER);
		}
	}
}

#define KEY 5
static void build_with_key(struct paging_test *test, const struct mode *mode, u32 denied)
{
	build(test, mode);
	set(test, mode, 1, PAGE | RWU | (u64)KEY << PTE_KEY_SHIFT);
	test->state.cr4 |= CR4_PKE;
	test->state.pkru = denied << 2 * KEY;
}

static void protection_keys_guard_user_pages(void **state)
{
	const struct mode *m = MODE_4LEVEL;
	struct paging_test test;

	(void)state;
	build_with_key(&test, m, PKRU_ACCESS_DISABLE);
	check_fault(&test, m, false, PF_PRESENT | PF_PK);
	test.state.privilege = PAGING_user;
	check_fault(&test, m, true, PF_PRESENT | PF_PK | PF_WRITE | PF_USER);
	test.state.cr4 &= ~CR4_PKE;
	check_ok(&test, m, true, PAGE | 0xabc);
	test.writes = 0;
	build_with_key(&test, m, PKRU_WRITE_DISABLE);
	check_ok(&test, m, false, PAGE | 0xabc);
	test.writes = 0;
	check_fault(&test, m, true, PF_PRESENT | PF_PK | PF_WRITE);
	test.state.cr0 &= ~CR0_WP;
	check_ok(&test, m, true, PAGE | 0xabc);
	test.writes = 0;
	test.state.privilege = PAGING_user;
	check_fault(&test, m, true, PF_PRESENT | PF_PK | PF_WRITE | PF_USER);
	build_with_key(&test, m, PKRU_ACCESS_DISABLE);
	set(&test, m, 1, PAGE | RW | (u64)KEY << PTE_KEY_SHIFT);
	check_ok(&test, m, true, PAGE | 0xabc);
	test.writes = 0;
}

static void accessed_and_dirty_flags_are_set(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		build(&test, m);
		check_ok(&test, m, false, PAGE | 0xabc);
		for (unsigned level = 1; level <= m->levels; level++)
			assert_int_equal(get(&test, m, level) & (PTE_ACCESSED | PTE_DIRTY), PTE_ACCESSED);
		assert_int_equal(test.writes, m->levels);
		check_ok(&test, m, true, PAGE | 0xabc);
		for (unsigned level = 1; level <= m->levels; level++)
			assert_int_equal(get(&test, m, level) & (PTE_ACCESSED | PTE_DIRTY),
					 PTE_ACCESSED | (level == 1 ? PTE_DIRTY : 0));
		check_ok(&test, m, true, PAGE | 0xabc);
		assert_int_equal(test.writes, m->levels + 1);
	}
}

static void the_flags_of_a_large_page_are_in_its_entry(void **state)
{
	struct paging_test test;

	(void)state;
	build(&test, MODE_4LEVEL);
	set(&test, MODE_4LEVEL, 2, RWU | PTE_LARGE);
	check_ok(&test, MODE_4LEVEL, true, MODE_4LEVEL->linear & (MIB(2) - 1));
	assert_int_equal(get(&test, MODE_4LEVEL, 2), RWU | PTE_LARGE | PTE_ACCESSED | PTE_DIRTY);
	assert_int_equal(get(&test, MODE_4LEVEL, 1), PAGE | RWU);
}

static void tables_outside_memory_are_told(void **state)
{
	struct paging_test test;

	(void)state;
	FOR_EACH_MODE(m) {
		for (unsigned level = m->levels; level > 1; level--) {
			build(&test, m);
			set(&test, m, level, NOWHERE | RWU);
			assert_int_equal(walk(&test, m, false).status, PAGING_UNREADABLE);
		}
		build(&test, m);
		test.read_only = true;
		assert_int_equal(walk(&test, m, false).status, PAGING_UNREADABLE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_paging_an_address_is_itself),
		cmocka_unit_test(small_pages_translate),
		cmocka_unit_test(large_pages_translate),
		cmocka_unit_test(pages_of_4m_reach_beyond_4g),
		cmocka_unit_test(without_pse_bit_7_means_nothing),
		cmocka_unit_test(entries_that_are_not_present_fault),
		cmocka_unit_test(reserved_bits_fault_with_their_flag),
		cmocka_unit_test(execute_disable_is_reserved_until_enabled),
		cmocka_unit_test(large_pages_have_reserved_bits),
		cmocka_unit_test(write_protection_holds_for_the_supervisor_with_wp),
		cmocka_unit_test(smap_keeps_the_supervisor_from_user_pages),
		cmocka_unit_test(the_cpu_itself_is_kept_from_user_pages_whatever_ac_says),
		cmocka_unit_test(a_user_has_what_every_level_gives_him),
		cmocka_unit_test(protection_keys_guard_user_pages),
		cmocka_unit_test(accessed_and_dirty_flags_are_set),
		cmocka_unit_test(the_flags_of_a_large_page_are_in_its_entry),
		cmocka_unit_test(tables_outside_memory_are_told),
	};

	return cmocka_run_group_tests_name("paging", tests, NULL, NULL);
}
