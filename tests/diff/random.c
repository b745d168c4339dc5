#include "random.h"

#define STEP 0x9e3779b97f4a7c15ull

static u64 state;

void random_start(u64 seed, u64 number)
{
	state = seed * 0xd1342543de82ef95ull + number;
	state = random64() ^ number;
}

/* splitmix64 */
u64 random64(void)
{
	u64 x = state += STEP;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

u64 random_below(u64 below)
{
	return random64() % below;
}

bool one_in(u64 times)
{
	return random_below(times) == 0;
}

u64 random_odd(unsigned bits)
{
	u64 all = bits == 64 ? ~0ull : BIT(bits) - 1;

	switch (random_below(8)) {
	case 0:
		return 0;
	case 1:
		return all;
	case 2:
	case 3:
		return BIT(random_below(bits));
	case 4:
		return all & ~BIT(random_below(bits));
	case 5:
		return all >> random_below(bits);
	case 6:
		return random64() & random64() & all;
	default:
		return random64() & all;
	}
}
