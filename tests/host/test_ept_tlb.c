/*
 * A CPU that keeps translations and pointers to tables for as long as the SDM lets it ("Caching
 * Translation Information") runs on EPT02 while L1 changes EPT12, invalidates late or not at all, and
 * EPT01 changes under both. Whatever it uses must be what EPT12 and EPT01 said at some time since L1
 * last invalidated that context and since EPT01 last changed.
 */
#include <stdio.h>

#include "ept_world.h"
#include "host_test.h"

#define ROUNDS 40
#define STEPS 3000
#define SLOTS 3
#define POOL02_BASE BIT(35)
#define TLB_ENTRIES 128
#define POINTERS 64
#define PAST 512

/* A guest-physical translation as a TLB has it; no size, no entry. */
struct tlb_entry {
	u64 ep4ta, address20, address00, size;
	u8 rights;
};

/* An entry of a paging-structure cache: where the table of a level for a region lies. */
struct pointer {
	u64 ep4ta, region, size, table;
	unsigned level;
};

struct cpu {
	u64 *random;
	struct fake_pool *pool02;
	struct tlb_entry tlb[TLB_ENTRIES];
	struct pointer pointers[POINTERS];
};

/* What a page has been translated to since the last invalidation. */
struct past {
	unsigned count;
	u64 address00[PAST];
	u8 rights[PAST];
};

struct tlb_test {
	struct world world;
	struct fake_pool pool02;
	struct ept02 slots[SLOTS];
	struct ept02_cache cache;
	struct cpu cpu;
	struct past past[WORLD_CONTEXTS][WORLD_PAGES];
};

/* What has been seen at all. */
struct seen {
	unsigned uses, cached, pointed, stale, invalidations;
};

static bool within(u64 address, u64 region, u64 size)
{
	return address - region < size;
}

static struct tlb_entry *cpu_cached(struct cpu *cpu, u64 ep4ta, u64 address20)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct tlb_entry *e = &cpu->tlb[i];

		if (e->ep4ta == ep4ta && within(address20, e->address20, e->size))
			return e;
	}
	return NULL;
}

/* Of the tables that the CPU remembers for address20, that of the lowest level. */
static struct pointer *cpu_nearest(struct cpu *cpu, u64 ep4ta, u64 address20)
{
	struct pointer *nearest = NULL;

	for (unsigned i = 0; i < POINTERS; i++) {
		struct pointer *p = &cpu->pointers[i];

		if (p->ep4ta == ep4ta && within(address20, p->region, p->size) &&
		    (!nearest || p->level < nearest->level))
			nearest = p;
	}
	return nearest;
}

static void cpu_remember_table(struct cpu *cpu, u64 ep4ta, u64 address20, unsigned level, u64 table)
{
	u64 size = EPT_LEVEL_SIZE(level + 1);

	cpu->pointers[host_random_below(cpu->random, POINTERS)] =
		(struct pointer){ ep4ta, ALIGN_DOWN(address20, size), size, table, level };
}

/* SDM "Operations that Invalidate Cached Mappings": an EPT violation drops what it has used. */
static void cpu_forget_address(struct cpu *cpu, u64 ep4ta, u64 address20)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		if (cpu->tlb[i].ep4ta == ep4ta && within(address20, cpu->tlb[i].address20, cpu->tlb[i].size))
			cpu->tlb[i].size = 0;
	for (unsigned i = 0; i < POINTERS; i++)
		if (cpu->pointers[i].ep4ta == ep4ta &&
		    within(address20, cpu->pointers[i].region, cpu->pointers[i].size))
			cpu->pointers[i].size = 0;
}

static void cpu_invept(struct cpu *cpu, u64 ep4ta)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		if (cpu->tlb[i].ep4ta == ep4ta)
			cpu->tlb[i].size = 0;
	for (unsigned i = 0; i < POINTERS; i++)
		if (cpu->pointers[i].ep4ta == ep4ta)
			cpu->pointers[i].size = 0;
}

