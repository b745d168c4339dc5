/* What the entry checks are written with: a rule that is required, and the first that failed. */
#ifndef TURTLES_CHECK_H
#define TURTLES_CHECK_H

#include "entry_check.h"
#include "x86.h"

/* One run of checks: what they read, and what failed. */
struct check {
	const struct vmcs12 *vmcs12;
	const struct vmx_capabilities *caps12;
	enum vmcs_field field;
	const char *rule;
};

static inline u64 check_get(const struct check *c, enum vmcs_field field)
{
	return vmcs12_get(c->vmcs12, field);
}

static inline bool check_uses(const struct check *c, enum control_group group, u64 control)
{
	return vmcs12_controls(c->vmcs12, group) & control;
}

/* Whether the rule holds; if not, it is what failed. */
static inline bool require(struct check *c, bool holds, enum vmcs_field field, const char *rule)
{
	if (LIKELY(holds))
		return true;
	c->field = field;
	c->rule = rule;
	return false;
}

static inline bool fits_width(const struct check *c, u64 address)
{
	return !(address >> c->caps12->maxphyaddr);
}

static inline bool check_page(struct check *c, enum vmcs_field field)
{
	return require(c, IS_ALIGNED(check_get(c, field), PAGE_SIZE), field, "4 KiB alignment") &&
	       require(c, fits_width(c, check_get(c, field)), field, "physical-address width");
}

static inline struct entry_verdict verdict(const struct check *c, bool passed, enum entry_result failure,
					    u32 number)
{
	if (LIKELY(passed))
		return (struct entry_verdict){ ENTRY_ok, 0, VMCS_FIELDS, NULL };
	return (struct entry_verdict){ failure, number, c->field, c->rule };
}

#endif
