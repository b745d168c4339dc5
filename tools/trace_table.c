/* The table of exits made of a trace alone, by the rules of l0/stats_account.h: it must be the exits.tsv of its run. */
#include "trace.h"
#include <string.h>

enum { OWNERS = 2 };

struct row {
	u64 count, l0, l1, exits;
	u64 exits_by[EXIT_REASONS]; /* of L1, by reason */
};
static struct row rows[3][EXIT_REASONS][OWNERS];

/* The row of the exit of L2 that L1 is busy with; NULL if there is none. */
static struct row *cause[TRACE_CPUS_MAX];

static void add_exit_of_l1(const struct leg *leg)
{
	struct row *c = cause[leg->cpu];

	if (!c)
		return;
	c->l0 += leg->ticks;
	c->exits++;
	c->exits_by[leg_reason(leg)]++;
	if (leg->entry->head.level == 2)
		cause[leg->cpu] = NULL;
}

static void add_l0(const struct leg *leg)
{
	bool by_l1 = leg->entry->head.flags & TRACE_OWNER_L1;
	unsigned from = leg->exit->head.level;
	struct row *row = &rows[from][leg_reason(leg)][by_l1];

	row->count++;
	if (from == 1)
		add_exit_of_l1(leg);
	else if (leg->entry->head.level == 1)
		cause[leg->cpu] = row;
	row->l0 += leg->ticks;
}

static void add_leg(const struct leg *leg)
{
	if (leg->level == 0 && leg->exit && leg->entry)
		add_l0(leg);
	else if (leg->level == 1 && cause[leg->cpu])
		cause[leg->cpu]->l1 += leg->ticks;
}

static void print_row(FILE *out, unsigned level, u32 reason, unsigned owner)
{
	const struct row *row = &rows[level][reason][owner];
	const char *separator = "";

	if (!row->count)
		return;
	fprintf(out, "l%u\t%s\tl%u\t%llu\t%llu\t%llu\t%llu\t", level, trace_reason(reason), owner,
		(unsigned long long)row->count, (unsigned long long)row->l0, (unsigned long long)row->l1,
		(unsigned long long)row->exits);
	for (u32 r = 0; r < EXIT_REASONS; r++) {
		if (!row->exits_by[r])
			continue;
		fprintf(out, "%s%s:%llu", separator, trace_reason(r), (unsigned long long)row->exits_by[r]);
		separator = ",";
	}
	fprintf(out, "\n");
}

void trace_print_table(const struct trace_view *view, FILE *out)
{
	memset(rows, 0, sizeof(rows));
	memset(cause, 0, sizeof(cause));
	for (size_t i = 0; i < view->count; i++)
		if (view_has(view, &view->leg[i]))
			add_leg(&view->leg[i]);
	fprintf(out, "from\treason\towner\tcount\tl0_%s\tl1_%s\tl1_exits\tl1_exits_by_reason\n",
		trace_unit(view->trace), trace_unit(view->trace));
	for (unsigned level = 1; level <= 2; level++)
		for (u32 reason = 0; reason < EXIT_REASONS; reason++)
			for (unsigned owner = 0; owner < OWNERS; owner++)
				print_row(out, level, reason, owner);
}
