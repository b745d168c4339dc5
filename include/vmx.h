/* The numbers of VMX: controls, exit reasons, instruction errors, capability MSRs' layouts. */
#ifndef TURTLES_VMX_H
#define TURTLES_VMX_H

#include "types.h"

/* Field encodings, e.g. ENC_guest_rip. */
enum vmcs_encoding {
#define F(name, encoding, use, hot) ENC_##name = encoding,
#include "vmcs_fields.def"
#undef F
};

/* SDM "Structure of VMCS Component Encoding". */
enum vmcs_width { WIDTH_16 = 0, WIDTH_64 = 1, WIDTH_32 = 2, WIDTH_NATURAL = 3 };
enum vmcs_type { TYPE_CONTROL = 0, TYPE_EXIT_INFORMATION = 1, TYPE_GUEST = 2, TYPE_HOST = 3 };
#define VMCS_ENCODING_HIGH BIT(0)
#define VMCS_ENCODING_INDEX(e) (((e) >> 1) & 0x1ff)
#define VMCS_ENCODING_TYPE(e) (((e) >> 10) & 3)
#define VMCS_ENCODING_WIDTH(e) (((e) >> 13) & 3)
#define VMCS_ENCODING_RESERVED (BIT(12) | BITS(31, 15))

enum exit_reason {
#define R(number, name) REASON_##name = number,
#include "exit_reasons.def"
#undef R
	EXIT_REASONS, /* one past the last */
};

/* SDM "Basic VM-Exit Information": the exit-reason field beside the basic reason. */
#define EXIT_REASON_BASIC BITS(15, 0)
#define EXIT_REASON_ENTRY_FAILURE BIT(31)

/* SDM "Exit Qualification for Control-Register Accesses" */
#define CR_ACCESS_NUMBER BITS(3, 0)
#define CR_ACCESS_TYPE_SHIFT 4
#define CR_ACCESS_TYPE BITS(5, 4)
#define CR_ACCESS_GPR_SHIFT 8
#define CR_ACCESS_GPR BITS(11, 8)
#define CR_ACCESS_LMSW_SOURCE_SHIFT 16
#define CR_ACCESS_LMSW_SOURCE BITS(31, 16)
enum cr_access_type { CR_ACCESS_mov_to, CR_ACCESS_mov_from, CR_ACCESS_clts, CR_ACCESS_lmsw };

/* SDM "Exit Qualification for I/O Instructions" */
#define IO_ACCESS_SIZE_LESS_1 BITS(2, 0)
#define IO_ACCESS_IN BIT(3)
#define IO_ACCESS_STRING BIT(4)
#define IO_ACCESS_REP BIT(5)
#define IO_ACCESS_PORT_SHIFT 16
#define IO_ACCESS_PORT BITS(31, 16)
#define IO_ACCESS_SIZE_OF(qualification) ((unsigned)((qualification) & IO_ACCESS_SIZE_LESS_1) + 1)
#define IO_ACCESS_PORT_OF(qualification) ((u16)(((qualification) & IO_ACCESS_PORT) >> IO_ACCESS_PORT_SHIFT))

/* Of the VM-exit instruction information, where an operand may be either: it is a register, and not memory. */
#define INFO_IS_REGISTER BIT(10)

/* SDM "Pin-Based VM-Execution Controls" */
#define PIN_external_interrupt_exiting BIT(0)
#define PIN_nmi_exiting BIT(3)
#define PIN_virtual_nmis BIT(5)
#define PIN_activate_vmx_preemption_timer BIT(6)
#define PIN_process_posted_interrupts BIT(7)

/* SDM "Primary Processor-Based VM-Execution Controls" */
#define PROC_interrupt_window_exiting BIT(2)
#define PROC_use_tsc_offsetting BIT(3)
#define PROC_hlt_exiting BIT(7)
#define PROC_invlpg_exiting BIT(9)
#define PROC_mwait_exiting BIT(10)
#define PROC_rdpmc_exiting BIT(11)
#define PROC_rdtsc_exiting BIT(12)
#define PROC_cr3_load_exiting BIT(15)
#define PROC_cr3_store_exiting BIT(16)
#define PROC_activate_tertiary_controls BIT(17)
#define PROC_cr8_load_exiting BIT(19)
#define PROC_cr8_store_exiting BIT(20)
#define PROC_use_tpr_shadow BIT(21)
#define PROC_nmi_window_exiting BIT(22)
#define PROC_mov_dr_exiting BIT(23)
#define PROC_unconditional_io_exiting BIT(24)
#define PROC_use_io_bitmaps BIT(25)
#define PROC_monitor_trap_flag BIT(27)
#define PROC_use_msr_bitmaps BIT(28)
#define PROC_monitor_exiting BIT(29)
#define PROC_pause_exiting BIT(30)
#define PROC_activate_secondary_controls BIT(31)

