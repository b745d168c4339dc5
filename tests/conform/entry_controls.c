/* entry_controls: each rule of the SDM's "Checks on VMX Controls" broken alone, and what just keeps it. */
#include "ept.h"
#include "insn.h"
#include "tests/conform/lib/entry.h"

L2_CODE(l2_nothing, "");
static u8 page[4 * PAGE_SIZE] __attribute__((aligned(4096)));

#define PAGE ((u64)page)
#define UNALIGNED ((u64)page + 0x10)
#define BEYOND BIT(50)
#define UNALIGNED_LIST ((u64)page + 8)
#define WIDTH_LIMIT BIT(40) /* the width of every CPU model here; checked by group() */

/* SDM "VM-Execution Control Fields" */
static const struct entry_case execution[] = {
	{ "good", ENTERS, { { CHANGE_NONE, 0, 0 } } },
	{ "pin.must", FAILS_CONTROL, { CLEAR(pin_based_controls, BIT(1)) } },
	{ "pin.reserved", FAILS_CONTROL, { TO(pin_based_controls, ~0u) } },
	{ "pin.zero", FAILS_CONTROL, { TO(pin_based_controls, 0) } },
	{ "proc.must", FAILS_CONTROL, { CLEAR(primary_processor_based_controls, BIT(1)) } },
	{ "proc.reserved", FAILS_CONTROL, { TO(primary_processor_based_controls, ~0u) } },
	{ "proc.zero", FAILS_CONTROL, { TO(primary_processor_based_controls, 0) } },
	{ "proc2.reserved", FAILS_CONTROL, { TO(secondary_processor_based_controls, ~0u) } },
	/* Not activated, the secondary controls are all 0 whatever the field says. */
	{ "proc2.inactive", ENTERS,
	  { CLEAR(primary_processor_based_controls, PROC_activate_secondary_controls),
	    TO(secondary_processor_based_controls, ~0u) } },
	{ "cr3_targets.4", ENTERS, { TO(cr3_target_count, 4) } },
	{ "cr3_targets.5", FAILS_CONTROL, { TO(cr3_target_count, 5) } },
	{ "cr3_targets.ones", FAILS_CONTROL, { TO(cr3_target_count, ~0u) } },
	{ "io_bitmaps.good", ENTERS,
	  { PROC(PROC_use_io_bitmaps), TO(address_of_io_bitmap_a, PAGE), TO(address_of_io_bitmap_b, PAGE) } },
	{ "io_bitmap_a.unaligned", FAILS_CONTROL,
	  { PROC(PROC_use_io_bitmaps), TO(address_of_io_bitmap_a, UNALIGNED), TO(address_of_io_bitmap_b, PAGE) } },
	{ "io_bitmap_b.unaligned", FAILS_CONTROL,
	  { PROC(PROC_use_io_bitmaps), TO(address_of_io_bitmap_a, PAGE), TO(address_of_io_bitmap_b, UNALIGNED) } },
	{ "io_bitmap_a.beyond", FAILS_CONTROL,
	  { PROC(PROC_use_io_bitmaps), TO(address_of_io_bitmap_a, BEYOND), TO(address_of_io_bitmap_b, PAGE) } },
	{ "io_bitmap_b.beyond", FAILS_CONTROL,
	  { PROC(PROC_use_io_bitmaps), TO(address_of_io_bitmap_a, PAGE), TO(address_of_io_bitmap_b, BEYOND) } },
	{ "io_bitmap_a.unused", ENTERS, { TO(address_of_io_bitmap_a, ~0ull) } },
	{ "msr_bitmaps.good", ENTERS, { PROC(PROC_use_msr_bitmaps), TO(address_of_msr_bitmaps, PAGE) } },
	{ "msr_bitmaps.unaligned", FAILS_CONTROL,
	  { PROC(PROC_use_msr_bitmaps), TO(address_of_msr_bitmaps, UNALIGNED) } },
	{ "msr_bitmaps.beyond", FAILS_CONTROL, { PROC(PROC_use_msr_bitmaps), TO(address_of_msr_bitmaps, BEYOND) } },
	{ "msr_bitmaps.width", FAILS_CONTROL,
	  { PROC(PROC_use_msr_bitmaps), TO(address_of_msr_bitmaps, WIDTH_LIMIT) } },
	{ "msr_bitmaps.last_page", ENTERS,
	  { PROC(PROC_use_msr_bitmaps), TO(address_of_msr_bitmaps, WIDTH_LIMIT - PAGE_SIZE) } },
	{ "msr_bitmaps.unused", ENTERS, { TO(address_of_msr_bitmaps, ~0ull) } },
};

