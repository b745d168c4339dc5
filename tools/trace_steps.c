/* A leg in words. */
#include "trace.h"

/* The VMX instruction that an exit of L1 was, with its operands; NULL if it was another. */
static const char *instruction_of(const struct trace_view *view, const struct leg *leg)
{
	const union trace_record *record;
	size_t at = leg->notes;

	while ((record = leg_note(view->trace, leg, &at)))
		if (record->head.kind == TRACE_vmx)
			return trace_note(record);
	return NULL;
}

static const char *what_l0_does(const struct leg *leg)
{
	if (!leg->exit)
		return "starts L1";
	if (!leg->entry)
		return "does not come back: the end of the run";
	if (leg->exit->reason & EXIT_REASON_ENTRY_FAILURE && leg->entry->head.level == 1)
		return "tells L1 that the entry failed";
	return leg->entry->head.flags & TRACE_OWNER_L1 ? "hands it to L1" : "answers it";
}

struct step trace_step(const struct trace_view *view, const struct leg *leg)
{
	struct step step = { .depth = leg->level != 2 && leg_cause(leg) ? 1 : 0, .text = "runs", .more = "" };

	if (leg->level == 0 && leg_handles(leg, 1)) {
		step.depth++;
		step.text = instruction_of(view, leg);
		if (!step.text) {
			step.text = trace_reason(leg->exit->reason);
			step.more = trace_detail(leg->exit);
		}
	} else if (leg->level == 0) {
		step.depth = 0;
		step.text = what_l0_does(leg);
	}
	return step;
}

size_t leg_next(const struct trace_view *view, size_t place)
{
	const struct leg *leg = &view->leg[place];

	if (leg->level == 0 && (!leg->entry || leg->entry->head.level == 2))
		return view->count;
	for (size_t i = place + 1; i < view->count; i++)
		if (view->leg[i].cpu == leg->cpu)
			return leg_cause(&view->leg[i]) == leg_cause(leg) ? i : view->count;
	return view->count;
}

void sums_add(struct sums *sums, const struct leg *leg)
{
	sums->ticks[leg->level] += leg->ticks;
	if (leg_handles(leg, 1) && leg->entry)
		sums->exits[leg_reason(leg)]++;
}
