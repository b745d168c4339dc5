/* What fuzz targets are written with: an input that is used up bit by bit, and checks that end the run. */
#ifndef TURTLES_FUZZ_H
#define TURTLES_FUZZ_H

#include "types.h"

/* Once it is used up, zeros come out of it. */
struct fuzz_input {
	const u8 *data;
	size_t left;
};

/* The next size bytes (at most 8) as a number. */
u64 fuzz_take(struct fuzz_input *input, unsigned size);
/* The next byte or two, brought below limit. */
unsigned fuzz_below(struct fuzz_input *input, unsigned limit);
bool fuzz_bool(struct fuzz_input *input);
/* A value made of another one: a bit flipped, a neighbour, an edge, or anything. */
u64 fuzz_change(struct fuzz_input *input, u64 value);

/*
 * Have the random numbers of tests/host come out of the input until it is used up, so that the fuzzer
 * has a say in them; NULL: from their states alone.
 */
void fuzz_drive(struct fuzz_input *input);

/* What the oracle and the code under test have to agree on. */
NORETURN void fuzz_disagree(const char *what, const char *file, int line);
#define AGREE(x) (LIKELY(x) ? (void)0 : fuzz_disagree(#x, __FILE__, __LINE__))

/* libFuzzer's entry points. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#endif
