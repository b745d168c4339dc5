/* L1 as it finds itself after an exit from L2: vmcs12's host state into vmcs01. SDM "Loading Host State". */
#include "host_state12.h"
#include "guest_memory.h"
#include "l1_exit.h"

/* What host state is loaded with beside what vmcs12 says: in memory, from where VMWRITE takes it. */
static const u64 zero = 0, limit_4g = 0xffffffff, limit_table = 0xffff, limit_tss = 0x67;
static const u64 data = AR_DATA, unusable_data = AR_DATA | AR_UNUSABLE, unusable = AR_UNUSABLE;
static const u64 code32 = AR_CODE32, code64 = AR_CODE64, tss = AR_TSS64_BUSY;
static const u64 dr7_reset = DR7_RESET, rflags_one = RFLAGS_ONE;

static u64 get(const struct vmcs12 *vmcs12, enum vmcs_field field)
{
	return vmcs12_get(vmcs12, field);
}

static inline void take(enum vmcs_encoding guest, const struct vmcs12 *vmcs12, enum vmcs_field host)
{
	vmwrite_from(guest, &vmcs12->value[host]);
}

/*
 * SDM "Loading Host Segment and Descriptor-Table Registers": a null selector leaves the limit undefined, and the base
 * too where it does not come from the VMCS.
 */
static inline bool load_data_segment(const struct vmcs12 *vmcs12, enum vmcs_encoding selector, enum vmcs_field host)
{
	u32 place = selector - ENC_guest_es_selector;
	bool usable = get(vmcs12, host);

	take(selector, vmcs12, host);
	vmwrite_from(ENC_guest_es_access_rights + place, usable ? &data : &unusable_data);
	if (usable)
		vmwrite_from(ENC_guest_es_limit + place, &limit_4g);
	return usable;
}

static void load_data_segments(const struct vmcs12 *vmcs12)
{
	if (load_data_segment(vmcs12, ENC_guest_es_selector, F_host_es_selector))
		vmwrite_from(ENC_guest_es_base, &zero);
	if (load_data_segment(vmcs12, ENC_guest_ss_selector, F_host_ss_selector))
		vmwrite_from(ENC_guest_ss_base, &zero);
	if (load_data_segment(vmcs12, ENC_guest_ds_selector, F_host_ds_selector))
		vmwrite_from(ENC_guest_ds_base, &zero);
	load_data_segment(vmcs12, ENC_guest_fs_selector, F_host_fs_selector);
	take(ENC_guest_fs_base, vmcs12, F_host_fs_base);
	load_data_segment(vmcs12, ENC_guest_gs_selector, F_host_gs_selector);
	take(ENC_guest_gs_base, vmcs12, F_host_gs_base);
}

static void load_segments(const struct vmcs12 *vmcs12, bool long_mode)
{
	load_data_segments(vmcs12);
	take(ENC_guest_cs_selector, vmcs12, F_host_cs_selector);
	vmwrite_from(ENC_guest_cs_base, &zero);
	vmwrite_from(ENC_guest_cs_limit, &limit_4g);
	vmwrite_from(ENC_guest_cs_access_rights, long_mode ? &code64 : &code32);

	take(ENC_guest_tr_selector, vmcs12, F_host_tr_selector);
	take(ENC_guest_tr_base, vmcs12, F_host_tr_base);
	vmwrite_from(ENC_guest_tr_limit, &limit_tss);
	vmwrite_from(ENC_guest_tr_access_rights, &tss);

	vmwrite_from(ENC_guest_ldtr_selector, &zero);
	vmwrite_from(ENC_guest_ldtr_access_rights, &unusable);
	take(ENC_guest_gdtr_base, vmcs12, F_host_gdtr_base);
	vmwrite_from(ENC_guest_gdtr_limit, &limit_table);
	take(ENC_guest_idtr_base, vmcs12, F_host_idtr_base);
	vmwrite_from(ENC_guest_idtr_limit, &limit_table);
}

