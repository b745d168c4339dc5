/* A walk of EPT tables through a callback. SDM "EPT Translation Mechanism". */
#ifndef TURTLES_EPT_WALK_H
#define TURTLES_EPT_WALK_H

#include "ept_entry.h"

/*
 * The way of the last walk that came to a table of level 1: the entries that it passed. While they are what they were,
 * a walk to the same 2 MiB by the same EPTP would pass them again.
 */
struct ept_walk_path {
	u64 eptp; /* 0: none */
	u64 start; /* of the 2 MiB */
	u64 table; /* of level 1 */
	u8 rights;
	const u64 *at[EPT_LEVELS + 1]; /* by level */
	u64 entry[EPT_LEVELS + 1];
};

/*
 * How the walker reaches an entry of the tables. Most lie in one piece of memory: the window, where it needs nobody's
 * help.
 */
struct ept_memory {
	void *context;
	/* Where the entry at an address outside the window lies, which others may write; NULL if there is no memory. */
	const u64 *(*entry)(void *context, u64 address);
	/* Set bits atomically; false where there is no memory. NULL will do without accessed and dirty flags. */
	bool (*set_bits)(void *context, u64 address, u64 bits);
	const u8 *window; /* NULL, or where window_start lies */
	u64 window_start, window_size; /* a size of 0: no window */
	struct ept_walk_path *path; /* of these tables; NULL: none is kept */
	/*
	 * The table of sub-page write permissions, where this access is one they may allow: to what a linear address
	 * is translated to, under the control of that name. SDM "Sub-Page Write Permissions".
	 */
	bool sub_pages;
	u64 spptp;
};

/* Where the entry for address is in a table of that level. */
static inline u64 ept_entry_address(u64 table, u64 address, unsigned level)
{
	return table + (address >> EPT_LEVEL_SHIFT(level)) % EPT_ENTRIES * sizeof(u64);
}

/* An entry of the tables, which others may write; NULL if there is no memory. */
static inline const u64 *ept_memory_entry(const struct ept_memory *memory, u64 address)
{
	u64 offset = address - memory->window_start;

	if (LIKELY(offset < memory->window_size))
		return (const u64 *)(const void *)(memory->window + offset);
	return memory->entry(memory->context, address);
}

enum ept_walk_status {
	EPT_WALK_OK,
	EPT_WALK_VIOLATION,
	EPT_WALK_MISCONFIGURATION,
	EPT_WALK_UNREADABLE, /* a table lies where there is no memory */
	EPT_WALK_SUB_PAGE_MISS, /* the permissions of the sub-page are not there, */
	EPT_WALK_SUB_PAGE_MISCONFIGURATION, /* or malformed */
};

struct ept_walk_result {
	enum ept_walk_status status;
	struct ept_leaf leaf; /* rights are those of all levels together; valid if OK */
	u8 rights;            /* of the levels walked, together; what a violation's qualification tells */
	u64 address;          /* translation of the byte asked for; valid if OK */
	bool suppress_ve;     /* of the entry that the walk ended at; valid if VIOLATION */
	bool dirty;           /* a write needs no other walk to be marked in the leaf; valid if OK */
	bool sub_page;        /* it is a write that the page does not allow, but this sub-page does; valid if OK */
	u64 sub_pages;        /* the permissions of the page, if so */
};

/*
 * Walk eptp's tables for address and an access (EPT_READ, EPT_WRITE, EPT_EXECUTE or a sum of them).
 * With EPTP_ACCESSED_DIRTY set in eptp, accessed and dirty flags are set as the CPU would.
 */
struct ept_walk_result ept_walk(u64 eptp, u64 address, u8 access, const struct ept_features *features,
				const struct ept_memory *memory);

#endif
