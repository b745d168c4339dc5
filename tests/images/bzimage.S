/*
 * A Linux kernel as far as a boot loader can tell: setup sectors with a header, and a protected-mode part that checks
 * what the loader did and prints the command line and the initrd, which must be text with a NUL at its end.
 * Linux, Documentation/x86/boot.rst.
 */
#include "image.h"

#define PREF_ADDRESS 0x1000000
#define SETUP_SIZE 1024	/* the boot sector and one more */
#define PROTOCOL 0x020f
#define LOADED_HIGH 1
#define BOOT_CS 0x10
#define BOOT_DS 0x18
#define UNKNOWN_LOADER 0xff

#define HDR_AT 0x1f1
#define MAGIC_AT 0x202
#define LOADER_AT 0x210
#define RAMDISK_AT 0x218
#define COMMAND_LINE_AT 0x228
#define E820_ENTRIES_AT 0x1e8
#define SENTINEL_AT 0x1ef
#define MAGIC 0x53726448	/* "HdrS" */

	.text
	.code32
	.global start
start:
setup:	.fill HDR_AT
	.byte SETUP_SIZE / 512 - 1	/* setup_sects */
	.word 0
	.long (image_end - protected) / 16
	.word 0, 0, 0
	.word 0xaa55
	.byte 0xeb, header_end - header_magic
header_magic:
	.long MAGIC
	.word PROTOCOL
	.long 0				/* realmode_swtch */
	.word 0, 0			/* start_sys_seg, kernel_version */
	.byte 0, LOADED_HIGH		/* type_of_loader, loadflags */
	.word 0				/* setup_move_size */
	.long PREF_ADDRESS		/* code32_start */
	.long 0, 0, 0			/* ramdisk_image, ramdisk_size, bootsect_kludge */
	.word 0
	.byte 0, 0
	.long 0				/* cmd_line_ptr */
	.long 0x7fffffff		/* initrd_addr_max */
	.long 0x200000			/* kernel_alignment */
	.byte 1, 21			/* relocatable_kernel, min_alignment */
	.word 0				/* xloadflags */
	.long 64			/* cmdline_size */
	.long 0				/* hardware_subarch */
	.quad 0
	.long 0, 0			/* payload_offset, payload_length */
	.quad 0				/* setup_data */
	.quad PREF_ADDRESS
	.long 0x100000			/* init_size */
	.long 0, 0
header_end:
	.fill SETUP_SIZE - (. - setup)

#define REQUIRE(left, right) cmpl right, left; jne failed

protected:
	movl $stack_end, %esp
	call 1f
1:	popl %eax
	REQUIRE(%eax, $(PREF_ADDRESS + 1b - protected))
	REQUIRE(%ebx, $0)
	REQUIRE(%edi, $0)
	REQUIRE(%ebp, $0)
	movl %cs, %eax
	REQUIRE(%eax, $BOOT_CS)
	movl %ds, %eax
	REQUIRE(%eax, $BOOT_DS)
	REQUIRE(MAGIC_AT(%esi), $MAGIC)
	cmpb $UNKNOWN_LOADER, LOADER_AT(%esi)
	jne failed
	cmpb $0, SENTINEL_AT(%esi)	/* else the loader copied more than the header */
	jne failed
	cmpb $3, E820_ENTRIES_AT(%esi)	/* RAM below 1 MiB and above, L0's home */
	jb failed
	movl %esi, %ebp
	movl COMMAND_LINE_AT(%ebp), %esi
	call print
	movl $new_line, %esi
	call print
	movl RAMDISK_AT(%ebp), %esi
	testl %esi, %esi
	jz 1f
	call print
1:	movl $success, %esi
	call print
	movb $0, %al
	jmp end_machine
failed:	movl $failure, %esi
	call print
	movb $1, %al
	jmp end_machine

	IMAGE_CONSOLE

new_line: .asciz "\n"
success: .asciz "turtles-verdict: success\n"
failure: .asciz "turtles-verdict: failure\n"
image_end:
