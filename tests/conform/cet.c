/*
 * cet: state of control-flow enforcement over VM entries and exits, L1 and L2 with shadow stacks and indirect-branch
 * tracking on; SDM "Control-flow Enforcement Technology", "Loading Guest State", "Saving Guest State", "Loading Host
 * State". On a CPU without it the checks say that it is not offered.
 */
#include "ept.h"
#include "insn.h"
#include "string.h"
#include "tests/conform/lib/entry.h"
#include "tests/conform/lib/l2_idt.h"
#include "tests/conform/lib/scratch.h"

#define NON_CANONICAL BIT(47)
#define BEYOND_WIDTH BIT(48)
#define LAST_LOWER (BIT(47) - 1)
#define BITMAP_BASE 0x12345000ull
#define LOAD_GUEST ENTRY(ENTRY_load_cet_state)
#define LOAD_HOST EXIT(EXIT_load_cet_state)
#define OFFERED_GUEST TO(guest_ssp, 0)
#define OFFERED_HOST TO(host_ssp, 0)
#define CP_NEAR_RET 1
#define CP_ENDBRANCH 3

enum { GUEST_PAGE, HOST_PAGE };

L2_CODE(l2_nothing, "");
L2_CODE(read_msr, "rdmsr");
L2_CODE(write_msr, "wrmsr");
L2_CODE(read_ssp, "xor %eax, %eax\nrdsspq %rax");
L2_CODE(call_and_return, "rdsspq %rax\ncall 1f\njmp 2f\n1: rdsspq %rbx\nmov (%rbx), %rcx\nret\n2: rdsspq %rdx");
L2_CODE(call_alone, "call 1f\nud2\n1:");
L2_CODE(return_elsewhere, "call 1f\nud2\n1: lea 2f(%rip), %rax\nmov %rax, (%rsp)\nret\n2:");
L2_CODE(jump_to_endbr, "lea 1f(%rip), %rax\njmp *%rax\nud2\n1: endbr64");
L2_CODE(jump_astray, "lea 1f(%rip), %rax\njmp *%rax\nud2\n1: nop");
L2_CODE(jump_untracked, "lea 1f(%rip), %rax\nnotrack jmp *%rax\nud2\n1: nop");
L2_CODE(write_shadow_stack, "mov %rbx, (%rax)");
L2_CODE(wrss, "wrssq %rbx, (%rax)");
L2_CODE(vmcall_in_between, "call 1f\njmp 2f\n1: vmcall\nret\n2: rdsspq %rax");

/* SDM "Checks on Host Control Registers, MSRs, and SSP", "Checks Related to Address-Space Size" */
static const struct entry_case host_rows[] = {
	{ "host.nothing", ENTERS, { LOAD_HOST } },
	{ "host.s_cet", ENTERS, { LOAD_HOST, TO(host_ia32_s_cet, BITMAP_BASE | BITS(5, 0)) } },
	{ "host.s_cet_reserved_6", FAILS_HOST, { LOAD_HOST, TO(host_ia32_s_cet, BIT(6)) } },
	{ "host.s_cet_reserved_9", FAILS_HOST, { LOAD_HOST, TO(host_ia32_s_cet, BIT(9)) } },
	{ "host.s_cet_suppress", ENTERS, { LOAD_HOST, TO(host_ia32_s_cet, S_CET_SUPPRESS) } },
	{ "host.s_cet_tracker", ENTERS, { LOAD_HOST, TO(host_ia32_s_cet, S_CET_TRACKER) } },
	{ "host.s_cet_both", FAILS_HOST, { LOAD_HOST, TO(host_ia32_s_cet, S_CET_SUPPRESS | S_CET_TRACKER) } },
	{ "host.s_cet_non_canonical", FAILS_HOST, { LOAD_HOST, TO(host_ia32_s_cet, NON_CANONICAL) } },
	{ "host.ssp", ENTERS, { LOAD_HOST, TO(host_ssp, LAST_LOWER & ~3ull) } },
	{ "host.ssp_unaligned_1", FAILS_HOST, { LOAD_HOST, TO(host_ssp, 0x1001) } },
	{ "host.ssp_unaligned_2", FAILS_HOST, { LOAD_HOST, TO(host_ssp, 0x1002) } },
	{ "host.ssp_non_canonical", FAILS_HOST, { LOAD_HOST, TO(host_ssp, NON_CANONICAL) } },
	{ "host.table", ENTERS, { LOAD_HOST, TO(host_ia32_interrupt_ssp_table_addr, LAST_LOWER) } },
	{ "host.table_non_canonical", FAILS_HOST,
	  { LOAD_HOST, TO(host_ia32_interrupt_ssp_table_addr, NON_CANONICAL) } },
	{ "host.unused", ENTERS,
	  { TO(host_ia32_s_cet, ~0ull), TO(host_ssp, ~0ull), TO(host_ia32_interrupt_ssp_table_addr, NON_CANONICAL) } },
	{ "host.before_guest", FAILS_HOST,
	  { LOAD_HOST, TO(host_ssp, 1), LOAD_GUEST, TO(guest_ia32_s_cet, BIT(6)) } },
};

