/* Exits of L2: handled by L1, and (l0_) by L0 alone, of which L1 hears nothing. */
#include "bench.h"
#include "ept.h"
#include "insn.h"
#include "l1/minivisor/cpu.h"
#include "l1/minivisor/fail.h"
#include "l1/minivisor/timer.h"
#include "l2.h"
#include "vmx_insn.h"

#define SMALL_PAGE_LEAST 512 /* all entries of a table */
#define LARGE_PAGE MIB(2)
#define GUESTS_MOST 64

L2_LOOP(code_cpuid, "cpuid");
L2_LOOP(code_vmcall, "vmcall");
L2_LOOP(code_out, "out %al, $0xe0");
L2_LOOP(code_rdmsr, "mov $0x174, %ecx; rdmsr");
L2_LOOP(code_wrmsr, "mov $0x174, %ecx; wrmsr");
L2_LOOP(code_cr, "mov %cr3, %rax; mov %rax, %cr3");
L2_LOOP(code_hlt, "hlt");
/* Touches pages from RSI on, RDX apart. */
L2_LOOP(code_touch, "mov %rax, (%rsi); add %rdx, %rsi");
/* The same, and the RDMSR of IA32_VMX_BASIC, RDI times to a VMCALL. */
L2_LOOP(code_touch_many, "mov %rax, (%rsi); add %rdx, %rsi; dec %rdi; jnz code_touch_many; vmcall");
L2_LOOP(code_rdmsr_many, "mov $0x480, %ecx; rdmsr; dec %rdi; jnz code_rdmsr_many; vmcall");

static struct l2 guest;
static struct l2 guests[GUESTS_MOST];
static u64 exit_reason;

static void begin(const u8 *code, u64 reason)
{
	if (!guest.vmcs)
		l2_create(&guest);
	l2_select(&guest);
	l2_start(code);
	exit_reason = reason;
}

#define BEGIN(name, reason) \
	static void begin_##name(u64 count) \
	{ \
		(void)count; \
		begin(code_##name, reason); \
	}

BEGIN(cpuid, REASON_cpuid)
BEGIN(vmcall, REASON_vmcall)
BEGIN(out, REASON_io_instruction)
BEGIN(rdmsr, REASON_rdmsr)
BEGIN(wrmsr, REASON_wrmsr)
BEGIN(cr, REASON_control_register_access)
BEGIN(hlt, REASON_hlt)
BEGIN(rdmsr_many, REASON_vmcall)

/* As most hypervisors do it: host_rsp is as it was. */
static void loop_lean(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		l2_enter(exit_reason);
		l2_skip();
	}
}

static void loop_skip(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		l2_run(exit_reason);
		l2_skip();
	}
}

/* MOV to CR3, carried out for L2: the one register that it uses is RAX. */
static void loop_cr(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		l2_run(REASON_control_register_access);
		if (vmread(ENC_exit_qualification) != 3)
			fail("no MOV from RAX to CR3: qualification %lx", vmread(ENC_exit_qualification));
		vmwrite(ENC_guest_cr3, l2_registers.gpr[RAX]);
		l2_skip();
	}
}

static void begin_touch(const u8 *code, u64 count, u64 page_size)
{
	begin(code, REASON_ept_violation);
	l2_registers.gpr[RSI] = l2_window(count * page_size);
	l2_registers.gpr[RDX] = page_size;
}

static void begin_small(u64 count)
{
	begin_touch(code_touch, count, PAGE_SIZE);
}

static void begin_large(u64 count)
{
	begin_touch(code_touch, count, LARGE_PAGE);
}

static void map_each(u64 count, unsigned level)
{
	for (u64 i = 0; i < count; i++) {
		l2_run(REASON_ept_violation);
		l2_map(vmread(ENC_guest_physical_address), level);
	}
}

/* Behind the last page mapped, L2 has not touched it yet: the next loop begins there. */
static void loop_small(u64 count)
{
	map_each(count, 1);
}

static void loop_large(u64 count)
{
	map_each(count, 2);
}

static void begin_mapped(u64 count)
{
	u64 first;

	begin_touch(code_touch_many, count, PAGE_SIZE);
	first = l2_registers.gpr[RSI];
	for (u64 i = 0; i < count; i++)
		l2_map(first + i * PAGE_SIZE, 1);
}

static void begin_untouched(u64 count)
{
	u64 first;

	begin_touch(code_touch_many, count, LARGE_PAGE);
	first = l2_registers.gpr[RSI];
	for (u64 i = 0; i < count; i++)
		l2_map_untouched(first + i * LARGE_PAGE);
}

