/* What is recorded of an exit, of what L0 did for it, and of the entry behind it. */
#include "trace.h"
#include "guest_memory.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "nested_switch.h"
#include "options.h"
#include "print.h"

/* The exit at hand of a CPU, as it was when it came. */
struct trace_cpu {
	bool open;         /* what L0 does for it is not told yet */
	enum level from;
	u32 reason;
	u64 rip, length;   /* of the instruction */
	u64 number;        /* of the last exit of L2 */
	u64 cause;         /* the number of L2's exit that L1 is handling; 0: none */
	u64 ticks;         /* that went into the trace, in all */
	union trace_record vmx; /* of a VMX instruction of L1: the operand, before anything has changed */
	bool violation;    /* an EPT violation: of this address, and EPT01 had this there */
	u64 address, address10;
	struct ept_leaf leaf01;
	u64 fills;
	union trace_record event; /* to be delivered by the entry; kind 0 if there is none */
};
static struct trace_cpu trace_cpus[MAX_CPUS];
static bool tracing;
static u64 l2_exits;

/* The ring is all CPUs', and the shared lock is not held around an entry. */
static unsigned holder; /* the CPU's number + 1 */

static void lock(const struct cpu *cpu)
{
	unsigned expected = 0;

	if (cpu_count == 1)
		return;
	while (!__atomic_compare_exchange_n(&holder, &expected, cpu->number + 1, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		expected = 0;
		cpu_relax();
	}
}

static void unlock(void)
{
	if (cpu_count > 1)
		__atomic_store_n(&holder, 0, __ATOMIC_RELEASE);
}

u64 trace_memory_pages(void)
{
	return ALIGN_UP(KIB(options.trace_ring), PAGE_SIZE) / PAGE_SIZE;
}

void trace_init(void)
{
	if (!options.trace)
		return;
	tracing = true;
	trace_ring_init(pool_allocate(trace_memory_pages()), KIB(options.trace_ring));
}

static struct trace_head head(const struct cpu *cpu, enum trace_kind kind, enum level level)
{
	return (struct trace_head){ .kind = kind, .level = level == LEVEL_1 ? 1 : 2, .cpu = (u8)cpu->number };
}

static u64 current_vmptr12(const struct cpu *cpu)
{
	return cpu->nested.current ? cpu->nested.current->vmptr12 : TRACE_NO_VMCS;
}

static u64 vmcs_of(const struct cpu *cpu, enum level level)
{
	return level == LEVEL_1 ? 0 : current_vmptr12(cpu);
}

/* Beside the qualification: what the reader's trace_detail() knows how to name. */
static u64 detail_of(const struct cpu *cpu, u32 reason)
{
	switch (reason) {
	case REASON_ept_violation:
	case REASON_ept_misconfiguration:
		return vmread(ENC_guest_physical_address);
	case REASON_exception_or_nmi:
	case REASON_external_interrupt:
		return vmread(ENC_vm_exit_interruption_information);
	case REASON_cpuid:
	case REASON_vmcall:
		return (u32)cpu->gpr[GPR_rax];
	case REASON_rdmsr:
	case REASON_wrmsr:
		return (u32)cpu->gpr[GPR_rcx];
	default:
		return 0;
	}
}

/* The operands of a VMX instruction of L1 as they are before L0 executes it. False if it is none. */
static bool note_operands(struct cpu *cpu, u32 reason, struct trace_vmx *vmx)
{
	switch (reason) {
	case REASON_vmread:
	case REASON_vmwrite:
		vmx->operand = nested_field_operand(cpu);
		return true;
	case REASON_vmclear:
	case REASON_vmptrld:
	case REASON_vmxon:
		l1_peek_operand(cpu, &vmx->operand, sizeof(vmx->operand));
		return true;
	case REASON_invept:
	case REASON_invvpid:
		vmx->operand = nested_field_operand(cpu); /* the register is named alike */
		l1_peek_operand(cpu, &vmx->value, sizeof(vmx->value));
		return true;
	case REASON_vmlaunch:
	case REASON_vmresume:
	case REASON_vmptrst:
	case REASON_vmxoff:
		return true;
	default:
		return false;
	}
}

static void note_vmx(struct cpu *cpu, struct trace_cpu *t)
{
	struct trace_vmx *vmx = &t->vmx.vmx;

	*vmx = (struct trace_vmx){ .head = head(cpu, TRACE_vmx, LEVEL_1), .reason = t->reason,
				   .vmcs = current_vmptr12(cpu) };
	if (t->from == LEVEL_1 && note_operands(cpu, t->reason, vmx))
		t->length = vmread(ENC_vm_exit_instruction_length);
	else
		vmx->head.kind = TRACE_none;
}

/* What L0 remembers of the last look-ups: the trace's own must not make those of L0 cheaper or dearer. */
struct lookups {
	struct l1_recent recent;
	struct ept_walk_path path12;
};

static struct lookups lookups_of(const struct cpu *cpu)
{
	return (struct lookups){ .recent = l1_recent, .path12 = cpu->nested.path12 };
}

static void give_back(struct cpu *cpu, const struct lookups *lookups)
{
	l1_recent = lookups->recent;
	cpu->nested.path12 = lookups->path12;
}

/* What EPT01 and EPT02 have at an address that L0 is going to map, or not. */
static void note_violation(struct cpu *cpu, struct trace_cpu *t)
{
	t->fills = cpu->nested.ept02.fills;
	t->violation = t->reason == REASON_ept_violation;
	if (!t->violation)
		return;
	t->address = t->address10 = vmread(ENC_guest_physical_address);
	if (t->from == LEVEL_2)
		t->violation = nested_translate20(cpu, t->address, &t->address10);
	if (!ept01_mapped(t->address10, &t->leaf01))
		t->leaf01 = (struct ept_leaf){ .rights = 0 };
}

static void put_exit(struct cpu *cpu, struct trace_cpu *t, u32 full_reason)
{
	union trace_record record = { .exit = {
		.head = head(cpu, TRACE_exit, t->from), .reason = full_reason, .time = cpu->tsc_exit,
		.vmcs = vmcs_of(cpu, t->from), .cause = t->from == LEVEL_2 ? t->number : t->cause, .rip = t->rip,
		.qualification = vmread(ENC_exit_qualification), .detail = detail_of(cpu, t->reason),
	} };

	trace_put(&record);
}

/* The rights tell whether EPT01 has become another there. */
static void put_ept01(const struct cpu *cpu, const struct trace_cpu *t)
{
	struct ept_leaf leaf;
	union trace_record record;

	if (!t->violation || !ept01_mapped(t->address10, &leaf) || leaf.rights == t->leaf01.rights)
		return;
	record.ept = (struct trace_ept){
		.head = head(cpu, TRACE_ept, LEVEL_1), .pages = 1, .address = t->address10, .host = leaf.address,
		.size = EPT_LEVEL_SIZE(leaf.level),
	};
	record.head.flags = leaf.rights;
	trace_put(&record);
}

static void put_ept02(const struct cpu *cpu, const struct trace_cpu *t)
{
	const struct nested *nested = &cpu->nested;
	const struct ept02 *ept02 = nested->current ? nested->current->ept02 : NULL;
	struct ept_leaf leaf;
	union trace_record record = { .ept = {
		.head = head(cpu, TRACE_ept, LEVEL_2), .pages = (u32)(nested->ept02.fills - t->fills),
	} };

	if (!record.ept.pages)
		return;
	if (record.ept.pages == 1 && t->violation && ept02 &&
	    ept_table_lookup(nested->ept02.pages, ept02->root, t->address, &leaf)) {
		record.ept.address = t->address;
		record.ept.host = leaf.address;
		record.ept.size = EPT_LEVEL_SIZE(leaf.level);
		record.head.flags = leaf.rights;
	}
	trace_put(&record);
}

/* By what has become of L1, which runs next, with vmcs01 current. */
static enum trace_outcome outcome_of(const struct trace_cpu *t)
{
	u64 rip = vmread(ENC_guest_rip), rflags = vmread(ENC_guest_rflags);

	if (rip == t->rip)
		return TRACE_FAULT;
	if (rip != t->rip + t->length)
		return TRACE_ENTRY_FAILED;
	if (rflags & RFLAGS_CF)
		return TRACE_FAIL_INVALID;
	return rflags & RFLAGS_ZF ? TRACE_FAIL_VALID : TRACE_SUCCEED;
}

static void put_vmx(struct cpu *cpu, struct trace_cpu *t)
{
	struct trace_vmx *vmx = &t->vmx.vmx;
	u32 number;

	if (vmx->head.kind == TRACE_none)
		return;
	vmx->head.flags = cpu->level == LEVEL_2 ? TRACE_ENTERED : outcome_of(t);
	if (vmx->head.flags == TRACE_FAIL_VALID)
		vmx->value = field12(cpu->nested.current, F_vm_instruction_error);
	else if (vmx->head.flags == TRACE_SUCCEED && (t->reason == REASON_vmread || t->reason == REASON_vmwrite))
		vmcs12_vmread(&cpu->nested.current->vmcs12, &cpu->nested.caps12, vmx->operand, &vmx->value, &number);
	trace_put(&t->vmx);
	vmx->head.kind = TRACE_none;
}

static bool asked_for(const struct cpu *cpu)
{
	return cpu->level == LEVEL_2 && cpu->nested.entering;
}

/* An event is told of when it has been delivered. */
static void note_event(struct cpu *cpu, struct trace_cpu *t)
{
	u32 information = (u32)vmread(ENC_vm_entry_interruption_information);

	t->event.head.kind = TRACE_none;
	if (!(information & INTR_VALID))
		return;
	t->event.event = (struct trace_event){ .head = head(cpu, TRACE_event, cpu->level), .information = information };
	if (asked_for(cpu))
		t->event.head.flags = TRACE_ASKED;
	if (information & INTR_ERROR_CODE)
		t->event.event.error_code = vmread(ENC_vm_entry_exception_error_code);
}

void trace_entering(struct cpu *cpu)
{
	struct trace_cpu *t = &trace_cpus[cpu->number];
	struct lookups lookups = lookups_of(cpu);

	lock(cpu);
	if (t->open) {
		put_vmx(cpu, t);
		put_ept01(cpu, t);
		put_ept02(cpu, t);
		t->open = false;
	}
	note_event(cpu, t);
	give_back(cpu, &lookups);
	unlock();
}

/* As stats_account() has it, which comes next. */
static void put_entry(struct cpu *cpu, struct trace_cpu *t)
{
	struct stats *s = &cpu->stats;
	u64 own = cpu->trace_ticks, time = cpu->tsc_entry + stats_correction();
	union trace_record record;

	if (t->from == LEVEL_2 && cpu->level == LEVEL_1)
		t->cause = t->number;
	else if (cpu->level == LEVEL_2)
		t->cause = 0;
	stats_idle(s, own);
	t->ticks += own;
	cpu->trace_ticks = 0;
	record.entry = (struct trace_entry){
		.head = head(cpu, TRACE_entry, cpu->level), .own = (u32)own, .time = time,
		.l0 = time - s->previous_exit, .vmcs = vmcs_of(cpu, cpu->level), .cause = t->cause,
	};
	if (stats_is_reflected(s))
		record.head.flags |= TRACE_OWNER_L1;
	if (asked_for(cpu))
		record.head.flags |= TRACE_ASKED;
	trace_put(&record);
}

static void put_event(const struct trace_cpu *t, const struct cpu *cpu, u32 full_reason)
{
	if (t->event.head.kind == TRACE_none || full_reason & EXIT_REASON_ENTRY_FAILURE ||
	    t->event.head.level != head(cpu, TRACE_event, cpu->level).level)
		return;
	trace_put(&t->event);
}

void trace_exited(struct cpu *cpu)
{
	struct trace_cpu *t = &trace_cpus[cpu->number];
	struct lookups lookups = lookups_of(cpu);
	u32 full_reason;

	lock(cpu);
	full_reason = (u32)vmread(ENC_exit_reason);
	put_event(t, cpu, full_reason);
	put_entry(cpu, t);
	t->open = true;
	t->from = cpu->level;
	t->reason = full_reason & EXIT_REASON_BASIC;
	t->rip = vmread(ENC_guest_rip);
	if (t->from == LEVEL_2)
		t->number = ++l2_exits;
	put_exit(cpu, t, full_reason);
	note_vmx(cpu, t);
	note_violation(cpu, t);
	give_back(cpu, &lookups);
	unlock();
}

/* A CPU that is in its guest has entered it. */
static bool is_in_guest(const struct cpu *cpu)
{
	return cpu->tsc_entry > cpu->stats.previous_exit;
}

void trace_end(u8 status)
{
	u64 ticks = 0;

	if (!tracing || cpu_count == 0)
		return;
	tracing = false;
	if (holder != current_cpu()->number + 1)
		lock(current_cpu());
	for (unsigned i = 0; i < cpu_count; i++) {
		if (cpus[i] != current_cpu() && is_in_guest(cpus[i]))
			put_entry(cpus[i], &trace_cpus[i]);
		ticks += trace_cpus[i].ticks;
	}
	trace_ring_end(status, ticks);
	print("run\ttrace_ticks\t%lu\n", ticks);
}
