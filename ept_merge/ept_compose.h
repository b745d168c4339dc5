/* One page of EPT02 out of one of EPT12 and one of EPT01. */
#ifndef TURTLES_EPT_COMPOSE_H
#define TURTLES_EPT_COMPOSE_H

#include "ept_entry.h"

/*
 * The largest page around address20 (L2-physical) that both allow, at most max_level. leaf12 maps
 * address20 to address10 (L1-physical), leaf01 maps that to the host. Rights are intersected; the
 * memory type is the one that EPT12 asks for, made no weaker than EPT01 demands. A PAT that one of them
 * ignores is ignored.
 */
struct ept_leaf ept_compose(u64 address20, u64 address10, const struct ept_leaf *leaf12,
			    const struct ept_leaf *leaf01, unsigned max_level);

/*
 * A memory type no weaker than either: SDM "Selecting Memory Types" (the table for MTRR and PAT), where
 * that does not depend on which of the two is the PAT's, else UC.
 */
u8 ept_combine_memory_types(u8 one, u8 other);

#endif
