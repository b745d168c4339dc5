/*
 * registers: L2's accesses to control and debug registers under guest/host masks, read shadows, CR3 targets and the TPR
 * shadow; SDM "Changes to Instruction Behavior in VMX Non-Root Operation", "Exit Qualification for CR Accesses".
 */
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"

static u64 cell[8];
static u8 virtual_apic[PAGE_SIZE] __attribute__((aligned(4096)));

/* RAX has the value, RBX points to cell. */
#define PIECES(X) \
	X(to_cr0, "mov %rax, %cr0") X(from_cr0, "mov %cr0, %rcx") X(to_cr0_rsp, "mov %rax, %rsp\nmov %rsp, %cr0") \
	X(clts, "clts") X(lmsw, "lmsw %ax") X(lmsw_mem, "mov %ax, (%rbx)\nlmsw (%rbx)") X(smsw, "smsw %rcx") \
	X(to_cr3, "mov %rax, %cr3") X(to_cr3_r13, "mov %rax, %r13\nmov %r13, %cr3") X(from_cr3, "mov %cr3, %rcx") \
	X(from_cr3_r8, "mov %cr3, %r8\nmov %r8, %rcx") \
	X(to_cr4, "mov %rax, %cr4") X(from_cr4, "mov %cr4, %rcx") \
	X(to_cr8, "mov %rax, %cr8") X(from_cr8, "mov %cr8, %rcx") \
	X(to_dr7, "mov %rax, %dr7") X(from_dr7, "mov %dr7, %rcx") X(to_dr6, "mov %rax, %dr6") \
	X(from_dr0_r9, "mov %dr0, %r9") X(to_dr4, "mov %rax, %dr4")
#define DEFINE_PIECE(name, text) L2_CODE(l2_##name, text);
PIECES(DEFINE_PIECE)

enum end { EXITS_CR, RUNS, FAULTS_GP };

static void expect_register_end(const struct l2_exit *exit, enum end end)
{
	static const u8 reasons[] = { [EXITS_CR] = REASON_control_register_access, [RUNS] = REASON_vmcall,
				      [FAULTS_GP] = REASON_exception_or_nmi };

	expect_exit(exit, (enum exit_reason)reasons[end]);
	if (end == FAULTS_GP && (exit->intr & INTR_VECTOR) != VECTOR_GP)
		wrong("it must be #GP");
}

static void make(const u8 *code, u64 rax)
{
	vmcs_make(code);
	vmwrite(ENC_exception_bitmap, ~0u);
	vmwrite(ENC_guest_idtr_limit, 0);
	memset(cell, 0, sizeof(cell));
	l2.gpr[RAX] = rax;
	l2.gpr[RBX] = (u64)cell;
}

struct mask_case {
	const char *name;
	const u8 *code;
	u64 set, clear; /* RAX against the register */
	u64 mask, shadow; /* the shadow against the register */
	enum end end;
	u64 flipped; /* bits of the register that have changed, or of what was read */
};

