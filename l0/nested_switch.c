/* From the VMCS of one level to that of the other. */
#include "nested_switch.h"
#include "nested_direct.h"
#include "l1_exit.h"
#include "guest_memory.h"
#include "l1_memory.h"
#include "msr_list.h"
#include "print.h"
#include "options.h"

/* L1's TLB entries without a VPID go at every transition; SDM "Operations that Invalidate Cached Mappings". */
static void flush_l1_if_l2_has_no_vpid(const struct vmcs_slot *slot)
{
	if (options.vpid02 && !slot->input.vpid02)
		ASSERT(invvpid(INVVPID_single_context, VPID01, 0) == VMX_SUCCEED);
}

/* Nothing but a reset ends that state: no interrupt, no NMI, and no INIT, which VMX root operation blocks. */
static void shut_down(struct cpu *cpu)
{
	cpu->level = LEVEL_1;
	for (unsigned i = 0; i < PDPTES; i++)
		vmwrite(ENC_guest_pdpte0 + 2 * i, 0); /* those that may have brought it here would fail the entry */
	vmwrite(ENC_guest_rflags, RFLAGS_ONE);
	vmwrite(ENC_guest_interruptibility_state, INTERRUPTIBILITY_nmi);
	vmwrite(ENC_guest_activity_state, ACTIVITY_shutdown);
}

void vmx_abort(struct cpu *cpu, struct vmcs_slot *slot, enum vmx_abort indicator)
{
	static const char *const why[] = {
		[VMX_ABORT_saving_guest_msrs] = "its VM-exit MSR-store list cannot be stored",
		[VMX_ABORT_host_pdptes] = "the PDPTEs of its host state are not valid",
		[VMX_ABORT_loading_host_msrs] = "its VM-exit MSR-load list cannot be loaded",
	};
	u32 abort_indicator = indicator;

	print("\nVMX abort %u of L1, by its VMCS at %lx: %s\n", indicator, slot->vmptr12, why[indicator]);
	l1_write(slot->vmptr12 + offsetof(struct vmcs_region_header, abort_indicator), &abort_indicator,
		 sizeof(abort_indicator));
	if (cpu_count == 1 || !(capability(&host_caps, MSR_IA32_VMX_MISC) & VMX_MISC_ACTIVITY_SHUTDOWN))
		exit_unexpected(cpu, "a VMX abort shuts the CPU down");
	load_vmcs01(cpu);
	shut_down(cpu);
}

void switch_to_l1(struct cpu *cpu, struct vmcs_slot *slot, const struct left_by_l2 *left)
{
	u32 loads = (u32)field12(slot, F_vm_exit_msr_load_count);

	nested_direct_publish(cpu, slot);
	load_vmcs01(cpu);
	if (!host_state12_load(&slot->vmcs12, left)) {
		vmx_abort(cpu, slot, VMX_ABORT_host_pdptes);
		return;
	}
	flush_l1_if_l2_has_no_vpid(slot);
	cpu->level = LEVEL_1;
	if (UNLIKELY(loads) && !msr_list_load(cpu, field12(slot, F_vm_exit_msr_load_address), loads, NULL))
		vmx_abort(cpu, slot, VMX_ABORT_loading_host_msrs);
}

/* SDM "Loading MSRs": once the list is being loaded, the MSRs that host state lacks are L2's. */
void fail_entry(struct cpu *cpu, struct vmcs_slot *slot, u32 reason, u64 qualification)
{
	struct left_by_l2 left;

	if (reason != REASON_entry_failure_msr_loading)
		load_vmcs01(cpu);
	left.efer = vmread(ENC_guest_ia32_efer);
	left.pat = vmread(ENC_guest_ia32_pat);
	load_vmcs01(cpu);
	left.nmi_blocked = vmread(ENC_guest_interruptibility_state) & INTERRUPTIBILITY_nmi;
	vmcs12_learn(&slot->vmcs12, F_exit_reason, reason | EXIT_REASON_ENTRY_FAILURE);
	vmcs12_learn(&slot->vmcs12, F_exit_qualification, qualification);
	switch_to_l1(cpu, slot, &left);
}

void read_fields02(struct vmcs12 *vmcs12, struct field_set fields)
{
	enum vmcs_field f;

	while ((f = field_set_take(&fields)) != VMCS_FIELDS)
		vmcs12_learn(vmcs12, f, vmread(vmcs_field[f].encoding));
}

void nested_fetch_field(struct cpu *cpu, struct vmcs_slot *slot, enum vmcs_field field)
{
	load_vmcs02(slot);
	vmcs12_learn(&slot->vmcs12, field, vmread(vmcs_field[field].encoding));
	field_set_remove(&slot->vmcs12.stale, field);
	load_vmcs01(cpu);
}

void nested_fetch_fields(struct cpu *cpu, struct vmcs_slot *slot, const struct field_set *fields)
{
	struct field_set fetched;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++) {
		fetched.word[i] = slot->vmcs12.stale.word[i] & fields->word[i];
		slot->vmcs12.stale.word[i] &= ~fields->word[i];
	}
	load_vmcs02(slot);
	read_fields02(&slot->vmcs12, fetched);
	load_vmcs01(cpu);
}

void nested_fetch_stale(struct cpu *cpu, struct vmcs_slot *slot)
{
	const struct field_set all = slot->vmcs12.stale;

	nested_fetch_fields(cpu, slot, &all);
}

