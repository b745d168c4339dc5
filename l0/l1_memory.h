/* L1's physical memory: where it lies in the machine's, and EPT01 that says so to the CPU. */
#ifndef TURTLES_L1_MEMORY_H
#define TURTLES_L1_MEMORY_H

#include "boot_info.h"
#include "ept_merge/ept_entry.h"
#include "nested.h"

/* Each range of the boot loader can cut two, and so can what L0 lays over them. */
#define L1_REGIONS (2 * BOOT_RANGES + 8)

struct l1_region {
	u64 start, end; /* L1-physical */
	u64 host;       /* of start, host physical */
	bool ram;
	bool absent; /* nothing is there: every page leads to the same unbacked host page */
};

/* Lay out L1's memory around L0's home and build EPT01. */
void l1_memory_init(const struct boot_info *boot);
u64 l1_memory_pages(u64 ram_bytes);

/* The regions in ascending order, without gaps up to the physical-address width. */
unsigned l1_regions(const struct l1_region **regions);

extern u64 eptp01;
extern u64 ept01_evictions; /* how often EPT01 was cleared for want of tables */
u64 ept01_tables(void);

/* Pointer to L1's RAM at an L1-physical range within one page; NULL if any of it is not RAM. */
void *l1_pointer(u64 address10, u64 size);

/* The RAM of L1's that lies in one piece around an address: pointer to it, L1-physical address and size; 0 if none. */
struct l1_piece {
	void *at;
	u64 start, size;
};
struct l1_piece l1_piece(u64 address10);

/* Copy from or to L1-physical memory. Absent memory reads as all ones, writes to it are lost: as on the bus. */
void l1_read(u64 address10, void *to, u64 size);
void l1_write(u64 address10, const void *from, u64 size);

/* The leaf of EPT01 around an address, mapped first if it was not yet. An ept01_view. */
bool ept01_lookup(void *context, u64 address10, struct ept_leaf *leaf);
/* The same without mapping anything: false if EPT01 has nothing there now. */
bool ept01_mapped(u64 address10, struct ept_leaf *leaf);

/*
 * Writes to a page are to exit, on behalf of this CPU and until it names another page or NO_APIC_PAGE.
 * l1_guarded_write() carries them out.
 */
void l1_memory_guard(unsigned number, u64 page10);
bool l1_memory_is_guarded(u64 address10);

/* L1's EPT violation: map, or let go of watches. */
void l1_ept_violation(struct cpu *cpu);

/* Watch a page of L1's for writes; unwatch. The caller copies the page after watch_arm(), not before. */
void watch_arm(struct watch *watch, u64 address10);
void watch_clear(struct watch *watch);
/* Somebody is about to write to an L1 page: disarm every watch on it. */
void watch_written(u64 address10);
/* An EPT02 now maps this much of L1's memory for L2. */
void watch_mapped02(u64 start10, u64 size);
/* EPT01 was cleared and all write protection with it. */
void watch_forget_all(void);

/* Change the rights of one 4 KiB page in EPT01. */
void ept01_protect(u64 address10, u8 rights);

/* What was looked up last, which is looked at first. To leave no trace of a look-up, put it back as it was. */
struct l1_recent {
	const struct l1_region *region;
	struct ept_leaf leaf; /* of EPT01, mapping leaf_size bytes from leaf_start on; 0: none */
	u64 leaf_start, leaf_size;
};
extern struct l1_recent l1_recent;

#endif
