/* Instruction operands against the SDM's text, taken word by word: field by field and byte by byte. */
#include "fuzz.h"
#include "vmcs_shadow/operand.h"

/* SDM "Format of the VM-Exit Instruction-Information Field as Used for VMREAD and VMWRITE". */
union information {
	u32 value;
	struct {
		u32 scaling : 2, undefined2 : 1, register1 : 4, address_size : 3, is_register : 1;
		u32 undefined11 : 4, segment : 3, index : 4, index_invalid : 1, base : 4, base_invalid : 1;
		u32 register2 : 4;
	} is;
};

static u64 effective_address(union information information, u64 displacement, const u64 *gpr)
{
	u64 sum = displacement;

	if (!information.is.base_invalid)
		sum += gpr[information.is.base];
	for (unsigned i = 0; i < 1u << information.is.scaling && !information.is.index_invalid; i++)
		sum += gpr[information.is.index];
	if (information.is.address_size == 0)
		return (u16)sum;
	return information.is.address_size == 1 ? (u32)sum : sum;
}

static struct vmx_operand check_decode(struct fuzz_input *input)
{
	union information information = { .value = (u32)fuzz_take(input, 4) };
	u64 displacement = fuzz_change(input, 0), gpr[GPRS];
	struct vmx_operand operand;

	for (unsigned i = 0; i < GPRS; i++)
		gpr[i] = fuzz_change(input, BIT(32));
	operand = operand_decode(information.value, displacement, gpr);
	AGREE(operand.is_register == information.is.is_register);
	AGREE(operand.register1 == information.is.register1);
	AGREE(operand.register2 == information.is.register2);
	AGREE(operand.segment < SEGMENTS);
	if (information.is.segment < SEGMENTS)
		AGREE(operand.segment == information.is.segment);
	AGREE(operand.offset == effective_address(information, displacement, gpr));
	return operand;
}

/* SDM "Code- and Data-Segment Types", types 0 to 15: r(ead), w(rite), expand-(d)own. */
static const char *const segment_type[16] = {
	"r", "r", "rw", "rw", "rd", "rd", "rwd", "rwd", "", "", "r", "r", "", "", "r", "r",
};

static bool type_has(u32 access_rights, char what)
{
	for (const char *c = segment_type[access_rights & 15]; *c; c++)
		if (*c == what)
			return true;
	return false;
}

/* SDM "Limit Checking", for one byte. */
static bool offset_is_inside(const struct segment_state *segment, u64 offset)
{
	if (type_has(segment->access_rights, 'd'))
		return offset > segment->limit &&
		       offset <= (segment->access_rights & 0x4000 ? 0xffffffff : 0xffff);
	return offset <= segment->limit;
}

/* SDM "Canonical Addressing": bits 63 down to the highest implemented one are the same. */
static bool address_is_canonical(u64 address, unsigned width)
{
	u64 top = address >> (width - 1);

	return top == 0 || top == ~0ull >> (width - 1);
}

static bool bytes_are_inside(const struct vmx_operand *operand, const struct segment_state *segment,
			     unsigned size, bool long_mode, unsigned width, u64 *linear)
{
	bool has_base = !long_mode || operand->segment == SEGMENT_fs || operand->segment == SEGMENT_gs;
	u64 base = has_base ? segment->base : 0;

	*linear = base + operand->offset;
	if (!long_mode)
		*linear = (u32)*linear;
	for (u64 i = 0; i < size; i++)
		if (long_mode ? !address_is_canonical(*linear + i, width) :
				!offset_is_inside(segment, operand->offset + i))
			return false;
	return true;
}

static void check_linear(struct fuzz_input *input, struct vmx_operand *operand)
{
	const struct segment_state segment = {
		.base = fuzz_change(input, 0),
		.limit = (u32)fuzz_change(input, 0xffff),
		.access_rights = (u32)fuzz_change(input, AR_DATA),
	};
	unsigned width = fuzz_bool(input) ? 57 : 48, size = 1 + fuzz_below(input, 16);
	bool write = fuzz_bool(input), long_mode = fuzz_bool(input), unusable, type, inside;
	int fault, fault_of_limit = operand->segment == SEGMENT_ss ? 12 : 13;
	u64 linear = 0, expected;

	if (!long_mode) /* there are no 64-bit addresses then */
		operand->offset = (u32)operand->offset;
	fault = operand_linear(operand, &segment, size, write, long_mode, width, &linear);
	inside = bytes_are_inside(operand, &segment, size, long_mode, width, &expected);
	unusable = !long_mode && (segment.access_rights & 0x10000);
	type = long_mode || type_has(segment.access_rights, write ? 'w' : 'r');
	AGREE((fault == -1) == (!unusable && type && inside));
	if (fault == -1)
		AGREE(linear == expected);
	else if (unusable || type)
		AGREE(fault == fault_of_limit);
	else /* where the limit is broken as well, the SDM has no order */
		AGREE(fault == 13 || (fault == fault_of_limit && !inside));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = fuzz_begin(data, size);
	struct vmx_operand operand = check_decode(&input);

	check_linear(&input, &operand);
	return 0;
}
