/*
 * diff: random guests, entered again and again with changes in between, all chosen by a seed. Each case prints a line;
 * the same image prints the same on the bare CPU and on L0.
 *
 * Words of the command line: seed=N, first=N and count=N are the cases; full=N is one that is told in full.
 */
#include "note.h"
#include "print.h"
#include "random.h"
#include "step.h"

#define STEPS_MAX 16
#define NO_CASE (~0ull)

static u64 entries;

static void observe_end(const struct step_end *end)
{
	if (end->cut)
		observe("cut");
	else if (end->outcome != VMX_SUCCEED)
		observe("error%u", end->reason);
	else if (end->reason & EXIT_REASON_ENTRY_FAILURE)
		observe("fail%u", end->reason & (u32)EXIT_REASON_BASIC);
	else
		observe("%u", end->reason);
}

/* Runs the guests in turn; false once the watchdog had to end one. */
static bool run_guests(unsigned count)
{
	struct vm *vm = &vms[count - 1];

	for (u64 steps = 4 + random_below(STEPS_MAX - 4); steps; steps--) {
		struct step_end end = step_enter(vm);

		entries++;
		observe_end(&end);
		if (end.cut)
			return false;
		step_answer(vm, &end);
		if (count > 1 && one_in(2)) {
			vm = &vms[random_below(count)];
			vm_use(vm);
		}
	}
	return true;
}

static void note_end(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		tell("vm %u at the end\n", i);
		vm_note_end(&vms[i]);

	}
}

/* SDM "MOV SS" and debug registers aside, a case leaves nothing to the next. */
static void run_case(u64 seed, u64 number, bool in_full)
{
	unsigned count;

	random_start(seed, number);
	note_start(in_full);
	step_reset_own_state();
	vm_start_case();
	count = one_in(3) ? 1 + (unsigned)random_below(VMS) : 1;
	for (unsigned i = 0; i < count; i++) {
		vm_make(&vms[i]);
		step_prepare(&vms[i]);
	}
	case_begin("%lu", number);
	if (run_guests(count))
		note_end(count);
	observe("%016lx", note_sum());
	case_end();
}

void group(void)
{
	const u64 seed = command_line_number("seed=", 1), first = command_line_number("first=", 0);
	const u64 count = command_line_number("count=", 100);
	const u64 full = command_line_number("full=", NO_CASE);

	vmx_start();
	for (u64 number = first; number < first + count; number++)
		run_case(seed, number, number == full);
	print("entries: %lu\n", entries);
}
