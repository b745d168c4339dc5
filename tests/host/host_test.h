/* cmocka with what it wants included before it, and random numbers that a failure can be replayed with. */
#ifndef TURTLES_HOST_TEST_H
#define TURTLES_HOST_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "types.h"

/* The seed of random tests: TURTLES_SEED of the environment, else always the same one. Printed. */
u64 host_seed(void);

/* The next number of a sequence; state may start anywhere. */
u64 host_random(u64 *state);
/* A number below limit. */
u64 host_random_below(u64 *state, u64 limit);
bool host_random_percent(u64 *state, unsigned percent);

#endif
