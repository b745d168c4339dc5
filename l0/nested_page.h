/* The page that L1 may give a VMCS, to read and write its fields there: include/field_page.h, docs/drw.md. */
#ifndef TURTLES_NESTED_PAGE_H
#define TURTLES_NESTED_PAGE_H

#include "cpu.h"

/* Once for each CPU, with what L1 is offered known. */
void nested_page_init(struct cpu *cpu);

/*
 * L1's access to MSR_TURTLES_FIELD_PAGE, vmcs01 current; false where it is #GP: L0 does not offer it, there is no
 * current VMCS or it is a shadow VMCS, or the page is not RAM of L1's.
 */
bool nested_page_rdmsr(const struct cpu *cpu, u64 *value);
bool nested_page_wrmsr(struct cpu *cpu, u64 value);

/*
 * Give a slot the page that its VMCS had when it left another; none if the value makes no sense, for it was in L1's
 * memory.
 */
void nested_page_restore(struct vmcs_slot *slot, u64 value);

/* Of a slot with a page. What L1 has written comes into vmcs12, dirty. */
COLD void nested_page_take(const struct cpu *cpu, struct vmcs_slot *slot);
/* L1's VMWRITE, which did exit, has changed a field. */
COLD void nested_page_write(const struct cpu *cpu, struct vmcs_slot *slot, enum vmcs_field field);
/* What has changed in vmcs12, and which fields are readable now. */
void nested_page_publish(const struct cpu *cpu, struct vmcs_slot *slot);
/* The same for all of vmcs12. */
void nested_page_fill(const struct cpu *cpu, struct vmcs_slot *slot);

#endif
