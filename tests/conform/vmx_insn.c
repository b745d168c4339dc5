/* vmx_insn: the VMX instructions in every state, operand form and error; SDM "VMX Instruction Reference". */
#include "insn.h"
#include "tests/conform/lib/l2.h"
#include "tests/conform/lib/scratch.h"
#include "string.h"

/* What a case must end in. */
enum outcome_kind { SUCCEEDS, FAILS_INVALID, FAILS_VALID, FAULTS };
struct expected {
	enum outcome_kind kind;
	int number; /* VM-instruction error, or vector */
};
#define SUCCESS { SUCCEEDS, 0 }
#define FAIL_INVALID { FAILS_INVALID, 0 }
#define FAIL(n) { FAILS_VALID, VMERR_##n }
#define FAULT(v) { FAULTS, VECTOR_##v }

static u64 cell[4] __attribute__((aligned(64))); /* memory operands point to cell[1] */
static u64 region_a, region_b, region_vmxon, unaligned, beyond_width, wrong_revision, shadow_revision, no_pointer;

static bool has_current(void)
{
	return vmptrst() != VMCS_NO_POINTER;
}

/* SDM "Conventions": each outcome defines all six flags; a fault changes none. */
static bool flags_fit(u64 rflags, enum outcome_kind kind)
{
	static const u64 flags[] = { [FAILS_INVALID] = RFLAGS_CF, [FAILS_VALID] = RFLAGS_ZF,
				     [FAULTS] = RFLAGS_VMX_OUTCOME };

	return (rflags & RFLAGS_VMX_OUTCOME) == flags[kind];
}

static void judge(const struct probe_result *result, bool in_vmx, struct expected expected)
{
	u32 error = in_vmx && has_current() ? (u32)vmread(ENC_vm_instruction_error) : 0;

	observe_fault(result);
	observe_flags(result->rflags);
	observe("error=%u", error);
	if (expected.kind == FAULTS && result->vector != expected.number)
		wrong("vector %d is due", expected.number);
	else if (expected.kind != FAULTS && result->vector != PROBE_NO_FAULT)
		wrong("no fault is due");
	else if (!flags_fit(result->rflags, expected.kind))
		wrong("the flags do not say so");
	else if (expected.kind == FAILS_VALID && error != (u32)expected.number)
		wrong("VM-instruction error %d is due", expected.number);
}

/* All instructions, RAX pointing to their operand in memory. */
#define INSTRUCTIONS(X) \
	X(vmxon, "vmxon (%rax)", "vmxon (%eax)") \
	X(vmxoff, "vmxoff", "vmxoff") \
	X(vmclear, "vmclear (%rax)", "vmclear (%eax)") \
	X(vmptrld, "vmptrld (%rax)", "vmptrld (%eax)") \
	X(vmptrst, "vmptrst (%rax)", "vmptrst (%eax)") \
	X(vmread, "vmread %rbx, %rcx", "vmread %ebx, %ecx") \
	X(vmwrite, "vmwrite %rcx, %rbx", "vmwrite %ecx, %ebx") \
	X(vmlaunch, "vmlaunch", "vmlaunch") \
	X(vmresume, "vmresume", "vmresume") \
	X(invept, "invept (%rax), %rbx", "invept (%eax), %ebx") \
	X(invvpid, "invvpid (%rax), %rbx", "invvpid (%eax), %ebx") \
	X(vmcall, "vmcall", "vmcall") \
	X(vmfunc, "vmfunc", "vmfunc")
