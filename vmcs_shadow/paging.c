#include "paging.h"

#define MAX_LEVELS 5
#define PAE_PDPTE_SHIFT 30
/* PSE-36: bits 20:13 of a 4 MiB page's entry are bits 39:32 of its address, as far as the CPU has them. */
#define PSE36_LOW BITS(31, 22)
#define PSE36_HIGH BITS(20, 13)
#define PSE36_HIGH_SHIFT 19
#define PSE36_WIDTH 40

/* How a paging mode reads its tables. */
struct format {
	u64 root;            /* the first table in memory */
	unsigned levels;     /* of tables in memory; the last is level 1 */
	unsigned large;      /* the highest level whose entries may map a page */
	unsigned entry_size;
	unsigned index_bits;
	u64 reserved;        /* in every entry */
};

struct step {
	u64 address;
	u64 entry;
};

static unsigned level_shift(const struct format *format, unsigned level)
{
	return PAGE_SHIFT + format->index_bits * (level - 1);
}

static struct format format_32bit(const struct paging_state *state)
{
	return (struct format){
		.root = state->cr3 & BITS(31, 12),
		.levels = 2,
		.large = state->cr4 & CR4_PSE ? 2 : 1,
		.entry_size = 4,
		.index_bits = 10,
	};
}

/* root is the PDPTE that maps the address, or CR3. */
static struct format format_64bit(const struct paging_state *state, u64 root, unsigned levels, u64 reserved)
{
	return (struct format){
		.root = root & PTE_ADDRESS,
		.levels = levels,
		.large = levels > 2 && state->page1g ? 3 : 2,
		.entry_size = 8,
		.index_bits = 9,
		.reserved = reserved | (state->efer & EFER_NXE ? 0 : PTE_NX),
	};
}

static bool is_page(const struct format *format, u64 entry, unsigned level)
{
	return level == 1 || (level <= format->large && (entry & PTE_LARGE));
}

static u64 reserved_in_page(const struct format *format, const struct paging_state *state, unsigned level)
{
	unsigned width = state->maxphyaddr < PSE36_WIDTH ? state->maxphyaddr : PSE36_WIDTH;

	if (level == 1)
		return 0;
	if (format->entry_size == 4)
		return BITS(21, width - PSE36_HIGH_SHIFT);
	return BITS(level_shift(format, level) - 1, 13);
}

/* SDM "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging": the formats of entries. */
static u64 reserved_bits(const struct format *format, const struct paging_state *state, u64 entry,
			 unsigned level)
{
	if (is_page(format, entry, level))
		return format->reserved | reserved_in_page(format, state, level);
	/* 32-bit paging ignores bit 7 of an entry that names a table. */
	return format->reserved | (format->entry_size == 4 ? 0 : PTE_LARGE);
}

static u64 page_address(const struct format *format, u64 entry, unsigned level)
{
	if (format->entry_size == 4 && level == 2)
		return (entry & PSE36_LOW) | (entry & PSE36_HIGH) << PSE36_HIGH_SHIFT;
	return entry & PTE_ADDRESS & ~(BIT(level_shift(format, level)) - 1);
}

static struct paging_result fault(const struct paging_state *state, bool write, u32 error_code)
{
	if (write)
		error_code |= PF_WRITE;
	if (state->privilege == PAGING_user)
		error_code |= PF_USER;
	return (struct paging_result){ PAGING_FAULT, .error_code = error_code };
}

/* SDM "Determination of Access Rights", for data accesses. */
static bool access_allowed(const struct paging_state *state, u64 rights, bool write)
{
	if (state->privilege == PAGING_user)
		return (rights & PTE_USER) && (!write || (rights & PTE_WRITE));
	if ((rights & PTE_USER) && (state->cr4 & CR4_SMAP) &&
	    !(state->privilege == PAGING_supervisor && state->alignment_check))
		return false;
	return !write || (rights & PTE_WRITE) || !(state->cr0 & CR0_WP);
}

/* SDM "Protection Keys": they guard user pages from everyone, though writing from a supervisor only under CR0.WP. */
static bool key_allows(const struct paging_state *state, u64 rights, u64 entry, bool write)
{
	u32 denied = state->pkru >> 2 * ((entry & PTE_KEY) >> PTE_KEY_SHIFT);

	if (!(state->cr4 & CR4_PKE) || !(state->efer & EFER_LMA) || !(rights & PTE_USER))
		return true;
	if (denied & PKRU_ACCESS_DISABLE)
		return false;
	return !(write && denied & PKRU_WRITE_DISABLE && (state->privilege == PAGING_user || state->cr0 & CR0_WP));
}

/* SDM "Accessed and Dirty Flags": steps[level] from the first table's to the page's. */
static bool set_flags(const struct format *format, const struct paging_memory *memory,
		      const struct step *steps, unsigned page_level, bool write)
{
	for (unsigned level = format->levels; level >= page_level; level--) {
		const struct step *step = &steps[level];
		u64 entry = step->entry | PTE_ACCESSED;

		if (level == page_level && write)
			entry |= PTE_DIRTY;
		if (entry != step->entry &&
		    !memory->write(memory->context, step->address, format->entry_size, entry))
			return false;
	}
	return true;
}

static struct paging_result walk(const struct format *format, const struct paging_state *state,
				 const struct paging_memory *memory, u64 linear, bool write)
{
	const struct paging_result unreadable = { .status = PAGING_UNREADABLE };
	struct step steps[MAX_LEVELS + 1];
	u64 rights = PTE_WRITE | PTE_USER;
	unsigned level = format->levels;
	u64 table = format->root, entry, offset;

	for (;; level--) {
		u64 index = linear >> level_shift(format, level) & (BIT(format->index_bits) - 1);

		steps[level].address = table + index * format->entry_size;
		if (!memory->read(memory->context, steps[level].address, format->entry_size, &entry))
			return unreadable;
		steps[level].entry = entry;
		if (!(entry & PTE_PRESENT))
			return fault(state, write, 0);
		if (entry & reserved_bits(format, state, entry, level))
			return fault(state, write, PF_PRESENT | PF_RSVD);
		rights &= entry;
		if (is_page(format, entry, level))
			break;
		table = entry & PTE_ADDRESS;
	}
	if (!key_allows(state, rights, entry, write))
		return fault(state, write, PF_PRESENT | PF_PK);
	if (!access_allowed(state, rights, write))
		return fault(state, write, PF_PRESENT);
	if (!set_flags(format, memory, steps, level, write))
		return unreadable;
	offset = linear & (BIT(level_shift(format, level)) - 1);
	return (struct paging_result){ PAGING_OK, .address = page_address(format, entry, level) | offset };
}

struct paging_result paging_walk(const struct paging_state *state, const struct paging_memory *memory,
				 u64 linear, bool write)
{
	struct format format;

	if (!(state->cr0 & CR0_PG))
		return (struct paging_result){ PAGING_OK, .address = linear };
	if (state->efer & EFER_LMA) {
		unsigned levels = state->cr4 & CR4_LA57 ? 5 : 4;

		format = format_64bit(state, state->cr3, levels, BITS(51, state->maxphyaddr));
	} else if (state->cr4 & CR4_PAE) {
		/* Its reserved bits were checked as it was loaded; it has no rights and no accessed flag. */
		u64 pdpte = state->pdpte[linear >> PAE_PDPTE_SHIFT & 3];

		if (!(pdpte & PTE_PRESENT))
			return fault(state, write, 0);
		format = format_64bit(state, pdpte, 2, BITS(62, state->maxphyaddr));
	} else {
		format = format_32bit(state);
	}
	return walk(&format, state, memory, linear, write);
}
