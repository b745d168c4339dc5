/* The VMCS of a random guest: a valid one of its mode, and changes to it that can do no harm but to L2. */
#ifndef DIFF_VMCS_H
#define DIFF_VMCS_H

#include "vm.h"

/* Every field, and whether the bare CPU and L0 must agree on what it holds at any time. */
struct vmcs_field {
	const char *name;
	u16 encoding;
	bool comparable;
};
extern const struct vmcs_field vmcs_fields[];
extern const unsigned vmcs_field_count;

/* Far more instructions than any piece takes: it ends HLT, and what L2 makes of a state that no piece expects. */
#define WATCHDOG_TICKS BIT(23)
/* Bits of CR0 and CR4 that leave paging as it is; the others belong to the VMCS of a guest without EPT. */
#define CR0_PAGING (CR0_PG | CR0_PE | CR0_WP)
#define CR0_HARMLESS (CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_AM | CR0_NW | BIT(6) | BITS(63, 32))
#define CR4_PAGING (CR4_PAE | CR4_PSE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR4_HARMLESS (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_MCE | CR4_UMIP | CR4_VMXE | BIT(15) | BITS(63, 24))

/* What every field of the current VMCS holds that is comparable and there. */
void vmcs_note(void);

/* VMCLEAR, VMPTRLD and all fields: valid, with many controls at random. */
void vmcs_make_random(struct vm *vm);
/* RIP, RSP, RFLAGS, CS and SS as at first, nothing pending or blocked; goes on there. */
void vmcs_set_start(struct vm *vm, u64 rip);
/* All the guest state of its mode as at first, and on with the next piece. */
void vmcs_reset_guest(struct vm *vm);
/* What of a group of controls keeps L2 from doing harm and from running for ever, and leaves out what L0 does. */
u64 vmcs_safe_controls(const struct vm *vm, enum control_msr msr, u64 value);

/* A CR0 guest/host mask that leaves L2 the bits alone that it may not change. */
u64 vmcs_safe_cr0_mask(const struct vm *vm, u64 mask);

/* Changes a random field of the current VMCS to a random value, more often than not one at a border. */
void vmcs_change(const struct vm *vm);
/* Takes back what vmcs_change() and vmcs_inject() have done since the beginning. */
void vmcs_changes_begin(void);
void vmcs_changes_undo(void);
/* An event to inject, most of the time a possible one. */
void vmcs_inject(const struct vm *vm);

#endif
