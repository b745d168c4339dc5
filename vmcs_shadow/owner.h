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

/* SDM "Instructions That Cause VM Exits" and "Other Causes of VM Exits": what makes an exit of one reason L1's. */
enum exit_rule_kind { RULE_unexpected, RULE_l0, RULE_l1, RULE_control, RULE_function };
struct exit_case;
struct exit_rule {
	u8 kind;
	u8 group;
	u32 control; /* L1's if vmcs12 sets it */
	bool (*is_l1s)(const struct exit_case *exit);
};
extern const struct exit_rule exit_rules[EXIT_REASONS];

/* As far as the basic exit reason and vmcs12's controls decide it; OWNER_by_event where exit_owner() has to. */
static inline enum exit_owner exit_owner_by_reason(const struct vmcs12 *vmcs12, u32 reason)
{
	const struct exit_rule *rule;

	if (UNLIKELY(reason >= EXIT_REASONS))
		return OWNER_unexpected;
	rule = &exit_rules[reason];
	switch ((enum exit_rule_kind)rule->kind) {
	case RULE_l1:
		return OWNER_l1;
	case RULE_l0:
		return OWNER_l0;
	case RULE_control:
		return vmcs12_controls(vmcs12, (enum control_group)rule->group) & rule->control ? OWNER_l1 : OWNER_l0;
	case RULE_function:
		return OWNER_by_event;
	default:
		return OWNER_unexpected;
	}
}

/*
 * The owner by vmcs12's controls; SDM "VM Exits". For exits that L0 alone has asked for, OWNER_l0.
 * EPT violations and misconfigurations are not asked here: composition decides them (ept_merge/).
 */
enum exit_owner exit_owner(const struct vmcs12 *vmcs12, const struct exit_event *event,
			   const struct owner_bitmaps *bitmaps);

#endif
