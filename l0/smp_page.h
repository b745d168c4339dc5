/* Constants of the application processors' start, for C and assembly. */
#ifndef TURTLES_SMP_PAGE_H
#define TURTLES_SMP_PAGE_H

#define AP_PAGE 0x8000  /* where they wake up; L1's memory, lent for a moment */
#define AP_NUMBERS 8    /* as many as there are stacks: MAX_CPUS */

#endif
