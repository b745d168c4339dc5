/* compute: computes, without any exit */
/* Exits with count=N: io_instruction C + 1, C being the characters printed. */
#include "runtime/runtime.h"

#define STEPS 100

/* A linear congruential generator modulo 2^64 (Knuth's MMIX), and its inverse. */
#define MULTIPLIER 6364136223846793005ull
#define INCREMENT 1442695040888963407ull
#define INVERSE_MULTIPLIER 13877824140714322085ull
#define SEED 42

/* Forward and back again: where it turned is the checksum, where it ends the proof. */
bool payload(u64 count)
{
	u64 value = SEED, checksum;

	for (u64 i = 0; i < count * STEPS; i++)
		value = value * MULTIPLIER + INCREMENT;
	checksum = value;
	for (u64 i = 0; i < count * STEPS; i++)
		value = (value - INCREMENT) * INVERSE_MULTIPLIER;
	report("compute: %lu steps, checksum %016lx, %s", count * STEPS, checksum,
	       value == SEED ? "verified" : "wrong");
	return value == SEED;
}
