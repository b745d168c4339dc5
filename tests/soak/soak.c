/*
 * soak: 64 VMCSs in turn, each running the same round of instructions that exit, for as many exits as the command line
 * says (exits=N). The second half must be as the first, exit for exit, and at the end each guest has done its rounds.
 */
#include "ept.h"
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/l2.h"

enum { GUESTS = 64, EXITS_DEFAULT = 100000, PROGRESS_STEPS = 10, DRIFT_PERCENT = 2 };
#define TOUCHED GIB(2) /* EPT has nothing there until L2 touches it */
#define UD2_LENGTH 2
#define APIC_ACCESS_LENGTH 7

struct soaked {
	struct guest_registers registers;
	u64 rounds;
};

static u8 regions[GUESTS][PAGE_SIZE] __attribute__((aligned(4096)));
static u64 roots[GUESTS][EPT_ENTRIES] __attribute__((aligned(4096)));
static struct soaked guests[GUESTS];
u8 soak_apic_page[PAGE_SIZE] __attribute__((aligned(4096)));
u64 soak_cell[4] __attribute__((aligned(16)));
static u64 counts[EXIT_REASONS];
static unsigned current;
static bool touched, launched;

/* One round; what the CPU does not offer to exit does its work and goes unseen. RBX counts the rounds. */
L2_CODE(code_round,
	"1: inc %rbx\n"
	"cpuid\n rdtsc\n pause\n hlt\n wbinvd\n invd\n"
	"mov $0x277, %ecx\n rdmsr\n wrmsr\n"
	"in $0x80, %al\n out %al, $0x80\n"
	"mov %cr3, %rax\n mov %rax, %cr3\n mov %cr8, %rax\n mov %rax, %cr8\n"
	"mov %dr7, %rax\n invlpg (%rax)\n"
	"xor %ecx, %ecx\n rdpmc\n"
	"lea soak_cell, %rax\n"
	"sgdt (%rax)\n sidt (%rax)\n sldt %edx\n str %edx\n"
	"vmclear (%rax)\n vmptrld (%rax)\n vmptrst (%rax)\n vmxon (%rax)\n vmread %rcx, %rdx\n vmwrite %rcx, %rdx\n"
	"vmlaunch\n vmresume\n vmxoff\n invept (%rax), %rcx\n invvpid (%rax), %rcx\n"
	"mov soak_apic_page, %eax\n"
	"ud2\n int3\n"
	"mov $0x80000000, %edi\n mov (%rdi), %rax\n mov %rax, (%rdi)\n"
	"vmcall\n jmp 1b");

static const struct {
	enum control_msr msr;
	u32 controls;
} wanted[] = {
	{ PROC_CTLS, PROC_hlt_exiting }, { PROC_CTLS, PROC_invlpg_exiting }, { PROC_CTLS, PROC_rdtsc_exiting },
	{ PROC_CTLS, PROC_rdpmc_exiting }, { PROC_CTLS, PROC_cr3_load_exiting }, { PROC_CTLS, PROC_cr3_store_exiting },
	{ PROC_CTLS, PROC_cr8_load_exiting }, { PROC_CTLS, PROC_cr8_store_exiting }, { PROC_CTLS, PROC_mov_dr_exiting },
	{ PROC_CTLS, PROC_unconditional_io_exiting }, { PROC_CTLS, PROC_pause_exiting },
	{ PROC2_CTLS, PROC2_wbinvd_exiting }, { PROC2_CTLS, PROC2_descriptor_table_exiting },
	{ PROC2_CTLS, PROC2_virtualize_apic_accesses }, { PROC2_CTLS, PROC2_enable_vpid },
};

static void make(unsigned number)
{
	memcpy(regions[number], vmx_region(REGION_A), sizeof(struct vmcs_region_header));
	vmcs_make_in((u64)regions[number], code_round);
	for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
		if (has_controls(wanted[i].msr, wanted[i].controls))
			controls_set(wanted[i].msr, wanted[i].controls);
	vmwrite(ENC_exception_bitmap, BIT(VECTOR_UD) | BIT(VECTOR_BP));
	vmwrite(ENC_apic_access_address, (u64)soak_apic_page);
	vmwrite_checked(ENC_virtual_processor_identifier, number + 1);
	memcpy(roots[number], (void *)(l2_eptp() & EPTP_ADDRESS), PAGE_SIZE);
	vmwrite(ENC_ept_pointer, (u64)roots[number] | (l2_eptp() & (PAGE_SIZE - 1)));
	guests[number].registers = l2;
}

/* From RIP on to where L2 goes on. */
static u64 instruction_length(u32 reason)
{
	switch (reason) {
	case REASON_exception_or_nmi:
		if ((vmread(ENC_vm_exit_interruption_information) & INTR_VECTOR) == VECTOR_UD)
			return UD2_LENGTH;
		break;
	case REASON_apic_access:
		return APIC_ACCESS_LENGTH;
	case REASON_ept_violation:
	case REASON_preemption_timer_expired:
	case REASON_nmi_window:
		return 0;
	default:
		break;
	}
	return vmread(ENC_vm_exit_instruction_length);
}

