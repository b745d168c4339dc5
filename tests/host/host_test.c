#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "host_test.h"

#define DEFAULT_SEED 0x7057ull

u64 host_seed(void)
{
	const char *text = getenv("TURTLES_SEED");
	u64 seed = DEFAULT_SEED;
	char *end;

	if (text && *text) {
		errno = 0;
		seed = strtoull(text, &end, 0);
		if (errno || *end) {
			fprintf(stderr, "TURTLES_SEED=%s is no number: set it to one or unset it\n", text);
			exit(2);
		}
	}
	printf("# TURTLES_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* SplitMix64, by its public description. */
u64 host_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

u64 host_random_below(u64 *state, u64 limit)
{
	return host_random(state) % limit;
}

bool host_random_percent(u64 *state, unsigned percent)
{
	return host_random_below(state, 100) < percent;
}
