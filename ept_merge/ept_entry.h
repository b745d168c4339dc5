/* What one EPT entry says. SDM "Format of ..." tables under "EPT Translation Mechanism". */
#ifndef TURTLES_EPT_ENTRY_H
#define TURTLES_EPT_ENTRY_H

#include "ept.h"
#include "x86.h"

/* What the CPU that owns the tables can do; it decides which entries are misconfigured. */
struct ept_features {
	u8 maxphyaddr;
	bool execute_only;
	bool page2m, page1g;
	bool accessed_dirty;
};

enum ept_entry_kind { EPT_NOT_PRESENT, EPT_TABLE, EPT_LEAF, EPT_MISCONFIGURED };

#define EPT_MEMORY_TYPES \
	(BIT(MEMORY_UC) | BIT(MEMORY_WC) | BIT(MEMORY_WT) | BIT(MEMORY_WP) | BIT(MEMORY_WB))

/* Of an entry that maps a page of 2 MiB or 1 GiB: is it beyond the CPU, or has it bits in the offset? */
bool ept_large_unsupported(u64 entry, unsigned level, const struct ept_features *features);

/* Of an entry that maps a page: is it misconfigured beyond what any entry may be? */
static inline bool ept_leaf_unsupported(u64 entry, unsigned level, const struct ept_features *features)
{
	return (level > 1 && ept_large_unsupported(entry, level, features)) ||
	       !(EPT_MEMORY_TYPES >> ((entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT) & 1);
}

/* Neither writable nor, without the feature, executable without being readable. */
static inline bool ept_rights_unsupported(u64 entry, const struct ept_features *features)
{
	return !(entry & EPT_READ) && ((entry & EPT_WRITE) || !features->execute_only);
}

/* SDM "EPT Misconfigurations" and "EPT Violations": the kind of an entry found at level (4 to 1). */
static inline enum ept_entry_kind ept_entry_kind(u64 entry, unsigned level, const struct ept_features *features)
{
	if (!(entry & EPT_RWX))
		return EPT_NOT_PRESENT;
	if (ept_rights_unsupported(entry, features) || (entry & EPT_ADDRESS) >> features->maxphyaddr)
		return EPT_MISCONFIGURED;
	if (level == 1 || (level < EPT_LEVELS && (entry & EPT_LARGE)))
		return ept_leaf_unsupported(entry, level, features) ? EPT_MISCONFIGURED : EPT_LEAF;
	/* Bits 6:3 of an entry that names a table, and bit 7, which names none at level 4. */
	return entry & (EPT_MEMORY_TYPE | EPT_IGNORE_PAT | EPT_LARGE) ? EPT_MISCONFIGURED : EPT_TABLE;
}

/* A page as a leaf maps it. */
struct ept_leaf {
	u64 address;    /* of the page's first byte */
	u8 level;       /* 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB */
	u8 rights;      /* EPT_READ | EPT_WRITE | EPT_EXECUTE */
	u8 memory_type; /* enum memory_type */
	bool ignore_pat;
	bool sub_pages; /* of 4 KiB, with sub-page write permissions */
};

static inline u64 ept_leaf_encode(const struct ept_leaf *leaf)
{
	return leaf->address | leaf->rights | (u64)leaf->memory_type << EPT_MEMORY_TYPE_SHIFT |
	       (leaf->ignore_pat ? EPT_IGNORE_PAT : 0) | (leaf->level > 1 ? EPT_LARGE : 0) |
	       (leaf->sub_pages ? EPT_SUB_PAGE : 0);
}

static inline struct ept_leaf ept_leaf_decode(u64 entry, unsigned level)
{
	return (struct ept_leaf){
		.address = entry & EPT_ADDRESS,
		.level = (u8)level,
		.rights = entry & EPT_RWX,
		.memory_type = (entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT,
		.ignore_pat = entry & EPT_IGNORE_PAT,
	};
}

/* Is an EPTP one that a VM entry accepts? SDM "Checks on VM-Execution Control Fields". */
bool eptp_valid(u64 eptp, u64 ept_vpid_capabilities, unsigned maxphyaddr);

#endif
