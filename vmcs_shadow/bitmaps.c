#include "vmcs_shadow/bitmaps.h"

/* SDM "MSR-Bitmap Address": four parts of 1 KiB, reads before writes and low MSRs before high ones. */
#define MSR_RANGE 0x2000u
#define MSR_HIGH_BASE 0xc0000000u
#define MSR_WRITES (2 * MSR_RANGE)

static bool test_bit(const u64 *bitmap, u32 bit)
{
	return bitmap[bit / 64] >> (bit % 64) & 1;
}

static void set_bit(u64 *bitmap, u32 bit)
{
	bitmap[bit / 64] |= BIT(bit % 64);
}

static void clear_bit(u64 *bitmap, u32 bit)
{
	bitmap[bit / 64] &= ~BIT(bit % 64);
}

/* The bit of an access in the bitmap; false for an MSR outside both ranges. */
static bool msr_bit(u32 msr, bool write, u32 *bit)
{
	u32 base = write ? MSR_WRITES : 0;

	if (msr < MSR_RANGE)
		*bit = base + msr;
	else if (msr - MSR_HIGH_BASE < MSR_RANGE)
		*bit = base + MSR_RANGE + (msr - MSR_HIGH_BASE);
	else
		return false;
	return true;
}

bool msr_bitmap_traps(const u64 *bitmap, u32 msr, bool write)
{
	u32 bit;

	return !msr_bit(msr, write, &bit) || test_bit(bitmap, bit);
}

void msr_bitmap_trap(u64 *bitmap, u32 msr, bool write)
{
	u32 bit;

	if (msr_bit(msr, write, &bit))
		set_bit(bitmap, bit);
}

void msr_bitmap_pass(u64 *bitmap, u32 msr, bool write)
{
	u32 bit;

	if (msr_bit(msr, write, &bit))
		clear_bit(bitmap, bit);
}

/* By its own bit each, where an access is not within one word of the bitmaps. */
static bool any_port_traps(const u64 *bitmap_a, const u64 *bitmap_b, u16 port, unsigned size)
{
	for (u32 p = port; p < port + size; p++) {
		if (p > UINT16_MAX)
			return true;
		if (test_bit(p < IO_BITMAP_PORTS ? bitmap_a : bitmap_b, p % IO_BITMAP_PORTS))
			return true;
	}
	return false;
}

bool io_bitmap_traps(const u64 *bitmap_a, const u64 *bitmap_b, u16 port, unsigned size)
{
	const u64 *bitmap = port < IO_BITMAP_PORTS ? bitmap_a : bitmap_b;
	unsigned word = port % IO_BITMAP_PORTS / 64, bit = port % 64;

	if (UNLIKELY(bit + size > 64))
		return any_port_traps(bitmap_a, bitmap_b, port, size);
	return bitmap[word] >> bit & (BIT(size) - 1);
}

void io_bitmap_trap(u64 *bitmap_a, u64 *bitmap_b, u16 port)
{
	set_bit(port < IO_BITMAP_PORTS ? bitmap_a : bitmap_b, port % IO_BITMAP_PORTS);
}

void io_bitmap_pass(u64 *bitmap_a, u64 *bitmap_b, u16 port)
{
	clear_bit(port < IO_BITMAP_PORTS ? bitmap_a : bitmap_b, port % IO_BITMAP_PORTS);
}

void bitmap_merge(u64 *merged, const u64 *one, const u64 *other)
{
	for (unsigned i = 0; i < BITMAP_WORDS; i++)
		merged[i] = one[i] | other[i];
}

#define ENCODING_BITS (PAGE_SIZE * 8)

bool vmcs_bitmap_traps(const u64 *bitmap, u64 encoding)
{
	return encoding >= ENCODING_BITS || test_bit(bitmap, (u32)encoding);
}

static bool has_high_half(enum vmcs_field field)
{
	return vmcs_field_width(field) == WIDTH_64;
}

void vmcs_bitmap_trap(u64 *bitmap, const struct field_set *fields)
{
	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		enum vmcs_field field = (enum vmcs_field)i;

		if (!field_set_has(fields, field))
			continue;
		set_bit(bitmap, vmcs_field[field].encoding);
		if (has_high_half(field))
			set_bit(bitmap, vmcs_field[field].encoding | VMCS_ENCODING_HIGH);
	}
}

struct field_set vmcs_bitmap_passes(const u64 *bitmap)
{
	struct field_set fields = { { 0 } };

	for (unsigned i = 0; i < VMCS_FIELDS; i++) {
		u32 encoding = vmcs_field[i].encoding;

		if (!test_bit(bitmap, encoding) ||
		    (has_high_half((enum vmcs_field)i) && !test_bit(bitmap, encoding | VMCS_ENCODING_HIGH)))
			field_set_add(&fields, (enum vmcs_field)i);
	}
	return fields;
}
