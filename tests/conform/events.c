/*
 * events: interrupts and NMIs that arrive in L2 or before it, windows, blocking, activity states, the VMX-preemption
 * timer, the monitor trap flag; SDM "Other Causes of VM Exits", "Event Blocking", "Activity States".
 */
#include "ept.h"
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"
#include "tests/conform/lib/l2_idt.h"

/* SDM "Local APIC Register Address Map" */
#define APIC 0xfee00000ul
#define APIC_ID 0x20
#define APIC_EOI 0xb0
#define APIC_SPURIOUS 0xf0
#define APIC_ISR 0x100
#define APIC_ICR_LOW 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_ID_SHIFT 24
#define SPURIOUS_ENABLED 0x1ff
#define ICR_SELF 0x40000
#define ICR_NMI 0x4400
#define VECTOR 0x40
#define FAR 0x2000000ul /* memory that nothing else uses, mapped by an entry of its own */

/* RDI has the APIC; ESI this CPU's place in the high half of its command register. */
#define SEND_INTERRUPT "movl $0x40040, 0x300(%rdi)\n"
#define SEND_NMI "movl %esi, 0x310(%rdi)\nmovl $0x4400, 0x300(%rdi)\n"
#define IRET_TO_NEXT \
	"mov %rsp, %rbx\nmov %ss, %eax\npush %rax\npush %rbx\npushfq\nmov %cs, %eax\npush %rax\n" \
	"lea 1f(%rip), %rax\npush %rax\niretq\n1: "

#define PIECES(X) \
	X(nops, "nop\nnop\nnop") X(sti, "sti\nnop\nnop\ncli") X(sti_hlt, "sti\nhlt\nnop") X(hlt, "hlt\nnop") \
	X(cpuid, "nop\ncpuid") X(spin, "1: jmp 1b") X(halt, "1: hlt\njmp 1b") \
	X(mov_ss, "mov %ss, %eax\nmov %eax, %ss\nnop\nnop") \
	X(send, SEND_INTERRUPT "nop\nnop") X(send_sti, SEND_INTERRUPT "sti\nnop\nnop") \
	X(send_mov_ss, "mov %ss, %eax\n" SEND_INTERRUPT "sti\nmov %eax, %ss\nnop\nnop") \
	X(nmi, SEND_NMI "nop\nnop") X(nmi_iret, SEND_NMI IRET_TO_NEXT "nop\nnop") X(iret, IRET_TO_NEXT "nop\nnop") \
	X(nmi_hlt, SEND_NMI "hlt\nnop") \
	X(iret_bad, "pushq $0\npushq $0\npushq $2\npushq $0\npushq $0\niretq") X(iret_far, "iretq") \
	X(vmcall_after_sti, "sti") X(vmcall_after_mov_ss, "mov %ss, %eax\nmov %eax, %ss") \
	X(steps, "nop\nmov %ss, %eax\nmov %eax, %ss\nnop\nmov $3, %ecx\nrep stosb\nmov $1, %eax\nmov %rax, %dr0\nud2") \
	X(string, "mov $5, %ecx\nrep stosb\nnop")
#define DEFINE_PIECE(name, text) L2_CODE(l2_##name, text);
PIECES(DEFINE_PIECE)

static u8 buffer[64];

static volatile u32 *apic(unsigned offset)
{
	return (volatile u32 *)(APIC + offset);
}

/* L1 lets interrupts in for two instructions: the vector that came, or PROBE_NO_FAULT. */
CODE(take_interrupt, "sti\nnop\nnop\ncli");
CODE(take_nmi, "nop\nnop");

/* What L2 has left: an interrupt still pending, one in service. Ends both. */
static void observe_interrupts(void)
{
	bool in_service = *apic(APIC_ISR + VECTOR / 32 * 16) >> VECTOR % 32 & 1;
	int vector;

	if (in_service)
		*apic(APIC_EOI) = 0;
	probe_registers_reset();
	vector = probe(take_interrupt).vector;
	if (vector == VECTOR)
		*apic(APIC_EOI) = 0;
	observe("in_service=%d pending=%d", in_service, vector);
}

/* The vector 2 of an NMI that was held back until now. */
static int held_nmi(void)
{
	probe_registers_reset();
	return probe(take_nmi).vector;
}

static void send_interrupt(void)
{
	*apic(APIC_ICR_LOW) = ICR_SELF | VECTOR;
}

