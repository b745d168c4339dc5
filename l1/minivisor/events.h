/* Exceptions and interrupts that L1 gives to L2. SDM "VM-Entry Controls for Event Injection". */
#ifndef MINIVISOR_EVENTS_H
#define MINIVISOR_EVENTS_H

#include "guest.h"
#include "x86.h"

/* A fault of L2's own making, with its error code. */
void inject_fault(enum x86_vector vector, u32 error_code);

/* The exception that caused this exit, given back to L2 as it came. */
void reflect_exception(u64 interruption_information);

/*
 * If the exit came while an event was on its way to L2, deliver that event again at the next entry.
 * SDM "Information for VM Exits That Occur During Event Delivery".
 */
void redeliver_event(void);
/* Is there such an event? */
bool event_was_under_way(void);

/* The guest's timer went off: interrupt it now, or as soon as it can take an interrupt. */
void interrupt_guest(struct guest *guest);
/* Inject an external interrupt on that vector; false if L2 cannot take it yet: the window that it needs will exit. */
bool interrupt_or_ask_for_window(u64 vector);
/* Now it can. */
void interrupt_window_opened(struct guest *guest);

#endif
