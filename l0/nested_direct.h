/* The hot fields of vmcs12 where L1 reaches them without an exit: VMCS shadowing by the CPU. */
#ifndef TURTLES_NESTED_DIRECT_H
#define TURTLES_NESTED_DIRECT_H

#include "nested.h"

/* Once for each CPU, with its vmcs01 current: bitmaps for the fields that L1 has. Switches off what the CPU lacks. */
void nested_direct_init(const struct field_set *fields12);
void nested_direct_init_slot(struct vmcs_slot *slot);

/* All of vmcs12, which has come into the slot. Like the next one, leaves vmcs01 current. */
void nested_direct_fill(struct cpu *cpu, const struct vmcs_slot *slot);
/* L1 has made another VMCS current, or none; vmcs01 is current for the CPU. */
void nested_direct_follow(struct cpu *cpu);

/* What an exit of L2 has changed; leaves neither vmcs01 nor vmcs02 current. */
void nested_direct_publish(struct vmcs_slot *slot);
/* What L1 has written comes into vmcs12, dirty; leaves neither current. */
void nested_direct_collect(struct vmcs_slot *slot);
/* A VMWRITE that did exit has changed a field, which L1 may read in its shadow. Leaves vmcs01 current. */
void nested_direct_write(struct cpu *cpu, const struct vmcs_slot *slot, enum vmcs_field field);
static inline void nested_direct_written(struct cpu *cpu, const struct vmcs_slot *slot, enum vmcs_field field)
{
	if (UNLIKELY(vmcs_field[field].hot != HOT_N))
		nested_direct_write(cpu, slot, field);
}

#endif
