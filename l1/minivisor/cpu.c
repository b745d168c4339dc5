#include "cpu.h"
#include "fail.h"
#include "insn.h"
#include "timer.h"

#define FAULT_STACK_SIZE 8192
#define IDT_ENTRIES 256
#define GATE_INTERRUPT_64 0x8e
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA 0x00cf93000000ffffull
#define DESCRIPTOR_TSS64 0x0000890000000000ull

/* SDM "64-Bit Mode IDT" */
struct gate {
	u16 offset_low, selector;
	u8 stack; /* index into the TSS's interrupt stack table, 0 for the current stack */
	u8 type;
	u16 offset_middle;
	u32 offset_high, reserved;
};

/* SDM "64-bit TSS" */
struct tss {
	u32 reserved0;
	u64 rsp[3], reserved1;
	u64 interrupt_stack[7];
	u64 reserved2;
	u16 reserved3, io_map_base;
} PACKED;

/* What fault_entry.S pushes. */
struct fault_frame {
	u64 vector, error_code, rip, cs, rflags, rsp, ss;
};

extern const u64 fault_stubs[EXCEPTION_VECTORS];
extern void timer_stub(void), spurious_stub(void);
NORETURN void fault_report(const struct fault_frame *frame);

static u8 fault_stack[FAULT_STACK_SIZE] __attribute__((aligned(16)));
static struct tss tss;
static struct gate idt[IDT_ENTRIES];
static u64 gdt[5] = { 0, DESCRIPTOR_CODE64, DESCRIPTOR_DATA };

static void set_gate(unsigned vector, u64 handler, u8 stack)
{
	idt[vector] = (struct gate){
		.offset_low = (u16)handler,
		.selector = SELECTOR_CODE,
		.stack = stack,
		.type = GATE_INTERRUPT_64,
		.offset_middle = (u16)(handler >> 16),
		.offset_high = (u32)(handler >> 32),
	};
}

/* SDM "TSS Descriptor in 64-bit mode" */
static void set_tss_descriptor(void)
{
	u64 base = cpu_tss_base();

	gdt[3] = DESCRIPTOR_TSS64 | (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
	gdt[4] = base >> 32;
}

void cpu_init(void)
{
	/* Exceptions have a stack of their own: vmx_enter() has RSP point into a guest's registers. */
	tss.interrupt_stack[0] = (uintptr_t)(fault_stack + FAULT_STACK_SIZE);
	tss.io_map_base = sizeof(tss);
	for (unsigned vector = 0; vector < EXCEPTION_VECTORS; vector++)
		set_gate(vector, fault_stubs[vector], 1);
	set_gate(VECTOR_TIMER, (uintptr_t)timer_stub, 0);
	set_gate(VECTOR_SPURIOUS, (uintptr_t)spurious_stub, 0);
	set_tss_descriptor();
	lgdt(&(struct descriptor_pointer){ sizeof(gdt) - 1, cpu_gdt_base() });
	lidt(&(struct descriptor_pointer){ sizeof(idt) - 1, cpu_idt_base() });
	ltr(SELECTOR_TSS);
}

u64 cpu_gdt_base(void)
{
	return (uintptr_t)gdt;
}

u64 cpu_idt_base(void)
{
	return (uintptr_t)idt;
}

u64 cpu_tss_base(void)
{
	return (uintptr_t)&tss;
}

void fault_report(const struct fault_frame *frame)
{
	fail("exception %lu in L1 at rip %lx, error code %lx, cr2 %lx", frame->vector, frame->rip,
	     frame->error_code, read_cr2());
}