static void send_nmi(void)
{
	*apic(APIC_ICR_HIGH) = *apic(APIC_ID);
	*apic(APIC_ICR_LOW) = ICR_NMI;
}

static void make(const u8 *code)
{
	vmcs_make(code);
	l2_idt_use();
	l2.gpr[RDI] = APIC;
	l2.gpr[RSI] = *apic(APIC_ID);
}

static void expect_place(const struct l2_exit *exit, const u8 *code, u64 offset)
{
	if (exit->outcome == VMX_SUCCEED && exit->rip != (u64)code + offset)
		wrong("it must be at +%lx", offset);
}

/* Where L2's handler was called from: the RIP that was pushed. */
static void observe_delivery(const struct l2_exit *exit, const u8 *code)
{
	if (exit->rip == (u64)l2_idt_handler)
		observe("delivered_at=%lx", l2_idt_stack_top()[-5] - (u64)code);
	else
		observe("delivered=-");
}

struct interrupt_case {
	const char *name;
	const u8 *code;
	bool sent_before, exiting, acknowledge, flag;
	u32 blocking, activity;
	enum exit_reason reason;
	u64 at; /* of an exit by the interrupt */
};

#define L2_SIZE_OF_SEND 10
static const struct interrupt_case interrupts[] = {
	{ "exits", l2_nops, true, true, false, true, 0, 0, REASON_external_interrupt, 0 },
	{ "exits_acknowledged", l2_nops, true, true, true, true, 0, 0, REASON_external_interrupt, 0 },
	{ "delivered", l2_nops, true, false, false, true, 0, 0, REASON_vmcall, 0 },
	{ "masked", l2_nops, true, false, false, false, 0, 0, REASON_vmcall, 0 },
	{ "exits_without_if", l2_nops, true, true, false, false, 0, 0, REASON_external_interrupt, 0 },
	{ "blocked_by_sti.delivered", l2_nops, true, false, false, true, INTERRUPTIBILITY_sti, 0, REASON_vmcall, 0 },
	{ "blocked_by_mov_ss.delivered", l2_nops, true, false, false, true, INTERRUPTIBILITY_mov_ss, 0, REASON_vmcall,
	  0 },
	{ "sent_by_l2.exits", l2_send, false, true, false, true, 0, 0, REASON_external_interrupt, L2_SIZE_OF_SEND },
	{ "sent_by_l2.exits_acknowledged", l2_send, false, true, true, true, 0, 0, REASON_external_interrupt,
	  L2_SIZE_OF_SEND },
	{ "sent_by_l2.delivered", l2_send, false, false, false, true, 0, 0, REASON_vmcall, 0 },
	{ "sent_by_l2.after_sti", l2_send_sti, false, false, false, false, 0, 0, REASON_vmcall, 0 },
	{ "sent_by_l2.after_mov_ss", l2_send_mov_ss, false, false, false, false, 0, 0, REASON_vmcall, 0 },
	{ "halted.exits", l2_nops, true, true, false, true, 0, ACTIVITY_hlt, REASON_external_interrupt, 0 },
	{ "halted.exits_acknowledged", l2_nops, true, true, true, true, 0, ACTIVITY_hlt, REASON_external_interrupt, 0 },
	{ "halted.delivered", l2_nops, true, false, false, true, 0, ACTIVITY_hlt, REASON_vmcall, 0 },
	{ "hlt.delivered", l2_sti_hlt, true, false, false, false, 0, 0, REASON_vmcall, 0 },
};

static void interrupt_case(const struct interrupt_case *row)
{
	struct l2_exit exit;

	case_begin("interrupt.%s", row->name);
	make(row->code);
	if (row->exiting)
		controls_set(PIN_CTLS, PIN_external_interrupt_exiting);
	if (row->acknowledge)
		controls_set(EXIT_CTLS, EXIT_acknowledge_interrupt_on_exit);
	vmwrite(ENC_guest_rflags, RFLAGS_ONE | (row->flag ? RFLAGS_IF : 0));
	vmwrite(ENC_guest_interruptibility_state, row->blocking);
	vmwrite(ENC_guest_activity_state, row->activity);
	if (row->sent_before)
		send_interrupt();
	exit = l2_enter();
	observe_exit(&exit);
	observe_delivery(&exit, row->code);
	expect_exit(&exit, row->reason);
	if (row->reason == REASON_external_interrupt) {
		expect_place(&exit, row->code, row->at);
		if (exit.intr != (row->acknowledge ? (u32)INTR_VALID | VECTOR : 0))
			wrong("the interruption information is valid with \"acknowledge interrupt on exit\" alone");
	}
	observe_interrupts();
	case_end();
}

