/*
 * Starts every other CPU by a SIPI: each enters protected mode and adds itself to a count, which is printed. For
 * machines with N CPUs (command line "cpus=N", one digit). No INIT before it, so that the SIPI can be left to the
 * hardware: Bochs 2.7 never clears an INIT that has caused an exit.
 */
#include "image.h"

#define AP_PAGE 0x9000
#define APIC_SVR 0xfee000f0
#define APIC_ICR 0xfee00300
#define APIC_ICR_HIGH 0xfee00310
#define ICR_SIPI 0x4600
#define PATIENCE 3000000
#define MULTIBOOT_CMDLINE 16

	IMAGE_HEADER
main:
	movl MULTIBOOT_CMDLINE(%ebx), %esi
1:	lodsb
	testb %al, %al
	jz usage
	cmpb $'=', %al
	jne 1b
	movzbl (%esi), %eax
	subl $'1', %eax
	movl %eax, others
	movl $0x1ff, APIC_SVR
	cld
	movl $ap_start, %esi
	movl $AP_PAGE, %edi
	movl $(ap_end - ap_start), %ecx
	rep movsb

	movl others, %ecx		/* one by one: APIC IDs count from 0, the boot CPU's */
1:	movl %ecx, %eax
	shll $24, %eax
	movl %eax, APIC_ICR_HIGH
	movl $(ICR_SIPI + (AP_PAGE >> 12)), APIC_ICR
	loop 1b
	movl $PATIENCE, %ecx
2:	movl arrived, %eax
	cmpl others, %eax
	je 3f
	pause
	loop 2b
	movl $missing, %esi
	call print
	jmp failure
3:	addb $'0', %al
	movb %al, digit
	movl $text, %esi
	call print
	movl $success, %esi
	call print
	xorl %eax, %eax
	jmp end_machine

usage:	movl $wanted, %esi
	call print
failure:
	movl $failed, %esi
	call print
	movb $1, %al
	jmp end_machine

	.balign 4
others:	.long 0
arrived: .long 0
text:	.ascii "other CPUs that came up: "
digit:	.asciz "0\n"
missing: .asciz "not all of the other CPUs came up\n"
wanted:	.asciz "no cpus=N on the command line\n"
success: .asciz "turtles-verdict: success\n"
failed:	.asciz "turtles-verdict: failure\n"

#define HERE(label) (label - ap_start)
	.code16
ap_start:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl HERE(ap_gdt_pointer)
	movl $0x11, %eax
	movl %eax, %cr0
	ljmpl $0x08, $(AP_PAGE + HERE(ap_protected))
	.code32
ap_protected:
	movl $0x10, %eax
	movl %eax, %ds
	lock incl arrived
1:	pause
	jmp 1b
	.balign 8
ap_gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
ap_gdt_pointer:
	.word . - ap_gdt - 1
	.long AP_PAGE + HERE(ap_gdt)
ap_end:
