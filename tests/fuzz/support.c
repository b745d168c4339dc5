#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"
#include "host_test.h"

#define ROUNDS_MORE 12

static struct fuzz_input *driver;

/* A failed check of cmocka is to end the run as one of ours does, for there is no test around it. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return setenv("CMOCKA_TEST_ABORT", "1", true);
}

void fuzz_disagree(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: no agreement: %s\n", file, line, what);
	abort();
}

/* SplitMix64, by its public description. */
static u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

struct fuzz_input fuzz_begin(const u8 *data, size_t size)
{
	struct fuzz_input input = { .data = data, .left = size };

	for (size_t i = 0; i < size; i++) {
		input.random ^= data[i];
		input.random = next_random(&input.random);
	}
	return input;
}

bool fuzz_goes_on(struct fuzz_input *input)
{
	return input->left || input->rounds++ < ROUNDS_MORE;
}

static u8 next_byte(struct fuzz_input *input)
{
	if (!input->left)
		return (u8)next_random(&input->random);
	input->left--;
	return *input->data++;
}

u64 fuzz_take(struct fuzz_input *input, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)next_byte(input) << (8 * i);
	return value;
}

unsigned fuzz_below(struct fuzz_input *input, unsigned limit)
{
	return (unsigned)fuzz_take(input, limit > 256 ? 2 : 1) % limit;
}

bool fuzz_bool(struct fuzz_input *input)
{
	return fuzz_take(input, 1) & 1;
}

u64 fuzz_change(struct fuzz_input *input, u64 value)
{
	static const u64 edges[] = {
		0, ~0ull, 1, 0xf, 0x10, 0xff, 0xfff, 0x1000, 0x2000, BIT(31), BITS(31, 0), BIT(32), BIT(39),
		BIT(40) - 0x1000, BIT(40) - 0x10, BIT(40), BIT(47) - 1, BIT(47), ~BITS(46, 0), BIT(52),
		BIT(63),
	};

	switch (fuzz_below(input, 7)) {
	case 0:
	case 1:
		return value ^ BIT(fuzz_below(input, 64));
	case 2:
		return value + (u64)(s64)(int8_t)fuzz_take(input, 1);
	case 3:
		return edges[fuzz_below(input, ARRAY_SIZE(edges))];
	case 4:
		return value ^ fuzz_take(input, 1);
	case 5:
		return fuzz_take(input, 4);
	default:
		return fuzz_take(input, 8);
	}
}

void fuzz_drive(struct fuzz_input *input)
{
	driver = input;
}

/* tests/host/host_test.c has these for the host tests; the fuzz targets have them here. */
u64 host_random(u64 *state)
{
	return driver ? fuzz_take(driver, 8) : next_random(state);
}

u64 host_random_below(u64 *state, u64 limit)
{
	if (driver && limit <= BIT(16))
		return fuzz_below(driver, (unsigned)limit);
	return host_random(state) % limit;
}

bool host_random_percent(u64 *state, unsigned percent)
{
	return host_random_below(state, 100) < percent;
}
