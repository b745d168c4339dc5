#include <stdio.h>

#include "ept_tlb.h"
#include "host_test.h"

#define ROUNDS 40
#define STEPS 3000

static void run_round(struct tlb_test *test)
{
	u64 *random = &test->world.random;
	unsigned context = 0;

	for (unsigned step = 0; step < STEPS; step++) {
		if (host_random_percent(random, 2))
			context = host_random_below(random, WORLD_CONTEXTS);
		if (host_random_percent(random, 5))
			tlb_l1_changes(test, host_random_below(random, WORLD_CONTEXTS));
		if (host_random_below(random, 300) == 0)
			tlb_l1_invalidates(test, host_random_below(random, WORLD_CONTEXTS));
		if (host_random_below(random, 300) == 0)
			tlb_l0_changes(test);
		tlb_l2_uses(test, context);
	}
}

static void no_cached_translation_outlives_its_invalidation(void **state)
{
	static struct tlb_test test;
	struct tlb_seen seen = { 0 };
	u64 random = host_seed();

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		tlb_test_init(&test, host_random(&random), &seen);
		run_round(&test);
		tlb_test_free(&test);
	}
	printf("# uses %u, of the TLB %u, by remembered tables %u, stale %u; invalidations %u, renewals %u\n",
	       seen.uses, seen.cached, seen.pointed, seen.stale, seen.invalidations, seen.renewals);
	assert_int_not_equal(seen.cached, 0);
	assert_int_not_equal(seen.pointed, 0);
	assert_int_not_equal(seen.stale, 0);
	assert_int_not_equal(seen.invalidations, 0);
	assert_int_not_equal(seen.renewals, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_cached_translation_outlives_its_invalidation),
	};

	return cmocka_run_group_tests_name("ept_tlb", tests, NULL, NULL);
}