#define DEFINE_CODES(name, text64, text32) \
	CODE(code_##name, text64); \
	CODE32(code32_##name, text32);
INSTRUCTIONS(DEFINE_CODES)

enum instruction {
#define MEMBER(name, text64, text32) INSN_##name,
	INSTRUCTIONS(MEMBER)
	INSTRUCTION_COUNT
};

static const struct {
	const char *name;
	const u8 *code64, *code32;
} instructions[] = {
#define ROW(name, text64, text32) { #name, code_##name, code32_##name },
	INSTRUCTIONS(ROW)
};

static void set_operand(u64 value)
{
	memset(cell, 0, sizeof(cell));
	cell[1] = value;
	probe_registers_reset();
	probe_frame.rax = (u64)&cell[1];
}

/* Each instruction in one state of the CPU. The exceptions to the rule are VMXON and VMFUNC. */
static void all_instructions(const char *state, enum probe_selector cs, bool in_vmx, struct expected rule,
			     struct expected of_vmxon)
{
	for (unsigned i = 0; i < INSTRUCTION_COUNT; i++) {
		bool wide = cs == SEL_CODE64 || cs == SEL_USER_CODE64;
		struct probe_result result;
		struct expected expected = rule;

		if (i == INSN_vmxon)
			expected = of_vmxon;
		if (i == INSN_vmfunc)
			expected = (struct expected)FAULT(UD);
		set_operand(region_vmxon);
		case_begin("%s.%s", state, instructions[i].name);
		result = probe_in(cs, wide ? instructions[i].code64 : instructions[i].code32);
		judge(&result, in_vmx, expected);
		case_end();
	}
}

static void outside_vmx(void)
{
	const struct expected ud = FAULT(UD), gp = FAULT(GP);

	/* "IF not in VMX operation THEN #UD" comes first in each but VMXON, which asks for CR4.VMXE first. */
	all_instructions("vmxe_clear", SEL_CODE64, false, ud, ud);
	all_instructions("vmxe_clear.cpl3", SEL_USER_CODE64, false, ud, ud);
	/* SDM "VMXON": with IA32_FEATURE_CONTROL unlocked #GP(0). */
	write_cr4(read_cr4() | CR4_VMXE);
	if (!(rdmsr(MSR_IA32_FEATURE_CONTROL) & FEATURE_CONTROL_LOCK))
		all_instructions("unlocked", SEL_CODE64, false, ud, gp);
	vmx_enable();
	all_instructions("outside.cpl3", SEL_USER_CODE64, false, ud, gp);
	/* "(IA32_EFER.LMA = 1 and CS.L = 0) THEN #UD" */
	all_instructions("outside.compatibility", SEL_CODE32, false, ud, ud);
	all_instructions("outside.compatibility.cpl3", SEL_USER_CODE32, false, ud, ud);
}

struct pointer_case {
	const char *name;
	const u64 *pointer;
	struct expected expected;
};

static void pointer_cases(const char *instruction, const u8 *code, bool in_vmx, const struct pointer_case *row,
			  unsigned rows)
{
	for (; rows--; row++) {
		struct probe_result result;

		set_operand(*row->pointer);
		case_begin("%s.%s", instruction, row->name);
		result = probe(code);
		judge(&result, in_vmx, row->expected);
		observe("current=%lx", in_vmx ? vmptrst() : 0);
		case_end();
	}
}
#define POINTER_CASES(instruction, code, in_vmx, rows) \
	pointer_cases(instruction, code, in_vmx, rows, ARRAY_SIZE(rows))

/* SDM "VMXON": a bad pointer or revision is VMfailInvalid; bits that VMX fixes are #GP before that. */
static void vmxon_operands(void)
{
	static const struct pointer_case rows[] = {
		{ "unaligned", &unaligned, FAIL_INVALID },
		{ "beyond_width", &beyond_width, FAIL_INVALID },
		{ "no_pointer", &no_pointer, FAIL_INVALID },
		{ "wrong_revision", &wrong_revision, FAIL_INVALID },
		{ "shadow_revision", &shadow_revision, FAIL_INVALID },
	};
	static const struct pointer_case fixed[] = { { "cr0_ne_clear", &region_vmxon, FAULT(GP) } };

	POINTER_CASES("vmxon", code_vmxon, false, rows);
	write_cr0(read_cr0() & ~CR0_NE);
	POINTER_CASES("vmxon", code_vmxon, false, fixed);
	write_cr0(read_cr0() | CR0_NE);
}

static void vmxon_succeeds(void)
{
	static const struct pointer_case first[] = { { "good", &region_vmxon, SUCCESS } };
	/* SDM "VMXON": in VMX root operation VMfail(15), which without a current VMCS is VMfailInvalid. */
	static const struct pointer_case again[] = {
		{ "again", &region_vmxon, FAIL_INVALID },
		{ "again_unaligned", &unaligned, FAIL_INVALID },
	};

	POINTER_CASES("vmxon", code_vmxon, true, first);
	POINTER_CASES("vmxon", code_vmxon, true, again);
}

/* With no current VMCS all that need one, and all that fail, are VMfailInvalid; SDM "Conventions". */
static void without_current(void)
{
	static const u8 failing[] = { INSN_vmread, INSN_vmwrite, INSN_vmlaunch, INSN_vmresume,
					INSN_invept, INSN_invvpid,
				      INSN_vmcall };
	static const struct pointer_case bad[] = {
		{ "no_current.unaligned", &unaligned, FAIL_INVALID },
		{ "no_current.beyond_width", &beyond_width, FAIL_INVALID },
		{ "no_current.vmxon_pointer", &region_vmxon, FAIL_INVALID },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(failing); i++) {
		struct probe_result result;

		set_operand(0);
		probe_frame.rbx = failing[i] == INSN_invept || failing[i] == INSN_invvpid ? ~0ull : ENC_guest_rip;
		case_begin("no_current.%s", instructions[failing[i]].name);
		result = probe(instructions[failing[i]].code64);
		judge(&result, true, (struct expected)FAIL_INVALID);
		case_end();
	}
	set_operand(0);
	case_begin("no_current.vmptrst");
	struct probe_result result = probe(code_vmptrst);
	judge(&result, true, (struct expected)SUCCESS);
	observe("stored=%lx", cell[1]);
	if (cell[1] != VMCS_NO_POINTER)
		wrong("VMPTRST stores all ones");
	case_end();
	POINTER_CASES("vmclear", code_vmclear, true, bad);
	POINTER_CASES("vmptrld", code_vmptrld, true, bad);
}

/* SDM "VMPTRLD" and "VMCLEAR", in the order of their tests. */
static void pointers(void)
{
	static const struct pointer_case load[] = {
		{ "good", &region_a, SUCCESS },
		{ "again", &region_a, SUCCESS },
		{ "unaligned", &unaligned, FAIL(vmptrld_invalid_address) },
		{ "beyond_width", &beyond_width, FAIL(vmptrld_invalid_address) },
		{ "no_pointer", &no_pointer, FAIL(vmptrld_invalid_address) },
		{ "vmxon_pointer", &region_vmxon, FAIL(vmptrld_vmxon_pointer) },
		{ "wrong_revision", &wrong_revision, FAIL(vmptrld_incorrect_revision) },
		{ "other", &region_b, SUCCESS },
	};
	static const struct pointer_case clear[] = {
		{ "unaligned", &unaligned, FAIL(vmclear_invalid_address) },
		{ "beyond_width", &beyond_width, FAIL(vmclear_invalid_address) },
		{ "no_pointer", &no_pointer, FAIL(vmclear_invalid_address) },
		{ "vmxon_pointer", &region_vmxon, FAIL(vmclear_vmxon_pointer) },
		/* Not a word of the revision in its operation */
		{ "wrong_revision", &wrong_revision, SUCCESS },
		{ "other", &region_a, SUCCESS },
		{ "current", &region_b, SUCCESS },
	};
	static const struct pointer_case vmxon_again[] = {
		{ "again_with_current", &region_vmxon, FAIL(vmxon_in_root) },
	};
	static const struct pointer_case reload[] = { { "after_clear", &region_a, SUCCESS } };

	POINTER_CASES("vmptrld", code_vmptrld, true, load);
	POINTER_CASES("vmxon", code_vmxon, true, vmxon_again);
	POINTER_CASES("vmclear", code_vmclear, true, clear);
	POINTER_CASES("vmptrld", code_vmptrld, true, reload);
}

/* SDM "VMPTRLD": bit 31 marks a shadow VMCS, which only a CPU with VMCS shadowing takes. */
static void shadow_vmcs(void)
{
	struct probe_result result;

	set_operand(shadow_revision);
	case_begin("vmptrld.shadow_revision");
	result = probe(code_vmptrld);
	if (has_controls(PROC2_CTLS, PROC2_vmcs_shadowing))
		judge(&result, true, (struct expected)SUCCESS);
	else
		judge(&result, true, (struct expected)FAIL(vmptrld_incorrect_revision));
	case_end();
	vmclear(shadow_revision);
	vmptrld(region_a);
}

static void inside_vmx(void)
{
	const struct expected ud = FAULT(UD), gp = FAULT(GP);

	all_instructions("root.cpl3", SEL_USER_CODE64, true, gp, gp);
	all_instructions("root.compatibility", SEL_CODE32, true, ud, ud);
	all_instructions("root.compatibility.cpl3", SEL_USER_CODE32, true, ud, ud);
}

/* SDM "VMRESUME", "VMFUNC": errors of what needs no operand. */
static void without_operand(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		struct expected expected;
	} rows[] = {
		{ "root.vmresume_of_clear", code_vmresume, FAIL(vmresume_nonlaunched_vmcs) },
		{ "root.vmfunc", code_vmfunc, FAULT(UD) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct probe_result result;

		set_operand(0);
		case_begin("%s", rows[i].name);
		result = probe(rows[i].code);
		judge(&result, true, rows[i].expected);
		case_end();
	}
}

/* SDM "VM Entries", the basic checks: VMLAUNCH takes a clear VMCS, and not in the shadow of MOV SS. */
CODE(code_mov_ss_vmlaunch, "mov %ss, %ecx\nmov %ecx, %ss\nvmlaunch");
L2_CODE(l2_nothing, "");

static void launch_states(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		struct expected expected;
	} rows[] = {
		/* The emulated CPU reports 19, as if it had a dual monitor; of a clear VMCS it knows no answer. */
		{ "root.vmcall", code_vmcall, FAIL(vmcall_in_root) },
		{ "launch.vmlaunch_of_launched", code_vmlaunch, FAIL(vmlaunch_nonclear_vmcs) },
		{ "launch.vmlaunch_after_mov_ss", code_mov_ss_vmlaunch, FAIL(entry_events_blocked_by_mov_ss) },
	};
	struct l2_exit exit;

	vmcs_make(l2_nothing);
	exit = l2_case_begin("launch.first");
	expect_exit(&exit, REASON_vmcall);
	case_end();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct probe_result result;

		set_operand(0);
		case_begin("%s", rows[i].name);
		result = probe(rows[i].code);
		judge(&result, true, rows[i].expected);
		case_end();
	}
	vmwrite(ENC_guest_rip, (u64)l2_nothing);
	exit = l2_case_begin("launch.resume");
	expect_exit(&exit, REASON_vmcall);
	case_end();
}

