/* vmcs02 out of vmcs12 and what L0 needs: the value of every merged field. */
#ifndef TURTLES_MERGE_H
#define TURTLES_MERGE_H

#include "bitmaps.h"
#include "capabilities.h"
#include "vmcs12.h"

/* What L0 brings to the merge: its own needs, and the host addresses that stand for L1's. */
struct merge_input {
	const struct vmcs12 *vmcs12;
	const struct vmx_capabilities *host;
	/*
	 * Controls that L0 cannot do without while L2 runs, as it has them in vmcs01. Those that only
	 * give a guest something, like enable_rdtscp, are vmcs12's alone wherever they stand here.
	 */
	u32 controls01[CONTROL_GROUPS];
	u32 exception_bitmap01;
	u64 cr0_guest_host_mask01, cr4_guest_host_mask01;
	u64 tsc_offset01;
	/* Host physical addresses for vmcs02. */
	u64 bitmap02[BITMAPS];
	u64 virtual_apic02, apic_access02;
	u64 link_pointer02; /* of the VMCS that has what L1's shadow VMCS has; or VMCS_NO_POINTER */
	u64 eptp02;
	u64 spptp02;
	u16 vpid02; /* 0: enter without a VPID */
	/* L1's own values, which L2 starts with where vmcs12 does not load others. */
	u64 debugctl01, pat01, efer01, dr7_01;
};

/* The value of a field of use MERGE in vmcs02. SDM section for each in merge.c. */
u64 merge_field(const struct merge_input *input, enum vmcs_field field);

/*
 * Every field of vmcs02 that must be written again when the given fields of vmcs12 have changed:
 * the copied ones among them, and the merged ones that depend on any of them. What follows from a
 * change in merge_input itself (a new eptp02, L1's own PAT) is the caller's to add, and so is guest
 * state that the CPU saved to vmcs02, but vmcs12's exit controls do not save.
 */
struct field_set merge_affected(const struct field_set *dirty);

#endif
