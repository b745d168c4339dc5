#include "cpu.h"
#include "l1_memory.h"
#include "options.h"
#include "print.h"
#include "self_check.h"
#include "stats_account.h"

/*
 * Instructions of entry.S that the readings of the TSC do not see: of L0's between the RDTSC before an entry and the
 * entry (with the RDTSC itself), and between an exit and the RDTSC behind it. The witness test holds L0's tables to
 * the emulator's own log, so a change of entry.S that forgets these numbers fails it.
 */
#define TICKS_BEFORE_ENTRY 22
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
	u64 cost = measure_accounting(cpu);

	*s = (struct stats){ .accounting_ticks = cost };
	if (options.tick == TICK_instruction)
		s->correction = TICKS_BEFORE_ENTRY + TICKS_BEHIND_EXIT;
	s->current = &s->start;
	s->previous_exit = rdtsc();
}

static void print_caused(const struct stats *s, u32 reason)
{
	const char *separator = "";

	for (unsigned r = 0; r < EXIT_REASONS; r++) {
		u64 count = s->l1_exits_caused[reason][r];

		if (!count)
			continue;
		print("%s%s:%lu", separator, exit_reason_name(r), count);
		separator = ",";
	}
}

static void print_row(const struct stats *s, enum level from, u32 reason, enum stats_owner owner)
{
	const struct exit_row *row = &s->row[from][reason][owner];

	if (!row->count)
		return;
	print("exits\t%s\t%s\t%s\t%lu\t%lu\t%lu\t%lu\t", from == LEVEL_1 ? "l1" : "l2", exit_reason_name(reason),
	      owner == HANDLED_l0 ? "l0" : "l1", row->count, row->l0_ticks,
	      row->l1_ticks, row->l1_exits);
	if (owner == HANDLED_l1)
		print_caused(s, reason);
	print("\n");
}

static void add_row(struct exit_row *to, const struct exit_row *from)
{
	to->count += from->count;
	to->l0_ticks += from->l0_ticks;
	to->l1_ticks += from->l1_ticks;
	to->l1_exits += from->l1_exits;
}

/* A CPU whose guest still runs when the machine stops: what led to that is complete. */
static void flush_running(struct cpu *cpu)
{
	if (cpu->tsc_entry <= cpu->stats.previous_exit)
		return; /* it is in L0, or has yet to begin */
	cpu->tsc_exit = rdtsc();
	stats_account(cpu);
}

/* Another CPU's counters on top of these. */
static void add_stats(struct stats *to, struct stats *from)
{
	if (from->cause)
		stats_close_cause(from);
	for (unsigned level = 0; level < LEVELS; level++)
		for (unsigned reason = 0; reason < EXIT_REASONS; reason++)
			for (unsigned owner = 0; owner < STATS_OWNERS; owner++)
				add_row(&to->row[level][reason][owner], &from->row[level][reason][owner]);
	for (unsigned cause = 0; cause < EXIT_REASONS; cause++)
		for (unsigned reason = 0; reason < EXIT_REASONS; reason++)
			to->l1_exits_caused[cause][reason] += from->l1_exits_caused[cause][reason];
	to->l0_ticks += from->l0_ticks;
	for (unsigned level = 0; level < LEVELS; level++)
		to->guest_ticks[level] += from->guest_ticks[level];
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
			read += cpus[i]->nested.accesses.read[f];
			written += cpus[i]->nested.accesses.written[f];
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
	if (s->cause)
		stats_close_cause(s);
	for (unsigned i = 1; i < cpu_count; i++)
		add_stats(s, &cpus[i]->stats);
	for (unsigned from = 0; from < LEVELS; from++)
		for (unsigned reason = 0; reason < EXIT_REASONS; reason++)
			for (unsigned owner = 0; owner < STATS_OWNERS; owner++)
				print_row(s, (enum level)from, reason, (enum stats_owner)owner);
	print("run\tl0_ticks\t%lu\n", s->l0_ticks);
	print("run\tl1_ticks\t%lu\n", s->guest_ticks[LEVEL_1]);
	print("run\tl2_ticks\t%lu\n", s->guest_ticks[LEVEL_2]);
	print("run\taccounting_ticks_per_exit\t%lu\n", s->accounting_ticks);
	print_pools();
	if (options.field_stats)
		print_fields();
	self_check_print();
}
