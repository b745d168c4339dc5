#include "memory.h"
#include "cpu.h"
#include "ept_merge/ept_table.h"
#include "print.h"
#include "stacks.h"
#include "string.h"

#define HOME_ALIGNMENT MIB(2)
#define DEVICE_MAP 0xffff900000000000ull
#define TABLE_ENTRIES 512
#define RW (PTE_PRESENT | PTE_WRITE)
#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE)

/* l0.ld */
extern char image_start[], text_end[], rodata_end[], stacks_start[], stacks_end[], image_end[];

struct home home;
static u64 pool_next, pool_end; /* virtual */
static u64 *pml4;
static u64 device_next = DEVICE_MAP;
static bool page1g;

void relocate(u64 to, u64 from, u64 size, u64 cr3);

u64 home_physical(const void *address)
{
	return (u64)address - (u64)image_start + home.start;
}

void *home_virtual(u64 physical)
{
	return (void *)(physical - home.start + (u64)image_start);
}

u64 pool_free_pages(void)
{
	return (pool_end - pool_next) / PAGE_SIZE;
}

void *pool_free_start(void)
{
	return (void *)pool_next;
}

void *pool_allocate(u64 pages)
{
	void *start = (void *)pool_next;

	if (pages > pool_free_pages())
		l0_panic("L0's home is too small: %lu pages wanted, %lu free",
			 pages, pool_free_pages());
	pool_next += pages * PAGE_SIZE;
	return memset(start, 0, pages * PAGE_SIZE);
}

static bool overlaps_module(const struct boot_info *boot, u64 start, u64 end)
{
	for (unsigned i = 0; i < boot->module_count; i++)
		if (start < boot->module[i].end && end > boot->module[i].start)
			return true;
	return false;
}

/* The highest block of RAM below 4 GiB that is free; L1 is loaded low. */
static void choose_home(const struct boot_info *boot, u64 size)
{
	for (unsigned i = 0; i < boot->range_count; i++) {
		const struct memory_range *range = &boot->range[i];
		u64 floor = range->start < (u64)image_end ? (u64)image_end : range->start;
		u64 end = range->end < GIB(4) ? range->end : GIB(4);
		u64 start;

		if (range->type != MULTIBOOT_RAM || end < floor + size)
			continue;
		for (start = ALIGN_DOWN(end - size, HOME_ALIGNMENT); start >= floor; start -= HOME_ALIGNMENT)
			if (!overlaps_module(boot, start, start + size))
				break;
		if (start >= floor && start > home.start)
			home = (struct home){ start, start + size };
	}
	if (!home.end)
		l0_refuse("not enough memory: L0 needs %lu MiB in one block for itself; give the machine more memory",
			  (size >> 20));
}

/* While the early identity map is in force, new tables are reached at their physical addresses. */
static u64 *table_at(u64 physical, bool early)
{
	return early ? (u64 *)physical : home_virtual(physical);
}

static u64 new_table(bool early)
{
	u64 *table = pool_allocate(1);

	return early ? (u64)table : home_physical(table);
}

static u64 *walk_to(u64 *root, u64 virtual, unsigned level, bool early)
{
	u64 *table = root;

	for (unsigned l = 4; l > level; l--) {
		u64 *entry = &table[virtual >> EPT_LEVEL_SHIFT(l) & (TABLE_ENTRIES - 1)];

		if (!(*entry & PTE_PRESENT))
			*entry = new_table(early) | TABLE_FLAGS;
		table = table_at(*entry & PTE_ADDRESS, early);
	}
	return &table[virtual >> EPT_LEVEL_SHIFT(level) & (TABLE_ENTRIES - 1)];
}

static unsigned largest_level(u64 virtual, u64 physical, u64 size)
{
	for (unsigned level = page1g ? 3 : 2; level > 1; level--)
		if (IS_ALIGNED(virtual | physical, EPT_LEVEL_SIZE(level)) && size >= EPT_LEVEL_SIZE(level))
			return level;
	return 1;
}

static void map_range(u64 virtual, u64 physical, u64 size, u64 flags, bool early)
{
	while (size) {
		unsigned level = largest_level(virtual, physical, size);
		u64 step = EPT_LEVEL_SIZE(level);

		*walk_to(pml4, virtual, level, early) = physical | flags | (level > 1 ? PTE_LARGE : 0);
		virtual += step;
		physical += step;
		size -= step;
	}
}

