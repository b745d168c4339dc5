/* L1's memory by linear address, as L1's own instructions would reach it. */
#ifndef TURTLES_GUEST_MEMORY_H
#define TURTLES_GUEST_MEMORY_H

#include "cpu.h"
#include "vmcs_shadow/paging.h"

/*
 * Read or write size bytes (at most a page) of L1 at a linear address with the rights of who accesses it. On a page
 * fault #PF is injected into L1 and false returned; nothing has been written then.
 */
bool l1_read_linear(enum paging_privilege privilege, u64 linear, void *to, unsigned size);
bool l1_write_linear(enum paging_privilege privilege, u64 linear, const void *from, unsigned size);
/* Would it fault? The same, but nothing is read or written. */
bool l1_probe_linear(enum paging_privilege privilege, u64 linear, unsigned size, bool write);
/*
 * The same for an instruction of whoever runs, with the rights of its privilege level. For L2 it may end in an exit to
 * L1 instead of a #PF: false, and L1 runs next.
 */
bool guest_read_linear(struct cpu *cpu, u64 linear, void *to, unsigned size);
bool guest_write_linear(struct cpu *cpu, u64 linear, const void *from, unsigned size);
bool guest_probe_linear(struct cpu *cpu, u64 linear, unsigned size, bool write);
/* L1's paging as it stands, for accesses with these rights. */
struct paging_state l1_paging(enum paging_privilege privilege);
/* What instructions have at the current privilege level. */
enum paging_privilege l1_privilege(void);

/*
 * The four entries that PAE paging keeps in registers, from the table that CR3 names. False if one of them has reserved
 * bits set. SDM "PDPTE Registers".
 */
#define PDPTES 4
bool l1_read_pdptes(u64 cr3, u64 pdpte[PDPTES]);

/*
 * Up to size bytes of the instruction that exited, whoever executed it, L1 or L2. Returns how many could be read: fewer
 * where the next page is not there.
 */
unsigned guest_fetch(struct cpu *cpu, u8 *code, unsigned size);

/* The linear address of a VMX instruction's memory operand; false if L1 was given an exception instead. */
bool l1_operand_address(const struct vmx_operand *operand, unsigned size, bool write, u64 *linear);
/* Read it, 8 or 16 bytes in words, as CPL 0 does; false if L1 was given a page fault instead. */
bool l1_read_operand(struct cpu *cpu, u64 linear, u64 *to, unsigned size);

/*
 * The same operand as L1 has it, for one who only looks: nothing is injected, and no accessed flag is set. False if the
 * instruction would fault; *to is as it was then.
 */
bool l1_peek_operand(struct cpu *cpu, void *to, unsigned size);

#endif
