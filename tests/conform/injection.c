/*
 * injection: events of every type into L2, what their delivery finds, and what an exit in its course tells; SDM "Event
 * Injection", "Information for VM Exits During Event Delivery".
 */
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"
#include "tests/conform/lib/l2_idt.h"

L2_CODE(l2_nops, "nop\nnop\nnop\nnop");

static void make(void)
{
	vmcs_make(l2_nops);
	l2_idt_use();
	vmwrite(ENC_guest_rflags, RFLAGS_ONE | RFLAGS_IF);
}

/* SDM "64-Bit Mode Stack Frame": SS, RSP, RFLAGS, CS, RIP and perhaps an error code. */
static void observe_frame(void)
{
	const u64 *top = l2_idt_stack_top();

	observe("frame=%lx %lx %lx %lx %lx %lx", top[-1], top[-2], top[-3], top[-4], top[-5], top[-6]);
}

/* A case up to its end of line; what must hold is the caller's to add. */
static struct l2_exit run(const char *format, ...) PRINTF_LIKE(1, 2);
static struct l2_exit run(const char *format, ...)
{
	char name[96];
	va_list args;
	struct l2_exit exit;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	exit = l2_case_begin(name);
	if (exit.outcome == VMX_SUCCEED && !(exit.reason & EXIT_REASON_ENTRY_FAILURE))
		observe_frame();
	observe("entry_information=%lx", vmread(ENC_vm_entry_interruption_information));
	return exit;
}

struct event {
	const char *name;
	u32 type, vector, length, error;
	bool has_error;
};

static const struct event events[] = {
	{ "external", INTR_external, 0x40, 0, 0, false },
	{ "external_13", INTR_external, VECTOR_GP, 0, 0, false },
	{ "nmi", INTR_nmi, VECTOR_NMI, 0, 0, false },
	{ "ud", INTR_hardware_exception, VECTOR_UD, 0, 0, false },
	{ "db", INTR_hardware_exception, VECTOR_DB, 0, 0, false },
	{ "gp", INTR_hardware_exception, VECTOR_GP, 0, 0x1234, true },
	{ "pf", INTR_hardware_exception, VECTOR_PF, 0, 2, true },
	{ "ac", INTR_hardware_exception, VECTOR_AC, 0, 0, true },
	{ "df", INTR_hardware_exception, VECTOR_DF, 0, 0, true },
	{ "mc", INTR_hardware_exception, VECTOR_MC, 0, 0, false },
	{ "software", INTR_software_interrupt, 0x80, 2, 0, false },
	{ "software_15", INTR_software_interrupt, 0x80, 15, 0, false },
	{ "icebp", INTR_privileged_software_exception, VECTOR_DB, 1, 0, false },
	{ "int3", INTR_software_exception, VECTOR_BP, 1, 0, false },
	{ "into", INTR_software_exception, VECTOR_OF, 1, 0, false },
};
enum { EVENT_external = 0, EVENT_nmi = 2, EVENT_db = 4, EVENT_mc = 9 };
#define PENDING_ENABLED_BREAKPOINT BIT(12)

static u32 information_of(const struct event *event)
{
	return (u32)(INTR_VALID | (u64)event->type << INTR_TYPE_SHIFT | event->vector |
		     (event->has_error ? INTR_ERROR_CODE : 0));
}

static void inject(const struct event *event)
{
	vmwrite(ENC_vm_entry_interruption_information, information_of(event));
	vmwrite(ENC_vm_entry_exception_error_code, event->error);
	vmwrite(ENC_vm_entry_instruction_length, event->length);
}

/* The handler ran: it has ended L2, and the frame has L2's RIP, behind the instruction of a software event. */
static void expect_delivery(const struct l2_exit *exit, const struct event *event)
{
	const u64 *top = l2_idt_stack_top();

	expect_exit(exit, REASON_vmcall);
	if (exit->rip != (u64)l2_idt_handler)
		wrong("the handler has not run");
	else if (top[-5] != (u64)l2_nops + event->length)
		wrong("the RIP on the stack is not that behind the event");
	else if (event->has_error && top[-6] != event->error)
		wrong("the error code is not on the stack");
}

