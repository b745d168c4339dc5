/* Linux, Documentation/virt/kvm/api.rst, "KVM_GET_STATS_FD". */
#include "kvmrun_stats.h"
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const reason_names[EXIT_REASONS] = {
	[KVM_EXIT_IO] = "io",
	[KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_HLT] = "hlt",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq_window_open",
	[KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_FAIL_ENTRY] = "fail_entry",
	[KVM_EXIT_INTR] = "intr",
	[KVM_EXIT_INTERNAL_ERROR] = "internal_error",
	[KVM_EXIT_SYSTEM_EVENT] = "system_event",
};

void count_exit(struct exit_counts *counts, u32 reason)
{
	counts->count[reason < EXIT_REASONS ? reason : 0]++;
}

void add_counts(struct exit_counts *sum, const struct exit_counts *counts)
{
	for (unsigned i = 0; i < EXIT_REASONS; i++)
		sum->count[i] += counts->count[i];
}

void print_counts(const struct exit_counts *counts)
{
	printf("kvmrun: exits to kvmrun:");
	for (unsigned i = 0; i < EXIT_REASONS; i++)
		if (counts->count[i])
			printf(" %s %lu", reason_names[i] ? reason_names[i] : "other", counts->count[i]);
	printf("\n");
}

static bool read_at(int descriptor, void *to, size_t size, u64 offset)
{
	return pread(descriptor, to, size, (off_t)offset) == (ssize_t)size;
}

static void print_values(int descriptor, const struct kvm_stats_header *header, unsigned cpu)
{
	size_t size = sizeof(struct kvm_stats_desc) + header->name_size;
	struct kvm_stats_desc *desc = malloc(size);
	u64 value;

	printf("kvmrun: KVM's statistics of cpu %u:", cpu);
	for (u32 i = 0; desc && i < header->num_desc; i++) {
		if (!read_at(descriptor, desc, size, header->desc_offset + i * size))
			break;
		if (desc->size == 1 && (desc->flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_CUMULATIVE &&
		    read_at(descriptor, &value, sizeof(value), header->data_offset + desc->offset) && value)
			printf(" %s %lu", desc->name, value);
	}
	printf("\n");
	free(desc);
}

/* Kernels before 5.14 have none. */
void print_kvm_statistics(int vcpu_descriptor, unsigned cpu)
{
	int descriptor = ioctl(vcpu_descriptor, KVM_GET_STATS_FD, NULL);
	struct kvm_stats_header header;

	if (descriptor < 0)
		return;
	if (read_at(descriptor, &header, sizeof(header), 0))
		print_values(descriptor, &header, cpu);
	close(descriptor);
}
