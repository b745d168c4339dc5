/*
 * enum vmx_outcome vmx_enter(struct guest_registers *registers, bool launched)
 *
 * The registers are popped on the way in and pushed on the way out: host_rsp points just past gpr[],
 * to host_stack. Interrupts are off while RSP points there, and exceptions have a stack of their own.
 */
#define VMX_FAIL_INVALID 1
#define VMX_FAIL_VALID 2
#define HOST_STACK (16 * 8)

	.text
	.globl vmx_enter, vmx_exit_point
vmx_enter:
	.irp	register, rbx, rbp, r12, r13, r14, r15
	pushq	%\register
	.endr
	movq	%rsp, HOST_STACK(%rdi)
	testb	%sil, %sil
	movq	%rdi, %rsp
	.irp	register, rax, rcx, rdx, rbx
	popq	%\register
	.endr
	leaq	8(%rsp), %rsp		/* RSP's place; ADD would change the flags */
	.irp	register, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15
	popq	%\register
	.endr
	jz	1f
	vmresume
	jmp	2f
1:	vmlaunch

	/* Only a failed entry comes here. SDM "Conventions": CF is VMfailInvalid, ZF VMfailValid. */
2:	movq	(%rsp), %rsp
	movl	$VMX_FAIL_INVALID, %eax
	jc	3f
	movl	$VMX_FAIL_VALID, %eax
	jmp	3f

vmx_exit_point:
	.irp	register, r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp
	pushq	%\register
	.endr
	leaq	-8(%rsp), %rsp
	.irp	register, rbx, rdx, rcx, rax
	pushq	%\register
	.endr
	movq	HOST_STACK(%rsp), %rsp
	xorl	%eax, %eax		/* VMX_SUCCEED */
3:	.irp	register, r15, r14, r13, r12, rbp, rbx
	popq	%\register
	.endr
	ret

	.section .note.GNU-stack, "", @progbits