/* SDM "Interrupt Windows": RFLAGS.IF is 1, and neither STI nor MOV SS blocks. (In HLT the emulated CPU sleeps on.) */
static void windows(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u64 rflags;
		u32 blocking;
		u64 at;
	} rows[] = {
		{ "at_once", l2_nops, RFLAGS_IF, 0, 0 },
		{ "sti_blocks", l2_nops, RFLAGS_IF, INTERRUPTIBILITY_sti, 1 },
		{ "mov_ss_blocks", l2_nops, RFLAGS_IF, INTERRUPTIBILITY_mov_ss, 1 },
		{ "nmi_does_not_block", l2_nops, RFLAGS_IF, INTERRUPTIBILITY_nmi, 0 },
		{ "behind_sti", l2_sti, 0, 0, 2 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		case_begin("window.%s", rows[i].name);
		make(rows[i].code);
		controls_set(PROC_CTLS, PROC_interrupt_window_exiting);
		vmwrite(ENC_guest_rflags, RFLAGS_ONE | rows[i].rflags);
		vmwrite(ENC_guest_interruptibility_state, rows[i].blocking);
		exit = l2_enter();
		observe_exit(&exit);
		expect_exit(&exit, REASON_interrupt_window);
		expect_place(&exit, rows[i].code, rows[i].at);
		case_end();
	}
}

struct nmi_case {
	const char *name;
	const u8 *code;
	u64 pin, proc;
	u32 blocking;
	enum exit_reason reason;
	int held; /* what L1 finds pending afterwards */
};

#define VIRTUAL_NMIS (PIN_nmi_exiting | PIN_virtual_nmis)
/* The emulated CPU ends virtual-NMI blocking by IRET in L2 alone, not at the next entry: hence the order. */
static const struct nmi_case nmis[] = {
	{ "exits", l2_nmi, PIN_nmi_exiting, 0, 0, REASON_exception_or_nmi, PROBE_NO_FAULT },
	{ "exits_with_virtual_nmis", l2_nmi, VIRTUAL_NMIS, 0, 0, REASON_exception_or_nmi, PROBE_NO_FAULT },
	{ "delivered", l2_nmi, 0, 0, 0, REASON_vmcall, PROBE_NO_FAULT },
	{ "blocked", l2_nmi, 0, 0, INTERRUPTIBILITY_nmi, REASON_vmcall, VECTOR_NMI },
	{ "iret_unblocks", l2_nmi_iret, 0, 0, INTERRUPTIBILITY_nmi, REASON_vmcall, PROBE_NO_FAULT },
	{ "ends_hlt.exits", l2_nmi_hlt, PIN_nmi_exiting, 0, 0, REASON_exception_or_nmi, PROBE_NO_FAULT },
	{ "window.at_once", l2_nops, VIRTUAL_NMIS, PROC_nmi_window_exiting, 0, REASON_nmi_window, PROBE_NO_FAULT },
	{ "window.mov_ss_blocks", l2_nops, VIRTUAL_NMIS, PROC_nmi_window_exiting, INTERRUPTIBILITY_mov_ss,
	  REASON_nmi_window, PROBE_NO_FAULT },
	{ "virtual_blocking_does_not_block", l2_nmi, VIRTUAL_NMIS, 0, INTERRUPTIBILITY_nmi, REASON_exception_or_nmi,
	  PROBE_NO_FAULT },
	{ "window.behind_iret", l2_iret, VIRTUAL_NMIS, PROC_nmi_window_exiting, INTERRUPTIBILITY_nmi,
	  REASON_nmi_window, PROBE_NO_FAULT },
	{ "window.never", l2_nops, VIRTUAL_NMIS, PROC_nmi_window_exiting, INTERRUPTIBILITY_nmi, REASON_vmcall,
	  PROBE_NO_FAULT },
	{ "iret_unblocks_virtual", l2_iret, VIRTUAL_NMIS, 0, INTERRUPTIBILITY_nmi, REASON_vmcall, PROBE_NO_FAULT },
};

