/* Which fields of vmcs12 L1 is to reach without an exit, where the CPU has VMCS shadowing. */
#ifndef TURTLES_DIRECT_SET_H
#define TURTLES_DIRECT_SET_H

#include "fields.h"

/* What L1 reads there; what it writes there it reads there as well. SDM "VMCS Shadowing Bitmap Addresses". */
struct direct_set {
	struct field_set read, written;
};

/* How often L1's VMREADs and VMWRITEs of each field have exited; the last place is for those that do not exist. */
struct field_accesses {
	u32 read[VMCS_FIELDS + 1], written[VMCS_FIELDS + 1];
};

/*
 * The fields that could be in a set at all: the CPU has them, L1 is offered them, and L0 changes them at exits of L2
 * alone.
 */
struct field_set direct_set_possible(const struct field_set *host, const struct field_set *offered);

/* The fields that vmcs_fields.def calls hot. Guest state that stays in vmcs02 at an exit is not among them. */
struct direct_set direct_set_fixed(const struct field_set *possible);
/* All of them. */
struct direct_set direct_set_all(const struct field_set *possible);

/*
 * Add to the set what pays: fields whose exits, those between two counts, cost more than to carry the field through as
 * many exits of L2 as there were meanwhile. What the set has stays; of that no access exits and none is counted.
 */
void direct_set_learn(struct direct_set *set, const struct field_set *possible, const struct field_accesses *before,
		      const struct field_accesses *now, u64 exits);

bool direct_set_equal(const struct direct_set *a, const struct direct_set *b);

#endif
