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

/* How many exits, and the ticks of L0 from each to the entry behind it. */
struct exit_cell {
	u64 count, ticks;
};

#define NO_CAUSE EXIT_REASONS

struct stats {
	/* By the reason; those of L1 also by that of the exit of L2 that L1 was handling, NO_CAUSE if none. */
	struct exit_cell l1[EXIT_REASONS + 1][EXIT_REASONS];
	struct exit_cell l2[EXIT_REASONS][STATS_OWNERS];
	u64 cause_ticks[EXIT_REASONS]; /* of L0 and L1, from an exit of L2 that L1 handles until L2 runs again */
	u64 l2_ticks, l2_spans; /* in all: L2's own, and how often it ran */
	u64 all_ticks; /* of every level; known at the end */
	u64 began; /* the TSC */

	/* The exit at hand. */
	u64 previous_exit; /* the TSC at it */
	struct exit_cell *current;
	struct exit_cell start; /* what there is before the first exit */
	/* The exit of L2 that L1 is handling, or that was last. */
	u32 reason;
	struct exit_cell *caused; /* where exits of L1 are counted */
	u64 cause_began; /* the TSC */

	u64 accounting_ticks; /* what counting one exit itself costs, measured at start */
};

struct cpu;

/* Zero the counters and measure what counting costs. */
void stats_init(struct cpu *cpu);

/* Name the exit at hand: where it came from and why. L0 owns it until stats_reflected() says otherwise. */
static inline void stats_exit(struct stats *stats, enum level from, u32 reason)
{
	if (from == LEVEL_1) {
		stats->current = &stats->caused[reason];
		return;
	}
	stats->reason = reason;
	stats->current = &stats->l2[reason][HANDLED_l0];
}

/*
 * L1 handles it, if it is one of L2: what L0 and L1 execute from now on is its cost. The row keeps the reason that the
 * CPU gave, whatever L1 is told.
 */
static inline void stats_reflected(struct stats *stats)
{
	if (UNLIKELY(stats->current != &stats->l2[stats->reason][HANDLED_l0]))
		return;
	stats->current = &stats->l2[stats->reason][HANDLED_l1];
	stats->caused = stats->l1[stats->reason];
	stats->cause_began = stats->previous_exit;
}

/* Has the exit at hand been handed to L1? */
static inline bool stats_is_reflected(const struct stats *stats)
{
	return stats->current == &stats->l2[stats->reason][HANDLED_l1];
}

/* How many exits of L1 there were for that reason, the one at hand not counted. */
u64 stats_l1_exits(const struct stats *stats, u32 reason);

/* Ticks of L0's that the readings of the TSC around an exit do not see. */
u64 stats_correction(void);

/* Time that is nobody's, since the last exit: L0 was halted, or it wrote its trace. */
static inline void stats_idle(struct stats *stats, u64 ticks)
{
	stats->began += ticks;
	stats->previous_exit += ticks;
	stats->cause_began += ticks;
}

/* Add up the counters of all CPUs and write the tables to the log, a record a line. */
void stats_print(void);

/* The SDM's name of a basic exit reason, "unknown" if it has none. */
const char *exit_reason_name(u32 reason);

#endif
