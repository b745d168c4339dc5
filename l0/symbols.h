/* L0's own symbols, sorted by address, made by the build from the linked image. */
#ifndef TURTLES_SYMBOLS_H
#define TURTLES_SYMBOLS_H

#include "types.h"

struct symbol {
	u64 address;
	const char *name;
};

extern const struct symbol l0_symbols[];
extern const unsigned l0_symbol_count;

#endif
