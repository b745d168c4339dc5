/* wake: executes HLT when the interrupt that ends it is already there */
/*
 * Exits with count=N: external_interrupt N, interrupt_window N, vmcall N, io_instruction C + 1, C being the
 * characters printed; with hlt=exit also hlt N. Bochs 2.7 does not leave HLT when an interrupt window opens: it needs
 * hlt=exit there.
 */
#include "runtime/runtime.h"

/* Longer than the way back from the hypercall, on any hypervisor below. */
#define DELAY 100000

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
		report("wake: needs the timer of minivisor");
		return false;
	}
	on_trap(GUEST_VECTOR_TIMER, count_interrupt);
	for (u64 i = 0; i < count; i++) {
		hypercall(HYPERCALL_timer, DELAY);
		/* Bochs 2.7 lets an interrupt exit only after IF has changed since the entry. */
		__asm__ volatile("sti; cli" : : : "memory");
		while (!parameters->timer_pending)
			cpu_relax();
		/* STI holds the interrupt back until HLT has been executed. */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
		wrong += interrupts != i + 1 || parameters->timer_pending;
	}
	report("wake: woken %lu times, %lu wrong", interrupts, wrong);
	return !wrong;
}
