#include <string.h>

#include "host_test.h"
#include "vmx_fake.h"

#define PATTERN 0x8899aabbccddeeffull
#define UNTOUCHED 0x7777777777777777ull

static const u16 encodings[] = {
#define F(name, encoding, use, hot) encoding,
#include "vmcs_fields.def"
#undef F
};

static const char *const names[] = {
#define F(name, encoding, use, hot) #name,
#include "vmcs_fields.def"
#undef F
};

/* What of a value a field can hold, told from the encoding alone. */
static u64 held(u16 encoding, u64 value)
{
	static const unsigned bits[] = { 16, 64, 32, 64 };
	unsigned width = bits[encoding >> 13];

	return width == 64 ? value : value & ((1ull << width) - 1);
}

static bool is_exit_information(u16 encoding)
{
	return (encoding >> 10 & 3) == 1;
}

static unsigned members(struct field_set set)
{
	unsigned count = 0;

	while (field_set_take(&set) != VMCS_FIELDS)
		count++;
	return count;
}

static void every_encoding_leads_to_its_field(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(encodings), VMCS_FIELDS);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		assert_int_equal(vmcs_field_of(encodings[i]), i);
		assert_int_equal(vmcs_field_of(encodings[i] | 1), VMCS_FIELDS);
		assert_int_equal(vmcs_field_of_half(encodings[i] | 1), i);
		assert_int_equal(vmcs_field[i].encoding, encodings[i]);
		assert_string_equal(vmcs_field[i].name, names[i]);
		assert_int_equal(vmcs_field_mask((enum vmcs_field)i), held(encodings[i], ~0ull));
		assert_int_equal(vmcs_field_width((enum vmcs_field)i), encodings[i] >> 13);
		assert_int_equal(vmcs_field_type((enum vmcs_field)i), encodings[i] >> 10 & 3);
	}
}

static void no_other_encoding_leads_anywhere(void **state)
{
	unsigned found = 0;

	(void)state;
	for (u64 encoding = 0; encoding < 0x20000; encoding++)
		found += vmcs_field_of(encoding) != VMCS_FIELDS;
	assert_int_equal(found, VMCS_FIELDS);
	for (unsigned bit = 15; bit < 64; bit++)
		for (unsigned i = 0; i < VMCS_FIELDS; i++)
			assert_int_equal(vmcs_field_of(encodings[i] | 1ull << bit), VMCS_FIELDS);
}

static void sets_known_at_build_time_have_the_bits_of_the_others(void **state)
{
	union field_bits bits;

	(void)state;
#define F(name, encoding, use, hot) \
	memset(&bits, 0, sizeof(bits)); \
	bits.has.name = 1; \
	assert_true(field_set_has(&bits.set, F_##name)); \
	assert_int_equal(members(bits.set), 1);
#include "vmcs_fields.def"
#undef F
}

static void sets_give_their_members_in_order(void **state)
{
	struct field_set set = { { 0 } }, other = { { 0 } };

	(void)state;
	assert_int_equal(field_set_take(&set), VMCS_FIELDS);
	field_set_add(&set, F_host_rip);
	field_set_add(&set, F_virtual_processor_identifier);
	field_set_add(&other, F_guest_rip);
	assert_false(field_set_intersects(&set, &other));
	field_set_unite(&set, &other);
	assert_true(field_set_intersects(&set, &other));
	field_set_remove(&set, F_host_rip);
	assert_false(field_set_has(&set, VMCS_FIELDS));
	assert_int_equal(field_set_take(&set), F_virtual_processor_identifier);
	assert_int_equal(field_set_take(&set), F_guest_rip);
	assert_int_equal(field_set_take(&set), VMCS_FIELDS);
}

static void vmwrite_then_vmread_gives_the_value_cut_to_width(void **state)
{
	struct vmx_capabilities caps12 = fake_host();

	(void)state;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		struct vmcs12 vmcs12 = { 0 };
		u64 value = UNTOUCHED;
		u32 number = 0;

		assert_int_equal(vmcs12_vmwrite(&vmcs12, &caps12, encodings[i], PATTERN, &number),
				 VMX_SUCCEED);
		assert_int_equal(vmcs12_vmread(&vmcs12, &caps12, encodings[i], &value, &number), VMX_SUCCEED);
		assert_int_equal(value, held(encodings[i], PATTERN));
		assert_int_equal(vmcs12_get(&vmcs12, (enum vmcs_field)i), value);
		assert_true(field_set_has(&vmcs12.dirty, (enum vmcs_field)i));
		assert_int_equal(members(vmcs12.dirty), 1);
	}
}

static void high_halves_are_of_64_bit_fields_alone(void **state)
{
	struct vmx_capabilities caps12 = fake_host();

	(void)state;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		struct vmcs12 vmcs12 = { 0 };
		u64 high = encodings[i] | 1, value = UNTOUCHED;
		bool is_64 = encodings[i] >> 13 == 1;
		enum vmx_outcome expected = is_64 ? VMX_SUCCEED : VMX_FAIL_VALID;
		u32 number = 0;

		vmcs12_set(&vmcs12, (enum vmcs_field)i, PATTERN);
		assert_int_equal(vmcs12_vmread(&vmcs12, &caps12, high, &value, &number), expected);
		assert_int_equal(value, is_64 ? PATTERN >> 32 : UNTOUCHED);
		assert_int_equal(number, is_64 ? 0 : 12);
		number = 0;
		assert_int_equal(vmcs12_vmwrite(&vmcs12, &caps12, high, 0x1234567811223344, &number),
				 expected);
		assert_int_equal(number, is_64 ? 0 : 12);
		assert_int_equal(vmcs12_get(&vmcs12, (enum vmcs_field)i),
				 is_64 ? 0x11223344ccddeeffull : held(encodings[i], PATTERN));
	}
}

