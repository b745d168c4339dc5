#include "l2.h"
#include "ept.h"
#include "insn.h"
#include "l1/minivisor/boot.h"
#include "l1/minivisor/cpu.h"
#include "l1/minivisor/ept_map.h"
#include "l1/minivisor/fail.h"
#include "l1/minivisor/vmcs.h"
#include "l1/minivisor/vmx_root.h"
#include "string.h"
#include "vmx_insn.h"

#define LARGE_PAGE MIB(2)
/* What is mapped one to one: image, tables and stack. */
#define IDENTITY_SIZE MIB(16)
#define POOL_SIZE MIB(4)
#define UNTOUCHED_SIZE MIB(24)
#define WINDOWS GIB(1)
#define WINDOWS_END GIB(3)
#define L2_STACK_SIZE 1024
#define L1_GDT_LIMIT 0x27
#define L1_IDT_LIMIT 0xfff

struct guest_registers l2_registers;

static struct guest shared; /* what vmcs_setup() asks of a guest */
static struct l2 *current;
static u64 pool, pool_next, untouched, untouched_end, window_next = WINDOWS;
static u8 *msr_bitmap;
static u8 l2_stack[L2_STACK_SIZE] __attribute__((aligned(16)));

static void pass_msr_reads(u32 msr)
{
	msr_bitmap[msr / 8] &= (u8)~(1u << msr % 8);
}

void l2_init(void)
{
	pool = (u64)memory_take(POOL_SIZE, LARGE_PAGE);
	memset((void *)pool, 0, POOL_SIZE);
	untouched = (u64)memory_take(UNTOUCHED_SIZE, LARGE_PAGE);
	untouched_end = untouched + UNTOUCHED_SIZE;
	msr_bitmap = memset(memory_take(PAGE_SIZE, PAGE_SIZE), 0xff, PAGE_SIZE);
	pass_msr_reads(MSR_IA32_VMX_BASIC);
	shared.ept_root = memory_take_zeroed(PAGE_SIZE);
	shared.vpid = L2_VPID;
	shared.cr3 = read_cr3();
	shared.hlt_exits = true;
	for (u64 address = 0; address < IDENTITY_SIZE; address += LARGE_PAGE)
		ept_map_to(shared.ept_root, address, address, 2);
}

/* Beyond what the minivisor asks for: MOV to CR3 exits, and L2 can take an interrupt. */
void l2_fill(void)
{
	vmcs_setup(&shared, 0);
	vmwrite(ENC_primary_processor_based_controls,
		vmread(ENC_primary_processor_based_controls) | PROC_cr3_load_exiting);
	vmwrite(ENC_exception_bitmap, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)msr_bitmap);
	vmwrite(ENC_host_rsp, (u64)&l2_registers.host_stack);
	vmwrite(ENC_guest_rsp, (u64)(l2_stack + L2_STACK_SIZE));
	vmwrite(ENC_guest_rflags, RFLAGS_ONE | RFLAGS_IF);
	vmwrite(ENC_guest_gdtr_base, cpu_gdt_base());
	vmwrite(ENC_guest_gdtr_limit, L1_GDT_LIMIT);
	vmwrite(ENC_guest_idtr_base, cpu_idt_base());
	vmwrite(ENC_guest_idtr_limit, L1_IDT_LIMIT);
}

void l2_create(struct l2 *l2)
{
	l2->vmcs = vmx_new_vmcs();
	l2->launched = false;
	l2_select(l2);
	l2_fill();
}

void l2_clear(struct l2 *l2)
{
	vmclear((u64)l2->vmcs);
	l2->launched = false;
	l2_select(l2);
}

void l2_select(struct l2 *l2)
{
	vmx_make_current(l2->vmcs);
	current = l2;
}

void l2_start(const u8 *code)
{
	vmwrite(ENC_guest_rip, (u64)code);
}

void l2_enter(u64 reason)
{
	enum vmx_outcome outcome;
	u64 actual;

	outcome = vmx_enter(&l2_registers, current->launched);
	if (UNLIKELY(outcome != VMX_SUCCEED))
		vmx_failed(current->launched ? "VMRESUME" : "VMLAUNCH", outcome);
	current->launched = true;
	actual = vmread(ENC_exit_reason);
	if (UNLIKELY(actual != reason))
		fail("exit %lu of L2 instead of %lu, qualification %lx, rip %lx", actual, reason,
		     vmread(ENC_exit_qualification), vmread(ENC_guest_rip));
}

void l2_run(u64 reason)
{
	vmwrite(ENC_host_rsp, (u64)&l2_registers.host_stack);
	l2_enter(reason);
}

void l2_skip(void)
{
	vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + vmread(ENC_vm_exit_instruction_length));
}

u64 l2_window(u64 size)
{
	u64 window = window_next;

	window_next = ALIGN_UP(window + size, LARGE_PAGE);
	if (window_next > WINDOWS_END)
		fail("the loops are too long: no guest-physical addresses are left");
	return window;
}

void l2_map(u64 address, unsigned level)
{
	u64 size = EPT_LEVEL_SIZE(level);

	pool_next = ALIGN_UP(pool_next, size) % POOL_SIZE;
	ept_map_to(shared.ept_root, ALIGN_DOWN(address, size), pool + pool_next, level);
	pool_next += size;
}

void l2_map_untouched(u64 address)
{
	if (untouched == untouched_end)
		fail("the loops are too long: no untouched memory is left");
	ept_map_to(shared.ept_root, address, untouched, 2);
	untouched += LARGE_PAGE;
}

u64 l2_eptp(void)
{
	return ept_pointer(&shared);
}