/* SDM "Secondary Processor-Based VM-Execution Controls" */
#define PROC2_virtualize_apic_accesses BIT(0)
#define PROC2_enable_ept BIT(1)
#define PROC2_descriptor_table_exiting BIT(2)
#define PROC2_enable_rdtscp BIT(3)
#define PROC2_virtualize_x2apic_mode BIT(4)
#define PROC2_enable_vpid BIT(5)
#define PROC2_wbinvd_exiting BIT(6)
#define PROC2_unrestricted_guest BIT(7)
#define PROC2_apic_register_virtualization BIT(8)
#define PROC2_virtual_interrupt_delivery BIT(9)
#define PROC2_pause_loop_exiting BIT(10)
#define PROC2_rdrand_exiting BIT(11)
#define PROC2_enable_invpcid BIT(12)
#define PROC2_enable_vm_functions BIT(13)
#define PROC2_vmcs_shadowing BIT(14)
#define PROC2_enable_encls_exiting BIT(15)
#define PROC2_rdseed_exiting BIT(16)
#define PROC2_enable_pml BIT(17)
#define PROC2_ept_violation_ve BIT(18)
#define PROC2_conceal_vmx_from_pt BIT(19)
#define PROC2_enable_xsaves_xrstors BIT(20)
#define PROC2_mode_based_execute_control BIT(22)
#define PROC2_sub_page_write_permissions BIT(23)
#define PROC2_intel_pt_uses_guest_physical_addresses BIT(24)
#define PROC2_use_tsc_scaling BIT(25)
#define PROC2_enable_user_wait_and_pause BIT(26)
#define PROC2_enable_pconfig BIT(27)
#define PROC2_enable_enclv_exiting BIT(28)

/* SDM "VM-Exit Controls" */
#define EXIT_save_debug_controls BIT(2)
#define EXIT_host_address_space_size BIT(9)
#define EXIT_load_ia32_perf_global_ctrl BIT(12)
#define EXIT_acknowledge_interrupt_on_exit BIT(15)
#define EXIT_save_ia32_pat BIT(18)
#define EXIT_load_ia32_pat BIT(19)
#define EXIT_save_ia32_efer BIT(20)
#define EXIT_load_ia32_efer BIT(21)
#define EXIT_save_vmx_preemption_timer_value BIT(22)
#define EXIT_clear_ia32_bndcfgs BIT(23)
#define EXIT_load_cet_state BIT(28)

/* SDM "VM-Entry Controls" */
#define ENTRY_load_debug_controls BIT(2)
#define ENTRY_ia32e_mode_guest BIT(9)
#define ENTRY_entry_to_smm BIT(10)
#define ENTRY_deactivate_dual_monitor_treatment BIT(11)
#define ENTRY_load_ia32_perf_global_ctrl BIT(13)
#define ENTRY_load_ia32_pat BIT(14)
#define ENTRY_load_ia32_efer BIT(15)
#define ENTRY_load_ia32_bndcfgs BIT(16)
#define ENTRY_load_cet_state BIT(20)

/* SDM "VM-Instruction Error Numbers" */
enum vm_instruction_error {
	VMERR_vmcall_in_root = 1,
	VMERR_vmclear_invalid_address = 2,
	VMERR_vmclear_vmxon_pointer = 3,
	VMERR_vmlaunch_nonclear_vmcs = 4,
	VMERR_vmresume_nonlaunched_vmcs = 5,
	VMERR_vmresume_after_vmxoff = 6,
	VMERR_entry_invalid_control_fields = 7,
	VMERR_entry_invalid_host_state = 8,
	VMERR_vmptrld_invalid_address = 9,
	VMERR_vmptrld_vmxon_pointer = 10,
	VMERR_vmptrld_incorrect_revision = 11,
	VMERR_unsupported_vmcs_component = 12,
	VMERR_vmwrite_read_only_component = 13,
	VMERR_vmxon_in_root = 15,
	VMERR_entry_events_blocked_by_mov_ss = 26,
	VMERR_invalid_operand_to_invept_invvpid = 28,
};

/* What a VMX instruction may end in; SDM "Conventions" of the VMX instruction reference. */
enum vmx_outcome { VMX_SUCCEED, VMX_FAIL_INVALID, VMX_FAIL_VALID };

/*
 * Qualification of an entry failure due to invalid guest state; SDM "VM-Entry Failures During or After Loading Guest
 * State".
 */
enum entry_failure_qualification {
	ENTRY_FAIL_general = 0,
	ENTRY_FAIL_pdpte = 2,
	ENTRY_FAIL_nmi_injection = 3,
	ENTRY_FAIL_vmcs_link_pointer = 4,
};

