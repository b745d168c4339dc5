#include <string.h>

#include "ept.h"
#include "vmx_fake.h"

const u32 fake_default1[CONTROL_GROUPS] = {
	[CONTROLS_pin] = 0x16,
	[CONTROLS_proc] = 0x0401e172,
	[CONTROLS_exit] = 0x00036dff,
	[CONTROLS_entry] = 0x000011ff,
};

const u32 fake_required[CONTROL_GROUPS] = {
	[CONTROLS_pin] = 0x16,
	[CONTROLS_proc] = 0x04006172,
	[CONTROLS_exit] = 0x00036dfb,
	[CONTROLS_entry] = 0x000011fb,
};

/* Every control that the SDM gives a name to, and some that this version of L0 has none for. */
static const u32 allowed[CONTROL_GROUPS] = {
	[CONTROLS_pin] = 0x000000ff,
	[CONTROLS_proc] = 0xfffffffe,
	[CONTROLS_proc2] = 0x7fffffff,
	[CONTROLS_exit] = 0x9fffffff,
	[CONTROLS_entry] = 0x007fffff,
};

static const enum msr_number msrs[CONTROL_GROUPS][2] = {
	[CONTROLS_pin] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS },
	[CONTROLS_proc] = { MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS },
	[CONTROLS_proc2] = { MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_PROCBASED_CTLS2 },
	[CONTROLS_exit] = { MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS },
	[CONTROLS_entry] = { MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS },
};

u64 *fake_msr(struct vmx_capabilities *caps, enum msr_number msr)
{
	return &caps->msr[msr - MSR_VMX_FIRST];
}

void fake_allow(struct vmx_capabilities *caps, enum control_group group, u32 may)
{
	*fake_msr(caps, msrs[group][0]) = (u64)may << 32 | fake_default1[group];
	*fake_msr(caps, msrs[group][1]) = (u64)may << 32 | fake_required[group];
}

struct vmx_capabilities fake_host(void)
{
	struct vmx_capabilities host = { .present = 0xfffff, .maxphyaddr = FAKE_MAXPHYADDR, .page1g = true,
					 .s_cet = 0xfffffffffffffc3f };

	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		fake_allow(&host, (enum control_group)group, allowed[group]);
	*fake_msr(&host, MSR_IA32_VMX_BASIC) = 0x01da04000000002bull; /* a region of 1 KiB */
	*fake_msr(&host, MSR_IA32_VMX_MISC) = 0x123457004c1e7ull;
	*fake_msr(&host, MSR_IA32_VMX_CR0_FIXED0) = 0x80000021;
	*fake_msr(&host, MSR_IA32_VMX_CR0_FIXED1) = 0xffffffff;
	*fake_msr(&host, MSR_IA32_VMX_CR4_FIXED0) = 0x2000;
	*fake_msr(&host, MSR_IA32_VMX_CR4_FIXED1) = 0xb767ff;
	*fake_msr(&host, MSR_IA32_VMX_VMCS_ENUM) = 0x4c;
	*fake_msr(&host, MSR_IA32_VMX_EPT_VPID_CAP) = 0xf0106f341c1ull;
	*fake_msr(&host, MSR_IA32_VMX_VMFUNC) = 1;
	*fake_msr(&host, MSR_IA32_VMX_PROCBASED_CTLS3) = 0xff;
	*fake_msr(&host, MSR_IA32_VMX_EXIT_CTLS2) = 0xff;
	for (unsigned field = 0; field < VMCS_FIELDS; field++)
		field_set_add(&host.fields, (enum vmcs_field)field);
	return host;
}

struct vmx_capabilities fake_caps12(void)
{
	struct vmx_capabilities host = fake_host(), caps12;

	capabilities_for_l1(&caps12, &host, &vmx_policy_default);
	return caps12;
}

