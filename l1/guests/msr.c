/* msr: writes and reads an MSR that L1 intercepts, and reads one that is unknown */
/* Exits with count=N: io_instruction C + 1, C being the characters printed; rdmsr N + 1, wrmsr N. */
#include "runtime/runtime.h"

#define MSR_UNKNOWN 0x12345678u
#define RDMSR_LENGTH 2

static u64 faults;

static void skip_rdmsr(struct trap_frame *frame)
{
	faults += frame->error_code == 0;
	frame->rip += RDMSR_LENGTH;
}

bool payload(u64 count)
{
	u64 wrong = 0;

	on_trap(VECTOR_GP, skip_rdmsr);
	for (u64 i = 0; i < count; i++) {
		wrmsr(MSR_IA32_SYSENTER_CS, i & 0xffff);
		wrong += rdmsr(MSR_IA32_SYSENTER_CS) != (i & 0xffff);
	}
	rdmsr(MSR_UNKNOWN);
	report("msr: %lu values written and read, %lu wrong, %lu fault", count, wrong, faults);
	return !wrong && faults == 1;
}
