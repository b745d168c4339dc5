#include "l2_idt.h"
#include "string.h"

#define VECTORS 256
#define STACK_SPARE 64

struct gate {
	u16 offset_low, selector, type, offset_middle;
	u32 offset_high, reserved;
};
static struct gate idt[VECTORS];
static u8 stack[PAGE_SIZE] __attribute__((aligned(16)));

__asm__(".globl l2_idt_handler");
L2_CODE(l2_idt_handler, "");

void l2_idt_set_gate(unsigned vector, enum gate_type type)
{
	u64 handler = (u64)l2_idt_handler;

	idt[vector] = (struct gate){
		.offset_low = (u16)handler, .selector = SEL_CODE64, .type = (u16)type,
		.offset_middle = (u16)(handler >> 16), .offset_high = (u32)(handler >> 32),
	};
}

const u64 *l2_idt_stack_top(void)
{
	return (const u64 *)(stack + sizeof(stack) - STACK_SPARE);
}

void l2_idt_use(void)
{
	for (unsigned vector = 0; vector < VECTORS; vector++)
		l2_idt_set_gate(vector, GATE_INTERRUPT_64);
	memset(stack, 0, sizeof(stack));
	vmwrite(ENC_guest_idtr_base, (u64)idt);
	vmwrite(ENC_guest_idtr_limit, L2_IDT_LIMIT);
	vmwrite(ENC_guest_rsp, (u64)l2_idt_stack_top());
}
