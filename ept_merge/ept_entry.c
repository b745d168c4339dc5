#include "ept_entry.h"

#define MEMORY_TYPES_DEFINED \
	(BIT(MEMORY_UC) | BIT(MEMORY_WC) | BIT(MEMORY_WT) | BIT(MEMORY_WP) | BIT(MEMORY_WB))
#define WALK_LENGTH_4 (4 - 1)

/* Neither writable nor, without the feature, executable without being readable. */
static bool rights_unsupported(u64 entry, const struct ept_features *features)
{
	if (entry & EPT_READ)
		return false;
	return (entry & EPT_WRITE) || !features->execute_only;
}

static bool is_leaf(u64 entry, unsigned level)
{
	return level == 1 || (level < EPT_LEVELS && (entry & EPT_LARGE));
}

static bool leaf_unsupported(u64 entry, unsigned level, const struct ept_features *features)
{
	unsigned memory_type = (entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT;

	if (level == 2 && !features->page2m)
		return true;
	if (level == 3 && !features->page1g)
		return true;
	if (entry & EPT_ADDRESS & (EPT_LEVEL_SIZE(level) - 1))
		return true;
	return !(MEMORY_TYPES_DEFINED >> memory_type & 1);
}

/* Bits 6:3 of an entry that names a table, and bit 7, which names none at level 4. */
static bool table_unsupported(u64 entry)
{
	return entry & (EPT_MEMORY_TYPE | EPT_IGNORE_PAT | EPT_LARGE);
}

enum ept_entry_kind ept_entry_kind(u64 entry, unsigned level, const struct ept_features *features)
{
	if (!(entry & EPT_RWX))
		return EPT_NOT_PRESENT;
	if (rights_unsupported(entry, features) || (entry & EPT_ADDRESS) >> features->maxphyaddr)
		return EPT_MISCONFIGURED;
	if (is_leaf(entry, level))
		return leaf_unsupported(entry, level, features) ? EPT_MISCONFIGURED : EPT_LEAF;
	return table_unsupported(entry) ? EPT_MISCONFIGURED : EPT_TABLE;
}

u64 ept_leaf_encode(const struct ept_leaf *leaf)
{
	return leaf->address | leaf->rights | (u64)leaf->memory_type << EPT_MEMORY_TYPE_SHIFT |
	       (leaf->ignore_pat ? EPT_IGNORE_PAT : 0) | (leaf->level > 1 ? EPT_LARGE : 0);
}

struct ept_leaf ept_leaf_decode(u64 entry, unsigned level)
{
	return (struct ept_leaf){
		.address = entry & EPT_ADDRESS,
		.level = level,
		.rights = entry & EPT_RWX,
		.memory_type = (entry & EPT_MEMORY_TYPE) >> EPT_MEMORY_TYPE_SHIFT,
		.ignore_pat = entry & EPT_IGNORE_PAT,
	};
}

static bool eptp_memory_type_valid(u64 eptp, u64 ept_vpid_capabilities)
{
	switch (eptp & EPTP_MEMORY_TYPE) {
	case MEMORY_UC:
		return ept_vpid_capabilities & EPT_CAP_UC;
	case MEMORY_WB:
		return ept_vpid_capabilities & EPT_CAP_WB;
	default:
		return false;
	}
}

bool eptp_valid(u64 eptp, u64 ept_vpid_capabilities, unsigned maxphyaddr)
{
	u64 walk_length = (eptp & EPTP_WALK_LENGTH) >> EPTP_WALK_LENGTH_SHIFT;

	if (!eptp_memory_type_valid(eptp, ept_vpid_capabilities))
		return false;
	/* Walks of five levels are offered to nobody. */
	if (walk_length != WALK_LENGTH_4 || !(ept_vpid_capabilities & EPT_CAP_WALK_4))
		return false;
	if ((eptp & EPTP_ACCESSED_DIRTY) && !(ept_vpid_capabilities & EPT_CAP_ACCESSED_DIRTY))
		return false;
	if ((eptp & EPTP_SHADOW_STACK) && !(ept_vpid_capabilities & EPT_CAP_SUPERVISOR_SHADOW_STACK))
		return false;
	return !(eptp & EPTP_RESERVED) && !(eptp >> maxphyaddr);
}
