/* Records to legs: who ran for how long, and what for. */
#include "trace.h"
#include <stdlib.h>

/* A CPU on the way through its records. */
struct walker {
	const struct trace_exit *exit;
	const struct trace_entry *entry;
	size_t notes;
	u64 own; /* what has gone into the trace so far */
};

static struct leg l0_leg(const struct walker *w, const struct trace_entry *entry)
{
	return (struct leg){
		.cpu = entry->head.cpu, .level = 0, .start = entry->time - entry->l0 - w->own, .ticks = entry->l0,
		.exit = w->exit, .entry = entry, .notes = w->notes,
	};
}

/* With several CPUs a tick is no instruction, and what an entry is said to take can be more than the guest has had. */
static struct leg guest_leg(const struct walker *w, const struct trace_exit *exit)
{
	return (struct leg){
		.cpu = exit->head.cpu, .level = exit->head.level, .start = w->entry->time - w->own,
		.ticks = exit->time > w->entry->time ? exit->time - w->entry->time : 0, .exit = exit, .entry = w->entry,
	};
}

/* L0 was not done with the last exit when the run ended. */
static struct leg last_leg(const struct walker *w, unsigned cpu)
{
	return (struct leg){
		.cpu = cpu, .level = 0, .start = w->exit->time - w->own, .exit = w->exit, .notes = w->notes,
	};
}

static void *allocate_legs(size_t count)
{
	void *legs = calloc(count ? count : 1, sizeof(struct leg));

	if (!legs)
		abort();
	return legs;
}

/* Times count from the first leg: when that was depends on how long L0 took to start. */
static void count_from_first(struct leg *leg, size_t count)
{
	u64 first = ~0ull;

	for (size_t i = 0; i < count; i++)
		first = leg[i].start < first ? leg[i].start : first;
	for (size_t i = 0; i < count; i++)
		leg[i].start -= first;
}

/* Every entry and every exit ends a leg, and one for each CPU may be left. */
struct leg *trace_legs(const struct trace *trace, size_t *count)
{
	struct walker walker[TRACE_CPUS_MAX] = { { .exit = NULL } };
	struct leg *leg = allocate_legs(trace->count + trace->cpus);
	bool shift = trace->cpus == 1;
	size_t n = 0;

	for (size_t i = 0; i < trace->count; i++) {
		const union trace_record *record = &trace->record[i];
		struct walker *w = &walker[record->head.cpu];

		if (record->head.kind == TRACE_entry) {
			w->own += shift ? record->entry.own : 0;
			leg[n++] = l0_leg(w, &record->entry);
			w->entry = &record->entry;
		} else if (record->head.kind == TRACE_exit) {
			leg[n++] = guest_leg(w, &record->exit);
			w->exit = &record->exit;
			w->notes = i + 1;
		}
	}
	for (unsigned cpu = 0; cpu < trace->cpus; cpu++)
		if (walker[cpu].exit && walker[cpu].exit->time >= walker[cpu].entry->time)
			leg[n++] = last_leg(&walker[cpu], cpu);
	count_from_first(leg, n);
	*count = n;
	return leg;
}

bool leg_handles(const struct leg *leg, unsigned level)
{
	return leg->level == 0 && leg->exit && leg->exit->head.level == level;
}

u32 leg_reason(const struct leg *leg)
{
	return leg->exit ? leg->exit->reason & EXIT_REASON_BASIC : 0;
}

u64 leg_cause(const struct leg *leg)
{
	if (leg->level == 1)
		return leg->entry->cause;
	return leg->exit ? leg->exit->cause : 0;
}

const union trace_record *leg_note(const struct trace *trace, const struct leg *leg, size_t *at)
{
	for (; *at < trace->count; ++*at) {
		const union trace_record *record = &trace->record[*at];

		if (record->head.kind == TRACE_end)
			break;
		if (record->head.cpu != leg->cpu)
			continue;
		if (record->head.kind == TRACE_entry || record->head.kind == TRACE_exit)
			break;
		++*at;
		return record;
	}
	return NULL;
}

bool view_has(const struct trace_view *view, const struct leg *leg)
{
	return !view->only || leg_cause(leg) == view->only;
}
