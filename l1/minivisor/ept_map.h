/* EPT12 of a guest: guest-physical memory, one to one onto its region, filled by demand or at once. */
#ifndef MINIVISOR_EPT_MAP_H
#define MINIVISOR_EPT_MAP_H

#include "guest.h"

/* Check the CPU's EPT; once, before the first guest. */
void ept_check(void);

/* Build the tables as guest->map says. What the loader has filled is mapped in any case. */
void ept_init(struct guest *guest);

/* For the VMCS. */
u64 ept_pointer(const struct guest *guest);

/* Map the 4 KiB page around a guest-physical address; false if the guest has no memory there. */
bool ept_map_page(struct guest *guest, u64 address);

/* Map a page of that level (1 is 4 KiB, 2 is 2 MiB) in the tables below root; memory for tables is taken as needed. */
void ept_map_to(u64 *root, u64 address, u64 physical, unsigned level);

#endif
