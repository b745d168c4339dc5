/* The end of a run that cannot go on. */
#ifndef MINIVISOR_FAIL_H
#define MINIVISOR_FAIL_H

#include "types.h"

/* Print "minivisor: ..." as one line, and the verdict; end the machine. */
NORETURN void fail(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
