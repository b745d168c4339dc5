/*
 * What L2 executes: pieces of random instructions without a way back, so that each comes to an end after at most a few
 * thousand steps.
 */
#ifndef DIFF_PROGRAM_H
#define DIFF_PROGRAM_H

#include "vm.h"

/* Fills the guest's code pages. */
void program_make(struct vm *vm);

#endif
