#include "entry.h"

static bool control_offered(const struct change *change)
{
	for (unsigned msr = 0; msr < CONTROL_MSRS; msr++)
		if (controls_field[msr] == change->field && change->kind == CHANGE_SET)
			return has_controls((enum control_msr)msr, change->value);
	return true;
}

bool changes_offered(const struct change *changes, unsigned count)
{
	u64 value;

	for (unsigned i = 0; i < count && changes[i].kind != CHANGE_NONE; i++)
		if (vmread_checked(changes[i].field, &value) != VMX_SUCCEED || !control_offered(&changes[i]))
			return false;
	return true;
}

static void apply_one(const struct change *change)
{
	u64 old = vmread(change->field);

	if (change->kind == CHANGE_TO)
		vmwrite(change->field, change->value);
	else if (change->kind == CHANGE_SET)
		vmwrite(change->field, old | change->value);
	else
		vmwrite(change->field, old & ~change->value);
}

void changes_apply(const struct change *changes, unsigned count)
{
	for (unsigned i = 0; i < count && changes[i].kind != CHANGE_NONE; i++)
		apply_one(&changes[i]);
}

void expect_end(const struct l2_exit *exit, enum entry_end end)
{
	static const u8 qualification[] = { [FAILS_GUEST] = ENTRY_FAIL_general,
					    [FAILS_PDPTE] = ENTRY_FAIL_pdpte,
					    [FAILS_NMI] = ENTRY_FAIL_nmi_injection,
					    [FAILS_LINK] = ENTRY_FAIL_vmcs_link_pointer };

	switch (end) {
	case ENTERS:
		expect_exit(exit, REASON_vmcall);
		break;
	case FAILS_CONTROL:
		expect_vmfail(exit, VMERR_entry_invalid_control_fields);
		break;
	case FAILS_HOST:
		expect_vmfail(exit, VMERR_entry_invalid_host_state);
		break;
	case EXITS:
		if (exit->outcome != VMX_SUCCEED || exit->reason & EXIT_REASON_ENTRY_FAILURE)
			wrong("the entry must not fail");
		break;
	default:
		expect_entry_failure(exit, REASON_entry_failure_guest_state, qualification[end]);
	}
}

static void entry_case(const u8 *code, const struct entry_case *row)
{
	struct l2_exit exit;

	case_begin("%s", row->name);
	vmcs_make(code);
	if (changes_offered(row->changes, CHANGES)) {
		changes_apply(row->changes, CHANGES);
		exit = l2_enter();
		observe_exit(&exit);
		expect_end(&exit, row->end);
	} else {
		observe("not offered");
	}
	case_end();
}

void entry_cases(const u8 *code, const struct entry_case *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		entry_case(code, &rows[i]);
}
