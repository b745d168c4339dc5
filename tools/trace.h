/* A trace on the host: read and checked, cut into legs, told in several formats. */
#ifndef TURTLES_TOOLS_TRACE_H
#define TURTLES_TOOLS_TRACE_H

#include "trace_format.h"
#include "vmx.h"
#include <stdio.h>

#define TRACE_CPUS_MAX 64

struct trace {
	bool tick_is_instruction;
	unsigned cpus;
	union trace_record *record; /* in the order in which they were made; the closing one is the last */
	size_t count;
	bool cut; /* it has no end: trace_read_cut() alone gives such */
	char error[160];
};

/*
 * trace_read.c: the records of a file, checked in every way there is. False with one line in error if it is not a
 * whole trace. trace_free() in any case.
 */
bool trace_read(struct trace *trace, const u8 *bytes, size_t size);
/* The same of a trace that may have been cut at its end, but is otherwise as it was: what of it is whole. */
bool trace_read_cut(struct trace *trace, const u8 *bytes, size_t size);
void trace_free(struct trace *trace);
/*
 * The pieces of a trace among all that the emulator has printed. Text of its own may stand between them, at a triple
 * fault of L2 for one. A cutter begins zeroed; each call gives the length of the next piece and where it starts, 0 if
 * there is none. What is missing is for trace_read() to notice.
 */
struct trace_cutter {
	size_t at;  /* behind the last piece */
	u32 pieces; /* so far */
};
size_t trace_next_piece(struct trace_cutter *cutter, const u8 *bytes, size_t size, size_t *start);

/* A CPU at one level from one transition to the next: a guest, or L0 for one exit. */
struct leg {
	unsigned cpu, level;
	u64 start; /* from the first leg on; with one CPU, as if there were no trace */
	u64 ticks;
	const struct trace_exit *exit;   /* what L0 handles, or what ends the guest; NULL if there is none */
	const struct trace_entry *entry; /* what ends L0's part, or begins the guest's; NULL if L0 went no further */
	size_t notes; /* L0: the place of the first record behind the exit, from where leg_note() goes on */
};

/* trace_legs.c: all legs in the order of their ends; *count of them, to be freed. */
struct leg *trace_legs(const struct trace *trace, size_t *count);
/* The number of L2's exit that the leg belongs to, or 0. L2's own is that of the exit which ends it. */
u64 leg_cause(const struct leg *leg);
/* Does L0 in this leg handle an exit of that level? Which reason it is. */
bool leg_handles(const struct leg *leg, unsigned level);
u32 leg_reason(const struct leg *leg);
/* The next record of an L0 leg that tells of what was done: *at begins as leg->notes. NULL if there is none left. */
const union trace_record *leg_note(const struct trace *trace, const struct leg *leg, size_t *at);

/* trace_names.c: what the numbers of the SDM are called. Text is good until the next call of the same function. */
const char *trace_reason(u32 reason);
const char *trace_level(unsigned level);
/* Of its ticks: as run.tsv names it. */
const char *trace_unit(const struct trace *trace);
/* What an exit tells beside its reason, empty if nothing. */
const char *trace_detail(const struct trace_exit *exit);
/* A VMX instruction of L1 with its operands and its outcome, an event, pages mapped. */
const char *trace_note(const union trace_record *record);

/* What to tell: all legs, or those of one exit of L2. */
struct trace_view {
	const struct trace *trace;
	const struct leg *leg;
	size_t count;
	u64 only; /* the number of an exit of L2; 0: everything */
};
/* Is the leg within the view? */
bool view_has(const struct trace_view *view, const struct leg *leg);

/* trace_steps.c: what is done in a leg, in words, and how deep below its cause. Text is good as in trace_names.c. */
struct step {
	unsigned depth;
	const char *text, *more; /* more may be empty */
};
struct step trace_step(const struct trace_view *view, const struct leg *leg);
/* The place of the leg behind that one which is of the same exit of L2; view->count if it was the last. */
size_t leg_next(const struct trace_view *view, size_t place);

/* What legs come to: ticks by level, and L1's exits by reason. Begins zeroed. */
struct sums {
	u64 ticks[3];
	u64 exits[EXIT_REASONS];
};
void sums_add(struct sums *sums, const struct leg *leg);

/* The formats, each to a file: trace_tree.c, trace_json.c, trace_chrome.c, trace_stacks.c, trace_table.c. */
void trace_print_tree(const struct trace_view *view, FILE *out);
void trace_print_json(const struct trace_view *view, FILE *out);
void trace_print_chrome(const struct trace_view *view, FILE *out);
void trace_print_folded(const struct trace_view *view, FILE *out);
void trace_print_perf(const struct trace_view *view, FILE *out);
/* The table that L0 keeps of its exits, made of the trace alone. */
void trace_print_table(const struct trace_view *view, FILE *out);

#endif