/* SDM "Guest/Host Masks and Read Shadows for CR0 and CR4" */
static const struct mask_case cr0_rows[] = {
	{ "unmasked", l2_to_cr0, CR0_TS, 0, 0, 0, RUNS, CR0_TS },
	{ "masked_same", l2_to_cr0, CR0_MP, 0, CR0_TS, 0, RUNS, CR0_MP },
	{ "masked_changed", l2_to_cr0, CR0_TS, 0, CR0_TS, 0, EXITS_CR, 0 },
	{ "shadow_differs", l2_to_cr0, 0, 0, CR0_TS, CR0_TS, EXITS_CR, 0 },
	{ "shadow_matches", l2_to_cr0, CR0_TS, 0, CR0_TS, CR0_TS, RUNS, 0 },
	{ "rsp", l2_to_cr0_rsp, CR0_TS, 0, CR0_TS, 0, EXITS_CR, 0 },
	{ "read", l2_from_cr0, 0, 0, CR0_TS | CR0_WP, CR0_TS, RUNS, CR0_TS },
	{ "read_unmasked", l2_from_cr0, 0, 0, 0, CR0_TS, RUNS, 0 },
	{ "read_all_masked", l2_from_cr0, 0, 0, ~0ull, CR0_PE | CR0_AM, RUNS, CR0_PE | CR0_AM },
	{ "smsw", l2_smsw, 0, 0, CR0_TS | CR0_EM, CR0_TS | CR0_EM, RUNS, CR0_TS | CR0_EM },
	{ "clts_unmasked", l2_clts, 0, 0, 0, 0, RUNS, 0 },
	{ "clts_shadow_0", l2_clts, 0, 0, CR0_TS, 0, RUNS, 0 },
	{ "clts_shadow_1", l2_clts, 0, 0, CR0_TS, CR0_TS, EXITS_CR, 0 },
	{ "lmsw_unmasked", l2_lmsw, CR0_TS, 0, 0, 0, RUNS, CR0_TS },
	{ "lmsw_masked", l2_lmsw, CR0_TS, 0, CR0_TS, 0, EXITS_CR, 0 },
	{ "lmsw_mem_masked", l2_lmsw_mem, CR0_TS, 0, CR0_TS, 0, EXITS_CR, 0 },
	{ "lmsw_pe_clear", l2_lmsw, 0, CR0_PE, CR0_PE, 0, RUNS, 0 },
	{ "lmsw_pe_shadow_0", l2_lmsw, 0, 0, CR0_PE, CR0_PE, EXITS_CR, 0 },
	{ "lmsw_other_bits", l2_lmsw, CR0_NE, 0, CR0_NE | CR0_WP, CR0_NE, RUNS, 0 },
	{ "ne_clear", l2_to_cr0, 0, CR0_NE, 0, 0, FAULTS_GP, 0 },
	{ "ne_clear_masked", l2_to_cr0, 0, CR0_NE, CR0_NE, 0, EXITS_CR, 0 },
	{ "ne_clear_shadowed", l2_to_cr0, 0, CR0_NE, CR0_NE, CR0_NE, RUNS, 0 },
	{ "pg_clear", l2_to_cr0, 0, CR0_PG, 0, 0, FAULTS_GP, 0 },
	{ "nw_alone", l2_to_cr0, CR0_NW, 0, 0, 0, FAULTS_GP, 0 },
	{ "wp_set_all_masked", l2_to_cr0, CR0_WP, 0, ~0ull, 0, EXITS_CR, 0 },
	{ "high", l2_to_cr0, BIT(32), 0, 0, 0, FAULTS_GP, 0 },
	{ "reserved_low_ignored", l2_to_cr0, BIT(28), 0, 0, 0, RUNS, 0 },
	/* SDM "Relative Priority of Faults and VM Exits": the exit comes before the faults of other bits. */
	{ "masked_before_high", l2_to_cr0, BIT(32) | CR0_TS, 0, CR0_TS, 0, EXITS_CR, 0 },
	{ "masked_before_ne", l2_to_cr0, CR0_TS, CR0_NE, CR0_TS, 0, EXITS_CR, 0 },
};

static const struct mask_case cr4_rows[] = {
	{ "unmasked", l2_to_cr4, CR4_DE, 0, 0, 0, RUNS, CR4_DE },
	{ "masked_same", l2_to_cr4, CR4_TSD, 0, CR4_DE, 0, RUNS, CR4_TSD },
	{ "masked_changed", l2_to_cr4, CR4_DE, 0, CR4_DE, 0, EXITS_CR, 0 },
	{ "shadow_matches", l2_to_cr4, CR4_DE, 0, CR4_DE, CR4_DE, RUNS, 0 },
	{ "vmxe_clear", l2_to_cr4, 0, CR4_VMXE, 0, 0, FAULTS_GP, 0 },
	{ "vmxe_clear_masked", l2_to_cr4, 0, CR4_VMXE, CR4_VMXE, 0, EXITS_CR, 0 },
	{ "vmxe_clear_shadowed", l2_to_cr4, 0, CR4_VMXE, CR4_VMXE, CR4_VMXE, RUNS, 0 },
	{ "read", l2_from_cr4, 0, 0, CR4_VMXE, CR4_VMXE, RUNS, CR4_VMXE },
	{ "read_unmasked", l2_from_cr4, 0, 0, 0, CR4_VMXE, RUNS, 0 },
	{ "reserved", l2_to_cr4, BIT(15), 0, 0, 0, FAULTS_GP, 0 },
	{ "pae_clear", l2_to_cr4, 0, CR4_PAE, 0, 0, FAULTS_GP, 0 },
};

