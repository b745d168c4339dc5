#include "l1_memory.h"
#include "kick.h"
#include "l1_apic.h"
#include "l1_exit.h"
#include "cpu.h"
#include "options.h"
#include "print.h"
#include "string.h"

#define LOW_RAM_END 0xa0000ull
#define SPARE_TABLES 128

static struct l1_region regions[L1_REGIONS];
static unsigned region_count;
struct l1_recent l1_recent = { .region = regions };
static u64 hole; /* a host page that nothing backs */
static u64 ept01_root;
static struct page_stack stack01;
static struct ept_pages pages01;
u64 eptp01;
u64 ept01_evictions;
static u64 guarded[MAX_CPUS]; /* pages, NO_APIC_PAGE where there is none */

static u64 address_space_end(void)
{
	return BIT(host_caps.maxphyaddr);
}

static void insert_region(unsigned at, struct l1_region region)
{
	ASSERT(region_count < L1_REGIONS);
	memmove(&regions[at + 1], &regions[at], (region_count - at) * sizeof(regions[0]));
	regions[at] = region;
	region_count++;
}

/* Cut the region that spans address in two there. */
static unsigned split_at(u64 address)
{
	unsigned i = 0;

	while (i < region_count && regions[i].end <= address)
		i++;
	if (i < region_count && regions[i].start < address) {
		struct l1_region tail = regions[i];

		tail.host += tail.absent ? 0 : address - tail.start;
		tail.start = address;
		regions[i].end = address;
		insert_region(++i, tail);
	}
	return i;
}

/* Lay a region over what was there. */
static void overlay(struct l1_region region)
{
	unsigned first, last;

	if (region.start >= region.end)
		return;
	first = split_at(region.start);
	last = split_at(region.end);
	memmove(&regions[first], &regions[last], (region_count - last) * sizeof(regions[0]));
	region_count -= last - first;
	insert_region(first, region);
	l1_recent.region = regions;
}

static void overlay_ram(u64 start, u64 end, u64 host)
{
	overlay((struct l1_region){ .start = start, .end = end, .host = host, .ram = true });
}

static void overlay_absent(u64 start, u64 end)
{
	overlay((struct l1_region){ .start = start, .end = end, .host = hole, .absent = true });
}

/* L1's RAM from 1 MiB up lies higher in the host by the offset, its low RAM right at the offset. */
static void overlay_moved(const struct boot_info *boot, u64 offset)
{
	for (unsigned i = 0; i < boot->range_count; i++) {
		const struct memory_range *range = &boot->range[i];

		if (range->type != MULTIBOOT_RAM || range->start > MIB(1) || range->end < home.start)
			continue;
		if (home.start <= MIB(1) + offset)
			l0_refuse("l1_offset=%lu leaves L1 no memory; this machine has %lu MiB below L0's own",
				  (offset >> 20), (home.start >> 20));
		overlay_ram(0, LOW_RAM_END, offset);
		overlay_ram(MIB(1), home.start - offset, MIB(1) + offset);
		overlay_absent(home.start - offset, home.end);
		return;
	}
	l0_refuse("l1_offset needs a machine whose RAM is in one block from 1 MiB to L0's home");
}

static void lay_out(const struct boot_info *boot)
{
	regions[0] = (struct l1_region){ .start = 0, .end = address_space_end() };
	region_count = 1;
	for (unsigned i = 0; i < boot->range_count; i++) {
		u64 start = ALIGN_UP(boot->range[i].start, PAGE_SIZE);

		if (boot->range[i].type == MULTIBOOT_RAM)
			overlay_ram(start, ALIGN_DOWN(boot->range[i].end, PAGE_SIZE), start);
	}
	if (options.l1_offset)
		overlay_moved(boot, MIB(options.l1_offset));
	else
		overlay_absent(home.start, home.end);
}

unsigned l1_regions(const struct l1_region **table)
{
	*table = regions;
	return region_count;
}

/* Accesses come in rows: most fall where the one before did. */
static const struct l1_region *find_region(u64 address10)
{
	if (LIKELY(address10 >= l1_recent.region->start && address10 < l1_recent.region->end))
		return l1_recent.region;
	for (unsigned i = 0; i < region_count; i++)
		if (address10 < regions[i].end)
			return l1_recent.region = &regions[i];
	return NULL;
}

/* Devices are always mapped large: they fill the address space, and EPT01's tables are counted. */
static unsigned max_level01(bool ram)
{
	if (ram && !options.ept01_large_pages)
		return 1;
	return capability(&host_caps, MSR_IA32_VMX_EPT_VPID_CAP) & EPT_CAP_1G ? 3 : 2;
}

