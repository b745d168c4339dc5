#include "cpu.h"
#include "l1_memory.h"
#include "options.h"
#include "print.h"
#include "self_check.h"
#include "stats_account.h"

/*
 * Instructions of entry.S that the readings of the TSC do not see: of L0's between the RDTSC before an entry and the
 * entry (with the RDTSC itself), and between an exit and the RDTSC behind it. The witness test holds L0's tables to
 * the emulator's own log, so a change of entry.S that forgets these numbers fails it. What they come to is L0's, once
 * for each exit, and not the guest's.
 */
#define TICKS_BEFORE_ENTRY 19
#define TICKS_BEHIND_EXIT 16

static const char *const reason_names[EXIT_REASONS] = {
#define R(number, name) [number] = #name,
#include "exit_reasons.def"
#undef R
};

const char *exit_reason_name(u32 reason)
{
	return reason < EXIT_REASONS && reason_names[reason] ? reason_names[reason] : "unknown";
}

static void reset(struct stats *s)
{
	*s = (struct stats){ .accounting_ticks = s->accounting_ticks };
	s->caused = s->l1[NO_CAUSE];
	s->current = &s->start;
	s->began = s->previous_exit = rdtsc();
}

/* Count a made-up exit many times over and see what one costs. */
static u64 measure_accounting(struct cpu *cpu)
{
	enum { ROUNDS = 64 };
	u64 start = rdtsc(), empty;

	for (unsigned i = 0; i < ROUNDS; i++)
		__asm__ volatile("" : : : "memory");
	empty = rdtsc() - start;
	start = rdtsc();
	for (unsigned i = 0; i < ROUNDS; i++) {
		cpu->tsc_entry = rdtsc();
		cpu->tsc_exit = rdtsc();
		stats_exit(&cpu->stats, LEVEL_1, REASON_cpuid);
		__asm__ volatile("" : : : "memory");
		stats_account(cpu);
		__asm__ volatile("" : : : "memory");
	}
	return (rdtsc() - start - empty) / ROUNDS;
}

void stats_init(struct cpu *cpu)
{
	struct stats *s = &cpu->stats;

	reset(s);
	s->accounting_ticks = measure_accounting(cpu);
	cpu->tsc_entry = cpu->tsc_exit = 0;
	reset(s);
}

u64 stats_correction(void)
{
	return options.tick == TICK_instruction ? TICKS_BEFORE_ENTRY + TICKS_BEHIND_EXIT : 0;
}

static u64 l0_ticks_of(const struct exit_cell *cell)
{
	return cell->ticks + cell->count * stats_correction();
}

static void add_cell(struct exit_cell *to, const struct exit_cell *from)
{
	to->count += from->count;
	to->ticks += from->ticks;
}

static struct exit_cell sum_of(const struct exit_cell *cells, size_t count)
{
	struct exit_cell sum = { 0 };

	for (size_t i = 0; i < count; i++)
		add_cell(&sum, &cells[i]);
	return sum;
}

static void print_caused(const struct stats *s, u32 cause)
{
	const char *separator = "";

	for (unsigned r = 0; r < EXIT_REASONS; r++) {
		u64 count = s->l1[cause][r].count;

		if (!count)
			continue;
		print("%s%s:%lu", separator, exit_reason_name(r), count);
		separator = ",";
	}
}

static struct exit_cell sum_of_l1(const struct stats *s, u32 reason)
{
	struct exit_cell sum = { 0 };

	for (unsigned cause = 0; cause <= NO_CAUSE; cause++)
		add_cell(&sum, &s->l1[cause][reason]);
	return sum;
}

u64 stats_l1_exits(const struct stats *stats, u32 reason)
{
	return sum_of_l1(stats, reason).count;
}

static void print_l1_row(const struct stats *s, u32 reason)
{
	struct exit_cell sum = sum_of_l1(s, reason);

	if (sum.count)
		print("exits\tl1\t%s\tl0\t%lu\t%lu\t0\t0\t\n", exit_reason_name(reason), sum.count, l0_ticks_of(&sum));
}

static void print_l2_row_by_l0(const struct stats *s, u32 reason)
{
	const struct exit_cell *cell = &s->l2[reason][HANDLED_l0];

	if (cell->count)
		print("exits\tl2\t%s\tl0\t%lu\t%lu\t0\t0\t\n", exit_reason_name(reason), cell->count,
		      l0_ticks_of(cell));
}

/*
 * What L0 executed from the exit on until L2 ran again; the rest of that is L1's. What the readings of the TSC do not
 * see at either end is not in cause_ticks, as it is not in cell->ticks.
 */
static void print_l2_row_by_l1(const struct stats *s, u32 reason)
{
	const struct exit_cell *cell = &s->l2[reason][HANDLED_l1];
	struct exit_cell caused = sum_of(s->l1[reason], EXIT_REASONS);

	if (!cell->count)
		return;
	print("exits\tl2\t%s\tl1\t%lu\t%lu\t%lu\t%lu\t", exit_reason_name(reason), cell->count,
	      l0_ticks_of(cell) + l0_ticks_of(&caused), s->cause_ticks[reason] - cell->ticks - l0_ticks_of(&caused),
	      caused.count);
	print_caused(s, reason);
	print("\n");
}