static void assert_unsupported(const struct vmx_capabilities *caps12, u64 encoding)
{
	struct vmcs12 vmcs12 = { 0 }, before = vmcs12;
	u64 value = UNTOUCHED;
	u32 number = 0;

	assert_int_equal(vmcs12_vmread(&vmcs12, caps12, encoding, &value, &number), VMX_FAIL_VALID);
	assert_int_equal(number, 12);
	assert_int_equal(value, UNTOUCHED);
	number = 0;
	assert_int_equal(vmcs12_vmwrite(&vmcs12, caps12, encoding, PATTERN, &number), VMX_FAIL_VALID);
	assert_int_equal(number, 12);
	assert_memory_equal(&vmcs12, &before, sizeof(before));
}

static void what_the_cpu_lacks_is_unsupported(void **state)
{
	struct vmx_capabilities caps12 = fake_host();

	(void)state;
	assert_unsupported(&caps12, 0x0804 | 1ull << 12);
	assert_unsupported(&caps12, 0x0804 | 1ull << 15);
	assert_unsupported(&caps12, 0x0804 | 1ull << 32);
	assert_unsupported(&caps12, 0x68fe);
	assert_unsupported(&caps12, ~0ull);
	/* Unsupported goes before read-only. */
	*fake_msr(&caps12, MSR_IA32_VMX_MISC) = 0;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		caps12.fields = fake_host().fields;
		field_set_remove(&caps12.fields, (enum vmcs_field)i);
		assert_unsupported(&caps12, encodings[i]);
		assert_unsupported(&caps12, encodings[i] | 1);
	}
}

static void exit_information_is_read_only_unless_the_cpu_says_otherwise(void **state)
{
	struct vmx_capabilities caps12 = fake_host();
	unsigned read_only = 0;

	(void)state;
	*fake_msr(&caps12, MSR_IA32_VMX_MISC) &= ~VMX_MISC_VMWRITE_ANY;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		bool refused = is_exit_information(encodings[i]);
		struct vmcs12 vmcs12 = { 0 };
		u32 number = 0;

		assert_int_equal(vmcs12_vmwrite(&vmcs12, &caps12, encodings[i], PATTERN, &number),
				 refused ? VMX_FAIL_VALID : VMX_SUCCEED);
		assert_int_equal(number, refused ? 13 : 0);
		assert_int_equal(vmcs12_get(&vmcs12, (enum vmcs_field)i),
				 refused ? 0 : held(encodings[i], PATTERN));
		read_only += refused;
	}
	assert_int_equal(read_only, 15);
}

static void what_l1_writes_is_newer_than_vmcs02_and_what_l0_learns_is_not_dirty(void **state)
{
	struct vmcs12 vmcs12 = { 0 };

	(void)state;
	field_set_add(&vmcs12.stale, F_guest_rip);
	field_set_add(&vmcs12.stale, F_guest_rsp);
	vmcs12_set(&vmcs12, F_guest_rip, 1);
	assert_false(field_set_has(&vmcs12.stale, F_guest_rip));
	assert_true(field_set_has(&vmcs12.stale, F_guest_rsp));
	vmcs12_learn(&vmcs12, F_guest_cr3, 2);
	assert_int_equal(vmcs12_get(&vmcs12, F_guest_cr3), 2);
	assert_false(field_set_has(&vmcs12.dirty, F_guest_cr3));
}

