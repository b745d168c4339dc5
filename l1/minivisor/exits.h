/* What L1 does about each exit of L2. */
#ifndef MINIVISOR_EXITS_H
#define MINIVISOR_EXITS_H

#include "guest.h"

/* Count the exit that just happened and handle it: then the guest can go on, or has ended. */
void handle_exit(struct guest *guest);

/* "[cpuid] exits: cpuid 1000, io_instruction 9": in ascending order of the reasons. */
void print_exits(const struct guest *guest);

#endif
