#include "timer.h"
#include "cpu.h"
#include "insn.h"

/* SDM "Local APIC Register Address Map": the offsets, by word. */
enum {
	APIC_EOI = 0xb0 / 4,
	APIC_SPURIOUS = 0xf0 / 4,
	APIC_ICR = 0x300 / 4,
	APIC_LVT_TIMER = 0x320 / 4,
	APIC_INITIAL_COUNT = 0x380 / 4,
	APIC_DIVIDE = 0x3e0 / 4,
};
#define APIC_SOFTWARE_ENABLE 0x100u
#define APIC_DIVIDE_BY_1 0xbu
#define LVT_MASKED 0x10000u
/* SDM "Interrupt Command Register (ICR)": fixed, asserted, to this CPU itself. */
#define ICR_SELF 0x44000u

enum { PIC1_MASK = 0x21, PIC2_MASK = 0xa1 };

static volatile u32 *apic;
static volatile bool interrupted;

/* Called by fault_entry.S. */
void timer_interrupt(void);

void timer_init(void)
{
	outb(PIC1_MASK, 0xff);
	outb(PIC2_MASK, 0xff);
	apic = (volatile u32 *)(rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS);
	apic[APIC_SPURIOUS] = APIC_SOFTWARE_ENABLE | VECTOR_SPURIOUS;
	apic[APIC_LVT_TIMER] = LVT_MASKED;
	apic[APIC_DIVIDE] = APIC_DIVIDE_BY_1;
}

void timer_arm(u32 ticks)
{
	interrupted = false;
	apic[APIC_LVT_TIMER] = VECTOR_TIMER;
	apic[APIC_INITIAL_COUNT] = ticks ? ticks : 1;
}

void timer_request(void)
{
	interrupted = false;
	apic[APIC_ICR] = ICR_SELF | VECTOR_TIMER;
}

void timer_cancel(void)
{
	apic[APIC_INITIAL_COUNT] = 0;
	/* What has already been requested is taken now; STI holds it back for one more instruction. */
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

void timer_end_of_interrupt(void)
{
	apic[APIC_EOI] = 0;
}

void timer_interrupt(void)
{
	interrupted = true;
	timer_end_of_interrupt();
}

void timer_wait(void)
{
	while (!interrupted)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}
