#include "nested_ept_extras.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "nested_switch.h"

bool pml_is_full(const struct vmcs_slot *slot)
{
	return field12(slot, F_pml_index) > PML_INDEX_MAX;
}

void pml_log(struct vmcs_slot *slot, u64 address20)
{
	u64 index = field12(slot, F_pml_index), page20 = ALIGN_DOWN(address20, PAGE_SIZE);

	l1_write(field12(slot, F_pml_address) + index * sizeof(page20), &page20, sizeof(page20));
	vmcs12_learn(&slot->vmcs12, F_pml_index, (u16)(index - 1));
}

static bool ve_is_possible(const struct vmcs_slot *slot, bool suppressed)
{
	u64 area = field12(slot, F_virtualization_exception_information_address);
	u32 busy;

	if (!(controls12(slot, CONTROLS_proc2) & PROC2_ept_violation_ve) || suppressed ||
	    !(vmread(ENC_guest_cr0) & CR0_PE) || vmread(ENC_idt_vectoring_information) & INTR_VALID)
		return false;
	l1_read(area + offsetof(struct virtualization_exception_information, busy), &busy, sizeof(busy));
	return busy == 0;
}

static void fill_information(const struct vmcs_slot *slot, u64 qualification)
{
	struct virtualization_exception_information information = {
		.exit_reason = REASON_ept_violation, .busy = VIRTUALIZATION_EXCEPTION_BUSY,
		.exit_qualification = qualification,
		.guest_linear_address = vmread(ENC_guest_linear_address),
		.guest_physical_address = vmread(ENC_guest_physical_address),
		.eptp_index = (u16)field12(slot, F_eptp_index),
	};

	l1_write(field12(slot, F_virtualization_exception_information_address), &information,
		 offsetof(struct virtualization_exception_information, eptp_index) + sizeof(information.eptp_index));
}

bool ve_deliver(struct cpu *cpu, u64 qualification, bool suppressed)
{
	struct vmcs_slot *slot = cpu->nested.current;

	if (!ve_is_possible(slot, suppressed))
		return false;
	fill_information(slot, qualification);
	if (field12(slot, F_exception_bitmap) & BIT(VECTOR_VE))
		nested_reflect_event(cpu, INTR_VALID | INTR_hardware_exception << INTR_TYPE_SHIFT | VECTOR_VE);
	else
		inject_exception(VECTOR_VE, false, 0);
	return true;
}

bool vmfunc_switch_eptp(struct cpu *cpu)
{
	struct vmcs_slot *slot = cpu->nested.current;
	const struct vmx_capabilities *caps12 = &cpu->nested.caps12;
	u32 function = (u32)cpu->gpr[GPR_rax], index = (u32)cpu->gpr[GPR_rcx];
	u64 eptp12;

	if (function != 0 || !(field12(slot, F_vm_function_controls) & VMFUNC_eptp_switching) ||
	    index >= EPTP_LIST_ENTRIES)
		return false;
	l1_read(field12(slot, F_eptp_list_address) + index * sizeof(eptp12), &eptp12, sizeof(eptp12));
	if (!eptp_valid(eptp12, capability(caps12, MSR_IA32_VMX_EPT_VPID_CAP), caps12->maxphyaddr))
		return false;
	vmcs12_learn(&slot->vmcs12, F_ept_pointer, eptp12);
	if (controls12(slot, CONTROLS_proc2) & PROC2_ept_violation_ve)
		vmcs12_learn(&slot->vmcs12, F_eptp_index, index);
	cpu->nested.entering = false;
	slot->input.eptp02 = nested_eptp02(cpu, slot);
	vmwrite(ENC_ept_pointer, slot->input.eptp02);
	if (controls12(slot, CONTROLS_proc2) & PROC2_sub_page_write_permissions)
		vmwrite(ENC_sub_page_permission_table_pointer, slot->input.spptp02 = nested_spptp02(slot));
	l1_skip_instruction();
	return true;
}
