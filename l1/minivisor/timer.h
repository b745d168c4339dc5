/* The local APIC's timer, one shot at a time. SDM "APIC Timer". */
#ifndef MINIVISOR_TIMER_H
#define MINIVISOR_TIMER_H

#include "types.h"

/* Enable the local APIC and mask the 8259s: from then on the timer is the only source of interrupts. */
void timer_init(void);

/* An interrupt on VECTOR_TIMER after so many ticks, at least one. */
void timer_arm(u32 ticks);

/* An interrupt on VECTOR_TIMER at once, without the timer: L1 sends it to itself. */
void timer_request(void);

/* No interrupt any more, and none left pending. */
void timer_cancel(void);

/* The interrupt was taken by acknowledge-interrupt-on-exit: tell the APIC that it is done. */
void timer_end_of_interrupt(void);

/* Let L1 itself sleep until the armed timer's interrupt. */
void timer_wait(void);

#endif
