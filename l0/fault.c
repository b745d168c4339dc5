/* L0's own descriptor tables, and what happens when L0 itself faults. */
#include "cpu.h"
#include "kick.h"
#include "print.h"
#include "stacks.h"
#include "symbols.h"
#include "x86.h"

#define IST_FAULT 1
#define IST_NMI 2
#define GATE_INTERRUPT 0x8e00u
#define BACKTRACE_FRAMES 24

char stacks[MAX_CPUS][STACKS_PER_CPU][STACK_SIZE] __attribute__((section(".bss.stacks"), aligned(4096)));

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 io_map_base;
} PACKED;

struct gate {
	u16 offset_low, selector;
	u16 ist_and_type;    /* IST in bits 2:0, type and P in bits 15:8 */
	u16 offset_middle;
	u32 offset_high, reserved;
} PACKED;

struct gdt {
	u64 null, code, data, tss_low, tss_high;
};

static struct tss tss[MAX_CPUS];
static struct gdt gdt[MAX_CPUS];
static struct gate idt[EXCEPTION_VECTORS];
_Static_assert(sizeof(struct tss) == CPU_TSS_SIZE && sizeof(struct gdt) == CPU_GDT_SIZE && sizeof(idt) == CPU_IDT_SIZE,
	       "self_check.c knows them by their sizes");

/* fault_entry.S */
extern const u64 fault_stubs[EXCEPTION_VECTORS];
/* l0.ld: instructions that may fault, and where to go on if they do */
struct fixup {
	u64 instruction, target;
};
extern const struct fixup extable_start[], extable_end[];
extern const char image_start[], text_end[];

/* As fault_entry.S pushes it. */
struct fault_frame {
	u64 gpr[15]; /* r15 first, rax last */
	u64 vector, error_code;
	u64 rip, cs, rflags, rsp, ss;
};
#define FRAME_RDI 8
void fault_handle(struct fault_frame *frame);
extern const char vmx_window_start[], vmx_window_end[], vmx_entry_abandoned[]; /* entry.S */
extern const char halt_window_start[], halt_window_end[]; /* fault_entry.S */

static u64 stack_top(unsigned number, unsigned which)
{
	return (u64)stacks[number][which] + STACK_SIZE;
}

static struct gate make_gate(u64 handler, u16 ist)
{
	return (struct gate){
		.offset_low = (u16)handler, .selector = SELECTOR_CODE, .ist_and_type = (u16)(ist | GATE_INTERRUPT),
		.offset_middle = (u16)(handler >> 16), .offset_high = (u32)(handler >> 32),
	};
}

static void fill_gdt(unsigned number)
{
	u64 base = cpu_tss_base(number), limit = sizeof(struct tss) - 1;

	gdt[number] = (struct gdt){
		.code = 0x00af9b000000ffff,
		.data = 0x00cf93000000ffff,
		.tss_low = limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56,
		.tss_high = base >> 32,
	};
}

u64 cpu_gdt_base(unsigned number)
{
	return (u64)&gdt[number];
}

u64 cpu_tss_base(unsigned number)
{
	return (u64)&tss[number];
}

u64 cpu_idt_base(void)
{
	return (u64)idt;
}

void cpu_tables_init(unsigned number)
{
	struct descriptor_pointer gdtr = { sizeof(struct gdt) - 1, cpu_gdt_base(number) };
	struct descriptor_pointer idtr = { sizeof(idt) - 1, cpu_idt_base() };

	tss[number].ist[IST_FAULT - 1] = stack_top(number, STACK_FAULT);
	tss[number].ist[IST_NMI - 1] = stack_top(number, STACK_NMI);
	tss[number].io_map_base = sizeof(struct tss);
	for (unsigned vector = 0; vector < EXCEPTION_VECTORS; vector++) {
		bool anywhere = vector == VECTOR_NMI || vector == VECTOR_MC;

		idt[vector] = make_gate(fault_stubs[vector], anywhere ? IST_NMI : IST_FAULT);
	}
	fill_gdt(number);
	lgdt(&gdtr);
	lidt(&idtr);
	ltr(SELECTOR_TSS);
}

static bool is_text(u64 address)
{
	return address >= (u64)image_start && address < (u64)text_end;
}

static void print_symbol(const char *mark, u64 address)
{
	unsigned i = 0;

	while (i + 1 < l0_symbol_count && l0_symbols[i + 1].address <= address)
		i++;
	if (l0_symbol_count && is_text(address))
		print("  %s%016lx %s+0x%lx\n", mark, address, l0_symbols[i].name,
		      (address - l0_symbols[i].address));
	else
		print("  %s%016lx\n", mark, address);
}

