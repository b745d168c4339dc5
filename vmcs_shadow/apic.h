/* What an interrupt command says, and whom it means. SDM "Issuing Interprocessor Interrupts". */
#ifndef TURTLES_APIC_H
#define TURTLES_APIC_H

#include "x86.h"

/* SDM "Local APIC Register Address Map": offsets in the page. x2APIC has an MSR for each 16 bytes. */
enum apic_register {
	APIC_ID = 0x20,
	APIC_TPR = 0x80,
	APIC_EOI = 0xb0,
	APIC_LDR = 0xd0,
	APIC_DFR = 0xe0,
	APIC_SVR = 0xf0,
	APIC_ICR_LOW = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_ERROR = 0x370,
	APIC_INITIAL_COUNT = 0x380,
	APIC_DIVIDE = 0x3e0,
};
#define APIC_MSR(offset) (MSR_X2APIC_FIRST + ((offset) >> 4))

/* SDM "Interrupt Command Register (ICR)" */
enum icr_mode { ICR_fixed, ICR_lowest, ICR_smi, ICR_nmi = 4, ICR_init, ICR_sipi };
enum icr_shorthand { ICR_to_destination, ICR_to_self, ICR_to_all, ICR_to_others };
#define ICR_VECTOR BITS(7, 0)
#define ICR_MODE_SHIFT 8
#define ICR_LOGICAL BIT(11)
#define ICR_PENDING BIT(12)
#define ICR_ASSERT BIT(14)
#define ICR_LEVEL BIT(15)
#define ICR_SHORTHAND_SHIFT 18

/* How one local APIC is addressed, its registers as they read. */
struct apic_address {
	bool x2apic;
	u32 id;  /* bits 31:24 of the register, or all 32 in x2APIC mode */
	u32 ldr, dfr;
};

/* ICR_fixed and so on; INIT level de-assert, which does nothing, counts as fixed to nobody: see icr_is_deassert(). */
enum icr_mode icr_mode(u64 icr);
bool icr_is_deassert(u64 icr);

/*
 * Does the command, sent from the one APIC, mean the other? icr has the destination as x2APIC has it if the sender is
 * in x2APIC mode, else in bits 63:56. INIT, SIPI and NMI to self or to all including self by shorthand, which the SDM
 * calls invalid, mean nobody.
 */
bool icr_selects(u64 icr, const struct apic_address *from, const struct apic_address *to);

#endif