/* SDM "VM-Execution Control Fields", the APIC's part */
static const struct entry_case apic[] = {
	{ "tpr.good", ENTERS, { PROC(PROC_use_tpr_shadow), TO(virtual_apic_address, PAGE), TO(tpr_threshold, 0) } },
	{ "tpr.unaligned", FAILS_CONTROL,
	  { PROC(PROC_use_tpr_shadow), TO(virtual_apic_address, UNALIGNED), TO(tpr_threshold, 0) } },
	{ "tpr.beyond", FAILS_CONTROL,
	  { PROC(PROC_use_tpr_shadow), TO(virtual_apic_address, BEYOND), TO(tpr_threshold, 0) } },
	{ "tpr.threshold_high", FAILS_CONTROL,
	  { PROC(PROC_use_tpr_shadow), TO(virtual_apic_address, PAGE), TO(tpr_threshold, 0x10) } },
	{ "tpr.threshold_above_tpr", FAILS_CONTROL,
	  { PROC(PROC_use_tpr_shadow), TO(virtual_apic_address, PAGE), TO(tpr_threshold, 1) } },
	{ "tpr.threshold_unused", ENTERS, { TO(tpr_threshold, ~0u) } },
	{ "x2apic.without_tpr_shadow", FAILS_CONTROL, { PROC2(PROC2_virtualize_x2apic_mode) } },
	{ "x2apic.good", ENTERS,
	  { PROC2(PROC2_virtualize_x2apic_mode), PROC(PROC_use_tpr_shadow), TO(virtual_apic_address, PAGE) } },
	{ "apic_access.good", ENTERS, { PROC2(PROC2_virtualize_apic_accesses), TO(apic_access_address, PAGE) } },
	{ "apic_access.unaligned", FAILS_CONTROL,
	  { PROC2(PROC2_virtualize_apic_accesses), TO(apic_access_address, UNALIGNED) } },
	{ "apic_access.beyond", FAILS_CONTROL,
	  { PROC2(PROC2_virtualize_apic_accesses), TO(apic_access_address, BEYOND) } },
	{ "apic_access.with_x2apic", FAILS_CONTROL,
	  { PROC2(PROC2_virtualize_apic_accesses | PROC2_virtualize_x2apic_mode), TO(apic_access_address, PAGE),
	    PROC(PROC_use_tpr_shadow), TO(virtual_apic_address, PAGE) } },
	{ "apic_access.threshold_above_tpr", EXITS,
	  { PROC2(PROC2_virtualize_apic_accesses), TO(apic_access_address, PAGE), PROC(PROC_use_tpr_shadow),
	    TO(virtual_apic_address, PAGE), TO(tpr_threshold, 1) } },
};

