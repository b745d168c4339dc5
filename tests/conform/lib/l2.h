/* A VMX harness: VMX operation, one good VMCS, and code of the image run as L2 until its first exit. */
#ifndef CONFORM_L2_H
#define CONFORM_L2_H

#include "l1/minivisor/enter.h"
#include "probe.h"
#include "transcript.h"
#include "vmx_insn.h"

#define L2_MEMORY GIB(4) /* identity-mapped by L1's page tables, which L2 shares, and by its EPT */

enum control_msr { PIN_CTLS, PROC_CTLS, PROC2_CTLS, EXIT_CTLS, ENTRY_CTLS, CONTROL_MSRS };

/* What the exit left in the VMCS. Fields whose value the SDM leaves undefined for the reason are not observed. */
struct l2_exit {
	enum vmx_outcome outcome; /* of VMLAUNCH or VMRESUME */
	u32 error;                /* the VM-instruction error, if the outcome is VMX_FAIL_VALID */
	u32 reason;
	u64 qualification;
	u32 intr, intr_error, vectoring, vectoring_error;
	u32 length, information;
	u64 rip, rflags;
};

/* L2's registers; RSP is in the VMCS. */
extern struct guest_registers l2;

/* CODE() for L2 ends with VMCALL instead: the exit that says that the code ran to its end. */
#define L2_CODE(name, text) \
	extern const u8 name[]; \
	__asm__(".pushsection .text.l2, \"ax\"\n" #name ":\n" text "\nvmcall\nud2\n.popsection")

/* Unlocks VMX in IA32_FEATURE_CONTROL where the firmware has not, sets CR4.VMXE and the fixed bits. */
void vmx_enable(void);
/* vmx_enable() and VMXON. */
void vmx_start(void);
void *vmx_region(unsigned number);
enum { REGION_VMXON, REGION_A, REGION_B, REGIONS };

/* Controls that the CPU wants set, by the TRUE MSRs where there are such; and those that it lets be set. */
u32 controls_must(enum control_msr msr);
u32 controls_may(enum control_msr msr);
bool has_controls(enum control_msr msr, u64 controls);
extern const u16 controls_field[CONTROL_MSRS];
/* Sets controls of the current VMCS; secondary ones are activated. */
void controls_set(enum control_msr msr, u64 controls);
void controls_clear(enum control_msr msr, u64 controls);

/*
 * VMCLEAR and VMPTRLD of REGION_A and all its fields: a 64-bit L2 that shares L1's page tables, GDT, IDT and TSS, runs
 * on an EPT of its own and starts at code. Only what must exit does.
 */
void vmcs_make(const u8 *code);
/* The same in a region of the caller's, its revision written. */
void vmcs_make_in(u64 region, const u8 *code);
/* Whether the VMCS that the caller has made current was launched before. */
void l2_resumes(bool resumes);
/* VMLAUNCH, or VMRESUME if it was launched; back at the next exit. */
struct l2_exit l2_enter(void);
/* The same of whichever VMCS is current, with registers of its own: VMRESUME or VMLAUNCH. */
struct l2_exit l2_enter_with(struct guest_registers *registers, bool resume);
/* Does the SDM define the instruction length, the instruction information, of that exit? */
bool l2_exit_has_length(const struct l2_exit *exit);
bool l2_exit_has_information(const struct l2_exit *exit);

u64 l2_stack_top(void);
/* The EPT's entry for a 2 MiB page of the low 4 GiB. */
u64 *l2_ept_entry(u64 address);
/* The entries above it. */
u64 *l2_ept_pdpte(u64 address);
u64 *l2_ept_pml4e(void);
u64 l2_eptp(void);

/* The name of a basic exit reason, as exit_reasons.def has it. */
const char *reason_name(u32 reason);

/* All that the SDM defines of an exit, or how the entry failed. */
void observe_exit(const struct l2_exit *exit);
/* A case up to its observation: expectations and case_end() are left to the caller. */
struct l2_exit l2_case_begin(const char *name);

/* The case is wrong unless ... */
void expect_exit(const struct l2_exit *exit, enum exit_reason reason);
void expect_vmfail(const struct l2_exit *exit, enum vm_instruction_error error);
void expect_entry_failure(const struct l2_exit *exit, enum exit_reason reason, u64 qualification);

#endif
