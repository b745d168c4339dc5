#include "l1_task.h"
#include "guest_memory.h"
#include "l1_exit.h"
#include "options.h"
#include "vmcs_shadow/task.h"

/* SDM "Exit Qualification for Task Switches" */
#define TASK_SELECTOR(q) ((u16)(q))
#define TASK_SOURCE(q) ((enum task_source)((q) >> 30 & 3))

#define TSS_SIZE_MAX 0x68
#define DESCRIPTOR_HIGH 4 /* of a descriptor: the byte offset of the doubleword with its access rights */
#define DESCRIPTOR_RIGHTS_SHIFT 8
#define REAL_LIMIT 0xffffu
#define AR_VIRTUAL_8086 0x00f3u
#define AR_DPL3 (3u << AR_DPL_SHIFT)

/* The registers that a selector loads, as the VMCS counts them. */
enum { PLACE_ldtr = SEGMENTS, PLACE_tr };

struct task_switch {
	enum task_source source;
	u32 event; /* whose delivery met the task gate, as IDT-vectoring information; 0 if there is none */
	u16 old_selector, selector;
	struct segment_state old, tss; /* the two TSSs */
	struct task task; /* the new one */
};

static bool is_wide(const struct segment_state *tss)
{
	return tss->access_rights & AR_TYPE_TSS32;
}

static u32 segment_field(enum vmcs_encoding of_es, unsigned place)
{
	return of_es + 2 * place;
}

static struct segment_state read_segment(unsigned place)
{
	return (struct segment_state){
		.base = vmread(segment_field(ENC_guest_es_base, place)),
		.limit = (u32)vmread(segment_field(ENC_guest_es_limit, place)),
		.access_rights = (u32)vmread(segment_field(ENC_guest_es_access_rights, place)),
	};
}

static void write_segment(unsigned place, const struct segment_state *segment)
{
	vmwrite(segment_field(ENC_guest_es_base, place), segment->base);
	vmwrite(segment_field(ENC_guest_es_limit, place), segment->limit);
	vmwrite(segment_field(ENC_guest_es_access_rights, place), segment->access_rights);
}

/* A fault over a selector. Always false. */
static bool fault(const struct task_switch *to, int vector, u16 selector)
{
	u32 external = event_is_external(to->event);

	inject_exception((enum x86_vector)vector, true, (selector & (SELECTOR_INDEX | SELECTOR_LDT)) | external);
	return false;
}

static bool read_system(u64 linear, void *data, unsigned size)
{
	return l1_read_linear(PAGING_system, linear, data, size);
}

static bool write_system(u64 linear, const void *data, unsigned size)
{
	return l1_write_linear(PAGING_system, linear, data, size);
}

/* Where a descriptor lies; false if its table does not reach that far. */
static bool descriptor_address(u16 selector, u64 *linear)
{
	u64 base = vmread(ENC_guest_gdtr_base), limit = vmread(ENC_guest_gdtr_limit);
	u32 offset = selector & SELECTOR_INDEX;

	if (selector & SELECTOR_LDT) {
		struct segment_state ldt = read_segment(PLACE_ldtr);

		if (ldt.access_rights & AR_UNUSABLE)
			return false;
		base = ldt.base;
		limit = ldt.limit;
	}
	*linear = (u32)(base + offset);
	return offset + sizeof(u64) - 1 <= limit;
}

/* Checks 2 to 4 of SDM "Treatment of Task Switches" are the CPU's, but the descriptor can have changed since. */
static bool find_tss(struct task_switch *to)
{
	u64 linear, descriptor;

	if (!descriptor_address(to->selector, &linear))
		return fault(to, VECTOR_TS, to->selector);
	if (!read_system(linear, &descriptor, sizeof(descriptor)))
		return false;
	to->tss = descriptor_decode(descriptor);
	if (to->tss.limit < tss_layout(is_wide(&to->tss))->size - 1)
		return fault(to, VECTOR_TS, to->selector);
	to->tss.access_rights = AR_P | AR_TYPE_BUSY | AR_TYPE_ACCESSED |
				(to->tss.access_rights & (AR_TYPE_TSS32 | AR_G));
	return true;
}

static bool links_back(const struct task_switch *to)
{
	return to->source == TASK_call || to->source == TASK_gate;
}

static bool leaves_for_good(const struct task_switch *to)
{
	return to->source == TASK_jmp || to->source == TASK_iret;
}

