#include "ept_world.h"
#include "host_test.h"

#define POOL12_BASE BIT(38)
#define POOL01_BASE BIT(37)
#define TABLES_12 128
#define TABLES_01 64
#define NOWHERE BIT(36)

u64 world_page(unsigned number)
{
	static const u64 high[] = { 0, 1 }, low[] = { 0, 1, 511 };

	return high[number % 2] << 39 | high[number / 2 % 2] << 30 | low[number / 4 % 3] << 21 |
	       low[number / 12 % 3] << 12;
}

static u64 random_page(struct world *world)
{
	return world_page(host_random_below(&world->random, WORLD_PAGES));
}

u64 world_random_address(struct world *world)
{
	return random_page(world) | host_random_below(&world->random, PAGE_SIZE);
}

u8 world_random_access(struct world *world)
{
	static const u8 access[] = { EPT_READ, EPT_WRITE, EPT_EXECUTE, EPT_READ | EPT_WRITE };

	return access[host_random_below(&world->random, ARRAY_SIZE(access))];
}

static unsigned random_level(struct world *world, unsigned lowest)
{
	return lowest + host_random_below(&world->random, EPT_LEVELS - lowest);
}

static bool lookup01(void *context, u64 address10, struct ept_leaf *leaf)
{
	struct world *world = context;

	return ept_table_lookup(&world->pool01.pages, world->root01, address10, leaf);
}

void world_init(struct world *world, u64 seed)
{
	*world = (struct world){ .random = seed, .view01 = { world, lookup01 } };
	fake_pool_init(&world->pool12, POOL12_BASE, TABLES_12);
	fake_pool_init(&world->pool01, POOL01_BASE, TABLES_01);
	world->root01 = fake_pool_allocate(&world->pool01);
	for (unsigned i = 0; i < WORLD_CONTEXTS - 1; i++)
		world->eptp12[i] = fake_pool_allocate(&world->pool12) | MEMORY_WB |
				   3 << EPTP_WALK_LENGTH_SHIFT |
				   (i == 1 ? EPTP_ACCESSED_DIRTY : 0);
	world->eptp12[WORLD_CONTEXTS - 1] = world->eptp12[WORLD_CONTEXTS - 2] | EPTP_ACCESSED_DIRTY;
	world->features01 = (struct ept_features){ 46, true, true, true, true };
	world->features12 = (struct ept_features){
		.maxphyaddr = 40,
		.execute_only = host_random_percent(&world->random, 50),
		.page2m = host_random_percent(&world->random, 90),
		.page1g = host_random_percent(&world->random, 80),
		.accessed_dirty = true,
	};
	world->misconfigures = host_random_percent(&world->random, 70);
	world->least_level01 = random_level(world, 1);
	world->memory12 = fake_memory(&world->pool12);
	world->memory12.path = &world->path12;
}

void world_free(struct world *world)
{
	fake_pool_free(&world->pool12);
	fake_pool_free(&world->pool01);
}

static u64 random_memory_type(struct world *world)
{
	static const u8 types[] = {
		MEMORY_WB, MEMORY_WB, MEMORY_WB, MEMORY_UC, MEMORY_WC, MEMORY_WT, MEMORY_WP,
	};

	return types[host_random_below(&world->random, ARRAY_SIZE(types))];
}

static u64 random_rights(struct world *world, bool execute_only)
{
	static const u8 rights[] = {
		EPT_RWX, EPT_RWX, EPT_RWX, EPT_READ,
		EPT_READ | EPT_WRITE, EPT_READ | EPT_EXECUTE, EPT_EXECUTE,
	};
	u8 r = rights[host_random_below(&world->random, ARRAY_SIZE(rights))];

	return r == EPT_EXECUTE && !execute_only ? EPT_RWX : r;
}

/* One way or another that an entry may be malformed; some are harmless by chance. */
static u64 spoil(struct world *world, u64 entry)
{
	switch (host_random_below(&world->random, 5)) {
	case 0:
		return (entry & ~EPT_RWX) | EPT_WRITE;
	case 1:
		return (entry & ~EPT_RWX) | EPT_EXECUTE;
	case 2:
		return entry | BIT(40 + host_random_below(&world->random, 12));
	case 3:
		return entry ^ BIT(EPT_MEMORY_TYPE_SHIFT + host_random_below(&world->random, 5));
	default:
		return entry ^ BIT(PAGE_SHIFT + host_random_below(&world->random, 18));
	}
}

