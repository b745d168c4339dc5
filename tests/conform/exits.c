/*
 * exits: instructions and exceptions of L2, each with its exiting control off and on, and what the exit tells; SDM
 * "Instructions That Cause VM Exits", "Exception Bitmap", "Information for VM Exits Due to Instruction Execution".
 */
#include "insn.h"
#include "string.h"
#include "tests/conform/lib/entry.h"

static u64 cell[256] __attribute__((aligned(64)));

/* What L2 does; it starts with all registers 0 but RBX, RSI and RDI, which point to cell. */
#define PIECES(X) \
	X(cpuid, "cpuid") X(hlt, "hlt") X(invd, "invd") X(wbinvd, "wbinvd") X(pause, "pause") X(rdtsc, "rdtsc") \
	X(invlpg, "invlpg 0x40(%rbx)") X(invlpg_sib, "mov $2, %ecx\ninvlpg 0x123456(%rbx,%rcx,4)") \
	X(rdtscp, "rdtscp") X(invpcid, "mov $2, %eax\ninvpcid 0x10(%rbx), %rax") \
	X(xsetbv, "xor %ecx, %ecx\nmov $1, %eax\nxor %edx, %edx\nxsetbv") \
	X(xsetbv_bad, "mov $7, %ecx\nxsetbv") \
	X(xsaves, "mov $1, %eax\nxsaves (%rbx)") X(xrstors, "mov $1, %eax\nxrstors (%rbx)") \
	X(xsaves_supervisor, "mov $0x800, %eax\nxsaves (%rbx)") \
	X(monitor, "mov %rbx, %rax\nxor %ecx, %ecx\nxor %edx, %edx\nmonitor") \
	X(mwait, "xor %eax, %eax\nxor %ecx, %ecx\nmwait") \
	X(rdrand, "rdrand %r9") X(rdrand16, "rdrand %ax") X(rdseed, "rdseed %r10d") X(getsec, "getsec") \
	X(rdpmc, "xor %ecx, %ecx\nrdpmc") X(ud2, "ud2") X(int3, "int3") X(icebp, ".byte 0xf1") \
	X(int_n, "int $0x42") X(pause_loop, "1: pause\njmp 1b") X(pause_few, "pause\npause\npause\npause") \
	X(divide, "xor %edx, %edx\ndiv %edx") X(gp, "mov $0x123, %eax\nmov %ax, %ds") \
	X(push_at_0, "xor %esp, %esp\nmovabs $0x8000000000, %rax\nmov %rax, %rsp\npush %rax") \
	X(page_fault_read, "mov 0x8000000000, %al") \
	X(page_fault_write, "movabs $0x8000000000, %rax\nmov %al, (%rax)") \
	X(sgdt, "sgdt 8(%rbx)") X(sidt, "sidt (%rbx)") X(lgdt, "sgdt (%rbx)\nlgdt (%rbx)") X(lgdt_mem, "lgdt (%rbx)") \
	X(lidt, "lidt (%rbx)") X(sldt, "sldt %r8") X(sldt_mem, "sldt 0x20(%rbx)") X(str, "str %ecx") \
	X(lldt, "xor %eax, %eax\nlldt %ax") X(ltr, "xor %eax, %eax\nltr %ax") \
	X(vmcall_other, "mov $0x77, %eax\nvmcall") X(vmxoff, "vmxoff") X(vmlaunch, "vmlaunch") \
	X(vmresume, "vmresume") X(vmxon, "vmxon 8(%rbx)") X(vmclear, "vmclear 0x10(%rbx)") \
	X(vmptrld, "vmptrld (%rbx,%rax,2)") X(vmptrst, "vmptrst %fs:0x18(%rbx)") \
	X(vmread, "vmread %rcx, %r11") X(vmread_mem, "vmread %rcx, 0x28(%rbx)") \
	X(vmwrite, "vmwrite %r12, %rdx") X(vmwrite_mem, "vmwrite 0x30(%rbx), %rax") \
	X(invept, "invept (%rbx), %r9") X(invvpid, "invvpid 0x20(%rbx), %r14") X(vmfunc, "vmfunc")
#define DEFINE_PIECE(name, text) L2_CODE(l2_##name, text);
PIECES(DEFINE_PIECE)