static u32 gdt_entry(u16 selector)
{
	return (u32)vmread(ENC_guest_gdtr_base) + (selector & SELECTOR_INDEX) + DESCRIPTOR_HIGH;
}

/* SDM "Task Switching", step 7: all that will be touched before the new task counts must be there. */
static bool probe(const struct task_switch *to)
{
	const struct tss_layout *old = tss_layout(is_wide(&to->old)), *tss = tss_layout(is_wide(&to->tss));

	if (to->old.limit < old->saved_end - 1)
		return fault(to, VECTOR_TS, to->old_selector);
	return l1_probe_linear(PAGING_system, to->tss.base, 1, false) &&
	       l1_probe_linear(PAGING_system, (u32)(to->tss.base + tss->size - 1), 1, false) &&
	       (!links_back(to) || l1_probe_linear(PAGING_system, to->tss.base, sizeof(u16), true)) &&
	       (!leaves_for_good(to) ||
		l1_probe_linear(PAGING_system, gdt_entry(to->old_selector), sizeof(u32), true)) &&
	       (to->source == TASK_iret ||
		l1_probe_linear(PAGING_system, gdt_entry(to->selector), sizeof(u32), true)) &&
	       l1_probe_linear(PAGING_system, (u32)(to->old.base + old->saved_start),
			       old->saved_end - old->saved_start, true);
}

static bool mark_busy(u16 selector, bool busy)
{
	u32 linear = gdt_entry(selector), high, bit = AR_TYPE_BUSY << DESCRIPTOR_RIGHTS_SHIFT;

	if (!read_system(linear, &high, sizeof(high)))
		return false;
	high = busy ? high | bit : high & ~bit;
	return write_system(linear, &high, sizeof(high));
}

/* An instruction is over when the old task comes back; an event from outside came before one. */
static bool returns_behind(const struct task_switch *to)
{
	u32 type = (to->event & INTR_TYPE) >> INTR_TYPE_SHIFT;

	return to->source != TASK_gate || (to->event & INTR_VALID && type >= INTR_software_interrupt);
}

static struct task old_task(const struct cpu *cpu, const struct task_switch *to)
{
	struct task task = {
		.eip = (u32)vmread(ENC_guest_rip), .eflags = (u32)vmread(ENC_guest_rflags),
	};

	if (returns_behind(to))
		task.eip += (u32)vmread(ENC_vm_exit_instruction_length);
	if (to->source == TASK_iret)
		task.eflags &= ~(u32)RFLAGS_NT;
	for (unsigned i = 0; i < TASK_GPRS; i++)
		task.gpr[i] = (u32)(i == GPR_rsp ? vmread(ENC_guest_rsp) : cpu->gpr[i]);
	for (unsigned i = 0; i < SEGMENTS; i++)
		task.selector[i] = (u16)vmread(segment_field(ENC_guest_es_selector, i));
	return task;
}

static bool save_old(const struct cpu *cpu, const struct task_switch *to)
{
	const struct tss_layout *layout = tss_layout(is_wide(&to->old));
	struct task task = old_task(cpu, to);
	u8 tss[TSS_SIZE_MAX];
	u32 start = layout->saved_start, size = layout->saved_end - start, linear = (u32)(to->old.base + start);

	if (!read_system(linear, tss + start, size))
		return false;
	tss_save(tss, is_wide(&to->old), &task);
	return write_system(linear, tss + start, size);
}

/* The old task into its TSS, the new one out of its own. Having been probed, none of it faults. */
static bool exchange(const struct cpu *cpu, struct task_switch *to)
{
	u8 tss[TSS_SIZE_MAX];

	if (!(!leaves_for_good(to) || mark_busy(to->old_selector, false)) || !save_old(cpu, to) ||
	    !(!links_back(to) || write_system(to->tss.base, &to->old_selector, sizeof(to->old_selector))) ||
	    !read_system(to->tss.base, tss, tss_layout(is_wide(&to->tss))->size) ||
	    !(to->source == TASK_iret || mark_busy(to->selector, true)))
		return false;
	tss_load(tss, is_wide(&to->tss), &to->task);
	return true;
}

