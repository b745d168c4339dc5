/* io: writes and reads a port that L1 intercepts */
/* Exits with count=N: io_instruction 2 N + C + 1, C being the characters printed. */
#include "runtime/runtime.h"

#define BACKGROUND 0xa5a5a5a5a5a5a5a5ull

static void out(u32 value)
{
	__asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(GUEST_PORT_TEST));
}

#define DEFINE_IN(width, suffix, reg) \
	static u64 in##width(u64 rax) \
	{ \
		__asm__ volatile("in" suffix " %w1, %%" reg : "+a"(rax) : "Nd"(GUEST_PORT_TEST)); \
		return rax; \
	}
DEFINE_IN(8, "b", "al")
DEFINE_IN(16, "w", "ax")
DEFINE_IN(32, "l", "eax")
#undef DEFINE_IN

/* What RAX must hold after an IN of so many bits: as any register, whole only after 32 of them. */
static u64 expected(u32 value, unsigned bits)
{
	if (bits == 32)
		return value;
	return (BACKGROUND & ~BITS(bits - 1, 0)) | (value & BITS(bits - 1, 0));
}

bool payload(u64 count)
{
	u64 wrong = 0;

	if (!on_minivisor()) {
		report("io: needs the test port of minivisor");
		return false;
	}
	for (u64 i = 0; i < count; i++) {
		u32 value = (u32)(i * 0x01234567);

		out(value);
		if (i % 3 == 0)
			wrong += in8(BACKGROUND) != expected(value + 1, 8);
		else if (i % 3 == 1)
			wrong += in16(BACKGROUND) != expected(value + 1, 16);
		else
			wrong += in32(BACKGROUND) != expected(value + 1, 32);
	}
	report("io: %lu values written and read, %lu wrong", count, wrong);
	return !wrong;
}
