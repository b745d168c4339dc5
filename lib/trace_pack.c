#include "trace_pack.h"

#define SUM_PRIME 0x01000193u

size_t trace_pack(u8 *to, const u64 *word, unsigned words)
{
	u8 *at = to;

	for (unsigned i = 0; i < words; i++) {
		u8 *which = at++;
		u64 left = word[i];

		*which = 0;
		for (unsigned bit = 1; left; bit <<= 1, left >>= 8)
			if ((u8)left) {
				*which |= (u8)bit;
				*at++ = (u8)left;
			}
	}
	return (size_t)(at - to);
}

size_t trace_unpack_word(const u8 *from, size_t size, u64 *word)
{
	size_t used = 1;

	*word = 0;
	if (size == 0)
		return 0;
	for (unsigned byte = 0; byte < sizeof(u64); byte++) {
		if (!(from[0] & 1u << byte))
			continue;
		if (used == size)
			return 0;
		*word |= (u64)from[used++] << 8 * byte;
	}
	return used;
}

u32 trace_sum(u32 sum, const u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * SUM_PRIME;
	return sum;
}
