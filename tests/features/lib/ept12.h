/* EPT12 of the feature images: low memory one to one, and what a test makes of it. */
#ifndef CONFORM_EPT12_H
#define CONFORM_EPT12_H

#include "ept.h"

/* A new root that maps the first 64 MiB with 2 MiB pages. */
u64 *ept12_new(void);
u64 ept12_pointer(const u64 *root, bool accessed_dirty);

/* The entry of an address at a level; there must be tables down to there. */
u64 *ept12_entry(u64 *root, u64 address, unsigned level);
/* Have 4 KiB pages in place of the 2 MiB page around address. */
void ept12_split(u64 *root, u64 address);

/* Print "NAME: A-/AD/--" of the entries of all levels down to the leaf. */
void ept12_tell(const char *what, u64 *root, u64 address);
/* Clear both flags in every entry there is, and INVEPT. */
void ept12_clean(u64 *root);

#endif
