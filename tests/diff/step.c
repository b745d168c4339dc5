#include "step.h"
#include "ept.h"
#include "insn.h"
#include "note.h"
#include "random.h"
#include "vmcs.h"

/* ---- what an exit tells ---- */

static void note_event(const char *name, u64 information, u16 error_field)
{
	if (!(information & INTR_VALID))
		return;
	note(name, information);
	if (information & INTR_ERROR_CODE)
		note("error_code", vmread(error_field));
}

/* Its instruction's length is defined, as it is injected with it. */
static bool is_software_event(u64 information)
{
	return information & INTR_VALID && (information & INTR_TYPE) >> INTR_TYPE_SHIFT >= INTR_software_interrupt;
}

/*
 * SDM "Checks on the Guest State Area": in any order, so that of two things that are wrong either is told. SDM "Exit
 * Qualification": 0 where the operand is a register, for which the emulated CPU tells what an earlier instruction left.
 */
static bool has_qualification(const struct l2_exit *exit)
{
	switch (exit->reason) {
	case REASON_entry_failure_guest_state | EXIT_REASON_ENTRY_FAILURE:
		return false;
	case REASON_access_to_ldtr_or_tr:
	case REASON_vmread:
	case REASON_vmwrite:
		return !(exit->information & INFO_IS_REGISTER);
	default:
		return true;
	}
}

/* SDM "Information for VM Exits Due to Instruction Execution" and its neighbours: where each field is defined. */
static void note_information(const struct l2_exit *exit)
{
	const u32 reason = exit->reason & EXIT_REASON_BASIC;

	if (has_qualification(exit))
		note("qualification", exit->qualification);
	if (exit->reason & EXIT_REASON_ENTRY_FAILURE)
		return;
	note_event("intr", exit->intr, ENC_vm_exit_interruption_error_code);
	note_event("vectoring", exit->vectoring, ENC_idt_vectoring_error_code);
	if (l2_exit_has_length(exit))
		note("length", exit->length);
	else if (is_software_event(exit->vectoring))
		note("length", exit->length);
	if (l2_exit_has_information(exit))
		note("information", exit->information);
	if (reason == REASON_ept_violation || reason == REASON_ept_misconfiguration)
		note("physical", vmread(ENC_guest_physical_address));
	if ((reason == REASON_ept_violation && exit->qualification & EPT_VIOLATION_LINEAR_VALID) ||
	    (reason == REASON_io_instruction && exit->qualification & IO_ACCESS_STRING))
		note("linear", vmread(ENC_guest_linear_address));
}

/* PDPTEs are defined with PAE paging on EPT alone. */
static void note_pdptes(const struct vm *vm)
{
	const u64 paging = CR0_PE | CR0_PG;

	if (!vm->ept || (vmread(ENC_guest_cr0) & paging) != paging || !(vmread(ENC_guest_cr4) & CR4_PAE) ||
	    vmread(ENC_vm_entry_controls) & ENTRY_ia32e_mode_guest)
		return;
	for (unsigned i = 0; i < 4; i++)
		note("pdpte", vmread(ENC_guest_pdpte0 + 2 * i));
}

static void note_state(const struct vm *vm, const struct l2_exit *exit)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "", "rbp", "rsi", "rdi",
					     "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

	note("rip", exit->rip);
	note("rflags", exit->rflags);
	note("rsp", vmread(ENC_guest_rsp));
	note("activity", vmread(ENC_guest_activity_state));
	note("blocking", vmread(ENC_guest_interruptibility_state));
	note("pending", vmread(ENC_guest_pending_debug_exceptions));
	
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (i != RSP)
			note(names[i], vm->registers.gpr[i]);
	note_pdptes(vm);
	/* Not at every exit, so that state is left where it is from one to the next, too. */
	if (one_in(3))
		vmcs_note();
}

static u64 read_dr7(void)
{
	u64 value;

	__asm__ volatile("mov %%dr7, %0" : "=r"(value));
	return value;
}

static const struct {
	const char *name;
	u32 number;
} own_msrs[] = {
#define OWN(msr) { "l1_" #msr, MSR_##msr }
	OWN(IA32_EFER), OWN(IA32_PAT), OWN(IA32_SYSENTER_CS), OWN(IA32_SYSENTER_ESP), OWN(IA32_SYSENTER_EIP),
	OWN(IA32_FS_BASE), OWN(IA32_GS_BASE), OWN(IA32_STAR), OWN(IA32_LSTAR), OWN(IA32_CSTAR), OWN(IA32_FMASK),
	OWN(IA32_KERNEL_GS_BASE), OWN(IA32_TSC_AUX),
#undef OWN
};

