/* The bench: an L1 that prices each of its operations and each kind of exit of its L2, for any L0 or none. */
#ifndef BENCH_H
#define BENCH_H

#include "types.h"

struct operation {
	const char *name;
	/* Before each loop, not measured; may be NULL. */
	void (*begin)(u64 count);
	/* Does it that often; carries on where the loop before it ended. */
	void (*loop)(u64 count);
	/* The shortest loop, and the longest if there is a bound. */
	u64 least, most;
	/* Uses up what there is little of: short loops, each of them once. */
	bool once;
};

extern const struct operation l1_operations[], l2_operations[];
extern const size_t l1_operation_count, l2_operation_count;

/* What the operations stand on: call it once, in VMX operation. */
void l1_operations_init(void);

#endif
