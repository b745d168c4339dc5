/* L1's memory by linear address, as L1's own instructions would reach it. */
#ifndef TURTLES_GUEST_MEMORY_H
#define TURTLES_GUEST_MEMORY_H

#include "cpu.h"

/*
 * Read or write size bytes of L1 at a linear address with the rights of CPL 0. On a page fault #PF is injected into L1
 * and false returned; nothing has been written then.
 */
bool l1_read_linear(struct cpu *cpu, u64 linear, void *to, unsigned size);
bool l1_write_linear(struct cpu *cpu, u64 linear, const void *from, unsigned size);

/* The memory operand of the VMX instruction that exited; false if L1 was given an exception instead. */
bool l1_operand_address(struct cpu *cpu, const struct vmx_operand *operand, unsigned size, bool write, u64 *linear);

#endif