void step_note_own_state(void)
{
	
	note("l1_cr0", read_cr0());
	note("l1_cr2", read_cr2());
	note("l1_cr4", read_cr4());
	note("l1_dr6", read_dr6());
	note("l1_dr7", read_dr7());
	for (unsigned i = 0; i < ARRAY_SIZE(own_msrs); i++)
		note(own_msrs[i].name, rdmsr(own_msrs[i].number));
}

static void reset_debug_registers(void)
{
	__asm__ volatile("mov %0, %%dr7\n\tmov %1, %%dr0\n\tmov %1, %%dr1\n\tmov %1, %%dr2\n\tmov %1, %%dr3\n\t"
			 "mov %2, %%dr6\n\tmov %1, %%cr8\n\tfninit" : : "r"(DR7_RESET), "r"(0ull), "r"(0xffff0ff0ull));
}

void step_reset_own_state(void)
{
	const u64 handler = VM_ADDRESS(PAGE_HANDLERS) + 0xe0 * HANDLER_SIZE;

	/* SDM "Loading Host Control Registers": an exit leaves CD, NW and ET as they are. */
	write_cr0((read_cr0() | CR0_ET) & ~(CR0_CD | CR0_NW | CR0_TS | CR0_EM));
	write_cr2(0);
	for (unsigned i = 0; i < ARRAY_SIZE(own_msrs); i++)
		wrmsr(own_msrs[i].number, 0 == i ? EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE : 1 == i ? PAT_RESET : 0);
	wrmsr(MSR_IA32_STAR, (u64)SEL_CODE64 << 32 | (u64)SEL_CODE32 << 48);
	wrmsr(MSR_IA32_LSTAR, handler);
	wrmsr(MSR_IA32_CSTAR, handler);
	reset_debug_registers();
}

/* HLT and shutdown are what the timer is there to end; it ends anything else only if that has no end of its own. */
static bool is_cut(const struct l2_exit *exit, u64 ticks)
{
	return exit->outcome == VMX_SUCCEED && exit->reason == REASON_preemption_timer_expired && ticks &&
	       vmread(ENC_guest_activity_state) == ACTIVITY_active;
}

struct step_end step_enter(struct vm *vm)
{
	const bool launched = one_in(32) ? !vm->launched : vm->launched;
	u64 ticks = vmread(ENC_vmx_preemption_timer_value);
	struct l2_exit exit = l2_enter_with(&vm->registers, launched);
	struct step_end end = { .outcome = exit.outcome, .reason = exit.reason, .cut = is_cut(&exit, ticks) };

	vm->launched = vm->launched || (exit.outcome == VMX_SUCCEED && !(exit.reason & EXIT_REASON_ENTRY_FAILURE));
	tell("%s of vm %u\n", launched ? "VMRESUME" : "VMLAUNCH", vm_number(vm));
	note("outcome", exit.outcome);
	if (end.cut) {
		tell("  cut by the watchdog\n");
		return end;
	}
	if (exit.outcome == VMX_SUCCEED) {
		note("reason", exit.reason);
		note_information(&exit);
		note_state(vm, &exit);
	} else {
		end.reason = exit.error;
		note("error", exit.error);
	}
	step_note_own_state();

	return end;
}

/* ---- what L1 does ---- */

/* SDM "Information for VM Exits During Event Delivery": what was not delivered is injected again. */
static bool inject_again(void)
{
	u64 information = vmread(ENC_idt_vectoring_information);

	if (!(information & INTR_VALID) || one_in(2))
		return false;
	tell("  injects it again\n");
	vmwrite(ENC_vm_entry_interruption_information, information & ~INTR_NMI_UNBLOCKING);
	vmwrite(ENC_vm_entry_exception_error_code, vmread(ENC_idt_vectoring_error_code));
	if (is_software_event(information))
		vmwrite(ENC_vm_entry_instruction_length, vmread(ENC_vm_exit_instruction_length));
	return true;
}

static void skip_instruction(void)
{
	vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + vmread(ENC_vm_exit_instruction_length));
	if (one_in(2))
		vmwrite(ENC_guest_interruptibility_state, 0);
}

static void invalidate_ept(const struct vm *vm)
{
	note("invept", invept(one_in(2) ? INVEPT_single_context : INVEPT_global, vm_eptp(vm)));
}

