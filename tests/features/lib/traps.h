/* L2's IDT. */
#ifndef CONFORM_TRAPS_H
#define CONFORM_TRAPS_H

#include "types.h"

#define TRAP_VECTORS 64
#define TRAP_IDT_LIMIT (16 * TRAP_VECTORS - 1)

/* Built; its base. */
u64 traps_idt(void);

#endif
