/*
 * EPT02 and a TLB, with the model of tests/host/ept_tlb.h: L1 changes and invalidates, L0 changes EPT01,
 * L2 uses pages. Every choice after the start is the input's, and random when it is used up.
 */
#include "ept_tlb.h"
#include "fuzz.h"
#include "host_test.h"

#define STEPS 300
_Static_assert(STEPS < TLB_PAST, "the model remembers every change");

static void step(struct tlb_test *test)
{
	u64 *random = &test->world.random;
	unsigned choice = (unsigned)host_random_below(random, 32), context = choice % WORLD_CONTEXTS;

	if (choice < 20)
		tlb_l2_uses(test, context);
	else if (choice < 28)
		tlb_l1_changes(test, context);
	else if (choice < 30)
		tlb_l1_invalidates(test, (unsigned)host_random_below(random, WORLD_CONTEXTS));
	else if (choice < 31)
		tlb_l1_invalidates_all(test);
	else
		tlb_l0_changes(test);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct tlb_test test;
	struct fuzz_input input = { data, size };
	struct tlb_seen seen = { 0 };

	fuzz_drive(NULL);
	tlb_test_init(&test, fuzz_take(&input, 4), &seen);
	fuzz_drive(&input);
	for (unsigned i = 0; i < STEPS; i++)
		step(&test);
	ept02_drop_all(&test.cache);
	AGREE(test.pool02.in_use == TLB_SLOTS);
	tlb_test_free(&test);
	return 0;
}