static bool reads(const u8 *code)
{
	return code == l2_from_cr0 || code == l2_from_cr4 || code == l2_smsw;
}

static void mask_case(const char *name, const struct mask_case *row, u64 value, enum vmcs_encoding field,
		      enum vmcs_encoding mask, enum vmcs_encoding shadow)
{
	struct l2_exit exit;

	case_begin("%s.%s", name, row->name);
	make(row->code, (value | row->set) & ~row->clear);
	vmwrite(mask, row->mask);
	vmwrite(shadow, value ^ row->shadow);
	exit = l2_enter();
	observe_exit(&exit);
	observe("rcx=%lx value=%lx", l2.gpr[RCX], vmread(field));
	expect_register_end(&exit, row->end);
	if ((reads(row->code) ? l2.gpr[RCX] : vmread(field)) != (value ^ row->flipped))
		wrong("%lx must have changed", row->flipped);
	case_end();
}

static void masks(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cr0_rows); i++)
		mask_case("cr0", &cr0_rows[i], read_cr0(), ENC_guest_cr0, ENC_cr0_guest_host_mask,
			  ENC_cr0_read_shadow);
	for (unsigned i = 0; i < ARRAY_SIZE(cr4_rows); i++)
		mask_case("cr4", &cr4_rows[i], read_cr4(), ENC_guest_cr4, ENC_cr4_guest_host_mask,
			  ENC_cr4_read_shadow);
}

/* CLTS where TS is 1: with TS not L1's it is cleared, with a shadow of 0 it stays. */
static void clts_clears(void)
{
	for (unsigned masked = 0; masked < 2; masked++) {
		struct l2_exit exit;

		case_begin("clts.%s", masked ? "masked" : "unmasked");
		make(l2_clts, 0);
		vmwrite(ENC_guest_cr0, read_cr0() | CR0_TS);
		vmwrite(ENC_cr0_guest_host_mask, masked ? CR0_TS : 0);
		exit = l2_enter();
		observe_exit(&exit);
		observe("cr0=%lx", vmread(ENC_guest_cr0));
		expect_exit(&exit, REASON_vmcall);
		if ((vmread(ENC_guest_cr0) & CR0_TS) != (masked ? CR0_TS : 0))
			wrong("TS must be %u", masked);
		case_end();
	}
}

struct other_case {
	const char *name;
	const u8 *code;
	u64 proc;
	u32 targets; /* the fourth is CR3 */
	enum exit_reason reason;
	u64 qualification;
};

#define CR(number, type, gpr) ((number) | CR_ACCESS_##type << CR_ACCESS_TYPE_SHIFT | (gpr) << CR_ACCESS_GPR_SHIFT)
#define DR(number, from, gpr) ((number) | (from) << 4 | (gpr) << CR_ACCESS_GPR_SHIFT)
/* SDM "CR3-Target Controls", "MOV CR3", "MOV CR8", "MOV DR" */
static const struct other_case others[] = {
	{ "to_cr3", l2_to_cr3, 0, 0, REASON_vmcall, 0 },
	{ "to_cr3_exiting", l2_to_cr3, PROC_cr3_load_exiting, 0, REASON_control_register_access, CR(3, mov_to, 0) },
	{ "to_cr3_r13", l2_to_cr3_r13, PROC_cr3_load_exiting, 0, REASON_control_register_access, CR(3, mov_to, 13) },
	{ "to_cr3_target", l2_to_cr3, PROC_cr3_load_exiting, 4, REASON_vmcall, 0 },
	{ "to_cr3_target_beyond_count", l2_to_cr3, PROC_cr3_load_exiting, 3, REASON_control_register_access,
	  CR(3, mov_to, 0) },
	{ "from_cr3", l2_from_cr3, 0, 0, REASON_vmcall, 0 },
	{ "from_cr3_exiting", l2_from_cr3, PROC_cr3_store_exiting, 0, REASON_control_register_access,
	  CR(3, mov_from, 1) },
	{ "from_cr3_r8", l2_from_cr3_r8, PROC_cr3_store_exiting, 0, REASON_control_register_access,
	  CR(3, mov_from, 8) },
	{ "to_cr8", l2_to_cr8, 0, 0, REASON_vmcall, 0 },
	{ "to_cr8_exiting", l2_to_cr8, PROC_cr8_load_exiting, 0, REASON_control_register_access, CR(8, mov_to, 0) },
	{ "from_cr8_exiting", l2_from_cr8, PROC_cr8_store_exiting, 0, REASON_control_register_access,
	  CR(8, mov_from, 1) },
	{ "to_dr7", l2_to_dr7, PROC_mov_dr_exiting, 0, REASON_mov_dr, DR(7, 0, 0) },
	{ "from_dr7", l2_from_dr7, PROC_mov_dr_exiting, 0, REASON_mov_dr, DR(7, 1, 1) },
	{ "from_dr0_r9", l2_from_dr0_r9, PROC_mov_dr_exiting, 0, REASON_mov_dr, DR(0, 1, 9) },
	{ "to_dr6", l2_to_dr6, PROC_mov_dr_exiting, 0, REASON_mov_dr, DR(6, 0, 0) },
	{ "to_dr4", l2_to_dr4, PROC_mov_dr_exiting, 0, REASON_mov_dr, DR(4, 0, 0) },
	{ "from_dr7_free", l2_from_dr7, 0, 0, REASON_vmcall, 0 },
};

