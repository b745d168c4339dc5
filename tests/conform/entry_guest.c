/* entry_guest: each rule of the SDM's "Checks on the Guest State Area" broken alone, and what just keeps it. */
#include "ept.h"
#include "insn.h"
#include "tests/conform/lib/entry.h"

L2_CODE(l2_nothing, "");
static u8 page[2 * PAGE_SIZE] __attribute__((aligned(4096)));
static u64 pdptes[4] __attribute__((aligned(4096)));

#define NON_CANONICAL BIT(47)
#define LAST_LOWER (BIT(47) - 1)
#define BEYOND BIT(50)
#define EFER_LONG (EFER_LME | EFER_LMA)
#define LOAD_DEBUG ENTRY(ENTRY_load_debug_controls)
#define LOAD_PAT ENTRY(ENTRY_load_ia32_pat)
#define LOAD_EFER ENTRY(ENTRY_load_ia32_efer)
#define UNRESTRICTED PROC2(PROC2_unrestricted_guest)
/* If the CPU injects after all, the event cannot be delivered, and that exits. */
#define INJECT(type, vector) \
	TO(vm_entry_interruption_information, (u32)INTR_VALID | (type) << INTR_TYPE_SHIFT | (vector)), \
	TO(guest_idtr_limit, 0), TO(exception_bitmap, ~0u)

/* SDM "Checks on Guest Control Registers, Debug Registers, and MSRs" */
static const struct entry_case registers[] = {
	{ "cr0.ne", FAILS_GUEST, { CLEAR(guest_cr0, CR0_NE) } },
	{ "cr0.pe", FAILS_GUEST, { CLEAR(guest_cr0, CR0_PE) } },
	{ "cr0.pg", FAILS_GUEST, { CLEAR(guest_cr0, CR0_PG) } },
	{ "cr0.high", FAILS_GUEST, { SET(guest_cr0, BIT(32)) } },
	{ "cr0.cd", ENTERS, { SET(guest_cr0, CR0_CD) } },
	{ "cr0.nw", EXITS, { SET(guest_cr0, CR0_NW) } },
	{ "cr0.unrestricted_ne", FAILS_GUEST, { UNRESTRICTED, CLEAR(guest_cr0, CR0_NE) } },
	{ "cr0.unrestricted_pg_without_pe", FAILS_GUEST, { UNRESTRICTED, CLEAR(guest_cr0, CR0_PE) } },
	{ "cr0.unrestricted_ia32e_without_pg", FAILS_GUEST, { UNRESTRICTED, CLEAR(guest_cr0, CR0_PG) } },
	{ "cr4.vmxe", FAILS_GUEST, { CLEAR(guest_cr4, CR4_VMXE) } },
	{ "cr4.reserved", FAILS_GUEST, { SET(guest_cr4, BIT(15)) } },
	{ "cr4.high", FAILS_GUEST, { SET(guest_cr4, BIT(33)) } },
	{ "cr4.ia32e_without_pae", FAILS_GUEST, { CLEAR(guest_cr4, CR4_PAE) } },
	{ "cr4.de", ENTERS, { SET(guest_cr4, CR4_DE) } },
	{ "cr3.beyond", FAILS_GUEST, { SET(guest_cr3, BEYOND) } },
	{ "cr3.bit_63", FAILS_GUEST, { SET(guest_cr3, BIT(63)) } },
	{ "debugctl.reserved", FAILS_GUEST, { LOAD_DEBUG, TO(guest_ia32_debugctl, BIT(3)) } },
	{ "debugctl.high", FAILS_GUEST, { LOAD_DEBUG, TO(guest_ia32_debugctl, BIT(40)) } },
	{ "debugctl.lbr", ENTERS, { LOAD_DEBUG, TO(guest_ia32_debugctl, 1) } },
	{ "debugctl.unused", ENTERS, { TO(guest_ia32_debugctl, ~0ull) } },
	{ "dr7.high", FAILS_GUEST, { LOAD_DEBUG, TO(guest_dr7, BIT(32)) } },
	{ "dr7.good", ENTERS, { LOAD_DEBUG, TO(guest_dr7, DR7_RESET) } },
	{ "dr7.unused", ENTERS, { TO(guest_dr7, ~0ull) } },
	{ "sysenter_esp", FAILS_GUEST, { TO(guest_ia32_sysenter_esp, NON_CANONICAL) } },
	{ "sysenter_eip", FAILS_GUEST, { TO(guest_ia32_sysenter_eip, NON_CANONICAL) } },
	{ "sysenter_eip.last", ENTERS, { TO(guest_ia32_sysenter_eip, LAST_LOWER) } },
	{ "pat.good", ENTERS, { LOAD_PAT, TO(guest_ia32_pat, PAT_RESET) } },
	{ "pat.2", FAILS_GUEST, { LOAD_PAT, TO(guest_ia32_pat, 2) } },
	{ "pat.8", FAILS_GUEST, { LOAD_PAT, TO(guest_ia32_pat, 8ull << 56) } },
	{ "pat.unused", ENTERS, { TO(guest_ia32_pat, ~0ull) } },
	{ "efer.good", ENTERS, { LOAD_EFER, TO(guest_ia32_efer, EFER_LONG) } },
	{ "efer.reserved", FAILS_GUEST, { LOAD_EFER, TO(guest_ia32_efer, EFER_LONG | BIT(1)) } },
	{ "efer.lma_clear", FAILS_GUEST, { LOAD_EFER, TO(guest_ia32_efer, EFER_LME) } },
	{ "efer.lme_clear", FAILS_GUEST, { LOAD_EFER, TO(guest_ia32_efer, EFER_LMA) } },
	{ "efer.none", FAILS_GUEST, { LOAD_EFER, TO(guest_ia32_efer, 0) } },
	{ "efer.unused", ENTERS, { TO(guest_ia32_efer, ~0ull) } },
};