static void loop_many(u64 count)
{
	l2_registers.gpr[RDI] = count;
	l2_run(REASON_vmcall);
	l2_skip();
}

/* What INVEPT has dropped, L2 needs again for its code and for L1's page tables. */
static void loop_invept(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		invept(INVEPT_single_context, l2_eptp());
		l2_run(REASON_vmcall);
		l2_skip();
	}
}

static void inject(u64 vector)
{
	vmwrite(ENC_vm_entry_interruption_information, INTR_VALID | INTR_external << INTR_TYPE_SHIFT | vector);
}

/* L2's VMCALL, for L1 to ask its APIC for an interrupt; the interrupt, which L1 hands to L2; IRET in L2. */
static void loop_interrupt(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		l2_run(REASON_vmcall);
		l2_skip();
		timer_request();
		l2_run(REASON_external_interrupt);
		if ((vmread(ENC_vm_exit_interruption_information) & INTR_VECTOR) != VECTOR_TIMER)
			fail("not the interrupt that was to come");
		timer_end_of_interrupt();
		inject(VECTOR_SPURIOUS);
	}
}

/* L2's HLT: L1 sleeps in its place until an interrupt wakes it, at once, and hands that to L2. */
static void loop_hlt(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		l2_run(REASON_hlt);
		l2_skip();
		timer_request();
		timer_wait();
		inject(VECTOR_SPURIOUS);
	}
}

static void begin_guests(u64 count)
{
	(void)count;
	for (unsigned i = 0; i < GUESTS_MOST && !guests[i].vmcs; i++) {
		l2_create(&guests[i]);
		l2_start(code_cpuid);
	}
}

/* A CPUID of each guest in turn. */
static void switch_among(unsigned number, u64 count)
{
	static unsigned turn;

	for (u64 i = 0; i < count; i++) {
		l2_select(&guests[++turn % number]);
		l2_run(REASON_cpuid);
		l2_skip();
	}
}

static void loop_switch_2(u64 count)
{
	switch_among(2, count);
}

static void loop_switch_8(u64 count)
{
	switch_among(8, count);
}

static void loop_switch_64(u64 count)
{
	switch_among(64, count);
}

static void loop_first_entry(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		l2_clear(&guests[0]);
		l2_run(REASON_cpuid);
		l2_skip();
	}
}

static void loop_new_vmcs(u64 count)
{
	for (u64 i = 0; i < count; i++) {
		l2_clear(&guests[0]);
		l2_fill();
		l2_start(code_cpuid);
		l2_run(REASON_cpuid);
		l2_skip();
	}
}

const struct operation l2_operations[] = {
	{ "l2_cpuid", begin_cpuid, loop_skip, .least = 8 },
	{ "l2_cpuid_lean", begin_cpuid, loop_lean, .least = 8 },
	{ "l2_vmcall", begin_vmcall, loop_skip, .least = 8 },
	{ "l2_out", begin_out, loop_skip, .least = 8 },
	{ "l2_rdmsr", begin_rdmsr, loop_skip, .least = 8 },
	{ "l2_wrmsr", begin_wrmsr, loop_skip, .least = 8 },
	{ "l2_cr", begin_cr, loop_cr, .least = 8 },
	{ "l2_ept_4k", begin_small, loop_small, .least = SMALL_PAGE_LEAST, .most = SMALL_PAGE_LEAST },
	{ "l2_ept_2m", begin_large, loop_large, .least = 16, .most = 16 },
	{ "l2_invept", begin_vmcall, loop_invept, .least = 8 },
	{ "l2_interrupt", begin_vmcall, loop_interrupt, .least = 8 },
	{ "l2_hlt", begin_hlt, loop_hlt, .least = 8 },
	{ "l2_switch_2", begin_guests, loop_switch_2, .least = 64 },
	{ "l2_switch_8", begin_guests, loop_switch_8, .least = 64 },
	{ "l2_switch_64", begin_guests, loop_switch_64, .least = 64 },
	{ "l2_first_entry", begin_guests, loop_first_entry, .least = 8 },
	{ "l2_new_vmcs", begin_guests, loop_new_vmcs, .least = 8 },
	{ "l0_rdmsr", begin_rdmsr_many, loop_many, .least = 16 },
	{ "l0_ept02", begin_mapped, loop_many, .least = SMALL_PAGE_LEAST, .most = SMALL_PAGE_LEAST },
	{ "l0_ept01", begin_untouched, loop_many, .least = 2, .most = 2, .once = true },
};
const size_t l2_operation_count = ARRAY_SIZE(l2_operations);