/*
 * Operand forms. Every base register holds the address of cell[1], RCX is 3, R15 is 5, FS and GS have bases: whatever
 * the form, the operand is cell[1]. SDM "Format of the VM-Exit Instruction-Information Field".
 */
#define FS_BASE 0x12340
#define GS_BASE 0x55550
#define FORMS(X) \
	X(rax, "(%rax)") X(rdx, "(%rdx)") X(rsi, "(%rsi)") X(rdi, "(%rdi)") X(rbp, "(%rbp)") X(rsp, "(%rsp)") \
	X(r8, "(%r8)") X(r9, "(%r9)") X(r10, "(%r10)") X(r11, "(%r11)") X(r12, "(%r12)") X(r13, "(%r13)") \
	X(r14, "(%r14)") X(disp8, "-3(%rax,%rcx)") X(scale2, "-6(%rax,%rcx,2)") X(scale4, "-12(%rax,%rcx,4)") \
	X(scale8, "-24(%rax,%rcx,8)") X(disp32, "-0x12340+0x12340(%rax)") X(negative, "-40(%rbp,%r15,8)") \
	X(r13_r15, "-20(%r13,%r15,4)") X(rsp_rcx, "-24(%rsp,%rcx,8)") X(r12_r15, "-5(%r12,%r15)") \
	X(index_only, "cell+8-40(,%r15,8)") X(absolute, "cell+8") X(rip_relative, "cell+8(%rip)") \
	X(fs, "%fs:-0x12340(%rax)") X(gs, "%gs:-0x55550(%rax)") X(fs_scaled, "%fs:-0x12340-24(%rax,%rcx,8)") \
	X(es, "%es:(%rax)") X(cs, "%cs:(%rax)") X(ss, "%ss:(%rax)") X(ds_rsp, "%ds:(%rsp)") \
	X(address32, "(%eax)") X(address32_scaled, "-12(%eax,%ecx,4)") X(address32_r9d, "-20(%r9d,%r15d,4)") \
	X(address32_fs, "%fs:-0x12340(%eax)")