bool l1_memory_is_guarded(u64 address10)
{
	for (unsigned i = 0; i < MAX_CPUS; i++)
		if (guarded[i] == ALIGN_DOWN(address10, PAGE_SIZE))
			return true;
	return false;
}

static bool has_guarded(u64 base, u64 size)
{
	for (unsigned i = 0; i < MAX_CPUS; i++)
		if (guarded[i] >= base && guarded[i] < base + size)
			return true;
	return false;
}

static u8 unguarded_rights(u64 address10, u8 rights)
{
	return l1_memory_is_guarded(address10) ? rights & (u8)~EPT_WRITE : rights;
}

/* The largest page around an address that lies within its region and is aligned in the host as well. */
static struct ept_leaf region_leaf(const struct l1_region *region, u64 address10)
{
	struct ept_leaf leaf = { .level = 1, .rights = EPT_RWX, .memory_type = region->ram ? MEMORY_WB : MEMORY_UC };
	u64 distance = region->host - region->start;

	if (region->absent) {
		leaf.address = region->host;
		return leaf;
	}
	for (unsigned level = max_level01(region->ram); level > 1; level--) {
		u64 size = EPT_LEVEL_SIZE(level), base = ALIGN_DOWN(address10, size);

		if (base >= region->start && base + size <= region->end && IS_ALIGNED(distance, size) &&
		    !has_guarded(base, size)) {
			leaf.level = (u8)level;
			break;
		}
	}
	leaf.address = ALIGN_DOWN(address10, EPT_LEVEL_SIZE(leaf.level)) + distance;
	leaf.rights = unguarded_rights(address10, EPT_RWX);
	return leaf;
}

/*
 * The pool is empty: all tables go back to it, and no CPU may still walk them. What L1 uses comes back page by page,
 * watches at the next entry.
 */
static void ept01_start_over(void)
{
	kick_all_out();
	l1_recent.leaf_size = 0;
	ept01_evictions++;
	ept_table_clear(&pages01, ept01_root);
	watch_forget_all();
	ASSERT(invept(INVEPT_single_context, eptp01) == VMX_SUCCEED);
}

static void map_at(u64 address10)
{
	struct ept_leaf leaf = region_leaf(find_region(address10), address10);
	u64 base = ALIGN_DOWN(address10, EPT_LEVEL_SIZE(leaf.level));

	l1_recent.leaf_size = 0;
	if (!ept_table_map(&pages01, ept01_root, base, &leaf)) {
		ept01_start_over();
		ASSERT(ept_table_map(&pages01, ept01_root, base, &leaf));
	}
}

/* RAM is mapped ahead, as far as the tables go; the rest, as devices, at first use. */
static void map_ram(void)
{
	for (unsigned i = 0; i < region_count; i++)
		for (u64 at = regions[i].start; regions[i].ram && at < regions[i].end;) {
			struct ept_leaf leaf = region_leaf(&regions[i], at);

			if (!ept_table_map(&pages01, ept01_root, at, &leaf))
				return;
			at += EPT_LEVEL_SIZE(leaf.level);
		}
}

/* All of RAM in 4 KiB pages, which watches and L0's home may ask for. */
static u64 tables_of_ram(u64 ram_bytes)
{
	return 1 + ram_bytes / GIB(1) + ram_bytes / MIB(2);
}

/* The whole address space in the largest pages that the CPU has, with the edges of the regions. */
static u64 tables_of_devices(void)
{
	u64 size = BIT(host_caps.maxphyaddr < EPT_ADDRESS_WIDTH ? host_caps.maxphyaddr : EPT_ADDRESS_WIDTH);

	return 2 * L1_REGIONS + size / GIB(512) + (max_level01(false) < 3 ? size / GIB(1) : 0);
}

static u64 table_count(u64 ram_bytes)
{
	if (options.cpus > 1)
		return tables_of_ram(ram_bytes) + tables_of_devices();
	return options.ept01_tables ? options.ept01_tables : tables_of_ram(ram_bytes) + SPARE_TABLES;
}

static void check_switch(void)
{
	if (options.ept01_tables && options.cpus > 1)
		l0_refuse("ept01_tables is for one CPU: with several, EPT01 must have all the tables that it can need");
	if (options.ept01_tables && options.ept01_tables < EPT_TABLES_MIN)
		l0_refuse("ept01_tables=%u is too few, %u is the least", options.ept01_tables, EPT_TABLES_MIN);
}

u64 l1_memory_pages(u64 ram_bytes)
{
	u64 tables;

	check_switch();
	tables = table_count(ram_bytes);
	return tables + tables * sizeof(u64) / PAGE_SIZE + 1;
}

