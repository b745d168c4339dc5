/* The memory and register operands of L1's VMX instructions, from what the exit tells. */
#ifndef TURTLES_OPERAND_H
#define TURTLES_OPERAND_H

#include "x86.h"

/* General-purpose registers in the order of their numbers in instructions. */
enum gpr { GPR_rax, GPR_rcx, GPR_rdx, GPR_rbx, GPR_rsp, GPR_rbp, GPR_rsi, GPR_rdi,
	   GPR_r8, GPR_r9, GPR_r10, GPR_r11, GPR_r12, GPR_r13, GPR_r14, GPR_r15, GPRS };

enum segment { SEGMENT_es, SEGMENT_cs, SEGMENT_ss, SEGMENT_ds, SEGMENT_fs, SEGMENT_gs, SEGMENTS };

struct vmx_operand {
	bool is_register;   /* the first operand is a register (VMREAD, VMWRITE) */
	enum gpr register1; /* that register */
	enum gpr register2; /* the second register operand, where the instruction has one */
	enum segment segment;
	u64 offset; /* effective address within the segment, cut to the address size */
};

/*
 * SDM "Information for VM Exits Due to Instruction Execution": the layout for VMCLEAR, VMPTRLD,
 * VMPTRST, VMXON, VMREAD, VMWRITE, INVEPT and INVVPID. displacement is the exit qualification.
 * gpr has GPRS registers, RSP among them.
 */
struct vmx_operand operand_decode(u32 instruction_information, u64 displacement, const u64 *gpr);

struct segment_state {
	u64 base;
	u32 limit;
	u32 access_rights;
};

/*
 * The linear address of size bytes at the operand, with the checks of the mode: in 64-bit mode that
 * it is canonical, else segment type and limit. Returns the exception that the CPU raises (VECTOR_GP
 * or VECTOR_SS, error code 0), or -1 and *linear. linear_width is 48, or 57 with CR4.LA57.
 */
int operand_linear(const struct vmx_operand *operand, const struct segment_state *segment, unsigned size,
		   bool write, bool long_mode, unsigned linear_width, u64 *linear);

static inline bool is_canonical(u64 address, unsigned width)
{
	return (u64)((s64)(address << (64 - width)) >> (64 - width)) == address;
}

#endif