static void map_image_part(const char *from, const char *to, u64 flags)
{
	map_range((u64)from, home_physical(from), (u64)(to - from), flags, true);
}

/* Text, read-only data, data, stacks with their lowest page absent; then all the rest of the home. */
static void map_image(void)
{
	map_image_part(image_start, text_end, PTE_PRESENT);
	map_image_part(text_end, rodata_end, PTE_PRESENT | PTE_NX);
	map_image_part(rodata_end, stacks_start, RW | PTE_NX);
	for (const char *stack = stacks_start; stack < stacks_end; stack += STACK_SIZE)
		map_image_part(stack + PAGE_SIZE, stack + STACK_SIZE, RW | PTE_NX);
	map_range((u64)stacks_end, home_physical(stacks_end), home.end - home_physical(stacks_end), RW | PTE_NX, true);
}

static void map_l1_memory(const struct boot_info *boot)
{
	for (unsigned i = 0; i < boot->range_count; i++) {
		u64 start = ALIGN_UP(boot->range[i].start, PAGE_SIZE), end = ALIGN_DOWN(boot->range[i].end, PAGE_SIZE);

		if (boot->range[i].type != MULTIBOOT_RAM || start >= end)
			continue;
		if (home.start >= start && home.end <= end) {
			map_range(DIRECT_MAP + start, start, home.start - start, RW | PTE_NX, true);
			start = home.end;
		}
		map_range(DIRECT_MAP + start, start, end - start, RW | PTE_NX, true);
	}
}

void memory_init(const struct boot_info *boot, u64 size)
{
	u64 image = (u64)image_end - (u64)image_start;

	page1g = cpuid(0x80000001, 0).edx & CPUID_EXT1_EDX_PAGE1G;
	choose_home(boot, ALIGN_UP(image + size, HOME_ALIGNMENT));

	/* The pool begins behind the image's place in the home; reached one to one until CR3 changes. */
	pool_next = home.start + image;
	pool_end = home.end;
	pml4 = pool_allocate(1);
	map_image();
	map_l1_memory(boot);
	u64 root = (u64)pml4, next = pool_next;

	pool_next = (u64)home_virtual(next);
	pool_end = (u64)home_virtual(home.end);
	pml4 = home_virtual(root);
	relocate(home.start, (u64)image_start, image, root);
}

volatile u32 *memory_map_device(u64 physical)
{
	u64 virtual = device_next;

	device_next += PAGE_SIZE;
	map_range(virtual, ALIGN_DOWN(physical, PAGE_SIZE), PAGE_SIZE, RW | PTE_NX | PTE_PCD | PTE_PWT, false);
	return (volatile u32 *)(virtual + physical % PAGE_SIZE);
}

void memory_move_device(volatile u32 *page, u64 physical)
{
	u64 virtual = (u64)page;

	*walk_to(pml4, virtual, 1, false) = ALIGN_DOWN(physical, PAGE_SIZE) | RW | PTE_NX | PTE_PCD | PTE_PWT;
	invlpg(virtual);
}

static u64 stack_allocate(void *context)
{
	struct page_stack *stack = context;
	u64 address;

	if (!stack->free)
		return 0;
	address = stack->address[--stack->free];
	memset(home_virtual(address), 0, PAGE_SIZE);
	return address;
}

static void stack_release(void *context, u64 address)
{
	struct page_stack *stack = context;

	ASSERT(stack->free < stack->total);
	stack->address[stack->free++] = address;
}

static u64 *stack_entries(void *context, u64 address)
{
	(void)context;
	return home_virtual(address);
}

void page_stack_init(struct page_stack *stack, struct ept_pages *pages, unsigned count)
{
	char *page = pool_allocate(count);

	stack->address = pool_allocate(ALIGN_UP(count * sizeof(u64), PAGE_SIZE) / PAGE_SIZE);
	stack->free = stack->total = count;
	for (unsigned i = 0; i < count; i++)
		stack->address[i] = home_physical(page + (count - 1 - i) * PAGE_SIZE);
	*pages = (struct ept_pages){ stack, stack_allocate, stack_release, stack_entries };
}

void *memory_map_low_page(u64 physical)
{
	map_range(physical, physical, PAGE_SIZE, RW, false);
	return (void *)physical;
}

void memory_unmap_low_page(u64 physical)
{
	*walk_to(pml4, physical, 1, false) = 0;
	invlpg(physical);
}
