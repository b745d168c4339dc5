/*
 * A trace as JSON: each exit of L2 an object, on a line of its own, with the steps from what the guest ran before it to
 * where it goes on. No text of trace_names.c has a character that JSON would have escaped.
 */
#include "trace.h"

static void print_notes(const struct trace_view *view, FILE *out, const struct leg *leg)
{
	bool any = false;
	const union trace_record *record;
	size_t at = leg->notes;

	while (leg->level == 0 && (record = leg_note(view->trace, leg, &at))) {
		if (record->head.kind == TRACE_vmx)
			continue;
		fprintf(out, "%s\"%s\"", any ? "," : ",\"notes\":[", trace_note(record));
		any = true;
	}
	if (any)
		fprintf(out, "]");
}

static void print_step(const struct trace_view *view, FILE *out, const struct leg *leg)
{
	struct step step = trace_step(view, leg);

	fprintf(out, "{\"who\":\"%s\",\"ticks\":%llu,\"depth\":%u,\"what\":\"%s%s%s\"", trace_level(leg->level),
		(unsigned long long)leg->ticks, step.depth, step.text, *step.more ? " " : "", step.more);
	print_notes(view, out, leg);
	fprintf(out, "}");
}

static void print_heading(FILE *out, const struct leg *leg)
{
	const struct trace_exit *exit = leg->exit;

	fprintf(out, "{\"exit\":%llu,\"reason\":\"%s\",\"detail\":\"%s\",\"entry_failed\":%s,\"rip\":\"0x%llx\","
		"\"vmcs\":\"0x%llx\",\"cpu\":%u,\"start\":%llu,\"owner\":", (unsigned long long)exit->cause,
		trace_reason(exit->reason), trace_detail(exit),
		exit->reason & EXIT_REASON_ENTRY_FAILURE ? "true" : "false", (unsigned long long)exit->rip,
		(unsigned long long)exit->vmcs, exit->head.cpu, (unsigned long long)leg->start);
	if (leg->entry)
		fprintf(out, "\"%s\"", leg->entry->head.flags & TRACE_OWNER_L1 ? "L1" : "L0");
	else
		fprintf(out, "null");
}

static void print_sums(FILE *out, const struct sums *sums)
{
	const char *separator = "";

	fprintf(out, "],\"l0\":%llu,\"l1\":%llu,\"l2\":%llu,\"exits_of_l1\":{", (unsigned long long)sums->ticks[0],
		(unsigned long long)sums->ticks[1], (unsigned long long)sums->ticks[2]);
	for (u32 reason = 0; reason < EXIT_REASONS; reason++) {
		if (!sums->exits[reason])
			continue;
		fprintf(out, "%s\"%s\":%llu", separator, trace_reason(reason), (unsigned long long)sums->exits[reason]);
		separator = ",";
	}
	fprintf(out, "}}");
}

/* An exit of L2, from what the guest ran before it to where it runs again. */
static void print_exit(const struct trace_view *view, FILE *out, const struct leg *guest, size_t place)
{
	struct sums sums = { .ticks = { 0 } };

	print_heading(out, &view->leg[place]);
	fprintf(out, ",\"steps\":[");
	print_step(view, out, guest);
	sums_add(&sums, guest);
	for (size_t i = place; i < view->count; i = leg_next(view, i)) {
		fprintf(out, ",");
		print_step(view, out, &view->leg[i]);
		sums_add(&sums, &view->leg[i]);
	}
	print_sums(out, &sums);
}

void trace_print_json(const struct trace_view *view, FILE *out)
{
	const struct leg *guest[TRACE_CPUS_MAX] = { NULL };
	const char *separator = "";

	fprintf(out, "{\"unit\":\"%s\",\"cpus\":%u,\"exits\":[\n", trace_unit(view->trace), view->trace->cpus);
	for (size_t i = 0; i < view->count; i++) {
		const struct leg *leg = &view->leg[i];

		if (leg->level == 2)
			guest[leg->cpu] = leg;
		if (!leg_handles(leg, 2) || !view_has(view, leg) || !guest[leg->cpu])
			continue;
		fprintf(out, "%s", separator);
		print_exit(view, out, guest[leg->cpu], i);
		separator = ",\n";
	}
	fprintf(out, "\n]}\n");
}
