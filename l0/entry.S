/*
 * u64 vmx_enter(struct cpu *cpu, bool launch): a call that returns at the next VM exit.
 *
 * struct cpu begins with the guest's registers; the stack pointer runs over them, down at an exit (the VMCS's
 * host_rsp is their end) and up at an entry. The TSC is read as near to the transitions as registers allow; what lies
 * between is told to stats.c by the two constants below, in instructions, and proved by the witness test.
 */
#define CPU_HOST_RSP 128
#define CPU_TSC_ENTRY 136
#define CPU_TSC_EXIT 144

	.text
	.globl vmx_enter
vmx_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, CPU_HOST_RSP(%rdi)
	movq	%rdi, %rsp
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	movq	%rax, CPU_TSC_ENTRY(%rdi)
	testl	%esi, %esi
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
	jnz	1f
	vmresume
	jmp	2f
1:	vmlaunch
	/* VMfail: the flags say which */
2:	movq	(%rsp), %rsp
	pushfq
	popq	%rax
	jmp	3f

	.globl vmx_exit_point
vmx_exit_point:
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
	shlq	$32, %rdx
	orq	%rdx, %rax
	movq	%rax, CPU_TSC_EXIT(%rsp)
	movq	CPU_HOST_RSP(%rsp), %rsp
	xorl	%eax, %eax
3:	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.section .note.GNU-stack, "", @progbits