static u64 value_for(const u8 *code)
{
	if (code == l2_to_cr3 || code == l2_to_cr3_r13)
		return read_cr3();
	return code == l2_to_cr8 ? 0 : DR7_RESET;
}

static void other_registers(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		const struct other_case *row = &others[i];
		struct l2_exit exit;

		case_begin("register.%s", row->name);
		make(row->code, value_for(row->code));
		controls_set(PROC_CTLS, row->proc);
		controls_clear(PROC_CTLS, (PROC_cr3_load_exiting | PROC_cr3_store_exiting) & ~row->proc);
		vmwrite(ENC_cr3_target_count, row->targets);
		vmwrite(ENC_cr3_target_value_3, read_cr3());
		exit = l2_enter();
		observe_exit(&exit);
		observe("rcx=%lx", l2.gpr[RCX]);
		expect_exit(&exit, row->reason);
		if (exit.qualification != row->qualification)
			wrong("the qualification must be %lx", row->qualification);
		case_end();
	}
}

/* SDM "Exit Qualification for Control-Register Accesses": CLTS and LMSW have forms of their own. */
static void lmsw_qualification(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u64 qualification;
	} rows[] = {
		{ "clts", l2_clts, CR(0, clts, 0) },
		{ "lmsw", l2_lmsw, CR(0, lmsw, 0) | 0x39ul << CR_ACCESS_LMSW_SOURCE_SHIFT },
		{ "lmsw_mem", l2_lmsw_mem, CR(0, lmsw, 0) | BIT(6) | 0x39ul << CR_ACCESS_LMSW_SOURCE_SHIFT },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		make(rows[i].code, CR0_PE | CR0_TS | CR0_ET | CR0_NE);
		vmwrite(ENC_cr0_guest_host_mask, CR0_TS);
		vmwrite(ENC_cr0_read_shadow, rows[i].code == l2_clts ? CR0_TS : 0);
		case_begin("qualification.%s", rows[i].name);
		exit = l2_enter();
		observe_exit(&exit);
		if (rows[i].code == l2_lmsw_mem && exit.reason == REASON_control_register_access)
			observe("linear=%lx", vmread(ENC_guest_linear_address) - (u64)cell);
		expect_exit(&exit, REASON_control_register_access);
		if (exit.qualification != rows[i].qualification)
			wrong("the qualification must be %lx", rows[i].qualification);
		case_end();
	}
}

/* SDM "TPR Virtualization": MOV to CR8 below the threshold exits behind the instruction. */
static void tpr(void)
{
	static const struct {
		u64 value, threshold;
		bool exits;
	} rows[] = { { 5, 3, false }, { 3, 3, false }, { 2, 3, true }, { 0, 1, true }, { 15, 15, false } };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		case_begin("tpr.%lu_threshold_%lu", rows[i].value, rows[i].threshold);
		make(l2_to_cr8, rows[i].value);
		memset(virtual_apic, 0, sizeof(virtual_apic));
		virtual_apic[VIRTUAL_APIC_TPR] = 0xf0;
		controls_set(PROC_CTLS, PROC_use_tpr_shadow);
		vmwrite(ENC_virtual_apic_address, (u64)virtual_apic);
		vmwrite(ENC_tpr_threshold, rows[i].threshold);
		exit = l2_enter();
		observe_exit(&exit);
		observe("tpr=%x", virtual_apic[VIRTUAL_APIC_TPR]);
		expect_exit(&exit, rows[i].exits ? REASON_tpr_below_threshold : REASON_vmcall);
		if (virtual_apic[VIRTUAL_APIC_TPR] != rows[i].value << 4)
			wrong("the virtual TPR must be %lx", rows[i].value << 4);
		case_end();
	}
}