static void secondary_controls_count_only_when_activated(void **state)
{
	struct vmcs12 vmcs12 = { 0 };

	(void)state;
	vmcs12_set(&vmcs12, F_secondary_processor_based_controls, 0x55);
	vmcs12_set(&vmcs12, F_primary_processor_based_controls, 0x66);
	assert_int_equal(vmcs12_controls(&vmcs12, CONTROLS_proc2), 0);
	vmcs12_set(&vmcs12, F_primary_processor_based_controls, 0x80000066);
	vmcs12_set(&vmcs12, F_pin_based_controls, 0x77);
	vmcs12_set(&vmcs12, F_primary_vm_exit_controls, 0x88);
	vmcs12_set(&vmcs12, F_vm_entry_controls, 0x99);
	assert_int_equal(vmcs12_controls(&vmcs12, CONTROLS_proc2), 0x55);
	assert_int_equal(vmcs12_controls(&vmcs12, CONTROLS_proc), 0x80000066);
	assert_int_equal(vmcs12_controls(&vmcs12, CONTROLS_pin), 0x77);
	assert_int_equal(vmcs12_controls(&vmcs12, CONTROLS_exit), 0x88);
	assert_int_equal(vmcs12_controls(&vmcs12, CONTROLS_entry), 0x99);
}

static void a_reset_vmcs12_is_zero_and_all_dirty(void **state)
{
	struct vmcs12 vmcs12;

	(void)state;
	memset(&vmcs12, 0xff, sizeof(vmcs12));
	vmcs12_reset(&vmcs12);
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		assert_int_equal(vmcs12_get(&vmcs12, (enum vmcs_field)i), 0);
	assert_int_equal(members(vmcs12.dirty), VMCS_FIELDS);
	assert_int_equal(members(vmcs12.stale), 0);
	assert_false(vmcs12.launched);
}

static void a_region_brings_back_what_was_stored(void **state)
{
	struct vmcs12_image image = { .header = { 0x2b, 7 } };
	struct vmcs12 vmcs12 = fake_vmcs12(true), loaded;

	(void)state;
	vmcs12.launched = true;
	vmcs12_store(&vmcs12, &image);
	assert_int_equal(image.header.revision, 0x2b);
	assert_int_equal(image.header.abort_indicator, 7);
	memset(&loaded, 0xff, sizeof(loaded));
	vmcs12_load(&loaded, &image);
	assert_memory_equal(loaded.value, vmcs12.value, sizeof(vmcs12.value));
	assert_true(loaded.launched);
	assert_int_equal(members(loaded.dirty), VMCS_FIELDS);
	assert_int_equal(members(loaded.stale), 0);
	image.launched = 0;
	vmcs12_load(&loaded, &image);
	assert_false(loaded.launched);
}

static void a_region_that_comes_back_changes_what_differs(void **state)
{
	struct vmcs12_image image;
	struct vmcs12 vmcs12 = fake_vmcs12(true);

	(void)state;
	field_set_clear(&vmcs12.dirty);
	vmcs12_set(&vmcs12, F_guest_rsp, 0x1000);
	vmcs12_store(&vmcs12, &image);
	image.value[F_guest_rip] = ~vmcs12_get(&vmcs12, F_guest_rip);
	image.value[F_guest_cs_selector] |= ~0xffffull; /* beyond the field's width */
	image.launched = 1;
	vmcs12_load_again(&vmcs12, &image);
	assert_int_equal(vmcs12_get(&vmcs12, F_guest_rip), image.value[F_guest_rip]);
	assert_int_equal(members(vmcs12.dirty), 2);
	assert_true(field_set_has(&vmcs12.dirty, F_guest_rip));
	assert_true(field_set_has(&vmcs12.dirty, F_guest_rsp));
	assert_true(vmcs12.launched);
}

static void a_region_of_any_bytes_loads_as_values_of_the_right_width(void **state)
{
	struct vmcs12_image image;
	struct vmcs12 vmcs12;

	(void)state;
	memset(&image, 0xff, sizeof(image));
	vmcs12_load(&vmcs12, &image);
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		assert_int_equal(vmcs12_get(&vmcs12, (enum vmcs_field)i), held(encodings[i], ~0ull));
	assert_true(vmcs12.launched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_encoding_leads_to_its_field),
		cmocka_unit_test(no_other_encoding_leads_anywhere),
		cmocka_unit_test(sets_known_at_build_time_have_the_bits_of_the_others),
		cmocka_unit_test(sets_give_their_members_in_order),
		cmocka_unit_test(vmwrite_then_vmread_gives_the_value_cut_to_width),
		cmocka_unit_test(high_halves_are_of_64_bit_fields_alone),
		cmocka_unit_test(what_the_cpu_lacks_is_unsupported),
		cmocka_unit_test(exit_information_is_read_only_unless_the_cpu_says_otherwise),
		cmocka_unit_test(what_l1_writes_is_newer_than_vmcs02_and_what_l0_learns_is_not_dirty),
		cmocka_unit_test(secondary_controls_count_only_when_activated),
		cmocka_unit_test(a_reset_vmcs12_is_zero_and_all_dirty),
		cmocka_unit_test(a_region_brings_back_what_was_stored),
		cmocka_unit_test(a_region_that_comes_back_changes_what_differs),
		cmocka_unit_test(a_region_of_any_bytes_loads_as_values_of_the_right_width),
	};

	return cmocka_run_group_tests_name("vmcs12", tests, NULL, NULL);
}