#define DEFINE_FORMS(name, text) \
	CODE(read_##name, "vmread %rbx, " text); \
	CODE(write_##name, "vmwrite " text ", %rbx"); \
	CODE(store_##name, "vmptrst " text); \
	CODE(load_##name, "vmptrld " text); \
	CODE(invept_##name, "invept " text ", %rbx");
FORMS(DEFINE_FORMS)

static const struct {
	const char *name;
	const u8 *read, *write, *store, *load, *invept;
} forms[] = {
#define FORM_ROW(name, text) { #name, read_##name, write_##name, store_##name, load_##name, invept_##name },
	FORMS(FORM_ROW)
};

static void set_form_registers(u64 rbx)
{
	u64 at = (u64)&cell[1];

	probe_registers_reset();
	probe_frame = (struct probe_frame){
		.rax = at, .rdx = at, .rsi = at, .rdi = at, .rbp = at, .rsp = at,
		.r8 = at, .r9 = at, .r10 = at, .r11 = at,
		.r12 = at, .r13 = at, .r14 = at, .rcx = 3, .r15 = 5, .rbx = rbx, .rflags = FLAGS_ALL,
	};
}

static void form_case(const char *instruction, const char *form, const u8 *code, u64 rbx, u64 operand)
{
	struct probe_result result;

	memset(cell, 0x5a, sizeof(cell));
	cell[1] = operand;
	set_form_registers(rbx);
	case_begin("%s.form.%s", instruction, form);
	result = probe(code);
	judge(&result, true, (struct expected)SUCCESS);
	observe("cell=%lx %lx %lx current=%lx field=%lx", cell[0], cell[1], cell[2], vmptrst(), vmread(ENC_guest_rip));
	case_end();
}

static void operand_forms(void)
{
	wrmsr(MSR_IA32_FS_BASE, FS_BASE);
	wrmsr(MSR_IA32_GS_BASE, GS_BASE);
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		vmwrite(ENC_guest_rip, 0x1122334455667788 + i);
		form_case("vmread", forms[i].name, forms[i].read, ENC_guest_rip, 0);
		form_case("vmwrite", forms[i].name, forms[i].write, ENC_guest_rip, 0xfedcba9876543210 - i);
		form_case("vmptrst", forms[i].name, forms[i].store, 0, 0);
		form_case("vmptrld", forms[i].name, forms[i].load, 0, i % 2 ? region_a : region_b);
		cell[2] = 0;
		if (has_controls(PROC2_CTLS, PROC2_enable_ept))
			form_case("invept", forms[i].name, forms[i].invept, INVEPT_global, 0);
	}
	wrmsr(MSR_IA32_FS_BASE, 0);
	wrmsr(MSR_IA32_GS_BASE, 0);
}

/* Each register as the encoding, as the source and as the destination; SDM's REX bits of VMREAD and VMWRITE. */
#define REGISTERS(X) \
	X(rax) X(rcx) X(rdx) X(rbx) X(rsp) X(rbp) X(rsi) X(rdi) X(r8) X(r9) X(r10) X(r11) X(r12) X(r13) X(r14) X(r15)
#define DEFINE_REGISTERS(name) \
	CODE(read_to_##name, "mov $0x681e, %ebx\nmov $-1, %" #name "\nmov $0x681e, %ebx\n" \
	     "vmread %rbx, %" #name "\nmov %" #name \
	     ", cell"); \
	CODE(read_by_##name, "mov $0x681e, %" #name "\nvmread %" #name ", %rax\nmov %rax, cell"); \
	CODE(write_from_##name, "mov $0x12345, %" #name "\nmov $0x681e, %ecx\nvmwrite %" #name ", %rcx"); \
	CODE(write_by_##name, "mov $0x681e, %" #name "\nvmwrite %rdx, %" #name);
REGISTERS(DEFINE_REGISTERS)

static const struct {
	const char *name;
	const u8 *code;
} register_codes[] = {
#define REGISTER_ROWS(name) \
	{ "vmread.to." #name, read_to_##name }, { "vmread.by." #name, read_by_##name }, \
	{ "vmwrite.from." #name, write_from_##name }, { "vmwrite.by." #name, write_by_##name },
	REGISTERS(REGISTER_ROWS)
};

static void register_forms(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(register_codes); i++) {
		struct probe_result result;

		vmwrite(ENC_guest_rip, 0xa5a5000000001111 + i);
		probe_registers_reset();
		probe_frame.rdx = 0x777;
		cell[0] = 0;
		case_begin("%s", register_codes[i].name);
		result = probe(register_codes[i].code);
		observe_fault(&result);
		observe_flags(result.rflags);
		observe("read=%lx field=%lx rax=%lx", cell[0], vmread(ENC_guest_rip), probe_frame.rax);
		case_end();
	}
}

CODE(vmread_memory, "vmread %rbx, (%rax)");
CODE(vmwrite_memory, "vmwrite (%rax), %rbx");
CODE(vmptrst_stack, "vmptrst (%rsp)");
CODE(vmptrld_frame, "vmptrld (%rbp)");
CODE(vmread_stack, "vmread %rbx, 8(%rsp)");

#define NON_CANONICAL BIT(47)
#define LAST_CANONICAL (BIT(47) - 4)

/* An operand in memory that faults, whole or in part. */
struct memory_case {
	const char *name;
	u64 offset;
	u64 set, clear; /* in the entry of scratch page 1 */
	struct expected read, written;
};

static void observe_scratch(void)
{
	u64 at_end, at_start;

	memcpy(&at_end, (u8 *)scratch_memory(0) + PAGE_SIZE - sizeof(u64), sizeof(u64));
	memcpy(&at_start, scratch_memory(1), sizeof(u64));
	observe("pages=%s,%s memory=%lx,%lx", scratch_accessed_dirty(0), scratch_accessed_dirty(1), at_end, at_start);
}

static void memory_case(const char *instruction, const struct memory_case *row, const u8 *code, u64 rbx,
			struct expected expected)
{
	struct probe_result result;

	scratch_change(0, 0, PTE_ACCESSED | PTE_DIRTY);
	scratch_change(1, PTE_PRESENT | PTE_WRITE, PTE_ACCESSED | PTE_DIRTY | PTE_NX | BIT(50));
	scratch_change(1, row->set, row->clear);
	memset((u8 *)scratch_memory(0) + PAGE_SIZE - 16, 0, 16);
	memset(scratch_memory(1), 0, 16);
	vmwrite(ENC_guest_rip, 0x0123456789abcdef);
	probe_registers_reset();
	probe_frame.rax = scratch(0) + row->offset;
	probe_frame.rbx = rbx;
	case_begin("%s.memory.%s", instruction, row->name);
	result = probe(code);
	observe_scratch();
	observe("field=%lx", vmread(ENC_guest_rip));
	judge(&result, true, expected);
	case_end();
}

/* SDM "VMREAD", "64-Bit Mode Exceptions": #PF for a page; the first page of the two that faults is told of. */
static void faulting_memory(void)
{
	static const struct memory_case rows[] = {
		{ "whole", PAGE_SIZE, 0, 0, SUCCESS, SUCCESS },
		{ "crossing", PAGE_SIZE - 4, 0, 0, SUCCESS, SUCCESS },
		{ "not_present", PAGE_SIZE, 0, PTE_PRESENT, FAULT(PF), FAULT(PF) },
		{ "crossing_not_present", PAGE_SIZE - 3, 0, PTE_PRESENT, FAULT(PF), FAULT(PF) },
		{ "before_not_present", PAGE_SIZE - 8, 0, PTE_PRESENT, SUCCESS, SUCCESS },
		{ "reserved_bit", PAGE_SIZE, BIT(50), 0, FAULT(PF), FAULT(PF) },
		{ "read_only", PAGE_SIZE + 8, 0, PTE_WRITE, SUCCESS, SUCCESS },
		{ "user_page", PAGE_SIZE + 8, PTE_USER, 0, SUCCESS, SUCCESS },
	};
	static const struct memory_case protected[] = {
		{ "read_only_wp", PAGE_SIZE + 8, 0, PTE_WRITE, SUCCESS, FAULT(PF) },
		{ "crossing_read_only_wp", PAGE_SIZE - 4, 0, PTE_WRITE, SUCCESS, FAULT(PF) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		memory_case("vmread", &rows[i], vmread_memory, ENC_guest_rip, rows[i].written);
		memory_case("vmwrite", &rows[i], vmwrite_memory, ENC_guest_rip, rows[i].read);
		memory_case("vmptrst", &rows[i], code_vmptrst, 0, rows[i].written);
	}
	write_cr0(read_cr0() | CR0_WP);
	for (unsigned i = 0; i < ARRAY_SIZE(protected); i++) {
		memory_case("vmread", &protected[i], vmread_memory, ENC_guest_rip, protected[i].written);
		memory_case("vmwrite", &protected[i], vmwrite_memory, ENC_guest_rip, protected[i].read);
		memory_case("vmptrst", &protected[i], code_vmptrst, 0, protected[i].written);
	}
	write_cr0(read_cr0() & ~CR0_WP);
}

static const char *current_region(void)
{
	return vmptrst() == region_a ? "a" : "b";
}

static void moving_case(const char *name, struct expected expected)
{
	struct probe_result result;

	probe_registers_reset();
	probe_frame.rax = scratch(2) + 8;
	case_begin("vmptrld.moving.%s", name);
	result = probe(code_vmptrld);
	observe("current=%s page=%s", current_region(), scratch_accessed_dirty(2));
	judge(&result, true, expected);
	case_end();
}

/* One operand again and again, while its page, what is on it and the entry for it change. */
static void moving_operand(void)
{
	const struct expected success = SUCCESS, page_fault = FAULT(PF);
	u64 page2 = (u64)scratch_memory(2), page3 = (u64)scratch_memory(3);

	((u64 *)page2)[1] = region_a;
	((u64 *)page3)[1] = region_b;
	moving_case("first", success);
	moving_case("again", success);
	scratch_change(2, page3, page2);
	moving_case("elsewhere", success);
	scratch_change(2, page2, page3);
	moving_case("back", success);
	scratch_change(2, 0, PTE_ACCESSED);
	moving_case("not_accessed", success);
	scratch_change(2, 0, PTE_PRESENT);
	moving_case("not_present", page_fault);
	scratch_change(2, PTE_PRESENT | BIT(50), 0);
	moving_case("reserved_bit", page_fault);
	scratch_change(2, 0, BIT(50));
	((u64 *)page2)[1] = region_b;
	moving_case("other_pointer", success);
	((u64 *)page2)[1] = region_a;
	moving_case("last", success);
}

/* SDM "64-Bit Mode Exceptions": not canonical is #GP(0), through RSP or RBP #SS(0); for the last byte, too. */
static void non_canonical(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u64 address;
		struct expected expected;
	} rows[] = {
		{ "vmread.non_canonical", vmread_memory, NON_CANONICAL, FAULT(GP) },
		{ "vmread.non_canonical_end", vmread_memory, LAST_CANONICAL, FAULT(GP) },
		{ "vmwrite.non_canonical", vmwrite_memory, NON_CANONICAL, FAULT(GP) },
		{ "vmclear.non_canonical", code_vmclear, NON_CANONICAL, FAULT(GP) },
		{ "vmptrld.non_canonical", code_vmptrld, NON_CANONICAL, FAULT(GP) },
		{ "vmptrst.non_canonical", code_vmptrst, NON_CANONICAL, FAULT(GP) },
		{ "invept.non_canonical", code_invept, NON_CANONICAL, FAULT(GP) },
		{ "invvpid.non_canonical", code_invvpid, NON_CANONICAL, FAULT(GP) },
		{ "vmxon.non_canonical", code_vmxon, NON_CANONICAL, FAIL(vmxon_in_root) },
		{ "vmptrst.stack_non_canonical", vmptrst_stack, NON_CANONICAL, FAULT(SS) },
		{ "vmptrld.frame_non_canonical", vmptrld_frame, NON_CANONICAL, FAULT(SS) },
		{ "vmread.stack_non_canonical", vmread_stack, NON_CANONICAL, FAULT(SS) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct probe_result result;

		probe_registers_reset();
		probe_frame.rax = probe_frame.rsp = probe_frame.rbp = rows[i].address;
		probe_frame.rbx = rows[i].code == vmread_memory || rows[i].code == vmwrite_memory ||
				  rows[i].code == vmread_stack ? ENC_guest_rip : INVEPT_global;
		case_begin("%s", rows[i].name);
		result = probe(rows[i].code);
		judge(&result, true, rows[i].expected);
		case_end();
	}
}

/* SDM "VMREAD" and "VMWRITE": VMfail(12) for what is no field, VMfail(13) for read-only fields where they are. */
static void encodings(void)
{
	static const struct {
		const char *name;
		u64 encoding;
		bool supported;
	} rows[] = {
		{ "rip", ENC_guest_rip, true }, { "beyond", 0xffff, false }, { "reserved_12", 0x681e | BIT(12), false },
		{ "reserved_15", 0x681e | BIT(15), false }, { "reserved_31", 0x681e | BIT(31), false },
		{ "reserved_32", 0x681e | BIT(32), false }, { "reserved_63", 0x681e | BIT(63), false },
		{ "high_of_16", 0x0801, false }, { "high_of_32", 0x4001, false }, { "high_of_natural", 0x681f, false },
		{ "high_of_64", 0x2801, true }, { "all_ones", ~0ull, false }, { "index_511", 0x6bfe, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned write = 0; write < 2; write++) {
			const struct expected unsupported = FAIL(unsupported_vmcs_component), success = SUCCESS;
			struct probe_result result;

			probe_registers_reset();
			probe_frame.rbx = rows[i].encoding;
			probe_frame.rcx = 0xffffffffffffffff;
			case_begin("%s.encoding.%s", write ? "vmwrite" : "vmread", rows[i].name);
			result = probe(write ? code_vmwrite : code_vmread);
			judge(&result, true, rows[i].supported ? success : unsupported);
			observe("rcx=%lx", probe_frame.rcx);
			case_end();
		}
}

static void read_only_field(void)
{
	bool any = rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ANY;
	const struct expected refused = FAIL(vmwrite_read_only_component), success = SUCCESS;
	struct probe_result result;

	probe_registers_reset();
	probe_frame.rbx = ENC_exit_reason;
	probe_frame.rcx = 0x1234;
	case_begin("vmwrite.read_only");
	result = probe(code_vmwrite);
	judge(&result, true, any ? success : refused);
	observe("field=%lx", vmread(ENC_exit_reason));
	case_end();
}

/* SDM "VMREAD": its destination is not touched when it fails, so a bad address does not fault, either. */
static void failing_with_bad_memory(void)
{
	struct probe_result result;

	probe_registers_reset();
	probe_frame.rax = NON_CANONICAL;
	probe_frame.rbx = 0xffff;
	case_begin("vmread.unsupported_to_non_canonical");
	result = probe(vmread_memory);
	judge(&result, true, (struct expected)FAIL(unsupported_vmcs_component));
	case_end();
}

struct invalidation_case {
	const char *name;
	u64 type, low, high;
	struct expected expected;
};

static void invalidation_cases(const char *instruction, const u8 *code, const struct invalidation_case *row,
			       unsigned rows)
{
	for (; rows--; row++) {
		struct probe_result result;

		set_operand(row->low);
		cell[2] = row->high;
		probe_frame.rbx = row->type;
		case_begin("%s.%s", instruction, row->name);
		result = probe(code);
		judge(&result, true, row->expected);
		case_end();
	}
}

#define BAD FAIL(invalid_operand_to_invept_invvpid)
/* SDM "INVEPT": the type, then an EPTP that a VM entry would take. */
static void invept_operands(void)
{
	u64 eptp = l2_eptp();
	const struct invalidation_case rows[] = {
		{ "single", INVEPT_single_context, eptp, 0, SUCCESS },
		{ "global", INVEPT_global, 0, 0, SUCCESS },
		{ "global_bad_eptp", INVEPT_global, ~0ull, 0, SUCCESS },
		{ "type_0", 0, eptp, 0, BAD },
		{ "type_3", 3, eptp, 0, BAD },
		{ "type_high", BIT(32) | INVEPT_global, eptp, 0, BAD },
		{ "single_walk_length", INVEPT_single_context, eptp & ~0x38ull, 0, BAD },
		{ "single_memory_type", INVEPT_single_context, (eptp & ~7ull) | 1, 0, BAD },
		{ "single_reserved", INVEPT_single_context, eptp | BIT(11), 0, BAD },
		{ "single_beyond_width", INVEPT_single_context, eptp | BIT(51), 0, BAD },
	};

	invalidation_cases("invept", code_invept, rows, ARRAY_SIZE(rows));
}

/* SDM "INVVPID": the type, reserved bits, VPID 0, a canonical address for the individual type alone. */
static void invvpid_operands(void)
{
	static const struct invalidation_case rows[] = {
		{ "individual", INVVPID_individual_address, 5, 0x1000, SUCCESS },
		{ "individual_vpid_0", INVVPID_individual_address, 0, 0x1000, BAD },
		{ "individual_non_canonical", INVVPID_individual_address, 5, NON_CANONICAL, BAD },
		{ "single", INVVPID_single_context, 5, 0, SUCCESS },
		{ "single_non_canonical", INVVPID_single_context, 5, NON_CANONICAL, SUCCESS },
		{ "single_vpid_0", INVVPID_single_context, 0, 0, BAD },
		{ "all", INVVPID_all_contexts, 0, 0, SUCCESS },
		{ "all_reserved", INVVPID_all_contexts, BIT(16), 0, BAD },
		{ "retaining_globals", INVVPID_single_context_retaining_globals, 5, 0, SUCCESS },
		{ "retaining_globals_vpid_0", INVVPID_single_context_retaining_globals, 0, 0, BAD },
		{ "individual_reserved", INVVPID_individual_address, BIT(63) | 5, 0, BAD },
		{ "type_4", 4, 5, 0, BAD },
		{ "type_high", BIT(32) | INVVPID_all_contexts, 5, 0, BAD },
	};

	invalidation_cases("invvpid", code_invvpid, rows, ARRAY_SIZE(rows));
}

CODE(code_lmsw, "lmsw %ax");
CODE(code_clts, "clts");
CODE(code_to_cr0, "mov %rax, %cr0");
CODE(code_to_cr4, "mov %rax, %cr4");

/* SDM "Restrictions on VMX Operation": a fixed bit cannot be changed; #GP(0), and nothing else has changed. */
static void fixed_bits(void)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4();
	const struct {
		const char *name;
		const u8 *code;
		u64 value;
		int vector;
	} rows[] = {
		{ "cr0.ne_clear", code_to_cr0, cr0 & ~CR0_NE, VECTOR_GP },
		{ "cr0.ne_clear_ts_set", code_to_cr0, (cr0 & ~CR0_NE) | CR0_TS, VECTOR_GP },
		{ "cr0.pg_clear", code_to_cr0, cr0 & ~CR0_PG, VECTOR_GP },
		{ "cr0.pe_pg_clear", code_to_cr0, cr0 & ~(CR0_PG | CR0_PE), VECTOR_GP },
		{ "cr0.nw_without_cd", code_to_cr0, cr0 | CR0_NW, VECTOR_GP },
		{ "cr0.high", code_to_cr0, cr0 | BIT(32), VECTOR_GP },
		{ "cr0.reserved_low", code_to_cr0, cr0 | BIT(6), PROBE_NO_FAULT },
		{ "cr0.et_clear", code_to_cr0, cr0 & ~CR0_ET, PROBE_NO_FAULT },
		{ "cr0.ts_set", code_to_cr0, cr0 | CR0_TS, PROBE_NO_FAULT },
		{ "cr0.clts", code_clts, 0, PROBE_NO_FAULT },
		{ "cr0.lmsw_all", code_lmsw, 0xf, PROBE_NO_FAULT },
		{ "cr0.lmsw_none", code_lmsw, 0, PROBE_NO_FAULT },
		{ "cr0.same", code_to_cr0, cr0, PROBE_NO_FAULT },
		{ "cr4.vmxe_clear", code_to_cr4, cr4 & ~CR4_VMXE, VECTOR_GP },
		{ "cr4.vmxe_clear_de_set", code_to_cr4, (cr4 & ~CR4_VMXE) | CR4_DE, VECTOR_GP },
		{ "cr4.pae_clear", code_to_cr4, cr4 & ~CR4_PAE, VECTOR_GP },
		{ "cr4.vmxe_pae_clear", code_to_cr4, cr4 & ~(CR4_PAE | CR4_VMXE), VECTOR_GP },
		{ "cr4.reserved", code_to_cr4, cr4 | BIT(15), VECTOR_GP },
		{ "cr4.high", code_to_cr4, cr4 | BIT(33), VECTOR_GP },
		{ "cr4.de_set", code_to_cr4, cr4 | CR4_DE, PROBE_NO_FAULT },
		{ "cr4.same", code_to_cr4, cr4, PROBE_NO_FAULT },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct probe_result result;

		probe_registers_reset();
		probe_frame.rax = rows[i].value;
		case_begin("fixed.%s", rows[i].name);
		result = probe(rows[i].code);
		observe_fault(&result);
		observe("cr0=%lx cr4=%lx", read_cr0(), read_cr4());
		if (result.vector != rows[i].vector)
			wrong("vector %d is due", rows[i].vector);
		case_end();
	}
}

/* SDM "VMXOFF": the end of VMX operation; CR4.VMXE can be cleared again. */
static void leave(void)
{
	struct probe_result result;

	set_operand(0);
	case_begin("vmxoff.good");
	result = probe(code_vmxoff);
	judge(&result, false, (struct expected)SUCCESS);
	case_end();
	all_instructions("after_vmxoff.cpl3", SEL_USER_CODE64, false, (struct expected)FAULT(UD),
			 (struct expected)FAULT(GP));
	case_begin("vmxoff.vmxe_clear");
	observe("vector=%d", try_write_cr4(read_cr4() & ~CR4_VMXE));
	observe("cr4=%lx", read_cr4());
	case_end();
}

static void name_pointers(void)
{
	struct vmcs_region_header *header;
	static u8 bad_regions[2][PAGE_SIZE] __attribute__((aligned(4096)));
	u32 revision = (u32)(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);

	region_a = (u64)vmx_region(REGION_A);
	region_b = (u64)vmx_region(REGION_B);
	region_vmxon = (u64)vmx_region(REGION_VMXON);
	unaligned = region_b + 0x10;
	beyond_width = BIT(cpuid(0x80000008, 0).eax & 0xff) | region_b;
	no_pointer = VMCS_NO_POINTER;
	wrong_revision = (u64)bad_regions[0];
	header = (struct vmcs_region_header *)bad_regions[0];
	header->revision = revision ^ 1;
	shadow_revision = (u64)bad_regions[1];
	header = (struct vmcs_region_header *)bad_regions[1];
	header->revision = (u32)(revision | VMCS_REVISION_SHADOW);
}

void group(void)
{
	scratch_init();
	name_pointers();
	outside_vmx();
	vmxon_operands();
	vmxon_succeeds();
	without_current();
	pointers();
	shadow_vmcs();
	inside_vmx();
	without_operand();
	launch_states();
	register_forms();
	operand_forms();
	faulting_memory();
	moving_operand();
	non_canonical();
	encodings();
	read_only_field();
	failing_with_bad_memory();
	invept_operands();
	invvpid_operands();
	fixed_bits();
	leave();
}
