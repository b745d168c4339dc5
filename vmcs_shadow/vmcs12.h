/* vmcs12: the VMCS that L1 keeps for L2, held by L0 while L1 keeps it active. */
#ifndef TURTLES_VMCS12_H
#define TURTLES_VMCS12_H

#include "fields.h"

struct vmcs12 {
	u64 value[VMCS_FIELDS];
	struct field_set dirty; /* changed since vmcs02 was last written from it */
	struct field_set stale; /* the newer value is still in vmcs02 alone */
	struct field_set changed; /* learnt since L1's shadow was last written from it */
	bool launched;          /* launch state; SDM "The VMCS Region and Launch State" */
};

static inline u64 vmcs12_get(const struct vmcs12 *vmcs12, enum vmcs_field field)
{
	return vmcs12->value[field];
}

/*
 * Has a VMREAD or VMWRITE of a field only value[field] to deal with? So it is if the field is in the set and not stale.
 * VMCS_FIELDS is in none.
 */
static inline bool vmcs12_is_at_hand(const struct vmcs12 *vmcs12, const struct field_set *set, enum vmcs_field field)
{
	u64 fresh = set->word[field / 64] & ~vmcs12->stale.word[field / 64];

	return fresh >> field % 64 & 1;
}

/* Store a value that comes from vmcs02 itself, so vmcs02 need not be written. */
static inline void vmcs12_learn(struct vmcs12 *vmcs12, enum vmcs_field field, u64 value)
{
	if (vmcs12->value[field] == value)
		return;
	vmcs12->value[field] = value;
	field_set_add(&vmcs12->changed, field);
}

/* Store a value that vmcs02 does not have yet, cut to the field's width; of a field that is not stale. */
static inline void vmcs12_put(struct vmcs12 *vmcs12, enum vmcs_field field, u64 value)
{
	vmcs12->value[field] = value & vmcs_field_mask(field);
	field_set_add(&vmcs12->dirty, field);
}

/* The same of any field. */
static inline void vmcs12_set(struct vmcs12 *vmcs12, enum vmcs_field field, u64 value)
{
	vmcs12_put(vmcs12, field, value);
	field_set_remove(&vmcs12->stale, field);
}

/* A group of controls as it takes effect: the secondary ones are all 0 unless they are activated. */
static inline u32 vmcs12_controls(const struct vmcs12 *vmcs12, enum control_group group)
{
	if (group == CONTROLS_proc2 && !(vmcs12_get(vmcs12, F_primary_processor_based_controls) &
					 PROC_activate_secondary_controls))
		return 0;
	return (u32)vmcs12_get(vmcs12, (enum vmcs_field)vmcs_control_field[group]);
}

/* All zero, all dirty, launch state clear: what a region is before anything was written to it. */
void vmcs12_reset(struct vmcs12 *vmcs12);

/*
 * VMREAD and VMWRITE by encoding, high halves included; SDM "VMREAD" and "VMWRITE".
 * *number receives the VM-instruction error if the result is VMX_FAIL_VALID. Neither looks at stale:
 * the caller brings the field in first, for a VMWRITE of a high half too, as it keeps the low one.
 */
struct vmx_capabilities;
/* The fields that VMWRITE may write. */
struct field_set vmcs12_writable(const struct vmx_capabilities *caps12);
enum vmx_outcome vmcs12_vmread(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12,
			       u64 encoding, u64 *value, u32 *number);
enum vmx_outcome vmcs12_vmwrite(struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12,
				u64 encoding, u64 value, u32 *number);

/*
 * The image of vmcs12 in L1's VMCS region, where it lives while it is not active. The layout is
 * L0's own, as the SDM leaves it to the processor. Loading accepts any bytes.
 */
#define VMCS12_IMAGE_SIZE (sizeof(struct vmcs12_image))
struct vmcs12_image {
	struct vmcs_region_header header;
	u64 launched;
	u64 value[VMCS_FIELDS];
	u64 field_page, field_page_check; /* l0/nested_page.c: its MSR, and the complement, as this is L1's memory */
	u64 entered; /* L2 has run on it */
};
_Static_assert(sizeof(struct vmcs12_image) <= 4096, "a VMCS region is one page");

/* Everything but the header, which is L1's to write. Nothing may be stale. */
void vmcs12_store(const struct vmcs12 *vmcs12, struct vmcs12_image *image);
/* All of it is dirty then, none stale. */
void vmcs12_load(struct vmcs12 *vmcs12, const struct vmcs12_image *image);
/* The same into a vmcs12 that was stored there, and has not changed since: dirty is what differs, and what was so. */
void vmcs12_load_again(struct vmcs12 *vmcs12, const struct vmcs12_image *image);

#endif
