/* Sub-page write permissions: a table beside EPT that lets parts of a read-only page be written. */
#ifndef TURTLES_EPT_SUB_PAGE_H
#define TURTLES_EPT_SUB_PAGE_H

#include "ept_table.h"
#include "ept_walk.h"

enum ept_sub_page_status {
	SUB_PAGE_READ_ONLY,
	SUB_PAGE_WRITABLE,
	SUB_PAGE_MISS,
	SUB_PAGE_MISCONFIGURATION, /* or the table lies where there is no memory, which reads as all ones */
};

/*
 * Look up the 128 bytes around address in the table that spptp names; SDM "Sub-Page Write Permissions". Where the
 * status is none of the last two, *vector has the permissions of all the page.
 */
enum ept_sub_page_status ept_sub_page_walk(u64 spptp, u64 address, u8 maxphyaddr, const struct ept_memory *memory,
					   u64 *vector);

/*
 * Put the vector of the page at address into a table of L0's own. False when the pool is empty: the table is still
 * sound, and has no vector for the page that it had none for.
 */
bool ept_sub_page_put(const struct ept_pages *pages, u64 root, u64 address, u64 vector);
/* Release every table below the root and clear the root. */
void ept_sub_page_clear(const struct ept_pages *pages, u64 root);

#endif
