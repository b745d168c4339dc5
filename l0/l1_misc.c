/* Finishing an exit of L1, and the exits that need a few lines only. */
#include "l1_exit.h"
#include "print.h"
#include "vmcs_shadow/task.h"

void l1_end_instruction(u64 interruptibility, u64 rflags)
{
	u64 blocking = INTERRUPTIBILITY_sti | INTERRUPTIBILITY_mov_ss;

	vmwrite(ENC_guest_interruptibility_state, interruptibility & ~blocking);
	if (rflags & RFLAGS_TF)
		vmwrite(ENC_guest_pending_debug_exceptions, vmread(ENC_guest_pending_debug_exceptions) | DR6_BS);
}

void inject_exception(enum x86_vector vector, bool has_error_code, u32 error_code)
{
	bool real_mode = !(vmread(ENC_guest_cr0) & CR0_PE); /* which pushes no error codes */

	/* SDM "EFLAGS Register", on RF: a fault saves it set, while an entry delivers what is in the VMCS. */
	if (vector != VECTOR_DB)
		vmwrite(ENC_guest_rflags, vmread(ENC_guest_rflags) | RFLAGS_RF);
	has_error_code = has_error_code && !real_mode;
	vmwrite(ENC_vm_entry_interruption_information, INTR_VALID | INTR_hardware_exception << INTR_TYPE_SHIFT |
		(has_error_code ? INTR_ERROR_CODE : 0) | (u64)vector);
	if (has_error_code)
		vmwrite(ENC_vm_entry_exception_error_code, error_code);
}

void l1_combine_faults(struct cpu *cpu, u32 event)
{
	u64 fault = vmread(ENC_vm_entry_interruption_information);

	switch (fault_during_event(event, (enum x86_vector)(fault & INTR_VECTOR))) {
	case FAULT_double:
		inject_exception(VECTOR_DF, true, 0);
		break;
	case FAULT_shutdown:
		l1_triple_fault_exit(cpu);
		break;
	case FAULT_itself:
		break;
	}
}

/* XCR0 is L1's; the CPU itself checks the value. SDM "XSETBV". */
void l1_xsetbv_exit(struct cpu *cpu)
{
	u64 value = cpu->gpr[GPR_rdx] << 32 | (u32)cpu->gpr[GPR_rax];

	if (l1_cpl() != 0 || !xsetbv_safe((u32)cpu->gpr[GPR_rcx], value))
		inject_gp();
	else
		l1_skip_instruction();
}

/* Without write-back INVD could undo writes of L0's own that are still in the caches. */
void l1_invd_exit(struct cpu *cpu)
{
	(void)cpu;
	__asm__ volatile("wbinvd" : : : "memory");
	l1_skip_instruction();
}

/* SMX is not offered. */
void l1_getsec_exit(struct cpu *cpu)
{
	(void)cpu;
	inject_ud();
}

void l1_triple_fault_exit(struct cpu *cpu)
{
	print("\nL1 shut down by a triple fault, rip %lx\n", vmread(ENC_guest_rip));
	(void)cpu;
	l0_stop(TURTLES_STATUS_FAILURE);
}

/* SDM "Information for VM Exits During Event Delivery" and "Exit Qualification for EPT Violations". */
static void inject_again(u64 vectoring)
{
	bool nmi = (vectoring & INTR_TYPE) >> INTR_TYPE_SHIFT == INTR_nmi;

	/* SDM "VM-Entry Controls for Event Injection": no error code in real mode, whatever the exit has reported. */
	if (!(vmread(ENC_guest_cr0) & CR0_PE))
		vectoring &= ~INTR_ERROR_CODE;
	vmwrite(ENC_vm_entry_interruption_information, vectoring & ~INTR_RESERVED_ENTRY);
	vmwrite(ENC_vm_entry_exception_error_code, vmread(ENC_idt_vectoring_error_code));
	vmwrite(ENC_vm_entry_instruction_length, vmread(ENC_vm_exit_instruction_length));
	if (nmi)
		vmwrite(ENC_guest_interruptibility_state,
			vmread(ENC_guest_interruptibility_state) & ~INTERRUPTIBILITY_nmi);
}

bool ept_violation_resume(u64 qualification)
{
	u64 vectoring = vmread(ENC_idt_vectoring_information);

	if (UNLIKELY(vectoring & INTR_VALID))
		inject_again(vectoring);
	else if (UNLIKELY(qualification & EPT_VIOLATION_NMI_UNBLOCKING))
		vmwrite(ENC_guest_interruptibility_state,
			vmread(ENC_guest_interruptibility_state) | INTERRUPTIBILITY_nmi);
	return vectoring & INTR_VALID;
}
