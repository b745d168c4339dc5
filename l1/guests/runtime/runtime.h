/* What every payload stands on: parameters, a console, traps, hypercalls. */
#ifndef GUEST_RUNTIME_H
#define GUEST_RUNTIME_H

#include "insn.h"
#include "l1/guests/guest_abi.h"

/* The payload itself: do it count times, report(), and say whether all went well. */
bool payload(u64 count);

/* Valid while the payload runs. */
extern volatile struct guest_parameters *parameters;

/* Is there a minivisor around us? If not, we are on a bare machine or a virtual one. */
bool on_minivisor(void);

/* One line on the console. On minivisor each character costs one io_instruction exit. */
void report(const char *format, ...) PRINTF_LIKE(1, 2);

/* What the stubs and the CPU push at an exception or interrupt. */
struct trap_frame {
	u64 vector, error_code, rip, cs, rflags, rsp, ss;
};

/* Have a handler called for a vector. Anything else that comes ends the payload in failure. */
void on_trap(unsigned vector, void (*handler)(struct trap_frame *frame));
/* What becomes of the others; for a handler that is called out of place. */
NORETURN void unexpected_trap(const struct trap_frame *frame);
/* Let CPL 3 raise a vector by INT n. */
void open_gate(unsigned vector);

static inline u64 hypercall(enum guest_hypercall number, u64 argument)
{
	u64 answer;

	__asm__ volatile("vmcall" : "=a"(answer) : "0"((u64)number), "b"(argument) : "memory");
	return answer;
}

/* First byte of guest-physical memory beyond the image, and one past its last byte. */
u64 free_memory_start(void);
u64 free_memory_end(void);

#endif