/* A walk from the nearest table remembered, or from the root. A table back in the pool fails the test. */
static bool cpu_walk(struct cpu *cpu, u64 ep4ta, u64 address20, struct tlb_entry *found, struct seen *seen)
{
	const struct pointer *start = cpu_nearest(cpu, ep4ta, address20);
	unsigned level = start ? start->level : EPT_LEVELS;
	u64 table = start ? start->table : ep4ta;

	seen->pointed += start != NULL;
	for (;; level--) {
		u64 index = address20 >> EPT_LEVEL_SHIFT(level) & (EPT_ENTRIES - 1);
		u64 entry = fake_pool_entries(cpu->pool02, table)[index];
		u64 size = EPT_LEVEL_SIZE(level);

		if (!(entry & EPT_RWX))
			return false;
		if (level == 1 || (entry & EPT_LARGE)) {
			u64 page = entry & EPT_ADDRESS & ~(size - 1);

			*found = (struct tlb_entry){ ep4ta, ALIGN_DOWN(address20, size), page, size,
						     entry & EPT_RWX };
			return true;
		}
		/* In tables that L0 makes only leaves withhold rights. */
		assert_int_equal(entry & EPT_RWX, EPT_RWX);
		table = entry & EPT_ADDRESS;
		if (host_random_percent(cpu->random, 70))
			cpu_remember_table(cpu, ep4ta, address20, level - 1, table);
	}
}

/* The translation that the CPU uses for an access; false for an EPT violation. */
static bool cpu_translate(struct cpu *cpu, u64 ep4ta, u64 address20, u8 access, u64 *address00,
			  struct seen *seen)
{
	struct tlb_entry *cached = cpu_cached(cpu, ep4ta, address20), found;

	if (cached) {
		seen->cached++;
		found = *cached;
	} else if (!cpu_walk(cpu, ep4ta, address20, &found, seen)) {
		cpu_forget_address(cpu, ep4ta, address20);
		return false;
	} else if (host_random_percent(cpu->random, 80)) {
		cpu->tlb[host_random_below(cpu->random, TLB_ENTRIES)] = found;
	}
	if (access & ~found.rights) {
		cpu_forget_address(cpu, ep4ta, address20);
		return false;
	}
	*address00 = found.address00 + (address20 - found.address20);
	return true;
}

static void past_add(struct past *past, u64 address00, u8 rights)
{
	for (unsigned i = 0; i < past->count; i++)
		if (past->address00[i] == address00 && past->rights[i] == rights)
			return;
	assert_true(past->count < PAST);
	past->address00[past->count] = address00;
	past->rights[past->count++] = rights;
}

static bool past_has(const struct past *past, u64 address00, u8 access)
{
	for (unsigned i = 0; i < past->count; i++)
		if (past->address00[i] == address00 && !(access & ~past->rights[i]))
			return true;
	return false;
}

/* Note what the tables say now; forgetting first what they said before, after an invalidation. */
static void note(struct tlb_test *test, unsigned context, bool forget)
{
	for (unsigned i = 0; i < WORLD_PAGES; i++) {
		struct past *past = &test->past[context][i];
		struct world_translation t = world_translate(&test->world, context, world_page(i));

		if (forget)
			past->count = 0;
		if (t.mapped)
			past_add(past, t.address00, t.rights);
	}
}

static bool same_tables(const struct tlb_test *test, unsigned a, unsigned b)
{
	return !((test->world.eptp12[a] ^ test->world.eptp12[b]) & EPTP_ADDRESS);
}

static void l1_changes(struct tlb_test *test, unsigned context, bool invept)
{
	if (invept)
		ept02_drop(&test->cache, test->world.eptp12[context]);
	else
		world_change12(&test->world, context);
	for (unsigned i = 0; i < WORLD_CONTEXTS; i++)
		if (same_tables(test, i, context))
			note(test, i, invept);
}

static void l0_changes(struct tlb_test *test)
{
	world_change01(&test->world);
	ept02_drop_all(&test->cache);
	for (unsigned i = 0; i < WORLD_CONTEXTS; i++)
		note(test, i, true);
}

/* What L0 does before it enters L2. */
static struct ept02 *l0_enter(struct tlb_test *test, unsigned context, struct seen *seen)
{
	struct ept02 *ept02 = ept02_get(&test->cache, test->world.eptp12[context]);

