/*
 * L0's own memory. L0 lives in one block at the top of RAM, its home, at the virtual addresses it is linked at:
 * the image first, then a pool of pages. All the rest of RAM is L1's and appears in the direct map, where L0's
 * home is absent: an address of L1's that was not checked faults instead of doing harm.
 */
#ifndef TURTLES_MEMORY_H
#define TURTLES_MEMORY_H

#include "boot_info.h"

#define DIRECT_MAP 0xffff800000000000ull

struct home {
	u64 start, end; /* host physical; multiples of 2 MiB */
};
extern struct home home;

/* Choose the home, move there and go on under page tables of our own. size: bytes wanted beyond the image. */
void memory_init(const struct boot_info *boot, u64 size);

/* Zeroed pages of the pool, on end; never given back. Panics when the pool is too small: its size is L0's own doing. */
void *pool_allocate(u64 pages);
u64 pool_free_pages(void);
void *pool_free_start(void);

/* Between L0's virtual addresses and host physical ones; home addresses only. */
u64 home_physical(const void *address);
void *home_virtual(u64 physical);

/* A host physical address of L1's in the direct map. */
static inline void *direct(u64 physical)
{
	return (void *)(DIRECT_MAP + physical);
}

static inline u64 host_of(const void *address)
{
	return (u64)address - DIRECT_MAP;
}

/* Map a page below 1 MiB at its own address, to run code from; and take it away again. */
void *memory_map_low_page(u64 physical);
void memory_unmap_low_page(u64 physical);

/* Map one uncached page of device registers and return its address. */
volatile u32 *memory_map_device(u64 physical);
/* Have the page that memory_map_device() returned lead elsewhere. For the one CPU that uses it: no other is told. */
void memory_move_device(volatile u32 *page, u64 physical);

/* A pool of page-table pages for the pure code (ept_merge/ept_table.h). */
struct page_stack {
	u64 *address; /* host physical, the free ones first */
	unsigned free, total;
};
struct ept_pages;
void page_stack_init(struct page_stack *stack, struct ept_pages *pages, unsigned count);

#endif
