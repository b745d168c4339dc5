/* From the VMCS of one level to that of the other. */
#include "nested_switch.h"
#include "nested_direct.h"
#include "l1_exit.h"
#include "msr_list.h"
#include "options.h"

void load_vmcs02(struct vmcs_slot *slot)
{
	ASSERT(vmptrld(slot->vmcs02) == VMX_SUCCEED);
}

void load_vmcs01(struct cpu *cpu)
{
	ASSERT(vmptrld(cpu->vmcs01) == VMX_SUCCEED);
}

/* L1's TLB entries without a VPID go at every transition; SDM "Operations that Invalidate Cached Mappings". */
static void flush_l1_if_l2_has_no_vpid(const struct vmcs_slot *slot)
{
	if (options.vpid02 && !slot->input.vpid02)
		ASSERT(invvpid(INVVPID_single_context, VPID01, 0) == VMX_SUCCEED);
}

void switch_to_l1(struct cpu *cpu, struct vmcs_slot *slot, const struct left_by_l2 *left)
{
	nested_direct_publish(slot);
	load_vmcs01(cpu);
	if (!host_state12_load(&slot->vmcs12, left))
		exit_unexpected(cpu, "VMX abort: the PDPTEs of L1's host state are not valid");
	flush_l1_if_l2_has_no_vpid(slot);
	cpu->level = LEVEL_1;
	cpu->launch = false;
	if (!msr_list_load(cpu, field12(slot, F_vm_exit_msr_load_address),
			   (u32)field12(slot, F_vm_exit_msr_load_count), NULL))
		exit_unexpected(cpu, "VMX abort: L1's VM-exit MSR-load list cannot be loaded");
}

void fail_entry(struct cpu *cpu, struct vmcs_slot *slot, u32 reason, u64 qualification)
{
	struct left_by_l2 left;

	load_vmcs01(cpu);
	left = (struct left_by_l2){
		.efer = vmread(ENC_guest_ia32_efer), .pat = vmread(ENC_guest_ia32_pat),
		.nmi_blocked = vmread(ENC_guest_interruptibility_state) & INTERRUPTIBILITY_nmi,
	};
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

void nested_fetch_stale(struct cpu *cpu, struct vmcs_slot *slot)
{
	load_vmcs02(slot);
	read_fields02(&slot->vmcs12, slot->vmcs12.stale);
	field_set_clear(&slot->vmcs12.stale);
	load_vmcs01(cpu);
}