/* SDM "Event Injection": delivered through L2's IDT, no matter what the exception bitmap says. */
static void delivered(void)
{
	static const struct {
		const char *name;
		enum gate_type gate;
		u32 bitmap;
	} ways[] = {
		{ "plain", GATE_INTERRUPT_64, 0 },
		{ "bitmap", GATE_INTERRUPT_64, ~0u },
		{ "trap_gate", GATE_TRAP_64, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(ways); j++) {
			struct l2_exit exit;

			make();
			l2_idt_set_gate(events[i].vector, ways[j].gate);
			vmwrite(ENC_exception_bitmap, ways[j].bitmap);
			inject(&events[i]);
			exit = run("deliver.%s.%s", ways[j].name, events[i].name);
			expect_delivery(&exit, &events[i]);
			case_end();
		}
}

/* What was being delivered is in the IDT-vectoring information. */
static void expect_vectoring(const struct l2_exit *exit, const struct event *event)
{
	if (exit->vectoring != information_of(event))
		wrong("the IDT-vectoring information must be that of the event");
}

/* SDM "Information for VM Exits During Event Delivery": a fault on the way exits with what was being delivered. */
static void faulting(void)
{
	static const struct {
		const char *name;
		enum gate_type gate;
		u64 limit;
		bool bad_stack;
	} ways[] = {
		{ "beyond_limit", GATE_INTERRUPT_64, 0, false },
		{ "not_present", GATE_NOT_PRESENT, L2_IDT_LIMIT, false },
		{ "bad_gate", GATE_BAD, L2_IDT_LIMIT, false },
		{ "bad_stack", GATE_INTERRUPT_64, L2_IDT_LIMIT, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(ways); j++) {
			struct l2_exit exit;

			make();
			l2_idt_set_gate(events[i].vector, ways[j].gate);
			vmwrite(ENC_guest_idtr_limit, ways[j].limit);
			vmwrite(ENC_exception_bitmap, ~0u);
			if (ways[j].bad_stack)
				vmwrite(ENC_guest_rsp, BIT(47));
			inject(&events[i]);
			exit = run("fault.%s.%s", ways[j].name, events[i].name);
			expect_vectoring(&exit, &events[i]);
			case_end();
		}
}

/* SDM "Double Fault", "Triple Fault": where the bitmap lets the first fault through, or the second, too. */
static void double_faults(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		for (unsigned lets_df = 0; lets_df < 2; lets_df++) {
			struct l2_exit exit;

			make();
			vmwrite(ENC_guest_idtr_limit, 0);
			vmwrite(ENC_exception_bitmap, lets_df ? 0 : BIT(VECTOR_DF));
			inject(&events[i]);
			exit = run("%s.%s", lets_df ? "triple_fault" : "double_fault", events[i].name);
			expect_exit(&exit, lets_df || events[i].vector == VECTOR_DF ? REASON_triple_fault :
										  REASON_exception_or_nmi);
			if (exit.reason == REASON_exception_or_nmi && (exit.intr & INTR_VECTOR) != VECTOR_DF)
				wrong("it must be #DF");
			case_end();
		}
}

/* An EPT violation on the IDT or on the stack has the same information. */
#define FAR 0x2000000ull
static void violations(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++)
		for (unsigned stack = 0; stack < 2; stack++) {
			struct l2_exit exit;

			make();
			if (stack)
				vmwrite(ENC_guest_rsp, FAR + PAGE_SIZE);
			else
				vmwrite(ENC_guest_idtr_base, FAR);
			*l2_ept_entry(FAR) = 0;
			invept(INVEPT_global, 0);
			inject(&events[i]);
			exit = run("violation.%s.%s", stack ? "stack" : "idt", events[i].name);
			expect_exit(&exit, REASON_ept_violation);
			expect_vectoring(&exit, &events[i]);
			case_end();
		}
}

/* SDM "Guest Non-Register State": what an injection does to halt, and to blocking by NMI. */
static void states(void)
{
	static const u8 waking[] = { EVENT_external, EVENT_nmi, EVENT_db, EVENT_mc };
	static const struct {
		const char *name;
		u32 pin;
		u64 blocking;
		u8 event;
	} rows[] = {
		{ "nmi_blocked.external", 0, INTERRUPTIBILITY_nmi, EVENT_external },
		{ "nmi_exiting.nmi", PIN_nmi_exiting, 0, EVENT_nmi },
		{ "virtual_nmis.nmi", PIN_nmi_exiting | PIN_virtual_nmis, 0, EVENT_nmi },
	};
	struct l2_exit exit;

	for (unsigned i = 0; i < ARRAY_SIZE(waking); i++) {
		make();
		vmwrite(ENC_guest_activity_state, ACTIVITY_hlt);
		inject(&events[waking[i]]);
		exit = run("halted.%s", events[waking[i]].name);
		expect_delivery(&exit, &events[waking[i]]);
		case_end();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		make();
		controls_set(PIN_CTLS, rows[i].pin);
		vmwrite(ENC_guest_interruptibility_state, rows[i].blocking);
		inject(&events[rows[i].event]);
		exit = run("%s", rows[i].name);
		expect_delivery(&exit, &events[rows[i].event]);
		case_end();
	}
}

/* SDM "Pending Debug Exceptions": due behind the entry if BS or "enabled breakpoint" says so. */
static void expect_pending(const struct l2_exit *exit, u64 pending, bool exits)
{
	bool due = pending & (DR6_BS | PENDING_ENABLED_BREAKPOINT);

	expect_exit(exit, due && exits ? REASON_exception_or_nmi : REASON_vmcall);
	if (due && exits && exit->qualification != (pending & ~PENDING_ENABLED_BREAKPOINT))
		wrong("the qualification must be what was pending");
	if (!exits && (exit->rip == (u64)l2_idt_handler) != due)
		wrong("that it is delivered must be %d", due);
}

static void pending_debug(void)
{
	static const u64 pending[] = { DR6_BS, 1, PENDING_ENABLED_BREAKPOINT | 1, 0xf };
	struct l2_exit exit;

	for (unsigned i = 0; i < ARRAY_SIZE(pending); i++)
		for (unsigned exits = 0; exits < 2; exits++) {
			make();
			vmwrite(ENC_exception_bitmap, exits ? BIT(VECTOR_DB) : 0);
			vmwrite(ENC_guest_pending_debug_exceptions, pending[i]);
			exit = run("pending.%lx.%s", pending[i], exits ? "exits" : "delivered");
			expect_pending(&exit, pending[i], exits);
			case_end();
		}
	make();
	vmwrite(ENC_guest_rflags, RFLAGS_ONE | RFLAGS_TF);
	vmwrite(ENC_exception_bitmap, BIT(VECTOR_DB));
	exit = run("single_step");
	expect_exit(&exit, REASON_exception_or_nmi);
	if (exit.qualification != DR6_BS || exit.rip != (u64)l2_nops + 1)
		wrong("it must be the trap behind the first instruction");
	case_end();
}

void group(void)
{
	vmx_start();
	delivered();
	faulting();
	double_faults();
	violations();
	states();
	pending_debug();
}
