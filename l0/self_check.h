/*
 * The switch self_check: what L0 never changes once L1 runs is summed up before, and again whenever L1 writes to
 * TURTLES_PORT_CHECK. Any change, and any way from L1's or L2's tables into L0's home, ends the run.
 */
#ifndef TURTLES_SELF_CHECK_H
#define TURTLES_SELF_CHECK_H

#include "cpu.h"

/* Take the sums; the last thing before L1 starts. */
void self_check_init(void);

/* Look at everything; stops the machine if anything is not as it was. */
void self_check(void);

/* The rows of run.tsv. */
void self_check_print(void);

#endif