	if (ept02->invalidate) {
		cpu_invept(&test->cpu, ept02_eptp(ept02) & EPTP_ADDRESS);
		ept02->invalidate = false;
		seen->invalidations++;
	}
	return ept02;
}

static void check_use(struct tlb_test *test, unsigned context, unsigned page, u64 address00, u8 access,
		      struct seen *seen)
{
	struct world_translation t = world_translate(&test->world, context, world_page(page));

	if (!past_has(&test->past[context][page], address00, access))
		fail_msg("context %u: page %#llx used at %#llx by access %u: never allowed", context,
			 (unsigned long long)world_page(page), (unsigned long long)address00, access);
	seen->uses++;
	seen->stale += !t.mapped || t.address00 != address00 || (access & ~t.rights);
}

static void touch(struct tlb_test *test, unsigned context, struct seen *seen)
{
	struct world *world = &test->world;
	unsigned page = host_random_below(&world->random, WORLD_PAGES);
	u64 address20 = world_page(page), address00;
	u8 access = world_random_access(world);
	struct ept02_result result;
	struct ept02 *ept02 = l0_enter(test, context, seen);

	if (!cpu_translate(&test->cpu, ept02->root, address20, access, &address00, seen)) {
		result = ept02_fill(&test->cache, ept02, world->eptp12[context], address20, access,
				    &world->features12, &world->memory12, &world->view01);
		if (result.fill != EPT02_FILLED)
			return;
		ept02 = l0_enter(test, context, seen);
		/* Else L2 would exit for ever. */
		assert_true(cpu_translate(&test->cpu, ept02->root, address20, access, &address00, seen));
	}
	check_use(test, context, page, address00, access, seen);
}

static void test_init(struct tlb_test *test, u64 seed)
{
	u8 max_level = 1 + seed / 40 % 3;

	*test = (struct tlb_test){ 0 };
	world_init(&test->world, seed);
	fake_pool_init(&test->pool02, POOL02_BASE, SLOTS + EPT_LEVELS - 1 + seed % 40);
	assert_true(ept02_cache_init(&test->cache, test->slots, SLOTS, &test->pool02.pages, max_level));
	test->cpu.random = &test->world.random;
	test->cpu.pool02 = &test->pool02;
	for (unsigned i = 0; i < 120; i++) {
		world_change01(&test->world);
		world_change12(&test->world, i % WORLD_CONTEXTS);
	}
	for (unsigned i = 0; i < WORLD_CONTEXTS; i++)
		note(test, i, true);
}

static void run_round(struct tlb_test *test, struct seen *seen)
{
	u64 *random = &test->world.random;
	unsigned context = 0;

	for (unsigned step = 0; step < STEPS; step++) {
		if (host_random_percent(random, 2))
			context = host_random_below(random, WORLD_CONTEXTS);
		if (host_random_percent(random, 5))
			l1_changes(test, host_random_below(random, WORLD_CONTEXTS), false);
		if (host_random_below(random, 300) == 0)
			l1_changes(test, host_random_below(random, WORLD_CONTEXTS), true);
		if (host_random_below(random, 300) == 0)
			l0_changes(test);
		touch(test, context, seen);
	}
}

static void no_cached_translation_outlives_its_invalidation(void **state)
{
	static struct tlb_test test;
	struct seen seen = { 0 };
	u64 random = host_seed();

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		test_init(&test, host_random(&random));
		run_round(&test, &seen);
		fake_pool_free(&test.pool02);
		world_free(&test.world);
	}
	printf("# uses %u, of the TLB %u, by remembered tables %u, stale %u; invalidations %u\n", seen.uses,
	       seen.cached, seen.pointed, seen.stale, seen.invalidations);
	assert_int_not_equal(seen.cached, 0);
	assert_int_not_equal(seen.pointed, 0);
	assert_int_not_equal(seen.stale, 0);
	assert_int_not_equal(seen.invalidations, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_cached_translation_outlives_its_invalidation),
	};

	return cmocka_run_group_tests_name("ept_tlb", tests, NULL, NULL);
}
