#include "apic.h"
#include "events.h"
#include "fields.h"
#include "x86.h"

/* SDM "Interrupt Command Register (ICR)", as x2APIC mode has it: fixed delivery, physical destination, no shorthand */
#define ICR_VECTOR BITS(7, 0)
#define ICR_OTHER_MODES (BITS(11, 8) | BITS(19, 18))
#define ICR_DESTINATION_SHIFT 32

/* SDM "Virtualizing APIC Accesses": VIRR is where the IRR is in the APIC's page, 32 vectors in every 16 bytes. */
#define VIRTUAL_IRR 0x200
#define VIRTUAL_IRR_STEP 0x10

/* SDM "Guest Non-Register State", guest interrupt status */
#define STATUS_REQUESTING BITS(7, 0)

/* SDM "Virtual-Interrupt Delivery": the CPU finds it at the entry, and delivers it when L2 can take it. */
static void request_of_cpu(struct guest *cpu)
{
	u32 *requested = (u32 *)(cpu->virtual_apic + VIRTUAL_IRR + GUEST_VECTOR_IPI / 32 * VIRTUAL_IRR_STEP);

	*requested |= 1u << GUEST_VECTOR_IPI % 32;
	vmcs_write(guest_interrupt_status, (vmcs_read(guest_interrupt_status) & ~STATUS_REQUESTING) | GUEST_VECTOR_IPI);
	cpu->ipi_pending = false;
}

void apic_deliver(struct guest *cpu)
{
	if (!cpu->ipi_pending || cpu->ipi_in_service)
		return;
	if (cpu->virtual_apic) {
		request_of_cpu(cpu);
	} else if (interrupt_or_ask_for_window(GUEST_VECTOR_IPI)) {
		cpu->ipi_pending = false;
		cpu->ipi_in_service = true;
	}
}

bool apic_has_interrupt(const struct guest *cpu)
{
	return cpu->ipi_pending || (cpu->virtual_apic && vmcs_read(guest_interrupt_status) & STATUS_REQUESTING);
}

/* The one that it is for runs at once, as it would on a CPU of its own. */
static void interrupt(struct guest *from, struct guest *to)
{
	to->ipi_pending = true;
	to->halted = false;
	if (from == to)
		apic_deliver(to);
	else
		guest_hand_over(from, to);
}

static bool send(struct guest *cpu, u64 command)
{
	struct guest *first = cpu->owner, *to = command >> ICR_DESTINATION_SHIFT ? first->second : first;

	if (command & ICR_OTHER_MODES || (command & ICR_VECTOR) != GUEST_VECTOR_IPI || !to ||
	    command >> ICR_DESTINATION_SHIFT > 1)
		return false;
	interrupt(cpu, to);
	return true;
}

bool apic_write(struct guest *cpu, u32 msr, u64 value)
{
	switch (msr) {
	case MSR_X2APIC_ICR:
		return send(cpu, value);
	case MSR_X2APIC_SELF_IPI:
		if (value != GUEST_VECTOR_IPI)
			return false;
		interrupt(cpu, cpu);
		return true;
	case MSR_X2APIC_EOI:
		cpu->ipi_in_service = false;
		apic_deliver(cpu);
		return true;
	default:
		return false;
	}
}