/* SDM "Checks on Guest Control Registers, Debug Registers, and MSRs", "Checks on Guest RIP, RFLAGS, and SSP" */
static const struct entry_case guest_rows[] = {
	{ "guest.cr4_without_wp", FAILS_GUEST, { OFFERED_GUEST, SET(guest_cr4, CR4_CET), CLEAR(guest_cr0, CR0_WP) } },
	{ "guest.cr4", ENTERS, { OFFERED_GUEST, SET(guest_cr4, CR4_CET), SET(guest_cr0, CR0_WP) } },
	{ "guest.nothing", ENTERS, { LOAD_GUEST } },
	{ "guest.s_cet", ENTERS, { LOAD_GUEST, TO(guest_ia32_s_cet, BITMAP_BASE | BITS(5, 0)) } },
	{ "guest.s_cet_reserved_6", FAILS_GUEST, { LOAD_GUEST, TO(guest_ia32_s_cet, BIT(6)) } },
	{ "guest.s_cet_reserved_9", FAILS_GUEST, { LOAD_GUEST, TO(guest_ia32_s_cet, BIT(9)) } },
	{ "guest.s_cet_suppress", ENTERS, { LOAD_GUEST, TO(guest_ia32_s_cet, S_CET_SUPPRESS) } },
	{ "guest.s_cet_both", FAILS_GUEST, { LOAD_GUEST, TO(guest_ia32_s_cet, S_CET_SUPPRESS | S_CET_TRACKER) } },
	{ "guest.s_cet_non_canonical", FAILS_GUEST, { LOAD_GUEST, TO(guest_ia32_s_cet, NON_CANONICAL) } },
	{ "guest.ssp", ENTERS, { LOAD_GUEST, TO(guest_ssp, LAST_LOWER & ~3ull) } },
	{ "guest.ssp_unaligned_1", FAILS_GUEST, { LOAD_GUEST, TO(guest_ssp, 0x1001) } },
	{ "guest.ssp_unaligned_2", FAILS_GUEST, { LOAD_GUEST, TO(guest_ssp, 0x1002) } },
	{ "guest.ssp_beyond_width", FAILS_GUEST, { LOAD_GUEST, TO(guest_ssp, BEYOND_WIDTH) } },
	{ "guest.table", ENTERS, { LOAD_GUEST, TO(guest_ia32_interrupt_ssp_table_addr, LAST_LOWER) } },
	{ "guest.table_non_canonical", FAILS_GUEST,
	  { LOAD_GUEST, TO(guest_ia32_interrupt_ssp_table_addr, NON_CANONICAL) } },
	{ "guest.unused", ENTERS,
	  { TO(guest_ia32_s_cet, ~0ull), TO(guest_ssp, ~0ull),
	    TO(guest_ia32_interrupt_ssp_table_addr, NON_CANONICAL) } },
};

