/* entry_host: each rule of the SDM's "Checks on Host-State Area" broken alone, and what just keeps it. */
#include "insn.h"
#include "tests/conform/lib/entry.h"

L2_CODE(l2_nothing, "");

#define NON_CANONICAL BIT(47)
#define LAST_LOWER (BIT(47) - 1)
#define BEYOND BIT(50)
#define LOAD_PAT EXIT(EXIT_load_ia32_pat)
#define LOAD_EFER EXIT(EXIT_load_ia32_efer)
#define EFER_LONG (EFER_LME | EFER_LMA)

/* SDM "Checks on Host Control Registers, MSRs, and SSP" */
static const struct entry_case registers[] = {
	{ "cr0.ne", FAILS_HOST, { CLEAR(host_cr0, CR0_NE) } },
	{ "cr0.pe", FAILS_HOST, { CLEAR(host_cr0, CR0_PE) } },
	{ "cr0.pg", FAILS_HOST, { CLEAR(host_cr0, CR0_PG) } },
	{ "cr0.high", FAILS_HOST, { SET(host_cr0, BIT(32)) } },
	{ "cr0.cd_nw", ENTERS, { SET(host_cr0, CR0_CD | CR0_NW) } },
	{ "cr4.vmxe", FAILS_HOST, { CLEAR(host_cr4, CR4_VMXE) } },
	{ "cr4.reserved", FAILS_HOST, { SET(host_cr4, BIT(15)) } },
	{ "cr4.high", FAILS_HOST, { SET(host_cr4, BIT(40)) } },
	{ "cr4.pae", FAILS_HOST, { CLEAR(host_cr4, CR4_PAE) } },
	{ "cr4.de", ENTERS, { SET(host_cr4, CR4_DE) } },
	{ "cr3.beyond", FAILS_HOST, { SET(host_cr3, BEYOND) } },
	{ "cr3.bit_63", FAILS_HOST, { SET(host_cr3, BIT(63)) } },
	{ "sysenter_esp", FAILS_HOST, { TO(host_ia32_sysenter_esp, NON_CANONICAL) } },
	{ "sysenter_esp.last", ENTERS, { TO(host_ia32_sysenter_esp, LAST_LOWER) } },
	{ "sysenter_eip", FAILS_HOST, { TO(host_ia32_sysenter_eip, NON_CANONICAL) } },
	{ "sysenter_cs", ENTERS, { TO(host_ia32_sysenter_cs, ~0u) } },
	{ "pat.good", ENTERS, { LOAD_PAT, TO(host_ia32_pat, PAT_RESET) } },
	{ "pat.2", FAILS_HOST, { LOAD_PAT, TO(host_ia32_pat, 2) } },
	{ "pat.3", FAILS_HOST, { LOAD_PAT, TO(host_ia32_pat, 3ull << 56) } },
	{ "pat.8", FAILS_HOST, { LOAD_PAT, TO(host_ia32_pat, 8ull << 24) } },
	{ "pat.unused", ENTERS, { TO(host_ia32_pat, ~0ull) } },
	{ "efer.good", ENTERS, { LOAD_EFER, TO(host_ia32_efer, EFER_LONG) } },
	{ "efer.reserved", FAILS_HOST, { LOAD_EFER, TO(host_ia32_efer, EFER_LONG | BIT(1)) } },
	{ "efer.high", FAILS_HOST, { LOAD_EFER, TO(host_ia32_efer, EFER_LONG | BIT(32)) } },
	{ "efer.lma_clear", FAILS_HOST, { LOAD_EFER, TO(host_ia32_efer, EFER_LME) } },
	{ "efer.lme_clear", FAILS_HOST, { LOAD_EFER, TO(host_ia32_efer, EFER_LMA) } },
	{ "efer.none", FAILS_HOST, { LOAD_EFER, TO(host_ia32_efer, 0) } },
	{ "efer.unused", ENTERS, { TO(host_ia32_efer, ~0ull) } },
};

