/* A CPU that can do all that VMX has names for, and a vmcs12 that L0 may enter on it. */
#ifndef TURTLES_VMX_FAKE_H
#define TURTLES_VMX_FAKE_H

#include "vmcs_shadow/capabilities.h"
#include "vmcs_shadow/vmcs12.h"

#define FAKE_MAXPHYADDR 40
#define FAKE_BEYOND BIT(FAKE_MAXPHYADDR) /* the first address beyond memory */

/* The bits that are 1 without the TRUE MSRs; SDM "Reserved Controls and Default Settings". */
extern const u32 fake_default1[CONTROL_GROUPS];
/* The same with them. */
extern const u32 fake_required[CONTROL_GROUPS];

struct vmx_capabilities fake_host(void);
/* What L0 offers on it by default. */
struct vmx_capabilities fake_caps12(void);

u64 *fake_msr(struct vmx_capabilities *caps, enum msr_number msr);
/* The controls that may be 1, in the default and the TRUE MSR alike. */
void fake_allow(struct vmx_capabilities *caps, enum control_group group, u32 allowed);

/* A vmcs12 with a use for everything that has an entry check, of a 64-bit L1 or a 32-bit one. */
struct vmcs12 fake_vmcs12(bool l1_long_mode);

/* Change a field: bits to clear, then bits to set. */
struct fake_change {
	enum vmcs_field field;
	u64 clear, set;
};
void fake_apply(struct vmcs12 *vmcs12, const struct fake_change *change);

#endif
