#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/bitmaps.h"

/* The byte and bit of an access, as the SDM describes the four parts. */
static bool msr_place(u32 msr, bool write, unsigned *byte, unsigned *bit)
{
	unsigned part = write ? 2048 : 0;

	if (msr >= 0xc0000000 && msr <= 0xc0001fff)
		part += 1024;
	else if (msr > 0x1fff)
		return false;
	*byte = part + (msr & 0x1fff) / 8;
	*bit = msr % 8;
	return true;
}

static unsigned bits_set(const u64 *bitmap)
{
	unsigned count = 0;

	for (unsigned i = 0; i < BITMAP_WORDS; i++)
		count += (unsigned)__builtin_popcountll(bitmap[i]);
	return count;
}

static void check_msr(u32 msr, bool write)
{
	u64 bitmap[BITMAP_WORDS] = { 0 };
	unsigned byte, bit;

	if (!msr_place(msr, write, &byte, &bit)) {
		msr_bitmap_trap(bitmap, msr, write);
		assert_int_equal(bits_set(bitmap), 0);
		assert_true(msr_bitmap_traps(bitmap, msr, write));
		memset(bitmap, 0xff, sizeof(bitmap));
		msr_bitmap_pass(bitmap, msr, write);
		assert_int_equal(bits_set(bitmap), 8 * PAGE_SIZE);
		return;
	}
	assert_false(msr_bitmap_traps(bitmap, msr, write));
	msr_bitmap_trap(bitmap, msr, write);
	assert_int_equal(((const u8 *)bitmap)[byte], 1 << bit);
	assert_int_equal(bits_set(bitmap), 1);
	assert_true(msr_bitmap_traps(bitmap, msr, write));
	assert_false(msr_bitmap_traps(bitmap, msr, !write));
	memset(bitmap, 0xff, sizeof(bitmap));
	msr_bitmap_pass(bitmap, msr, write);
	assert_int_equal(((const u8 *)bitmap)[byte], 0xff ^ 1 << bit);
	assert_int_equal(bits_set(bitmap), 8 * PAGE_SIZE - 1);
	assert_false(msr_bitmap_traps(bitmap, msr, write));
}

static void every_msr_has_its_bit_and_no_other(void **state)
{
	static const u32 edges[] = {
		0, 1, 0x10, 0x3f, 0x40, 0x1ffe, 0x1fff, 0x2000, 0x2001, 0x40000000, 0xbfffffff, 0xc0000000,
		0xc0000001, 0xc0000080, 0xc0001fff, 0xc0002000, 0xc0010000, 0xffffffff,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
		check_msr(edges[i], false);
		check_msr(edges[i], true);
	}
	for (u32 msr = 0; msr < 0x2040; msr += 13) {
		check_msr(msr, false);
		check_msr(0xc0000000 + msr, true);
	}
}

static void every_port_has_its_bit(void **state)
{
	u64 a[BITMAP_WORDS] = { 0 }, b[BITMAP_WORDS] = { 0 };

	(void)state;
	for (unsigned port = 0; port < 0x10000; port++) {
		const u8 *bytes = (const u8 *)(port < 0x8000 ? a : b);

		assert_false(io_bitmap_traps(a, b, (u16)port, 1));
		io_bitmap_trap(a, b, (u16)port);
		assert_int_equal(bytes[port % 0x8000 / 8], (2 << port % 8) - 1);
		assert_true(io_bitmap_traps(a, b, (u16)port, 1));
	}
	assert_int_equal(bits_set(a), 0x8000);
	assert_int_equal(bits_set(b), 0x8000);
	io_bitmap_pass(a, b, 0x7fff);
	io_bitmap_pass(a, b, 0x8000);
	assert_int_equal(((const u8 *)a)[0xfff], 0x7f);
	assert_int_equal(((const u8 *)b)[0], 0xfe);
	assert_false(io_bitmap_traps(a, b, 0x7fff, 2));
	assert_true(io_bitmap_traps(a, b, 0x7ffe, 2));
	assert_true(io_bitmap_traps(a, b, 0x8000, 2));
}

