/* A walk of a guest's own page tables in every paging mode; SDM "Paging". */
#ifndef TURTLES_PAGING_H
#define TURTLES_PAGING_H

#include "x86.h"

/* Who accesses memory; SDM "Determination of Access Rights". */
enum paging_privilege {
	PAGING_supervisor, /* an instruction at CPL 0, 1 or 2 */
	PAGING_system,     /* the CPU itself, at a descriptor table or a TSS, whatever the CPL */
	PAGING_user,
};

struct paging_state {
	u64 cr0, cr3, cr4, efer;
	u64 pdpte[4];       /* PAE paging uses these, not memory; SDM "PAE Paging" */
	bool alignment_check; /* RFLAGS.AC, which lifts SMAP for explicit supervisor accesses */
	enum paging_privilege privilege;
	u32 pkru; /* counts with CR4.PKE */
	bool page1g;
	u8 maxphyaddr;
};

/* Read or write size (4 or 8) bytes at a physical address of the guest; false if nothing is there. */
struct paging_memory {
	void *context;
	bool (*read)(void *context, u64 address, unsigned size, u64 *entry);
	bool (*write)(void *context, u64 address, unsigned size, u64 entry);
};

enum paging_status {
	PAGING_OK,
	PAGING_FAULT,      /* the guest gets #PF with error_code */
	PAGING_UNREADABLE, /* a table lies where the guest has no memory */
};

struct paging_result {
	enum paging_status status;
	u64 address;    /* physical, of the byte asked for */
	u32 error_code; /* SDM "Page-Fault Exceptions" */
};

/*
 * Translate a linear address for a data access (write or read), setting accessed and dirty flags as
 * the CPU would. With paging off the address is its own translation.
 */
struct paging_result paging_walk(const struct paging_state *state, const struct paging_memory *memory,
				 u64 linear, bool write);

#endif
