#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/task.h"
#include "vmx.h"

#define FILLER 0x5a
#define RIGHTS(type, dpl) (AR_P | AR_S | (type) | (dpl) << AR_DPL_SHIFT)
enum { READ_ONLY = 0, READ_WRITE = 2, EXECUTE_ONLY = 8, EXECUTE_READ = 10, CONFORMING = 14, CONFORMING_ONLY = 12 };

static const struct task example = {
	.cr3 = 0x11223000, .eip = 0x12345678, .eflags = 0x00024002,
	.gpr = { 0xa0010203, 0xa1010203, 0xa2010203, 0xa3010203, 0xa4010203, 0xa5010203, 0xa6010203, 0xa7010203 },
	.selector = { 0x10, 0x18, 0x20, 0x28, 0x30, 0x38 }, .ldt = 0x40, .trap = true,
};

static void test_save_wide(void **state)
{
	u8 tss[0x68];

	(void)state;
	memset(tss, FILLER, sizeof(tss));
	tss_save(tss, true, &example);
	for (unsigned i = 0; i < 0x20; i++)
		assert_int_equal(tss[i], FILLER);
	assert_memory_equal(tss + 0x20, "\x78\x56\x34\x12\x02\x40\x02\x00\x03\x02\x01\xa0", 12);
	assert_memory_equal(tss + 0x44, "\x03\x02\x01\xa7\x10\x00\x5a\x5a\x18\x00\x5a\x5a", 12);
	assert_memory_equal(tss + 0x5c, "\x38\x00\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a", 12);
	assert_int_equal(tss_layout(true)->saved_start, 0x20);
	assert_int_equal(tss_layout(true)->saved_end, 0x60);
	assert_int_equal(tss_layout(true)->size, 0x68);
}

static void test_save_narrow(void **state)
{
	u8 tss[0x2c];

	(void)state;
	memset(tss, FILLER, sizeof(tss));
	tss_save(tss, false, &example);
	for (unsigned i = 0; i < 0x0e; i++)
		assert_int_equal(tss[i], FILLER);
	assert_memory_equal(tss + 0x0e, "\x78\x56\x02\x40\x03\x02\x03\x02", 8);
	assert_memory_equal(tss + 0x20, "\x03\x02\x10\x00\x18\x00\x20\x00\x28\x00\x5a\x5a", 12);
	assert_int_equal(tss_layout(false)->saved_start, 0x0e);
	assert_int_equal(tss_layout(false)->saved_end, 0x2a);
	assert_int_equal(tss_layout(false)->size, 0x2c);
}

static void test_load(void **state)
{
	u8 tss[0x68];
	struct task task;

	(void)state;
	memset(tss, 0, sizeof(tss));
	tss_save(tss, true, &example);
	memcpy(tss + 0x1c, "\x00\x30\x22\x11", 4);
	tss[0x60] = 0x40;
	tss[0x64] = 1;
	tss_load(tss, true, &task);
	assert_memory_equal(&task, &example, sizeof(task));
	tss[0x64] = 0xfe;
	tss_load(tss, true, &task);
	assert_false(task.trap);

	tss_save(tss, false, &example);
	tss[0x2a] = 0x48;
	tss[0x2b] = 0;
	tss_load(tss, false, &task);
	assert_int_equal(task.eip, 0x5678);
	assert_int_equal(task.eflags, 0x4002);
	assert_int_equal(task.gpr[7], 0xffff0203);
	assert_int_equal(task.selector[SEGMENT_ds], 0x28);
	assert_int_equal(task.selector[SEGMENT_fs], 0);
	assert_int_equal(task.ldt, 0x48);
	assert_false(task.trap);
}

static void test_descriptor(void **state)
{
	struct segment_state flat = descriptor_decode(0x12cf9a345678ffffull);
	struct segment_state small = descriptor_decode(0x0041e20000000123);

	(void)state;
	assert_int_equal(flat.base, 0x12345678);
	assert_int_equal(flat.limit, 0xffffffff);
	assert_int_equal(flat.access_rights, 0xc09a);
	assert_int_equal(small.base, 0);
	assert_int_equal(small.limit, 0x10123);
	assert_int_equal(small.access_rights, 0x40e2);
}