static void an_access_exits_for_any_port_that_it_touches(void **state)
{
	static const u16 ports[] = { 0, 0x3f8, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfff0 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		u64 a[BITMAP_WORDS] = { 0 }, b[BITMAP_WORDS] = { 0 };

		io_bitmap_trap(a, b, ports[i]);
		for (unsigned size = 1; size <= 4; size *= 2)
			for (unsigned first = ports[i] & ~7u; first < ports[i] + 8u; first++)
				assert_int_equal(io_bitmap_traps(a, b, (u16)first, size),
						 first <= ports[i] && ports[i] < first + size);
	}
}

static void an_access_around_the_last_port_exits(void **state)
{
	u64 a[BITMAP_WORDS] = { 0 }, b[BITMAP_WORDS] = { 0 };

	(void)state;
	assert_false(io_bitmap_traps(a, b, 0xffff, 1));
	assert_false(io_bitmap_traps(a, b, 0xfffc, 4));
	assert_true(io_bitmap_traps(a, b, 0xffff, 2));
	assert_true(io_bitmap_traps(a, b, 0xfffd, 4));
}

static void merged_bitmaps_exit_where_either_does(void **state)
{
	u64 random = host_seed(), one[BITMAP_WORDS], other[BITMAP_WORDS], merged[BITMAP_WORDS];

	(void)state;
	for (unsigned i = 0; i < BITMAP_WORDS; i++) {
		one[i] = host_random(&random) & host_random(&random);
		other[i] = host_random(&random) & host_random(&random);
	}
	bitmap_merge(merged, one, other);
	for (u32 msr = 0; msr < 0x2000; msr++)
		assert_int_equal(msr_bitmap_traps(merged, msr, true),
				 msr_bitmap_traps(one, msr, true) || msr_bitmap_traps(other, msr, true));
	/* One of the two may be the result's own place. */
	bitmap_merge(one, one, other);
	assert_memory_equal(one, merged, sizeof(merged));
}

/* SDM "VMCS Shadowing Bitmap Addresses": the bit of an encoding is at the place that it names. */
static void every_field_has_its_bits_and_no_other(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		struct field_set one = { { 0 } };
		u64 bitmap[BITMAP_WORDS] = { 0 };
		u32 encoding = vmcs_field[i].encoding;

		field_set_add(&one, (enum vmcs_field)i);
		vmcs_bitmap_trap(bitmap, &one);
		for (u32 e = 0; e < 0x8000; e++) {
			bool its = e == encoding || (e == encoding + 1 && encoding >> 13 == 1);

			assert_int_equal(((const u8 *)bitmap)[e / 8] >> e % 8 & 1, its);
			assert_int_equal(vmcs_bitmap_traps(bitmap, e), its);
		}
		assert_true(vmcs_bitmap_traps(bitmap, 0x8000));
		assert_true(vmcs_bitmap_traps(bitmap, BIT(32) | encoding));
	}
}

/* A field passes if the whole or its high half does. */
static void a_field_passes_if_a_part_of_it_does(void **state)
{
	u64 bitmap[BITMAP_WORDS];
	struct field_set passes;

	(void)state;
	memset(bitmap, 0xff, sizeof(bitmap));
	passes = vmcs_bitmap_passes(bitmap);
	assert_int_equal(field_set_take(&passes), VMCS_FIELDS);
	((u8 *)bitmap)[0x6820 / 8] &= (u8)~(1 << 0x6820 % 8); /* guest_rflags */
	((u8 *)bitmap)[0x2011 / 8] &= (u8)~(1 << 0x2011 % 8); /* the high half of tsc_offset */
	((u8 *)bitmap)[0x4003 / 8] &= (u8)~(1 << 0x4003 % 8); /* no field's */
	passes = vmcs_bitmap_passes(bitmap);
	assert_true(field_set_has(&passes, F_guest_rflags));
	assert_true(field_set_has(&passes, F_tsc_offset));
	field_set_remove(&passes, F_guest_rflags);
	field_set_remove(&passes, F_tsc_offset);
	assert_int_equal(field_set_take(&passes), VMCS_FIELDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_msr_has_its_bit_and_no_other),
		cmocka_unit_test(every_port_has_its_bit),
		cmocka_unit_test(an_access_exits_for_any_port_that_it_touches),
		cmocka_unit_test(an_access_around_the_last_port_exits),
		cmocka_unit_test(merged_bitmaps_exit_where_either_does),
		cmocka_unit_test(every_field_has_its_bits_and_no_other),
		cmocka_unit_test(a_field_passes_if_a_part_of_it_does),
	};

	return cmocka_run_group_tests_name("bitmaps", tests, NULL, NULL);
}
