/*
 * The transcript: one line for each case, "NAME: what was observed". A line "WRONG NAME: ..." says that the observation
 * is not what the SDM demands; the image then ends with failure.
 */
#ifndef CONFORM_TRANSCRIPT_H
#define CONFORM_TRANSCRIPT_H

#include "probe.h"
#include <stdarg.h>

/* Where the boot loader has left its information. */
extern u32 multiboot_information;
/* The number behind a word such as "exits=" in the command line, or the standard. */
u64 command_line_number(const char *word, u64 standard);

/* What each image has: its cases, in order. */
void group(void);

/* Begins the line of a case. The name is GROUP-wide unique. */
void case_begin(const char *format, ...) PRINTF_LIKE(1, 2);
/* Adds to it, a space in front. */
void observe(const char *format, ...) PRINTF_LIKE(1, 2);
/* Remembers that the case is wrong; told behind its line. */
void wrong(const char *format, ...) PRINTF_LIKE(1, 2);
/* Ends the line. */
void case_end(void);
NORETURN void give_up(const char *format, ...) PRINTF_LIKE(1, 2);

/* "fault=#PF(2) cr2=..." or "fault=-". */
void observe_fault(const struct probe_result *result);
/*
 * "flags=C-A---": the six flags by which VMX instructions tell their outcome, in the order of the SDM's
 * "Conventions".
 */
void observe_flags(u64 rflags);

#endif
