/*
 * Every exit counted, with what it cost and the exits of L1 that it caused.
 *
 * The clock is the TSC, read by entry.S as near to an entry and an exit as the guest's registers allow. Each exit
 * closes one span of L0 (from the exit before to the entry) and one of the guest (from there to this exit).
 * An exit from L2 that L1 handles stays open, as the cause of all that follows, until L2 is entered again.
 */
#ifndef TURTLES_STATS_H
#define TURTLES_STATS_H

#include "vmx.h"

enum level { LEVEL_1, LEVEL_2, LEVELS };
enum stats_owner { HANDLED_l0, HANDLED_l1, STATS_OWNERS };

struct exit_row {
	u64 count;
	u64 l0_ticks, l1_ticks;
	u64 l1_exits;
};

struct stats {
	struct exit_row row[LEVELS][EXIT_REASONS][STATS_OWNERS];
	u64 l1_exits_caused[EXIT_REASONS][EXIT_REASONS]; /* by the reason of L2's exit, then L1's */
	u64 l0_ticks, guest_ticks[LEVELS];               /* totals */

	/* The exit at hand. */
	u64 previous_exit; /* the TSC at it */
	enum level from;
	u32 reason;
	struct exit_row *current;
	struct exit_row start; /* what there is before the first exit */
	/* The exit of L2 that L1 is handling; NULL if none. */
	struct exit_row *cause;
	u64 *caused;
	u64 cause_l0_ticks, cause_l1_ticks; /* the totals when it was opened */

	/* What lies between the reading of the TSC and the transition; 0 where a tick is not an instruction. */
	u64 correction;
	u64 accounting_ticks; /* what counting one exit itself costs, measured at start */
};

struct cpu;

/* Zero the counters and measure what counting costs. */
void stats_init(struct cpu *cpu);


/* Name the exit at hand: where it came from and why. L0 owns it until stats_reflected() says otherwise. */
static inline void stats_exit(struct stats *stats, enum level from, u32 reason)
{
	stats->from = from;
	stats->reason = reason;
	stats->current = &stats->row[from][reason][HANDLED_l0];
}

/* L1 handles it. The row keeps the reason that the CPU gave, whatever L1 is told. */
static inline void stats_reflected(struct stats *stats)
{
	stats->current = &stats->row[stats->from][stats->reason][HANDLED_l1];
}

/* Add up the counters of all CPUs and write the tables to the log, a record a line. */
void stats_print(void);

/* The SDM's name of a basic exit reason, "unknown" if it has none. */
const char *exit_reason_name(u32 reason);

#endif