static struct vmx_msr_entry list[1] __attribute__((aligned(16)));
static u8 zero_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

static bool is_offered(void)
{
	return has_controls(ENTRY_CTLS, ENTRY_load_cet_state) && has_controls(EXIT_CTLS, EXIT_load_cet_state);
}

/* The page as a shadow stack of ring 0, and where one that is empty begins. */
static u64 shadow_stack(unsigned page)
{
	memset(scratch_memory(page), 0, PAGE_SIZE);
	scratch_change(page, PTE_DIRTY | PTE_ACCESSED, PTE_WRITE | PTE_USER);
	return scratch(page) + PAGE_SIZE;
}

static void make(const u8 *code)
{
	vmcs_make(code);
	controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)zero_bitmap);
	vmwrite(ENC_exception_bitmap, ~0u);
	vmwrite(ENC_guest_idtr_limit, 0);
	wrmsr(MSR_IA32_S_CET, 0);
	wrmsr(MSR_IA32_INTERRUPT_SSP_TABLE_ADDR, 0);
}

/* L2 with this S_CET in force, and an empty shadow stack. */
static void make_enforced(const u8 *code, u64 s_cet)
{
	make(code);
	controls_set(ENTRY_CTLS, ENTRY_load_cet_state);
	controls_set(EXIT_CTLS, EXIT_load_cet_state); /* for L1 is without */
	vmwrite(ENC_guest_cr0, vmread(ENC_guest_cr0) | CR0_WP);
	vmwrite(ENC_guest_cr4, vmread(ENC_guest_cr4) | CR4_CET);
	vmwrite(ENC_guest_ia32_s_cet, s_cet);
	vmwrite(ENC_guest_ssp, shadow_stack(GUEST_PAGE));
}

static void observe_saved(void)
{
	observe("s_cet=%lx ssp=%lx table=%lx", vmread(ENC_guest_ia32_s_cet), vmread(ENC_guest_ssp),
		vmread(ENC_guest_ia32_interrupt_ssp_table_addr));
}

static void observe_own(void)
{
	observe("own_s_cet=%lx own_table=%lx", rdmsr(MSR_IA32_S_CET), rdmsr(MSR_IA32_INTERRUPT_SSP_TABLE_ADDR));
}

static void expect_value(const char *what, u64 value, u64 wanted)
{
	if (value != wanted)
		wrong("%s must be %lx", what, wanted);
}

#define GUEST_S_CET (BITMAP_BASE | S_CET_WR_SHSTK_EN)
#define HOST_S_CET 0x777000ull
#define GUEST_TABLE 0x4440
#define HOST_TABLE 0x5550
#define OWN_S_CET 0x33000ull

/* SDM "Loading Guest Control Registers, Debug Registers, and MSRs": without the control L2 has what L1 had. */
static void loads_guest(bool loads)
{
	struct l2_exit exit;

	make(read_msr);
	if (loads)
		controls_set(ENTRY_CTLS, ENTRY_load_cet_state);
	vmwrite(ENC_guest_ia32_s_cet, GUEST_S_CET);
	vmwrite(ENC_guest_ia32_interrupt_ssp_table_addr, GUEST_TABLE);
	wrmsr(MSR_IA32_S_CET, OWN_S_CET);
	l2.gpr[RCX] = MSR_IA32_S_CET;
	exit = l2_case_begin(loads ? "state.guest_loaded" : "state.guest_inherited");
	observe("read=%lx", l2.gpr[RAX]);
	observe_saved();
	observe_own();
	expect_exit(&exit, REASON_vmcall);
	expect_value("what L2 reads", (u32)l2.gpr[RAX], loads ? GUEST_S_CET : OWN_S_CET);
	expect_value("what is saved", vmread(ENC_guest_ia32_s_cet), loads ? GUEST_S_CET : OWN_S_CET);
	expect_value("what L1 reads", rdmsr(MSR_IA32_S_CET), loads ? GUEST_S_CET : OWN_S_CET);
	case_end();
}

