/* How often a guest exited: to kvmrun, by reason; and all that KVM itself counts of a CPU. */
#ifndef KVMRUN_STATS_H
#define KVMRUN_STATS_H

#include "types.h"

#define EXIT_REASONS 64

struct exit_counts {
	u64 count[EXIT_REASONS];
};

void count_exit(struct exit_counts *counts, u32 reason);
void add_counts(struct exit_counts *sum, const struct exit_counts *counts);
/* On standard output. */
void print_counts(const struct exit_counts *counts);
void print_kvm_statistics(int vcpu_descriptor, unsigned cpu);

#endif
