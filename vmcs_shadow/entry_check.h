/* The checks of a VM entry by L1, in the SDM's order, each with the field that failed. */
#ifndef TURTLES_ENTRY_CHECK_H
#define TURTLES_ENTRY_CHECK_H

#include "capabilities.h"
#include "vmcs12.h"

enum entry_result {
	ENTRY_ok,
	ENTRY_vmfail,  /* VMfailValid; number is the VM-instruction error */
	ENTRY_failure, /* entry failure due to invalid guest state; number is the exit qualification */
};

struct entry_verdict {
	enum entry_result result;
	u32 number;
	enum vmcs_field field; /* where the check failed; VMCS_FIELDS if none */
	const char *rule;      /* the rule that it broke, in a few words */
};

/* What of L1's own state the checks depend on. */
struct entry_context {
	bool l1_long_mode; /* IA32_EFER.LMA of L1 at the entry */
};

/*
 * SDM "Checks on VMX Controls", for the controls that L0 can offer. Two of its rules need memory and
 * are not made: that the TPR threshold is not above the virtual TPR, and what MSR lists hold.
 */
struct entry_verdict entry_check_controls(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12);
/*
 * Of these the rules on an event to inject, SDM "VM-Entry Control Fields": all that there is to check again where only
 * entry_check_event_fields have changed.
 */
struct entry_verdict entry_check_event(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12);

/*
 * Of these the rules on interrupt_window_exiting and nmi_window_exiting: all that there is to check again where of the
 * controls only these two have changed.
 */
#define PROC_WINDOWS (PROC_interrupt_window_exiting | PROC_nmi_window_exiting)
struct entry_verdict entry_check_windows(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12);

/*
 * SDM "Checks on Host Control Registers, MSRs, and SSP", "Checks on Host Segment and Descriptor-Table
 * Registers", "Checks Related to Address-Space Size".
 */
struct entry_verdict entry_check_host(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12,
				      const struct entry_context *context);

/*
 * SDM "Checks on the Guest State Area": those that the CPU cannot make for L0, because vmcs02 differs
 * from vmcs12 there. The rest the CPU makes on vmcs02, whose guest state is L1's. What a VMCS link
 * pointer leads to is in memory: see entry_check_link().
 */
struct entry_verdict entry_check_guest(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12);

/*
 * SDM "Checks on Guest Non-Register State": what a VMCS link pointer other than all ones, which passed the check
 * above, leads to. vmptr12 is the current VMCS; header is what memory has in the first four bytes of the region.
 */
struct entry_verdict entry_check_link(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12, u64 vmptr12,
				      u32 header);

/*
 * The fields that each check reads; none may be stale. While none of them is dirty, and with the same
 * capabilities and context, the check that was passed before is passed again.
 */
extern const union field_bits entry_check_controls_fields;
extern const union field_bits entry_check_event_fields;
extern const union field_bits entry_check_host_fields;
extern const union field_bits entry_check_guest_fields;

#endif