static void nmi_case(const struct nmi_case *row)
{
	struct l2_exit exit;
	int held;

	case_begin("nmi.%s", row->name);
	make(row->code);
	controls_set(PIN_CTLS, row->pin);
	controls_set(PROC_CTLS, row->proc);
	vmwrite(ENC_guest_interruptibility_state, row->blocking);
	exit = l2_enter();
	observe_exit(&exit);
	observe_delivery(&exit, row->code);
	held = held_nmi();
	observe("held=%d", held);
	expect_exit(&exit, row->reason);
	if (row->reason == REASON_exception_or_nmi &&
	    exit.intr != (INTR_VALID | INTR_nmi << INTR_TYPE_SHIFT | VECTOR_NMI))
		wrong("the interruption information must be that of an NMI");
	if (held != row->held)
		wrong("of NMIs that were held back there must be %d", row->held);
	case_end();
}

/* SDM "VM Exits", an NMI's: L1 runs on with NMIs blocked, until its IRET. */
static void nmi_blocks_host(void)
{
	struct l2_exit exit;
	int held;

	case_begin("nmi.host_blocks");
	make(l2_nmi);
	controls_set(PIN_CTLS, PIN_nmi_exiting);
	exit = l2_enter();
	observe_exit(&exit);
	send_nmi(); /* an exception in the image, if it is not held back */
	held = held_nmi();
	observe("held=%d", held);
	expect_exit(&exit, REASON_exception_or_nmi);
	if (held != VECTOR_NMI)
		wrong("the NMI must be held back until IRET");
	case_end();
}

/* SDM "Information for VM Exits Due to Vectored Events": an IRET that faults has ended the blocking, and says so. */
static void faulting_iret(void)
{
	struct l2_exit exit;

	case_begin("nmi.faulting_iret");
	make(l2_iret_bad);
	vmwrite(ENC_exception_bitmap, ~0u);
	vmwrite(ENC_guest_interruptibility_state, INTERRUPTIBILITY_nmi);
	exit = l2_enter();
	observe_exit(&exit);
	expect_exit(&exit, REASON_exception_or_nmi);
	if (!(exit.intr & INTR_NMI_UNBLOCKING))
		wrong("the interruption information must tell of NMI unblocking due to IRET");
	case_end();
}

static void fill_far_frame(void)
{
	u64 *frame = (u64 *)FAR;

	frame[0] = (u64)l2_nops;
	frame[1] = SEL_CODE64;
	frame[2] = RFLAGS_ONE;
	frame[3] = l2_stack_top();
	frame[4] = SEL_DATA;
}

/* The same where the stack is absent: L1 mends it, blocks NMIs again, and IRET is executed anew. */
static void iret_violation(void)
{
	struct l2_exit exit;
	u64 good;

	fill_far_frame();
	make(l2_iret_far);
	good = *l2_ept_entry(FAR);
	*l2_ept_entry(FAR) = 0;
	invept(INVEPT_global, 0);
	vmwrite(ENC_guest_rsp, FAR);
	vmwrite(ENC_guest_interruptibility_state, INTERRUPTIBILITY_nmi);
	exit = l2_case_begin("nmi.iret_violation");
	expect_exit(&exit, REASON_ept_violation);
	if (!(exit.qualification & EPT_VIOLATION_NMI_UNBLOCKING))
		wrong("the qualification must tell of NMI unblocking due to IRET");
	case_end();
	*l2_ept_entry(FAR) = good;
	vmwrite(ENC_guest_interruptibility_state, INTERRUPTIBILITY_nmi);
	exit = l2_case_begin("nmi.iret_again");
	expect_exit(&exit, REASON_vmcall);
	if (vmread(ENC_guest_interruptibility_state) & INTERRUPTIBILITY_nmi)
		wrong("IRET must have ended the blocking");
	case_end();
}

/* Nothing of that shows where EPT12 has the stack, though it was never used before. */
static void iret_on_fresh_page(void)
{
	struct l2_exit exit;

	fill_far_frame();
	make(l2_iret_far);
	invept(INVEPT_global, 0);
	vmwrite(ENC_guest_rsp, FAR);
	vmwrite(ENC_guest_interruptibility_state, INTERRUPTIBILITY_nmi);
	exit = l2_case_begin("nmi.iret_on_fresh_page");
	expect_exit(&exit, REASON_vmcall);
	if (vmread(ENC_guest_interruptibility_state) & INTERRUPTIBILITY_nmi)
		wrong("IRET must have ended the blocking");
	case_end();
}