/* L0 keeps no frame pointers, which would cost every exit: what counts as a frame is a word that follows a CALL. */
static bool follows_call(u64 address)
{
	const u8 *code = (const u8 *)address;

	return is_text(address - 5) && is_text(address) && (code[-5] == 0xe8 || code[-2] == 0xff || code[-3] == 0xff);
}

void backtrace(u64 rsp)
{
	u64 offset = rsp - (u64)stacks;
	u64 bottom = (u64)stacks + ALIGN_DOWN(offset, STACK_SIZE) + PAGE_SIZE; /* behind the guard page */
	u64 top = bottom - PAGE_SIZE + STACK_SIZE;
	unsigned frames = 0;

	if (offset >= sizeof(stacks))
		return;
	if (rsp < bottom)
		rsp = bottom;
	for (u64 at = ALIGN_UP(rsp, sizeof(u64)); at < top && frames < BACKTRACE_FRAMES; at += sizeof(u64))
		if (follows_call(*(u64 *)at)) {
			print_symbol("", *(u64 *)at);
			frames++;
		}
}

static void print_registers(const struct fault_frame *frame)
{
	static const char *const name[] = { "r15", "r14", "r13", "r12", "r11", "r10", "r9 ", "r8 ",
					    "rdi", "rsi", "rbp", "rbx", "rdx", "rcx", "rax" };

	for (unsigned i = 0; i < ARRAY_SIZE(name); i++)
		print("  %s %016lx%s", name[i], frame->gpr[i], i % 4 == 3 ? "\n" : "");
	print("\n  rsp %016lx  rflags %lx  cs %lx  cr2 %lx  cr3 %lx\n", frame->rsp,
	      frame->rflags, frame->cs, read_cr2(),
	      read_cr3());
}

static bool fix_up(struct fault_frame *frame)
{
	for (const struct fixup *fixup = extable_start; fixup < extable_end; fixup++)
		if (fixup->instruction == frame->rip) {
			frame->rip = fixup->target;
			return true;
		}
	return false;
}

struct cpu *current_cpu(void)
{
	u64 rsp;

	__asm__("mov %%rsp, %0" : "=r"(rsp));
	return cpus[(rsp - (u64)stacks) / sizeof(stacks[0])];
}

static bool is_within(u64 rip, const char *start, const char *end)
{
	return rip >= (u64)start && rip < (u64)end;
}

/* What the NMI may have come to prevent has not happened yet: turn back from the entry, or do not halt. */
static void turn_back(struct cpu *cpu, struct fault_frame *frame)
{
	cpu->attention = true;
	if (is_within(frame->rip, vmx_window_start, vmx_window_end)) {
		frame->rip = (u64)vmx_entry_abandoned;
		frame->rsp = cpu->stack;
		frame->gpr[FRAME_RDI] = (u64)cpu;
	} else if (is_within(frame->rip, halt_window_start, halt_window_end)) {
		frame->rip = (u64)halt_window_end;
	}
}

void fault_handle(struct fault_frame *frame)
{
	static bool reporting;
	struct cpu *cpu = current_cpu();

	/* L0 takes no interrupts; an NMI that hits L0 is L1's and is passed on, or another CPU's kick. */
	if (frame->vector == VECTOR_NMI && cpu) {
		nmi_arrived(cpu);
		if (cpu_count > 1)
			turn_back(cpu, frame);
		return;
	}
	if (frame->vector == VECTOR_GP && fix_up(frame))
		return;
	if (reporting)
		l0_stop(TURTLES_STATUS_FAILURE);
	reporting = true;
	print("\nL0 fault: vector %lu, error code %lx, at", frame->vector,
	      frame->error_code);
	print_symbol("", frame->rip);
	print_registers(frame);
	print("backtrace (words on the stack that follow a call):\n");
	backtrace(frame->rsp);
	l0_stop(TURTLES_STATUS_FAILURE);
}

#define FIXUP(from, to) ".pushsection .extable, \"a\"; .quad " from ", " to "; .popsection"

bool rdmsr_safe(u32 msr, u64 *value)
{
	u32 low, high;

	__asm__ goto("1: rdmsr;" FIXUP("1b", "%l[faulted]") : "=a"(low), "=d"(high) : "c"(msr) : "memory" : faulted);
	*value = (u64)high << 32 | low;
	return true;
faulted:
	return false;
}

bool wrmsr_safe(u32 msr, u64 value)
{
	__asm__ goto("1: wrmsr;" FIXUP("1b", "%l[faulted]")
		     : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory" : faulted);
	return true;
faulted:
	return false;
}

bool xsetbv_safe(u32 index, u64 value)
{
	__asm__ goto("1: xsetbv;" FIXUP("1b", "%l[faulted]")
		     : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory" : faulted);
	return true;
faulted:
	return false;
}
