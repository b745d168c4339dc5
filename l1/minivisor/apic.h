/*
 * The local APIC of a guest's virtual CPU, as far as it goes: one vector, GUEST_VECTOR_IPI, sent to the other virtual
 * CPU or to itself, and its end, by the MSRs of x2APIC mode. SDM "x2APIC Register Address Space".
 */
#ifndef MINIVISOR_APIC_H
#define MINIVISOR_APIC_H

#include "guest.h"

/* What L2 wrote to an MSR, if that is one of these; false if not, or if it asks for what minivisor does not do. */
bool apic_write(struct guest *cpu, u32 msr, u64 value);

/* The interrupt that waits for this virtual CPU, now or as soon as it can take it. Its VMCS is current. */
void apic_deliver(struct guest *cpu);

/* Is there one, so that HLT does not wait? */
bool apic_has_interrupt(const struct guest *cpu);

#endif
