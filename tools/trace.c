/*
 * trace [--cut] [--exit N] [--format tree|json|chrome|folded|perf|table] FILE: tells what a trace holds.
 * trace cut IN OUT: writes the trace within what a port has taken to OUT, and all else of IN to standard output.
 */
#include "trace.h"
#include "plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef void printer(const struct trace_view *view, FILE *out);

static const struct {
	const char *name;
	printer *print;
} formats[] = {
	{ "tree", trace_print_tree },
	{ "json", trace_print_json },
	{ "chrome", trace_print_chrome },
	{ "folded", trace_print_folded },
	{ "perf", trace_print_perf },
	{ "table", trace_print_table },
};

static printer *format_called(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (strcmp(name, formats[i].name) == 0)
			return formats[i].print;
	fail(STATUS_USAGE, "no format is called \"%s\"; there are: tree json chrome folded perf table", name);
}

static u64 number_of_exit(const char *text)
{
	char *end;
	u64 number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || number == 0)
		fail(STATUS_USAGE, "--exit takes the number of an exit of L2, from 1, not \"%s\"", text);
	return number;
}

static u64 exits_of_l2(const struct trace *trace)
{
	u64 exits = 0;

	for (size_t i = 0; i < trace->count; i++)
		exits += trace->record[i].head.kind == TRACE_exit && trace->record[i].head.level == 2;
	return exits;
}

/* Nothing is known of what came behind. */
static void tell_cut(const char *name, const struct trace *trace)
{
	if (trace->cut)
		fprintf(stderr, "trace: %s: it is cut: %zu records, %llu exits of L2, are all there is\n", name,
			trace->count, (unsigned long long)exits_of_l2(trace));
}

static void print_all(const char *name, u64 only, printer *print, bool may_be_cut)
{
	struct blob file = read_file(name);
	struct trace trace;
	struct trace_view view = { .trace = &trace, .only = only };
	struct leg *legs;

	if (!(may_be_cut ? trace_read_cut : trace_read)(&trace, file.data, file.size))
		fail(STATUS_ERROR, "%s: %s", name, trace.error);
	tell_cut(name, &trace);
	if (only > exits_of_l2(&trace))
		fail(STATUS_USAGE, "--exit %llu: L2 has %llu exits in this trace", (unsigned long long)only,
		     (unsigned long long)exits_of_l2(&trace));
	view.leg = legs = trace_legs(&trace, &view.count);
	print(&view, stdout);
	if (fflush(stdout) || ferror(stdout))
		fail(STATUS_ERROR, "cannot write: %s", strerror(errno));
	free(legs);
	trace_free(&trace);
	free(file.data);
}

static void write_bytes(FILE *out, const u8 *bytes, size_t size)
{
	if (fwrite(bytes, 1, size, out) != size)
		fail(STATUS_ERROR, "cannot write: %s", strerror(errno));
}

static void cut(const char *in, const char *name)
{
	struct blob file = read_file(in);
	struct trace_cutter cutter = { 0, 0 };
	FILE *out = fopen(name, "wb");
	size_t done = 0, start, size;

	if (!out)
		fail(STATUS_ERROR, "%s: %s", name, strerror(errno));
	while ((size = trace_next_piece(&cutter, file.data, file.size, &start))) {
		write_bytes(stdout, file.data + done, start - done);
		write_bytes(out, file.data + start, size);
		done = start + size;
	}
	write_bytes(stdout, file.data + done, file.size - done);
	if (fclose(out))
		fail(STATUS_ERROR, "%s: %s", name, strerror(errno));
	free(file.data);
}

int main(int argc, char **argv)
{
	printer *print = trace_print_tree;
	bool may_be_cut = false;
	u64 only = 0;
	int i = 1;

	if (argc == 4 && strcmp(argv[1], "cut") == 0) {
		cut(argv[2], argv[3]);
		return 0;
	}
	if (i < argc && strcmp(argv[i], "--cut") == 0) {
		may_be_cut = true;
		i++;
	}
	for (; i + 2 < argc; i += 2)
		if (strcmp(argv[i], "--exit") == 0)
			only = number_of_exit(argv[i + 1]);
		else if (strcmp(argv[i], "--format") == 0)
			print = format_called(argv[i + 1]);
		else
			break;
	if (i + 1 != argc)
		fail(STATUS_USAGE,
		     "usage: trace [--cut] [--exit N] [--format tree|json|chrome|folded|perf|table] FILE");
	print_all(argv[i], only, print, may_be_cut);
	return 0;
}
