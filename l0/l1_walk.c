#include "l1_walk.h"
#include "guest_memory.h"
#include "l1_memory.h"
#include "options.h"

void l1_walk_forget(struct l1_walk *walk)
{
	walk->page = WALK_NO_PAGE;
}

/* What an entry says now, by its first reading or because the walk itself has set a flag. */
static void note(struct l1_walk *walk, const u64 *at, u64 entry)
{
	unsigned i = 0;

	while (i < walk->used && i < WALK_ENTRIES && walk->at[i] != at)
		i++;
	if (i < WALK_ENTRIES) {
		walk->at[i] = at;
		walk->entry[i] = entry;
	}
	if (i == walk->used)
		walk->used++; /* beyond WALK_ENTRIES it is too long to be remembered */
}

static bool read_entry(void *context, u64 address, unsigned size, u64 *entry)
{
	const u64 *at = l1_pointer(address, size);

	if (!at || size != sizeof(u64))
		return false;
	*entry = *at;
	note(context, at, *entry);
	return true;
}

static bool write_entry(void *context, u64 address, unsigned size, u64 entry)
{
	const u64 *at = l1_pointer(address, size);

	if (!at || size != sizeof(u64))
		return false;
	l1_write(address, &entry, size);
	note(context, at, entry);
	return true;
}

/* Rights that depend on nothing but the entries: by SMAP and protection keys those of user pages do. */
static bool is_simple(const struct l1_walk *walk)
{
	bool user = true;

	for (unsigned i = 0; i < walk->used; i++)
		user = user && walk->entry[i] & PTE_USER;
	return !user || !(walk->cr4 & (CR4_SMAP | CR4_PKE));
}

void l1_walk_remember(struct l1_walk *walk, u64 linear)
{
	struct paging_memory memory = { walk, read_entry, write_entry };
	struct paging_state state = l1_paging(PAGING_supervisor);
	struct paging_result result;

	l1_walk_forget(walk);
	if (!options.walk_cache || !(state.efer & EFER_LMA))
		return;
	walk->cr3 = state.cr3;
	walk->cr4 = state.cr4;
	walk->efer = state.efer;
	walk->used = 0;
	result = paging_walk(&state, &memory, linear, false);
	if (result.status != PAGING_OK || walk->used > WALK_ENTRIES || !is_simple(walk))
		return;
	walk->memory = l1_pointer(ALIGN_DOWN(result.address, PAGE_SIZE), PAGE_SIZE);
	for (unsigned i = walk->used; i < WALK_ENTRIES; i++) {
		walk->at[i] = walk->at[0];
		walk->entry[i] = walk->entry[0];
	}
	if (walk->memory)
		walk->page = linear / PAGE_SIZE;
}
