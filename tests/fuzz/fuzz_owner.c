/*
 * Bitmaps against bytes in memory as the SDM lays them out, and the owner of an exit from L2
 * against what L2's CPU does without L0: the exit is L1's if it would have happened there. Exits that
 * one control decides are in tests/host/test_owner.c, all of them; here are those that depend on more.
 */
#include <string.h>

#include "fuzz.h"
#include "vmcs_shadow/bitmaps.h"
#include "vmcs_shadow/owner.h"

enum which { MSR, IO_A, IO_B, VMREAD, VMWRITE, PAGES };

struct bitmaps {
	u64 word[PAGES][BITMAP_WORDS];
	u8 byte[PAGES][PAGE_SIZE]; /* the model */
};

/* SDM "MSR-Bitmap Address": where the bit of an access is; false for an MSR that has none. */
static bool msr_place(u32 msr, bool write, unsigned *byte)
{
	if (msr > 0x1fff && (msr < 0xc0000000 || msr > 0xc0001fff))
		return false;
	*byte = (write ? 0x800 : 0) + (msr > 0x1fff ? 0x400 : 0) + (msr & 0x1fff) / 8;
	return true;
}

static bool model_msr_traps(const struct bitmaps *b, u32 msr, bool write)
{
	unsigned byte;

	return !msr_place(msr, write, &byte) || b->byte[MSR][byte] >> msr % 8 & 1;
}

static u8 *port_byte(struct bitmaps *b, u32 port)
{
	return port < 0x8000 ? &b->byte[IO_A][port / 8] : &b->byte[IO_B][(port - 0x8000) / 8];
}

/* SDM "I/O-Bitmap Addresses": any of the ports, and whatever wraps around. */
static bool model_io_traps(struct bitmaps *b, u32 port, unsigned size)
{
	for (u32 p = port; p < port + size; p++)
		if (p > 0xffff || *port_byte(b, p) >> p % 8 & 1)
			return true;
	return false;
}

static u32 take_msr(struct fuzz_input *input)
{
	u32 msr = (u32)fuzz_take(input, 2) & 0x3fff;

	switch (fuzz_below(input, 4)) {
	case 0:
		return msr | 0xc0000000;
	case 1:
		return (u32)fuzz_take(input, 4);
	default:
		return msr;
	}
}

static void set_model(u8 *byte, unsigned bit, bool trap)
{
	*byte = (u8)((*byte & ~(1u << bit)) | (unsigned)trap << bit);
}

static void change_msr(struct bitmaps *b, struct fuzz_input *input)
{
	bool write = fuzz_bool(input), trap = fuzz_bool(input);
	u32 msr = take_msr(input);
	unsigned byte;

	(trap ? msr_bitmap_trap : msr_bitmap_pass)(b->word[MSR], msr, write);
	if (msr_place(msr, write, &byte))
		set_model(&b->byte[MSR][byte], msr % 8, trap);
}

static void change_port(struct bitmaps *b, struct fuzz_input *input)
{
	bool trap = fuzz_bool(input);
	u16 port = (u16)fuzz_take(input, 2);

	(trap ? io_bitmap_trap : io_bitmap_pass)(b->word[IO_A], b->word[IO_B], port);
	set_model(port_byte(b, port), port % 8, trap);
}

static void trap_field(struct bitmaps *b, struct fuzz_input *input)
{
	enum which page = fuzz_bool(input) ? VMREAD : VMWRITE;
	enum vmcs_field field = (enum vmcs_field)fuzz_below(input, VMCS_FIELDS);
	unsigned encoding = vmcs_field[field].encoding;
	struct field_set fields = { { 0 } };

	field_set_add(&fields, field);
	vmcs_bitmap_trap(b->word[page], &fields);
	for (unsigned e = encoding; e <= encoding + (encoding >> 13 == 1); e++)
		set_model(&b->byte[page][e / 8], e % 8, true);
}

static void merge_some(struct bitmaps *b, struct fuzz_input *input)
{
	unsigned which = fuzz_below(input, PAGES), other = fuzz_below(input, PAGES);

	bitmap_merge(b->word[which], b->word[which], b->word[other]);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		b->byte[which][i] |= b->byte[other][i];
}

/* Controls as they stand in vmcs12, and fields by name. */
static u64 get(const struct vmcs12 *vmcs12, enum vmcs_field field)
{
	return vmcs12->value[field];
}

static u64 proc2_of(const struct vmcs12 *vmcs12)
{
	u64 active = get(vmcs12, F_primary_processor_based_controls) >> 31 & 1;

	return active ? get(vmcs12, F_secondary_processor_based_controls) : 0;
}

