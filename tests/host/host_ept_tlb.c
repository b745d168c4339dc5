#include "ept_tlb.h"
#include "host_test.h"

#define POOL02_BASE BIT(35)

static bool within(u64 address, u64 region, u64 size)
{
	return address - region < size;
}

static struct tlb_entry *cpu_cached(struct tlb_cpu *cpu, u64 ep4ta, u64 address20)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct tlb_entry *e = &cpu->tlb[i];

		if (e->ep4ta == ep4ta && within(address20, e->address20, e->size))
			return e;
	}
	return NULL;
}

/* Of the tables that the CPU remembers for address20, that of the lowest level. */
static struct tlb_pointer *cpu_nearest(struct tlb_cpu *cpu, u64 ep4ta, u64 address20)
{
	struct tlb_pointer *nearest = NULL;

	for (unsigned i = 0; i < TLB_POINTERS; i++) {
		struct tlb_pointer *p = &cpu->pointers[i];

		if (p->ep4ta == ep4ta && within(address20, p->region, p->size) &&
		    (!nearest || p->level < nearest->level))
			nearest = p;
	}
	return nearest;
}

static void cpu_remember_table(struct tlb_cpu *cpu, u64 ep4ta, u64 address20, unsigned level, u64 table)
{
	u64 size = EPT_LEVEL_SIZE(level + 1);

	cpu->pointers[host_random_below(cpu->random, TLB_POINTERS)] =
		(struct tlb_pointer){ ep4ta, ALIGN_DOWN(address20, size), size, table, level };
}

/* SDM "Operations that Invalidate Cached Mappings": an EPT violation drops what it has used. */
static void cpu_forget_address(struct tlb_cpu *cpu, u64 ep4ta, u64 address20)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		if (cpu->tlb[i].ep4ta == ep4ta && within(address20, cpu->tlb[i].address20, cpu->tlb[i].size))
			cpu->tlb[i].size = 0;
	for (unsigned i = 0; i < TLB_POINTERS; i++)
		if (cpu->pointers[i].ep4ta == ep4ta &&
		    within(address20, cpu->pointers[i].region, cpu->pointers[i].size))
			cpu->pointers[i].size = 0;
}

static void cpu_invept(struct tlb_cpu *cpu, u64 ep4ta)
{
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		if (cpu->tlb[i].ep4ta == ep4ta)
			cpu->tlb[i].size = 0;
	for (unsigned i = 0; i < TLB_POINTERS; i++)
		if (cpu->pointers[i].ep4ta == ep4ta)
			cpu->pointers[i].size = 0;
}

