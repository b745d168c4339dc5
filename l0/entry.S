/*
 * L0's loop on a CPU: into a guest, out of it at an exit, and cpu_exit() (exit.c) deals with that. vmx_run(cpu) begins
 * it, on the stack of the caller. With several CPUs it is vmx_run_among(), and exits arrive at vmx_exit_point_among.
 *
 * struct cpu begins with the guest's registers; the stack pointer runs over them, down at an exit (the VMCS's
 * host_rsp is their end) and up at an entry. Meanwhile cpu->stack is where L0's own stack begins, with the address of
 * struct cpu on it. The TSC is read as near to the transitions as registers allow; what lies between is told to stats.c
 * by two constants there, and proved by the witness test.
 *
 * An entry is a VMRESUME, unless what has to be seen to before it (cpu_attend(), cpu_prepare_among()) tells that the
 * VMCS is clear. One that the CPU refuses goes by way of vmx_refused() (exit.c), behind which L1 runs.
 *
 * With several CPUs an NMI between vmx_window_start and the entry, or before it as attention tells, must not be
 * overlooked: it may be another CPU that wants this one out of its guest. fault.c turns back an entry that has got no
 * further than this.
 */
#define CPU_STACK 128
#define CPU_TSC_ENTRY 136
#define CPU_TSC_EXIT 144
#define CPU_WISHES 152
#define CPU_ATTENTION 156

	/* Behind an exit; RDI = struct cpu. */
	.macro save_guest
	pushq	%r15
	pushq	%r14
	pushq	%r13
	pushq	%r12
	pushq	%r11
	pushq	%r10
	pushq	%r9
	pushq	%r8
	pushq	%rdi
	pushq	%rsi
	pushq	%rbp
	leaq	-8(%rsp), %rsp
	pushq	%rbx
	pushq	%rdx
	pushq	%rcx
	pushq	%rax
	rdtsc
	movl	%eax, CPU_TSC_EXIT(%rsp)
	movl	%edx, CPU_TSC_EXIT + 4(%rsp)
	movq	%rsp, %rdi
	movq	CPU_STACK(%rsp), %rsp
	.endm

	/* In: RSP = struct cpu. If the entry VMfails: RDI = struct cpu, RSI = RFLAGS, on L0's stack. */
	.macro enter_guest instruction
	rdtsc
	movl	%eax, CPU_TSC_ENTRY(%rsp)
	movl	%edx, CPU_TSC_ENTRY + 4(%rsp)
	popq	%rax
	popq	%rcx
	popq	%rdx
	popq	%rbx
	leaq	8(%rsp), %rsp
	popq	%rbp
	popq	%rsi
	popq	%rdi
	popq	%r8
	popq	%r9
	popq	%r10
	popq	%r11
	popq	%r12
	popq	%r13
	popq	%r14
	popq	%r15
	\instruction
	leaq	-CPU_STACK(%rsp), %rdi
	movq	(%rsp), %rsp
	pushfq
	popq	%rsi
	.endm

	.macro keep_stack
	pushq	%rdi
	movq	%rsp, CPU_STACK(%rdi)
	.endm

	.text
	.globl vmx_run, vmx_exit_point
vmx_run:
	keep_stack
	jmp	1f

vmx_exit_point:
	save_guest
	call	cpu_exit
1:	movq	(%rsp), %rsp
	cmpl	$0, CPU_WISHES(%rsp)
	jne	3f
2:	enter_guest vmresume
	call	vmx_refused
	jmp	1b
3:	movq	%rsp, %rdi
	movq	CPU_STACK(%rsp), %rsp
	call	cpu_attend
	movq	(%rsp), %rsp
	testb	%al, %al
	jz	2b
	enter_guest vmlaunch
	call	vmx_refused
	jmp	1b

	.globl vmx_run_among, vmx_exit_point_among, vmx_entry_abandoned, vmx_window_start, vmx_window_end
vmx_run_among:
	keep_stack
	call	cpu_prepare_among
	jmp	4f

vmx_exit_point_among:
	save_guest
	call	cpu_exit_among
4:	movq	(%rsp), %rsp
vmx_window_start:
	cmpb	$0, CPU_ATTENTION(%rsp)
	jne	6f
	testb	%al, %al
	jnz	5f
	enter_guest vmresume
	jmp	vmx_window_end
5:	enter_guest vmlaunch
vmx_window_end:
	call	vmx_refused
	xorl	%eax, %eax
	jmp	4b
6:	movq	%rsp, %rdi
	movq	CPU_STACK(%rsp), %rsp
/* The NMI handler comes here with the stack and the RDI of cpu_exit_among(). */
vmx_entry_abandoned:
	call	cpu_entry_abandoned
	jmp	4b

	.section .note.GNU-stack, "", @progbits