/* What the CPU has without IA32_EFER among host state: SDM "Loading Host Control Registers, Debug Registers, MSRs". */
static u64 efer_left_by_l2(const struct left_by_l2 *left, bool long_mode)
{
	u64 follows = EFER_LME | EFER_LMA;

	return (left->efer & ~follows) | (long_mode ? follows : 0);
}

/*
 * L0 runs without CR4.CET and leaves that state alone, so that what the exit does not load is in the CPU as L2 left it.
 * What it loads vmcs01 brings, at every entry of L1 until the next exit from L2: it is saved at L1's exits.
 */
static void load_cet(const struct vmcs12 *vmcs12, bool loads)
{
	u64 entry01 = vmread(ENC_vm_entry_controls) & ~(u64)ENTRY_load_cet_state;

	vmwrite_sure(ENC_vm_entry_controls, entry01 | (loads ? ENTRY_load_cet_state : 0));
	if (!loads)
		return;
	take(ENC_guest_ia32_s_cet, vmcs12, F_host_ia32_s_cet);
	take(ENC_guest_ssp, vmcs12, F_host_ssp);
	take(ENC_guest_ia32_interrupt_ssp_table_addr, vmcs12, F_host_ia32_interrupt_ssp_table_addr);
}

static void load_msrs(const struct vmcs12 *vmcs12, const struct left_by_l2 *left, bool long_mode)
{
	u64 controls = get(vmcs12, F_primary_vm_exit_controls);

	take(ENC_guest_ia32_sysenter_cs, vmcs12, F_host_ia32_sysenter_cs);
	take(ENC_guest_ia32_sysenter_esp, vmcs12, F_host_ia32_sysenter_esp);
	take(ENC_guest_ia32_sysenter_eip, vmcs12, F_host_ia32_sysenter_eip);
	vmwrite_from(ENC_guest_ia32_debugctl, &zero);
	vmwrite_from(ENC_guest_dr7, &dr7_reset);
	if (controls & EXIT_load_ia32_efer)
		take(ENC_guest_ia32_efer, vmcs12, F_host_ia32_efer);
	else
		vmwrite_sure(ENC_guest_ia32_efer, efer_left_by_l2(left, long_mode));
	vmwrite_sure(ENC_guest_ia32_pat, controls & EXIT_load_ia32_pat ? get(vmcs12, F_host_ia32_pat) : left->pat);
	if (UNLIKELY(host_caps.s_cet))
		load_cet(vmcs12, controls & EXIT_load_cet_state);
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

/*
 * The checks of L1's VM entry have found the bits that L0 keeps of CR0 and CR4 set, and the mode of L1 to be that of
 * its host state: read shadows and entry controls of vmcs01 are as they must be since then. So is the activity state, 0
 * wherever L1 executes VMLAUNCH or VMRESUME.
 */
bool host_state12_load(const struct vmcs12 *vmcs12, const struct left_by_l2 *left)
{
	bool long_mode = get(vmcs12, F_primary_vm_exit_controls) & EXIT_host_address_space_size;

	take(ENC_guest_cr0, vmcs12, F_host_cr0);
	take(ENC_guest_cr3, vmcs12, F_host_cr3);
	take(ENC_guest_cr4, vmcs12, F_host_cr4);
	load_segments(vmcs12, long_mode);
	load_msrs(vmcs12, left, long_mode);
	take(ENC_guest_rip, vmcs12, F_host_rip);
	take(ENC_guest_rsp, vmcs12, F_host_rsp);
	vmwrite_from(ENC_guest_rflags, &rflags_one);
	vmwrite_sure(ENC_guest_interruptibility_state, left->nmi_blocked ? INTERRUPTIBILITY_nmi : 0);
	vmwrite_from(ENC_guest_pending_debug_exceptions, &zero);
	return load_pdptes(vmcs12, long_mode);
}