/* SDM "Saving Non-Register State": the blocking that an exit finds is saved. */
static void blocking_saved(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u32 blocking;
	} rows[] = {
		{ "sti", l2_vmcall_after_sti, INTERRUPTIBILITY_sti },
		{ "mov_ss", l2_vmcall_after_mov_ss, INTERRUPTIBILITY_mov_ss },
		{ "none", l2_nops, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		case_begin("blocking_saved.%s", rows[i].name);
		make(rows[i].code);
		exit = l2_enter();
		observe_exit(&exit);
		expect_exit(&exit, REASON_vmcall);
		if (vmread(ENC_guest_interruptibility_state) != rows[i].blocking)
			wrong("the interruptibility state must be %x", rows[i].blocking);
		case_end();
	}
}

struct timer_case {
	const char *name;
	const u8 *code;
	u32 value, activity;
	bool save;
	u32 inject;
	enum exit_reason reason;
	u32 left;  /* of the timer, if it is not the count of what was executed */
};

#define TIMER_LONG 0x7fffffffu
#define TIMER_COUNTED 0xffffffffu /* compared with nothing but its bounds */
#define UD_EVENT ((u32)INTR_VALID | INTR_hardware_exception << INTR_TYPE_SHIFT | VECTOR_UD)

/* SDM "VMX-Preemption Timer" */
static const struct timer_case timers[] = {
	{ "zero", l2_nops, 0, 0, false, 0, REASON_preemption_timer_expired, 0 },
	{ "zero.saved", l2_nops, 0, 0, true, 0, REASON_preemption_timer_expired, 0 },
	{ "spin", l2_spin, 2000, 0, false, 0, REASON_preemption_timer_expired, 2000 },
	{ "spin.saved", l2_spin, 2000, 0, true, 0, REASON_preemption_timer_expired, 0 },
	{ "long", l2_nops, TIMER_LONG, 0, false, 0, REASON_vmcall, TIMER_LONG },
	{ "long.saved", l2_nops, TIMER_LONG, 0, true, 0, REASON_vmcall, TIMER_COUNTED },
	{ "zero.halted", l2_nops, 0, ACTIVITY_hlt, false, 0, REASON_preemption_timer_expired, 0 },
	{ "halted", l2_nops, 3000, ACTIVITY_hlt, true, 0, REASON_preemption_timer_expired, 0 },
	{ "halts", l2_halt, 3000, 0, true, 0, REASON_preemption_timer_expired, 0 },
	{ "shutdown", l2_nops, 3000, ACTIVITY_shutdown, true, 0, REASON_preemption_timer_expired, 0 },
	{ "zero.shutdown", l2_nops, 0, ACTIVITY_shutdown, false, 0, REASON_preemption_timer_expired, 0 },
	{ "zero.injected", l2_nops, 0, 0, false, UD_EVENT, REASON_preemption_timer_expired, 0 },
};

static void timer_case(const struct timer_case *row)
{
	struct l2_exit exit;
	u64 left;

	case_begin("timer.%s", row->name);
	make(row->code);
	controls_set(PIN_CTLS, PIN_activate_vmx_preemption_timer);
	if (row->save)
		controls_set(EXIT_CTLS, EXIT_save_vmx_preemption_timer_value);
	vmwrite(ENC_vmx_preemption_timer_value, row->value);
	vmwrite(ENC_guest_activity_state, row->activity);
	vmwrite(ENC_vm_entry_interruption_information, row->inject);
	exit = l2_enter();
	observe_exit(&exit);
	observe_delivery(&exit, row->code);
	left = vmread(ENC_vmx_preemption_timer_value);
	expect_exit(&exit, row->reason);
	if (row->left != TIMER_COUNTED) {
		observe("timer=%lx", left);
		if (left != row->left)
			wrong("the timer must be left at %x", row->left);
	} else if (left >= row->value) {
		wrong("the timer must have counted down");
	}
	if (row->inject && exit.rip != (u64)l2_idt_handler)
		wrong("the event comes first");
	case_end();
}

/* SDM "Monitor Trap Flag": behind each instruction, each iteration, each event delivered. */
static void single_steps(void)
{
	struct l2_exit exit = { .outcome = VMX_SUCCEED };
	unsigned steps = 0;

	case_begin("monitor_trap_flag.steps");
	make(l2_steps);
	l2.gpr[RDI] = (u64)buffer;
	controls_set(PROC_CTLS, PROC_monitor_trap_flag);
	do {
		exit = l2_enter();
		if (exit.rip != (u64)l2_idt_handler)
			observe("%lx", exit.rip - (u64)l2_steps);
		else
			observe("handler");
	} while (exit.outcome == VMX_SUCCEED && exit.reason == REASON_monitor_trap_flag && ++steps < 30);
	observe_exit(&exit);
	expect_exit(&exit, REASON_vmcall);
	case_end();
}

