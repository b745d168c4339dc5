/*
 * VMREAD and VMWRITE against a model that knows only what a field is by its encoding; SDM "Structure of
 * VMCS Component Encoding". In between, the VMCS goes out to its region and comes back, at times from
 * one that L1 has scribbled on.
 */
#include <string.h>

#include "fuzz.h"
#include "mutate.h"

#define ENCODINGS BIT(15)

static const u16 encodings[VMCS_FIELDS] = {
#define F(name, encoding, use, hot) [F_##name] = encoding,
#include "vmcs_fields.def"
#undef F
};

/* What the CPU has of a VMCS, by encoding. */
struct model {
	u64 value[ENCODINGS];
	bool exists[ENCODINGS];
	bool writes_all; /* exit information, too */
	bool launched;
};

struct test {
	struct model model;
	struct vmcs12 vmcs12;
	struct vmx_capabilities caps12;
	struct vmcs12_image image;
	u64 last; /* the encoding last used, whose other half is worth a look */
};

static unsigned bits_of(u64 encoding)
{
	static const unsigned bits[] = { 16, 64, 32, 64 };

	return bits[encoding >> 13 & 3];
}

static u64 cut(u64 encoding, u64 value)
{
	return value & ~0ull >> (64 - bits_of(encoding));
}

static bool is_component(const struct model *model, u64 encoding)
{
	bool high = encoding & 1, is_64bit = (encoding >> 13) == 1;

	return encoding < ENCODINGS && model->exists[encoding & ~1ull] && (is_64bit || !high);
}

static u32 model_vmread(const struct model *model, u64 encoding, u64 *value)
{
	if (!is_component(model, encoding))
		return 12;
	*value = encoding & 1 ? model->value[encoding - 1] >> 32 : model->value[encoding];
	return 0;
}

static u32 model_vmwrite(struct model *model, u64 encoding, u64 value)
{
	if (!is_component(model, encoding))
		return 12;
	if ((encoding >> 10 & 3) == 1 && !model->writes_all)
		return 13;
	if (encoding & 1)
		model->value[encoding - 1] = (u32)model->value[encoding - 1] | value << 32;
	else
		model->value[encoding] = cut(encoding, value);
	return 0;
}

static u64 take_encoding(struct test *test, struct fuzz_input *input)
{
	u64 field = encodings[fuzz_below(input, VMCS_FIELDS)];

	switch (fuzz_below(input, 8)) {
	case 0:
		test->last = field | 1;
		break;
	case 1:
		test->last = field ^ BIT(fuzz_below(input, 64));
		break;
	case 2:
		test->last = fuzz_take(input, 2);
		break;
	case 3:
	case 4:
		test->last ^= 1;
		break;
	default:
		test->last = field;
		break;
	}
	return test->last;
}

static void check_vmread(struct test *test, u64 encoding)
{
	u64 value = 0, expected = 0;
	u32 number = 0, error = model_vmread(&test->model, encoding, &expected);
	enum vmx_outcome outcome = vmcs12_vmread(&test->vmcs12, &test->caps12, encoding, &value, &number);

	AGREE(outcome == (error ? VMX_FAIL_VALID : VMX_SUCCEED));
	AGREE(number == error && value == expected);
}

static void check_vmwrite(struct test *test, u64 encoding, u64 value)
{
	u32 number = 0, error = model_vmwrite(&test->model, encoding, value);
	struct field_set before = test->vmcs12.dirty, *dirty = &test->vmcs12.dirty;
	enum vmx_outcome outcome = vmcs12_vmwrite(&test->vmcs12, &test->caps12, encoding, value, &number);

	AGREE(outcome == (error ? VMX_FAIL_VALID : VMX_SUCCEED));
	AGREE(number == error);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		bool written = !error && encodings[i] == (encoding & ~1ull);

		AGREE(field_set_has(dirty, (enum vmcs_field)i) ==
		      (written || field_set_has(&before, (enum vmcs_field)i)));
		AGREE(!written || !field_set_has(&test->vmcs12.stale, (enum vmcs_field)i));
	}
}

static void check_everything(struct test *test)
{
	AGREE(test->vmcs12.launched == test->model.launched);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		check_vmread(test, encodings[i]);
		check_vmread(test, encodings[i] | 1);
	}
}

