/* Whose is an exit from L2: L0's own business, or L1's by its vmcs12? */
#ifndef TURTLES_OWNER_H
#define TURTLES_OWNER_H

#include "vmcs12.h"

enum exit_owner {
	OWNER_l0,
	OWNER_l1,
	OWNER_unexpected, /* nothing that L1 was offered or L0 asks for can cause it: L0 must stop */
	OWNER_by_event,   /* of exit_owner_by_reason() alone */
};

/* An exit from L2 as the CPU reports it, with what its instruction names. */
struct exit_event {
	u32 reason; /* the exit-reason field, flags included */
	u32 interruption_information;
	u32 interruption_error_code;
	u32 instruction_information;
	u64 qualification;
	u32 msr;      /* ECX, for RDMSR and WRMSR */
	/* for CR accesses: the value written; for XSAVES and XRSTORS: EDX:EAX; for VMREAD and VMWRITE: the encoding */
	u64 operand;
};

/* L1's bitmaps as L0 can read them; NULL where vmcs12 does not use one or it is not readable. */
struct owner_bitmaps {
	const u64 *msr;
	const u64 *io_a;
	const u64 *io_b;
	const u64 *vmread;
	const u64 *vmwrite;
};

/* As far as the basic exit reason and vmcs12's controls decide it; OWNER_by_event where exit_owner() has to. */
enum exit_owner exit_owner_by_reason(const struct vmcs12 *vmcs12, u32 reason);

/*
 * The owner by vmcs12's controls; SDM "VM Exits". For exits that L0 alone has asked for, OWNER_l0.
 * EPT violations and misconfigurations are not asked here: composition decides them (ept_merge/).
 */
enum exit_owner exit_owner(const struct vmcs12 *vmcs12, const struct exit_event *event,
			   const struct owner_bitmaps *bitmaps);

#endif
