/* L1's own descriptor tables, and what it does with exceptions and interrupts of its own. */
#ifndef MINIVISOR_CPU_H
#define MINIVISOR_CPU_H

#include "types.h"

enum { SELECTOR_CODE = 0x08, SELECTOR_DATA = 0x10, SELECTOR_TSS = 0x18 };
/* The first vectors beyond the exceptions. */
enum { VECTOR_TIMER = 0x20, VECTOR_SPURIOUS = 0xff };

/* Load GDT, IDT and TSS. From then on an exception in L1 is reported and ends the run. */
void cpu_init(void);

/* Bases for the host state of a VMCS. */
u64 cpu_gdt_base(void);
u64 cpu_idt_base(void);
u64 cpu_tss_base(void);

#endif
