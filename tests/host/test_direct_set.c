/* The fields that L1 reaches without an exit: what may be among them, and that what is learned costs least. */
#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/direct_set.h"

#define EXITS 1000

/* What direct_set.c says each thing costs. */
enum { TRAP = 240, FETCH = 12, PUBLISH = 12, COLLECT = 8 };

static struct field_set every_field(void)
{
	struct field_set set = { { 0 } };

	for (unsigned f = 0; f < VMCS_FIELDS; f++)
		field_set_add(&set, (enum vmcs_field)f);
	return set;
}

static void impossible_fields_are_in_no_set(void **state)
{
	struct field_set host = every_field(), offered = every_field(), possible;
	struct direct_set all, fixed;

	(void)state;
	field_set_remove(&host, F_pml_index);
	field_set_remove(&offered, F_tsc_multiplier);
	possible = direct_set_possible(&host, &offered);
	all = direct_set_all(&possible);
	fixed = direct_set_fixed(&possible);
	for (unsigned f = 0; f < VMCS_FIELDS; f++) {
		bool is_possible = f != F_pml_index && f != F_tsc_multiplier && f != F_vm_instruction_error;

		assert_int_equal(field_set_has(&all.read, (enum vmcs_field)f), is_possible);
		assert_int_equal(field_set_has(&all.written, (enum vmcs_field)f), is_possible);
	}
	assert_false(field_set_has(&fixed.read, F_pml_index));
}

static void the_fixed_set_is_what_is_hot(void **state)
{
	struct field_set possible = every_field();
	struct direct_set fixed = direct_set_fixed(&possible);

	(void)state;
	assert_true(field_set_has(&fixed.read, F_exit_reason));
	assert_true(field_set_has(&fixed.read, F_guest_rip) && field_set_has(&fixed.written, F_guest_rip));
	assert_false(field_set_has(&fixed.written, F_exit_reason));
	assert_false(field_set_has(&fixed.read, F_guest_gdtr_base));
	for (unsigned f = 0; f < VMCS_FIELDS; f++)
		if (field_set_has(&fixed.written, (enum vmcs_field)f))
			assert_true(field_set_has(&fixed.read, (enum vmcs_field)f));
}

static u64 cost_to_read(enum vmcs_field f)
{
	unsigned type = vmcs_field[f].encoding >> 10 & 3;

	if (type == 2)
		return (vmcs_field[f].hot & HOT_R ? 0 : FETCH) + PUBLISH;
	return type == 1 ? PUBLISH : 0;
}

/* What a field costs if L1 accesses it so often, in a set that has it for reading and for writing or not. */
static u64 cost(enum vmcs_field f, u64 reads, u64 writes, bool read, bool written)
{
	return (read ? EXITS * cost_to_read(f) : reads * TRAP) + (written ? EXITS * COLLECT : writes * TRAP);
}

static u64 least_cost(enum vmcs_field f, u64 reads, u64 writes)
{
	u64 none = cost(f, reads, writes, false, false), read = cost(f, reads, writes, true, false);
	u64 both = cost(f, reads, writes, true, true);

	if (read < none)
		none = read;
	return both < none ? both : none;
}

/* The three ways are tried by hand for each field, with counts on both sides of what pays. */
static void what_is_learned_costs_least(void **state)
{
	static const u32 counts[] = { 0, 1, 20, 40, 60, 90, 120, 200, 1000 };
	struct field_set possible = every_field();
	struct field_accesses before, now;

	(void)state;
	memset(&before, 0xff, sizeof(before)); /* counters that are about to wrap */
	for (unsigned r = 0; r < ARRAY_SIZE(counts); r++)
		for (unsigned w = 0; w < ARRAY_SIZE(counts); w++) {
			struct direct_set set = { 0 };

			for (unsigned f = 0; f < VMCS_FIELDS; f++) {
				now.read[f] = before.read[f] + counts[r];
				now.written[f] = before.written[f] + counts[w];
			}
			direct_set_learn(&set, &possible, &before, &now, EXITS);
			for (unsigned i = 0; i < VMCS_FIELDS; i++) {
				enum vmcs_field f = (enum vmcs_field)i;
				bool read = field_set_has(&set.read, f), written = field_set_has(&set.written, f);

				assert_true(read || !written);
				assert_true(cost(f, counts[r], counts[w], read, written) ==
					    least_cost(f, counts[r], counts[w]));
			}
		}
}

static void what_the_set_has_stays(void **state)
{
	static const struct field_accesses none;
	struct field_set possible = every_field();
	struct direct_set set = direct_set_fixed(&possible), same = set;
	struct field_accesses now = { .written[F_exit_reason] = EXITS };

	(void)state;
	direct_set_learn(&set, &possible, &none, &none, EXITS);
	assert_true(direct_set_equal(&set, &same));
	/* One that is read directly but written by exits becomes one that is written directly as well. */
	direct_set_learn(&set, &possible, &none, &now, EXITS);
	assert_false(direct_set_equal(&set, &same));
	field_set_add(&same.written, F_exit_reason);
	assert_true(direct_set_equal(&set, &same));
}

static void only_possible_fields_are_learned(void **state)
{
	static const struct field_accesses none;
	struct field_set host = every_field(), possible;
	struct direct_set set = { 0 };
	struct field_accesses now;

	(void)state;
	field_set_remove(&host, F_guest_rip);
	possible = direct_set_possible(&host, &host);
	memset(&now, 0x7f, sizeof(now));
	direct_set_learn(&set, &possible, &none, &now, EXITS);
	assert_false(field_set_has(&set.read, F_guest_rip));
	assert_false(field_set_has(&set.read, F_vm_instruction_error));
	assert_true(field_set_has(&set.read, F_guest_rsp));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_fields_are_in_no_set),
		cmocka_unit_test(the_fixed_set_is_what_is_hot),
		cmocka_unit_test(what_is_learned_costs_least),
		cmocka_unit_test(what_the_set_has_stays),
		cmocka_unit_test(only_possible_fields_are_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
