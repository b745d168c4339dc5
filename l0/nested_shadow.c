/*
 * VMCS shadowing for L1. The CPU does it: vmcs02 links to a shadow VMCS of L0's, which has what L1's shadow VMCS has as
 * far as L2 gets to see it. SDM "VMCS Shadowing Bitmap Addresses", "VMCS Types: Ordinary and Shadow".
 */
#include "guest_memory.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "nested_switch.h"

/* Fields that L1 changed, and that L2 may access, into the shadow VMCS of the CPU's. */
static void update_shadow02(struct cpu *cpu, struct vmcs_slot *slot, struct vmcs_slot *shadow)
{
	struct vmcs12 *vmcs12 = &shadow->vmcs12;
	struct field_set fields = slot->merged[BITMAP_vmread]->passes;
	enum vmcs_field f;

	field_set_unite(&fields, &slot->merged[BITMAP_vmwrite]->passes);
	if (!field_set_intersects(&fields, &vmcs12->dirty))
		return;
	load_vmcs02(shadow);
	while ((f = field_set_take(&fields)) != VMCS_FIELDS)
		if (field_set_has(&vmcs12->dirty, f) && field_set_has(&cpu->nested.caps12.fields, f)) {
			vmwrite(vmcs_field[f].encoding, vmcs12_get(vmcs12, f));
			field_set_remove(&vmcs12->dirty, f);
		}
	load_vmcs01(cpu);
}

/* What L2 may write is from now on newer in the CPU's shadow VMCS. */
static void leave_to_l2(struct cpu *cpu, struct vmcs_slot *slot, struct vmcs_slot *shadow)
{
	const struct field_set *offered = &cpu->nested.caps12.fields;
	const struct field_set *passes = &slot->merged[BITMAP_vmwrite]->passes;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		shadow->vmcs12.stale.word[i] |= passes->word[i] & offered->word[i];
}

COLD u64 nested_link_pointer02(struct cpu *cpu, struct vmcs_slot *slot)
{
	struct vmcs_slot *shadow;

	if (!(controls12(slot, CONTROLS_proc2) & PROC2_vmcs_shadowing))
		return VMCS_NO_POINTER;
	shadow = slot_activate_linked(cpu, field12(slot, F_vmcs_link_pointer));
	update_shadow02(cpu, slot, shadow);
	leave_to_l2(cpu, slot, shadow);
	return shadow->vmcs02;
}

struct entry_verdict nested_check_link(struct cpu *cpu, const struct vmcs_slot *slot)
{
	struct vmcs_region_header header;

	l1_read(field12(slot, F_vmcs_link_pointer), &header, sizeof(header));
	return entry_check_link(&slot->vmcs12, &cpu->nested.caps12, slot->vmptr12, header.revision);
}

u64 nested_field_operand(const struct cpu *cpu)
{
	struct vmx_operand operand = operand_decode((u32)vmread(ENC_vm_exit_instruction_information), 0, cpu->gpr);
	u64 value = operand.register2 == GPR_rsp ? vmread(ENC_guest_rsp) : cpu->gpr[operand.register2];

	return l1_in_64bit_code() ? value : (u32)value;
}

/* What VMWRITE is to write, if it comes from memory: false if that is a fault, of L2's, or an exit to L1. */
static bool source_is_there(struct cpu *cpu)
{
	struct vmx_operand operand;
	unsigned size = l1_in_64bit_code() ? sizeof(u64) : sizeof(u32);
	u64 linear, value;

	cpu->gpr[GPR_rsp] = vmread(ENC_guest_rsp);
	operand = operand_decode((u32)vmread(ENC_vm_exit_instruction_information), vmread(ENC_exit_qualification),
				 cpu->gpr);
	return operand.is_register || (l1_operand_address(&operand, size, false, &linear) &&
				       guest_read_linear(cpu, linear, &value, size));
}

/*
 * SDM "VMREAD" and "VMWRITE": what comes behind the question whether to exit. The error number goes to the current
 * VMCS, which is L2's; the CPU puts those that it finds itself into vmcs02.
 */
void nested_refuse_field(struct cpu *cpu, bool write)
{
	if (l1_cpl() != 0) {
		inject_gp();
	} else if (field12(cpu->nested.current, F_vmcs_link_pointer) == VMCS_NO_POINTER) {
		nested_complete(cpu, VMX_FAIL_INVALID, 0);
	} else if (!write || source_is_there(cpu)) {
		vmwrite(ENC_vm_instruction_error, VMERR_unsupported_vmcs_component);
		nested_complete(cpu, VMX_FAIL_VALID, VMERR_unsupported_vmcs_component);
	}
}
