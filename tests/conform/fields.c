/*
 * fields: every field of the VMCS: whether it exists, what of a value it keeps, its halves; SDM "VMCS Field
 * Encodings".
 */
#include "insn.h"
#include "tests/conform/lib/l2.h"

#define PATTERN 0x0123456789abcdefull
#define HIGH_PATTERN 0xffffffff76543210ull
#define ENCODINGS 0x8000u /* bits 31:15 are reserved */

static const struct {
	const char *name;
	u32 encoding;
} fields[] = {
#define F(name, encoding, use, hot) { #name, encoding },
#include "vmcs_fields.def"
#undef F
};

static u64 width_mask(u32 encoding)
{
	switch (VMCS_ENCODING_WIDTH(encoding)) {
	case WIDTH_16:
		return BITS(15, 0);
	case WIDTH_32:
		return BITS(31, 0);
	default:
		return BITS(63, 0);
	}
}

/* Writes and reads back: what is kept, or the error of whichever fails. False if one of them did. */
static bool write_and_read(const char *what, u32 encoding, u64 value, u64 *kept)
{
	enum vmx_outcome outcome = vmwrite_checked(encoding, value);

	if (outcome != VMX_SUCCEED) {
		observe("%s=error(%lu)", what, vmread(ENC_vm_instruction_error));
		return false;
	}
	outcome = vmread_checked(encoding, kept);
	if (outcome != VMX_SUCCEED) {
		observe("%s=unreadable(%lu)", what, vmread(ENC_vm_instruction_error));
		return false;
	}
	observe("%s=%lx", what, *kept);
	return true;
}

/*
 * SDM "Ordinary VMWRITE": the value is cut to the field's width; VMREAD extends with zeros. Whether reserved bits are
 * kept is the CPU's choice, so only what lies beyond the width is held to the SDM.
 */
static void one_value(const char *what, u32 encoding, u64 value)
{
	u64 kept;

	if (write_and_read(what, encoding, value, &kept) && kept & ~width_mask(encoding))
		wrong("%s: %lx is wider than the field", what, kept);
}

/* SDM "Structure of VMCS Component Encoding": the high half is bits 63:32, and leaves the others as they are. */
static void halves(u32 encoding)
{
	u64 high, full;

	if (VMCS_ENCODING_WIDTH(encoding) != WIDTH_64 ||
	    !write_and_read("high", encoding | VMCS_ENCODING_HIGH, HIGH_PATTERN, &high))
		return;
	full = vmread(encoding);
	observe("full=%lx", full);
	if (full >> 32 != high || high >> 32)
		wrong("the high half is not bits 63:32");
}

static void one_field(const char *name, u32 encoding)
{
	u64 before;

	case_begin("field.%s", name);
	if (vmread_checked(encoding, &before) != VMX_SUCCEED) {
		u32 read_error = (u32)vmread(ENC_vm_instruction_error);
		enum vmx_outcome outcome = vmwrite_checked(encoding, 0);

		observe("absent read=error(%u) write=%u error(%lu)", read_error, outcome,
			vmread(ENC_vm_instruction_error));
		/* SDM "VM-Instruction Error Numbers": 12 for both */
		if (outcome != VMX_FAIL_VALID || read_error != VMERR_unsupported_vmcs_component ||
		    vmread(ENC_vm_instruction_error) != VMERR_unsupported_vmcs_component)
			wrong("VMREAD and VMWRITE disagree on whether it exists");
	} else {
		one_value("ones", encoding, ~0ull);
		one_value("pattern", encoding, PATTERN);
		one_value("zeros", encoding, 0);
		halves(encoding);
	}
	case_end();
}

static bool is_known(u32 encoding)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if ((encoding & ~(u32)VMCS_ENCODING_HIGH) == fields[i].encoding)
			return !(encoding & VMCS_ENCODING_HIGH) || VMCS_ENCODING_WIDTH(encoding) == WIDTH_64;
	return false;
}

/* What answers though no table of the SDM names it. */
static void unknown_encodings(void)
{
	u64 value;

	case_begin("encodings.unknown");
	for (u32 encoding = 0; encoding < ENCODINGS; encoding++)
		if (!is_known(encoding) && vmread_checked(encoding, &value) == VMX_SUCCEED)
			observe("%x", encoding);
	case_end();
}

/* SDM "VMCS Enumeration": the highest index that any encoding has. */
static void enumeration(void)
{
	u64 highest = 0, value;

	case_begin("encodings.highest_index");
	for (u32 encoding = 0; encoding < ENCODINGS; encoding++)
		if (vmread_checked(encoding, &value) == VMX_SUCCEED && VMCS_ENCODING_INDEX(encoding) > highest)
			highest = VMCS_ENCODING_INDEX(encoding);
	observe("highest=%lu enum=%lu", highest, rdmsr(MSR_IA32_VMX_VMCS_ENUM) >> 1 & 0x1ff);
	if (rdmsr(MSR_IA32_VMX_VMCS_ENUM) >> 1 < highest)
		wrong("IA32_VMX_VMCS_ENUM is too low");
	case_end();
}

/* SDM "VMCLEAR", "VMPTRLD": the data of a VMCS outlive its being active, and are no other VMCS's. */
static void keeping(void)
{
	u64 a = (u64)vmx_region(REGION_A), b = (u64)vmx_region(REGION_B);

	vmclear(b);
	vmptrld(b);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		vmwrite_checked(fields[i].encoding, 0);
	vmptrld(a);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		vmwrite_checked(fields[i].encoding, 0x0101010101010101ull * (i + 1));
	/* Once more, since each field that does not exist has left its error. */
	vmwrite_checked(ENC_vm_instruction_error, PATTERN);
	vmptrld(b);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		u64 in_b = 0, in_a = 0, cleared = 0;

		case_begin("kept.%s", fields[i].name);
		vmptrld(b);
		if (vmread_checked(fields[i].encoding, &in_b) != VMX_SUCCEED) {
			observe("absent");
			case_end();
			continue;
		}
		vmptrld(a);
		vmread_checked(fields[i].encoding, &in_a);
		vmclear(a);
		vmptrld(a);
		vmread_checked(fields[i].encoding, &cleared);
		observe("a=%lx b=%lx after_vmclear=%lx", in_a, in_b, cleared);
		if (in_a != cleared)
			wrong("VMCLEAR and VMPTRLD changed it");
		case_end();
	}
}

void group(void)
{
	u64 region;

	vmx_start();
	region = (u64)vmx_region(REGION_A);
	vmclear(region);
	vmptrld(region);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		one_field(fields[i].name, fields[i].encoding);
	unknown_encodings();
	enumeration();
	keeping();
}
