/* L2's IDT and what comes through it; the stubs are those of the payloads' runtime. */
#include "traps.h"
#include "feature.h"
#include "l1/guests/runtime/runtime.h"
#include "l1/minivisor/cpu.h"

#define GATE_INTERRUPT_64 0x8e

/* SDM "64-Bit Mode IDT" */
struct gate {
	u16 offset_low, selector;
	u8 stack, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};

extern const u64 trap_stubs[TRAP_VECTORS];
void trap(struct trap_frame *frame);

static struct gate idt[TRAP_VECTORS];
volatile struct traps traps;

void trap(struct trap_frame *frame)
{
	traps.count++;
	traps.vector = frame->vector;
	traps.error_code = frame->error_code;
	traps.rflags = frame->rflags;
	if (traps.handler)
		traps.handler(frame->vector);
	if (frame->vector < EXCEPTION_VECTORS)
		frame->rip += traps.skip;
}

void tell_traps(const char *what)
{
	print("%s: %u traps in L2", what, traps.count);
	if (traps.count)
		print(", the last: vector %lu, error code %lx", traps.vector, traps.error_code);
	print("\n");
	traps.count = 0;
}

u64 traps_idt(void)
{
	for (unsigned vector = 0; vector < TRAP_VECTORS; vector++)
		idt[vector] = (struct gate){
			.offset_low = (u16)trap_stubs[vector],
			.selector = SELECTOR_CODE,
			.type = GATE_INTERRUPT_64,
			.offset_middle = (u16)(trap_stubs[vector] >> 16),
			.offset_high = (u32)(trap_stubs[vector] >> 32),
		};
	return (uintptr_t)idt;
}
