#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/bitmaps.h"
#include "vmcs_shadow/owner.h"
#include "x86.h"

/* The rules a second time, by the numbers of the SDM: a mistake has to be made twice to pass. */
enum form { FORM_none, FORM_l0, FORM_l1, FORM_unexpected, FORM_control, FORM_own_test };

struct expectation {
	enum form form;
	enum vmcs_field field;
	unsigned bit;
};

#define L0 { .form = FORM_l0 }
#define L1 { .form = FORM_l1 }
#define UNEXPECTED { .form = FORM_unexpected }
#define OWN_TEST { .form = FORM_own_test }
#define PIN(bit) { FORM_control, F_pin_based_controls, bit }
#define PROC(bit) { FORM_control, F_primary_processor_based_controls, bit }
#define PROC2(bit) { FORM_control, F_secondary_processor_based_controls, bit }

static const struct expectation expected[EXIT_REASONS] = {
	[0] = OWN_TEST, [1] = PIN(0), [2] = L1, [3] = L1,
	[4] = L1, [5] = UNEXPECTED, [6] = UNEXPECTED, [7] = PROC(2),
	[8] = PROC(22), [9] = L1, [10] = L1, [11] = L1,
	[12] = PROC(7), [13] = L1, [14] = PROC(9), [15] = PROC(11),
	[16] = PROC(12), [17] = UNEXPECTED, [18] = L1, [19] = L1,
	[20] = L1, [21] = L1, [22] = L1, [23] = L1,
	[24] = L1, [25] = L1, [26] = L1, [27] = L1,
	[28] = OWN_TEST, [29] = PROC(23), [30] = OWN_TEST, [31] = OWN_TEST,
	[32] = OWN_TEST, [33] = L1, [34] = L1, [36] = PROC(10),
	[37] = L1, [39] = PROC(29), [40] = OWN_TEST, [41] = L1,
	[43] = PROC(21), [44] = PROC2(0), [45] = PROC2(9), [46] = PROC2(2),
	[47] = PROC2(2), [48] = L0, [49] = L0, [50] = L1,
	[51] = PROC(12), [52] = PIN(6), [53] = L1, [54] = PROC2(6),
	[55] = L1, [56] = PROC2(8), [57] = PROC2(11), [58] = PROC(9),
	[59] = PROC2(13), [60] = PROC2(15), [61] = PROC2(16), [62] = PROC2(17),
	[63] = OWN_TEST, [64] = OWN_TEST, [65] = PROC2(27), [66] = L0,
	[67] = PROC(12), [68] = PROC(12), [69] = UNEXPECTED, [70] = PROC2(28),
	[72] = UNEXPECTED, [73] = UNEXPECTED, [74] = UNEXPECTED, [75] = UNEXPECTED,
	[76] = L1, [77] = L1, [78] = UNEXPECTED, [79] = UNEXPECTED,
};

static const u16 listed_reasons[] = {
#define R(number, name) number,
#include "exit_reasons.def"
#undef R
};

static const struct owner_bitmaps no_bitmaps;

static enum exit_owner owner_of(const struct vmcs12 *vmcs12, u32 reason)
{
	const struct exit_event event = { .reason = reason };

	return exit_owner(vmcs12, &event, &no_bitmaps);
}

/* Every control off, but for those given. */
static struct vmcs12 with(enum vmcs_field field, u64 value)
{
	struct vmcs12 vmcs12 = { 0 };

	vmcs12_set(&vmcs12, F_primary_processor_based_controls, PROC_activate_secondary_controls);
	if (field == F_primary_processor_based_controls)
		value |= PROC_activate_secondary_controls;
	vmcs12_set(&vmcs12, field, value);
	return vmcs12;
}

/* Every control on, but for those given: no other than the right one counts. */
static struct vmcs12 without(enum vmcs_field field, u64 value)
{
	struct vmcs12 vmcs12 = { 0 };

	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		vmcs12_set(&vmcs12, (enum vmcs_field)vmcs_control_field[group], ~0ull);
	vmcs12_set(&vmcs12, field, ~value);
	return vmcs12;
}

static void check_control(u32 reason, const struct expectation *e)
{
	struct vmcs12 on = with(e->field, BIT(e->bit)), off = without(e->field, BIT(e->bit));

	assert_int_equal(owner_of(&on, reason), OWNER_l1);
	assert_int_equal(owner_of(&off, reason), OWNER_l0);
	if (e->field != F_secondary_processor_based_controls)
		return;
	vmcs12_set(&on, F_primary_processor_based_controls, ~PROC_activate_secondary_controls);
	assert_int_equal(owner_of(&on, reason), OWNER_l0);
}