static void monitor_trap_flag(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u64 proc;
		u32 inject, activity;
		bool at_handler;
	} rows[] = {
		{ "pending", l2_nops, 0, (u32)INTR_VALID | INTR_other_event << INTR_TYPE_SHIFT, 0, false },
		{ "pending.with_flag", l2_nops, PROC_monitor_trap_flag,
		  (u32)INTR_VALID | INTR_other_event << INTR_TYPE_SHIFT, 0, false },
		{ "pending.halted", l2_nops, 0, (u32)INTR_VALID | INTR_other_event << INTR_TYPE_SHIFT, ACTIVITY_hlt,
		  false },
		{ "injected", l2_nops, PROC_monitor_trap_flag, UD_EVENT, 0, true },
		{ "plain", l2_nops, PROC_monitor_trap_flag, 0, 0, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		case_begin("monitor_trap_flag.%s", rows[i].name);
		make(rows[i].code);
		controls_set(PROC_CTLS, rows[i].proc);
		vmwrite(ENC_guest_activity_state, rows[i].activity);
		vmwrite(ENC_vm_entry_interruption_information, rows[i].inject);
		exit = l2_enter();
		observe_exit(&exit);
		expect_exit(&exit, REASON_monitor_trap_flag);
		if (rows[i].at_handler)
			expect_place(&exit, l2_idt_handler, 0);
		else
			expect_place(&exit, rows[i].code, rows[i].inject ? 0 : 1);
		case_end();
	}
}

/* Which of two comes first; SDM "Priority Among Concurrent Events". */
static void priorities(void)
{
	static const struct {
		const char *name;
		u64 pin, proc;
		bool interrupt;
		enum exit_reason reason;
	} rows[] = {
		{ "timer_before_interrupt", PIN_activate_vmx_preemption_timer | PIN_external_interrupt_exiting, 0, true,
		  REASON_preemption_timer_expired },
		{ "timer_before_window", PIN_activate_vmx_preemption_timer, PROC_interrupt_window_exiting, false,
		  REASON_preemption_timer_expired },
		{ "timer_before_nmi_window", PIN_activate_vmx_preemption_timer | VIRTUAL_NMIS, PROC_nmi_window_exiting,
		  false, REASON_preemption_timer_expired },
		{ "nmi_window_before_window", VIRTUAL_NMIS, PROC_nmi_window_exiting | PROC_interrupt_window_exiting,
		  false, REASON_nmi_window },
		{ "nmi_window_before_interrupt", VIRTUAL_NMIS | PIN_external_interrupt_exiting,
		  PROC_nmi_window_exiting, true, REASON_nmi_window },
		{ "window_before_interrupt", PIN_external_interrupt_exiting, PROC_interrupt_window_exiting, true,
		  REASON_interrupt_window },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		case_begin("priority.%s", rows[i].name);
		make(l2_nops);
		controls_set(PIN_CTLS, rows[i].pin);
		controls_set(PROC_CTLS, rows[i].proc);
		vmwrite(ENC_guest_rflags, RFLAGS_ONE | RFLAGS_IF);
		vmwrite_checked(ENC_vmx_preemption_timer_value, 0);
		if (rows[i].interrupt)
			send_interrupt();
		exit = l2_enter();
		observe_exit(&exit);
		expect_exit(&exit, rows[i].reason);
		observe_interrupts();
		case_end();
	}
}

void group(void)
{
	vmx_start();
	*apic(APIC_SPURIOUS) = SPURIOUS_ENABLED;
	for (unsigned i = 0; i < ARRAY_SIZE(interrupts); i++)
		interrupt_case(&interrupts[i]);
	windows();
	for (unsigned i = 0; i < ARRAY_SIZE(nmis); i++)
		nmi_case(&nmis[i]);
	nmi_blocks_host();
	faulting_iret();
	iret_violation();
	iret_on_fresh_page();
	blocking_saved();
	for (unsigned i = 0; i < ARRAY_SIZE(timers); i++)
		timer_case(&timers[i]);
	priorities();
	if (!has_controls(PROC_CTLS, PROC_monitor_trap_flag))
		return;
	single_steps();
	monitor_trap_flag();
}