static void test_segments(void **state)
{
	static const struct {
		enum segment which;
		u16 selector, cs;
		u32 rights;
		int vector;
	} cases[] = {
		{ SEGMENT_ss, 0x10, 0x08, RIGHTS(READ_WRITE, 0), -1 },
		{ SEGMENT_ss, 0x13, 0x0b, RIGHTS(READ_WRITE, 3), -1 },
		{ SEGMENT_ss, 0x10, 0x08, RIGHTS(READ_ONLY, 0), VECTOR_TS },
		{ SEGMENT_ss, 0x10, 0x08, RIGHTS(EXECUTE_READ, 0), VECTOR_TS },
		{ SEGMENT_ss, 0x10, 0x08, RIGHTS(READ_WRITE, 0) & ~AR_S, VECTOR_TS },
		{ SEGMENT_ss, 0x10, 0x08, RIGHTS(READ_WRITE, 0) & ~AR_P, VECTOR_SS },
		{ SEGMENT_ss, 0x13, 0x08, RIGHTS(READ_WRITE, 3) & ~AR_P, VECTOR_SS },
		{ SEGMENT_ss, 0x11, 0x08, RIGHTS(READ_WRITE, 0), VECTOR_TS },
		{ SEGMENT_ss, 0x10, 0x0b, RIGHTS(READ_WRITE, 0), VECTOR_TS },
		{ SEGMENT_cs, 0x08, 0x08, RIGHTS(EXECUTE_ONLY, 0), -1 },
		{ SEGMENT_cs, 0x0b, 0x0b, RIGHTS(EXECUTE_ONLY, 0), VECTOR_TS },
		{ SEGMENT_cs, 0x0b, 0x0b, RIGHTS(CONFORMING, 0), -1 },
		{ SEGMENT_cs, 0x09, 0x09, RIGHTS(CONFORMING, 2), VECTOR_TS },
		{ SEGMENT_cs, 0x08, 0x08, RIGHTS(READ_WRITE, 0), VECTOR_TS },
		{ SEGMENT_cs, 0x08, 0x08, RIGHTS(EXECUTE_READ, 0) & ~AR_S, VECTOR_TS },
		{ SEGMENT_cs, 0x08, 0x08, RIGHTS(EXECUTE_READ, 0) & ~AR_P, VECTOR_NP },
		{ SEGMENT_ds, 0x10, 0x08, RIGHTS(READ_ONLY, 0), -1 },
		{ SEGMENT_es, 0x10, 0x08, RIGHTS(EXECUTE_READ, 0), -1 },
		{ SEGMENT_fs, 0x10, 0x08, RIGHTS(EXECUTE_ONLY, 0), VECTOR_TS },
		{ SEGMENT_gs, 0x10, 0x08, RIGHTS(CONFORMING_ONLY, 0), VECTOR_TS },
		{ SEGMENT_ds, 0x13, 0x08, RIGHTS(READ_WRITE, 2), VECTOR_TS },
		{ SEGMENT_ds, 0x10, 0x0b, RIGHTS(READ_WRITE, 2), VECTOR_TS },
		{ SEGMENT_ds, 0x13, 0x0b, RIGHTS(CONFORMING, 0), -1 },
		{ SEGMENT_ds, 0x10, 0x08, RIGHTS(READ_WRITE, 0) & ~AR_S, VECTOR_TS },
		{ SEGMENT_ds, 0x10, 0x08, RIGHTS(READ_WRITE, 0) & ~AR_P, VECTOR_NP },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		if (task_segment_check(cases[i].which, cases[i].selector, cases[i].cs, (u32)cases[i].rights) !=
		    cases[i].vector)
			fail_msg("case %u", i);
	assert_int_equal(task_ldt_check(0x40, AR_LDT), -1);
	assert_int_equal(task_ldt_check(0x44, AR_LDT), VECTOR_TS);
	assert_int_equal(task_ldt_check(0x40, AR_LDT & ~AR_P), VECTOR_TS);
	assert_int_equal(task_ldt_check(0x40, AR_LDT | AR_S), VECTOR_TS);
	assert_int_equal(task_ldt_check(0x40, AR_TSS64_BUSY), VECTOR_TS);
}

static u32 exception(enum x86_vector vector)
{
	return (u32)INTR_VALID | INTR_hardware_exception << INTR_TYPE_SHIFT | vector;
}

/* SDM "Interrupt 8---Double Fault Exception (#DF)", the table of two exceptions. */
static void test_double_faults(void **state)
{
	static const enum x86_vector contributory[] = { VECTOR_DE, VECTOR_TS, VECTOR_NP, VECTOR_SS, VECTOR_GP };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(contributory); i++) {
		enum x86_vector first = contributory[i];

		for (unsigned j = 0; j < ARRAY_SIZE(contributory); j++)
			assert_int_equal(fault_during_event(exception(first), contributory[j]), FAULT_double);
		assert_int_equal(fault_during_event(exception(first), VECTOR_PF), FAULT_itself);
		assert_int_equal(fault_during_event(exception(first), VECTOR_UD), FAULT_itself);
		assert_int_equal(fault_during_event(exception(VECTOR_PF), first), FAULT_double);
		assert_int_equal(fault_during_event(exception(VECTOR_UD), first), FAULT_itself);
		assert_int_equal(fault_during_event(exception(VECTOR_DF), first), FAULT_shutdown);
		assert_int_equal(fault_during_event(first, first), FAULT_itself);
		assert_int_equal(fault_during_event((u32)INTR_VALID | INTR_external << INTR_TYPE_SHIFT | first, first),
				 FAULT_itself);
	}
	assert_int_equal(fault_during_event(exception(VECTOR_PF), VECTOR_PF), FAULT_double);
	assert_int_equal(fault_during_event(exception(VECTOR_DF), VECTOR_PF), FAULT_shutdown);
	assert_int_equal(fault_during_event(exception(VECTOR_DF), VECTOR_UD), FAULT_itself);
}

static void test_external(void **state)
{
	static const bool external[] = { [INTR_external] = true, [INTR_nmi] = true, [INTR_hardware_exception] = true,
					 [INTR_software_interrupt] = false, [INTR_privileged_software_exception] = true,
					 [INTR_software_exception] = false };

	(void)state;
	for (u32 type = 0; type < ARRAY_SIZE(external); type++)
		if (type != 1)
			assert_int_equal(event_is_external((u32)INTR_VALID | type << INTR_TYPE_SHIFT), external[type]);
	assert_false(event_is_external(INTR_external << INTR_TYPE_SHIFT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_save_wide), cmocka_unit_test(test_save_narrow), cmocka_unit_test(test_load),
		cmocka_unit_test(test_descriptor), cmocka_unit_test(test_segments),
		cmocka_unit_test(test_double_faults), cmocka_unit_test(test_external),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
