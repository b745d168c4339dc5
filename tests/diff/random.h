/* Random numbers that depend on the seed alone: every choice of a case comes from here. */
#ifndef DIFF_RANDOM_H
#define DIFF_RANDOM_H

#include "types.h"

/* Starts the sequence of one case. */
void random_start(u64 seed, u64 number);
u64 random64(void);
/* From 0 to below - 1. */
u64 random_below(u64 below);
/* True once in so many times. */
bool one_in(u64 times);
/* A value that is worth a try in a field of that many bits: a border, a bit, a few bits, anything. */
u64 random_odd(unsigned bits);

#endif