/* The next exit of the current guest, counted and answered; its reason. */
static u32 one_exit(void)
{
	enum vmx_outcome outcome = vmx_enter(&l2, launched);
	u64 reason = outcome == VMX_SUCCEED ? vmread(ENC_exit_reason) : 0;

	if (outcome != VMX_SUCCEED || reason >= EXIT_REASONS)
		give_up("guest %u: outcome %u, reason %lx", current, outcome, reason);
	launched = true;
	counts[reason]++;
	if (reason == REASON_ept_violation) {
		*l2_ept_entry(TOUCHED) = TOUCHED | EPT_RWX | EPT_LARGE;
		touched = true;
	}
	vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + instruction_length((u32)reason));
	return (u32)reason;
}

/* Two exits before L2's next instruction: the preemption timer at 0, and the window for NMIs, which is open. */
static void immediate_exits(void)
{
	static const u32 nmi = PIN_nmi_exiting | PIN_virtual_nmis;

	if (has_controls(PIN_CTLS, PIN_activate_vmx_preemption_timer)) {
		controls_set(PIN_CTLS, PIN_activate_vmx_preemption_timer);
		vmwrite(ENC_vmx_preemption_timer_value, 0);
		one_exit();
		controls_clear(PIN_CTLS, PIN_activate_vmx_preemption_timer);
	}
	controls_set(PIN_CTLS, nmi);
	controls_set(PROC_CTLS, PROC_nmi_window_exiting);
	one_exit();
	controls_clear(PROC_CTLS, PROC_nmi_window_exiting);
	controls_clear(PIN_CTLS, nmi);
}

/* One round of the next guest: its page is taken from it again at the end. */
static u64 round_of(unsigned number)
{
	u64 descriptor = (u64)roots[number] | (l2_eptp() & (PAGE_SIZE - 1)), exits = 1;

	current = number;
	l2 = guests[number].registers;
	if (vmptrld((u64)regions[number]) != VMX_SUCCEED)
		give_up("VMPTRLD of guest %u failed", number);
	launched = guests[number].rounds != 0;
	while (one_exit() != REASON_vmcall)
		exits++;
	if (!touched)
		give_up("guest %u touched a page that it did not have", number);
	touched = false;
	*l2_ept_entry(TOUCHED) = 0;
	invept(INVEPT_single_context, descriptor);
	immediate_exits();
	guests[number].registers = l2;
	guests[number].rounds++;
	return exits;
}

/* Whole turns through all guests, in an order that is no order of their last use; returns the exits of one turn. */
static u64 turn(void)
{
	u64 before = 0, after = 0;

	for (unsigned r = 0; r < EXIT_REASONS; r++)
		before += counts[r];
	for (unsigned i = 0; i < GUESTS; i++)
		round_of((i * 37 + 11) % GUESTS);
	for (unsigned r = 0; r < EXIT_REASONS; r++)
		after += counts[r];
	return after - before;
}

/* Half of all turns; its counts and its time by the TSC. */
static u64 half(u64 turns, u64 *counted, unsigned number)
{
	u64 start = rdtsc();

	memset(counts, 0, sizeof(counts));
	for (u64 i = 0; i < turns; i++) {
		turn();
		if ((i + 1) % ((turns + PROGRESS_STEPS - 1) / PROGRESS_STEPS) == 0)
			print("# half %u: %lu of %lu turns\n", number, i + 1, turns);
	}
	memcpy(counted, counts, sizeof(counts));
	return rdtsc() - start;
}

static void judge_guests(u64 rounds)
{
	unsigned wrong_guests = 0;

	case_begin("soak.guests");
	for (unsigned i = 0; i < GUESTS; i++)
		wrong_guests += guests[i].registers.gpr[RBX] != rounds || guests[i].rounds != rounds;
	observe("rounds=%lu wrong=%u", rounds, wrong_guests);
	if (wrong_guests)
		wrong("a guest has lost count");
	case_end();
}

/* The halves, and with the first turn what L0 must have counted too. */
static void judge_halves(const u64 *warm_up, const u64 *first, const u64 *second)
{
	for (unsigned r = 0; r < EXIT_REASONS; r++) {
		if (!first[r] && !second[r])
			continue;
		case_begin("soak.exit.%s", reason_name(r));
		observe("%lu %lu %lu", first[r], second[r], warm_up[r] + first[r] + second[r]);
		if (first[r] != second[r])
			wrong("the halves differ");
		case_end();
	}
}

static void judge_time(u64 first, u64 second)
{
	u64 more = first > second ? first - second : second - first;

	case_begin("soak.drift");
	observe("%s", more * 100 <= first * DRIFT_PERCENT ? "none" : "some");
	if (more * 100 > first * DRIFT_PERCENT)
		wrong("one half took %lu, the other %lu ticks", first, second);
	case_end();
}

void group(void)
{
	static u64 warm_up[EXIT_REASONS], first[EXIT_REASONS], second[EXIT_REASONS];
	u64 exits, turns, times[2];

	vmx_start();
	for (unsigned i = 0; i < GUESTS; i++)
		make(i);
	*l2_ept_entry(TOUCHED) = 0;
	exits = turn(); /* each guest's first round has entries by VMLAUNCH */
	memcpy(warm_up, counts, sizeof(counts));
	turns = command_line_number("exits=", EXITS_DEFAULT) / 2 / exits;
	turns = turns ? turns : 1;
	print("# %u guests, %lu exits in a turn, 2 x %lu turns\n", GUESTS, exits, turns);
	times[0] = half(turns, first, 1);
	times[1] = half(turns, second, 2);
	judge_guests(2 * turns + 1);
	judge_halves(warm_up, first, second);
	judge_time(times[0], times[1]);
}
