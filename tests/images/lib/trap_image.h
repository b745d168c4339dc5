/* What the images in C share that trap: printing, registers of 32 bits, tables, the end. Each has its own trap_main. */
#ifndef TURTLES_TEST_IMAGE_H
#define TURTLES_TEST_IMAGE_H

#include "insn.h"
#include "ports.h"
#include "serial.h"

#define DEFINE_REGISTER(name) \
	static inline u32 get_##name(void) \
	{ \
		u32 value; \
		__asm__ volatile("movl %%" #name ", %0" : "=r"(value) : : "memory"); \
		return value; \
	} \
	static inline void put_##name(u32 value) \
	{ \
		__asm__ volatile("movl %0, %%" #name : : "r"(value) : "memory"); \
	}
DEFINE_REGISTER(cr0)
DEFINE_REGISTER(cr2)
DEFINE_REGISTER(cr3)
DEFINE_REGISTER(cr4)
DEFINE_REGISTER(dr6)
DEFINE_REGISTER(dr7)
#undef DEFINE_REGISTER
#define DR6_RESET 0xffff0ff0u

/* traps.S: for each vector the address that its gate leads to; run a function until it returns (0) or traps (1). */
#define TRAP_STUBS 33
extern const u32 trap_stubs[TRAP_STUBS];
u32 attempt(void (*how)(void));
/* From trap_main(): end the attempt. */
NORETURN void attempt_end(void);

/* A trap, as PUSHA, the CPU and traps.S leave it: ESP and SS only if the privilege level changed. */
struct trap_frame {
	u32 edi, esi, ebp, esp_of_trap, ebx, edx, ecx, eax;
	u32 vector, error_code, eip, cs, eflags, esp, ss;
};
NORETURN void trap_main(const struct trap_frame *frame, u32 ss);

/* machine.c */
void print(const char *text);
/* "NAME VALUE " in hexadecimal. */
void word(const char *name, u32 value);
/* Fill a descriptor or a gate; types and flags as the upper half of a descriptor has them. */
void fill_segment(u64 *descriptor, u32 base, u32 limit, u32 type, u32 flags);
void fill_gate(u64 *gate, u32 selector, u32 offset, u32 type);
void load_tables(const u64 *gdt, u32 gdt_size, const u64 *idt, u32 idt_size);
void load_task_register(u16 selector);
/* The run ends well: that the console is the bare CPU's is for the test to see. */
NORETURN void finish(void);

#endif
