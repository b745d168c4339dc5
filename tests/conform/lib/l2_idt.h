/* An IDT and a stack of L2's own: every gate leads to a VMCALL, which the stack's frame tells apart from L2's end. */
#ifndef CONFORM_L2_IDT_H
#define CONFORM_L2_IDT_H

#include "l2.h"

enum gate_type {
	GATE_INTERRUPT_64 = 0x8e00,
	GATE_TRAP_64 = 0x8f00,
	GATE_NOT_PRESENT = 0x0e00,
	GATE_BAD = 0x8100,
};

#define L2_IDT_LIMIT 0xfff

extern const u8 l2_idt_handler[];

/* Interrupt gates for all vectors, the IDT and the stack in the current VMCS. */
void l2_idt_use(void);
void l2_idt_set_gate(unsigned vector, enum gate_type type);
/* Above the frame: what was pushed first is at [-1]; SDM "64-Bit Mode Stack Frame". */
const u64 *l2_idt_stack_top(void);

#endif