/* SDM "VM-Execution Control Fields": NMIs, VPID, EPT */
static const struct entry_case others[] = {
	{ "nmi.virtual_without_exiting", FAILS_CONTROL, { PIN(PIN_virtual_nmis) } },
	{ "nmi.virtual", ENTERS, { PIN(PIN_virtual_nmis | PIN_nmi_exiting) } },
	{ "nmi.window_without_virtual", FAILS_CONTROL, { PIN(PIN_nmi_exiting), PROC(PROC_nmi_window_exiting) } },
	{ "nmi.window_alone", FAILS_CONTROL, { PROC(PROC_nmi_window_exiting) } },
	{ "vpid.0", FAILS_CONTROL, { PROC2(PROC2_enable_vpid), TO(virtual_processor_identifier, 0) } },
	{ "vpid.1", ENTERS, { PROC2(PROC2_enable_vpid), TO(virtual_processor_identifier, 1) } },
	{ "vpid.ffff", ENTERS, { PROC2(PROC2_enable_vpid), TO(virtual_processor_identifier, 0xffff) } },
	{ "ept.memory_type_1", FAILS_CONTROL, { CLEAR(ept_pointer, 7), SET(ept_pointer, 1) } },
	{ "ept.memory_type_uc", EXITS, { CLEAR(ept_pointer, 7) } },
	{ "ept.memory_type_7", FAILS_CONTROL, { SET(ept_pointer, 7) } },
	{ "ept.walk_length_0", FAILS_CONTROL, { CLEAR(ept_pointer, EPTP_WALK_LENGTH) } },
	{ "ept.walk_length_5", FAILS_CONTROL, { CLEAR(ept_pointer, EPTP_WALK_LENGTH), SET(ept_pointer, 4 << 3) } },
	{ "ept.reserved_8", FAILS_CONTROL, { SET(ept_pointer, BIT(8)) } },
	{ "ept.reserved_11", FAILS_CONTROL, { SET(ept_pointer, BIT(11)) } },
	{ "ept.beyond", FAILS_CONTROL, { SET(ept_pointer, BEYOND) } },
	{ "ept.unrestricted_without", FAILS_CONTROL,
	  { TO(secondary_processor_based_controls, PROC2_unrestricted_guest) } },
	{ "ept.unrestricted", ENTERS, { PROC2(PROC2_unrestricted_guest) } },
	{ "ept.off", ENTERS, { CLEAR(secondary_processor_based_controls, PROC2_enable_ept),
	  TO(ept_pointer, ~0ull) } },
	{ "ple.good", ENTERS, { PROC2(PROC2_pause_loop_exiting), TO(ple_gap, 100), TO(ple_window, 1000) } },
};

/* SDM "VM-Exit Control Fields" */
static const struct entry_case exit_controls[] = {
	{ "exit.zero", FAILS_CONTROL, { TO(primary_vm_exit_controls, 0) } },
	{ "exit.ones", FAILS_CONTROL, { TO(primary_vm_exit_controls, ~0u) } },
	{ "exit.timer_saved_without_timer", FAILS_CONTROL, { EXIT(EXIT_save_vmx_preemption_timer_value) } },
	{ "exit.timer_saved", ENTERS,
	  { EXIT(EXIT_save_vmx_preemption_timer_value), PIN(PIN_activate_vmx_preemption_timer),
	    TO(vmx_preemption_timer_value, ~0u) } },
#define LIST(name, count, address) \
	{ name ".good", ENTERS, { TO(count, 0), TO(address, UNALIGNED_LIST) } }, \
	{ name ".unaligned", FAILS_CONTROL, { TO(count, 1), TO(address, UNALIGNED_LIST) } }, \
	{ name ".beyond", FAILS_CONTROL, { TO(count, 1), TO(address, BEYOND) } }, \
	{ name ".end_beyond", FAILS_CONTROL, { TO(count, 2), TO(address, WIDTH_LIMIT - 16) } }
	LIST("store_list", vm_exit_msr_store_count, vm_exit_msr_store_address),
	LIST("load_list", vm_exit_msr_load_count, vm_exit_msr_load_address),
	LIST("entry_list", vm_entry_msr_load_count, vm_entry_msr_load_address),
};

#define INTR(type, vector, more) (u32)(INTR_VALID | (u64)(type) << INTR_TYPE_SHIFT | (vector) | (more))
/* If the CPU injects after all, the event cannot be delivered, and that exits. */
#define INJECT(type, vector, more) \
	TO(vm_entry_interruption_information, INTR(type, vector, more)), TO(guest_idtr_limit, 0), \
		TO(exception_bitmap, ~0u)
#define LENGTH(n) TO(vm_entry_instruction_length, n)
#define ERROR(n) TO(vm_entry_exception_error_code, n)
#define REAL_MODE \
	CLEAR(guest_cr0, CR0_PE | CR0_PG), PROC2(PROC2_unrestricted_guest), \
	CLEAR(vm_entry_controls, ENTRY_ia32e_mode_guest), TO(guest_cs_access_rights, AR_CODE32)