/* A walk from the nearest table remembered, or from the root. A table back in the pool fails the test. */
static bool cpu_walk(struct tlb_cpu *cpu, u64 ep4ta, u64 address20, struct tlb_entry *found)
{
	const struct tlb_pointer *start = cpu_nearest(cpu, ep4ta, address20);
	unsigned level = start ? start->level : EPT_LEVELS;
	u64 table = start ? start->table : ep4ta;

	cpu->seen->pointed += start != NULL;
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
static bool cpu_translate(struct tlb_cpu *cpu, u64 ep4ta, u64 address20, u8 access, u64 *address00)
{
	struct tlb_entry *cached = cpu_cached(cpu, ep4ta, address20), found;

	if (cached) {
		cpu->seen->cached++;
		found = *cached;
	} else if (!cpu_walk(cpu, ep4ta, address20, &found)) {
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

static void past_add(struct tlb_past *past, u64 address00, u8 rights)
{
	for (unsigned i = 0; i < past->count; i++)
		if (past->address00[i] == address00 && past->rights[i] == rights)
			return;
	assert_true(past->count < TLB_PAST);
	past->address00[past->count] = address00;
	past->rights[past->count++] = rights;
}

static bool past_has(const struct tlb_past *past, u64 address00, u8 access)
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
		struct tlb_past *past = &test->past[context][i];
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

/* After a change of these tables or an invalidation of them, in every context that they are part of. */
static void note_tables(struct tlb_test *test, unsigned context, bool forget)
{
	for (unsigned i = 0; i < WORLD_CONTEXTS; i++)
		if (same_tables(test, i, context))
			note(test, i, forget);
}

static void note_all(struct tlb_test *test, bool forget)
{
	for (unsigned i = 0; i < WORLD_CONTEXTS; i++)
		note(test, i, forget);
}

static bool sets_nothing(void *context, u64 address, u64 bits)
{
	(void)context;
	(void)address;
	(void)bits;
	return false;
}

void tlb_l1_changes(struct tlb_test *test, unsigned context)
{
	world_change12(&test->world, context);
	note_tables(test, context, false);
}

void tlb_l1_invalidates(struct tlb_test *test, unsigned context)
{
	if (host_random_percent(test->cpu.random, 50))
		ept02_outdate(&test->cache, test->world.eptp12[context]);
	else
		ept02_drop(&test->cache, test->world.eptp12[context]);
	note_tables(test, context, true);
}

void tlb_l1_invalidates_all(struct tlb_test *test)
{
	if (host_random_percent(test->cpu.random, 50))
		ept02_outdate_all(&test->cache);
	else
		ept02_drop_all(&test->cache);
	note_all(test, true);
}

void tlb_l0_changes(struct tlb_test *test)
{
	world_change01(&test->world);
	ept02_drop_all(&test->cache);
	note_all(test, true);
}

/* What was dropped comes back as the tables are now, where no flag is to be set for it. */
static void l0_renews(struct tlb_test *test, unsigned context, struct ept02 *ept02)
{
	struct world *world = &test->world;
	struct ept_memory only_look = world->memory12;
	u64 fills[EPT02_FILLS];
	unsigned count = ept02_empty(&test->cache, ept02, fills);

	only_look.set_bits = sets_nothing;
	for (unsigned i = 0; i < count; i++)
		ept02_fill(&test->cache, ept02, world->eptp12[context], EPT02_FILL_ADDRESS(fills[i]),
			   EPT02_FILL_ACCESS(fills[i]), &world->features12, &only_look, &world->view01);
	assert_false(ept02->outdated);
	test->cpu.seen->renewals += count > 0;
}

/* What L0 does before it enters L2. */
static struct ept02 *l0_enter(struct tlb_test *test, unsigned context)
{
	struct ept02 *ept02 = ept02_get(&test->cache, test->world.eptp12[context], EPT02_NO_SUB_PAGES);

	if (ept02->outdated)
		l0_renews(test, context, ept02);
	if (ept02->invalidate) {
		cpu_invept(&test->cpu, ept02_eptp(ept02) & EPTP_ADDRESS);
		ept02->invalidate = false;
		test->cpu.seen->invalidations++;
	}
	return ept02;
}

static void check_use(struct tlb_test *test, unsigned context, unsigned page, u64 address00, u8 access)
{
	struct world_translation t = world_translate(&test->world, context, world_page(page));

	if (!past_has(&test->past[context][page], address00, access))
		fail_msg("context %u: page %#llx used at %#llx by access %u: never allowed", context,
			 (unsigned long long)world_page(page), (unsigned long long)address00, access);
	test->cpu.seen->uses++;
	test->cpu.seen->stale += !t.mapped || t.address00 != address00 || (access & ~t.rights);
}

/*
 * What EPT02 maps, now that it was filled: what the two tables say, but a page that is not dirty in EPT12
 * is not writable where L1 wants to know.
 */
static void check_mapping(struct tlb_test *test, unsigned context, const struct ept02 *ept02, u64 address20)
{
	struct world_translation t = world_translate(&test->world, context, address20);
	struct fake_translation t02 =
		fake_translate(&test->pool02, ept02->root, address20, &test->world.features01);
	bool tracked = test->world.eptp12[context] & EPTP_ACCESSED_DIRTY;

	assert_int_equal(t02.status, FAKE_MAPPED);
	assert_int_equal(t02.address, t.address00);
	assert_int_equal(t02.rights, tracked && !t.t12.dirty ? t.rights & ~EPT_WRITE : t.rights);
	assert_true(!tracked || t.t12.accessed);
}

/* An EPT violation as L0 answers it: by the tables as they are now. False if that maps nothing. */
static bool l0_fills(struct tlb_test *test, unsigned context, struct ept02 *ept02, u64 address20, u8 access)
{
	struct world *world = &test->world;
	struct world_translation t = world_translate(world, context, address20);
	struct ept02_result result =
		ept02_fill(&test->cache, ept02, world->eptp12[context], address20, access,
			   &world->features12, &world->memory12, &world->view01);

	assert_int_equal(result.fill, world_verdict(&t, access));
	if (result.fill != EPT02_FILLED)
		return false;
	check_mapping(test, context, ept02, address20);
	return true;
}

void tlb_l2_uses(struct tlb_test *test, unsigned context)
{
	struct world *world = &test->world;
	unsigned page = host_random_below(&world->random, WORLD_PAGES);
	u64 address20 = world_page(page), address00;
	u8 access = world_random_access(world);
	struct ept02 *ept02 = l0_enter(test, context);

	if (!cpu_translate(&test->cpu, ept02->root, address20, access, &address00)) {
		if (!l0_fills(test, context, ept02, address20, access))
			return;
		ept02 = l0_enter(test, context);
		/* Else L2 would exit for ever. */
		assert_true(cpu_translate(&test->cpu, ept02->root, address20, access, &address00));
	}
	check_use(test, context, page, address00, access);
}

static void note_the_start(struct tlb_test *test)
{
	for (unsigned i = 0; i < 120; i++) {
		world_change01(&test->world);
		world_change12(&test->world, i % WORLD_CONTEXTS);
	}
	note_all(test, true);
}

void tlb_test_init(struct tlb_test *test, u64 seed, struct tlb_seen *seen)
{
	unsigned room = EPT_LEVELS - 1 + seed % 40;
	u8 max_level = 1 + seed / 40 % 3;

	*test = (struct tlb_test){ 0 };
	world_init(&test->world, seed);
	fake_pool_init(&test->pool02, POOL02_BASE, TLB_SLOTS + room);
	assert_true(ept02_cache_init(&test->cache, test->slots, TLB_SLOTS, &test->pool02.pages, max_level));
	test->cpu.random = &test->world.random;
	test->cpu.pool02 = &test->pool02;
	test->cpu.seen = seen;
	note_the_start(test);
}

void tlb_test_free(struct tlb_test *test)
{
	fake_pool_free(&test->pool02);
	world_free(&test->world);
}