#define RIGHTS(segment, value) TO(guest_##segment##_access_rights, value)

/* SDM "Checks on Guest Segment Registers", a guest that is not in virtual-8086 mode */
static const struct entry_case selectors[] = {
	{ "tr.ti", FAILS_GUEST, { SET(guest_tr_selector, 4) } },
	{ "ldtr.ti", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT), SET(guest_ldtr_selector, 4) } },
	{ "ldtr.ti_unusable", ENTERS, { SET(guest_ldtr_selector, 4) } },
	{ "ss.rpl", FAILS_GUEST, { SET(guest_ss_selector, 3) } },
	{ "ss.rpl_unrestricted", EXITS, { UNRESTRICTED, SET(guest_ss_selector, 3) } },
	{ "tr.base", FAILS_GUEST, { TO(guest_tr_base, NON_CANONICAL) } },
	{ "fs.base", FAILS_GUEST, { TO(guest_fs_base, NON_CANONICAL) } },
	{ "gs.base", FAILS_GUEST, { TO(guest_gs_base, NON_CANONICAL) } },
	{ "ldtr.base", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT), TO(guest_ldtr_base, NON_CANONICAL) } },
	{ "ldtr.base_unusable", ENTERS, { TO(guest_ldtr_base, NON_CANONICAL) } },
	{ "cs.base_high", FAILS_GUEST, { TO(guest_cs_base, BIT(32)) } },
	{ "ss.base_high", FAILS_GUEST, { TO(guest_ss_base, BIT(32)) } },
	{ "ds.base_high", FAILS_GUEST, { TO(guest_ds_base, BIT(32)) } },
	{ "es.base_high", FAILS_GUEST, { TO(guest_es_base, BIT(32)) } },
	{ "ds.base_high_unusable", ENTERS, { RIGHTS(ds, AR_UNUSABLE), TO(guest_ds_base, BIT(32)) } },
	{ "ds.base_low", ENTERS, { TO(guest_ds_base, 0xffffffff) } },
};

