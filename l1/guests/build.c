/* build: many short programs, with fresh address spaces, page faults, system calls and much computing */
/*
 * Exits with count=N, M being N + 1: external_interrupt 8 M, vmcall 8 M, cpuid 2, io_instruction 12 M + C + 1, C being
 * the characters printed; ept_violation 28, for the pages that it uses.
 */
#include "runtime/process.h"

/*
 * A stand-in for the compilation of a kernel: a program for each file, which reads its sources, computes on fresh
 * memory and writes its object. How much of each: experiments/turtles-osdi10/README.md.
 */
#define PAGES 24
#define WRITES 48
#define STEPS 1200
#define PAGES_PER_TICK 3

/* A linear congruential generator modulo 2^64 (Knuth's MMIX), and its inverse. */
#define MULTIPLIER 6364136223846793005ull
#define INCREMENT 1442695040888963407ull
#define INVERSE_MULTIPLIER 13877824140714322085ull

static volatile u64 *page(u64 index)
{
	return (volatile u64 *)(PROGRAM_MEMORY + index * PAGE_SIZE);
}

static u64 forward(u64 value)
{
	for (u64 i = 0; i < STEPS; i++)
		value = value * MULTIPLIER + INCREMENT;
	return value;
}

static u64 back(u64 value)
{
	for (u64 i = 0; i < STEPS; i++)
		value = (value - INCREMENT) * INVERSE_MULTIPLIER;
	return value;
}

/* A tick, and in it computing alone. */
static void compute(u64 file, u64 first)
{
	tick();
	for (u64 i = first; i < first + PAGES_PER_TICK; i++)
		*page(i) = forward(file + i);
}

static u64 compile(u64 file)
{
	u64 wrong = 0;

	for (u64 i = 0; i < PAGES; i++) {
		system_call(SYSTEM_CALL_read, (uintptr_t)page(i) + BLOCK_SIZE);
		if (i % PAGES_PER_TICK == PAGES_PER_TICK - 1)
			compute(file, i - i % PAGES_PER_TICK);
	}
	for (u64 i = 0; i < PAGES; i++) {
		wrong += back(*page(i)) != file + i;
		for (u64 n = 0; n < WRITES / PAGES; n++)
			system_call(SYSTEM_CALL_write, (uintptr_t)page(i));
	}
	return wrong;
}

static u64 build(u64 file)
{
	u64 wrong = !process_exec();

	wrong += compile(file);
	process_exit();
	return wrong;
}

bool payload(u64 count)
{
	struct process_counts did;
	u64 wrong, ticks;

	process_init();
	/* The first is not measured: from then on no memory is new to the hypervisors. */
	wrong = build(0);
	measure_begin();
	for (u64 i = 0; i < count; i++)
		wrong += build(i);
	ticks = measure_end();
	did = process_counts();
	report("build: %lu programs, %lu page faults, %lu system calls, %lu kicks, %lu wrong", did.programs,
	       did.page_faults, did.system_calls, did.kicks, wrong);
	if (!on_minivisor())
		report("build: %lu ticks", ticks);
	return !wrong;
}