static u64 random_leaf12(struct world *world, unsigned level)
{
	u64 entry = ALIGN_DOWN(random_page(world), EPT_LEVEL_SIZE(level)) |
		    random_rights(world, world->features12.execute_only) |
		    random_memory_type(world) << EPT_MEMORY_TYPE_SHIFT;

	if (level > 1)
		entry |= EPT_LARGE;
	if (host_random_percent(&world->random, 20))
		entry |= EPT_IGNORE_PAT;
	if (host_random_percent(&world->random, 20))
		entry |= EPT_DIRTY;
	if (host_random_percent(&world->random, 20))
		entry |= EPT_SUPPRESS_VE;
	if (world->misconfigures && host_random_percent(&world->random, 10))
		entry = spoil(world, entry);
	return entry;
}

/* Rights of an entry above a leaf's; or a table where no memory is. */
static void change_table12(struct world *world, u64 root, u64 address20)
{
	unsigned level = 2 + host_random_below(&world->random, 3);
	const u64 *entry = fake_entry(&world->pool12, root, address20, level);

	if (!entry || !(*entry & EPT_RWX) || (level < 4 && (*entry & EPT_LARGE)))
		return;
	if (world->misconfigures && host_random_percent(&world->random, 5))
		fake_write_entry(&world->pool12, root, address20, level, NOWHERE | EPT_RWX);
	else
		fake_write_entry(&world->pool12, root, address20, level,
				 (*entry & ~EPT_RWX) | random_rights(world, world->features12.execute_only));
}

void world_change12(struct world *world, unsigned context)
{
	u64 root = world->eptp12[context] & EPTP_ADDRESS, address20 = random_page(world);
	unsigned level = random_level(world, 1);

	switch (host_random_below(&world->random, 8)) {
	case 0:
		fake_write_entry(&world->pool12, root, address20, level, 0);
		break;
	case 1:
		change_table12(world, root, address20);
		break;
	default:
		fake_write_entry(&world->pool12, root, address20, level, random_leaf12(world, level));
	}
}

void world_change01(struct world *world)
{
	const struct ept_pages *pages = &world->pool01.pages;
	u64 address10 = random_page(world);
	struct ept_leaf leaf = {
		.level = random_level(world, world->least_level01),
		.rights = random_rights(world, true),
		.memory_type = random_memory_type(world),
		.ignore_pat = host_random_percent(&world->random, 20),
	};
	u64 size = EPT_LEVEL_SIZE(leaf.level);

	switch (host_random_below(&world->random, 8)) {
	case 0:
		ept_table_unmap(pages, world->root01, address10);
		break;
	case 1:
		assert_true(ept_table_protect(pages, world->root01, address10, leaf.rights));
		break;
	default:
		leaf.address = ALIGN_DOWN(host_random(&world->random) & BITS(45, 0), size);
		assert_true(ept_table_map(pages, world->root01, ALIGN_DOWN(address10, size), &leaf));
	}
}

struct world_translation world_translate(struct world *world, unsigned context, u64 address20)
{
	struct world_translation t = { 0 };

	t.t12 = fake_translate(&world->pool12, world->eptp12[context] & EPTP_ADDRESS, address20,
			       &world->features12);
	if (t.t12.status != FAKE_MAPPED)
		return t;
	t.t01 = fake_translate(&world->pool01, world->root01, t.t12.address, &world->features01);
	assert_int_not_equal(t.t01.status, FAKE_BAD);
	if (t.t01.status != FAKE_MAPPED)
		return t;
	t.mapped = true;
	t.address00 = t.t01.address;
	t.rights = t.t12.rights & t.t01.rights;
	return t;
}

enum ept02_fill world_verdict(const struct world_translation *t, u8 access)
{
	if (t->t12.status == FAKE_BAD)
		return EPT02_MISCONFIGURED12;
	if (t->t12.status == FAKE_ABSENT || (access & ~t->t12.rights))
		return EPT02_VIOLATION12;
	return !t->mapped || (access & ~t->rights) ? EPT02_DENIED01 : EPT02_FILLED;
}
