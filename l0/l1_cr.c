/* L1's accesses to CR0 and CR4 that touch the bits VMX operation fixes. */
#include "l1_exit.h"

/* SDM "Exit Qualification for Control-Register Accesses" */
#define CR_NUMBER(q) ((q) & 0xf)
#define CR_ACCESS(q) ((q) >> 4 & 3)
#define CR_GPR(q) ((q) >> 8 & 0xf)
#define CR_LMSW_SOURCE(q) ((q) >> 16 & 0xffff)
#define LMSW_BITS (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
enum cr_access { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };

u64 cr_mov_source(const struct cpu *cpu, u64 qualification)
{
	enum gpr gpr = CR_GPR(qualification);
	u64 value = gpr == GPR_rsp ? vmread(ENC_guest_rsp) : cpu->gpr[gpr];

	return l1_in_64bit_code() ? value : (u32)value;
}

/* In VMX operation a fixed bit cannot be changed; SDM "Restrictions on VMX Operation". */
static bool cr_allowed(struct cpu *cpu, u64 value, enum msr_number fixed0, enum msr_number fixed1)
{
	u64 required = cpu->nested.vmxon ? capability(&cpu->nested.caps12, fixed0) : 0;

	return !(required & ~value) && !(value & ~capability(&host_caps, fixed1));
}

/*
 * L0 gives the bits it keeps the values that L1 wants to see, and runs the instruction again: now that they equal the
 * read shadow it does not exit, and the CPU does all that belongs to the others (paging, long mode, faults).
 */
static void run_again(struct cpu *cpu, enum vmcs_encoding real, enum vmcs_encoding shadow, u64 value)
{
	cpu->cr_retry = (struct cr_retry){
		.real = real, .shadow = shadow, .old_real = vmread(real), .old_shadow = vmread(shadow),
		.rip = vmread(ENC_guest_rip), .cs_base = vmread(ENC_guest_cs_base),
	};
	vmwrite(shadow, value);
	vmwrite(ENC_exception_bitmap, BIT(VECTOR_GP));
}

/*
 * That the second time faults, over one of the CPU's bits, is seen by the #GP at the same place with none of them
 * changed. Then L1 must not find L0's bits changed either.
 */
static void take_back(const struct cpu *cpu)
{
	const struct cr_retry *retry = &cpu->cr_retry;

	if (vmread(ENC_guest_rip) == retry->rip && vmread(ENC_guest_cs_base) == retry->cs_base &&
	    vmread(retry->real) == retry->old_real)
		vmwrite(retry->shadow, retry->old_shadow);
}

/* Only a write that is run again makes #GP an exit; whatever #GP it then is, L1 gets it. */
void l1_exception_exit(struct cpu *cpu)
{
	u64 fault = vmread(ENC_vm_exit_interruption_information);
	u32 event = (u32)vmread(ENC_idt_vectoring_information);

	if ((fault & INTR_VECTOR) != VECTOR_GP || (fault & INTR_TYPE) >> INTR_TYPE_SHIFT != INTR_hardware_exception)
		exit_unexpected(cpu, "vmcs01 asks for no such exception");
	take_back(cpu);
	vmwrite(ENC_exception_bitmap, 0);
	if (!(event & INTR_VALID) && fault & INTR_NMI_UNBLOCKING)
		vmwrite(ENC_guest_interruptibility_state,
			vmread(ENC_guest_interruptibility_state) | INTERRUPTIBILITY_nmi);
	inject_exception(VECTOR_GP, true, (u32)vmread(ENC_vm_exit_interruption_error_code));
	l1_combine_faults(cpu, event);
}

/* SDM "MOV - Move to/from Control Registers": refused whatever the other bits are. */
static bool cr0_consistent(u64 value)
{
	return !((value & CR0_PG) && !(value & CR0_PE)) && !((value & CR0_NW) && !(value & CR0_CD));
}

static void to_cr0(struct cpu *cpu, u64 value)
{
	if (cr0_consistent(value) &&
	    cr_allowed(cpu, value, MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR0_FIXED1))
		run_again(cpu, ENC_guest_cr0, ENC_cr0_read_shadow, value);
	else
		inject_gp();
}

static void to_cr4(struct cpu *cpu, u64 value)
{
	if (cr_allowed(cpu, value, MSR_IA32_VMX_CR4_FIXED0, MSR_IA32_VMX_CR4_FIXED1))
		run_again(cpu, ENC_guest_cr4, ENC_cr4_read_shadow, value);
	else
		inject_gp();
}

void l1_cr_exit(struct cpu *cpu)
{
	u64 qualification = vmread(ENC_exit_qualification);
	unsigned cr = CR_NUMBER(qualification);

	if (l1_cpl() != 0 && CR_ACCESS(qualification) == CR_MOV_TO)
		inject_gp();
	else if (CR_ACCESS(qualification) == CR_MOV_TO && cr == 0)
		to_cr0(cpu, cr_mov_source(cpu, qualification));
	else if (CR_ACCESS(qualification) == CR_MOV_TO && cr == 4)
		to_cr4(cpu, cr_mov_source(cpu, qualification));
	else if (CR_ACCESS(qualification) == CR_LMSW)
		to_cr0(cpu, (l1_cr0() & ~LMSW_BITS) | (CR_LMSW_SOURCE(qualification) & LMSW_BITS));
	else
		exit_unexpected(cpu, "vmcs01 asks for no such control-register access");
}
