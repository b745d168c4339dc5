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

/* SDM "Miscellaneous Data": a longer list is undefined behaviour. L0 works through no more than this. */
static u32 list_limit(const struct cpu *cpu)
{
	u64 misc = capability(&cpu->nested.caps12, MSR_IA32_VMX_MISC);

	return (u32)(((misc & VMX_MISC_MSR_LIST) >> VMX_MISC_MSR_LIST_SHIFT) + 1) * VMX_MISC_MSR_LIST_UNIT;
}

bool msr_list_load(struct cpu *cpu, u64 address10, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		struct vmx_msr_entry entry;

		l1_read(address10 + i * sizeof(entry), &entry, sizeof(entry));
		if (i >= list_limit(cpu) || !load_one(cpu, &entry))
			return false;
	}
	return true;
}

/* An entry that the CPU refuses, whatever its value. */
static const struct vmx_msr_entry refused = { .index = MSR_IA32_FS_BASE };

/* What the CPU loads in place of an entry of L1's. kernel_gs_base is what that MSR will be by then. */
static struct vmx_msr_entry entry_for_cpu(struct cpu *cpu, const struct vmx_msr_entry *entry, u64 *kernel_gs_base)
{
	enum vmcs_encoding field;

	if (!loadable(entry))
		return refused;
	if (field_of(entry->index, &field))
		return value_fits(entry->index, entry->value, vmread(field)) ? *entry : refused;
	if (l1_wrmsr_is_trapped(entry->index)) {
		if (!l1_wrmsr(cpu, entry->index, entry->value))
			return refused;
		/* L0 has done it; the entries behind it keep their places. */
		return (struct vmx_msr_entry){ .index = MSR_IA32_KERNEL_GS_BASE, .value = *kernel_gs_base };
	}
	if (entry->index == MSR_IA32_KERNEL_GS_BASE)
		*kernel_gs_base = entry->value;
	return *entry;
}

u32 msr_list_for_cpu(struct cpu *cpu, u64 address10, u32 count, struct vmx_msr_entry *list)
{
	u64 kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);
	u32 limit = list_limit(cpu);

	for (u32 i = 0; i < count && i < limit; i++) {
		struct vmx_msr_entry entry;

		l1_read(address10 + i * sizeof(entry), &entry, sizeof(entry));
		list[i] = entry_for_cpu(cpu, &entry, &kernel_gs_base);
	}
	if (count <= limit)
		return count;
	list[limit - 1] = refused;
	return limit;
}

void msr_list_store(struct cpu *cpu, u64 address10, u32 count)
{
	for (u32 i = 0; i < count && i < list_limit(cpu); i++) {
		u64 at = address10 + i * sizeof(struct vmx_msr_entry);
		enum vmcs_encoding field;
		struct vmx_msr_entry entry;

		l1_read(at, &entry, sizeof(entry));
		if (field_of(entry.index, &field))
			entry.value = vmread(field);
		else if (!l1_rdmsr(cpu, entry.index, &entry.value))
			continue;
		l1_write(at + offsetof(struct vmx_msr_entry, value), &entry.value, sizeof(entry.value));
	}
}
