/*
 * bench: an L1 that prices its own operations and the exits of its L2 by the time-stamp counter, in loops that double
 * until they are long enough. Two lengths, one twice the other, each the least of several times, so that what is
 * not of the operation cancels out: the loop's own start, and interrupts of an L0 that has any.
 *
 * Command line: only=NAME,NAME...   which operations; all
 *               ticks=N             how long is long enough; 100000
 *               repeats=N           how often each length is run; 4
 *               steps=N             behind each operation's loops, N times it alone, with XCHG BX, BX before, between
 *                                   and behind, for a debugger to stop at; 0
 *
 * For each operation a line: "bench: NAME COUNT TICKS COUNT TICKS".
 */
#include "bench.h"
#include "insn.h"
#include "l1/minivisor/boot.h"
#include "l1/minivisor/cpu.h"
#include "l1/minivisor/ept_map.h"
#include "l1/minivisor/fail.h"
#include "l1/minivisor/options.h"
#include "l1/minivisor/settings.h"
#include "l1/minivisor/timer.h"
#include "l1/minivisor/vmx_root.h"
#include "machine.h"
#include "print.h"
#include "serial.h"
#include "string.h"

#define TICKS_DEFAULT 100000
#define TICKS_MOST 1000000000
#define REPEATS_DEFAULT 4
#define NUMBER_MOST 1000

struct settings settings = { .quantum = 1, .ept = true, .vpid = true };

static u64 enough, repeats, steps;

NORETURN void bench_main(u32 magic, u32 info);

static u64 timed(const struct operation *operation, u64 count)
{
	u64 start;

	if (operation->begin)
		operation->begin(count);
	start = rdtsc();
	operation->loop(count);
	return rdtsc() - start;
}

static u64 least_time(const struct operation *operation, u64 count)
{
	u64 least = ~0ull, time;

	for (u64 i = 0; i < (operation->once ? 1 : repeats); i++) {
		time = timed(operation, count);
		if (time < least)
			least = time;
	}
	return least;
}

static void mark(void)
{
	__asm__ volatile("xchgw %%bx, %%bx" : : : "memory");
}

static void step(const struct operation *operation)
{
	if (operation->begin)
		operation->begin(steps);
	for (u64 i = 0; i < steps; i++) {
		mark();
		operation->loop(1);
	}
	mark();
}

static void measure(const struct operation *operation)
{
	u64 count = operation->least, once, twice;

	while (timed(operation, count) < enough && (!operation->most || count < operation->most))
		count *= 2;
	once = least_time(operation, count);
	twice = least_time(operation, 2 * count);
	print("bench: %s %lu %lu %lu %lu\n", operation->name, count, once, 2 * count, twice);
	if (steps && !operation->once)
		step(operation);
}

/* is_named LIST: with commas between; all are, if there is none. */
static bool is_named(const char *name, const char *list)
{
	size_t size = strlen(name);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, name, size) && (!list[size] || list[size] == ','))
			return true;
	}
	return false;
}

static unsigned measure_all(const struct operation *operations, size_t count, const char *only)
{
	unsigned measured = 0;

	for (size_t i = 0; i < count; i++) {
		if (only && !is_named(operations[i].name, only))
			continue;
		measure(&operations[i]);
		measured++;
	}
	return measured;
}

void bench_main(u32 magic, u32 info)
{
	struct boot boot;
	char names[OPTION_SIZE];
	const char *only;
	unsigned measured;

	serial_init(PORT_COM1);
	print_to_port(PORT_COM1);
	cpu_init();
	boot = boot_read(magic, info);
	options_check(boot.command_line, "only|ticks|repeats|steps");
	enough = option_number(boot.command_line, "ticks", TICKS_DEFAULT, 1, TICKS_MOST);
	repeats = option_number(boot.command_line, "repeats", REPEATS_DEFAULT, 1, NUMBER_MOST);
	steps = option_number(boot.command_line, "steps", 0, 0, NUMBER_MOST);
	only = option_find(boot.command_line, "only", names) ? names : NULL;
	vmx_on();
	ept_check();
	timer_init();
	l1_operations_init();
	measured = measure_all(l1_operations, l1_operation_count, only);
	measured += measure_all(l2_operations, l2_operation_count, only);
	if (!measured)
		fail("only=%s: there are no such operations", names);
	print("bench: %u operations\n", measured);
	machine_verdict(true);
}
