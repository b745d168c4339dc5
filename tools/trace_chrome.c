/*
 * A trace in the Trace Event Format, which Chrome and Perfetto open: a process for each CPU, a thread for each level, a
 * complete event for each leg, and a flow from each exit of L2 through all that it caused.
 */
#include "trace.h"
#include <string.h>

struct writer {
	FILE *out;
	const struct trace_view *view;
	const char *separator;
};

/* A tick is shown as a nanosecond; the format counts microseconds. */
static void print_time(FILE *out, const char *name, u64 ticks)
{
	fprintf(out, ",\"%s\":%llu.%03llu", name, (unsigned long long)ticks / 1000, (unsigned long long)ticks % 1000);
}

/*
 * A process for each CPU and a thread for each level, numbered from 1 on and no thread twice: Perfetto takes 0 for
 * Linux's idle process, and its older versions put the threads 0 and 1 on one track.
 */
static unsigned process_number(unsigned cpu)
{
	return cpu + 1;
}

static unsigned thread_number(unsigned cpu, unsigned level)
{
	return process_number(cpu) * 10 + level;
}

static void begin_event(struct writer *w, const char *phase, const char *name, unsigned cpu, unsigned level)
{
	fprintf(w->out, "%s{\"ph\":\"%s\",\"name\":\"%s\",\"pid\":%u,\"tid\":%u", w->separator, phase, name,
		process_number(cpu), thread_number(cpu, level));
	w->separator = ",\n";
}

static void print_metadata(struct writer *w)
{
	for (unsigned cpu = 0; cpu < w->view->trace->cpus; cpu++) {
		begin_event(w, "M", "process_name", cpu, 0);
		fprintf(w->out, ",\"args\":{\"name\":\"CPU %u\"}}", cpu);
		for (unsigned level = 0; level <= 2; level++) {
			begin_event(w, "M", "thread_name", cpu, level);
			fprintf(w->out, ",\"args\":{\"name\":\"%s\"}}", trace_level(level));
			begin_event(w, "M", "thread_sort_index", cpu, level);
			fprintf(w->out, ",\"args\":{\"sort_index\":%u}}", 2 - level);
		}
	}
}

/* What an L0 leg is called: the exit that it handles. */
static const char *leg_name(const struct leg *leg)
{
	if (leg->level != 0)
		return leg->level == 2 || !leg_cause(leg) ? "runs" : "handles";
	return leg->exit ? trace_reason(leg->exit->reason) : "start";
}

static void print_exit_arguments(struct writer *w, const struct leg *leg)
{
	const struct trace_exit *exit = leg->exit;

	fprintf(w->out, ",\"exit_of\":\"%s\",\"rip\":\"0x%llx\",\"vmcs\":\"0x%llx\",\"qualification\":\"0x%llx\"",
		trace_level(exit->head.level), (unsigned long long)exit->rip, (unsigned long long)exit->vmcs,
		(unsigned long long)exit->qualification);
	if (*trace_detail(exit))
		fprintf(w->out, ",\"detail\":\"%s\"", trace_detail(exit));
	if (leg->entry)
		fprintf(w->out, ",\"owner\":\"%s\"", leg->entry->head.flags & TRACE_OWNER_L1 ? "L1" : "L0");
}

static void print_vmx_argument(struct writer *w, const struct leg *leg)
{
	const union trace_record *record;
	size_t at = leg->notes;

	while ((record = leg_note(w->view->trace, leg, &at)))
		if (record->head.kind == TRACE_vmx)
			fprintf(w->out, ",\"instruction\":\"%s\"", trace_note(record));
}

static void print_complete(struct writer *w, const struct leg *leg)
{
	begin_event(w, "X", leg_name(leg), leg->cpu, leg->level);
	fprintf(w->out, ",\"cat\":\"%s\"", leg->level == 0 ? "exit" : "guest");
	print_time(w->out, "ts", leg->start);
	print_time(w->out, "dur", leg->ticks);
	fprintf(w->out, ",\"args\":{\"%s\":%llu",
		trace_unit(w->view->trace), (unsigned long long)leg->ticks);
	if (leg_cause(leg))
		fprintf(w->out, ",\"l2_exit\":%llu", (unsigned long long)leg_cause(leg));
	if (leg->level == 0 && leg->exit) {
		print_exit_arguments(w, leg);
		print_vmx_argument(w, leg);
	}
	fprintf(w->out, "}}");
}

/* Events and mappings, as marks on L0's track at the end of its work. */
static void print_marks(struct writer *w, const struct leg *leg)
{
	const union trace_record *record;
	size_t at = leg->notes;

	if (leg->level != 0 || !leg->exit)
		return;
	while ((record = leg_note(w->view->trace, leg, &at))) {
		if (record->head.kind == TRACE_vmx)
			continue;
		begin_event(w, "i", trace_note(record), leg->cpu, 0);
		print_time(w->out, "ts", leg->start + leg->ticks);
		fprintf(w->out, ",\"s\":\"t\"}");
	}
}

/* The flow of an exit begins in L2 and ends where L0 is about to run L2 again; it binds to the leg around its time. */
static void print_flow(struct writer *w, const struct leg *leg)
{
	const char *phase = "t";
	u64 time = leg->start;

	if (!leg_cause(leg))
		return;
	if (leg->level == 2) {
		phase = "s";
		time += leg->ticks ? leg->ticks - 1 : 0;
	} else if (leg->level == 0 && (!leg->entry || leg->entry->head.level == 2)) {
		phase = "f";
	}
	begin_event(w, phase, "cause", leg->cpu, leg->level);
	print_time(w->out, "ts", time);
	fprintf(w->out, ",\"cat\":\"cause\",\"id\":%llu%s}", (unsigned long long)leg_cause(leg),
		*phase == 'f' ? ",\"bp\":\"e\"" : "");
}

void trace_print_chrome(const struct trace_view *view, FILE *out)
{
	struct writer w = { out, view, "" };

	fprintf(out, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"tick\":\"%s\",\"shown_as\":\"1 ns\"},"
		"\"traceEvents\":[\n", view->trace->tick_is_instruction ? "instruction" : "TSC tick");
	print_metadata(&w);
	for (size_t i = 0; i < view->count; i++) {
		const struct leg *leg = &view->leg[i];

		if (!view_has(view, leg))
			continue;
		print_complete(&w, leg);
		print_marks(&w, leg);
		print_flow(&w, leg);
	}
	fprintf(out, "\n]}\n");
}