static void check_constant(u32 reason, enum exit_owner owner)
{
	struct vmcs12 off = { 0 }, on = without(F_guest_rip, 0);

	assert_int_equal(owner_of(&off, reason), owner);
	assert_int_equal(owner_of(&on, reason), owner);
}

static void every_reason_is_whose_its_control_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(listed_reasons); i++)
		assert_int_not_equal(expected[listed_reasons[i]].form, FORM_none);
	for (u32 reason = 0; reason < EXIT_REASONS; reason++) {
		const struct expectation *e = &expected[reason];

		if (e->form == FORM_control)
			check_control(reason, e);
		else if (e->form == FORM_l0)
			check_constant(reason, OWNER_l0);
		else if (e->form == FORM_l1)
			check_constant(reason, OWNER_l1);
		else if (e->form != FORM_own_test)
			check_constant(reason, OWNER_unexpected);
	}
}

static void reasons_beyond_the_list_are_unexpected(void **state)
{
	(void)state;
	check_constant(EXIT_REASONS, OWNER_unexpected);
	check_constant(0x7fff, OWNER_unexpected);
	check_constant(0xffff, OWNER_unexpected);
	/* The flags beside the basic reason do not count. */
	check_constant((u32)EXIT_REASON_ENTRY_FAILURE | 33, OWNER_l1);
}

static enum exit_owner exception(const struct vmcs12 *vmcs12, unsigned type, unsigned vector, u32 error_code)
{
	const struct exit_event event = {
		.reason = 0,
		.interruption_information = 0x80000000 | type << 8 | vector,
		.interruption_error_code = error_code,
	};

	return exit_owner(vmcs12, &event, &no_bitmaps);
}

static void exceptions_are_whose_bit_is_set(void **state)
{
	(void)state;
	for (unsigned type = 3; type <= 6; type++) {
		if (type == 4)
			continue;
		for (unsigned vector = 0; vector < 32; vector++) {
			struct vmcs12 on = with(F_exception_bitmap, BIT(vector));
			struct vmcs12 off = without(F_exception_bitmap, BIT(vector));

			assert_int_equal(exception(&on, type, vector, 0), OWNER_l1);
			assert_int_equal(exception(&off, type, vector, 0), OWNER_l0);
		}
	}
}

static void an_nmi_is_not_vector_2_of_the_bitmap(void **state)
{
	struct vmcs12 asked = with(F_pin_based_controls, PIN_nmi_exiting);
	struct vmcs12 bit = with(F_exception_bitmap, BIT(2));

	(void)state;
	assert_int_equal(exception(&asked, 2, 2, 0), OWNER_l1);
	assert_int_equal(exception(&bit, 2, 2, 0), OWNER_l0);
}

/* SDM "Exception Bitmap": error code, mask, match; equal means by the bit, else by its inverse. */
static void page_faults_go_by_mask_and_match(void **state)
{
	static const struct {
		u32 error_code, mask, match;
		bool by_bit;
	} cases[] = {
		{ 0x0, 0x0, 0x0, true },  { 0x7, 0x0, 0x0, true },   { 0x7, 0x0, 0x1, false },
		{ 0x5, 0x1, 0x1, true },  { 0x4, 0x1, 0x1, false },  { 0x4, 0x1, 0x0, true },
		{ 0xf, 0x6, 0x6, true },  { 0xd, 0x6, 0x6, false },  { 0x8000, 0x8000, 0x8000, true },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned bit = 0; bit < 2; bit++) {
			struct vmcs12 vmcs12 = with(F_exception_bitmap, bit ? BIT(14) : 0);
			bool is_l1s = cases[i].by_bit == (bit == 1);

			vmcs12_set(&vmcs12, F_page_fault_error_code_mask, cases[i].mask);
			vmcs12_set(&vmcs12, F_page_fault_error_code_match, cases[i].match);
			assert_int_equal(exception(&vmcs12, 3, 14, cases[i].error_code),
					 is_l1s ? OWNER_l1 : OWNER_l0);
		}
	/* The rule is page faults' alone. */
	for (unsigned vector = 0; vector < 32; vector++) {
		struct vmcs12 vmcs12 = with(F_page_fault_error_code_match, 1);

		if (vector != 14)
			assert_int_equal(exception(&vmcs12, 3, vector, 0), OWNER_l0);
	}
}

static enum exit_owner cr_access(const struct vmcs12 *vmcs12, u64 qualification, u64 value)
{
	const struct exit_event event = { .reason = 28, .qualification = qualification, .operand = value };

