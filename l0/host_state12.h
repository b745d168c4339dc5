/* L1 as it finds itself after an exit from L2. */
#ifndef TURTLES_HOST_STATE12_H
#define TURTLES_HOST_STATE12_H

#include "vmcs_shadow/vmcs12.h"

/* What L1 goes on with as L2 left it, where vmcs12's exit controls load nothing else. */
struct left_by_l2 {
	u64 efer, pat;
	bool nmi_blocked; /* an NMI caused the exit, or L1 was blocking NMIs before */
};

/*
 * Load vmcs12's host state into vmcs01, which is current. SDM "Loading Host State". False if L1 uses PAE paging and its
 * PDPTEs are not valid: a CPU would abort.
 */
bool host_state12_load(const struct vmcs12 *vmcs12, const struct left_by_l2 *left);

#endif
