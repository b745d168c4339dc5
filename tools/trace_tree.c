/* A trace as text: each exit of L2, and indented below it all that it caused. */
#include "trace.h"

/* One line: who, for how long, and what, so deep below the exit that caused it. */
static void print_line(FILE *out, const struct leg *leg, unsigned depth, const char *text, const char *more)
{
	fprintf(out, "  %s %10llu  %*s%s%s%s\n", trace_level(leg->level), (unsigned long long)leg->ticks,
		(int)depth * 2, "", text, *more ? " " : "", more);
}

/* What L0 did on an exit beside answering it. */
static void print_notes(const struct trace_view *view, FILE *out, const struct leg *leg, unsigned depth)
{
	const union trace_record *record;
	size_t at = leg->notes;

	while ((record = leg_note(view->trace, leg, &at)))
		if (record->head.kind != TRACE_vmx)
			fprintf(out, "  %s %10s  %*s%s\n", trace_level(0), "", (int)depth * 2, "", trace_note(record));
}

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

static void print_exit_of_l1(const struct trace_view *view, FILE *out, const struct leg *leg, unsigned depth)
{
	const char *instruction = instruction_of(view, leg);

	if (instruction)
		print_line(out, leg, depth, instruction, "");
	else
		print_line(out, leg, depth, trace_reason(leg->exit->reason), trace_detail(leg->exit));
	print_notes(view, out, leg, depth + 1);
}

static void print_leg(const struct trace_view *view, FILE *out, const struct leg *leg)
{
	unsigned depth = leg->level != 2 && leg_cause(leg) ? 1 : 0;

	if (leg->level == 0 && leg_handles(leg, 1)) {
		print_exit_of_l1(view, out, leg, depth + 1);
	} else if (leg->level == 0) {
		print_line(out, leg, 0, what_l0_does(leg), "");
		print_notes(view, out, leg, 1);
	} else {
		print_line(out, leg, depth, "runs", "");
	}
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

struct sums {
	u64 ticks[3];
	u64 exits[EXIT_REASONS];
};

static void add_leg(struct sums *sums, const struct leg *leg)
{
	sums->ticks[leg->level] += leg->ticks;
	if (leg_handles(leg, 1) && leg->entry)
		sums->exits[leg_reason(leg)]++;
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
	for (size_t i = place; i < view->count; i++) {
		const struct leg *leg = &view->leg[i];

		if (leg->cpu != first->cpu)
			continue;
		if (leg_cause(leg) != leg_cause(first))
			break;
		print_leg(view, out, leg);
		add_leg(&sums, leg);
		if (leg->level == 0 && (!leg->entry || leg->entry->head.level == 2))
			break;
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