static void tpr_read(void)
{
	struct l2_exit exit;

	case_begin("tpr.read");
	make(l2_from_cr8, 0);
	virtual_apic[VIRTUAL_APIC_TPR] = 0x7f;
	controls_set(PROC_CTLS, PROC_use_tpr_shadow);
	vmwrite(ENC_virtual_apic_address, (u64)virtual_apic);
	exit = l2_enter();
	observe_exit(&exit);
	observe("rcx=%lx", l2.gpr[RCX]);
	expect_exit(&exit, REASON_vmcall);
	if (l2.gpr[RCX] != 7)
		wrong("CR8 must be bits 7:4 of the virtual TPR");
	case_end();
}

L2_CODE(l2_read_pat, "mov $0x277, %ecx\nrdmsr");
#define OTHER_PAT 0x7040600070606ull
static u8 no_msr_exits[PAGE_SIZE] __attribute__((aligned(4096)));

static struct l2_exit enter_reading_pat(u64 rflags)
{
	vmwrite(ENC_guest_rip, (u64)l2_read_pat);
	vmwrite(ENC_guest_rflags, rflags);
	return l2_enter();
}

/*
 * SDM "VM-Entry Controls": without "load IA32_PAT" L2 has the PAT that L1 has, here after an entry that failed with
 * another one.
 */
static void inherited_pat(void)
{
	const u64 pat = rdmsr(MSR_IA32_PAT);
	struct l2_exit exit;

	case_begin("pat.inherited_after_failure");
	vmcs_make(l2_read_pat);
	controls_clear(ENTRY_CTLS, ENTRY_load_ia32_pat);
	controls_clear(EXIT_CTLS, EXIT_load_ia32_pat | EXIT_save_ia32_pat);
	controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)no_msr_exits);
	for (unsigned i = 0; i < 3; i++)
		enter_reading_pat(RFLAGS_ONE);
	wrmsr(MSR_IA32_PAT, OTHER_PAT);
	exit = enter_reading_pat(0);
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, 0);
	wrmsr(MSR_IA32_PAT, pat);
	exit = enter_reading_pat(RFLAGS_ONE);
	expect_exit(&exit, REASON_vmcall);
	if (l2.gpr[RAX] != (u32)pat || OTHER_PAT == pat)
		wrong("L2 must read L1's PAT");
	observe("rax=%lx", l2.gpr[RAX]);
	case_end();
}

/* What an exit has saved stays, though L2 was to begin with another PAT: that entry fails. */
static void saved_pat(void)
{
	const u64 pat = rdmsr(MSR_IA32_PAT);
	struct l2_exit exit;

	case_begin("pat.saved_before_failure");
	vmcs_make(l2_read_pat);
	controls_clear(ENTRY_CTLS, ENTRY_load_ia32_pat);
	controls_clear(EXIT_CTLS, EXIT_load_ia32_pat);
	controls_set(EXIT_CTLS, EXIT_save_ia32_pat);
	controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)no_msr_exits);
	for (unsigned i = 0; i < 3; i++)
		enter_reading_pat(RFLAGS_ONE);
	wrmsr(MSR_IA32_PAT, OTHER_PAT);
	exit = enter_reading_pat(0);
	wrmsr(MSR_IA32_PAT, pat);
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, 0);
	observe("saved=%lx", vmread(ENC_guest_ia32_pat));
	if (vmread(ENC_guest_ia32_pat) != pat)
		wrong("an entry that fails must not change guest state");
	case_end();
}

void group(void)
{
	vmx_start();
	inherited_pat();
	saved_pat();
	masks();
	clts_clears();
	other_registers();
	lmsw_qualification();
	if (!has_controls(PROC_CTLS, PROC_use_tpr_shadow))
		return;
	tpr();
	tpr_read();
}
