/*
 * What a case has shown: every value goes into a sum of 64 bits, which the case's line tells, and is printed as well
 * if the case is to be told in full.
 */
#ifndef DIFF_NOTE_H
#define DIFF_NOTE_H

#include "types.h"

void note_start(bool in_full);
/* A value that both machines must agree on. */
void note(const char *name, u64 value);
/* Memory, which is told by its sum alone. */
void note_memory(const char *name, const void *memory, size_t bytes);
/* Text that only helps a reader: it is not part of the sum. */
void tell(const char *format, ...) PRINTF_LIKE(1, 2);
u64 note_sum(void);

#endif
