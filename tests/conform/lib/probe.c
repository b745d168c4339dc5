#include "probe.h"
#include "insn.h"
#include "transcript.h"

#define VECTORS 256
#define GATE_INTERRUPT_64 0x8e
#define GATE_DPL3 0x60
#define IST_FRAME 1
#define STACK_SIZE 4096

/* SDM "64-Bit Mode IDT" */
struct gate {
	u16 offset_low, selector;
	u8 stack, type;
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

/* probe_entry.S */
extern const u64 vector_stubs[VECTORS];
void probe_enter(void);
NORETURN void image_faulted(void);

struct probe_frame probe_frame __attribute__((aligned(16)));
static u8 code_stack[2 * STACK_SIZE] __attribute__((aligned(16)));
static struct tss tss;
static struct gate idt[VECTORS];
static u64 gdt[] = {
	[SEL_CODE64 / 8] = 0x00af9b000000ffff,
	[SEL_DATA / 8] = 0x00cf93000000ffff,
	[SEL_CODE32 / 8] = 0x00cf9b000000ffff,
	[SEL_CODE16 / 8] = 0x008f9b000000ffff,
	[SEL_USER_CODE64 / 8] = 0x00affb000000ffff,
	[SEL_USER_DATA / 8] = 0x00cff3000000ffff,
	[SEL_USER_CODE32 / 8] = 0x00cffb000000ffff,
	[SEL_DATA16 / 8] = 0x008f93000000ffff,
	[SEL_TSS / 8] = 0x0000890000000000,
	0,
};

static void set_gate(unsigned vector)
{
	u64 handler = vector_stubs[vector];

	idt[vector] = (struct gate){
		.offset_low = (u16)handler,
		.selector = SEL_CODE64,
		.stack = IST_FRAME,
		.type = vector == VECTOR_PROBE_END ? GATE_INTERRUPT_64 | GATE_DPL3 : GATE_INTERRUPT_64,
		.offset_middle = (u16)(handler >> 16),
		.offset_high = (u32)(handler >> 32),
	};
}

/* Ring 3 may touch what start.S has mapped: the tables are those of the low 4 GiB, in pages of 2 MiB. */
static void let_user_in(void)
{
	u64 *pml4 = (u64 *)read_cr3(), *pdpt = (u64 *)(pml4[0] & PTE_ADDRESS);

	pml4[0] |= PTE_USER;
	for (unsigned i = 0; i < 4; i++) {
		u64 *directory = (u64 *)(pdpt[i] & PTE_ADDRESS);

		pdpt[i] |= PTE_USER;
		for (unsigned j = 0; j < 512; j++)
			directory[j] |= PTE_USER;
	}
	write_cr3(read_cr3());
}

void probe_init(void)
{
	u64 base = probe_tss_base();

	tss.interrupt_stack[IST_FRAME - 1] = (u64)(&probe_frame + 1);
	tss.rsp[0] = (u64)(&probe_frame + 1);
	tss.io_map_base = sizeof(tss);
	for (unsigned vector = 0; vector < VECTORS; vector++)
		set_gate(vector);
	gdt[SEL_TSS / 8] |= (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
	lgdt(&(struct descriptor_pointer){ sizeof(gdt) - 1, probe_gdt_base() });
	lidt(&(struct descriptor_pointer){ sizeof(idt) - 1, probe_idt_base() });
	ltr(SEL_TSS);
	let_user_in();
}

u64 probe_gdt_base(void)
{
	return (u64)gdt;
}

u64 probe_idt_base(void)
{
	return (u64)idt;
}

u64 probe_tss_base(void)
{
	return (u64)&tss;
}

void probe_registers_reset(void)
{
	probe_frame = (struct probe_frame){ .rsp = (u64)code_stack + STACK_SIZE, .rflags = FLAGS_ALL };
}

struct probe_result probe_in(enum probe_selector cs, const u8 *code)
{
	probe_frame.rip = (u64)code;
	probe_frame.cs = cs;
	probe_frame.ss = cs & 3 ? SEL_USER_DATA : SEL_DATA;
	write_cr2(0);
	probe_enter();
	return (struct probe_result){
		.vector = probe_frame.vector == VECTOR_PROBE_END ? PROBE_NO_FAULT : (int)probe_frame.vector,
		.error_code = (u32)probe_frame.error_code,
		.cr2 = read_cr2(),
		.at = probe_frame.rip - (u64)code,
		.rflags = probe_frame.rflags,
	};
}

struct probe_result probe(const u8 *code)
{
	return probe_in(SEL_CODE64, code);
}

CODE(code_rdmsr, "rdmsr");
CODE(code_wrmsr, "wrmsr");
CODE(code_mov_to_cr0, "mov %rax, %cr0");
CODE(code_mov_to_cr4, "mov %rax, %cr4");

int try_rdmsr(u32 msr, u64 *value)
{
	int vector;

	probe_registers_reset();
	probe_frame.rcx = msr;
	vector = probe(code_rdmsr).vector;
	*value = vector == PROBE_NO_FAULT ? probe_frame.rdx << 32 | (u32)probe_frame.rax : 0;
	return vector;
}

int try_wrmsr(u32 msr, u64 value)
{
	probe_registers_reset();
	probe_frame.rcx = msr;
	probe_frame.rax = (u32)value;
	probe_frame.rdx = value >> 32;
	return probe(code_wrmsr).vector;
}

static int try_with_rax(const u8 *code, u64 value)
{
	probe_registers_reset();
	probe_frame.rax = value;
	return probe(code).vector;
}

int try_write_cr0(u64 value)
{
	return try_with_rax(code_mov_to_cr0, value);
}

int try_write_cr4(u64 value)
{
	return try_with_rax(code_mov_to_cr4, value);
}

void image_faulted(void)
{
	give_up("exception %lu in the image itself at rip %lx, error code %lx, cr2 %lx", probe_frame.vector,
		probe_frame.rip, probe_frame.error_code, read_cr2());
}