/* Rights and flags of one page of L2's memory; code stays as it is. INVEPT follows, as L1 must execute it. */
static void change_ept(const struct vm *vm)
{
	unsigned page = (unsigned)random_below(VM_PAGES);
	u64 *entry = vm_ept_entry(vm, page), good = (u64)vm_page(vm, (enum vm_page)page) | EPT_RWX |
						    MEMORY_WB << EPT_MEMORY_TYPE_SHIFT;

	if (page == PAGE_CODE || page == PAGE_HANDLERS)
		good &= ~EPT_WRITE;
	switch (random_below(8)) {
	case 0:
		*entry = good & ~(random64() & EPT_RWX);
		break;
	case 1:
		*entry = good & ~(EPT_READ | EPT_WRITE);
		break;
	case 2:
		*entry = good ^ random_below(8) << EPT_MEMORY_TYPE_SHIFT;
		break;
	case 3:
		*entry = good | EPT_SUPPRESS_VE | (one_in(2) ? EPT_IGNORE_PAT : 0);
		break;
	case 4:
		*entry = good | (one_in(2) ? BIT(45) : EPT_ACCESSED | EPT_DIRTY);
		break;
	case 5:
		*entry &= ~(EPT_ACCESSED | EPT_DIRTY);
		break;
	default:
		*entry = good;
	}
	tell("  ept12 of page %u := %lx\n", page, *entry);
	invalidate_ept(vm);
}

/* What L1 keeps in memory, and may change at any time while L2 does not run. */
static void change_memory(const struct vm *vm)
{
	struct vmx_msr_entry *lists = (struct vmx_msr_entry *)vm_control_page(vm, CONTROL_LISTS);
	u8 *msr_bitmap = vm_control_page(vm, CONTROL_MSR_BITMAP);

	tell("  changes memory\n");
	switch (random_below(4)) {
	case 0:
		vm_control_page(vm, CONTROL_IO_BITMAP_A)[0x80 / 8] ^= 1;
		break;
	case 1: /* IA32_KERNEL_GS_BASE and IA32_TSC_AUX, read or written */
		msr_bitmap[1024 + 0x100 / 8 + (one_in(2) ? 2048 : 0)] ^= one_in(2) ? 4 : 8;
		break;
	case 2:
		vm_control_page(vm, CONTROL_VIRTUAL_APIC)[VIRTUAL_APIC_TPR] = (u8)random64();
		break;
	default:
		lists[random_below(LIST_LENGTH)].value = random_odd(31);
	}
}

static void invalidate(const struct vm *vm)
{
	if (one_in(2))
		note("invept", invept(random_below(4), vm_eptp(vm)));
	else
		note("invvpid", invvpid(random_below(5), (u16)random_below(6), random_odd(64)));
}

static void read_a_field(void)
{
	const struct vmcs_field *field = &vmcs_fields[random_below(vmcs_field_count)];
	u64 value;

	if (!field->comparable)
		return;
	note("vmread", vmread_checked(field->encoding, &value));
	if (vmread_checked(field->encoding, &value) == VMX_SUCCEED)
		note(field->name, value);
}

static void clear(struct vm *vm)
{
	tell("  VMCLEAR\n");
	if (vmclear((u64)vm_region(vm)) != VMX_SUCCEED)
		give_up("VMCLEAR failed");
	vm_use(vm);
	vm->launched = false;
}

static void change_something(struct vm *vm)
{
	/* What cannot be cut short is not led astray. */
	for (u64 count = vm->watched && one_in(2) ? random_below(4) : 0; count; count--)
		vmcs_change(vm);
	if (one_in(6))
		vmcs_inject(vm);
	if (vm->ept && one_in(5))
		change_ept(vm);
	if (one_in(6))
		change_memory(vm);
	if (one_in(8))
		invalidate(vm);
	if (one_in(4))
		read_a_field();
	if (one_in(10))
		clear(vm);
}

void step_prepare(struct vm *vm)
{
	vmcs_changes_begin();
	change_something(vm);
	vmcs_note();

}

static void answer_exit(struct vm *vm, const struct step_end *end)
{
	struct l2_exit exit = { .reason = end->reason, .intr = (u32)vmread(ENC_vm_exit_interruption_information) };

	if (inject_again())
		return;
	if (end->reason == REASON_triple_fault || one_in(12))
		vmcs_reset_guest(vm);
	else if (end->reason != REASON_vmcall && l2_exit_has_length(&exit) && !one_in(4))
		skip_instruction();
	else if (!one_in(8))
		vm_next_piece(vm);
}

void step_answer(struct vm *vm, const struct step_end *end)
{
	if (end->outcome != VMX_SUCCEED || end->reason & EXIT_REASON_ENTRY_FAILURE) {
		if (one_in(8))
			vm_make(vm);
		else
			vmcs_changes_undo();
	} else {
		answer_exit(vm, end);
	}
	vmcs_changes_begin();
	change_something(vm);
}