/* SDM "Saving Control Registers, Debug Registers, and MSRs": on a CPU with the control, whatever it is. */
static void saves_guest(bool loads)
{
	struct l2_exit exit;

	make(write_msr);
	if (loads)
		controls_set(ENTRY_CTLS, ENTRY_load_cet_state);
	l2.gpr[RCX] = MSR_IA32_INTERRUPT_SSP_TABLE_ADDR;
	l2.gpr[RAX] = GUEST_TABLE;
	exit = l2_case_begin(loads ? "state.saved" : "state.saved_without_load");
	observe_saved();
	observe_own();
	expect_exit(&exit, REASON_vmcall);
	expect_value("what is saved", vmread(ENC_guest_ia32_interrupt_ssp_table_addr), GUEST_TABLE);
	case_end();
}

/* SDM "Loading Host Control Registers, Debug Registers, MSRs": and it is L1's own from then on. */
static void loads_host(bool guest)
{
	struct l2_exit exit;

	make(l2_nothing);
	controls_set(EXIT_CTLS, EXIT_load_cet_state);
	if (guest)
		controls_set(ENTRY_CTLS, ENTRY_load_cet_state);
	vmwrite(ENC_guest_ia32_s_cet, GUEST_S_CET);
	vmwrite(ENC_host_ia32_s_cet, HOST_S_CET);
	vmwrite(ENC_host_ia32_interrupt_ssp_table_addr, HOST_TABLE);
	exit = l2_case_begin(guest ? "state.both_loaded" : "state.host_loaded");
	observe_saved();
	observe_own();
	expect_exit(&exit, REASON_vmcall);
	expect_value("what L1 reads", rdmsr(MSR_IA32_S_CET), HOST_S_CET);
	expect_value("what L1 reads", rdmsr(MSR_IA32_INTERRUPT_SSP_TABLE_ADDR), HOST_TABLE);
	wrmsr(MSR_IA32_S_CET, OWN_S_CET);
	cpuid(0, 0); /* an exit of L1's to L0 */
	observe("written=%lx", rdmsr(MSR_IA32_S_CET));
	expect_value("what L1 has written", rdmsr(MSR_IA32_S_CET), OWN_S_CET);
	case_end();
}

/* An exit that loads leaves nothing behind for the next one that does not. */
static void loads_host_once(void)
{
	struct l2_exit exit;

	make(l2_nothing);
	controls_set(EXIT_CTLS, EXIT_load_cet_state);
	vmwrite(ENC_host_ia32_s_cet, HOST_S_CET);
	l2_enter();
	make(write_msr);
	l2.gpr[RCX] = MSR_IA32_S_CET;
	l2.gpr[RAX] = GUEST_S_CET;
	exit = l2_case_begin("state.host_loaded_once");
	observe_own();
	expect_exit(&exit, REASON_vmcall);
	expect_value("what L1 reads", rdmsr(MSR_IA32_S_CET), GUEST_S_CET);
	case_end();
}

