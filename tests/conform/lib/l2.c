#include "l2.h"
#include "ept.h"
#include "insn.h"
#include "string.h"

#define STACK_SIZE 8192
#define EPT_DIRECTORIES 4

struct guest_registers l2;
static u8 regions[REGIONS][PAGE_SIZE] __attribute__((aligned(4096)));
static u8 stack[STACK_SIZE] __attribute__((aligned(16)));
static u64 ept_pml4[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 ept_pdpt[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 ept_pd[EPT_DIRECTORIES][EPT_ENTRIES] __attribute__((aligned(4096)));
static const u8 *code_start;
static bool launched;

const u16 controls_field[CONTROL_MSRS] = {
	[PIN_CTLS] = ENC_pin_based_controls,
	[PROC_CTLS] = ENC_primary_processor_based_controls,
	[PROC2_CTLS] = ENC_secondary_processor_based_controls,
	[EXIT_CTLS] = ENC_primary_vm_exit_controls,
	[ENTRY_CTLS] = ENC_vm_entry_controls,
};

void vmwrite_failed(u64 encoding, u64 value)
{
	give_up("VMWRITE of %lx to field %lx failed", value, encoding);
}

void *vmx_region(unsigned number)
{
	return regions[number];
}

/* SDM "Enabling and Entering VMX Operation" */
void vmx_enable(void)
{
	u64 control = rdmsr(MSR_IA32_FEATURE_CONTROL);

	if (!(control & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_IA32_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON_OUTSIDE_SMX);
	write_cr0((read_cr0() | rdmsr(MSR_IA32_VMX_CR0_FIXED0)) & rdmsr(MSR_IA32_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | CR4_VMXE | rdmsr(MSR_IA32_VMX_CR4_FIXED0)) & rdmsr(MSR_IA32_VMX_CR4_FIXED1));
	for (unsigned i = 0; i < REGIONS; i++)
		((struct vmcs_region_header *)vmx_region(i))->revision =
			(u32)(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
}

void vmx_start(void)
{
	vmx_enable();
	if (vmxon((u64)vmx_region(REGION_VMXON)) != VMX_SUCCEED)
		give_up("VMXON failed");
}

static u64 controls_capability(enum control_msr msr)
{
	static const u16 plain[CONTROL_MSRS] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_PROCBASED_CTLS,
						 MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_EXIT_CTLS,
						 MSR_IA32_VMX_ENTRY_CTLS };
	static const u16 of_true[CONTROL_MSRS] = { MSR_IA32_VMX_TRUE_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
						   MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_TRUE_EXIT_CTLS,
						   MSR_IA32_VMX_TRUE_ENTRY_CTLS };

	return rdmsr(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_TRUE_CONTROLS ? of_true[msr] : plain[msr]);
}

u32 controls_must(enum control_msr msr)
{
	return (u32)controls_capability(msr);
}

u32 controls_may(enum control_msr msr)
{
	return (u32)(controls_capability(msr) >> 32);
}

bool has_controls(enum control_msr msr, u64 controls)
{
	return !(controls & ~(u64)controls_may(msr));
}

void controls_set(enum control_msr msr, u64 controls)
{
	vmwrite(controls_field[msr], vmread(controls_field[msr]) | controls);
}

void controls_clear(enum control_msr msr, u64 controls)
{
	vmwrite(controls_field[msr], vmread(controls_field[msr]) & ~controls);
}

u64 *l2_ept_entry(u64 address)
{
	return &ept_pd[address / GIB(1)][address / MIB(2) % EPT_ENTRIES];
}

u64 *l2_ept_pdpte(u64 address)
{
	return &ept_pdpt[address / GIB(1)];
}

u64 *l2_ept_pml4e(void)
{
	return ept_pml4;
}

u64 l2_eptp(void)
{
	return (u64)ept_pml4 | MEMORY_WB | (EPT_LEVELS - 1) << EPTP_WALK_LENGTH_SHIFT;
}

static void make_ept(void)
{
	ept_pml4[0] = (u64)ept_pdpt | EPT_RWX;
	for (unsigned i = 0; i < EPT_DIRECTORIES; i++)
		ept_pdpt[i] = (u64)ept_pd[i] | EPT_RWX;
	for (u64 address = 0; address < L2_MEMORY; address += MIB(2))
		*l2_ept_entry(address) = address | EPT_RWX | EPT_LARGE | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT;
}

static void set_controls(void)
{
	vmwrite(ENC_pin_based_controls, controls_must(PIN_CTLS));
	vmwrite(ENC_primary_processor_based_controls,
		controls_must(PROC_CTLS) | PROC_activate_secondary_controls);
	vmwrite(ENC_secondary_processor_based_controls, controls_must(PROC2_CTLS) | PROC2_enable_ept);
	vmwrite(ENC_primary_vm_exit_controls, controls_must(EXIT_CTLS) | EXIT_host_address_space_size);
	vmwrite(ENC_vm_entry_controls, controls_must(ENTRY_CTLS) | ENTRY_ia32e_mode_guest);
	vmwrite(ENC_ept_pointer, l2_eptp());
}

static void set_host_state(void)
{
	static const u16 data[] = { ENC_host_es_selector, ENC_host_ss_selector, ENC_host_ds_selector };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		vmwrite(data[i], SEL_DATA);
	vmwrite(ENC_host_cs_selector, SEL_CODE64);
	vmwrite(ENC_host_tr_selector, SEL_TSS);
	vmwrite(ENC_host_cr0, read_cr0());
	vmwrite(ENC_host_cr3, read_cr3());
	vmwrite(ENC_host_cr4, read_cr4());
	vmwrite(ENC_host_tr_base, probe_tss_base());
	vmwrite(ENC_host_gdtr_base, probe_gdt_base());
	vmwrite(ENC_host_idtr_base, probe_idt_base());
	vmwrite(ENC_host_rsp, (u64)&l2.host_stack);
	vmwrite(ENC_host_rip, (u64)vmx_exit_point);
}

/* The encodings of one segment's parts lie at the same place in their groups. */
static void set_segment(enum vmcs_encoding selector_field, u16 selector, u32 limit, u32 rights, u64 base)
{
	u32 place = selector_field - ENC_guest_es_selector;

	vmwrite(selector_field, selector);
	vmwrite(ENC_guest_es_limit + place, limit);
	vmwrite(ENC_guest_es_access_rights + place, rights);
	vmwrite(ENC_guest_es_base + place, base);
}

#define LIMIT_4G 0xffffffffu
#define LIMIT_TSS 0x67u
#define LIMIT_GDT 0x57u
#define LIMIT_IDT 0xfffu

static void set_guest_segments(void)
{
	static const u16 data[] = { ENC_guest_es_selector, ENC_guest_ss_selector, ENC_guest_ds_selector,
				    ENC_guest_fs_selector, ENC_guest_gs_selector };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		set_segment(data[i], SEL_DATA, LIMIT_4G, AR_DATA, 0);
	set_segment(ENC_guest_cs_selector, SEL_CODE64, LIMIT_4G, AR_CODE64, 0);
	set_segment(ENC_guest_ldtr_selector, 0, 0, AR_UNUSABLE, 0);
	set_segment(ENC_guest_tr_selector, SEL_TSS, LIMIT_TSS, AR_TSS64_BUSY, probe_tss_base());
	vmwrite(ENC_guest_gdtr_base, probe_gdt_base());
	vmwrite(ENC_guest_gdtr_limit, LIMIT_GDT);
	vmwrite(ENC_guest_idtr_base, probe_idt_base());
	vmwrite(ENC_guest_idtr_limit, LIMIT_IDT);
}

static void set_guest_registers(void)
{
	vmwrite(ENC_guest_cr0, read_cr0());
	vmwrite(ENC_guest_cr3, read_cr3());
	vmwrite(ENC_guest_cr4, read_cr4());
	vmwrite(ENC_guest_dr7, DR7_RESET);
	vmwrite(ENC_guest_rip, (u64)code_start);
	vmwrite(ENC_guest_rsp, l2_stack_top());
	vmwrite(ENC_guest_rflags, RFLAGS_ONE);
	vmwrite(ENC_guest_activity_state, ACTIVITY_active);
	vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
}

/* What the last case has left in fields of which this one says nothing. */
static void zero_fields(void)
{
	static const u16 fields[] = {
#define F(name, encoding, use, hot) encoding,
#include "vmcs_fields.def"
#undef F
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (VMCS_ENCODING_TYPE(fields[i]) != TYPE_EXIT_INFORMATION)
			vmwrite_checked(fields[i], 0);
}

/* By IRET: the emulated CPU takes into the next guest that an earlier case ended with NMIs blocked. */
static void unblock_nmis(void)
{
	__asm__ volatile("movq %%rsp, %%rax; pushq %0; pushq %%rax; pushfq; pushq %1; leaq 1f(%%rip), %%rax; "
			 "pushq %%rax; iretq; 1:" : : "i"(SEL_DATA), "i"(SEL_CODE64) : "rax", "memory");
}

void vmcs_make(const u8 *code)
{
	vmcs_make_in((u64)vmx_region(REGION_A), code);
}

void l2_resumes(bool resumes)
{
	launched = resumes;
}


void vmcs_make_in(u64 region, const u8 *code)
{
	if (vmclear(region) != VMX_SUCCEED || vmptrld(region) != VMX_SUCCEED)
		give_up("no VMCS can be made current");
	launched = false;
	unblock_nmis();
	code_start = code;
	memset(&l2, 0, sizeof(l2));
	make_ept();
	zero_fields();
	set_controls();
	set_host_state();
	set_guest_segments();
	set_guest_registers();
}

u64 l2_stack_top(void)
{
	return (u64)stack + sizeof(stack) - 64;
}

struct l2_exit l2_enter_with(struct guest_registers *registers, bool resume)
{
	struct l2_exit exit = { .outcome = vmx_enter(registers, resume) };

	if (exit.outcome == VMX_FAIL_VALID)
		exit.error = (u32)vmread(ENC_vm_instruction_error);
	if (exit.outcome != VMX_SUCCEED)
		return exit;
	exit.reason = (u32)vmread(ENC_exit_reason);
	exit.qualification = vmread(ENC_exit_qualification);
	exit.intr = (u32)vmread(ENC_vm_exit_interruption_information);
	exit.intr_error = (u32)vmread(ENC_vm_exit_interruption_error_code);
	exit.vectoring = (u32)vmread(ENC_idt_vectoring_information);
	exit.vectoring_error = (u32)vmread(ENC_idt_vectoring_error_code);
	exit.length = (u32)vmread(ENC_vm_exit_instruction_length);
	exit.information = (u32)vmread(ENC_vm_exit_instruction_information);
	exit.rip = vmread(ENC_guest_rip);
	exit.rflags = vmread(ENC_guest_rflags);
	return exit;
}

struct l2_exit l2_enter(void)
{
	struct l2_exit exit = l2_enter_with(&l2, launched);

	if (exit.outcome == VMX_SUCCEED)
		launched = launched || !(exit.reason & EXIT_REASON_ENTRY_FAILURE);
	return exit;
}

const char *reason_name(u32 reason)
{
	static const char *const names[EXIT_REASONS] = {
#define R(number, name) [number] = #name,
#include "exit_reasons.def"
#undef R
	};

	return reason < EXIT_REASONS && names[reason] ? names[reason] : "?";
}

/* SDM "Basic VM-Exit Information": not by these is the exit qualification cleared or set. */
static bool by_instruction(u32 reason)
{
	switch (reason) {
	case REASON_external_interrupt:
	case REASON_triple_fault:
	case REASON_init_signal:
	case REASON_startup_ipi:
	case REASON_interrupt_window:
	case REASON_nmi_window:
	case REASON_monitor_trap_flag:
	case REASON_tpr_below_threshold:
	case REASON_ept_violation:
	case REASON_ept_misconfiguration:
	case REASON_spp_related_event:
	case REASON_preemption_timer_expired:
	case REASON_exception_or_nmi:
	case REASON_task_switch:
	case REASON_apic_access:
	case REASON_virtualized_eoi:
	case REASON_apic_write:
		return false;
	default:
		return true;
	}
}

/* SDM "Information for VM Exits Due to Instruction Execution": those with a layout of their own. */
bool l2_exit_has_information(const struct l2_exit *exit)
{
	switch (exit->reason) {
	case REASON_io_instruction:
		return exit->qualification & IO_ACCESS_STRING;
	case REASON_access_to_gdtr_or_idtr:
	case REASON_access_to_ldtr_or_tr:
	case REASON_invept:
	case REASON_invvpid:
	case REASON_invpcid:
	case REASON_vmclear:
	case REASON_vmptrld:
	case REASON_vmptrst:
	case REASON_vmread:
	case REASON_vmwrite:
	case REASON_vmxon:
	case REASON_rdrand:
	case REASON_rdseed:
	case REASON_xsaves:
	case REASON_xrstors:
		return true;
	default:
		return false;
	}
}

bool l2_exit_has_length(const struct l2_exit *exit)
{
	const enum interruption_type software = (exit->intr & INTR_TYPE) >> INTR_TYPE_SHIFT;

	if (exit->reason == REASON_exception_or_nmi)
		return software == INTR_software_exception || software == INTR_privileged_software_exception;
	return by_instruction(exit->reason);
}

static void observe_event(const char *what, u32 information, u32 error_code)
{
	if (!(information & INTR_VALID))
		return;
	observe("%s=%x", what, information);
	if (information & INTR_ERROR_CODE)
		observe("%s_error=%x", what, error_code);
}

static void observe_place(const struct l2_exit *exit)
{
	u64 offset = exit->rip - (u64)code_start;

	if (offset < PAGE_SIZE)
		observe("rip=+%lu", offset);
	else
		observe("rip=%lx", exit->rip);
	observe("rflags=%lx", exit->rflags);
	observe("rsp=%lx", vmread(ENC_guest_rsp) - l2_stack_top());
	observe("activity=%lu blocking=%lx pending=%lx", vmread(ENC_guest_activity_state),
		vmread(ENC_guest_interruptibility_state), vmread(ENC_guest_pending_debug_exceptions));
}

static void observe_addresses(const struct l2_exit *exit)
{
	if (exit->reason == REASON_ept_violation || exit->reason == REASON_ept_misconfiguration ||
	    exit->reason == REASON_spp_related_event)
		observe("physical=%lx", vmread(ENC_guest_physical_address));
	if ((exit->reason == REASON_ept_violation && exit->qualification & EPT_VIOLATION_LINEAR_VALID) ||
	    exit->reason == REASON_spp_related_event)
		observe("linear=%lx", vmread(ENC_guest_linear_address));
	if (exit->reason == REASON_io_instruction && exit->qualification & IO_ACCESS_STRING)
		observe("linear=%lx", vmread(ENC_guest_linear_address));
}

void observe_exit(const struct l2_exit *exit)
{
	u32 basic = exit->reason & EXIT_REASON_BASIC;

	if (exit->outcome != VMX_SUCCEED) {
		if (exit->outcome == VMX_FAIL_VALID)
			observe("entry=failvalid(%u)", exit->error);
		else
			observe("entry=failinvalid");
		return;
	}
	observe("exit=%x(%s)", exit->reason, reason_name(basic));
	observe("qualification=%lx", exit->qualification);
	if (exit->reason & EXIT_REASON_ENTRY_FAILURE)
		return;
	observe_event("intr", exit->intr, exit->intr_error);
	observe_event("vectoring", exit->vectoring, exit->vectoring_error);
	if (l2_exit_has_length(exit))
		observe("length=%u", exit->length);
	if (l2_exit_has_information(exit))
		observe("information=%x", exit->information);
	observe_addresses(exit);
	observe_place(exit);
}

struct l2_exit l2_case_begin(const char *name)
{
	struct l2_exit exit;

	case_begin("%s", name);
	exit = l2_enter();
	observe_exit(&exit);
	return exit;
}

void expect_exit(const struct l2_exit *exit, enum exit_reason reason)
{
	if (exit->outcome != VMX_SUCCEED || exit->reason != reason)
		wrong("the exit reason must be %s", reason_name(reason));
}

void expect_vmfail(const struct l2_exit *exit, enum vm_instruction_error error)
{
	if (exit->outcome != VMX_FAIL_VALID || exit->error != error)
		wrong("the entry must fail with VM-instruction error %u", error);
}

void expect_entry_failure(const struct l2_exit *exit, enum exit_reason reason, u64 qualification)
{
	if (exit->outcome != VMX_SUCCEED || exit->reason != (reason | EXIT_REASON_ENTRY_FAILURE) ||
	    exit->qualification != qualification)
		wrong("the entry must fail with reason %s, qualification %lx", reason_name(reason), qualification);
}
