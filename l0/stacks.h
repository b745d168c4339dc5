/* L0's stacks, three a CPU; constants only, for C and assembly. The lowest page of each stays unmapped. */
#ifndef TURTLES_STACKS_H
#define TURTLES_STACKS_H

#define STACK_SIZE 0x4000
#define STACK_RUN 0   /* where L0 runs */
#define STACK_FAULT 1 /* faults, on an IST entry: an overflow of the first must still be reported */
#define STACK_NMI 2   /* NMIs and machine checks, on an IST entry: they hit anywhere */
#define STACKS_PER_CPU 3

#endif
