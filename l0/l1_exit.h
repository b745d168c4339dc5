/* Exits of L1, and the means to finish one. vmcs01 is current in all of these. */
#ifndef TURTLES_L1_EXIT_H
#define TURTLES_L1_EXIT_H

#include "cpu.h"


/* Give the guest whose VMCS is current an exception at its next entry. */
void inject_exception(enum x86_vector vector, bool has_error_code, u32 error_code);
/*
 * The exception just injected came up during the delivery of an event, given as IDT-vectoring information: together
 * they may be a double fault, or the end of L1.
 */
COLD void l1_combine_faults(struct cpu *cpu, u32 event);
static inline void inject_ud(void)
{
	inject_exception(VECTOR_UD, false, 0);
}
static inline void inject_gp(void)
{
	inject_exception(VECTOR_GP, true, 0);
}

/*
 * After an EPT violation that L0 has mended, whoever runs: an event whose delivery it cut short is injected again, and
 * blocking by NMI that an IRET had ended comes back, for the IRET runs again.
 */
bool ept_violation_resume(u64 qualification);

/* L1's current privilege level, and whether it is in 64-bit code. */
static inline unsigned l1_cpl(void)
{
	return vmread(ENC_guest_ss_access_rights) >> AR_DPL_SHIFT & 3;
}
static inline bool l1_in_64bit_code(void)
{
	return (vmread(ENC_guest_cs_access_rights) & AR_L) != 0;
}

/*
 * Behind an instruction: lift what held for the next one only, SDM "Guest Non-Register State"; and if RFLAGS has TF, a
 * single-step trap is due, "Pending Debug Exceptions" of that section.
 */
COLD void l1_end_instruction(u64 interruptibility, u64 rflags);

/* Go on at rip, behind an instruction that L0 has executed; RFLAGS are those it began with. */
static inline void l1_go_on_at(u64 rip, u64 rflags)
{
	u64 interruptibility = vmread(ENC_guest_interruptibility_state);

	vmwrite_sure(ENC_guest_rip, rip);
	if (UNLIKELY(interruptibility & (INTERRUPTIBILITY_sti | INTERRUPTIBILITY_mov_ss)))
		l1_end_instruction(interruptibility, rflags);
	else if (UNLIKELY(rflags & RFLAGS_TF))
		l1_end_instruction(interruptibility, rflags);
}

/* The same length bytes further. */
static inline void l1_advance_by(u64 length, u64 rflags)
{
	u64 rip = vmread(ENC_guest_rip) + length;

	if (UNLIKELY((u32)rip < (u32)length) && !l1_in_64bit_code()) /* beyond 4 GiB */
		rip = (u32)rip;
	l1_go_on_at(rip, rflags);
}

/* Go on behind the instruction that exited. */
static inline void l1_advance(u64 rflags)
{
	l1_advance_by(vmread(ENC_vm_exit_instruction_length), rflags);
}

static inline void l1_skip_instruction(void)
{
	l1_advance(vmread(ENC_guest_rflags));
}

/* Handlers; the guest may be L2 where L1 lets it do what only L0 must see. */
void l1_cpuid_exit(struct cpu *cpu);
void l1_rdmsr_exit(struct cpu *cpu);
void l1_wrmsr_exit(struct cpu *cpu);
/* RDMSR and WRMSR as L1 would execute them; false where it would get #GP. */
bool l1_rdmsr(struct cpu *cpu, u32 msr, u64 *value);
bool l1_wrmsr(struct cpu *cpu, u32 msr, u64 value);
/* Is WRMSR of it L1's alone, in the CPU, whether L1 runs or L2: neither L0 nor a VMCS has a part in it? */
bool l1_wrmsr_is_plain(u32 msr);
void l1_cr_exit(struct cpu *cpu);
void l1_exception_exit(struct cpu *cpu);
/* The value that the MOV to a control register at hand writes, whoever executes it. */
u64 cr_mov_source(const struct cpu *cpu, u64 qualification);
void l1_io_exit(struct cpu *cpu);
void l1_xsetbv_exit(struct cpu *cpu);
void l1_invd_exit(struct cpu *cpu);
void l1_getsec_exit(struct cpu *cpu);
void l1_triple_fault_exit(struct cpu *cpu);
/* Of an exit by exception or NMI: is it the latter? */
static inline bool exit_is_nmi(void)
{
	return (vmread(ENC_vm_exit_interruption_information) & INTR_TYPE) >> INTR_TYPE_SHIFT == INTR_nmi;
}
void l1_nmi_exit(struct cpu *cpu);
void l1_nmi_window_exit(struct cpu *cpu);

/* vmcs01.c */
void vmcs01_init(struct cpu *cpu);
/* L0's own state into the current VMCS, which is to run that level, as its host state. */
void vmcs_write_host_state(struct cpu *cpu, enum level level);
/* Start L1 in 32-bit protected mode as multiboot has it. */
void vmcs01_start_multiboot(struct cpu *cpu, u32 entry, u32 info);
/* In 32-bit protected mode with the segments of the Linux boot protocol; params: L1-physical, its boot_params. */
void vmcs01_start_linux(struct cpu *cpu, u32 entry, u32 params);
/* Start L1 in real mode at vector * 4 KiB, as a SIPI does. */
void vmcs01_start_real_mode(struct cpu *cpu, u8 vector);
/* Which bits of L1's CR0 and CR4 L0 keeps: more of them while L1 is in VMX operation. */
void vmcs01_update_cr_masks(struct cpu *cpu);
/* CR0 or CR4 of L1 as L1 set it: the real one, with L0's bits out of the way. */
u64 l1_cr0(void);
u64 l1_cr4(void);
void l1_set_cr0(u64 value);
void l1_set_cr4(u64 value);

/* The controls of vmcs01, which every vmcs02 must have too. */
extern u32 controls01[CONTROL_GROUPS];
/* L0's own bitmaps. The last is for VMREAD and VMWRITE: the fields that the CPU has and L1 is not offered. */
extern u64 *msr_bitmap01, *io_bitmap_a01, *io_bitmap_b01, *field_bitmap01;
void bitmaps01_init(void);

#endif