/* SDM "Exceptions" and "Exception Bitmap". */
static bool exception_exits(const struct vmcs12 *vmcs12, const struct exit_event *event)
{
	u32 vector = event->interruption_information & 0x1f;
	bool selected;

	if ((event->interruption_information >> 8 & 7) == 2)
		return get(vmcs12, F_pin_based_controls) & 8;
	selected = get(vmcs12, F_exception_bitmap) >> vector & 1;
	if (vector != 14)
		return selected;
	if ((event->interruption_error_code & get(vmcs12, F_page_fault_error_code_mask)) ==
	    get(vmcs12, F_page_fault_error_code_match))
		return selected;
	return !selected;
}

static bool is_cr3_target(const struct vmcs12 *vmcs12, u64 value)
{
	u64 count = get(vmcs12, F_cr3_target_count);

	return (count > 0 && value == get(vmcs12, F_cr3_target_value_0)) ||
	       (count > 1 && value == get(vmcs12, F_cr3_target_value_1)) ||
	       (count > 2 && value == get(vmcs12, F_cr3_target_value_2)) ||
	       (count > 3 && value == get(vmcs12, F_cr3_target_value_3));
}

/* LMSW reaches bits 3:0; it exits if it would change one that L1 masks, but it cannot clear PE. */
static bool lmsw_exits(u64 mask, u64 shadow, u64 source)
{
	for (unsigned n = 0; n < 4; n++) {
		bool wants = source >> n & 1, has = shadow >> n & 1;

		if ((mask >> n & 1) && wants != has && (n > 0 || wants))
			return true;
	}
	return false;
}

/* SDM "Instructions That Cause VM Exits Conditionally": MOV to and from CR, CLTS, LMSW. */
static bool cr_exits(const struct vmcs12 *vmcs12, const struct exit_event *event)
{
	u64 proc = get(vmcs12, F_primary_processor_based_controls), value = event->operand;
	u64 mask0 = get(vmcs12, F_cr0_guest_host_mask), shadow0 = get(vmcs12, F_cr0_read_shadow);
	u64 mask4 = get(vmcs12, F_cr4_guest_host_mask), shadow4 = get(vmcs12, F_cr4_read_shadow);

	switch (event->qualification & 0x3f) {
	case 0x00:
		return (value & mask0) != (shadow0 & mask0);
	case 0x03:
		return proc & 0x8000 && !is_cr3_target(vmcs12, value);
	case 0x04:
		return (value & mask4) != (shadow4 & mask4);
	case 0x08:
		return proc & 0x80000;
	case 0x13:
		return proc & 0x10000;
	case 0x18:
		return proc & 0x100000;
	default:
		break;
	}
	if ((event->qualification & 0x30) == 0x20)
		return mask0 & shadow0 & 8;
	if ((event->qualification & 0x30) == 0x30)
		return lmsw_exits(mask0, shadow0, event->qualification >> 16 & 0xffff);
	return false;
}

static bool io_exits(const struct vmcs12 *vmcs12, const struct exit_event *event, struct bitmaps *b,
		     bool readable)
{
	u64 proc = get(vmcs12, F_primary_processor_based_controls);

	if (!(proc & 0x2000000))
		return proc & 0x1000000;
	return !readable ||
	       model_io_traps(b, event->qualification >> 16 & 0xffff, (event->qualification & 7) + 1);
}

/* SDM "Instructions That Cause VM Exits Conditionally": VMREAD, VMWRITE. */
static bool field_exits(const struct vmcs12 *vmcs12, const struct exit_event *event, const u8 *bitmap,
			bool readable)
{
	u64 encoding = event->operand;

	return !(proc2_of(vmcs12) & 0x4000) || encoding > 0x7fff || !readable ||
	       bitmap[encoding / 8] >> encoding % 8 & 1;
}

static bool would_exit(const struct vmcs12 *vmcs12, const struct exit_event *event, struct bitmaps *b,
		       bool readable)
{
	u64 proc = get(vmcs12, F_primary_processor_based_controls), proc2 = proc2_of(vmcs12);

	switch (event->reason & 0xffff) {
	case 0:
		return exception_exits(vmcs12, event);
	case 23:
		return field_exits(vmcs12, event, b->byte[VMREAD], readable);
	case 25:
		return field_exits(vmcs12, event, b->byte[VMWRITE], readable);
	case 28:
		return cr_exits(vmcs12, event);
	case 30:
		return io_exits(vmcs12, event, b, readable);
	case 31:
	case 32:
		return !(proc & 0x10000000) || !readable ||
		       model_msr_traps(b, event->msr, (event->reason & 0xffff) == 32);
	case 40:
		return proc & 0x40000000 || proc2 & 0x400;
	default: /* XSAVES, XRSTORS */
		return proc2 & 0x100000 && event->operand & get(vmcs12, F_xss_exiting_bitmap);
	}
}

/* Few values, so that they meet: bits at both ends of a word. */
static u64 take_small(struct fuzz_input *input)
{
	return (u64)fuzz_below(input, 16) | (u64)fuzz_below(input, 2) << 31 | (u64)fuzz_below(input, 2) << 63;
}

