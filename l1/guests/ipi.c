/* ipi: interrupts a second virtual CPU, which sleeps in HLT, and sees that it was there */
/*
 * Exits with count=N: vmcall 1, wrmsr 2N (with apicv=on N, the EOI being the CPU's), hlt N + 1, io_instruction C + 1, C
 * being the characters printed.
 */
#include "runtime/runtime.h"

#define STACK_SIZE 4096
#define SECOND_CPU 1
#define VECTOR_FIRST 0x34
#define ICR_DESTINATION_SHIFT 32

struct descriptor_pointer second_gdt, second_idt;
u8 second_stack[STACK_SIZE] __attribute__((aligned(16)));
static volatile u64 interrupts;

/*
 * The second CPU starts here, in 64-bit mode, with neither tables nor a stack: those of the first do. The software
 * interrupt touches all that the delivery of others does: where a page is missing then, Bochs 2.7 reports an event that
 * is none, in virtual-interrupt delivery (docs/differences.md).
 */
extern const u8 second_start[];
__asm__(".pushsection .text\n"
	"second_start: lgdt second_gdt; lidt second_idt\n"
	"movl $0x10, %eax; movl %eax, %ds; movl %eax, %es; movl %eax, %ss\n"
	"movl $second_stack+4096, %esp; int $0x34\n"
	"1: sti; hlt; jmp 1b\n"
	".popsection");

static void take_interrupt(struct trap_frame *frame)
{
	(void)frame;
	interrupts++;
	wrmsr(MSR_X2APIC_EOI, 0);
}

static void return_at_once(struct trap_frame *frame)
{
	(void)frame;
}

static bool start_second(void)
{
	__asm__("sgdt %0; sidt %1" : "=m"(second_gdt), "=m"(second_idt));
	return hypercall(HYPERCALL_start_cpu, (uintptr_t)second_start) == 0;
}

bool payload(u64 count)
{
	u64 wrong = 0;

	on_trap(GUEST_VECTOR_IPI, take_interrupt);
	on_trap(VECTOR_FIRST, return_at_once);
	if (!on_minivisor() || !start_second()) {
		report("ipi: needs the second virtual CPU of minivisor");
		return false;
	}
	for (u64 i = 0; i < count; i++) {
		wrmsr(MSR_X2APIC_ICR, (u64)SECOND_CPU << ICR_DESTINATION_SHIFT | GUEST_VECTOR_IPI);
		while (interrupts == i)
			cpu_relax();
		wrong += interrupts != i + 1;
	}
	report("ipi: %lu interrupts of the second CPU, %lu wrong", interrupts, wrong);
	return !wrong;
}
