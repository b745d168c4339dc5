/* A trace as text: each exit of L2, and indented below it all that it caused. */
#include "trace.h"

/* What L0 did on an exit beside answering it. */
static void print_notes(const struct trace_view *view, FILE *out, const struct leg *leg, unsigned depth)
{
	const union trace_record *record;
	size_t at = leg->notes;

	while ((record = leg_note(view->trace, leg, &at)))
		if (record->head.kind != TRACE_vmx)
			fprintf(out, "  %s %10s  %*s%s\n", trace_level(0), "", (int)depth * 2, "", trace_note(record));
}

/* One line: who, for how long, and what, so deep below the exit that caused it. */
static void print_leg(const struct trace_view *view, FILE *out, const struct leg *leg)
{
	struct step step = trace_step(view, leg);

	fprintf(out, "  %s %10llu  %*s%s%s%s\n", trace_level(leg->level), (unsigned long long)leg->ticks,
		(int)step.depth * 2, "", step.text, *step.more ? " " : "", step.more);
	if (leg->level == 0)
		print_notes(view, out, leg, step.depth + 1);
}

static void print_heading(FILE *out, const struct trace_exit *exit, u64 time)
{
	const char *detail = trace_detail(exit);

	fprintf(out, "exit %llu of L2: %s%s%s%s, rip 0x%llx, VMCS 0x%llx, CPU %u, at %llu\n",
		(unsigned long long)exit->cause, trace_reason(exit->reason),
		exit->reason & EXIT_REASON_ENTRY_FAILURE ? " (an entry that failed)" : "", *detail ? ", " : "", detail,
		(unsigned long long)exit->rip, (unsigned long long)exit->vmcs, exit->head.cpu,
		(unsigned long long)time);
}

static void print_sums(const struct trace_view *view, FILE *out, const struct sums *sums)
{
	const char *separator = "";

	fprintf(out, "  in all: L0 %llu, L1 %llu %s; exits of L1: ", (unsigned long long)sums->ticks[0],
		(unsigned long long)sums->ticks[1], trace_unit(view->trace));
	for (u32 reason = 0; reason < EXIT_REASONS; reason++) {
		if (!sums->exits[reason])
			continue;
		fprintf(out, "%s%s %llu", separator, trace_reason(reason), (unsigned long long)sums->exits[reason]);
		separator = ", ";
	}
	fprintf(out, "%s\n\n", *separator ? "" : "none");
}

/* An exit of L2, from its place among the legs, to where L2 runs again. */
static void print_exit_of_l2(const struct trace_view *view, FILE *out, size_t place)
{
	const struct leg *first = &view->leg[place];
	struct sums sums = { .ticks = { 0 } };

	print_heading(out, first->exit, first->start);
	for (size_t i = place; i < view->count; i = leg_next(view, i)) {
		print_leg(view, out, &view->leg[i]);
		sums_add(&sums, &view->leg[i]);
	}
	print_sums(view, out, &sums);
}

void trace_print_tree(const struct trace_view *view, FILE *out)
{
	for (size_t i = 0; i < view->count; i++) {
		const struct leg *leg = &view->leg[i];

		if (!view_has(view, leg))
			continue;
		if (leg_handles(leg, 2))
			print_exit_of_l2(view, out, i);
		else if (leg->level == 2 || !leg_cause(leg))
			print_leg(view, out, leg);
	}
}