/* SDM "Loading MSRs": the lists come behind the fields. */
static void lists(void)
{
	struct l2_exit exit;

	make(read_msr);
	controls_set(ENTRY_CTLS, ENTRY_load_cet_state);
	list[0] = (struct vmx_msr_entry){ MSR_IA32_S_CET, 0, OWN_S_CET };
	vmwrite(ENC_vm_entry_msr_load_address, (u64)list);
	vmwrite(ENC_vm_entry_msr_load_count, 1);
	vmwrite(ENC_guest_ia32_s_cet, GUEST_S_CET);
	l2.gpr[RCX] = MSR_IA32_S_CET;
	exit = l2_case_begin("list.entry_load");
	observe("read=%lx", l2.gpr[RAX]);
	observe_saved();
	expect_exit(&exit, REASON_vmcall);
	expect_value("what L2 reads", (u32)l2.gpr[RAX], OWN_S_CET);
	case_end();

	make(l2_nothing);
	controls_set(EXIT_CTLS, EXIT_load_cet_state);
	vmwrite(ENC_vm_exit_msr_load_address, (u64)list);
	vmwrite(ENC_vm_exit_msr_load_count, 1);
	vmwrite(ENC_host_ia32_s_cet, HOST_S_CET);
	exit = l2_case_begin("list.exit_load");
	observe_own();
	expect_exit(&exit, REASON_vmcall);
	expect_value("what L1 reads", rdmsr(MSR_IA32_S_CET), OWN_S_CET);
	case_end();

	make(l2_nothing);
	controls_set(ENTRY_CTLS, ENTRY_load_cet_state);
	controls_set(EXIT_CTLS, EXIT_load_cet_state);
	vmwrite(ENC_vm_exit_msr_store_address, (u64)list);
	vmwrite(ENC_vm_exit_msr_store_count, 1);
	vmwrite(ENC_guest_ia32_s_cet, GUEST_S_CET);
	exit = l2_case_begin("list.exit_store");
	observe("stored=%lx", list[0].value);
	expect_exit(&exit, REASON_vmcall);
	expect_value("what is stored", list[0].value, GUEST_S_CET);
	case_end();

	make(l2_nothing);
	list[0] = (struct vmx_msr_entry){ MSR_IA32_S_CET, 0, BIT(6) };
	vmwrite(ENC_vm_entry_msr_load_address, (u64)list);
	vmwrite(ENC_vm_entry_msr_load_count, 1);
	exit = l2_case_begin("list.entry_refused");
	observe_own();
	expect_entry_failure(&exit, REASON_entry_failure_msr_loading, 1);
	case_end();
}

struct enforced_case {
	const char *name;
	const u8 *code;
	u64 s_cet;
	int error; /* of the #CP, or -1 if there is none */
};

static const struct enforced_case enforced_rows[] = {
	{ "shadow_stack.call_and_return", call_and_return, S_CET_SH_STK_EN, -1 },
	{ "shadow_stack.ssp", read_ssp, S_CET_SH_STK_EN, -1 },
	{ "shadow_stack.off", call_and_return, 0, -1 },
	{ "shadow_stack.return_elsewhere", return_elsewhere, S_CET_SH_STK_EN, CP_NEAR_RET },
	{ "shadow_stack.return_elsewhere_off", return_elsewhere, 0, -1 },
	{ "shadow_stack.wrss", wrss, S_CET_SH_STK_EN | S_CET_WR_SHSTK_EN, -1 },
	{ "branch.endbr", jump_to_endbr, S_CET_ENDBR_EN, -1 },
	{ "branch.astray", jump_astray, S_CET_ENDBR_EN, CP_ENDBRANCH },
	{ "branch.astray_off", jump_astray, 0, -1 },
	{ "branch.suppressed", jump_astray, S_CET_ENDBR_EN | S_CET_SUPPRESS, -1 },
	{ "branch.untracked", jump_untracked, S_CET_ENDBR_EN | BIT(4), -1 },
	{ "branch.waiting", l2_nothing, S_CET_ENDBR_EN | S_CET_TRACKER, CP_ENDBRANCH },
};

static void enforced(const struct enforced_case *row)
{
	struct l2_exit exit;

	make_enforced(row->code, row->s_cet);
	l2.gpr[RAX] = scratch(GUEST_PAGE) + 64;
	l2.gpr[RBX] = 0x1234;
	exit = l2_case_begin(row->name);
	observe("rax=%lx rbx=%lx rcx=%lx rdx=%lx", l2.gpr[RAX], l2.gpr[RBX], l2.gpr[RCX], l2.gpr[RDX]);
	observe_saved();
	if (row->error < 0)
		expect_exit(&exit, REASON_vmcall);
	else
		expect_exit(&exit, REASON_exception_or_nmi);
	if (row->error >= 0 && ((exit.intr & INTR_VECTOR) != VECTOR_CP || exit.intr_error != (u32)row->error))
		wrong("it must be #CP(%d)", row->error);
	case_end();
}