/* SDM "Checks on Host Segment and Descriptor-Table Registers" */
static const struct entry_case segments[] = {
#define SELECTOR(segment) \
	{ #segment ".rpl", FAILS_HOST, { SET(host_##segment##_selector, 3) } }, \
	{ #segment ".ti", FAILS_HOST, { SET(host_##segment##_selector, 4) } }
	SELECTOR(cs), SELECTOR(ss), SELECTOR(ds), SELECTOR(es), SELECTOR(fs), SELECTOR(gs), SELECTOR(tr),
	{ "cs.null", FAILS_HOST, { TO(host_cs_selector, 0) } },
	{ "tr.null", FAILS_HOST, { TO(host_tr_selector, 0) } },
	{ "ds.null", ENTERS, { TO(host_ds_selector, 0) } },
	{ "es.null", ENTERS, { TO(host_es_selector, 0) } },
	/* Null is forbidden only to a host of 32 bits. */
	{ "ss.null", ENTERS, { TO(host_ss_selector, 0) } },
	{ "fs_base", FAILS_HOST, { TO(host_fs_base, NON_CANONICAL) } },
	{ "gs_base", FAILS_HOST, { TO(host_gs_base, NON_CANONICAL) } },
	{ "tr_base", FAILS_HOST, { TO(host_tr_base, NON_CANONICAL) } },
	{ "gdtr_base", FAILS_HOST, { TO(host_gdtr_base, NON_CANONICAL) } },
	{ "idtr_base", FAILS_HOST, { TO(host_idtr_base, NON_CANONICAL) } },
	{ "fs_base.last", ENTERS, { TO(host_fs_base, LAST_LOWER) } },
};

/* SDM "Checks Related to Address-Space Size": a root in long mode has a host in it, and a RIP that is canonical. */
static const struct entry_case address_space[] = {
	{ "host_of_32_bits", FAILS_HOST, { CLEAR(primary_vm_exit_controls, EXIT_host_address_space_size) } },
	{ "host_of_32_bits.guest_too", FAILS_HOST,
	  { CLEAR(primary_vm_exit_controls, EXIT_host_address_space_size),
	    CLEAR(vm_entry_controls, ENTRY_ia32e_mode_guest) } },
	{ "rip", FAILS_HOST, { TO(host_rip, NON_CANONICAL) } },
};

/* Controls come before host state, host state before guest state; SDM "VM Entries". */
static const struct entry_case order[] = {
	{ "order.control_first", FAILS_CONTROL, { TO(cr3_target_count, 5), TO(host_cr0, 0), TO(guest_cr0, 0) } },
	{ "order.last_control_first", FAILS_CONTROL,
	  { TO(vm_entry_interruption_information, (u32)INTR_VALID | 1 << INTR_TYPE_SHIFT), TO(host_cr0, 0) } },
	{ "order.exit_control_first", FAILS_CONTROL,
	  { EXIT(EXIT_save_vmx_preemption_timer_value), TO(host_tr_selector, 0) } },
	{ "order.msr_list_first", FAILS_CONTROL,
	  { TO(vm_entry_msr_load_count, 1), TO(vm_entry_msr_load_address, 8), TO(host_rip, NON_CANONICAL) } },
	{ "order.host_first", FAILS_HOST, { TO(host_tr_selector, 0), TO(guest_cr0, 0) } },
	{ "order.host_before_link", FAILS_HOST, { TO(host_rip, NON_CANONICAL), TO(vmcs_link_pointer, 8) } },
	{ "order.address_space_before_guest", FAILS_HOST,
	  { CLEAR(primary_vm_exit_controls, EXIT_host_address_space_size), TO(guest_rflags, 0) } },
};

void group(void)
{
	vmx_start();
	ENTRY_CASES(l2_nothing, registers);
	ENTRY_CASES(l2_nothing, segments);
	ENTRY_CASES(l2_nothing, address_space);
	ENTRY_CASES(l2_nothing, order);
}
