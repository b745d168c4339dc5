/* The accounting of one exit, inline: it is on every path there is. */
#ifndef TURTLES_STATS_ACCOUNT_H
#define TURTLES_STATS_ACCOUNT_H

#include "cpu.h"

/* L2 runs again, or the run is over: all that was executed since the exit is its cost. */
static inline void stats_close_cause(struct stats *s)
{
	s->cause->l0_ticks += s->l0_ticks - s->cause_l0_ticks;
	s->cause->l1_ticks += s->guest_ticks[LEVEL_1] - s->cause_l1_ticks;
	s->cause = NULL;
}

static inline void stats_open_cause(struct stats *s, u64 l0_before)
{
	s->cause = s->current;
	s->caused = s->l1_exits_caused[s->reason];
	s->cause_l0_ticks = l0_before;
	s->cause_l1_ticks = s->guest_ticks[LEVEL_1];
}

/* Account for the transition that has just ended; once per exit, before it is handled. */
static inline void stats_account(struct cpu *cpu)
{
	struct stats *s = &cpu->stats;
	struct exit_row *row = s->current, *cause = s->cause;
	u64 entry = cpu->tsc_entry + s->correction, l0 = entry - s->previous_exit, l0_before = s->l0_ticks;

	s->previous_exit = cpu->tsc_exit;
	s->l0_ticks = l0_before + l0;
	row->count++;
	if (s->from == LEVEL_1) {
		row->l0_ticks += l0;
		if (cause) {
			cause->l1_exits++;
			s->caused[s->reason]++;
			if (cpu->level == LEVEL_2)
				stats_close_cause(s);
		}
	} else if (cpu->level == LEVEL_1) {
		stats_open_cause(s, l0_before);
	} else {
		row->l0_ticks += l0;
	}
	s->guest_ticks[cpu->level] += cpu->tsc_exit - entry;
}

#endif
