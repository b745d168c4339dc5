#include "vmcs_shadow/operand.h"
#include "vmx.h"

/* Bits of the type of a code or data segment; SDM "Code- and Data-Segment Descriptor Types". */
#define AR_TYPE_WRITE BIT(1) /* of code: read */
#define AR_TYPE_EXPAND_DOWN BIT(2)
#define AR_TYPE_CODE BIT(3)

/* SDM "Format of the VM-Exit Instruction-Information Field as Used for VMREAD and VMWRITE", and its like. */
#define INFO_SCALING BITS(1, 0)
#define INFO_REGISTER1_SHIFT 3
#define INFO_ADDRESS_SIZE_SHIFT 7
#define INFO_ADDRESS_SIZE_MASK 7
#define INFO_SEGMENT_SHIFT 15
#define INFO_SEGMENT_MASK 7
#define INFO_INDEX_SHIFT 18
#define INFO_INDEX_INVALID BIT(22)
#define INFO_BASE_SHIFT 23
#define INFO_BASE_INVALID BIT(27)
#define INFO_REGISTER2_SHIFT 28
#define INFO_REGISTER_MASK 15

static enum gpr info_register(u32 information, unsigned shift)
{
	return (enum gpr)(information >> shift & INFO_REGISTER_MASK);
}

/* Address sizes 0, 1, 2 are 16, 32, 64 bits; a value that the SDM does not define counts as the last. */
static u64 cut_to_address_size(u64 address, u32 information)
{
	switch (information >> INFO_ADDRESS_SIZE_SHIFT & INFO_ADDRESS_SIZE_MASK) {
	case 0:
		return address & BITS(15, 0);
	case 1:
		return address & BITS(31, 0);
	default:
		return address;
	}
}

struct vmx_operand operand_decode(u32 instruction_information, u64 displacement, const u64 *gpr)
{
	u32 information = instruction_information;
	u32 segment = information >> INFO_SEGMENT_SHIFT & INFO_SEGMENT_MASK;
	struct vmx_operand operand = {
		.is_register = information & INFO_IS_REGISTER,
		.register1 = info_register(information, INFO_REGISTER1_SHIFT),
		.register2 = info_register(information, INFO_REGISTER2_SHIFT),
		.segment = segment < SEGMENTS ? (enum segment)segment : SEGMENT_ds,
	};
	u64 offset = displacement;

	if (!(information & INFO_BASE_INVALID))
		offset += gpr[info_register(information, INFO_BASE_SHIFT)];
	if (!(information & INFO_INDEX_INVALID))
		offset += gpr[info_register(information, INFO_INDEX_SHIFT)] << (information & INFO_SCALING);
	operand.offset = cut_to_address_size(offset, information);
	return operand;
}

/* SDM "Segmentation in IA-32e Mode": only FS and GS have bases, and there are no limits. */
static bool linear_in_long_mode(const struct vmx_operand *operand, const struct segment_state *segment,
				unsigned size, unsigned width, u64 *linear)
{
	u64 address = operand->offset;

	if (operand->segment == SEGMENT_fs || operand->segment == SEGMENT_gs)
		address += segment->base;
	*linear = address;
	return is_canonical(address, width) && is_canonical(address + size - 1, width);
}

/* SDM "Limit Checking": an expand-down segment has the offsets above its limit. */
static bool within_limit(const struct segment_state *segment, u64 first, u64 last)
{
	u32 type = segment->access_rights & AR_TYPE;
	u64 top = segment->access_rights & AR_DB ? BITS(31, 0) : BITS(15, 0);

	if (!(type & AR_TYPE_CODE) && (type & AR_TYPE_EXPAND_DOWN))
		return first > segment->limit && last <= top;
	return last <= segment->limit;
}

/* SDM "Type Checking": the W bit of data is the R bit of code, which is never writable. */
static bool type_allows(const struct segment_state *segment, bool write)
{
	u32 type = segment->access_rights & AR_TYPE;

	if (type & AR_TYPE_CODE)
		return !write && (type & AR_TYPE_WRITE);
	return !write || (type & AR_TYPE_WRITE);
}

int operand_linear(const struct vmx_operand *operand, const struct segment_state *segment, unsigned size,
		   bool write, bool long_mode, unsigned linear_width, u64 *linear)
{
	int fault = operand->segment == SEGMENT_ss ? VECTOR_SS : VECTOR_GP;

	if (long_mode)
		return linear_in_long_mode(operand, segment, size, linear_width, linear) ? -1 : fault;
	if (segment->access_rights & AR_UNUSABLE)
		return fault;
	if (!type_allows(segment, write))
		return VECTOR_GP;
	if (!within_limit(segment, operand->offset, operand->offset + size - 1))
		return fault;
	*linear = (segment->base + operand->offset) & BITS(31, 0);
	return -1;
}
