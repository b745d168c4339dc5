/*
 * A domain of Xen's, of the type "pvh", so an L2 whose L1 is Xen: it asks CPUID and Xen itself who they are, many
 * times, writes to and reads all of its memory, and prints what came of it on Xen's debug port, which Xen writes to its
 * log. Then it shuts down. Xen, xen/include/public/arch-x86/hvm/start_info.h and docs/misc/pvh.pandoc.
 */
#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define DEBUG_PORT 0xe9

#define XEN_LEAF 0x40000000
#define XEN_LEAF_MSR 0x40000002		/* in EBX: the MSR that takes the hypercall page's address */
#define HYPERCALL_SIZE 32
#define XEN_VERSION 17			/* hypercalls */
#define SCHED_OP 29
#define VERSION 0			/* of XEN_VERSION: major and minor, 16 bits each */
#define MAJOR 4
#define SHUTDOWN 2			/* of SCHED_OP */
#define POWER_OFF 0

#define TIMES 1000
#define MEMORY_START 0x200000
#define MEMORY_END 0x0c00000		/* domain.cfg gives it 16 MiB; Xen has some of the last of them */
#define PAGE_SIZE 4096

	.section .note.xen, "a", @note
	.balign 4
	.long 2f - 1f, 4f - 3f, XEN_ELFNOTE_PHYS32_ENTRY
1:	.asciz "Xen"
2:	.balign 4
3:	.long start
4:

	.text
	.code32
	.globl start
start:	cld
	movl $stack_end, %esp
	movl $hello, %esi
	call print
	call ask_cpuid
	call ask_xen
	call fill_memory
	movl $success, %esi
	testl %ebp, %ebp
	jz 1f
	movl $failure, %esi
1:	call print
	movl $SHUTDOWN, %ebx
	movl $reason, %ecx
	call hypercall + SCHED_OP * HYPERCALL_SIZE
2:	hlt
	jmp 2b

/* EBP counts what went wrong, from here on. */
ask_cpuid:
	xorl %ebp, %ebp
	movl $TIMES, %edi
1:	movl $XEN_LEAF, %eax
	cpuid
	cmpl $0x566e6558, %ebx	/* "XenV" */
	jne 2f
	cmpl $0x65584d4d, %ecx	/* "MMXe" */
	jne 2f
	cmpl $0x4d4d566e, %edx	/* "nVMM" */
	je 3f
2:	incl %ebp
3:	decl %edi
	jnz 1b
	movl $cpuid_done, %esi
	jmp print_count

ask_xen:
	movl $XEN_LEAF_MSR, %eax
	cpuid
	movl %ebx, %ecx
	movl $hypercall, %eax
	xorl %edx, %edx
	wrmsr
	movl $TIMES, %edi
1:	movl $VERSION, %ebx
	call hypercall + XEN_VERSION * HYPERCALL_SIZE
	shrl $16, %eax
	cmpl $MAJOR, %eax
	je 2f
	incl %ebp
2:	decl %edi
	jnz 1b
	movl $xen_done, %esi
	jmp print_count

/* Each page holds its own address, up to its end, when all are written. */
fill_memory:
	movl $MEMORY_START, %edi
1:	movl %edi, (%edi)
	addl $PAGE_SIZE, %edi
	cmpl $MEMORY_END, %edi
	jb 1b
	movl $MEMORY_START, %edi
2:	cmpl %edi, (%edi)
	je 3f
	incl %ebp
3:	addl $PAGE_SIZE, %edi
	cmpl $MEMORY_END, %edi
	jb 2b
	movl $memory_done, %esi

/* The string at ESI, and EBP in hexadecimal. */
print_count:
	call print
	movl %ebp, %ebx
	movl $8, %ecx
1:	roll $4, %ebx
	movl %ebx, %eax
	andl $0xf, %eax
	movb digits(%eax), %al
	outb %al, $DEBUG_PORT
	loop 1b
	movl $wrong, %esi

print:	lodsb
	testb %al, %al
	jz 1f
	outb %al, $DEBUG_PORT
	jmp print
1:	ret

reason:	.long POWER_OFF
digits:	.ascii "0123456789abcdef"
hello:	.asciz "domain: a PVH domain starts\n"
cpuid_done: .asciz "domain: 1000 CPUIDs, "
xen_done: .asciz "domain: 1000 hypercalls, "
memory_done: .asciz "domain: 2560 pages, "
wrong:	.asciz " wrong so far\n"
success: .asciz "domain: success\n"
failure: .asciz "domain: failure\n"

	.bss
	.balign PAGE_SIZE
hypercall: .skip PAGE_SIZE
	.skip PAGE_SIZE
stack_end:
	.section .note.GNU-stack, "", @progbits
