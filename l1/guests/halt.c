/* halt: sleeps in HLT until a timer interrupt wakes it */
/*
 * Exits with count=N: external_interrupt N (with hlt=exit: hlt N), vmcall N, io_instruction C + 1, C being
 * the characters printed.
 */
#include "runtime/runtime.h"

/* So long that the CPU has always come to HLT before, on any hypervisor below. */
#define DELAY 200000

static volatile u64 interrupts;

static void count_interrupt(struct trap_frame *frame)
{
	(void)frame;
	interrupts++;
}

bool payload(u64 count)
{
	u64 wrong = 0;

	if (!on_minivisor()) {
		report("halt: needs the timer of minivisor");
		return false;
	}
	on_trap(GUEST_VECTOR_TIMER, count_interrupt);
	for (u64 i = 0; i < count; i++) {
		hypercall(HYPERCALL_timer, DELAY);
		/* The interrupt cannot slip in before HLT: STI holds it back for one more instruction. */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		wrong += interrupts != i + 1;
	}
	report("halt: woken %lu times, %lu wrong", interrupts, wrong);
	return !wrong;
}
