/*
 * L0's loop on a CPU: into a guest, out of it at an exit, which cpu_exit_l1() or cpu_exit_l2() (exit.c) deals with,
 * by who has exited. vmx_run(cpu) begins it, on the stack of the caller. With several CPUs it is vmx_run_among(), and
 * exits arrive at vmx_exit_point_among.
 *
 * struct cpu begins with the guest's registers; the stack pointer runs over them, down at an exit (the VMCS's
 * host_rsp is their end) and up at an entry, as far as RBP: RSP, which comes next, is in the VMCS. Meanwhile cpu->stack
 * is where L0's own stack begins, with the address of RBP's place on it. The TSC is read as near to the transitions as
 * registers allow; what lies between is told to stats.c by two constants there, and proved by the witness test.
 *
 * An entry is a VMRESUME, unless what has to be seen to before it (cpu_attend(), cpu_prepare_among()) tells that the
 * VMCS is clear. One that the CPU refuses goes by way of vmx_refused() (exit.c), behind which L1 runs.
 *
 * With several CPUs an NMI between vmx_window_start and the entry, or before it as attention tells, must not be
 * overlooked: it may be another CPU that wants this one out of its guest. fault.c turns back an entry that has got no
 * further than this.
 */
#define CPU_RAX 0
#define CPU_RCX 8
#define CPU_RDX 16
#define CPU_RBX 24
#define CPU_RBP 40
#define CPU_STACK 128
#define CPU_TSC_ENTRY 136
#define CPU_TSC_EXIT 144
#define CPU_WISHES 152
#define CPU_ATTENTION 156
#define CPU_TRACE_TICKS 160
/* A place in struct cpu, where RSP is at that of RBP. */
#define AT_RBP(offset) (offset) - CPU_RBP(%rsp)

	/* Behind an exit, onto L0's stack; RDI = struct cpu. */
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
	leaq	-CPU_RBP(%rsp), %rdi
	movq	%rbx, CPU_RBX(%rdi)
	movq	%rdx, CPU_RDX(%rdi)
	movq	%rcx, CPU_RCX(%rdi)
	movq	%rax, CPU_RAX(%rdi)
	rdtsc
	movl	%eax, CPU_TSC_EXIT(%rdi)
	movl	%edx, CPU_TSC_EXIT + 4(%rdi)
	movq	CPU_STACK(%rdi), %rsp
	.endm

	/* In: RSP at the place of RBP. If the entry VMfails: RDI = struct cpu, RSI = RFLAGS, on L0's stack. */
	.macro enter_guest instruction
	rdtsc
	movl	%eax, AT_RBP(CPU_TSC_ENTRY)
	movl	%edx, AT_RBP(CPU_TSC_ENTRY + 4)
	movq	AT_RBP(CPU_RAX), %rax
	movq	AT_RBP(CPU_RCX), %rcx
	movq	AT_RBP(CPU_RDX), %rdx
	movq	AT_RBP(CPU_RBX), %rbx
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

	/* RDI = struct cpu. */
	.macro keep_stack
	leaq	CPU_RBP(%rdi), %rax
	pushq	%rax
	movq	%rsp, CPU_STACK(%rdi)
	.endm

	/* From the place of RBP back to L0's stack; RDI = struct cpu. */
	.macro turn_back
	leaq	-CPU_RBP(%rsp), %rdi
	movq	CPU_STACK(%rdi), %rsp
	.endm

/*
 * What the trace takes is kept out of the accounts (trace.c): it is measured from one RDTSC to another, and
 * the instructions beside are counted here.
 */
#define TICKS_OF_SUM 7

	.macro ticks_begin
	rdtsc
	shlq	$32, %rdx
	orq	%rax, %rdx
	pushq	%rdx
	.endm

	.macro ticks_end beside
	rdtsc
	shlq	$32, %rdx
	orq	%rdx, %rax
	popq	%rdx
	subq	%rdx, %rax
	addq	$(TICKS_OF_SUM + \beside), %rax
	addq	%rax, CPU_TRACE_TICKS(%rdi)
	.endm

	/* The hooks of trace.c: behind an exit, on L0's stack; and before an entry, at the place of RBP. */
	.macro hook_exited
	ticks_begin
	pushq	%rdi
	call	trace_exited
	popq	%rdi
	ticks_end 0
	.endm

	.macro hook_entering
	turn_back
	ticks_begin
	pushq	%rdi
	call	trace_entering
	popq	%rdi
	ticks_end 3
	movq	(%rsp), %rsp
	.endm

	.macro no_hook
	.endm

	/* In: L0's stack. */
	.macro go_on traced, entering
	movq	(%rsp), %rsp
	cmpl	$0, AT_RBP(CPU_WISHES)
	jne	vmx_attend\traced
	\entering
	enter_guest vmresume
	call	vmx_refused
	jmp	vmx_start\traced
	.endm

	/* The loop of one CPU. */
	.macro loop traced, exited, entering
	.globl vmx_exit_point_l1\traced, vmx_exit_point_l2\traced
vmx_exit_point_l1\traced:
	save_guest
	\exited
	call	cpu_exit_l1
	go_on \traced, \entering

vmx_exit_point_l2\traced:
	save_guest
	\exited
	call	cpu_exit_l2
vmx_start\traced:
	go_on \traced, \entering

vmx_attend\traced:
	turn_back
	call	cpu_attend
	movq	(%rsp), %rsp
	testb	%al, %al
	jnz	1f
	\entering
	enter_guest vmresume
	call	vmx_refused
	jmp	vmx_start\traced
1:	\entering
	enter_guest vmlaunch
	call	vmx_refused
	jmp	vmx_start\traced
	.endm

	.text
	loop , no_hook, no_hook
	loop _traced, hook_exited, hook_entering

	.globl vmx_run
vmx_run:
	keep_stack
	jmp	vmx_start

	.globl vmx_run_among, vmx_exit_point_among, vmx_entry_abandoned, vmx_window_start, vmx_window_end
vmx_run_among:
	keep_stack
	call	cpu_prepare_among
	jmp	vmx_start_among

vmx_exit_point_among:
	save_guest
	call	cpu_exit_among
vmx_start_among:
	movq	(%rsp), %rsp
vmx_window_start:
	cmpb	$0, AT_RBP(CPU_ATTENTION)
	jne	2f
	testb	%al, %al
	jnz	1f
	enter_guest vmresume
	jmp	vmx_window_end
1:	enter_guest vmlaunch
vmx_window_end:
	call	vmx_refused
	xorl	%eax, %eax
	jmp	vmx_start_among
2:	turn_back
/* The NMI handler comes here with the stack and the RDI of cpu_exit_among(). */
vmx_entry_abandoned:
	call	cpu_entry_abandoned
	jmp	vmx_start_among

	.section .note.GNU-stack, "", @progbits