static const struct fake_change valid[] = {
	{ F_pin_based_controls, 0, PIN_external_interrupt_exiting | PIN_nmi_exiting | PIN_virtual_nmis |
				   PIN_activate_vmx_preemption_timer },
	{ F_primary_processor_based_controls, 0,
	  PROC_use_tpr_shadow | PROC_nmi_window_exiting | PROC_use_io_bitmaps | PROC_use_msr_bitmaps |
	  PROC_activate_secondary_controls | PROC_use_tsc_offsetting },
	{ F_secondary_processor_based_controls, 0,
	  PROC2_enable_ept | PROC2_enable_vpid | PROC2_unrestricted_guest | PROC2_virtualize_apic_accesses },
	{ F_primary_vm_exit_controls, 0,
	  EXIT_save_debug_controls | EXIT_host_address_space_size | EXIT_acknowledge_interrupt_on_exit |
	  EXIT_save_ia32_pat | EXIT_load_ia32_pat | EXIT_save_ia32_efer | EXIT_load_ia32_efer |
	  EXIT_save_vmx_preemption_timer_value | EXIT_load_cet_state },
	{ F_vm_entry_controls, 0,
	  ENTRY_load_debug_controls | ENTRY_ia32e_mode_guest | ENTRY_load_ia32_pat | ENTRY_load_ia32_efer |
	  ENTRY_load_cet_state },
	{ F_virtual_processor_identifier, 0, 1 },
	{ F_ept_pointer, 0, 0x10000 | MEMORY_WB | 3 << EPTP_WALK_LENGTH_SHIFT },
	{ F_address_of_io_bitmap_a, 0, 0x11000 },
	{ F_address_of_io_bitmap_b, 0, 0x12000 },
	{ F_address_of_msr_bitmaps, 0, 0x13000 },
	{ F_virtual_apic_address, 0, 0x14000 },
	{ F_apic_access_address, 0, 0x15000 },
	{ F_tpr_threshold, 0, 15 },
	{ F_cr3_target_count, 0, 4 },
	{ F_vm_exit_msr_store_count, 0, 2 },
	{ F_vm_exit_msr_store_address, 0, 0x16000 },
	{ F_vm_exit_msr_load_count, 0, 2 },
	{ F_vm_exit_msr_load_address, 0, 0x16100 },
	{ F_vm_entry_msr_load_count, 0, 2 },
	{ F_vm_entry_msr_load_address, 0, 0x16200 },
	{ F_guest_cr0, 0, CR0_PG | CR0_NE | CR0_ET | CR0_PE },
	{ F_guest_cr4, 0, CR4_VMXE | CR4_PAE },
	{ F_guest_ia32_efer, 0, EFER_LMA | EFER_LME },
	{ F_guest_ia32_pat, 0, PAT_RESET },
	{ F_guest_dr7, 0, DR7_RESET },
	{ F_vmcs_link_pointer, 0, VMCS_NO_POINTER },
	{ F_host_cr0, 0, CR0_PG | CR0_NE | CR0_ET | CR0_PE },
	{ F_host_cr4, 0, CR4_VMXE | CR4_PAE },
	{ F_host_cr3, 0, 0x17000 },
	{ F_host_ia32_efer, 0, EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE },
	{ F_host_ia32_pat, 0, PAT_RESET },
	{ F_host_cs_selector, 0, 0x08 },
	{ F_host_tr_selector, 0, 0x18 },
	{ F_host_rip, 0, 0xffff800000100000ull },
	{ F_host_rsp, 0, 0xffff800000200000ull },
};

/* What a 32-bit L1 has otherwise; its L2 is one of 32 bits too. */
static const struct fake_change valid_32[] = {
	{ F_primary_vm_exit_controls, EXIT_host_address_space_size, 0 },
	{ F_vm_entry_controls, ENTRY_ia32e_mode_guest, 0 },
	{ F_guest_ia32_efer, EFER_LMA | EFER_LME, 0 },
	{ F_host_ia32_efer, EFER_LMA | EFER_LME, 0 },
	{ F_host_ss_selector, 0, 0x10 },
	{ F_host_rip, ~0ull, 0xfffff000 },
	{ F_host_rsp, ~0ull, 0xfffff000 },
};

void fake_apply(struct vmcs12 *vmcs12, const struct fake_change *change)
{
	vmcs12_set(vmcs12, change->field, (vmcs12_get(vmcs12, change->field) & ~change->clear) | change->set);
}

struct vmcs12 fake_vmcs12(bool l1_long_mode)
{
	struct vmcs12 vmcs12;

	vmcs12_reset(&vmcs12);
	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		vmcs12_set(&vmcs12, (enum vmcs_field)vmcs_control_field[group], fake_required[group]);
	for (unsigned i = 0; i < ARRAY_SIZE(valid); i++)
		fake_apply(&vmcs12, &valid[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(valid_32) && !l1_long_mode; i++)
		fake_apply(&vmcs12, &valid_32[i]);
	return vmcs12;
}
