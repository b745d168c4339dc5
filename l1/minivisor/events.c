#include "events.h"
#include "apic.h"
#include "fields.h"
#include "x86.h"

static void inject(u64 vector, enum interruption_type type, u64 flags)
{
	vmcs_write(vm_entry_interruption_information, INTR_VALID | flags | type << INTR_TYPE_SHIFT | vector);
}

void inject_fault(enum x86_vector vector, u32 error_code)
{
	vmcs_write(vm_entry_exception_error_code, error_code);
	inject(vector, INTR_hardware_exception, INTR_ERROR_CODE);
}

/* Enter with an event as an exit described it; the formats differ in one bit, reserved at entry. */
static void inject_as_described(u64 information, enum field_place error_code, enum vmcs_encoding encoding)
{
	u64 type = (information & INTR_TYPE) >> INTR_TYPE_SHIFT;

	if (information & INTR_ERROR_CODE)
		vmcs_write(vm_entry_exception_error_code, field_read(error_code, encoding));
	/* What an instruction raises on purpose returns behind it, so the CPU must know its length. */
	if (type == INTR_software_interrupt || type == INTR_privileged_software_exception ||
	    type == INTR_software_exception)
		vmcs_write(vm_entry_instruction_length, vmcs_read(vm_exit_instruction_length));
	vmcs_write(vm_entry_interruption_information, information & ~INTR_NMI_UNBLOCKING);
}

void reflect_exception(u64 interruption_information)
{
	inject_as_described(interruption_information, PLACE_vm_exit_interruption_error_code,
			    ENC_vm_exit_interruption_error_code);
}

bool event_was_under_way(void)
{
	return vmcs_read(idt_vectoring_information) & INTR_VALID;
}

void redeliver_event(void)
{
	u64 information = vmcs_read(idt_vectoring_information);

	if (information & INTR_VALID)
		inject_as_described(information, PLACE_idt_vectoring_error_code, ENC_idt_vectoring_error_code);
}

static bool can_interrupt(void)
{
	return vmcs_read(guest_rflags) & RFLAGS_IF &&
	       !(vmcs_read(guest_interruptibility_state) & (INTERRUPTIBILITY_sti | INTERRUPTIBILITY_mov_ss));
}

/* Injection wakes a guest from its HLT as well. */
static void deliver(struct guest *guest)
{
	guest->timer_pending = false;
	guest->parameters->timer_pending = 0;
	inject(GUEST_VECTOR_TIMER, INTR_external, 0);
}

static void set_interrupt_window_exiting(bool on)
{
	u64 controls = vmcs_read(primary_processor_based_controls) & ~PROC_interrupt_window_exiting;

	vmcs_write(primary_processor_based_controls, controls | (on ? PROC_interrupt_window_exiting : 0));
}

void interrupt_guest(struct guest *guest)
{
	guest->timer_armed = false;
	guest->timer_pending = true;
	guest->parameters->timer_pending = 1;
	if (can_interrupt())
		deliver(guest);
	else
		set_interrupt_window_exiting(true);
}

bool interrupt_or_ask_for_window(u64 vector)
{
	if (!can_interrupt()) {
		set_interrupt_window_exiting(true);
		return false;
	}
	inject(vector, INTR_external, 0);
	return true;
}

/* One event at an entry: where both wait, the other has a window of its own. */
void interrupt_window_opened(struct guest *guest)
{
	set_interrupt_window_exiting(guest->timer_pending && guest->ipi_pending);
	if (guest->timer_pending)
		deliver(guest);
	else
		apic_deliver(guest);
}