static void load_registers(struct cpu *cpu, const struct task_switch *to)
{
	u32 eflags = (to->task.eflags & (u32)RFLAGS_DEFINED) | (u32)RFLAGS_ONE;

	for (unsigned i = 0; i < TASK_GPRS; i++)
		cpu->gpr[i] = to->task.gpr[i];
	vmwrite(ENC_guest_rsp, to->task.gpr[GPR_rsp]);
	vmwrite(ENC_guest_rip, to->task.eip);
	vmwrite(ENC_guest_rflags, links_back(to) ? eflags | RFLAGS_NT : eflags);
	vmwrite(ENC_guest_cr0, vmread(ENC_guest_cr0) | CR0_TS);
	vmwrite(ENC_guest_dr7, vmread(ENC_guest_dr7) & ~DR7_LOCAL);
	vmwrite(ENC_guest_pending_debug_exceptions, 0);
	vmwrite(ENC_guest_activity_state, ACTIVITY_active);
	vmwrite(segment_field(ENC_guest_es_selector, PLACE_tr), to->selector);
	write_segment(PLACE_tr, &to->tss);
}


/*
 * The selectors count at once, their descriptors when they have been checked. A fault before there is a stack must find
 * CPL 3, so as to take another one: that is the DPL of SS, and an entry may want the same of CS's RPL. A fault that
 * finds no CS yet needs one which an entry accepts at any CPL: conforming code.
 */
static void load_selectors(const struct task *task)
{
	const struct segment_state none = { .access_rights = AR_UNUSABLE };
	const struct segment_state no_stack = { .access_rights = AR_UNUSABLE | AR_DPL3 };
	const struct segment_state no_code = { .limit = ~0u, .access_rights = AR_CODE32 | AR_TYPE_CONFORMING };

	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct segment_state real = { task->selector[i] << 4, REAL_LIMIT, AR_VIRTUAL_8086 };

		vmwrite(segment_field(ENC_guest_es_selector, i), task->selector[i]);
		write_segment(i, task->eflags & RFLAGS_VM ? &real : i == SEGMENT_ss ? &no_stack : &none);
	}
	if (!(task->eflags & RFLAGS_VM)) {
		vmwrite(ENC_guest_cs_selector, task->selector[SEGMENT_cs] | SELECTOR_RPL);
		write_segment(SEGMENT_cs, &no_code);
	}
	vmwrite(segment_field(ENC_guest_es_selector, PLACE_ldtr), task->ldt);
	write_segment(PLACE_ldtr, &none);
}

static bool load_cr3(const struct task_switch *to)
{
	u64 pdpte[PDPTES];

	if (!is_wide(&to->tss) || !(vmread(ENC_guest_cr0) & CR0_PG) || to->task.cr3 == vmread(ENC_guest_cr3))
		return true;
	if (vmread(ENC_guest_cr4) & CR4_PAE) {
		if (!l1_read_pdptes(to->task.cr3, pdpte))
			return fault(to, VECTOR_GP, 0);
		for (unsigned i = 0; i < PDPTES; i++)
			vmwrite(ENC_guest_pdpte0 + 2 * i, pdpte[i]);
	}
	vmwrite(ENC_guest_cr3, to->task.cr3);
	if (options.vpid02)
		ASSERT(invvpid(INVVPID_single_context, VPID01, 0) == VMX_SUCCEED);
	return true;
}

static bool load_ldt(const struct task_switch *to)
{
	u16 selector = to->task.ldt;
	struct segment_state ldt;
	u64 linear, descriptor;

	if (selector_is_null(selector))
		return true;
	if (selector & SELECTOR_LDT || !descriptor_address(selector, &linear))
		return fault(to, VECTOR_TS, selector);
	if (!read_system(linear, &descriptor, sizeof(descriptor)))
		return false;
	ldt = descriptor_decode(descriptor);
	if (task_ldt_check(selector, ldt.access_rights) >= 0)
		return fault(to, VECTOR_TS, selector);
	write_segment(PLACE_ldtr, &ldt);
	return true;
}

/* SDM "Code- and Data-Segment Descriptor Types": the accessed flag. */
static bool mark_accessed(u64 linear, struct segment_state *segment)
{
	u32 high;

	if (segment->access_rights & AR_TYPE_ACCESSED)
		return true;
	if (!read_system(linear + DESCRIPTOR_HIGH, &high, sizeof(high)))
		return false;
	high |= (u32)AR_TYPE_ACCESSED << DESCRIPTOR_RIGHTS_SHIFT;
	segment->access_rights |= AR_TYPE_ACCESSED;
	return write_system(linear + DESCRIPTOR_HIGH, &high, sizeof(high));
}

