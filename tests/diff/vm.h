/*
 * The guests of a case: each has a VMCS, 64 KiB of memory that L2 sees at linear and, with EPT, physical address 0, and
 * a program of short pieces. Nothing else of L1's memory can be reached from L2, whatever its state becomes: with EPT,
 * no other page is mapped; without it, L2 can neither change its page tables nor which ones are used.
 */
#ifndef DIFF_VM_H
#define DIFF_VM_H

#include "tests/conform/lib/l2.h"

enum vm_mode { VM_64, VM_COMPATIBILITY, VM_PAE, VM_32, VM_V8086, VM_UNPAGED, VM_REAL, VM_MODES };
extern const char *const vm_mode_name[VM_MODES];

/* The pages of L2's memory. */
enum vm_page {
	PAGE_IDT,
	PAGE_GDT, /* and the TSS */
	PAGE_HANDLERS,
	PAGE_CODE,
	PAGE_STACK = 5,
	PAGE_DATA,
	PAGE_TABLES = 8,
	PAGE_APIC = 12,
	PAGE_READ_ONLY,
	PAGE_MORE,
	PAGE_ABSENT, /* from EPT12 */
	VM_PAGES,
};
#define VM_ADDRESS(page) ((page) * PAGE_SIZE)
/* The linear addresses from here on are other views of the same pages, some of them wrong. */
#define VM_VIEWS VM_PAGES
#define VM_LINEAR_PAGES (4 * VM_PAGES)

enum { VMS = 4, PIECES = 14, PIECE_SIZE = 128 };
#define HANDLER_SIZE 16

struct vm {
	enum vm_mode mode;
	unsigned ring;
	bool ept, launched;
	bool watched; /* the preemption timer ends what does not end by itself */
	u64 physical; /* L2-physical address of its memory */
	unsigned piece;
	struct guest_registers registers;
};

/* Pages that a VMCS points to, out of L2's reach. */
enum vm_control_page {
	CONTROL_MSR_BITMAP,
	CONTROL_IO_BITMAP_A,
	CONTROL_IO_BITMAP_B,
	CONTROL_VIRTUAL_APIC,
	CONTROL_VE_INFORMATION,
	CONTROL_EPTP_LIST,
	CONTROL_LISTS,
	CONTROL_PAGES,
};
/* Where the MSR lists lie in their page. */
enum { LIST_ENTRY_LOAD = 0, LIST_EXIT_STORE = 1024, LIST_EXIT_LOAD = 2048, LIST_LENGTH = 4 };

extern struct vm vms[VMS];

unsigned vm_number(const struct vm *vm);
u8 *vm_page(const struct vm *vm, enum vm_page page);
u8 *vm_control_page(const struct vm *vm, enum vm_control_page page);
void *vm_region(const struct vm *vm);
u64 vm_eptp(const struct vm *vm);
/* The EPT entry of a page of its memory. */
u64 *vm_ept_entry(const struct vm *vm, unsigned page);
bool vm_is_paged(const struct vm *vm);
/* Of the code that it runs: 16, 32 or 64. */
unsigned vm_code_bits(const struct vm *vm);
u64 vm_capabilities(void);

/* Memory that all guests of a case share. */
void vm_start_case(void);
/* A random guest: its memory, its tables, and a valid VMCS, which becomes current. */
void vm_make(struct vm *vm);
/* Goes on with the next piece of the program in a state that is as good as at first. */
void vm_next_piece(struct vm *vm);
/* All of its VMCS, and the checksums of all that L2 or the CPU may have written to. */
void vm_note_end(const struct vm *vm);
/* VMPTRLD */
void vm_use(const struct vm *vm);

#endif