static void print_rows(const struct stats *s)
{
	for (unsigned reason = 0; reason < EXIT_REASONS; reason++)
		print_l1_row(s, reason);
	for (unsigned reason = 0; reason < EXIT_REASONS; reason++) {
		print_l2_row_by_l0(s, reason);
		print_l2_row_by_l1(s, reason);
	}
}

static void print_totals(const struct stats *s)
{
	struct exit_cell sum = sum_of(s->l1[0], sizeof(s->l1) / sizeof(s->l1[0][0]));
	struct exit_cell sum2 = sum_of(s->l2[0], sizeof(s->l2) / sizeof(s->l2[0][0]));
	u64 l2_ticks = s->l2_ticks - s->l2_spans * stats_correction();

	add_cell(&sum, &sum2);
	add_cell(&sum, &s->start);
	print("run\tl0_ticks\t%lu\n", l0_ticks_of(&sum));
	print("run\tl1_ticks\t%lu\n", s->all_ticks - l0_ticks_of(&sum) - l2_ticks);
	print("run\tl2_ticks\t%lu\n", l2_ticks);
	print("run\taccounting_ticks_per_exit\t%lu\n", s->accounting_ticks);
}

/* L1 is busy with an exit of L2: that has begun as the others have, but it ends with an exit, and not with an entry. */
static void end_cause(struct stats *s)
{
	if (s->caused != s->l1[NO_CAUSE] && s->previous_exit != s->cause_began)
		s->cause_ticks[s->reason] -= stats_correction();
	stats_close_cause(s, s->previous_exit);
}

/* A CPU whose guest still runs when the machine stops: what led to that is complete. */
static void flush_running(struct cpu *cpu)
{
	struct stats *s = &cpu->stats;

	if (cpu->tsc_entry > s->previous_exit) { /* it is neither in L0, nor has it yet to begin */
		cpu->tsc_exit = rdtsc();
		stats_account(cpu);
		if (cpu->level == LEVEL_2)
			stats_l2_ran(cpu);
	}
	end_cause(s);
	s->all_ticks = s->previous_exit - s->began;
}

/* Another CPU's counters on top of these. */
static void add_stats(struct stats *to, const struct stats *from)
{
	for (unsigned reason = 0; reason < EXIT_REASONS; reason++) {
		for (unsigned cause = 0; cause <= NO_CAUSE; cause++)
			add_cell(&to->l1[cause][reason], &from->l1[cause][reason]);
		for (unsigned owner = 0; owner < STATS_OWNERS; owner++)
			add_cell(&to->l2[reason][owner], &from->l2[reason][owner]);
		to->cause_ticks[reason] += from->cause_ticks[reason];
	}
	add_cell(&to->start, &from->start);
	to->all_ticks += from->all_ticks;
	to->l2_ticks += from->l2_ticks;
	to->l2_spans += from->l2_spans;
}

/* How the bounded pools fared. */
static void print_pools(void)
{
	u64 evictions = 0, fills = 0, drops = 0, ept02_evictions = 0;

	for (unsigned i = 0; i < cpu_count; i++) {
		const struct nested *nested = &cpus[i]->nested;

		evictions += nested->evictions;
		fills += nested->ept02.fills;
		drops += nested->ept02.drops;
		ept02_evictions += nested->ept02.evictions;
	}
	print("run\tept01_tables\t%lu\nrun\tept01_evictions\t%lu\n", ept01_tables(), ept01_evictions);
	print("run\tept02_tables\t%u\n", cpus[0]->nested.ept02_stack.total);
	print("run\thome_kib\t%lu\nrun\thome_free_kib\t%lu\n", (home.end - home.start) >> 10,
	      pool_free_pages() << PAGE_SHIFT >> 10);
	print("run\tvmcs02_evictions\t%lu\n", evictions);
	print("run\tept02_fills\t%lu\nrun\tept02_drops\t%lu\nrun\tept02_evictions\t%lu\n", fills, drops,
	      ept02_evictions);
}

/* L1's accesses to fields of its VMCS that exited, on all CPUs, and what the first CPU lets it access directly. */
static void print_fields(void)
{
	const struct direct_set *direct = &cpus[0]->nested.direct.set;

	for (enum vmcs_field f = 0; f < VMCS_FIELDS; f++) {
		u64 read = 0, written = 0;

		for (unsigned i = 0; i < cpu_count; i++) {
			read += cpus[i]->nested.accesses.read[f] + cpus[i]->nested.setup_accesses.read[f];
			written += cpus[i]->nested.accesses.written[f] + cpus[i]->nested.setup_accesses.written[f];
		}
		if (read || written || field_set_has(&direct->read, f))
			print("fields\t%s\t%lu\t%lu\t%s\n", vmcs_field[f].name, read, written,
			      field_set_has(&direct->written, f) ? "rw" : field_set_has(&direct->read, f) ? "r" : "-");
	}
}

void stats_print(void)
{
	struct stats *s = &cpus[0]->stats;

	if (!cpu_count)
		return; /* L0 has not come that far */
	for (unsigned i = 0; i < cpu_count; i++)
		flush_running(cpus[i]);
	for (unsigned i = 1; i < cpu_count; i++)
		add_stats(s, &cpus[i]->stats);
	print_rows(s);
	print_totals(s);
	print_pools();
	if (options.field_stats)
		print_fields();
	self_check_print();
}
