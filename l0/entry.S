/*
 * The way into a guest and out of it: called by vmx_enter() (cpu.h), it returns at the next VM exit.
 * In: RDI = struct cpu, ESI = launch. Out: RDI = struct cpu. If the entry VMfails: vmx_entry_failed(cpu, RFLAGS), which
 * may give the CPU back to resume L1.
 * No other register survives: they are the guest's meanwhile.
 *
 * struct cpu begins with the guest's registers; the stack pointer runs over them, down at an exit (the VMCS's
 * host_rsp is their end) and up at an entry. The TSC is read as near to the transitions as registers allow; what lies
 * between is told to stats.c by two constants there, and proved by the witness test.
 *
 * An NMI between vmx_window_start and the entry, or before it as attention tells, must not be overlooked: it may be
 * another CPU that wants this one out of its guest. fault.c turns back an entry that has got no further than this.
 */
#define CPU_HOST_RSP 128
#define CPU_TSC_ENTRY 136
#define CPU_TSC_EXIT 144
#define CPU_TRACE_TICKS 152
#define CPU_ATTENTION 160
#define CPU_ABANDONED 161

	.text
	.globl vmx_transition, vmx_transition_kickable
vmx_transition_kickable:
	movq	%rsp, CPU_HOST_RSP(%rdi)
vmx_window_start:
	cmpb	$0, CPU_ATTENTION(%rdi)
	jne	vmx_entry_abandoned
vmx_transition:
	movq	%rsp, CPU_HOST_RSP(%rdi)
	movq	%rdi, %rsp
	rdtsc
	movl	%eax, CPU_TSC_ENTRY(%rdi)
	movl	%edx, CPU_TSC_ENTRY + 4(%rdi)
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
vmx_window_end:
2:	leaq	-CPU_HOST_RSP(%rsp), %rdi
	movq	(%rsp), %rsp
	pushfq
	popq	%rsi
	call	vmx_entry_failed
	movq	%rax, %rdi		/* L1 goes on */
	xorl	%esi, %esi
	jmp	vmx_transition

/* The NMI handler comes here with the stack and the RDI of the caller. */
	.globl vmx_entry_abandoned, vmx_window_start, vmx_window_end
vmx_entry_abandoned:
	movb	$1, CPU_ABANDONED(%rdi)
	ret

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
	movl	%eax, CPU_TSC_EXIT(%rsp)
	movl	%edx, CPU_TSC_EXIT + 4(%rsp)
	movq	%rsp, %rdi
	movq	CPU_HOST_RSP(%rsp), %rsp
	ret

/*
 * The same with a hook of trace.c before and behind. What of it falls between the readings of the TSC is measured, and
 * the rest of the instructions that are not there without a trace are these: the first RDTSC, and behind the second
 * what takes its sum, with the CALL or RET at the end.
 */
#define TICKS_BESIDE 8

	.macro TICKS_BEGIN
	rdtsc
	shlq	$32, %rdx
	orq	%rax, %rdx
	pushq	%rdx
	.endm

	.macro TICKS_END
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	popq	%rdx
	subq	%rdx, %rax
	addq	$TICKS_BESIDE, %rax
	addq	%rax, CPU_TRACE_TICKS(%rdi)
	.endm

	.macro TRACED transition
	.globl \transition\()_traced
\transition\()_traced:
	TICKS_BEGIN
	pushq	%rdi
	pushq	%rsi
	call	trace_entering
	popq	%rsi
	popq	%rdi
	TICKS_END
	call	\transition
	TICKS_BEGIN
	pushq	%rdi
	call	trace_exited
	popq	%rdi
	TICKS_END
	ret
	.endm

	TRACED vmx_transition
	TRACED vmx_transition_kickable

	.section .note.GNU-stack, "", @progbits
