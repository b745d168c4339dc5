#include "exits.h"
#include "apic.h"
#include "cpu.h"
#include "cpuid_table.h"
#include "devices.h"
#include "ept_map.h"
#include "events.h"
#include "fields.h"
#include "insn.h"
#include "manner.h"
#include "print.h"
#include "shadow_paging.h"
#include "timer.h"

#define EXITS_LINE_SIZE 512

static const char *const reason_names[EXIT_REASONS] = {
#define R(number, name) [number] = #name,
#include "exit_reasons.def"
#undef R
};

/* Go on behind the instruction that exited. */
static void skip_instruction(void)
{
	manner_skipped();
	vmcs_write(guest_rip, vmcs_read(guest_rip) + vmcs_read(vm_exit_instruction_length));
}

static void handle_cpuid(struct guest *guest)
{
	u64 *gpr = guest->registers.gpr;
	struct cpuid_result answer = cpuid_table_look_up((u32)gpr[RAX], (u32)gpr[RCX]);

	gpr[RAX] = answer.eax;
	gpr[RBX] = answer.ebx;
	gpr[RCX] = answer.ecx;
	gpr[RDX] = answer.edx;
	skip_instruction();
}

/* SDM "Exit Qualification for I/O Instructions" */
#define IO_SIZE BITS(2, 0)
#define IO_IN BIT(3)
#define IO_STRING BIT(4)
#define IO_PORT_SHIFT 16

/* RAX after IN: as with any write to a register, the 32-bit form alone clears the upper half. */
static void put_in_rax(u64 *rax, u32 value, unsigned bytes)
{
	u64 mask = BITS(bytes * 8 - 1, 0);

	*rax = bytes == 4 ? value : (*rax & ~mask) | (value & mask);
}

static void handle_io(struct guest *guest)
{
	u64 qualification = vmcs_read(exit_qualification);
	u64 *rax = &guest->registers.gpr[RAX];
	u16 port = (u16)(qualification >> IO_PORT_SHIFT);
	unsigned bytes = (qualification & IO_SIZE) + 1;

	if (qualification & IO_STRING) {
		guest_fail(guest, "string I/O, which minivisor does not emulate");
		return;
	}
	manner_user_space();
	if (qualification & IO_IN)
		put_in_rax(rax, device_in(guest->owner, port), bytes);
	else
		device_out(guest->owner, port, (u32)(*rax & BITS(bytes * 8 - 1, 0)));
	skip_instruction();
}

/* One MSR stands for all: it lives in the VMCS. Any other is unknown to L2's CPU. */
static void handle_rdmsr(struct guest *guest)
{
	u64 *gpr = guest->registers.gpr, value;

	if ((u32)gpr[RCX] != MSR_IA32_SYSENTER_CS) {
		inject_fault(VECTOR_GP, 0);
		return;
	}
	value = vmcs_read(guest_ia32_sysenter_cs);
	gpr[RAX] = (u32)value;
	gpr[RDX] = value >> 32;
	skip_instruction();
}

static void handle_wrmsr(struct guest *guest)
{
	const u64 *gpr = guest->registers.gpr;
	u32 msr = (u32)gpr[RCX];

	if (msr == MSR_IA32_SYSENTER_CS) {
		vmcs_write(guest_ia32_sysenter_cs, (u32)gpr[RAX]);
	} else if (!apic_write(guest, msr, (u32)gpr[RAX] | gpr[RDX] << 32)) {
		inject_fault(VECTOR_GP, 0);
		return;
	}
	skip_instruction();
}

static void handle_vmcall(struct guest *guest)
{
	u64 *gpr = guest->registers.gpr;

	switch (gpr[RAX]) {
	case HYPERCALL_increment:
		gpr[RAX] = gpr[RBX] + 1;
		break;
	case HYPERCALL_start_cpu:
		gpr[RAX] = guest_start_second(guest, gpr[RBX]) ? 0 : HYPERCALL_UNKNOWN;
		break;
	case HYPERCALL_timer:
		timer_arm((u32)gpr[RBX]);
		guest->timer_armed = true;
		gpr[RAX] = 0;
		break;
	default:
		gpr[RAX] = HYPERCALL_UNKNOWN;
	}
	skip_instruction();
}

/* The page may have been needed to deliver an event, which then is still to be delivered. */
static void handle_ept_violation(struct guest *guest)
{
	u64 address = vmcs_read(guest_physical_address);

	if (!ept_map_page(guest, address)) {
		guest_fail(guest, "access to guest-physical %lx, where it has no memory (rip %lx)", address,
			   vmcs_read(guest_rip));
		return;
	}
	redeliver_event();
}

/* What L1 wanted to see only to count it goes back to L2. */
static void handle_exception(struct guest *guest)
{
	u64 information = vmcs_read(vm_exit_interruption_information);
	u64 vector = information & INTR_VECTOR;

	if (!settings.ept && vector == VECTOR_PF) {
		shadow_page_fault(guest, vmcs_read(exit_qualification),
				  (u32)vmcs_read(vm_exit_interruption_error_code));
		return;
	}
	if (event_was_under_way()) {
		guest_fail(guest, "exception %lu while another event was delivered", vector);
		return;
	}
	reflect_exception(information);
}

static void handle_external_interrupt(struct guest *guest)
{
	u64 vector = vmcs_read(vm_exit_interruption_information) & INTR_VECTOR;

	if (vector == VECTOR_SPURIOUS)
		return;
	timer_end_of_interrupt();
	if (vector == VECTOR_TIMER && guest->timer_armed)
		interrupt_guest(guest);
}

