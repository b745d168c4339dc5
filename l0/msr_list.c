#include "msr_list.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "vmcs_shadow/msr_values.h"

/* MSRs that the VMCS keeps for a guest, so that the CPU's own are L0's while L0 runs. */
static const struct {
	u32 msr;
	enum vmcs_encoding field;
} in_vmcs[] = {
	{ MSR_IA32_EFER, ENC_guest_ia32_efer },
	{ MSR_IA32_PAT, ENC_guest_ia32_pat },
	{ MSR_IA32_DEBUGCTL, ENC_guest_ia32_debugctl },
	{ MSR_IA32_SYSENTER_CS, ENC_guest_ia32_sysenter_cs },
	{ MSR_IA32_SYSENTER_ESP, ENC_guest_ia32_sysenter_esp },
	{ MSR_IA32_SYSENTER_EIP, ENC_guest_ia32_sysenter_eip },
	{ MSR_IA32_FS_BASE, ENC_guest_fs_base },
	{ MSR_IA32_GS_BASE, ENC_guest_gs_base },
};

static bool field_of(u32 msr, enum vmcs_encoding *field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(in_vmcs); i++)
		if (in_vmcs[i].msr == msr) {
			*field = in_vmcs[i].field;
			return true;
		}
	return false;
}

/* SDM "Loading MSRs": what a list may not name. */
static bool loadable(const struct vmx_msr_entry *entry)
{
	return entry->reserved == 0 && entry->index != MSR_IA32_FS_BASE && entry->index != MSR_IA32_GS_BASE &&
	       entry->index != MSR_IA32_SMM_MONITOR_CTL && entry->index >> 8 != MSR_X2APIC_FIRST >> 8;
}

/* WRMSR's rules for these, which the CPU would otherwise first notice at an entry of L0's. */
static bool value_fits(u32 msr, u64 value, u64 old)
{
	switch (msr) {
	case MSR_IA32_EFER:
		return !(value & ~EFER_DEFINED) && !((value ^ old) & (EFER_LME | EFER_LMA));
	case MSR_IA32_PAT:
		return pat_is_valid(value);
	case MSR_IA32_DEBUGCTL:
		return !(value & DEBUGCTL_RESERVED);
	case MSR_IA32_SYSENTER_CS:
		return true;
	default:
		return is_canonical(value, capability(&host_caps, MSR_IA32_VMX_CR4_FIXED1) & CR4_LA57 ? 57 : 48);
	}
}

static bool load_one(struct cpu *cpu, const struct vmx_msr_entry *entry)
{
	enum vmcs_encoding field;

	if (!loadable(entry))
		return false;
	if (!field_of(entry->index, &field))
		return l1_wrmsr(cpu, entry->index, entry->value);
	if (!value_fits(entry->index, entry->value, vmread(field)))
		return false;
	vmwrite(field, entry->value);
	return true;
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

/* SDM "Saving MSRs": what a list may not name. */
static bool storable(const struct vmx_msr_entry *entry)
{
	return entry->reserved == 0 && entry->index != MSR_IA32_SMBASE && entry->index >> 8 != MSR_X2APIC_FIRST >> 8;
}

static bool store_one(struct cpu *cpu, u64 at)
{
	enum vmcs_encoding field;
	struct vmx_msr_entry entry;

	l1_read(at, &entry, sizeof(entry));
	if (!storable(&entry))
		return false;
	if (field_of(entry.index, &field))
		entry.value = vmread(field);
	else if (!l1_rdmsr(cpu, entry.index, &entry.value))
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