/* No page of a shadow stack can be written otherwise, and no other page serves as one. */
static void pages(void)
{
	struct l2_exit exit;

	make_enforced(write_shadow_stack, S_CET_SH_STK_EN);
	l2.gpr[RAX] = scratch(GUEST_PAGE);
	exit = l2_case_begin("page.written");
	expect_exit(&exit, REASON_exception_or_nmi);
	case_end();

	make_enforced(call_alone, S_CET_SH_STK_EN);
	scratch_change(GUEST_PAGE, PTE_WRITE, 0);
	exit = l2_case_begin("page.writable");
	expect_exit(&exit, REASON_exception_or_nmi);
	case_end();

	make_enforced(call_alone, S_CET_SH_STK_EN);
	scratch_change(GUEST_PAGE, 0, PTE_PRESENT);
	exit = l2_case_begin("page.absent");
	expect_exit(&exit, REASON_exception_or_nmi);
	case_end();
	scratch_change(GUEST_PAGE, PTE_PRESENT, 0);
}

/* SDM "Exit Qualification for EPT Violations": bit 13 tells that the access was one to a shadow stack. */
static void ept_rights(const char *name, u64 rights, bool goes_through)
{
	u64 *entry = l2_ept_entry(GIB(3)), physical = (u64)scratch_memory(GUEST_PAGE);
	struct l2_exit exit;

	make_enforced(call_alone, S_CET_SH_STK_EN);
	*entry = ALIGN_DOWN(physical, MIB(2)) | rights | EPT_LARGE | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT;
	scratch_change(GUEST_PAGE, physical ^ (GIB(3) + physical % MIB(2)), 0);
	scratch_change(GUEST_PAGE, 0, physical & ~(GIB(3) + physical % MIB(2)));
	invept(INVEPT_global, 0);
	exit = l2_case_begin(name);
	expect_exit(&exit, goes_through ? REASON_vmcall : REASON_ept_violation);
	case_end();
	scratch_change(GUEST_PAGE, 0, GIB(3));
	scratch_change(GUEST_PAGE, physical, 0);
}

/* An exit in the middle of a call: what is on the shadow stack is there at the next entry. */
static void goes_on(void)
{
	struct l2_exit exit;

	make_enforced(vmcall_in_between, S_CET_SH_STK_EN);
	exit = l2_case_begin("exit.inside_call");
	observe_saved();
	expect_exit(&exit, REASON_vmcall);
	vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + exit.length);
	exit = l2_enter();
	observe_exit(&exit);
	observe("rax=%lx", l2.gpr[RAX]);
	expect_exit(&exit, REASON_vmcall);
	case_end();
}

/* SDM "VM-Entry Control Fields": which of #CP's error codes are taken; and with IST its stack comes from the table. */
static void events(void)
{
	struct l2_exit exit;

	make_enforced(l2_nothing, S_CET_SH_STK_EN);
	vmwrite(ENC_vm_entry_interruption_information,
		(u32)(INTR_VALID | INTR_ERROR_CODE) | INTR_hardware_exception << INTR_TYPE_SHIFT | VECTOR_CP);
	vmwrite(ENC_vm_entry_exception_error_code, CP_NEAR_RET);
	l2_idt_use();
	exit = l2_case_begin("event.cp_injected");
	observe_saved();
	expect_exit(&exit, REASON_vmcall);
	case_end();

	make_enforced(l2_nothing, S_CET_SH_STK_EN);
	vmwrite(ENC_vm_entry_interruption_information,
		(u32)INTR_VALID | INTR_hardware_exception << INTR_TYPE_SHIFT | VECTOR_UD);
	vmwrite(ENC_guest_idtr_limit, 0xfff);
	vmwrite(ENC_guest_ia32_interrupt_ssp_table_addr, BIT(46));
	exit = l2_case_begin("event.table_absent");
	observe_saved();
	expect_exit(&exit, REASON_exception_or_nmi);
	case_end();
}

