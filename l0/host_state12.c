/* L1 as it finds itself after an exit from L2: vmcs12's host state into vmcs01. SDM "Loading Host State". */
#include "host_state12.h"
#include "guest_memory.h"
#include "l1_exit.h"

#define LIMIT_4G 0xffffffffu
#define LIMIT_TABLE 0xffffu
#define LIMIT_TSS 0x67u

static u64 get(const struct vmcs12 *vmcs12, enum vmcs_field field)
{
	return vmcs12_get(vmcs12, field);
}

static void load_data_segment(enum vmcs_encoding guest_selector, u64 selector)
{
	u32 place = guest_selector - ENC_guest_es_selector;

	vmwrite_sure(guest_selector, selector);
	vmwrite_sure(ENC_guest_es_limit + place, LIMIT_4G);
	vmwrite_sure(ENC_guest_es_access_rights + place, selector ? AR_DATA : AR_DATA | AR_UNUSABLE);
}

static void load_segments(const struct vmcs12 *vmcs12, bool long_mode)
{
	load_data_segment(ENC_guest_es_selector, get(vmcs12, F_host_es_selector));
	load_data_segment(ENC_guest_ss_selector, get(vmcs12, F_host_ss_selector));
	load_data_segment(ENC_guest_ds_selector, get(vmcs12, F_host_ds_selector));
	load_data_segment(ENC_guest_fs_selector, get(vmcs12, F_host_fs_selector));
	load_data_segment(ENC_guest_gs_selector, get(vmcs12, F_host_gs_selector));
	vmwrite_sure(ENC_guest_es_base, 0);
	vmwrite_sure(ENC_guest_ss_base, 0);
	vmwrite_sure(ENC_guest_ds_base, 0);
	vmwrite_sure(ENC_guest_fs_base, get(vmcs12, F_host_fs_base));
	vmwrite_sure(ENC_guest_gs_base, get(vmcs12, F_host_gs_base));

	vmwrite_sure(ENC_guest_cs_selector, get(vmcs12, F_host_cs_selector));
	vmwrite_sure(ENC_guest_cs_base, 0);
	vmwrite_sure(ENC_guest_cs_limit, LIMIT_4G);
	vmwrite_sure(ENC_guest_cs_access_rights, long_mode ? AR_CODE64 : AR_CODE32);

	vmwrite_sure(ENC_guest_tr_selector, get(vmcs12, F_host_tr_selector));
	vmwrite_sure(ENC_guest_tr_base, get(vmcs12, F_host_tr_base));
	vmwrite_sure(ENC_guest_tr_limit, LIMIT_TSS);
	vmwrite_sure(ENC_guest_tr_access_rights, AR_TSS64_BUSY);

	vmwrite_sure(ENC_guest_ldtr_selector, 0);
	vmwrite_sure(ENC_guest_ldtr_access_rights, AR_UNUSABLE);
	vmwrite_sure(ENC_guest_gdtr_base, get(vmcs12, F_host_gdtr_base));
	vmwrite_sure(ENC_guest_gdtr_limit, LIMIT_TABLE);
	vmwrite_sure(ENC_guest_idtr_base, get(vmcs12, F_host_idtr_base));
	vmwrite_sure(ENC_guest_idtr_limit, LIMIT_TABLE);
}

static void load_msrs(const struct vmcs12 *vmcs12, const struct left_by_l2 *left, bool long_mode)
{
	u64 controls = get(vmcs12, F_primary_vm_exit_controls);
	u64 efer = left->efer & ~(EFER_LME | EFER_LMA);

	vmwrite_sure(ENC_guest_ia32_sysenter_cs, get(vmcs12, F_host_ia32_sysenter_cs));
	vmwrite_sure(ENC_guest_ia32_sysenter_esp, get(vmcs12, F_host_ia32_sysenter_esp));
	vmwrite_sure(ENC_guest_ia32_sysenter_eip, get(vmcs12, F_host_ia32_sysenter_eip));
	vmwrite_sure(ENC_guest_ia32_debugctl, 0);
	vmwrite_sure(ENC_guest_dr7, DR7_RESET);
	if (controls & EXIT_load_ia32_efer)
		efer = get(vmcs12, F_host_ia32_efer);
	else if (long_mode)
		efer |= EFER_LME | EFER_LMA;
	vmwrite_sure(ENC_guest_ia32_efer, efer);
	vmwrite_sure(ENC_guest_ia32_pat, controls & EXIT_load_ia32_pat ? get(vmcs12, F_host_ia32_pat) : left->pat);
}

/*
 * With EPT the CPU takes a PAE guest's PDPTEs from the VMCS, so L0 loads them for L1; SDM "Loading
 * Page-Directory-Pointer-Table Entries".
 */
static bool load_pdptes(const struct vmcs12 *vmcs12, bool long_mode)
{
	u64 pdpte[PDPTES];

	if (long_mode || !(get(vmcs12, F_host_cr0) & CR0_PG) || !(get(vmcs12, F_host_cr4) & CR4_PAE))
		return true;
	if (!l1_read_pdptes(get(vmcs12, F_host_cr3), pdpte))
		return false;
	for (unsigned i = 0; i < PDPTES; i++)
		vmwrite_sure(ENC_guest_pdpte0 + 2 * i, pdpte[i]);
	return true;
}

/* The IA-32e mode of an L1 that is a VMX guest itself is an entry control of vmcs01. */
static void set_long_mode(bool long_mode)
{
	u32 controls = controls01[CONTROLS_entry];

	vmwrite_sure(ENC_vm_entry_controls, long_mode ? controls | ENTRY_ia32e_mode_guest : controls);
}

bool host_state12_load(const struct vmcs12 *vmcs12, const struct left_by_l2 *left)
{
	bool long_mode = get(vmcs12, F_primary_vm_exit_controls) & EXIT_host_address_space_size;

	l1_set_cr0(get(vmcs12, F_host_cr0));
	l1_set_cr4(get(vmcs12, F_host_cr4));
	vmwrite_sure(ENC_guest_cr3, get(vmcs12, F_host_cr3));
	load_segments(vmcs12, long_mode);
	load_msrs(vmcs12, left, long_mode);
	set_long_mode(long_mode);
	vmwrite_sure(ENC_guest_rip, get(vmcs12, F_host_rip));
	vmwrite_sure(ENC_guest_rsp, get(vmcs12, F_host_rsp));
	vmwrite_sure(ENC_guest_rflags, RFLAGS_ONE);
	vmwrite_sure(ENC_guest_interruptibility_state, left->nmi_blocked ? INTERRUPTIBILITY_nmi : 0);
	vmwrite_sure(ENC_guest_activity_state, ACTIVITY_active);
	vmwrite_sure(ENC_guest_pending_debug_exceptions, 0);
	return load_pdptes(vmcs12, long_mode);
}