/* What L1 scribbled may be anything, but a field is never wider than it can be. */
static void learn_image(struct test *test)
{
	test->model.launched = test->vmcs12.launched;
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		u64 value = vmcs12_get(&test->vmcs12, (enum vmcs_field)i);

		AGREE(value == cut(encodings[i], value));
		test->model.value[encodings[i]] = value;
	}
}

/* The same VMCS in the place that it had before: the same values, and dirty is what differs. */
static void check_return_to_the_same(const struct test *test, const struct vmcs12 *before)
{
	struct vmcs12 again = *before;

	vmcs12_load_again(&again, &test->image);
	AGREE(again.launched == test->vmcs12.launched);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		enum vmcs_field f = (enum vmcs_field)i;
		bool differs = vmcs12_get(before, f) != vmcs12_get(&test->vmcs12, f);

		AGREE(vmcs12_get(&again, f) == vmcs12_get(&test->vmcs12, f));
		AGREE(field_set_has(&again.dirty, f) == (differs || field_set_has(&before->dirty, f)));
	}
}

static void leave_and_return(struct test *test, struct fuzz_input *input, unsigned scribbles)
{
	u8 *bytes = (u8 *)&test->image;
	const struct vmcs12 before = test->vmcs12;

	vmcs12_store(&test->vmcs12, &test->image);
	for (unsigned n = 0; n < scribbles; n++)
		bytes[fuzz_take(input, 2) % sizeof(test->image)] = (u8)fuzz_take(input, 1);
	memset(&test->vmcs12, 0xa5, sizeof(test->vmcs12));
	vmcs12_load(&test->vmcs12, &test->image);
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		AGREE(field_set_has(&test->vmcs12.dirty, (enum vmcs_field)i));
		AGREE(!field_set_has(&test->vmcs12.stale, (enum vmcs_field)i));
	}
	AGREE(!field_set_has(&test->vmcs12.dirty, VMCS_FIELDS));
	check_return_to_the_same(test, &before);
	if (scribbles)
		learn_image(test);
	check_everything(test);
}

static void step(struct test *test, struct fuzz_input *input)
{
	enum vmcs_field field;
	u64 encoding;

	switch (fuzz_below(input, 12)) {
	case 0:
		leave_and_return(test, input, 0);
		break;
	case 1:
		leave_and_return(test, input, 1 + fuzz_below(input, 8));
		break;
	case 2:
		test->vmcs12.launched = test->model.launched = fuzz_bool(input);
		break;
	case 3: /* an entry, and what its exit leaves in vmcs02 alone */
		field_set_clear(&test->vmcs12.dirty);
		field_set_add(&test->vmcs12.stale, (enum vmcs_field)fuzz_below(input, VMCS_FIELDS));
		break;
	case 4: /* that is read back */
		field = (enum vmcs_field)fuzz_below(input, VMCS_FIELDS);
		encoding = encodings[field];
		test->model.value[encoding] = cut(encoding, fuzz_change(input, test->model.value[encoding]));
		vmcs12_learn(&test->vmcs12, field, test->model.value[encoding]);
		break;
	case 5:
	case 6:
		check_vmread(test, take_encoding(test, input));
		break;
	default:
		encoding = take_encoding(test, input);
		check_vmwrite(test, encoding, fuzz_take(input, 8));
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct test test;
	struct fuzz_input input = fuzz_begin(data, size);
	struct vmx_capabilities host = mutate_host(&input);

	memset(&test.model, 0, sizeof(test.model));
	capabilities_for_l1(&test.caps12, &host, &vmx_policy_default);
	*fake_msr(&test.caps12, MSR_IA32_VMX_MISC) ^= fuzz_bool(&input) ? VMX_MISC_VMWRITE_ANY : 0;
	for (unsigned n = fuzz_below(&input, 8); n; n--)
		field_set_remove(&test.caps12.fields, (enum vmcs_field)fuzz_below(&input, VMCS_FIELDS));
	test.model.writes_all = test.caps12.msr[MSR_IA32_VMX_MISC - MSR_VMX_FIRST] >> 29 & 1;
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		test.model.exists[encodings[i]] = field_set_has(&test.caps12.fields, (enum vmcs_field)i);
	test.last = 0;
	vmcs12_reset(&test.vmcs12);
	while (fuzz_goes_on(&input))
		step(&test, &input);
	check_everything(&test);
	return 0;
}
