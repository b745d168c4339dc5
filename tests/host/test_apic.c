#include "host_test.h"
#include "vmcs_shadow/apic.h"

#define TO(destination) ((u64)(destination) << 56)
#define TO_X2(destination) ((u64)(destination) << 32)
#define BY(shorthand) ((u64)(shorthand) << ICR_SHORTHAND_SHIFT)
#define FLAT ~0u
#define CLUSTER 0x0fffffffu

static const struct apic_address zero = { .id = 0 }, three = { .id = 3u << 24, .ldr = 8u << 24, .dfr = FLAT };
static const struct apic_address clustered = { .id = 5u << 24, .ldr = 0x24u << 24, .dfr = CLUSTER };
static const struct apic_address x2_from = { .x2apic = true };
static const struct apic_address x2 = { .x2apic = true, .id = 0x123, .ldr = 0x120008 };

static void physical_destinations(void **state)
{
	(void)state;
	assert_true(icr_selects(TO(3), &zero, &three));
	assert_false(icr_selects(TO(2), &zero, &three));
	assert_true(icr_selects(TO(0xff), &zero, &three));
	assert_true(icr_selects(TO(0xff), &three, &three));
	assert_true(icr_selects(TO_X2(0x123), &x2_from, &x2));
	assert_false(icr_selects(TO_X2(0x23), &x2_from, &x2));
	assert_false(icr_selects(TO_X2(0xff), &x2_from, &x2));
	assert_true(icr_selects(TO_X2(~0u), &x2_from, &x2));
}

static void logical_destinations(void **state)
{
	(void)state;
	assert_true(icr_selects(TO(0x0c) | ICR_LOGICAL, &zero, &three));
	assert_false(icr_selects(TO(0x07) | ICR_LOGICAL, &zero, &three));
	assert_true(icr_selects(TO(0x26) | ICR_LOGICAL, &zero, &clustered));
	assert_false(icr_selects(TO(0x22) | ICR_LOGICAL, &zero, &clustered));
	assert_false(icr_selects(TO(0x34) | ICR_LOGICAL, &zero, &clustered));
	assert_true(icr_selects(TO(0xf4) | ICR_LOGICAL, &zero, &clustered));
	assert_true(icr_selects(TO(0xff) | ICR_LOGICAL, &zero, &clustered));
	assert_true(icr_selects(TO_X2(0x12000c) | ICR_LOGICAL, &x2_from, &x2));
	assert_false(icr_selects(TO_X2(0x120004) | ICR_LOGICAL, &x2_from, &x2));
	assert_false(icr_selects(TO_X2(0x110008) | ICR_LOGICAL, &x2_from, &x2));
}

static void shorthands(void **state)
{
	(void)state;
	assert_true(icr_selects(BY(ICR_to_others), &zero, &three));
	assert_false(icr_selects(BY(ICR_to_others), &three, &three));
	assert_false(icr_selects(BY(ICR_to_self) | TO(3), &three, &three));
	assert_false(icr_selects(BY(ICR_to_all), &zero, &three));
}

static void modes(void **state)
{
	(void)state;
	assert_int_equal(icr_mode(0xc4500), ICR_init);
	assert_int_equal(icr_mode(0x4612), ICR_sipi);
	assert_int_equal(icr_mode(0x40fe), ICR_fixed);
	assert_false(icr_is_deassert(0xc500));
	assert_true(icr_is_deassert(0x8500));
	assert_false(icr_is_deassert(0x500));
	assert_false(icr_is_deassert(0x8600));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(physical_destinations),
		cmocka_unit_test(logical_destinations),
		cmocka_unit_test(shorthands),
		cmocka_unit_test(modes),
	};

	return cmocka_run_group_tests_name("apic", tests, NULL, NULL);
}
