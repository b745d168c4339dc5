/* The other CPUs of a feature image: brought up by INIT and SIPI, and given work. APIC IDs count from 0. */
#ifndef CONFORM_CPUS_H
#define CONFORM_CPUS_H

#include "types.h"
#include "vmcs_shadow/apic.h"

#define FEATURE_CPUS 8

/* The CPU that executes this, by its stack. */
unsigned cpu_number(void);

/* Put this CPU's APIC into x2APIC mode; the CPUs that are started later follow. */
void cpus_use_x2apic(void);
bool cpus_have_x2apic(void);

/* Write an interrupt command: flags are those of the ICR's low half, to a CPU by its number, or by any destination. */
void ipi(u32 destination, u32 flags);
#define IPI_INIT (ICR_init << ICR_MODE_SHIFT | (u32)ICR_ASSERT)
#define IPI_NMI (ICR_nmi << ICR_MODE_SHIFT | (u32)ICR_ASSERT)
#define IPI_SIPI (ICR_sipi << ICR_MODE_SHIFT | (u32)ICR_ASSERT)
#define IPI_TO_OTHERS ((u32)ICR_to_others << ICR_SHORTHAND_SHIFT)

/* The vector of a SIPI that brings a CPU up, to take work. */
u8 cpus_sipi_vector(void);
/* How many times a CPU has come up. */
unsigned cpu_starts(unsigned number);
/* INIT, SIPI, SIPI, as the SDM's "MP Initialization Example" has it; false if the CPU does not come up in time. */
bool cpu_start(unsigned number);

/* Have a CPU execute a function, and wait for its end or not. cpu_is_done() tells of the end. */
void cpu_begin(unsigned number, void (*work)(void));
bool cpu_is_done(unsigned number);
void cpu_do(unsigned number, void (*work)(void));

/* Long enough for another CPU to see an interrupt command. */
void cpus_pause(void);

#endif
