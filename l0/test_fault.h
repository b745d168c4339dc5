/* Failures of L0 on purpose, so that its reports can be tested. */
#ifndef TURTLES_TEST_FAULT_H
#define TURTLES_TEST_FAULT_H

#include "cpu.h"

/* Fail as the switch test_fault says; returns if it says "none". */
void test_fault(struct cpu *cpu);

#endif