	return exit_owner(vmcs12, &event, &no_bitmaps);
}

static void writes_of_cr0_and_cr4_are_l1s_where_they_change_its_bits(void **state)
{
	static const struct {
		unsigned number;
		enum vmcs_field mask, shadow;
	} registers[] = {
		{ 0, F_cr0_guest_host_mask, F_cr0_read_shadow },
		{ 4, F_cr4_guest_host_mask, F_cr4_read_shadow },
	};
	static const struct {
		u64 mask, shadow, value;
		enum exit_owner owner;
	} cases[] = {
		{ 0, 0, ~0ull, OWNER_l0 },
		{ 0x21, 0x20, 0x20, OWNER_l0 },
		{ 0x21, 0x20, 0x20 | BIT(1), OWNER_l0 },
		{ 0x21, 0x20, 0x21, OWNER_l1 },
		{ 0x21, 0x20, 0, OWNER_l1 },
		{ BIT(31), BIT(31), 0, OWNER_l1 },
		{ BIT(63), 0, BIT(63), OWNER_l1 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(cases); j++) {
			struct vmcs12 vmcs12 = with(registers[i].mask, cases[j].mask);

			vmcs12_set(&vmcs12, registers[i].shadow, cases[j].shadow);
			assert_int_equal(cr_access(&vmcs12, registers[i].number | 3 << 8, cases[j].value),
					 cases[j].owner);
			/* Of the other register, the same means nothing. */
			assert_int_equal(cr_access(&vmcs12, registers[!i].number, cases[j].value), OWNER_l0);
		}
}

static void clts_is_l1s_where_it_has_ts_and_shows_it_set(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct vmcs12 vmcs12 = with(F_cr0_guest_host_mask, i & 1 ? BIT(3) : ~BIT(3));

		vmcs12_set(&vmcs12, F_cr0_read_shadow, i & 2 ? BIT(3) : ~BIT(3));
		assert_int_equal(cr_access(&vmcs12, 2 << 4, 0), i == 3 ? OWNER_l1 : OWNER_l0);
	}
}

static void lmsw_is_l1s_where_it_changes_a_bit_but_never_clears_pe(void **state)
{
	(void)state;
	for (unsigned mask = 0; mask < 32; mask++)
		for (unsigned i = 0; i < 1024; i++) {
			struct vmcs12 vmcs12 = with(F_cr0_guest_host_mask, mask);
			unsigned shadow = i & 31, source = i >> 5;
			bool sets_pe = (mask & 1) && (source & 1) && !(shadow & 1);
			bool changes = mask & 0xe & (source ^ shadow);

			vmcs12_set(&vmcs12, F_cr0_read_shadow, shadow);
			assert_int_equal(cr_access(&vmcs12, 3 << 4 | (u64)source << 16, 0),
					 sets_pe || changes ? OWNER_l1 : OWNER_l0);
		}
}

static void cr3_loads_are_l1s_but_for_its_targets(void **state)
{
	static const enum vmcs_field targets[] = {
		F_cr3_target_value_0, F_cr3_target_value_1, F_cr3_target_value_2, F_cr3_target_value_3,
	};

	(void)state;
	for (unsigned count = 0; count <= 5; count++) {
		struct vmcs12 vmcs12 = with(F_primary_processor_based_controls, PROC_cr3_load_exiting);

		vmcs12_set(&vmcs12, F_cr3_target_count, count);
		for (unsigned i = 0; i < 4; i++)
			vmcs12_set(&vmcs12, targets[i], 0x1000 * (i + 1));
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(cr_access(&vmcs12, 3, 0x1000 * (i + 1)),
					 i < count ? OWNER_l0 : OWNER_l1);
		assert_int_equal(cr_access(&vmcs12, 3, 0x9000), OWNER_l1);
		vmcs12_set(&vmcs12, F_primary_processor_based_controls, ~PROC_cr3_load_exiting);
		assert_int_equal(cr_access(&vmcs12, 3, 0x9000), OWNER_l0);
	}
}

