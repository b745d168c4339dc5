#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/operand.h"

#define NO_REGISTER (-1)
#define CODE_READ 0xc09bu
#define CODE_EXECUTE_ONLY 0xc099u
#define DATA_WRITE 0xc093u
#define DATA_READ_ONLY 0xc091u
#define DATA_DOWN_32 0xc097u
#define DATA_DOWN_16 0x8097u
#define UNUSABLE 0x10000u

/* What an instruction says, and the field that the CPU makes of it by the SDM's table. */
struct instruction {
	unsigned scaling, register1, address_size, segment;
	bool is_register;
	int index, base;
	unsigned register2;
};

static u32 encode(const struct instruction *i)
{
	u32 information = i->scaling | i->register1 << 3 | i->address_size << 7 | i->segment << 15 |
			  i->register2 << 28;

	if (i->is_register)
		information |= 1 << 10;
	information |= i->index == NO_REGISTER ? 1u << 22 : (u32)i->index << 18;
	information |= i->base == NO_REGISTER ? 1u << 27 : (u32)i->base << 23;
	return information;
}

static u64 address(const struct instruction *i, u64 displacement, const u64 *gpr)
{
	static const u64 masks[] = { 0xffff, 0xffffffff, ~0ull };
	u64 sum = displacement;

	if (i->base != NO_REGISTER)
		sum += gpr[i->base];
	if (i->index != NO_REGISTER)
		sum += gpr[i->index] * (1u << i->scaling);
	return sum & masks[i->address_size];
}

static void random_instructions_decode_as_they_were_encoded(void **state)
{
	u64 random = host_seed(), gpr[GPRS];

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct instruction i = {
			.scaling = (unsigned)host_random_below(&random, 4),
			.register1 = (unsigned)host_random_below(&random, 16),
			.address_size = (unsigned)host_random_below(&random, 3),
			.segment = (unsigned)host_random_below(&random, 6),
			.is_register = host_random_percent(&random, 50),
			.index = (int)host_random_below(&random, 17) - 1,
			.base = (int)host_random_below(&random, 17) - 1,
			.register2 = (unsigned)host_random_below(&random, 16),
		};
		u64 displacement = host_random(&random);
		struct vmx_operand operand;

		for (unsigned n = 0; n < GPRS; n++)
			gpr[n] = host_random(&random);
		operand = operand_decode(encode(&i), displacement, gpr);
		assert_int_equal(operand.is_register, i.is_register);
		assert_int_equal(operand.register1, i.register1);
		assert_int_equal(operand.register2, i.register2);
		assert_int_equal(operand.segment, i.segment);
		assert_int_equal(operand.offset, address(&i, displacement, gpr));
	}
}

static void registers_are_numbered_as_in_instructions(void **state)
{
	const struct instruction i = { .address_size = 2, .index = 12, .base = 4, .scaling = 3,
				       .segment = 2 };
	u64 gpr[GPRS] = { 0 };
	struct vmx_operand operand;

	(void)state;
	gpr[GPR_rsp] = 0x1000;
	gpr[GPR_r12] = 0x20;
	operand = operand_decode(encode(&i), (u64)-8, gpr);
	assert_int_equal(operand.offset, 0x10f8);
	assert_int_equal(operand.segment, SEGMENT_ss);
}

static void segments_that_do_not_exist_stay_in_bounds(void **state)
{
	u64 gpr[GPRS] = { 0 };

	(void)state;
	for (u32 segment = 6; segment < 8; segment++)
		assert_true(operand_decode(segment << 15, 0, gpr).segment < SEGMENTS);
	assert_int_equal(operand_decode(7 << 7, ~0ull, gpr).offset, ~0ull);
}

struct linear_case {
	enum segment segment;
	u32 access_rights, limit;
	u64 base, offset;
	unsigned size;
	bool write;
	int fault; /* -1: none */
	u64 linear;
};

static void check_linear(const struct linear_case *c, bool long_mode, unsigned width)
{
	const struct vmx_operand operand = { .segment = c->segment, .offset = c->offset };
	const struct segment_state segment = { c->base, c->limit, c->access_rights };
	u64 linear = 0;

	assert_int_equal(operand_linear(&operand, &segment, c->size, c->write, long_mode, width, &linear),
			 c->fault);
	if (c->fault == -1)
		assert_int_equal(linear, c->linear);
}

static void long_mode_has_bases_of_fs_and_gs_and_no_limits(void **state)
{
	static const struct linear_case cases[] = {
		{ SEGMENT_ds, UNUSABLE, 0, 0x1000, 0x2000, 8, true, -1, 0x2000 },
		{ SEGMENT_es, 0, 0, 0x1000, 0x2000, 8, true, -1, 0x2000 },
		{ SEGMENT_cs, CODE_EXECUTE_ONLY, 0, 0x1000, 0x2000, 8, true, -1, 0x2000 },
		{ SEGMENT_ss, UNUSABLE, 0, 0x1000, 0x2000, 8, true, -1, 0x2000 },
		{ SEGMENT_fs, UNUSABLE, 0, 0x1000, 0x2000, 8, true, -1, 0x3000 },
		{ SEGMENT_gs, DATA_READ_ONLY, 0, 0x1000, 0x2000, 8, true, -1, 0x3000 },
		{ SEGMENT_gs, DATA_WRITE, 0, 0xffff888000000000, 0x10, 8, false, -1, 0xffff888000000010 },
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0x00007ffffffffff8, 8, false, -1, 0x00007ffffffffff8 },
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0x00007ffffffffff9, 8, false, VECTOR_GP, 0 },
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0x0000800000000000, 8, false, VECTOR_GP, 0 },
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0xffff7fffffffffff, 8, false, VECTOR_GP, 0 },
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0xffff800000000000, 8, false, -1, 0xffff800000000000 },
		{ SEGMENT_ss, DATA_WRITE, 0, 0, 0x0000800000000000, 8, false, VECTOR_SS, 0 },
		{ SEGMENT_fs, DATA_WRITE, 0, 0x00007fff00000000, 0xffffffff, 4, false, VECTOR_GP, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		check_linear(&cases[i], true, 48);
}

