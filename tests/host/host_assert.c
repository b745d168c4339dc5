#include <stdio.h>
#include <stdlib.h>

#include "types.h"

void assert_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, what);
	abort();
}
