/*
 * A trace as stacks of causes: L2, its exit, L1 that handles it, L1's exit, L0. Folded, a line for each stack with its
 * sum, or as the samples that `perf script` prints, one for each leg.
 */
#include "trace.h"
#include <string.h>

#define FRAMES_MAX 5

struct stack {
	const char *frame[FRAMES_MAX]; /* the outermost first */
	unsigned depth;
	u32 outer, inner; /* reasons of L2's exit and of L1's, EXIT_REASONS if there is none in it */
};

static void push(struct stack *stack, const char *frame)
{
	stack->frame[stack->depth++] = frame;
}

/* The reason of the exit of L2 that L1 is busy with on each CPU. */
struct causes {
	u32 reason[TRACE_CPUS_MAX];
};

static struct stack stack_of(const struct leg *leg, struct causes *causes)
{
	struct stack stack = { .outer = EXIT_REASONS, .inner = EXIT_REASONS };

	if (leg_handles(leg, 2))
		causes->reason[leg->cpu] = leg_reason(leg);
	if (leg->level != 2 && leg_cause(leg))
		stack.outer = causes->reason[leg->cpu];
	if (leg_handles(leg, 1))
		stack.inner = leg_reason(leg);
	if (stack.outer != EXIT_REASONS) {
		push(&stack, trace_level(2));
		push(&stack, trace_reason(stack.outer));
	}
	if (stack.inner != EXIT_REASONS) {
		push(&stack, trace_level(1));
		push(&stack, trace_reason(stack.inner));
	}
	push(&stack, trace_level(leg->level));
	return stack;
}

static void print_folded(FILE *out, const struct stack *stack, u64 ticks)
{
	for (unsigned i = 0; i < stack->depth; i++)
		fprintf(out, "%s%s", i ? ";" : "", stack->frame[i]);
	fprintf(out, " %llu\n", (unsigned long long)ticks);
}

/* Sums by the two reasons and by the level, and a stack for each that there is. */
struct fold {
	u64 ticks;
	bool used;
	struct stack stack;
};
static struct fold folds[EXIT_REASONS + 1][EXIT_REASONS + 1][3];

void trace_print_folded(const struct trace_view *view, FILE *out)
{
	struct causes causes;

	memset(folds, 0, sizeof(folds));
	memset(&causes, 0, sizeof(causes));
	for (size_t i = 0; i < view->count; i++) {
		struct stack stack = stack_of(&view->leg[i], &causes);
		struct fold *fold = &folds[stack.outer][stack.inner][view->leg[i].level];

		if (!view_has(view, &view->leg[i]))
			continue;
		fold->ticks += view->leg[i].ticks;
		fold->used = fold->ticks != 0;
		fold->stack = stack;
	}
	for (u32 outer = 0; outer <= EXIT_REASONS; outer++)
		for (u32 inner = 0; inner <= EXIT_REASONS; inner++)
			for (unsigned level = 0; level <= 2; level++)
				if (folds[outer][inner][level].used)
					print_folded(out, &folds[outer][inner][level].stack,
						     folds[outer][inner][level].ticks);
}

/* A tick is shown as a nanosecond. The innermost frame comes first. */
static void print_sample(const struct trace_view *view, FILE *out, const struct leg *leg, const struct stack *stack)
{
	fprintf(out, "%-4s %5u [%03u] %llu.%09llu: %10llu %s: \n", trace_level(leg->level), leg->cpu, leg->cpu,
		(unsigned long long)leg->start / 1000000000, (unsigned long long)leg->start % 1000000000,
		(unsigned long long)leg->ticks, trace_unit(view->trace));
	for (unsigned i = stack->depth; i-- > 0;)
		fprintf(out, "\t%16x %s (turtles)\n", stack->depth - i, stack->frame[i]);
	fprintf(out, "\n");
}

void trace_print_perf(const struct trace_view *view, FILE *out)
{
	struct causes causes;

	memset(&causes, 0, sizeof(causes));
	for (size_t i = 0; i < view->count; i++) {
		struct stack stack = stack_of(&view->leg[i], &causes);

		if (view_has(view, &view->leg[i]) && view->leg[i].ticks)
			print_sample(view, out, &view->leg[i], &stack);
	}
}