static void handle_interrupt_window(struct guest *guest)
{
	interrupt_window_opened(guest);
}

/* The other virtual CPU, if it has something to do; NULL if not. */
static struct guest *awake_other(struct guest *guest)
{
	struct guest *first = guest->owner, *other = guest == first ? first->second : first;

	return other && !other->halted ? other : NULL;
}

/* L1 sleeps in L2's place, unless what wakes it is already there, or there is another virtual CPU to run. */
static void handle_hlt(struct guest *guest)
{
	skip_instruction();
	/* HLT was the instruction that STI protects: the protection is over. */
	vmcs_write(guest_interruptibility_state, 0);
	if (guest->timer_pending || apic_has_interrupt(guest))
		return;
	if (!guest->timer_armed && awake_other(guest)) {
		guest->halted = true;
		guest_hand_over(guest, awake_other(guest));
		return;
	}
	if (!guest->timer_armed) {
		guest_fail(guest, "HLT with no timer armed, and no other CPU awake: it would never wake");
		return;
	}
	timer_wait();
	interrupt_guest(guest);
}

static void handle_invlpg(struct guest *guest)
{
	shadow_invlpg(guest, vmcs_read(exit_qualification));
	skip_instruction();
}

/* SDM "Exit Qualification for Control-Register Accesses" */
#define CR_NUMBER BITS(3, 0)
#define CR_ACCESS_SHIFT 4
#define CR_ACCESS BITS(5, 4)
#define CR_GPR_SHIFT 8
enum cr_access { CR_ACCESS_to, CR_ACCESS_from };

static u64 read_gpr(const struct guest *guest, unsigned gpr)
{
	return gpr == RSP ? vmcs_read(guest_rsp) : guest->registers.gpr[gpr];
}

static void write_gpr(struct guest *guest, unsigned gpr, u64 value)
{
	if (gpr == RSP)
		vmcs_write(guest_rsp, value);
	else
		guest->registers.gpr[gpr] = value;
}

/* With EPT, L2's CR3 is the CPU's, and the translations that its load would have dropped are L1's to drop. */
static void load_cr3(struct guest *guest, u64 cr3)
{
	if (!settings.ept) {
		shadow_load_cr3(guest, cr3);
		return;
	}
	vmcs_write(guest_cr3, cr3);
	if (settings.vpid)
		invvpid(INVVPID_single_context, guest->vpid, 0);
}

static void handle_control_register_access(struct guest *guest)
{
	u64 qualification = vmcs_read(exit_qualification);
	u64 number = qualification & CR_NUMBER;
	u64 access = (qualification & CR_ACCESS) >> CR_ACCESS_SHIFT;
	unsigned gpr = qualification >> CR_GPR_SHIFT & 0xf;

	if (number != 3 || access > CR_ACCESS_from) {
		guest_fail(guest, "change of CR%lu at rip %lx, which minivisor does not emulate", number,
			   vmcs_read(guest_rip));
		return;
	}
	if (access == CR_ACCESS_to)
		load_cr3(guest, read_gpr(guest, gpr));
	else
		write_gpr(guest, gpr, guest->cr3);
	skip_instruction();
}

static void handle_triple_fault(struct guest *guest)
{
	guest_fail(guest, "triple fault at rip %lx", vmcs_read(guest_rip));
}

static void (*const handlers[EXIT_REASONS])(struct guest *guest) = {
	[REASON_exception_or_nmi] = handle_exception,
	[REASON_external_interrupt] = handle_external_interrupt,
	[REASON_triple_fault] = handle_triple_fault,
	[REASON_interrupt_window] = handle_interrupt_window,
	[REASON_cpuid] = handle_cpuid,
	[REASON_hlt] = handle_hlt,
	[REASON_invlpg] = handle_invlpg,
	[REASON_vmcall] = handle_vmcall,
	[REASON_control_register_access] = handle_control_register_access,
	[REASON_io_instruction] = handle_io,
	[REASON_rdmsr] = handle_rdmsr,
	[REASON_wrmsr] = handle_wrmsr,
	[REASON_ept_violation] = handle_ept_violation,
};

static void handle_unexpected(struct guest *guest, u64 reason)
{
	u64 basic = reason & EXIT_REASON_BASIC;
	const char *name = basic < EXIT_REASONS && reason_names[basic] ? reason_names[basic] : "unknown";

	guest_fail(guest, "%s, reason %lx (%s), qualification %lx, rip %lx",
		   reason & EXIT_REASON_ENTRY_FAILURE ? "failed VM entry" : "exit without a handler", reason,
		   name, vmcs_read(exit_qualification), vmcs_read(guest_rip));
}

void handle_exit(struct guest *guest)
{
	u64 reason = vmcs_read(exit_reason);

	manner_exited();
	/* Bits above the basic reason, a failed entry's too, make it larger than any reason we know. */
	if (UNLIKELY(reason >= EXIT_REASONS || !handlers[reason])) {
		handle_unexpected(guest, reason);
		return;
	}
	guest->owner->exits[reason]++;
	handlers[reason](guest);
}

void print_exits(const struct guest *guest)
{
	char line[EXITS_LINE_SIZE] = " none";
	size_t length = 0;

	for (unsigned reason = 0; reason < EXIT_REASONS; reason++)
		if (guest->exits[reason] && length < sizeof(line))
			length += (size_t)snprintf(line + length, sizeof(line) - length, "%s %s %lu",
						   length ? "," : "", reason_names[reason],
						   guest->exits[reason]);
	print("[%s] exits:%s\n", guest->name, line);
}
