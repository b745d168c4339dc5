/* The accounting of one exit, inline: it is on every path there is. */
#ifndef TURTLES_STATS_ACCOUNT_H
#define TURTLES_STATS_ACCOUNT_H

#include "cpu.h"

/* L0's time since the exit before this one is that one's; once per exit, before it is handled. */
static inline void stats_account(struct cpu *cpu)
{
	struct stats *s = &cpu->stats;
	struct exit_cell *cell = s->current;
	u64 l0 = cpu->tsc_entry - s->previous_exit;

	cell->ticks += l0;
	cell->count++;
	s->previous_exit = cpu->tsc_exit;
}

/* L2 has run, or the run is over: what was executed until then, since the exit that L1 handled, is that one's. */
static inline void stats_close_cause(struct stats *s, u64 until)
{
	if (s->caused == s->l1[NO_CAUSE])
		return;
	s->cause_ticks[s->reason] += until - s->cause_began;
	s->caused = s->l1[NO_CAUSE];
}

/* The guest that has exited was L2; behind stats_account(). */
static inline void stats_l2_ran(struct cpu *cpu)
{
	stats_close_cause(&cpu->stats, cpu->tsc_entry);
	cpu->stats.l2_ticks += cpu->tsc_exit - cpu->tsc_entry;
	cpu->stats.l2_spans++;
}

#endif