void l1_memory_init(const struct boot_info *boot)
{
	memset(guarded, 0xff, sizeof(guarded));
	hole = address_space_end() - PAGE_SIZE;
	lay_out(boot);
	page_stack_init(&stack01, &pages01, (unsigned)table_count(boot->ram_bytes));
	ept01_root = pages01.allocate(pages01.context);
	eptp01 = ept01_root | MEMORY_WB | (EPT_LEVELS - 1) << EPTP_WALK_LENGTH_SHIFT;
	map_ram();
}

u64 ept01_tables(void)
{
	return stack01.total;
}

void *l1_pointer(u64 address10, u64 size)
{
	const struct l1_region *region = find_region(address10);

	if (!region || !region->ram || region->end - address10 < size)
		return NULL;
	return direct(address10 - region->start + region->host);
}

struct l1_piece l1_piece(u64 address10)
{
	const struct l1_region *region = find_region(address10);

	if (!region || !region->ram)
		return (struct l1_piece){ 0 };
	return (struct l1_piece){ direct(region->host), region->start, region->end - region->start };
}

static u64 within_page(u64 address, u64 size)
{
	u64 left = PAGE_SIZE - address % PAGE_SIZE;

	return size < left ? size : left;
}

void l1_read(u64 address10, void *to, u64 size)
{
	while (size) {
		u64 part = within_page(address10, size);
		const void *from = l1_pointer(address10, part);

		if (from)
			memcpy(to, from, part);
		else
			memset(to, 0xff, part);
		address10 += part;
		to = (char *)to + part;
		size -= part;
	}
}

void l1_write(u64 address10, const void *from, u64 size)
{
	while (size) {
		u64 part = within_page(address10, size);
		void *to = l1_pointer(address10, part);

		if (to) {
			watch_written(address10);
			memcpy(to, from, part);
		}
		address10 += part;
		from = (const char *)from + part;
		size -= part;
	}
}

static COLD bool map_and_look_up(u64 address10, struct ept_leaf *leaf)
{
	map_at(address10);
	return ept_table_lookup(&pages01, ept01_root, address10, leaf);
}

bool ept01_lookup(void *context, u64 address10, struct ept_leaf *leaf)
{
	(void)context;
	if (LIKELY(address10 - l1_recent.leaf_start < l1_recent.leaf_size)) {
		*leaf = l1_recent.leaf;
		return true;
	}
	if (address10 >= address_space_end())
		return false;
	if (!ept_table_lookup(&pages01, ept01_root, address10, leaf) && !map_and_look_up(address10, leaf))
		return false;
	l1_recent.leaf_size = EPT_LEVEL_SIZE(leaf->level);
	l1_recent.leaf_start = ALIGN_DOWN(address10, l1_recent.leaf_size);
	l1_recent.leaf = *leaf;
	return true;
}

bool ept01_mapped(u64 address10, struct ept_leaf *leaf)
{
	return address10 < address_space_end() && ept_table_lookup(&pages01, ept01_root, address10, leaf);
}

void ept01_protect(u64 address10, u8 rights)
{
	struct ept_leaf leaf;

	ept01_lookup(NULL, address10, &leaf);
	l1_recent.leaf_size = 0;
	rights = unguarded_rights(address10, rights);
	if (!ept_table_protect(&pages01, ept01_root, ALIGN_DOWN(address10, PAGE_SIZE), rights)) {
		ept01_start_over();
		map_at(address10);
		ASSERT(ept_table_protect(&pages01, ept01_root, ALIGN_DOWN(address10, PAGE_SIZE), rights));
	}
	ASSERT(invept(INVEPT_single_context, eptp01) == VMX_SUCCEED);
}

/* Before the page is cut out of a larger one, no CPU may use that. */
static void guard_changed(u64 page)
{
	if (page == NO_APIC_PAGE)
		return;
	kick_all_out();
	ept01_protect(page, EPT_RWX);
	for (unsigned i = 0; i < cpu_count; i++)
		ept02_drop_all(&cpus[i]->nested.ept02);
}

void l1_memory_guard(unsigned number, u64 page10)
{
	u64 before = guarded[number];

	if (before == page10)
		return;
	guarded[number] = page10;
	guard_changed(before);
	guard_changed(page10);
}

void l1_ept_violation(struct cpu *cpu)
{
	u64 address10 = vmread(ENC_guest_physical_address);
	u64 qualification = vmread(ENC_exit_qualification);
	struct ept_leaf leaf;

	if (qualification & EPT_VIOLATION_WRITE && l1_memory_is_guarded(address10)) {
		l1_guarded_write(cpu, address10);
		return;
	}
	if (qualification & EPT_VIOLATION_WRITE)
		watch_written(address10);
	if (!ept01_lookup(NULL, address10, &leaf))
		exit_unexpected(cpu, "an address beyond the physical-address width");
	ept_violation_resume(qualification);
}
