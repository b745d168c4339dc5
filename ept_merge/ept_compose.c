#include "ept_compose.h"

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

u8 ept_combine_memory_types(u8 one, u8 other)
{
	if (one == other || other == MEMORY_WB)
		return one;
	return one == MEMORY_WB ? other : MEMORY_UC;
}

struct ept_leaf ept_compose(u64 address20, u64 address10, const struct ept_leaf *leaf12,
			    const struct ept_leaf *leaf01, unsigned max_level)
{
	unsigned level = least(max_level, least(leaf12->level, leaf01->level));
	u64 address00 = leaf01->address + (address10 & (EPT_LEVEL_SIZE(leaf01->level) - 1));

	/* An offset kept within leaf12 is kept within any smaller page. */
	ASSERT(IS_ALIGNED(address20 ^ address10, EPT_LEVEL_SIZE(leaf12->level)));
	ASSERT(IS_ALIGNED(leaf01->address, EPT_LEVEL_SIZE(leaf01->level)));
	return (struct ept_leaf){
		.address = ALIGN_DOWN(address00, EPT_LEVEL_SIZE(level)),
		.level = level,
		.rights = leaf12->rights & leaf01->rights,
		.memory_type = ept_combine_memory_types(leaf12->memory_type, leaf01->memory_type),
		.ignore_pat = leaf12->ignore_pat || leaf01->ignore_pat,
	};
}
