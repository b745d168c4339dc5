#include "ept_walk.h"
#include "ept_sub_page.h"

/* Four levels translate 48 bits. */
#define ADDRESS_WIDTH EPT_LEVEL_SHIFT(EPT_LEVELS + 1)

/* An entry that the walk has used, and where it lies. */
struct step {
	u64 address;
	u64 entry;
	const u64 *at;
};

/* steps[level] for each level from the root's to the leaf's. */
static bool set_accessed_dirty(const struct step *steps, unsigned leaf_level, u8 access,
			       const struct ept_memory *memory)
{
	for (unsigned level = EPT_LEVELS; level >= leaf_level; level--) {
		const struct step *step = &steps[level];
		u64 bits = EPT_ACCESSED;

		if (level == leaf_level && (access & EPT_WRITE))
			bits |= EPT_DIRTY;
		if (bits & ~step->entry && !memory->set_bits(memory->context, step->address, bits))
			return false;
	}
	return true;
}

static bool follow_path(const struct ept_walk_path *path, u64 eptp, u64 address, struct step *steps)
{
	if (!path || path->eptp != eptp || path->start != ALIGN_DOWN(address, EPT_LEVEL_SIZE(2)))
		return false;
	for (unsigned level = EPT_LEVELS; level > 1; level--) {
		steps[level].entry = __atomic_load_n(path->at[level], __ATOMIC_RELAXED);
		if (steps[level].entry != path->entry[level])
			return false;
	}
	return true;
}

/* With accessed and dirty flags only where there is none left to set. */
static void keep_path(struct ept_walk_path *path, u64 eptp, u64 address, const struct step *steps, u64 table, u8 rights)
{
	if (!path)
		return;
	*path = (struct ept_walk_path){
		.eptp = eptp, .start = ALIGN_DOWN(address, EPT_LEVEL_SIZE(2)), .table = table, .rights = rights,
	};
	for (unsigned level = EPT_LEVELS; level > 1; level--) {
		path->at[level] = steps[level].at;
		path->entry[level] = steps[level].entry;
		if (eptp & EPTP_ACCESSED_DIRTY && !(steps[level].entry & EPT_ACCESSED))
			path->eptp = 0;
	}
}

/* Down to the leaf, or to what is in its place; the access is not looked at yet. */
static enum ept_walk_status descend(u64 eptp, u64 address, const struct ept_features *features,
				    const struct ept_memory *memory, struct step *steps,
				    struct ept_walk_result *result)
{
	u64 table = eptp & EPTP_ADDRESS;
	unsigned level = EPT_LEVELS;

	if (follow_path(memory->path, eptp, address, steps)) {
		level = 1;
		table = memory->path->table;
		result->rights = memory->path->rights;
	}
	for (;; level--) {
		struct step *step = &steps[level];
		enum ept_entry_kind kind;

		step->address = ept_entry_address(table, address, level);
		step->at = ept_memory_entry(memory, step->address);
		if (!step->at)
			return EPT_WALK_UNREADABLE;
		step->entry = __atomic_load_n(step->at, __ATOMIC_RELAXED);
		kind = ept_entry_kind(step->entry, level, features);
		if (kind == EPT_MISCONFIGURED)
			return EPT_WALK_MISCONFIGURATION;
		result->rights &= step->entry;
		result->suppress_ve = step->entry & EPT_SUPPRESS_VE;
		if (kind == EPT_NOT_PRESENT)
			return EPT_WALK_VIOLATION;
		if (kind == EPT_LEAF) {
			result->leaf = ept_leaf_decode(step->entry, level);
			return EPT_WALK_OK;
		}
		table = step->entry & EPT_ADDRESS;
		if (level == 2)
			keep_path(memory->path, eptp, address, steps, table, result->rights);
	}
}

/* SDM "Sub-Page Write Permissions": which writes are eligible, and what becomes of them. */
static enum ept_walk_status look_at_sub_pages(const struct step *leaf, u64 address, u8 access,
					      const struct ept_features *features, const struct ept_memory *memory,
					      struct ept_walk_result *result)
{
	if (!memory->sub_pages || (access & ~result->rights) != EPT_WRITE || !(result->rights & EPT_READ) ||
	    result->leaf.level > 1 || !(leaf->entry & EPT_SUB_PAGE))
		return EPT_WALK_VIOLATION;
	switch (ept_sub_page_walk(memory->spptp, address, features->maxphyaddr, memory, &result->sub_pages)) {
	case SUB_PAGE_WRITABLE:
		result->sub_page = true;
		return EPT_WALK_OK;
	case SUB_PAGE_READ_ONLY:
		return EPT_WALK_VIOLATION;
	case SUB_PAGE_MISS:
		return EPT_WALK_SUB_PAGE_MISS;
	default:
		return EPT_WALK_SUB_PAGE_MISCONFIGURATION;
	}
}

struct ept_walk_result ept_walk(u64 eptp, u64 address, u8 access, const struct ept_features *features,
				const struct ept_memory *memory)
{
	struct ept_walk_result result; /* of which some is valid only by its status */
	struct step steps[EPT_LEVELS + 1];
	unsigned level;

	result.rights = EPT_RWX;
	result.address = 0;
	result.suppress_ve = result.sub_page = false;
	if (address >> ADDRESS_WIDTH) {
		result.status = EPT_WALK_VIOLATION;
		result.rights = 0;
		return result;
	}
	result.status = descend(eptp, address, features, memory, steps, &result);
	if (result.status != EPT_WALK_OK)
		return result;
	if (UNLIKELY(access & ~result.rights)) {
		result.status = look_at_sub_pages(&steps[result.leaf.level], address, access, features, memory,
						  &result);
		if (result.status != EPT_WALK_OK)
			return result;
	}
	level = result.leaf.level;
	result.leaf.rights = result.rights;
	result.address = result.leaf.address | (address & (EPT_LEVEL_SIZE(level) - 1));
	result.dirty = true;
	if (eptp & EPTP_ACCESSED_DIRTY) {
		result.dirty = (access & EPT_WRITE) || (steps[level].entry & EPT_DIRTY);
		if (!set_accessed_dirty(steps, level, access, memory))
			result.status = EPT_WALK_UNREADABLE;
	}
	return result;
}
