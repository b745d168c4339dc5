/* The VMCS of a guest, as it is before the first entry. */
#ifndef MINIVISOR_VMCS_H
#define MINIVISOR_VMCS_H

#include "guest.h"

/* Fill the current VMCS: controls, L1's state to come back to, L2's to start with. */
void vmcs_setup(struct guest *guest, u64 entry);

#endif
