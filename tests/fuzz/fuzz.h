/* What fuzz targets are written with: an input that is used up bit by bit, and checks that end the run. */
#ifndef TURTLES_FUZZ_H
#define TURTLES_FUZZ_H

#include "types.h"

/*
 * Choices come out of the input first. Once it is used up they are random, with the whole of it as
 * their seed, so that a short input goes far as well, and the same way each time.
 */
struct fuzz_input {
	const u8 *data;
	size_t left;
	u64 random;
	unsigned rounds;
};

struct fuzz_input fuzz_begin(const u8 *data, size_t size);
/* Is there to be another round? As long as there is input, and some more. */
bool fuzz_goes_on(struct fuzz_input *input);

/* The next size bytes (at most 8) as a number. */
u64 fuzz_take(struct fuzz_input *input, unsigned size);
/* The next byte or two, brought below limit. */
unsigned fuzz_below(struct fuzz_input *input, unsigned limit);
bool fuzz_bool(struct fuzz_input *input);
/* A value made of another one: a bit flipped, a neighbour, an edge, or anything. */
u64 fuzz_change(struct fuzz_input *input, u64 value);

/* Have the random numbers of tests/host come out of the input; NULL: from their states. */
void fuzz_drive(struct fuzz_input *input);

/* What the oracle and the code under test have to agree on. */
NORETURN void fuzz_disagree(const char *what, const char *file, int line);
#define AGREE(x) (LIKELY(x) ? (void)0 : fuzz_disagree(#x, __FILE__, __LINE__))

/* libFuzzer's entry points. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#endif