/* The rules that a usable data segment and code share; each is told of the segments one by one. */
#define ACCESS_RIGHTS(segment, good) \
	{ #segment ".s_clear", FAILS_GUEST, { RIGHTS(segment, (good) & ~AR_S) } }, \
	{ #segment ".p_clear", FAILS_GUEST, { RIGHTS(segment, (good) & ~AR_P) } }, \
	{ #segment ".reserved_8", FAILS_GUEST, { RIGHTS(segment, (good) | BIT(8)) } }, \
	{ #segment ".reserved_11", FAILS_GUEST, { RIGHTS(segment, (good) | BIT(11)) } }, \
	{ #segment ".reserved_17", FAILS_GUEST, { RIGHTS(segment, (good) | BIT(17)) } }, \
	{ #segment ".reserved_31", FAILS_GUEST, { RIGHTS(segment, (good) | BIT(31)) } }, \
	{ #segment ".g_set", FAILS_GUEST, \
	  { RIGHTS(segment, (good) | AR_G), TO(guest_##segment##_limit, 0xffffe) } }, \
	{ #segment ".g_clear", FAILS_GUEST, \
	  { RIGHTS(segment, (good) & ~AR_G), TO(guest_##segment##_limit, 0xfffff + 1) } }, \
	{ #segment ".g_either", ENTERS, { RIGHTS(segment, (good) & ~AR_G), TO(guest_##segment##_limit, 0xfffff) } }
#define DATA_TYPES(segment) \
	{ #segment ".not_accessed", FAILS_GUEST, { RIGHTS(segment, AR_DATA & ~1u) } }, \
	{ #segment ".code_unreadable", FAILS_GUEST, { RIGHTS(segment, (AR_DATA & ~AR_TYPE) | 9) } }, \
	{ #segment ".code_readable", ENTERS, { RIGHTS(segment, (AR_DATA & ~AR_TYPE) | 11) } }, \
	{ #segment ".data_read_only", ENTERS, { RIGHTS(segment, (AR_DATA & ~AR_TYPE) | 1) } }, \
	{ #segment ".expand_down", ENTERS, { RIGHTS(segment, (AR_DATA & ~AR_TYPE) | 7) } }, \
	{ #segment ".dpl_below_rpl", FAILS_GUEST, { SET(guest_##segment##_selector, 3) } }, \
	{ #segment ".dpl_3", ENTERS, { RIGHTS(segment, AR_DATA | 3 << AR_DPL_SHIFT), \
	  SET(guest_##segment##_selector, 3) } }, \
	{ #segment ".unusable", ENTERS, { RIGHTS(segment, AR_UNUSABLE) } }, \
	{ #segment ".unusable_garbage", ENTERS, { RIGHTS(segment, ~0u), TO(guest_##segment##_limit, 0x12345) } }

static const struct entry_case rights[] = {
	ACCESS_RIGHTS(cs, AR_CODE64), ACCESS_RIGHTS(ss, AR_DATA), ACCESS_RIGHTS(ds, AR_DATA),
		ACCESS_RIGHTS(es, AR_DATA),
	ACCESS_RIGHTS(fs, AR_DATA), ACCESS_RIGHTS(gs, AR_DATA),
	DATA_TYPES(ds), DATA_TYPES(es), DATA_TYPES(fs), DATA_TYPES(gs),
	{ "cs.not_accessed", FAILS_GUEST, { RIGHTS(cs, AR_CODE64 & ~1u) } },
	{ "cs.data", FAILS_GUEST, { RIGHTS(cs, (AR_CODE64 & ~AR_TYPE) | 3) } },
	{ "cs.data_unrestricted", ENTERS, { UNRESTRICTED, RIGHTS(cs, (AR_CODE64 & ~AR_TYPE) | 3) } },
	{ "cs.execute_only", ENTERS, { RIGHTS(cs, (AR_CODE64 & ~AR_TYPE) | 9) } },
	{ "cs.conforming", ENTERS, { RIGHTS(cs, (AR_CODE64 & ~AR_TYPE) | 15) } },
	{ "cs.dpl_3", FAILS_GUEST, { RIGHTS(cs, AR_CODE64 | 3 << AR_DPL_SHIFT) } },
	{ "cs.conforming_dpl_3", FAILS_GUEST, { RIGHTS(cs, (AR_CODE64 & ~AR_TYPE) | 15 | 3 << AR_DPL_SHIFT) } },
	{ "cs.l_and_d", FAILS_GUEST, { RIGHTS(cs, AR_CODE64 | AR_DB) } },
	/* Of TR alone the SDM says that the bit must be 0. */
	{ "cs.unusable", EXITS, { RIGHTS(cs, AR_CODE64 | AR_UNUSABLE) } },
	{ "ss.read_only", FAILS_GUEST, { RIGHTS(ss, (AR_DATA & ~AR_TYPE) | 1) } },
	{ "ss.expand_down", ENTERS, { RIGHTS(ss, (AR_DATA & ~AR_TYPE) | 7) } },
	{ "ss.code", FAILS_GUEST, { RIGHTS(ss, (AR_DATA & ~AR_TYPE) | 11) } },
	{ "ss.dpl", FAILS_GUEST, { RIGHTS(ss, AR_DATA | 3 << AR_DPL_SHIFT) } },
	{ "ss.unusable", ENTERS, { RIGHTS(ss, AR_UNUSABLE) } },
	{ "tr.available", FAILS_GUEST, { RIGHTS(tr, AR_TSS64_BUSY & ~2u) } },
	{ "tr.type_3", FAILS_GUEST, { RIGHTS(tr, (AR_TSS64_BUSY & ~AR_TYPE) | 3) } },
	{ "tr.s", FAILS_GUEST, { RIGHTS(tr, AR_TSS64_BUSY | AR_S) } },
	{ "tr.p", FAILS_GUEST, { RIGHTS(tr, AR_TSS64_BUSY & ~AR_P) } },
	{ "tr.reserved_8", FAILS_GUEST, { RIGHTS(tr, AR_TSS64_BUSY | BIT(8)) } },
	{ "tr.reserved_17", FAILS_GUEST, { RIGHTS(tr, AR_TSS64_BUSY | BIT(17)) } },
	{ "tr.g", FAILS_GUEST, { RIGHTS(tr, AR_TSS64_BUSY | AR_G) } },
	{ "tr.g_clear", FAILS_GUEST, { TO(guest_tr_limit, 0x100000) } },
	{ "tr.unusable", FAILS_GUEST, { RIGHTS(tr, AR_TSS64_BUSY | AR_UNUSABLE) } },
	{ "ldtr.good", ENTERS, { RIGHTS(ldtr, AR_LDT) } },
	{ "ldtr.type", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT + 1) } },
	{ "ldtr.s", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT | AR_S) } },
	{ "ldtr.p", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT & ~AR_P) } },
	{ "ldtr.reserved_8", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT | BIT(8)) } },
	{ "ldtr.reserved_17", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT | BIT(17)) } },
	{ "ldtr.g", FAILS_GUEST, { RIGHTS(ldtr, AR_LDT | AR_G), TO(guest_ldtr_limit, 0x1000) } },
};

/* SDM "Checks on Guest Descriptor-Table Registers", "Checks on Guest RIP, RFLAGS, and SSP" */
static const struct entry_case tables_and_rip[] = {
	{ "gdtr.base", FAILS_GUEST, { TO(guest_gdtr_base, NON_CANONICAL) } },
	{ "idtr.base", FAILS_GUEST, { TO(guest_idtr_base, NON_CANONICAL) } },
	{ "gdtr.limit", FAILS_GUEST, { TO(guest_gdtr_limit, 0x10000) } },
	{ "idtr.limit", FAILS_GUEST, { TO(guest_idtr_limit, 0x10000) } },
	{ "idtr.limit_ffff", ENTERS, { TO(guest_idtr_limit, 0xffff) } },
	{ "rip.high_in_compatibility", FAILS_GUEST, { RIGHTS(cs, AR_CODE32), SET(guest_rip, BIT(32)) } },
	{ "rip.beyond_width", FAILS_GUEST, { TO(guest_rip, BIT(60)), TO(exception_bitmap, ~0u) } },
	{ "rflags.bit_1", FAILS_GUEST, { TO(guest_rflags, 0) } },
	{ "rflags.bit_3", FAILS_GUEST, { SET(guest_rflags, BIT(3)) } },
	{ "rflags.bit_15", FAILS_GUEST, { SET(guest_rflags, BIT(15)) } },
	{ "rflags.bit_22", FAILS_GUEST, { SET(guest_rflags, BIT(22)) } },
	{ "rflags.bit_63", FAILS_GUEST, { SET(guest_rflags, BIT(63)) } },
	{ "rflags.vm_in_ia32e", FAILS_GUEST, { SET(guest_rflags, RFLAGS_VM) } },
	{ "rflags.all_outcome_flags", ENTERS, { SET(guest_rflags, RFLAGS_VMX_OUTCOME) } },
	{ "rflags.if_clear_with_interrupt", FAILS_GUEST,
	  { INJECT(INTR_external, 0x40) } },
};

/* SDM "Checks on Guest Non-Register State" */
static const struct entry_case non_register[] = {
	{ "activity.4", FAILS_GUEST, { TO(guest_activity_state, 4) } },
	{ "activity.ones", FAILS_GUEST, { TO(guest_activity_state, ~0u) } },
	{ "activity.hlt_dpl", FAILS_GUEST,
	  { TO(guest_activity_state, ACTIVITY_hlt), RIGHTS(ss, AR_DATA | 3 << AR_DPL_SHIFT),
	    RIGHTS(cs, AR_CODE64 | 3 << AR_DPL_SHIFT), SET(guest_ss_selector, 3), SET(guest_cs_selector, 3) } },
	{ "activity.hlt_sti", FAILS_GUEST,
	  { TO(guest_activity_state, ACTIVITY_hlt), SET(guest_rflags, RFLAGS_IF),
	    TO(guest_interruptibility_state, INTERRUPTIBILITY_sti) } },
	{ "activity.hlt_mov_ss", FAILS_GUEST,
	  { TO(guest_activity_state, ACTIVITY_hlt), TO(guest_interruptibility_state, INTERRUPTIBILITY_mov_ss) } },
	{ "activity.hlt_inject_ud", FAILS_GUEST,
	  { TO(guest_activity_state, ACTIVITY_hlt),
	    INJECT(INTR_hardware_exception, VECTOR_UD) } },
	{ "activity.shutdown_inject_interrupt", FAILS_GUEST,
	  { TO(guest_activity_state, ACTIVITY_shutdown), SET(guest_rflags, RFLAGS_IF),
	    INJECT(INTR_external, 0x40) } },
	{ "activity.sipi_inject_nmi", FAILS_GUEST,
	  { TO(guest_activity_state, ACTIVITY_wait_for_sipi),
	    INJECT(INTR_nmi, VECTOR_NMI) } },
	{ "blocking.reserved", FAILS_GUEST, { TO(guest_interruptibility_state, BIT(5)) } },
	{ "blocking.reserved_31", FAILS_GUEST, { TO(guest_interruptibility_state, BIT(31)) } },
	{ "blocking.sti_and_mov_ss", FAILS_GUEST,
	  { SET(guest_rflags, RFLAGS_IF),
	    TO(guest_interruptibility_state, INTERRUPTIBILITY_sti | INTERRUPTIBILITY_mov_ss) } },
	{ "blocking.sti_without_if", FAILS_GUEST, { TO(guest_interruptibility_state, INTERRUPTIBILITY_sti) } },
	{ "blocking.smi", FAILS_GUEST, { TO(guest_interruptibility_state, INTERRUPTIBILITY_smi) } },
	{ "blocking.mov_ss", ENTERS, { TO(guest_interruptibility_state, INTERRUPTIBILITY_mov_ss) } },
	{ "blocking.nmi", ENTERS, { TO(guest_interruptibility_state, INTERRUPTIBILITY_nmi) } },
	{ "blocking.sti_inject_interrupt", FAILS_GUEST,
	  { SET(guest_rflags, RFLAGS_IF), TO(guest_interruptibility_state, INTERRUPTIBILITY_sti),
	    INJECT(INTR_external, 0x40) } },
	{ "blocking.mov_ss_inject_nmi", FAILS_GUEST,
	  { TO(guest_interruptibility_state, INTERRUPTIBILITY_mov_ss),
	    INJECT(INTR_nmi, VECTOR_NMI) } },
	{ "blocking.sti_inject_nmi", FAILS_NMI,
	  { SET(guest_rflags, RFLAGS_IF), TO(guest_interruptibility_state, INTERRUPTIBILITY_sti),
	    INJECT(INTR_nmi, VECTOR_NMI) } },
	{ "blocking.virtual_nmi_inject_nmi", FAILS_GUEST,
	  { TO(guest_interruptibility_state, INTERRUPTIBILITY_nmi), PIN(PIN_nmi_exiting | PIN_virtual_nmis),
	    INJECT(INTR_nmi, VECTOR_NMI) } },
	{ "pending.reserved_4", FAILS_GUEST, { TO(guest_pending_debug_exceptions, BIT(4)) } },
	{ "pending.reserved_13", FAILS_GUEST, { TO(guest_pending_debug_exceptions, BIT(13)) } },
	{ "pending.reserved_17", FAILS_GUEST, { TO(guest_pending_debug_exceptions, BIT(17)) } },
	{ "pending.bs_without_tf", FAILS_GUEST,
	  { TO(guest_pending_debug_exceptions, DR6_BS), TO(guest_interruptibility_state, INTERRUPTIBILITY_mov_ss) } },
	{ "pending.tf_without_bs", FAILS_GUEST,
	  { SET(guest_rflags, RFLAGS_TF), TO(guest_interruptibility_state, INTERRUPTIBILITY_mov_ss) } },
};

/* SDM "Checks on Guest Non-Register State", the VMCS link pointer: qualification 4 */
static const struct entry_case link_pointer[] = {
	{ "link.unaligned", FAILS_LINK, { TO(vmcs_link_pointer, (u64)page + 0x10) } },
	{ "link.beyond", FAILS_LINK, { TO(vmcs_link_pointer, BEYOND) } },
	{ "link.revision", FAILS_LINK, { TO(vmcs_link_pointer, (u64)page) } },
	{ "link.high_ones", FAILS_LINK, { TO(vmcs_link_pointer, ~0ull << 12) } },
};

#define PAE_GUEST CLEAR(vm_entry_controls, ENTRY_ia32e_mode_guest), RIGHTS(cs, AR_CODE32)
#define PDPTE(n, value) TO(guest_pdpte##n, value)

/* SDM "Checks on Guest Page-Directory-Pointer-Table Entries": from the VMCS with EPT, from memory without. */
static const struct entry_case pae[] = {
	{ "pdpte0.reserved_1", FAILS_PDPTE, { PAE_GUEST, PDPTE(0, PTE_PRESENT | BIT(1)) } },
	{ "pdpte1.reserved_5", FAILS_PDPTE, { PAE_GUEST, PDPTE(1, PTE_PRESENT | BIT(5)) } },
	{ "pdpte2.reserved_8", FAILS_PDPTE, { PAE_GUEST, PDPTE(2, PTE_PRESENT | BIT(8)) } },
	{ "pdpte3.beyond", FAILS_PDPTE, { PAE_GUEST, PDPTE(3, PTE_PRESENT | BEYOND) } },
	{ "pdpte3.bit_63", FAILS_PDPTE, { PAE_GUEST, PDPTE(3, PTE_PRESENT | BIT(63)) } },
	{ "pdpte.in_memory", FAILS_PDPTE,
	  { PAE_GUEST, CLEAR(secondary_processor_based_controls, PROC2_enable_ept), TO(guest_cr3, (u64)pdptes) } },
};

/*
 * Two rules broken at once. Within the guest state the SDM leaves the order to the processor: the rows have that of the
 * emulated CPU, and L0, which leaves most rules to it, must have the same.
 */
static const struct entry_case order[] = {
	{ "order.state_before_link", FAILS_GUEST,
	  { TO(guest_rflags, 0), TO(vmcs_link_pointer, BEYOND), TO(guest_cr0, 0) } },
	{ "order.cr4_before_link", FAILS_GUEST, { CLEAR(guest_cr4, CR4_VMXE), TO(vmcs_link_pointer, BEYOND) } },
	{ "order.link_before_activity", FAILS_LINK, { TO(guest_activity_state, 4), TO(vmcs_link_pointer, BEYOND) } },
	{ "order.segment_before_pdpte", FAILS_GUEST,
	  { PAE_GUEST, PDPTE(0, PTE_PRESENT | BIT(1)), RIGHTS(ss, AR_DATA & ~AR_P) } },
	{ "order.cr0_before_pdpte", FAILS_GUEST,
	  { PAE_GUEST, PDPTE(0, PTE_PRESENT | BIT(1)), CLEAR(guest_cr0, CR0_NE) } },
	{ "order.rflags_before_pdptes_in_memory", FAILS_GUEST,
	  { PAE_GUEST, CLEAR(secondary_processor_based_controls, PROC2_enable_ept), TO(guest_cr3, (u64)pdptes),
	    TO(guest_rflags, 0) } },
	{ "order.link_before_pdpte", FAILS_LINK,
	  { PAE_GUEST, PDPTE(0, PTE_PRESENT | BIT(1)), TO(vmcs_link_pointer, BEYOND) } },
	{ "order.link_before_pdptes_in_memory", FAILS_LINK,
	  { PAE_GUEST, CLEAR(secondary_processor_based_controls, PROC2_enable_ept), TO(guest_cr3, (u64)pdptes),
	    TO(vmcs_link_pointer, BEYOND) } },
	{ "order.state_before_nmi", FAILS_GUEST,
	  { SET(guest_rflags, RFLAGS_IF | BIT(3)), TO(guest_interruptibility_state, INTERRUPTIBILITY_sti),
	    INJECT(INTR_nmi, VECTOR_NMI) } },
	{ "order.link_before_nmi", FAILS_LINK,
	  { SET(guest_rflags, RFLAGS_IF), TO(guest_interruptibility_state, INTERRUPTIBILITY_sti),
	    INJECT(INTR_nmi, VECTOR_NMI), TO(vmcs_link_pointer, BEYOND) } },
	{ "order.injection_before_state", FAILS_CONTROL,
	  { TO(vm_entry_interruption_information, (u32)INTR_VALID | 1 << INTR_TYPE_SHIFT), TO(guest_rflags, 0) } },
};

void group(void)
{
	pdptes[2] = PTE_PRESENT | BIT(1);
	vmx_start();
	ENTRY_CASES(l2_nothing, registers);
	ENTRY_CASES(l2_nothing, selectors);
	ENTRY_CASES(l2_nothing, rights);
	ENTRY_CASES(l2_nothing, tables_and_rip);
	ENTRY_CASES(l2_nothing, non_register);
	ENTRY_CASES(l2_nothing, link_pointer);
	ENTRY_CASES(l2_nothing, pae);
	ENTRY_CASES(l2_nothing, order);
}