/* Most are fields', or next to one. */
static u64 take_encoding(struct fuzz_input *input)
{
	u64 encoding = vmcs_field[fuzz_below(input, VMCS_FIELDS)].encoding ^ fuzz_below(input, 4);

	return fuzz_below(input, 8) ? encoding : encoding | 1ull << (12 + fuzz_below(input, 52));
}

static struct exit_event take_event(struct fuzz_input *input)
{
	static const u8 reasons[] = { 0, 23, 23, 25, 25, 28, 28, 28, 30, 31, 32, 40, 63, 64 };
	u32 reason = reasons[fuzz_below(input, ARRAY_SIZE(reasons))];
	u32 cr_access = fuzz_below(input, 64), size = fuzz_below(input, 4);
	bool io = fuzz_bool(input);

	return (struct exit_event){
		.reason = reason | (u32)fuzz_take(input, 1) << 24,
		.interruption_information = (u32)fuzz_take(input, 2) & 0xf1f,
		.interruption_error_code = fuzz_below(input, 8),
		.qualification = (io ? size : cr_access) | fuzz_take(input, 2) << 16,
		.msr = take_msr(input),
		.operand = reason == 23 || reason == 25 ? take_encoding(input) : take_small(input),
	};
}

static void check_owner(struct bitmaps *b, struct fuzz_input *input, const struct vmcs12 *vmcs12)
{
	struct exit_event event = take_event(input);
	bool readable = fuzz_below(input, 8);
	const struct owner_bitmaps none = { 0 }, all = { b->word[MSR], b->word[IO_A], b->word[IO_B],
						  b->word[VMREAD], b->word[VMWRITE] };
	bool exits = would_exit(vmcs12, &event, b, readable);

	AGREE(exit_owner(vmcs12, &event, readable ? &all : &none) == (exits ? OWNER_l1 : OWNER_l0));
}

static void check_bitmaps(struct bitmaps *b, struct fuzz_input *input)
{
	u32 msr = take_msr(input), port = (u32)fuzz_take(input, 2);
	u64 encoding = take_encoding(input);
	unsigned size = 1 + fuzz_below(input, 4);

	for (unsigned write = 0; write < 2; write++)
		AGREE(msr_bitmap_traps(b->word[MSR], msr, write) == model_msr_traps(b, msr, write));
	AGREE(vmcs_bitmap_traps(b->word[VMREAD], encoding) ==
	      (encoding > 0x7fff || (b->byte[VMREAD][encoding / 8] >> encoding % 8 & 1)));
	AGREE(io_bitmap_traps(b->word[IO_A], b->word[IO_B], (u16)port, size) ==
	      model_io_traps(b, port, size));
	AGREE(memcmp(b->word, b->byte, sizeof(b->byte)) == 0);
}

static void take_vmcs12(struct fuzz_input *input, struct vmcs12 *vmcs12)
{
	static const u8 words[] = {
		F_exception_bitmap, F_cr0_guest_host_mask, F_cr0_read_shadow, F_cr4_guest_host_mask,
		F_cr4_read_shadow, F_cr3_target_value_0, F_cr3_target_value_1, F_cr3_target_value_2,
		F_cr3_target_value_3, F_xss_exiting_bitmap,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		vmcs12_set(vmcs12, (enum vmcs_field)words[i], take_small(input));
	if (fuzz_bool(input))
		vmcs12_set(vmcs12, F_exception_bitmap, BIT(VECTOR_PF));
	vmcs12_set(vmcs12, F_page_fault_error_code_mask, fuzz_below(input, 8));
	vmcs12_set(vmcs12, F_page_fault_error_code_match, fuzz_below(input, 8));
	vmcs12_set(vmcs12, F_cr3_target_count, fuzz_below(input, 5));
	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		vmcs12_set(vmcs12, (enum vmcs_field)vmcs_control_field[group], fuzz_take(input, 4));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct bitmaps bitmaps;
	struct fuzz_input input = fuzz_begin(data, size);
	struct vmcs12 vmcs12 = { 0 };

	memset(&bitmaps, 0, sizeof(bitmaps));
	take_vmcs12(&input, &vmcs12);
	while (fuzz_goes_on(&input)) {
		switch (fuzz_below(&input, 9)) {
		case 0:
			change_msr(&bitmaps, &input);
			break;
		case 1:
			change_port(&bitmaps, &input);
			break;
		case 2:
			merge_some(&bitmaps, &input);
			break;
		case 8:
			trap_field(&bitmaps, &input);
			break;
		case 3:
			check_bitmaps(&bitmaps, &input);
			break;
		case 4:
		case 5:
			take_vmcs12(&input, &vmcs12);
			break;
		default:
			check_owner(&bitmaps, &input, &vmcs12);
			break;
		}
	}
	check_bitmaps(&bitmaps, &input);
	return 0;
}