static bool load_segment(const struct task_switch *to, enum segment which)
{
	u16 selector = to->task.selector[which];
	struct segment_state segment;
	u64 linear, descriptor;
	int vector;

	if (selector_is_null(selector))
		return which == SEGMENT_ss || which == SEGMENT_cs ? fault(to, VECTOR_TS, selector) : true;
	if (!descriptor_address(selector, &linear))
		return fault(to, VECTOR_TS, selector);
	if (!read_system(linear, &descriptor, sizeof(descriptor)))
		return false;
	segment = descriptor_decode(descriptor);
	vector = task_segment_check(which, selector, to->task.selector[SEGMENT_cs], segment.access_rights);
	if (vector >= 0)
		return fault(to, vector, selector);
	if (!mark_accessed(linear, &segment))
		return false;
	write_segment(which, &segment);
	return true;
}

/* In the order in which the CPU finds what is wrong. */
static bool load_segments(const struct task_switch *to)
{
	static const enum segment data[] = { SEGMENT_ds, SEGMENT_es, SEGMENT_fs, SEGMENT_gs };

	if (!load_ldt(to))
		return false;
	if (to->task.eflags & RFLAGS_VM)
		return true;
	if (!load_segment(to, SEGMENT_ss))
		return false;
	vmwrite(ENC_guest_cs_selector, to->task.selector[SEGMENT_cs]);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		if (!load_segment(to, data[i]))
			return false;
	return load_segment(to, SEGMENT_cs);
}

/* The error code of the exception that met the task gate, onto the new task's stack. */
static bool push_error_code(const struct task_switch *to)
{
	unsigned size = is_wide(&to->tss) ? sizeof(u32) : sizeof(u16);
	struct vmx_operand operand = { .segment = SEGMENT_ss };
	struct segment_state stack = read_segment(SEGMENT_ss);
	u64 rsp = vmread(ENC_guest_rsp), mask = stack.access_rights & AR_DB ? BITS(31, 0) : BITS(15, 0), linear;
	u32 error_code = (u32)vmread(ENC_idt_vectoring_error_code);

	if (!(to->event & INTR_VALID) || !(to->event & INTR_ERROR_CODE))
		return true;
	operand.offset = (rsp - size) & mask;
	if (operand_linear(&operand, &stack, size, true, false, 48, &linear) >= 0)
		return fault(to, VECTOR_SS, 0);
	if (!l1_write_linear(l1_privilege(), linear, &error_code, size))
		return false;
	vmwrite(ENC_guest_rsp, (rsp & ~mask) | operand.offset);
	return true;
}

static bool switch_task(struct cpu *cpu, struct task_switch *to)
{
	if (!find_tss(to) || !probe(to) || !exchange(cpu, to))
		return false;
	l1_end_instruction(vmread(ENC_guest_interruptibility_state), 0);
	load_registers(cpu, to);
	load_selectors(&to->task);
	return load_cr3(to) && load_segments(to) && push_error_code(to);
}

/* The delivery of an NMI blocks others, whatever becomes of it; IRET unblocks. SDM "Handling Multiple NMIs". */
static void block_nmis(const struct task_switch *to)
{
	u64 state = vmread(ENC_guest_interruptibility_state);

	if (to->event & INTR_VALID && (to->event & INTR_TYPE) >> INTR_TYPE_SHIFT == INTR_nmi)
		vmwrite(ENC_guest_interruptibility_state, state | INTERRUPTIBILITY_nmi);
	else if (to->source == TASK_iret)
		vmwrite(ENC_guest_interruptibility_state, state & ~INTERRUPTIBILITY_nmi);
}

void l1_task_switch_exit(struct cpu *cpu)
{
	u64 qualification = vmread(ENC_exit_qualification);
	struct task_switch to = {
		.source = TASK_SOURCE(qualification),
		.selector = TASK_SELECTOR(qualification),
		.old_selector = (u16)vmread(ENC_guest_tr_selector),
		.old = read_segment(PLACE_tr),
	};

	if (to.source == TASK_gate)
		to.event = (u32)vmread(ENC_idt_vectoring_information);
	block_nmis(&to);
	if (!switch_task(cpu, &to)) {
		l1_combine_faults(cpu, to.event);
	} else if (to.task.trap) {
		write_dr6(read_dr6() | DR6_BT);
		inject_exception(VECTOR_DB, false, 0);
	}
}
