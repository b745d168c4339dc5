#include "msr_list.h"
#include "l1_exit.h"
#include "l1_memory.h"

/* SDM "Loading MSRs": what a list may not name; nor what gives L1's memory another part in the entry or exit. */
static bool loadable(const struct vmx_msr_entry *entry)
{
	return entry->reserved == 0 && entry->index != MSR_IA32_FS_BASE && entry->index != MSR_IA32_GS_BASE &&
	       entry->index != MSR_IA32_SMM_MONITOR_CTL && entry->index >> 8 != MSR_X2APIC_FIRST >> 8 &&
	       entry->index != MSR_TURTLES_FIELD_PAGE;
}

static bool load_one(struct cpu *cpu, const struct vmx_msr_entry *entry)
{
	return loadable(entry) && l1_wrmsr(cpu, entry->index, entry->value);
}

/*
 * SDM "Miscellaneous Data" leaves the behaviour undefined with more than a few hundred entries. CPUs go on, and so does
 * L0, but not for ever: what lies beyond counts as an entry that cannot be loaded or stored.
 */
#define LIST_LIMIT 65536u

bool msr_list_load(struct cpu *cpu, u64 address10, u32 count, u32 *failed)
{
	for (u32 i = 0; i < count; i++) {
		struct vmx_msr_entry entry;

		l1_read(address10 + i * sizeof(entry), &entry, sizeof(entry));
		if (i >= LIST_LIMIT || !load_one(cpu, &entry)) {
			if (failed)
				*failed = i + 1;
			return false;
		}
	}
	return true;
}

bool msr_list_copy(struct vmx_msr_entry *to, u64 address10, u32 count)
{
	if (count > MSR_LIST_COPIED)
		return false;
	l1_read(address10, to, count * sizeof(*to));
	for (u32 i = 0; i < count; i++)
		if (!l1_wrmsr_is_plain(to[i].index))
			return false;
	return true;
}

/* SDM "Saving MSRs": what a list may not name. */
static bool storable(const struct vmx_msr_entry *entry)
{
	return entry->reserved == 0 && entry->index != MSR_IA32_SMBASE && entry->index >> 8 != MSR_X2APIC_FIRST >> 8;
}

static bool store_one(struct cpu *cpu, u64 at)
{
	struct vmx_msr_entry entry;

	l1_read(at, &entry, sizeof(entry));
	if (!storable(&entry))
		return false;
	if (!l1_rdmsr(cpu, entry.index, &entry.value))
		return false;
	l1_write(at + offsetof(struct vmx_msr_entry, value), &entry.value, sizeof(entry.value));
	return true;
}

bool msr_list_store(struct cpu *cpu, u64 address10, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (i >= LIST_LIMIT || !store_one(cpu, address10 + i * sizeof(struct vmx_msr_entry)))
			return false;
	return true;
}
