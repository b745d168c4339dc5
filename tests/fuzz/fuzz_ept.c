/*
 * EPT02 and a TLB, with the model of tests/host/ept_tlb.h: L1 changes and invalidates, L0 changes EPT01,
 * L2 uses pages, each as often as the input says. And walks of EPT12 alone, against the walk of
 * tests/host/ept_fake.h.
 */
#include "ept_tlb.h"
#include "fuzz.h"
#include "host_test.h"

#define STEPS 1000
#define CHANGES 450
_Static_assert(CHANGES < TLB_PAST, "the model remembers every change");

/* How often something happens, in 1024 steps; and how many changes there may be yet. */
struct rates {
	unsigned switches, changes, invalidates, l0_changes;
	unsigned changes_left;
};

static bool happens(struct tlb_test *test, unsigned rate)
{
	return host_random_below(&test->world.random, 1024) < rate;
}

static unsigned any_context(struct tlb_test *test)
{
	return (unsigned)host_random_below(&test->world.random, WORLD_CONTEXTS);
}

static void check_flags(struct tlb_test *test, const struct fake_translation *t, unsigned context, u8 access)
{
	if (!(test->world.eptp12[context] & EPTP_ACCESSED_DIRTY))
		return;
	AGREE(t->accessed);
	AGREE(t->dirty || !(access & EPT_WRITE));
}

/* Only four levels' worth of address are translated; beyond, no entry is even looked at. */
static void check_walk(struct tlb_test *test, unsigned context)
{
	struct world *world = &test->world;
	u64 eptp12 = world->eptp12[context], root = eptp12 & EPTP_ADDRESS;
	u64 address = world_random_address(world);
	u64 beyond = happens(test, 128) ? BIT(48 + host_random_below(&world->random, 16)) : 0;
	u8 access = world_random_access(world);
	struct fake_translation t = fake_translate(&world->pool12, root, address, &world->features12);
	struct ept_walk_result walk =
		ept_walk(eptp12, address | beyond, access, &world->features12, &world->memory12);

	AGREE(walk.rights == (beyond ? 0 : t.rights) || t.status == FAKE_BAD);
	if (beyond || t.status == FAKE_ABSENT || (t.status == FAKE_MAPPED && access & ~t.rights)) {
		AGREE(walk.status == EPT_WALK_VIOLATION);
		AGREE(beyond || walk.suppress_ve == *fake_entry(&world->pool12, root, address, t.level) >> 63);
		return;
	}
	if (t.status == FAKE_BAD) {
		AGREE(walk.status == EPT_WALK_MISCONFIGURATION || walk.status == EPT_WALK_UNREADABLE);
		return;
	}
	AGREE(walk.status == EPT_WALK_OK && walk.address == t.address);
	AGREE(walk.leaf.level == t.level && walk.leaf.rights == t.rights);
	AGREE(walk.leaf.memory_type == t.memory_type && walk.leaf.ignore_pat == t.ignore_pat);
	t = fake_translate(&world->pool12, root, address, &world->features12);
	check_flags(test, &t, context, access);
}

static unsigned step(struct tlb_test *test, struct rates *rates, unsigned context)
{
	if (happens(test, rates->switches))
		context = any_context(test);
	if (rates->changes_left && happens(test, rates->changes)) {
		rates->changes_left--;
		tlb_l1_changes(test, any_context(test));
	}
	if (happens(test, rates->invalidates))
		tlb_l1_invalidates(test, any_context(test));
	if (happens(test, rates->invalidates / 4))
		tlb_l1_invalidates_all(test);
	if (happens(test, rates->l0_changes))
		tlb_l0_changes(test);
	tlb_l2_uses(test, context);
	if (happens(test, 64))
		check_walk(test, context);
	return context;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct tlb_test test;
	struct fuzz_input input = fuzz_begin(data, size);
	struct rates rates = {
		.switches = fuzz_below(&input, 64),
		.changes = fuzz_below(&input, 256),
		.invalidates = fuzz_below(&input, 16),
		.l0_changes = fuzz_below(&input, 8),
		.changes_left = CHANGES,
	};
	struct tlb_seen seen = { 0 };
	unsigned context = 0;

	fuzz_drive(NULL);
	tlb_test_init(&test, fuzz_take(&input, 4), &seen);
	fuzz_drive(&input);
	for (unsigned i = 0; i < STEPS; i++)
		context = step(&test, &rates, context);
	ept02_drop_all(&test.cache);
	AGREE(test.pool02.in_use == TLB_SLOTS);
	tlb_test_free(&test);
	return 0;
}
