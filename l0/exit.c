/* What entry.S calls: exits, their dispatch, and what comes before the next entry. */
#include "kick.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "l1_task.h"
#include "options.h"
#include "smp.h"
#include "print.h"
#include "stats_account.h"
#include "trace.h"

typedef void exit_handler(struct cpu *cpu);

static void exception_or_nmi_exit(struct cpu *cpu)
{
	if (exit_is_nmi())
		l1_nmi_exit(cpu);
	else
		l1_exception_exit(cpu);
}

static void unexpected_exit(struct cpu *cpu)
{
	exit_unexpected(cpu, "L0 expects no such exit of L1");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
/* What L1 can cause. Any other reason is one that vmcs01's controls rule out. */
static exit_handler *const l1_handler[EXIT_REASONS] = {
	[0 ... EXIT_REASONS - 1] = unexpected_exit,
	[REASON_exception_or_nmi] = exception_or_nmi_exit,
	[REASON_triple_fault] = l1_triple_fault_exit,
	[REASON_init_signal] = l1_init_exit,
	[REASON_startup_ipi] = l1_sipi_exit,
	[REASON_nmi_window] = l1_nmi_window_exit,
	[REASON_task_switch] = l1_task_switch_exit,
	[REASON_cpuid] = l1_cpuid_exit,
	[REASON_getsec] = l1_getsec_exit,
	[REASON_invd] = l1_invd_exit,
	[REASON_vmcall] = nested_vmcall_exit,
	[REASON_vmclear] = nested_vmclear_exit,
	[REASON_vmlaunch] = nested_vmlaunch_exit,
	[REASON_vmptrld] = nested_vmptrld_exit,
	[REASON_vmptrst] = nested_vmptrst_exit,
	[REASON_vmread] = nested_vmread_exit,
	[REASON_vmresume] = nested_vmresume_exit,
	[REASON_vmwrite] = nested_vmwrite_exit,
	[REASON_vmxoff] = nested_vmxoff_exit,
	[REASON_vmxon] = nested_vmxon_exit,
	[REASON_control_register_access] = l1_cr_exit,
	[REASON_io_instruction] = l1_io_exit,
	[REASON_rdmsr] = l1_rdmsr_exit,
	[REASON_wrmsr] = l1_wrmsr_exit,
	[REASON_ept_violation] = l1_ept_violation,
	[REASON_invept] = nested_invept_exit,
	[REASON_invvpid] = nested_invvpid_exit,
	[REASON_xsetbv] = l1_xsetbv_exit,
	[REASON_vmfunc] = nested_vmfunc_exit,
};
#pragma GCC diagnostic pop

void cpu_exit_l1(struct cpu *cpu)
{
	u64 reason = vmread(ENC_exit_reason);

	stats_account(cpu);
	if (UNLIKELY(reason >= EXIT_REASONS))
		unexpected_exit(cpu);
	stats_exit(&cpu->stats, LEVEL_1, (u32)reason);
	l1_handler[reason](cpu);
}

void cpu_exit_l2(struct cpu *cpu)
{
	stats_account(cpu);
	stats_l2_ran(cpu);
	nested_exit(cpu, (u32)vmread(ENC_exit_reason));
}

/* Does the guest that runs next hold back an NMI? With virtual NMIs the blocking is of L1's own making. */
static bool nmi_is_blocked(const struct cpu *cpu, bool exits)
{
	u64 blocking = INTERRUPTIBILITY_mov_ss;

	if (!exits || !(cpu->nested.current->vmcs12.value[F_pin_based_controls] & PIN_virtual_nmis))
		blocking |= INTERRUPTIBILITY_nmi;
	return vmread(ENC_guest_interruptibility_state) & blocking ||
	       vmread(ENC_vm_entry_interruption_information) & INTR_VALID;
}

/* L0's own, never asked for by vmcs12: an NMI of L1's waits for L2. */
void l1_nmi_window_exit(struct cpu *cpu)
{
	(void)cpu;
	vmwrite(ENC_primary_processor_based_controls,
		vmread(ENC_primary_processor_based_controls) & ~(u64)PROC_nmi_window_exiting);
}

/* Have the guest exit as soon as it can take an NMI; where L0 tracks that, which is with more than one CPU. */
static void open_nmi_window(void)
{
	if (controls01[CONTROLS_pin] & PIN_virtual_nmis)
		vmwrite(ENC_primary_processor_based_controls,
			vmread(ENC_primary_processor_based_controls) | PROC_nmi_window_exiting);
}

/* An NMI that hit L0 instead of the guest goes to the guest; if that cannot take it now, at a later entry. */
static void pass_on_nmi(struct cpu *cpu)
{
	bool exits = cpu->level == LEVEL_2 &&
		     cpu->nested.current->vmcs12.value[F_pin_based_controls] & PIN_nmi_exiting;

	if (nmi_is_blocked(cpu, exits)) {
		open_nmi_window();
		return;
	}
	wish_granted(cpu, WISH_nmi);
	if (exits)
		nested_reflect_event(cpu, INTR_VALID | INTR_nmi << INTR_TYPE_SHIFT | VECTOR_NMI);
	else
		vmwrite(ENC_vm_entry_interruption_information, INTR_VALID | INTR_nmi << INTR_TYPE_SHIFT | VECTOR_NMI);
}

/* With more than one CPU all NMIs exit. */
void l1_nmi_exit(struct cpu *cpu)
{
	nmi_arrived(cpu);
	nmi_unblock();
}

/* Where nothing has exited yet, nothing was entered. */
static bool is_clear(const struct cpu *cpu)
{
	return cpu->level == LEVEL_2 ? !cpu->nested.current->launched02 : !cpu->tsc_exit;
}

bool cpu_attend(struct cpu *cpu)
{
	if (cpu->level == LEVEL_2 && cpu->nested.current->list02) {
		nested_try_guest_state(cpu->nested.current);
		cpu->attention = false; /* this entry fails at once, and L2 does not run */
	} else {
		smp_attend(cpu);
		if (cpu->wishes & WISH_nmi)
			pass_on_nmi(cpu);
	}
	return is_clear(cpu);
}

/*
 * L1 is to blame where the CPU looks at memory of L1's that L0 has looked at before: it may have changed since, by
 * another CPU, or be a device, which answers the CPU alone. The lock is free, as around every entry.
 */
void vmx_refused(struct cpu *cpu, u64 flags)
{
	u64 error = flags & RFLAGS_ZF ? vmread(ENC_vm_instruction_error) : 0;
	bool blamed;

	if (cpu_count > 1)
		shared_lock();
	blamed = cpu->level == LEVEL_2 && error && nested_entry_refused(cpu);
	if (!blamed) {
		print("VM entry failed with rflags %lx, VM-instruction error %lu\n", flags, error);
		exit_unexpected(cpu, "the CPU refused a VMCS of L0's making");
	}
	if (cpu_count > 1)
		shared_unlock();
}

/* The lock is held, and what it takes is kept out of the accounts. */
static void traced(struct cpu *cpu, void (*hook)(struct cpu *cpu))
{
	u64 start;

	if (!options.trace)
		return;
	start = rdtsc();
	hook(cpu);
	cpu->trace_ticks += rdtsc() - start;
}

bool cpu_prepare_among(struct cpu *cpu)
{
	if (cpu->wishes)
		cpu_attend(cpu);
	traced(cpu, trace_entering);
	kickable_begin(cpu);
	return is_clear(cpu);
}

/* The lock is held wherever L0 is at work; guests run without. */
bool cpu_exit_among(struct cpu *cpu)
{
	kickable_end(cpu);
	traced(cpu, trace_exited);
	if (cpu->level == LEVEL_1)
		cpu_exit_l1(cpu);
	else
		cpu_exit_l2(cpu);
	return cpu_prepare_among(cpu);
}

bool cpu_entry_abandoned(struct cpu *cpu)
{
	kickable_end(cpu);
	return cpu_prepare_among(cpu);
}

void cpu_run(struct cpu *cpu)
{
	wish(cpu, WISH_look); /* at the launch state */
	if (options.cpus == 1)
		vmx_run(cpu);
	shared_lock();
	vmx_run_among(cpu);
}

static void dump_fields(void)
{
	for (unsigned f = 0; f < VMCS_FIELDS; f++) {
		u64 value;

		if (vmread_checked(vmcs_field[f].encoding, &value) == VMX_SUCCEED)
			print("  %-48s %016lx\n", vmcs_field[f].name, value);
	}
}

static void dump_registers(const struct cpu *cpu)
{
	static const char *const name[GPRS] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
						"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

	for (unsigned i = 0; i < GPRS; i++)
		if (i != GPR_rsp)
			print("  %-4s%016lx%s", name[i], cpu->gpr[i], i % 4 == 3 ? "\n" : "");
	print("\n");
}

NORETURN void exit_unexpected(struct cpu *cpu, const char *why)
{
	u32 reason = (u32)vmread(ENC_exit_reason);

	print("\nL0 stops: unexpected exit of L%u, reason %x (%s): %s\n", cpu->level == LEVEL_1 ? 1 : 2, reason,
	      exit_reason_name(reason & EXIT_REASON_BASIC), why);
	dump_registers(cpu);
	dump_fields();
	l0_stop(TURTLES_STATUS_FAILURE);
}
