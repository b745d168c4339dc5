/* spawn: many programs that hardly do more than start: fresh address spaces, page faults, few instructions */
/*
 * Exits with count=N: cpuid 2, io_instruction C + 1, C being the characters printed; ept_violation 20, for the pages
 * that it uses.
 */
#include "runtime/process.h"

/* A stand-in for a shell script, which forks and executes all the time: what shadow paging likes least. */
#define PAGES 16

static volatile u64 *page(u64 index)
{
	return (volatile u64 *)(PROGRAM_MEMORY + index * PAGE_SIZE);
}

/* Answers what went wrong. */
static u64 run_program(u64 number)
{
	u64 wrong = !process_exec();

	for (u64 i = 0; i < PAGES; i++) {
		wrong += *page(i) != 0;
		*page(i) = number + i;
	}
	system_call(SYSTEM_CALL_none, 0);
	for (u64 i = 0; i < PAGES; i++)
		wrong += *page(i) != number + i;
	process_exit();
	return wrong;
}

bool payload(u64 count)
{
	u64 wrong, ticks;

	process_init();
	wrong = run_program(0);
	measure_begin();
	for (u64 i = 0; i < count; i++)
		wrong += run_program(i);
	ticks = measure_end();
	report("spawn: %lu programs, %lu page faults, %lu wrong", count, process_counts().page_faults, wrong);
	if (!on_minivisor())
		report("spawn: %lu ticks", ticks);
	return !wrong;
}