static void five_level_paging_widens_linear_addresses(void **state)
{
	static const struct linear_case cases[] = {
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0x0000800000000000, 8, false, -1, 0x0000800000000000 },
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0x0100000000000000, 8, false, VECTOR_GP, 0 },
		{ SEGMENT_ds, DATA_WRITE, 0, 0, 0xff00000000000000, 8, false, -1, 0xff00000000000000 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		check_linear(&cases[i], true, 57);
}

static void other_modes_check_limit_and_type(void **state)
{
	static const struct linear_case cases[] = {
		{ SEGMENT_ds, DATA_WRITE, 0xffffffff, 0, 0x2000, 8, true, -1, 0x2000 },
		{ SEGMENT_ds, DATA_WRITE, 0xffffffff, 0x1000, 0x2000, 8, true, -1, 0x3000 },
		{ SEGMENT_ds, DATA_WRITE, 0xffffffff, 0xfffff000, 0x2000, 8, true, -1, 0x1000 },
		{ SEGMENT_ds, DATA_WRITE, 0xffffffff, 0, 0xfffffff8, 8, true, -1, 0xfffffff8 },
		{ SEGMENT_ds, DATA_WRITE, 0xffffffff, 0, 0xfffffff9, 8, true, VECTOR_GP, 0 },
		{ SEGMENT_ss, DATA_WRITE, 0xffffffff, 0, 0xfffffff9, 8, true, VECTOR_SS, 0 },
		{ SEGMENT_ds, DATA_WRITE, 0xfff, 0, 0xff8, 8, true, -1, 0xff8 },
		{ SEGMENT_ds, DATA_WRITE, 0xfff, 0, 0xff9, 8, true, VECTOR_GP, 0 },
		{ SEGMENT_ss, DATA_WRITE, 0xfff, 0, 0xff9, 8, true, VECTOR_SS, 0 },
		{ SEGMENT_ds, UNUSABLE | DATA_WRITE, 0xffffffff, 0, 0, 8, false, VECTOR_GP, 0 },
		{ SEGMENT_ss, UNUSABLE | DATA_WRITE, 0xffffffff, 0, 0, 8, false, VECTOR_SS, 0 },
		{ SEGMENT_ds, DATA_READ_ONLY, 0xffffffff, 0, 0, 8, false, -1, 0 },
		{ SEGMENT_ds, DATA_READ_ONLY, 0xffffffff, 0, 0, 8, true, VECTOR_GP, 0 },
		{ SEGMENT_cs, CODE_READ, 0xffffffff, 0, 0, 8, false, -1, 0 },
		{ SEGMENT_cs, CODE_READ, 0xffffffff, 0, 0, 8, true, VECTOR_GP, 0 },
		{ SEGMENT_cs, CODE_EXECUTE_ONLY, 0xffffffff, 0, 0, 8, false, VECTOR_GP, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		check_linear(&cases[i], false, 48);
}

static void expand_down_segments_lie_above_their_limit(void **state)
{
	static const struct linear_case cases[] = {
		{ SEGMENT_ds, DATA_DOWN_32, 0xfff, 0, 0x1000, 8, true, -1, 0x1000 },
		{ SEGMENT_ds, DATA_DOWN_32, 0xfff, 0, 0xfff, 8, true, VECTOR_GP, 0 },
		{ SEGMENT_ss, DATA_DOWN_32, 0xfff, 0, 0xfff, 8, true, VECTOR_SS, 0 },
		{ SEGMENT_ds, DATA_DOWN_32, 0xfff, 0, 0xfffffff8, 8, true, -1, 0xfffffff8 },
		{ SEGMENT_ds, DATA_DOWN_32, 0xfff, 0, 0xfffffffc, 8, true, VECTOR_GP, 0 },
		{ SEGMENT_ds, DATA_DOWN_16, 0xfff, 0, 0xfff8, 8, true, -1, 0xfff8 },
		{ SEGMENT_ds, DATA_DOWN_16, 0xfff, 0, 0xfff9, 8, true, VECTOR_GP, 0 },
		{ SEGMENT_ds, DATA_DOWN_16, 0xfff, 0, 0x10000, 8, true, VECTOR_GP, 0 },
		/* Of code, the same bit means conforming. */
		{ SEGMENT_cs, CODE_READ | 4, 0xfff, 0, 0xff8, 8, false, -1, 0xff8 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		check_linear(&cases[i], false, 48);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_instructions_decode_as_they_were_encoded),
		cmocka_unit_test(registers_are_numbered_as_in_instructions),
		cmocka_unit_test(segments_that_do_not_exist_stay_in_bounds),
		cmocka_unit_test(long_mode_has_bases_of_fs_and_gs_and_no_limits),
		cmocka_unit_test(five_level_paging_widens_linear_addresses),
		cmocka_unit_test(other_modes_check_limit_and_type),
		cmocka_unit_test(expand_down_segments_lie_above_their_limit),
	};

	return cmocka_run_group_tests_name("operand", tests, NULL, NULL);
}
