/*
 * Fields of vmcs12 where L1 reaches them without an exit: VMCS shadowing by the CPU, or the page that L1 gave the VMCS.
 */
#ifndef TURTLES_NESTED_DIRECT_H
#define TURTLES_NESTED_DIRECT_H

#include "cpu.h"

/*
 * Once for each CPU, with its vmcs01 current and what L1 is offered known: the fields and their bitmaps. Switches off
 * what the CPU lacks.
 */
void nested_direct_init(struct cpu *cpu);
void nested_direct_init_slot(struct vmcs_slot *slot);

/* All of vmcs12, which has come into the slot. Like the next one, leaves vmcs01 current. */
void nested_direct_fill(struct cpu *cpu, struct vmcs_slot *slot);
/*
 * L1 accesses other fields directly than when the slot's VMCS was current last. The current one is always up to date.
 * Leaves vmcs01 current.
 */
COLD void nested_direct_renew(struct cpu *cpu, struct vmcs_slot *slot);
static inline void nested_direct_catch_up(struct cpu *cpu, struct vmcs_slot *slot)
{
	if (UNLIKELY(slot->direct_version != cpu->nested.direct.version))
		nested_direct_renew(cpu, slot);
}
/* L1 has made another VMCS current, or none; vmcs01 is current for the CPU. */
void nested_direct_follow(struct cpu *cpu);

/* What an exit of L2 has changed; leaves neither vmcs01 nor vmcs02 current. */
void nested_direct_publish(struct cpu *cpu, struct vmcs_slot *slot);
/* What L1 has written comes into vmcs12, dirty; leaves neither current. */
void nested_direct_collect(struct cpu *cpu, struct vmcs_slot *slot);
/* The end of a round of learning, or of a probe: what does L1 use? Leaves any VMCS current. */
COLD void nested_direct_look_again(struct cpu *cpu);
/* Count an entry of L2, behind the collection. Leaves any VMCS current. */
static inline void nested_direct_count(struct cpu *cpu)
{
	if (UNLIKELY(--cpu->nested.direct.entries_left == 0))
		nested_direct_look_again(cpu);
}
/* A VMWRITE that did exit has changed a field, which L1 may read in its shadow. Leaves vmcs01 current. */
void nested_direct_write(struct cpu *cpu, const struct vmcs_slot *slot, enum vmcs_field field);
static inline void nested_direct_written(struct cpu *cpu, const struct vmcs_slot *slot, enum vmcs_field field)
{
	if (UNLIKELY(cpu->nested.direct.is_read[field]))
		nested_direct_write(cpu, slot, field);
}

#endif