enum { CHANGES_OF_CASE = 4 };
struct exit_case {
	const char *name;
	const u8 *code;
	enum exit_reason reason;
	u32 vector; /* of an exception */
	struct change changes[CHANGES_OF_CASE];
};
#define EXITS_BY(piece, reason, ...) { #piece, l2_##piece, REASON_##reason, 0, { __VA_ARGS__ } }
#define RUNS(piece, ...) EXITS_BY(piece, vmcall, __VA_ARGS__)
#define FAULTS(piece, vector, ...) { #piece, l2_##piece, REASON_exception_or_nmi, vector, { __VA_ARGS__ } }

/* SDM "Instructions That Cause VM Exits Unconditionally" and, by their controls, "... Conditionally" */
static const struct exit_case instructions[] = {
	EXITS_BY(cpuid, cpuid),
	EXITS_BY(invd, invd),
	EXITS_BY(vmcall_other, vmcall),
	EXITS_BY(vmxoff, vmxoff),
	EXITS_BY(vmlaunch, vmlaunch),
	EXITS_BY(vmresume, vmresume),
	EXITS_BY(vmxon, vmxon),
	EXITS_BY(vmclear, vmclear),
	EXITS_BY(vmptrld, vmptrld),
	EXITS_BY(vmptrst, vmptrst),
	EXITS_BY(vmread, vmread),
	EXITS_BY(vmread_mem, vmread),
	EXITS_BY(vmwrite, vmwrite),
	EXITS_BY(vmwrite_mem, vmwrite),
	EXITS_BY(invept, invept),
	EXITS_BY(invvpid, invvpid),
	EXITS_BY(hlt, hlt, PROC(PROC_hlt_exiting)),
	EXITS_BY(invlpg, invlpg, PROC(PROC_invlpg_exiting)),
	EXITS_BY(invlpg_sib, invlpg, PROC(PROC_invlpg_exiting)),
	RUNS(invlpg),
	EXITS_BY(rdpmc, rdpmc, PROC(PROC_rdpmc_exiting)),
	EXITS_BY(rdtsc, rdtsc, PROC(PROC_rdtsc_exiting)),
	RUNS(rdtsc),
	EXITS_BY(rdtscp, rdtscp, PROC(PROC_rdtsc_exiting), PROC2(PROC2_enable_rdtscp)),
	RUNS(rdtscp, PROC2(PROC2_enable_rdtscp)),
	EXITS_BY(invpcid, invpcid, PROC(PROC_invlpg_exiting), PROC2(PROC2_enable_invpcid)),
	RUNS(invpcid, PROC2(PROC2_enable_invpcid)),
	EXITS_BY(pause, pause, PROC(PROC_pause_exiting)),
	RUNS(pause),
	EXITS_BY(monitor, monitor, PROC(PROC_monitor_exiting)),
	RUNS(monitor),
	EXITS_BY(mwait, mwait, PROC(PROC_mwait_exiting)),
	EXITS_BY(wbinvd, wbinvd, PROC2(PROC2_wbinvd_exiting)),
	RUNS(wbinvd),
	EXITS_BY(rdrand, rdrand, PROC2(PROC2_rdrand_exiting)),
	EXITS_BY(rdrand16, rdrand, PROC2(PROC2_rdrand_exiting)),
	EXITS_BY(rdseed, rdseed, PROC2(PROC2_rdseed_exiting)),
	EXITS_BY(sgdt, access_to_gdtr_or_idtr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(sidt, access_to_gdtr_or_idtr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(lgdt_mem, access_to_gdtr_or_idtr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(lidt, access_to_gdtr_or_idtr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(sldt, access_to_ldtr_or_tr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(sldt_mem, access_to_ldtr_or_tr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(str, access_to_ldtr_or_tr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(lldt, access_to_ldtr_or_tr, PROC2(PROC2_descriptor_table_exiting)),
	EXITS_BY(ltr, access_to_ldtr_or_tr, PROC2(PROC2_descriptor_table_exiting)),
	RUNS(sgdt),
	RUNS(lgdt),
	RUNS(sldt),
	RUNS(lldt),
	/* SDM "PAUSE-Loop Exiting": by the time between the first PAUSE of a loop and the present one. */
	EXITS_BY(pause_loop, pause, PROC2(PROC2_pause_loop_exiting), TO(ple_gap, 100000), TO(ple_window, 1000)),
	RUNS(pause_few, PROC2(PROC2_pause_loop_exiting), TO(ple_gap, 100000), TO(ple_window, 100000000)),
	EXITS_BY(pause, pause, PROC(PROC_pause_exiting), PROC2(PROC2_pause_loop_exiting), TO(ple_window, 100000000)),
};

#define BITMAP(vectors) TO(exception_bitmap, vectors)
#define NO_IDT TO(guest_idtr_limit, 0)
/* SDM "Exception Bitmap": each vector exits by its bit; what is not enabled is #UD; double faults and triple faults. */
static const struct exit_case exceptions[] = {
	FAULTS(ud2, VECTOR_UD, BITMAP(BIT(VECTOR_UD))),
	FAULTS(int3, VECTOR_BP, BITMAP(BIT(VECTOR_BP))),
	FAULTS(icebp, VECTOR_DB, BITMAP(BIT(VECTOR_DB))),
	FAULTS(divide, VECTOR_DE, BITMAP(BIT(VECTOR_DE))),
	FAULTS(gp, VECTOR_GP, BITMAP(BIT(VECTOR_GP))),
	FAULTS(int_n, VECTOR_GP, BITMAP(BIT(VECTOR_GP)), NO_IDT),
	FAULTS(page_fault_read, VECTOR_PF, BITMAP(BIT(VECTOR_PF))),
	FAULTS(page_fault_write, VECTOR_PF, BITMAP(BIT(VECTOR_PF))),
	FAULTS(getsec, VECTOR_UD, BITMAP(BIT(VECTOR_UD))), /* CR4.SMXE is 0 */
	FAULTS(xsetbv, VECTOR_UD, BITMAP(BIT(VECTOR_UD))), /* CR4.OSXSAVE is 0 */
	FAULTS(vmfunc, VECTOR_UD, BITMAP(BIT(VECTOR_UD))),
	FAULTS(rdtscp, VECTOR_UD, BITMAP(BIT(VECTOR_UD))),
	FAULTS(invpcid, VECTOR_UD, BITMAP(BIT(VECTOR_UD))),
	FAULTS(push_at_0, VECTOR_PF, BITMAP(~0u)),
	FAULTS(push_at_0, VECTOR_DF, BITMAP(BIT(VECTOR_DF)), NO_IDT),
	EXITS_BY(push_at_0, triple_fault, BITMAP(0), NO_IDT),
	EXITS_BY(ud2, triple_fault, BITMAP(0), NO_IDT),
	FAULTS(ud2, VECTOR_GP, BITMAP(BIT(VECTOR_GP)), NO_IDT),
	FAULTS(int3, VECTOR_GP, BITMAP(BIT(VECTOR_GP)), NO_IDT),
};

#define MASK_MATCH(mask, match) TO(page_fault_error_code_mask, mask), TO(page_fault_error_code_match, match)
/* SDM "Exception Bitmap", page faults: mask and match turn the bit's meaning around. What does not exit is #DF. */
static const struct exit_case page_faults[] = {
	FAULTS(page_fault_write, VECTOR_PF, BITMAP(BIT(VECTOR_PF)), MASK_MATCH(PF_WRITE, PF_WRITE)),
	FAULTS(page_fault_read, VECTOR_PF, BITMAP(0), MASK_MATCH(PF_WRITE, PF_WRITE)),
	FAULTS(page_fault_write, VECTOR_PF, BITMAP(0), MASK_MATCH(PF_WRITE, 0)),
	FAULTS(page_fault_write, VECTOR_PF, BITMAP(0), MASK_MATCH(0, 1)),
	FAULTS(page_fault_read, VECTOR_PF, BITMAP(BIT(VECTOR_PF)), MASK_MATCH(~0u, 0)),
	FAULTS(page_fault_read, VECTOR_DF, BITMAP(BIT(VECTOR_DF) | BIT(VECTOR_PF)), MASK_MATCH(PF_WRITE, PF_WRITE)),
	FAULTS(page_fault_write, VECTOR_DF, BITMAP(BIT(VECTOR_DF)), MASK_MATCH(PF_WRITE, PF_WRITE)),
};

static bool reads_time_or_chance(const u8 *code)
{
	return code == l2_rdtsc || code == l2_rdtscp || code == l2_rdrand || code == l2_rdrand16 || code == l2_rdseed;
}

static void expect_case(const struct l2_exit *exit, const struct exit_case *row)
{
	expect_exit(exit, row->reason);
	if (row->reason == REASON_exception_or_nmi && (exit->intr & INTR_VECTOR) != row->vector)
		wrong("the vector must be %u", row->vector);
}

static void exit_case(const struct exit_case *row)
{
	struct l2_exit exit;

	vmcs_make(row->code);
	/* What faults unexpectedly exits, and what the bitmap lets through cannot be delivered. */
	vmwrite(ENC_exception_bitmap, ~0u);
	vmwrite(ENC_guest_idtr_limit, 0);
	memset(cell, 0, sizeof(cell));
	l2.gpr[RBX] = l2.gpr[RSI] = l2.gpr[RDI] = (u64)cell;
	if (!changes_offered(row->changes, CHANGES_OF_CASE)) {
		observe("not offered");
		return;
	}
	changes_apply(row->changes, CHANGES_OF_CASE);
	exit = l2_enter();
	observe_exit(&exit);
	if (!reads_time_or_chance(row->code))
		observe("rax=%lx rcx=%lx rdx=%lx", l2.gpr[RAX], l2.gpr[RCX], l2.gpr[RDX]);
	expect_case(&exit, row);
}

static void exit_cases(const char *kind, const struct exit_case *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		case_begin("%s.%u.%s", kind, i, rows[i].name);
		exit_case(&rows[i]);
		case_end();
	}
}
#define EXIT_CASES(kind, rows) exit_cases(kind, rows, ARRAY_SIZE(rows))

#define OSXSAVE SET(guest_cr4, CR4_OSXSAVE)
static const struct exit_case xsetbv[] = {
	EXITS_BY(xsetbv, xsetbv, OSXSAVE),
	EXITS_BY(xsetbv_bad, xsetbv, OSXSAVE), /* before the register's number is looked at */
};

/* SDM "XSS-Exiting Bitmap": a component that is asked for, in IA32_XSS and in the bitmap. */
#define XSAVES_ON PROC2(PROC2_enable_xsaves_xrstors), OSXSAVE
static const struct exit_case xsaves[] = {
	FAULTS(xsaves, VECTOR_UD, OSXSAVE),
	FAULTS(xrstors, VECTOR_UD, OSXSAVE),
	RUNS(xsaves, XSAVES_ON, TO(xss_exiting_bitmap, 0)),
	RUNS(xsaves, XSAVES_ON, TO(xss_exiting_bitmap, ~0ull)),
	RUNS(xsaves_supervisor, XSAVES_ON, TO(xss_exiting_bitmap, ~0ull)),
};
#define XSS_CET_USER BIT(11)
static const struct exit_case xsaves_with_xss[] = {
	RUNS(xsaves, XSAVES_ON, TO(xss_exiting_bitmap, ~0ull)),
	RUNS(xsaves_supervisor, XSAVES_ON, TO(xss_exiting_bitmap, ~XSS_CET_USER)),
	EXITS_BY(xsaves_supervisor, xsaves, XSAVES_ON, TO(xss_exiting_bitmap, XSS_CET_USER)),
};

static void extended_state(void)
{
	if (!(cpuid(1, 0).ecx & CPUID1_ECX_XSAVE))
		return;
	EXIT_CASES("xsetbv", xsetbv);
	if (!has_controls(PROC2_CTLS, PROC2_enable_xsaves_xrstors))
		return;
	EXIT_CASES("xsaves", xsaves);
	case_begin("xss.cet_user");
	observe("vector=%d", try_wrmsr(MSR_IA32_XSS, XSS_CET_USER));
	case_end();
	if (try_wrmsr(MSR_IA32_XSS, XSS_CET_USER) == PROBE_NO_FAULT)
		EXIT_CASES("xsaves_with_xss", xsaves_with_xss);
	try_wrmsr(MSR_IA32_XSS, 0);
}

void group(void)
{
	vmx_start();
	EXIT_CASES("instruction", instructions);
	EXIT_CASES("exception", exceptions);
	EXIT_CASES("page_fault", page_faults);
	extended_state();
}
