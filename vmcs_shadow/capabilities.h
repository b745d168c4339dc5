/* The VMX capabilities of a CPU, and what of them L1 is offered. */
#ifndef TURTLES_CAPABILITIES_H
#define TURTLES_CAPABILITIES_H

#include "fields.h"
#include "x86.h"

#define VMX_CAPABILITY_MSRS (MSR_VMX_LAST - MSR_VMX_FIRST + 1)

struct vmx_capabilities {
	u64 msr[VMX_CAPABILITY_MSRS]; /* by number from MSR_VMX_FIRST; 0 where absent */
	u32 present;                  /* bit n: reading MSR_VMX_FIRST + n does not fault */
	u8 maxphyaddr;                /* physical-address width; CPUID leaf 0x80000008 */
	bool page1g;                  /* CPUID: 1 GiB pages in ordinary paging */
	u64 s_cet;                    /* the bits of IA32_S_CET that the CPU has; CPUID leaf 7 */
	struct field_set fields;      /* what VMREAD knows */
};

static inline u64 capability(const struct vmx_capabilities *caps, enum msr_number msr)
{
	return caps->msr[msr - MSR_VMX_FIRST];
}

static inline bool capability_present(const struct vmx_capabilities *caps, u32 msr)
{
	return msr >= MSR_VMX_FIRST && msr <= MSR_VMX_LAST && caps->present >> (msr - MSR_VMX_FIRST) & 1;
}

/* Which bits of a group must be 1, and which may be; by the TRUE MSR where the CPU has it. */
u32 controls_required(const struct vmx_capabilities *caps, enum control_group group);
u32 controls_allowed(const struct vmx_capabilities *caps, enum control_group group);

/* A wish brought within the capability: (wish | required) & allowed. */
static inline u32 controls_adjust(const struct vmx_capabilities *caps, enum control_group group, u32 wish)
{
	return (wish | controls_required(caps, group)) & controls_allowed(caps, group);
}

/* What L0 lets L1 have at the most: a bit that is clear here is offered to nobody. */
struct vmx_policy {
	u32 controls[CONTROL_GROUPS];
	u64 ept_vpid;
	u64 misc;
};

/* Everything that L0 implements today. */
extern const struct vmx_policy vmx_policy_default;

/* Take from the host's fields those that exist with a control that it has not; SDM "Field Encoding in VMCS". */
void capabilities_limit_fields(struct vmx_capabilities *host);

/* L1's capabilities: a pure function of the host's and of policy. SDM "VMX Capability Reporting Facility". */
void capabilities_for_l1(struct vmx_capabilities *caps12, const struct vmx_capabilities *host,
			 const struct vmx_policy *policy);

/* The first feature that L0 cannot do without and the CPU lacks, by its SDM name; NULL if it has them all. */
const char *capabilities_missing(const struct vmx_capabilities *host);

/*
 * Of what L0 uses or offers if it is there, the next feature that the CPU lacks, by its SDM name; NULL at the end.
 * *next is where to look from, 0 at first.
 */
const char *capabilities_next_lacked(const struct vmx_capabilities *host, unsigned *next);

#endif
