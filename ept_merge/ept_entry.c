#include "ept_entry.h"

#define WALK_LENGTH_4 (4 - 1)

bool ept_large_unsupported(u64 entry, unsigned level, const struct ept_features *features)
{
	return (level == 2 ? !features->page2m : !features->page1g) ||
	       (entry & EPT_ADDRESS & (EPT_LEVEL_SIZE(level) - 1));
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