/* SDM "VM-Entry Control Fields" */
static const struct entry_case injection[] = {
	{ "entry.zero", FAILS_CONTROL, { TO(vm_entry_controls, 0) } },
	{ "entry.ones", FAILS_CONTROL, { TO(vm_entry_controls, ~0u) } },
	{ "inject.invalid_garbage", ENTERS, { TO(vm_entry_interruption_information, 0x7fffffff), LENGTH(99) } },
	{ "inject.type_1", FAILS_CONTROL, { INJECT(1, 32, 0) } },
	{ "inject.reserved_12", FAILS_CONTROL, { INJECT(INTR_external, 32, BIT(12)) } },
	{ "inject.reserved_30", FAILS_CONTROL, { INJECT(INTR_external, 32, BIT(30)) } },
	{ "inject.nmi_vector_3", FAILS_CONTROL, { INJECT(INTR_nmi, 3, 0) } },
	{ "inject.exception_32", FAILS_CONTROL, { INJECT(INTR_hardware_exception, 32, 0) } },
	/* Without a monitor trap flag the type is reserved, which the emulated CPU does not survive. */
	{ "inject.other_vector_1", FAILS_CONTROL,
	  { INJECT(INTR_other_event, 1, 0), PROC(PROC_monitor_trap_flag) } },
	{ "inject.external_with_error", FAILS_CONTROL, { INJECT(INTR_external, 32, INTR_ERROR_CODE) } },
	{ "inject.nmi_with_error", FAILS_CONTROL, { INJECT(INTR_nmi, 2, INTR_ERROR_CODE) } },
	{ "inject.software_with_error", FAILS_CONTROL,
	  { INJECT(INTR_software_interrupt, 32, INTR_ERROR_CODE), LENGTH(2) } },
	{ "inject.error_code_bit_16", FAILS_CONTROL,
	  { INJECT(INTR_hardware_exception, VECTOR_GP, INTR_ERROR_CODE), ERROR(BIT(16)) } },
	{ "inject.error_code_bit_31", FAILS_CONTROL,
	  { INJECT(INTR_hardware_exception, VECTOR_GP, INTR_ERROR_CODE), ERROR(BIT(31)) } },
	{ "inject.software_length_16", FAILS_CONTROL, { INJECT(INTR_software_interrupt, 48, 0), LENGTH(16) } },
	{ "inject.bp_length_16", FAILS_CONTROL, { INJECT(INTR_software_exception, VECTOR_BP, 0), LENGTH(16) } },
	{ "inject.real_mode_with_error", FAILS_CONTROL,
	  { INJECT(INTR_hardware_exception, VECTOR_GP, INTR_ERROR_CODE), REAL_MODE } },
};

/* SDM "VM-Entry Control Fields": a length of 0 is allowed by IA32_VMX_MISC alone. */
static const struct entry_case zero_length[] = {
	{ "inject.software_length_0", FAILS_CONTROL, { INJECT(INTR_software_interrupt, 48, 0), LENGTH(0) } },
	{ "inject.bp_length_0", FAILS_CONTROL, { INJECT(INTR_software_exception, VECTOR_BP, 0), LENGTH(0) } },
	{ "inject.db_length_0", FAILS_CONTROL,
	  { INJECT(INTR_privileged_software_exception, VECTOR_DB, 0), LENGTH(0) } },
};

/* SDM "VM-Entry Control Fields": with bit 56 of IA32_VMX_BASIC any exception may have an error code, or none. */
static const struct entry_case error_codes[] = {
	{ "inject.ud_with_error", FAILS_CONTROL, { INJECT(INTR_hardware_exception, VECTOR_UD, INTR_ERROR_CODE) } },
	{ "inject.gp_without_error", FAILS_CONTROL, { INJECT(INTR_hardware_exception, VECTOR_GP, 0) } },
	{ "inject.df_without_error", FAILS_CONTROL, { INJECT(INTR_hardware_exception, VECTOR_DF, 0) } },
	{ "inject.ac_without_error", FAILS_CONTROL, { INJECT(INTR_hardware_exception, VECTOR_AC, 0) } },
};

void group(void)
{
	vmx_start();
	if (BIT(cpuid(0x80000008, 0).eax & 0xff) != WIDTH_LIMIT)
		give_up("the cases are written for a physical-address width of 40 bits");
	ENTRY_CASES(l2_nothing, execution);
	ENTRY_CASES(l2_nothing, apic);
	ENTRY_CASES(l2_nothing, others);
	ENTRY_CASES(l2_nothing, exit_controls);
	ENTRY_CASES(l2_nothing, injection);
	if (!(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_ANY_EXCEPTION_ERROR_CODE))
		ENTRY_CASES(l2_nothing, error_codes);
	if (!(rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_ZERO_LENGTH_INJECTION))
		ENTRY_CASES(l2_nothing, zero_length);
}
