/* Code under test at any privilege and in any code segment of long mode, in which a fault is a value. */
#ifndef CONFORM_PROBE_H
#define CONFORM_PROBE_H

#include "x86.h"

/* As probe_entry.S and the CPU leave it. */
struct probe_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error_code;
	u64 rip, cs, rflags, rsp, ss;
};

/* The registers that a probe starts with and, after it, those that it ended with. */
extern struct probe_frame probe_frame;

/* The segments of the images' GDT. The ones of ring 3 follow those of ring 0 in the same order. */
enum probe_selector {
	SEL_CODE64 = 0x08,
	SEL_DATA = 0x10,
	SEL_CODE32 = 0x18,
	SEL_CODE16 = 0x20,
	SEL_USER_CODE64 = 0x28 | 3,
	SEL_USER_DATA = 0x30 | 3,
	SEL_USER_CODE32 = 0x38 | 3,
	SEL_DATA16 = 0x40,
	SEL_TSS = 0x48,
};

/* Every piece of code ends with this; the value of enum probe_end says that it ran to its end. */
#define PROBE_END "int $0x30"
enum probe_end { VECTOR_PROBE_END = 0x30 };

/* CODE(name, "instructions"): a piece of code to probe. */
#define CODE(name, text) \
	extern const u8 name[]; \
	__asm__(".pushsection .text.probes, \"ax\"\n" #name ":\n" text "\n" PROBE_END "\n.popsection")
/* The same in 32-bit code. */
#define CODE32(name, text) CODE(name, ".code32\n" text "\n" PROBE_END "\n.code64")

#define PROBE_NO_FAULT (-1)
#define FLAGS_ALL (RFLAGS_ONE | RFLAGS_VMX_OUTCOME)

struct probe_result {
	int vector; /* or PROBE_NO_FAULT */
	u32 error_code;
	u64 cr2;    /* of a page fault */
	u64 at;     /* where it ended, from the beginning of the code */
	u64 rflags;
};

/* GDT, IDT and TSS of the image; user access to all memory, so that ring 3 can run there. */
void probe_init(void);
/* Clears the registers and puts the stack pointer where code may push. RFLAGS: the six outcome flags are set. */
void probe_registers_reset(void);
/* Runs code in that segment with the registers of probe_frame. */
struct probe_result probe_in(enum probe_selector cs, const u8 *code);
/* The same in 64-bit mode at CPL 0. */
struct probe_result probe(const u8 *code);

/* One privileged access each: the vector of the fault or PROBE_NO_FAULT. */
int try_rdmsr(u32 msr, u64 *value);
int try_wrmsr(u32 msr, u64 value);
int try_write_cr0(u64 value);
int try_write_cr4(u64 value);

u64 probe_gdt_base(void);
u64 probe_idt_base(void);
u64 probe_tss_base(void);

#endif