/* Interruption information: events into a guest and out of it; SDM "VM-Entry Controls for Event Injection". */
#define INTR_VECTOR BITS(7, 0)
#define INTR_TYPE_SHIFT 8
#define INTR_TYPE BITS(10, 8)
#define INTR_ERROR_CODE BIT(11)
#define INTR_NMI_UNBLOCKING BIT(12)
#define INTR_VALID BIT(31)
#define INTR_RESERVED_ENTRY BITS(30, 12)
enum interruption_type {
	INTR_external = 0,
	INTR_nmi = 2,
	INTR_hardware_exception = 3,
	INTR_software_interrupt = 4,
	INTR_privileged_software_exception = 5,
	INTR_software_exception = 6,
	INTR_other_event = 7,
};

/* SDM "Guest Non-Register State" */
#define INTERRUPTIBILITY_sti BIT(0)
#define INTERRUPTIBILITY_mov_ss BIT(1)
#define INTERRUPTIBILITY_smi BIT(2)
#define INTERRUPTIBILITY_nmi BIT(3)
enum activity_state { ACTIVITY_active, ACTIVITY_hlt, ACTIVITY_shutdown, ACTIVITY_wait_for_sipi };

/* Capability MSRs; SDM "VMX Capability Reporting Facility". */
#define VMX_BASIC_REVISION BITS(30, 0)
#define VMX_BASIC_REGION_SIZE BITS(44, 32)
#define VMX_BASIC_REGION_SIZE_SHIFT 32
#define VMX_BASIC_32BIT_ADDRESSES BIT(48)
#define VMX_BASIC_DUAL_MONITOR BIT(49)
#define VMX_BASIC_MEMORY_TYPE_SHIFT 50
#define VMX_BASIC_INS_OUTS_INFORMATION BIT(54)
#define VMX_BASIC_TRUE_CONTROLS BIT(55)
#define VMX_BASIC_ANY_EXCEPTION_ERROR_CODE BIT(56)

#define VMX_MISC_PREEMPTION_TIMER_RATE BITS(4, 0)
#define VMX_MISC_EFER_LMA_STORED BIT(5)
#define VMX_MISC_ACTIVITY_HLT BIT(6)
#define VMX_MISC_ACTIVITY_SHUTDOWN BIT(7)
#define VMX_MISC_ACTIVITY_WAIT_FOR_SIPI BIT(8)
#define VMX_MISC_INTEL_PT BIT(14)
#define VMX_MISC_RDMSR_SMBASE BIT(15)
#define VMX_MISC_CR3_TARGETS_SHIFT 16
#define VMX_MISC_CR3_TARGETS BITS(24, 16)
#define VMX_MISC_MSR_LIST_SHIFT 25
#define VMX_MISC_MSR_LIST BITS(27, 25)
#define VMX_MISC_MSR_LIST_UNIT 512
#define VMX_MISC_SMM_BLOCK_DISABLE BIT(28)
#define VMX_MISC_VMWRITE_ANY BIT(29)
#define VMX_MISC_ZERO_LENGTH_INJECTION BIT(30)

/* INVEPT and INVVPID types; SDM's reference pages of the two. */
enum invept_type { INVEPT_single_context = 1, INVEPT_global = 2 };
enum invvpid_type {
	INVVPID_individual_address = 0,
	INVVPID_single_context = 1,
	INVVPID_all_contexts = 2,
	INVVPID_single_context_retaining_globals = 3,
	INVALIDATION_TYPES = 4, /* of the two */
};

/* An entry of an MSR load or store list; SDM "VM-Exit Controls for MSRs". */
struct vmx_msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

/* Head of a VMCS region or VMXON region; SDM "Format of the VMCS Region". */
struct vmcs_region_header {
	u32 revision;
	u32 abort_indicator;
};
#define VMCS_REVISION_SHADOW BIT(31)

/* SDM "VMX Aborts": what the abort indicator says. */
enum vmx_abort { VMX_ABORT_saving_guest_msrs = 1, VMX_ABORT_host_pdptes = 2, VMX_ABORT_loading_host_msrs = 4 };

/* IA32_VMX_VMFUNC and the VM-function controls; SDM "VM-Function Controls". */
#define VMFUNC_eptp_switching BIT(0)
#define EPTP_LIST_ENTRIES 512

/* SDM "Page-Modification Logging": the index counts down; beyond this it means that the log is full. */
#define PML_INDEX_MAX 511

/* The multiplier has 48 fractional bits; SDM "Time-Stamp Counter Offset and Multiplier". */
#define TSC_MULTIPLIER_SHIFT 48

#define VMCS_NO_POINTER (~0ull)

/* The TPR within a virtual-APIC page; SDM "Virtualized APIC Registers". */
#define VIRTUAL_APIC_TPR 0x80


/* The virtualization-exception information area; SDM "Virtualization-Exception Information". */
struct virtualization_exception_information {
	u32 exit_reason;
	u32 busy; /* L2 clears it when it is done; no #VE is delivered until then */
	u64 exit_qualification;
	u64 guest_linear_address;
	u64 guest_physical_address;
	u16 eptp_index;
};
#define VIRTUALIZATION_EXCEPTION_BUSY 0xffffffffu

#endif