static void the_other_moves_go_by_their_controls(void **state)
{
	static const struct {
		u64 qualification;
		unsigned bit;
	} cases[] = { { 3 | 1 << 4, 16 }, { 8, 19 }, { 8 | 1 << 4, 20 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmcs12 on = with(F_primary_processor_based_controls, BIT(cases[i].bit));
		struct vmcs12 off = without(F_primary_processor_based_controls, BIT(cases[i].bit));

		assert_int_equal(cr_access(&on, cases[i].qualification, 0), OWNER_l1);
		assert_int_equal(cr_access(&off, cases[i].qualification, 0), OWNER_l0);
	}
}

/* Moves of CR2 never exit; whatever the CPU reports of it, L1 has not asked for it. */
static void moves_of_other_registers_are_not_l1s(void **state)
{
	struct vmcs12 all = without(F_guest_rip, 0);

	(void)state;
	assert_int_equal(cr_access(&all, 2, ~0ull), OWNER_l0);
	assert_int_equal(cr_access(&all, 2 | 1 << 4, ~0ull), OWNER_l0);
}

static enum exit_owner io(const struct vmcs12 *vmcs12, const struct owner_bitmaps *bitmaps, u16 port,
			  unsigned size)
{
	const struct exit_event event = {
		.reason = 30,
		.qualification = (u64)port << 16 | 0x38 | (size - 1),
	};

	return exit_owner(vmcs12, &event, bitmaps);
}

static void io_goes_by_bitmaps_and_else_by_the_control(void **state)
{
	u64 a[BITMAP_WORDS] = { 0 }, b[BITMAP_WORDS] = { 0 };
	const struct owner_bitmaps bitmaps = { .io_a = a, .io_b = b };
	const struct owner_bitmaps half = { .io_a = a };
	struct vmcs12 none = with(F_guest_rip, 0);
	struct vmcs12 all = with(F_primary_processor_based_controls, PROC_unconditional_io_exiting);
	struct vmcs12 some = with(F_primary_processor_based_controls,
				  PROC_use_io_bitmaps | PROC_unconditional_io_exiting);

	(void)state;
	io_bitmap_trap(a, b, 0x3f8);
	io_bitmap_trap(a, b, 0x8001);
	assert_int_equal(io(&none, &bitmaps, 0x3f8, 1), OWNER_l0);
	assert_int_equal(io(&all, &bitmaps, 0x80, 1), OWNER_l1);
	assert_int_equal(io(&some, &bitmaps, 0x80, 1), OWNER_l0);
	assert_int_equal(io(&some, &bitmaps, 0x3f8, 1), OWNER_l1);
	assert_int_equal(io(&some, &bitmaps, 0x3f7, 1), OWNER_l0);
	assert_int_equal(io(&some, &bitmaps, 0x3f7, 2), OWNER_l1);
	assert_int_equal(io(&some, &bitmaps, 0x3f5, 4), OWNER_l1);
	assert_int_equal(io(&some, &bitmaps, 0x3f9, 4), OWNER_l0);
	assert_int_equal(io(&some, &bitmaps, 0x8001, 1), OWNER_l1);
	assert_int_equal(io(&some, &bitmaps, 0xffff, 2), OWNER_l1);
	assert_int_equal(io(&some, &half, 0x80, 1), OWNER_l1);
	assert_int_equal(io(&some, &no_bitmaps, 0x80, 1), OWNER_l1);
}

static enum exit_owner msr(const struct vmcs12 *vmcs12, const u64 *bitmap, u32 number, bool write)
{
	const struct exit_event event = { .reason = write ? 32 : 31, .msr = number };
	const struct owner_bitmaps bitmaps = { .msr = bitmap };

	return exit_owner(vmcs12, &event, &bitmaps);
}

static void msrs_go_by_the_bitmap_and_are_l1s_without(void **state)
{
	u64 bitmap[BITMAP_WORDS] = { 0 };
	struct vmcs12 none = with(F_guest_rip, 0);
	struct vmcs12 some = with(F_primary_processor_based_controls, PROC_use_msr_bitmaps);

	(void)state;
	msr_bitmap_trap(bitmap, 0x1b, false);
	msr_bitmap_trap(bitmap, 0xc0000080, true);
	for (unsigned write = 0; write < 2; write++) {
		assert_int_equal(msr(&none, bitmap, 0x10, write), OWNER_l1);
		assert_int_equal(msr(&some, bitmap, 0x10, write), OWNER_l0);
		assert_int_equal(msr(&some, bitmap, 0x1b, write), write ? OWNER_l0 : OWNER_l1);
		assert_int_equal(msr(&some, bitmap, 0xc0000080, write), write ? OWNER_l1 : OWNER_l0);
		assert_int_equal(msr(&some, bitmap, 0x4b564d00, write), OWNER_l1);
		assert_int_equal(msr(&some, NULL, 0x10, write), OWNER_l1);
	}
}

static enum exit_owner field_access(const struct vmcs12 *vmcs12, const u64 *bitmap, u64 encoding, bool write)
{
	const struct exit_event event = { .reason = write ? 25 : 23, .operand = encoding };
	const struct owner_bitmaps bitmaps = { .vmread = write ? NULL : bitmap, .vmwrite = write ? bitmap : NULL };

	return exit_owner(vmcs12, &event, &bitmaps);
}

static void field_accesses_go_by_the_bitmap_where_there_is_shadowing(void **state)
{
	u64 bitmap[BITMAP_WORDS] = { 0 };
	struct vmcs12 none = with(F_guest_rip, 0);
	struct vmcs12 some = with(F_secondary_processor_based_controls, PROC2_vmcs_shadowing);

	(void)state;
	bitmap[0x6820 / 64] = BIT(0x6820 % 64);
	for (unsigned write = 0; write < 2; write++) {
		assert_int_equal(field_access(&none, bitmap, 0x681e, write), OWNER_l1);
		assert_int_equal(field_access(&some, bitmap, 0x681e, write), OWNER_l0);
		assert_int_equal(field_access(&some, bitmap, 0x6820, write), OWNER_l1);
		assert_int_equal(field_access(&some, bitmap, 0x7fff, write), OWNER_l0);
		assert_int_equal(field_access(&some, bitmap, 0x8000, write), OWNER_l1);
		assert_int_equal(field_access(&some, bitmap, BIT(63) | 0x681e, write), OWNER_l1);
		assert_int_equal(field_access(&some, NULL, 0x681e, write), OWNER_l1);
	}
}

static void pause_is_l1s_by_either_control(void **state)
{
	struct vmcs12 none = with(F_guest_rip, 0);
	struct vmcs12 always = with(F_primary_processor_based_controls, PROC_pause_exiting);
	struct vmcs12 loops = with(F_secondary_processor_based_controls, PROC2_pause_loop_exiting);

	(void)state;
	assert_int_equal(owner_of(&none, 40), OWNER_l0);
	assert_int_equal(owner_of(&always, 40), OWNER_l1);
	assert_int_equal(owner_of(&loops, 40), OWNER_l1);
}

static void xsaves_is_l1s_where_it_saves_what_the_bitmap_has(void **state)
{
	(void)state;
	for (u32 reason = 63; reason <= 64; reason++) {
		struct exit_event event = { .reason = reason, .operand = BIT(40) | 3 };
		struct vmcs12 vmcs12 = with(F_secondary_processor_based_controls,
					    PROC2_enable_xsaves_xrstors);

		assert_int_equal(exit_owner(&vmcs12, &event, &no_bitmaps), OWNER_l0);
		vmcs12_set(&vmcs12, F_xss_exiting_bitmap, BIT(40) | 4);
		assert_int_equal(exit_owner(&vmcs12, &event, &no_bitmaps), OWNER_l1);
		event.operand = 3;
		assert_int_equal(exit_owner(&vmcs12, &event, &no_bitmaps), OWNER_l0);
		event.operand = 4;
		vmcs12_set(&vmcs12, F_secondary_processor_based_controls, ~PROC2_enable_xsaves_xrstors);
		assert_int_equal(exit_owner(&vmcs12, &event, &no_bitmaps), OWNER_l0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_reason_is_whose_its_control_says),
		cmocka_unit_test(reasons_beyond_the_list_are_unexpected),
		cmocka_unit_test(exceptions_are_whose_bit_is_set),
		cmocka_unit_test(an_nmi_is_not_vector_2_of_the_bitmap),
		cmocka_unit_test(page_faults_go_by_mask_and_match),
		cmocka_unit_test(writes_of_cr0_and_cr4_are_l1s_where_they_change_its_bits),
		cmocka_unit_test(clts_is_l1s_where_it_has_ts_and_shows_it_set),
		cmocka_unit_test(lmsw_is_l1s_where_it_changes_a_bit_but_never_clears_pe),
		cmocka_unit_test(cr3_loads_are_l1s_but_for_its_targets),
		cmocka_unit_test(the_other_moves_go_by_their_controls),
		cmocka_unit_test(moves_of_other_registers_are_not_l1s),
		cmocka_unit_test(io_goes_by_bitmaps_and_else_by_the_control),
		cmocka_unit_test(msrs_go_by_the_bitmap_and_are_l1s_without),
		cmocka_unit_test(field_accesses_go_by_the_bitmap_where_there_is_shadowing),
		cmocka_unit_test(pause_is_l1s_by_either_control),
		cmocka_unit_test(xsaves_is_l1s_where_it_saves_what_the_bitmap_has),
	};

	return cmocka_run_group_tests_name("owner", tests, NULL, NULL);
}
