#include "shadow_paging.h"
#include "boot.h"
#include "events.h"
#include "fields.h"
#include "insn.h"
#include "string.h"

#define PAGING_LEVELS 4
#define PAGING_ENTRIES 512
#define LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * ((level) - 1))
#define SHADOW_TABLES 32

/* Where L2's own tables lead. */
struct walk {
	bool present; /* every level; if not, the rest says nothing */
	bool allowed; /* the access that was tried */
	u64 address;  /* guest-physical */
	u64 rights;   /* PTE_WRITE and PTE_USER, as far as all levels give them and the page is dirty */
};

static unsigned entry_index(u64 linear, unsigned level)
{
	return linear >> LEVEL_SHIFT(level) & (PAGING_ENTRIES - 1);
}

static u64 rights_needed(u32 error_code)
{
	return (error_code & PF_WRITE ? PTE_WRITE : 0) | (error_code & PF_USER ? PTE_USER : 0);
}

/*
 * Walk L2's tables as the CPU would, accessed and dirty flags included: a page that is not dirty yet
 * gets no right to be written, so that the first write to it faults and sets the flag.
 */
static struct walk walk(const struct guest *guest, u64 linear, u32 error_code)
{
	struct walk walk = { .rights = PTE_WRITE | PTE_USER };
	u64 table = guest->cr3 & PTE_ADDRESS, *entry = NULL;
	unsigned level = PAGING_LEVELS;

	for (;; level--) {
		u64 *entries = guest_memory(guest, table, PAGE_SIZE);

		if (!entries || !(entries[entry_index(linear, level)] & PTE_PRESENT))
			return walk;
		entry = &entries[entry_index(linear, level)];
		walk.rights &= *entry;
		if (level == 1 || (level < PAGING_LEVELS && *entry & PTE_LARGE))
			break;
		*entry |= PTE_ACCESSED;
		table = *entry & PTE_ADDRESS;
	}
	walk.present = true;
	walk.allowed = !(rights_needed(error_code) & ~walk.rights);
	if (walk.allowed)
		*entry |= PTE_ACCESSED | (error_code & PF_WRITE ? PTE_DIRTY : 0);
	if (!(*entry & PTE_DIRTY))
		walk.rights &= ~PTE_WRITE;
	walk.address = ALIGN_DOWN(*entry & PTE_ADDRESS, BIT(LEVEL_SHIFT(level))) +
		       (linear & (BIT(LEVEL_SHIFT(level)) - 1));
	return walk;
}

/* Tables beyond the root are used up one by one; when they are, all is forgotten and filled anew. */
static u64 *new_table(struct guest *guest)
{
	if (guest->shadow_used == SHADOW_TABLES)
		return NULL;
	return memset(guest->shadow_tables + PAGING_ENTRIES * guest->shadow_used++, 0, PAGE_SIZE);
}

/* SDM "VPIDs and VMX Transitions": without a VPID of its own, the next entry does it by itself. */
static void flush_tlb(const struct guest *guest)
{
	if (settings.vpid)
		invvpid(INVVPID_single_context, guest->vpid, 0);
}

static void forget_all(struct guest *guest)
{
	memset(guest->shadow_root, 0, PAGE_SIZE);
	guest->shadow_used = 0;
	flush_tlb(guest);
}

/* The shadow's entry for a page; NULL if tables ran out. */
static u64 *shadow_entry(struct guest *guest, u64 linear)
{
	u64 *table = guest->shadow_root;

	for (unsigned level = PAGING_LEVELS; level > 1; level--) {
		u64 *entry = &table[entry_index(linear, level)];

		if (!(*entry & PTE_PRESENT)) {
			u64 *next = new_table(guest);

			if (!next)
				return NULL;
			*entry = (uintptr_t)next | PTE_PRESENT | PTE_WRITE | PTE_USER;
		}
		table = (u64 *)(*entry & PTE_ADDRESS);
	}
	return &table[entry_index(linear, 1)];
}

static void fill(struct guest *guest, u64 linear, const struct walk *walk)
{
	u64 *entry = shadow_entry(guest, linear);

	if (!entry) {
		forget_all(guest);
		entry = shadow_entry(guest, linear);
	}
	*entry = ((uintptr_t)guest->memory + ALIGN_DOWN(walk->address, PAGE_SIZE)) | PTE_PRESENT |
		 walk->rights;
}

void shadow_init(struct guest *guest)
{
	guest->shadow_root = memory_take_zeroed(PAGE_SIZE);
	guest->shadow_tables = memory_take(SHADOW_TABLES * PAGE_SIZE, PAGE_SIZE);
}

void shadow_page_fault(struct guest *guest, u64 linear, u32 error_code)
{
	struct walk found = walk(guest, linear, error_code);

	if (found.present && !guest_memory(guest, ALIGN_DOWN(found.address, PAGE_SIZE), PAGE_SIZE)) {
		guest_fail(guest, "access to guest-physical %lx, where it has no memory (rip %lx)",
			   found.address, vmcs_read(guest_rip));
		return;
	}
	if (found.present && found.allowed) {
		fill(guest, linear, &found);
		redeliver_event();
		return;
	}
	if (event_was_under_way()) {
		guest_fail(guest, "page fault at %lx while another event was delivered", linear);
		return;
	}
	write_cr2(linear);
	inject_fault(VECTOR_PF, (u32)((error_code & ~PF_PRESENT) | (found.present ? PF_PRESENT : 0)));
}

void shadow_load_cr3(struct guest *guest, u64 cr3)
{
	guest->cr3 = cr3;
	forget_all(guest);
}

/* A large page of L2 is many small ones here, so what goes is all of one bottom table. */
void shadow_invlpg(struct guest *guest, u64 linear)
{
	u64 *entry = shadow_entry(guest, linear);

	if (entry)
		memset((void *)ALIGN_DOWN((uintptr_t)entry, PAGE_SIZE), 0, PAGE_SIZE);
	else
		forget_all(guest);
	flush_tlb(guest);
}