static void observe_return(const char *name, u64 ssp, u64 afterwards)
{
	case_begin("%s", name);
	observe("reason=%lx ssp=%lx afterwards=%lx", vmread(ENC_exit_reason), ssp, afterwards);
	if (vmread(ENC_exit_reason) != REASON_vmcall)
		wrong("L2 must run to its VMCALL");
	if (ssp != afterwards)
		wrong("L1's shadow stack must be as deep as before");
	case_end();
}

static NOINLINE u64 exits_inside_a_call(void)
{
	return cpuid(0, 0).eax + vmread(ENC_guest_rip);
}

#define READ_SSP(ssp) __asm__ volatile("rdsspq %0" : "=r"(ssp) : : "memory")

/*
 * L1 on a shadow stack of its own, from WRMSR to WRMSR; an exit that came back with another SSP would end in #CP. The
 * token by which it is taken: SDM "RSTORSSP".
 */
static void l1_on_shadow_stack(bool loads)
{
	u64 token = shadow_stack(HOST_PAGE) - 64, ssp, afterwards;

	*(u64 *)((u8 *)scratch_memory(HOST_PAGE) + PAGE_SIZE - 64) = (token + 8) | 1;
	make(l2_nothing);
	if (loads)
		controls_set(EXIT_CTLS, EXIT_load_cet_state);
	controls_set(ENTRY_CTLS, ENTRY_load_cet_state * loads);
	vmwrite(ENC_host_ia32_s_cet, S_CET_SH_STK_EN);
	vmwrite(ENC_host_ssp, token - 8); /* vmx_enter()'s return address is on it */
	wrmsr(MSR_IA32_S_CET, S_CET_SH_STK_EN);
	__asm__ volatile("rstorssp (%0)" : : "r"(token) : "memory", "cc");
	exits_inside_a_call();
	READ_SSP(ssp);
	vmx_enter(&l2, false);
	READ_SSP(afterwards);
	exits_inside_a_call();
	wrmsr(MSR_IA32_S_CET, 0);
	observe_return(loads ? "l1.exit_loads" : "l1.exit_keeps", ssp, afterwards);
}

static void enforced_cases(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(enforced_rows); i++)
		enforced(&enforced_rows[i]);
	pages();
	ept_rights("ept.all", EPT_RWX, true);
	ept_rights("ept.read_only", EPT_READ, false);
	ept_rights("ept.none", 0, false);
	goes_on();
	events();
}

/* The emulated CPU enters and leaves L2 all the same, so that L1 has CR4.CET without CR0.WP. */
static void host_without_wp(void)
{
	struct l2_exit exit;

	make(l2_nothing);
	vmwrite(ENC_host_cr0, vmread(ENC_host_cr0) & ~CR0_WP);
	exit = l2_case_begin("host.cr4_without_wp");
	expect_vmfail(&exit, VMERR_entry_invalid_host_state);
	case_end();
	write_cr0(read_cr0() | CR0_WP);
}

static void state_cases(void)
{
	loads_guest(false);
	loads_guest(true);
	saves_guest(false);
	saves_guest(true);
	loads_host(false);
	loads_host(true);
	loads_host_once();
	lists();
}

void group(void)
{
	vmx_start();
	scratch_init();
	ENTRY_CASES(l2_nothing, host_rows);
	ENTRY_CASES(l2_nothing, guest_rows);
	if (!is_offered())
		return;
	write_cr0(read_cr0() | CR0_WP);
	write_cr4(read_cr4() | CR4_CET);
	host_without_wp();
	state_cases();
	enforced_cases();
	l1_on_shadow_stack(false);
	l1_on_shadow_stack(true);
}
