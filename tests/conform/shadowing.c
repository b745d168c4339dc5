/*
 * shadowing: shadow VMCSs, and L2's VMREADs and VMWRITEs of them. SDM "VMCS Types: Ordinary and Shadow", "VMCS
 * Shadowing Bitmap Addresses", "Checks on Guest Non-Register State", "VMREAD", "VMWRITE".
 */
#include "ept.h"
#include "insn.h"
#include "string.h"
#include "tests/conform/lib/entry.h"
#include "tests/conform/lib/scratch.h"

#define MANY 24 /* shadow VMCSs: more than L0 keeps at a time */

static u8 shadows[MANY][PAGE_SIZE] __attribute__((aligned(4096)));
static u8 ordinary[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 vmread_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 vmwrite_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 wrong_shadow[PAGE_SIZE] __attribute__((aligned(4096)));
static u64 cell;

static const struct {
	const char *name;
	u32 encoding;
} fields[] = {
#define F(name, encoding, use, hot) { #name, encoding },
#include "vmcs_fields.def"
#undef F
};

#define PATTERN 0x0123456789abcdefull
#define FLAGS_SET "mov $0x8d5, %r15d\npush %r15\npopf\n" /* all six that tell an outcome, and bit 1 */
#define FLAGS_KEPT "\npushf\npop %r15"
L2_CODE(l2_read, FLAGS_SET "vmread %rax, %rbx" FLAGS_KEPT);
L2_CODE(l2_write, FLAGS_SET "vmwrite %rbx, %rax" FLAGS_KEPT);
L2_CODE(l2_read_memory, FLAGS_SET "vmread %rax, (%rsi)" FLAGS_KEPT);
L2_CODE(l2_write_memory, FLAGS_SET "vmwrite (%rsi), %rax" FLAGS_KEPT);
L2_CODE(l2_read_write, FLAGS_SET "vmwrite %rbx, %rax\nvmread %rax, %rcx" FLAGS_KEPT);
L2_CODE(l2_read_indexed, FLAGS_SET "vmread %r8, -8(%rsi,%rdi,4)" FLAGS_KEPT);
L2_CODE(l2_read_to_rsp, "mov %rsp, %r14\nvmread %rax, %rsp\nmov %rsp, %rcx\nmov %r14, %rsp");
L2_CODE(l2_write_from_rsp, "mov %rsp, %r14\nmov %rbx, %rsp\nvmwrite %rsp, %rax\nmov %r14, %rsp");
L2_CODE(l2_read_by_rsp, "mov %rsp, %r14\nmov %rax, %rsp\nvmread %rsp, %rbx\nmov %r14, %rsp");
L2_CODE(l2_end, "nop");
#define CODE32_TEXT(text) ".code32\n" text "\nvmcall\n.code64"
L2_CODE(l2_read32, CODE32_TEXT("vmread %eax, %ebx"));
L2_CODE(l2_write32, CODE32_TEXT("vmwrite %ebx, %eax"));
L2_CODE(l2_read_memory32, CODE32_TEXT("vmread %eax, (%esi)"));

static u32 revision(void)
{
	return (u32)(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
}

static void set_header(void *region, u32 value)
{
	memset(region, 0, PAGE_SIZE);
	((struct vmcs_region_header *)region)->revision = value;
}

static u64 shadow(unsigned number)
{
	return (u64)shadows[number];
}

static void make_shadow(unsigned number)
{
	vmclear(shadow(number));
	set_header(shadows[number], revision() | (u32)VMCS_REVISION_SHADOW);
	vmclear(shadow(number));
}

static void load(u64 region)
{
	if (vmptrld(region) != VMX_SUCCEED)
		give_up("VMPTRLD of %lx failed", region);
}

static void load_ordinary(void)
{
	load((u64)vmx_region(REGION_A));
}

/* Each field of the shadow VMCS has a value of its own; what the CPU lacks is left out. */
static u64 value_of(u32 encoding)
{
	return 0x0101010101010101ull * (encoding >> 1 & 0x7f) ^ (u64)encoding << 40 ^ encoding;
}

static void fill_shadow(unsigned number)
{
	load(shadow(number));
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		vmwrite_checked(fields[i].encoding, value_of(fields[i].encoding));
	load_ordinary();
}

static void trap(u8 *bitmap, u32 encoding)
{
	bitmap[encoding / 8] |= (u8)(1 << encoding % 8);
}

static void pass(u8 *bitmap, u32 encoding)
{
	bitmap[encoding / 8] &= (u8)~(1 << encoding % 8);
}

/* L2 with code, VMCS shadowing on, all of a new shadow VMCS open to it. */
static void guest(const u8 *code)
{
	vmcs_make(code);
	make_shadow(0);
	memset(vmread_bitmap, 0, PAGE_SIZE);
	memset(vmwrite_bitmap, 0, PAGE_SIZE);
	controls_set(PROC2_CTLS, PROC2_vmcs_shadowing);
	vmwrite(ENC_vmread_bitmap_address, (u64)vmread_bitmap);
	vmwrite(ENC_vmwrite_bitmap_address, (u64)vmwrite_bitmap);
	vmwrite(ENC_vmcs_link_pointer, shadow(0));
	cell = PATTERN;
	l2.gpr[RSI] = (u64)&cell;
}

static void observe_l2(void)
{
	observe("l2_flags=%lx rbx=%lx rcx=%lx cell=%lx error=%lu", l2.gpr[15], l2.gpr[RBX], l2.gpr[RCX], cell,
		vmread(ENC_vm_instruction_error));
}

/* One case: enter, tell the exit and what L2 saw. The reason that it must end with. */
static void run(enum exit_reason reason)
{
	struct l2_exit exit = l2_enter();

	observe_exit(&exit);
	expect_exit(&exit, reason);
	if (exit.outcome == VMX_SUCCEED)
		observe_l2();
}

static void run_case(const char *name, enum exit_reason reason)
{
	case_begin("%s", name);
	run(reason);
	case_end();
}

#define L2_FLAGS_CARRY 0x3ul
#define L2_FLAGS_ZERO 0x42ul
#define L2_FLAGS_NONE 0x2ul

static void expect_l2_flags(u64 flags)
{
	if (l2.gpr[15] != flags)
		wrong("L2's flags must be %lx", flags);
}

static u64 in_shadow(unsigned number, u32 encoding)
{
	enum vmx_outcome outcome;
	u64 value;

	load(shadow(number));
	outcome = vmread_checked(encoding, &value);
	load_ordinary();
	return outcome == VMX_SUCCEED ? value : 0;
}

static struct l2_exit next(const u8 *code, u64 encoding, u64 value)
{
	vmwrite(ENC_guest_rip, (u64)code);
	vmwrite(ENC_guest_rsp, l2_stack_top());
	l2.gpr[RAX] = encoding;
	l2.gpr[RBX] = value;
	return l2_enter();
}

/* L2's access to one field: whether it exists decides how it ends. */
static bool access_field(const char *how, unsigned number, const u8 *code, u64 value)
{
	u64 unused;
	bool exists = vmread_checked(fields[number].encoding, &unused) == VMX_SUCCEED;
	struct l2_exit exit;

	case_begin("field.%s.%s", fields[number].name, how);
	vmwrite(ENC_vm_instruction_error, 0);
	exit = next(code, fields[number].encoding, value);
	expect_exit(&exit, REASON_vmcall);
	observe("rip=+%lu", exit.rip - (u64)code);
	observe_l2();
	expect_l2_flags(exists ? L2_FLAGS_NONE : L2_FLAGS_ZERO);
	return exists;
}

/* L2 reads what L1 wrote. */
static void fields_read(void)
{
	guest(l2_read);
	fill_shadow(0);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		u64 expected = in_shadow(0, fields[i].encoding);

		if (access_field("read", i, l2_read, 0) && l2.gpr[RBX] != expected)
			wrong("L2 must read %lx", expected);
		case_end();
	}
}

/* L1 reads what L2 wrote. */
static void fields_written(void)
{
	u64 written[ARRAY_SIZE(fields)];
	unsigned changed = 0;

	guest(l2_write);
	fill_shadow(0);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		u64 value = ~value_of(fields[i].encoding);

		access_field("write", i, l2_write, value);
		written[i] = in_shadow(0, fields[i].encoding);
		observe("in_shadow=%lx", written[i]);
		case_end();
	}
	case_begin("fields.kept");
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		changed += in_shadow(0, fields[i].encoding) != written[i];
	observe("changed=%u", changed);
	if (changed != 1) /* the VM-instruction error, by each field that does not exist */
		wrong("one access must not change another field");
	case_end();
}

/* High halves: the other half stays as it was. */
static void halves(void)
{
	guest(l2_read_write);
	fill_shadow(0);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		u32 encoding = fields[i].encoding;
		u64 value, before = in_shadow(0, encoding);

		if (VMCS_ENCODING_WIDTH(encoding) != WIDTH_64)
			continue;
		case_begin("field.%s.high", fields[i].name);
		if (vmread_checked(encoding, &value) != VMX_SUCCEED) {
			observe("absent");
		} else {
			next(l2_read_write, encoding | VMCS_ENCODING_HIGH, PATTERN);
			observe_l2();
			observe("in_shadow=%lx", in_shadow(0, encoding));
			if (in_shadow(0, encoding) != (PATTERN << 32 | (u32)before))
				wrong("only the high half must change");
		}
		case_end();
	}
}

/* Neither a field's bit alone nor its neighbours' decide: each bitmap speaks for its own instruction and encoding. */
static void bitmap_bits(void)
{
	static const struct {
		const char *name;
		u64 operand;
		u32 bit;
		bool exits;
	} rows[] = {
		{ "same", ENC_guest_rip, ENC_guest_rip, true },
		{ "neighbour", ENC_guest_rip, ENC_guest_rip + 2, false },
		{ "other_half", ENC_ept_pointer, ENC_ept_pointer | 1, false },
		{ "high_half", ENC_ept_pointer | 1, ENC_ept_pointer | 1, true },
		{ "high_half_by_full", ENC_ept_pointer | 1, ENC_ept_pointer, false },
		{ "first", 0, 0, true }, { "unsupported", 0x5000, 0x5000, true }, { "last", 0x7fff, 0x7fff, true },
		{ "bit_15", BIT(15) + ENC_guest_rip, 0, true }, { "bit_31", BIT(31) | ENC_guest_rip, 0, true },
		{ "bit_32", BIT(32) | ENC_guest_rip, 0, true }, { "bit_63", BIT(63) | ENC_guest_rip, 0, true },
	};

	for (unsigned write = 0; write < 2; write++)
		for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
			enum exit_reason exits = write ? REASON_vmwrite : REASON_vmread;

			guest(write ? l2_write : l2_read);
			fill_shadow(0);
			trap(write ? vmwrite_bitmap : vmread_bitmap, rows[i].bit);
			case_begin("bitmap.%s.%s", rows[i].name, write ? "write" : "read");
			l2.gpr[RAX] = rows[i].operand;
			run(rows[i].exits ? exits : REASON_vmcall);
			case_end();
			guest(write ? l2_write : l2_read);
			fill_shadow(0);
			trap(write ? vmread_bitmap : vmwrite_bitmap, rows[i].bit);
			case_begin("bitmap.%s.%s_by_the_other", rows[i].name, write ? "write" : "read");
			l2.gpr[RAX] = rows[i].operand;
			run(rows[i].operand >> 15 ? exits : REASON_vmcall);
			case_end();
		}
}

/* What no field is: reserved bits of the encoding, types and widths that are not used, half of a narrow field. */
static void unsupported(void)
{
	static const u32 encodings[] = { 0x7ffe, 0x1000, 0x5000, 0x6830, 0x4003, 0x6801, 0x0001, 0x7fff, 0x0a00 };

	for (unsigned write = 0; write < 2; write++)
		for (unsigned i = 0; i < ARRAY_SIZE(encodings); i++) {
			guest(write ? l2_write : l2_read);
			vmwrite(ENC_vm_instruction_error, 0);
			case_begin("unsupported.%x.%s", encodings[i], write ? "write" : "read");
			l2.gpr[RAX] = encodings[i];
			run(REASON_vmcall);
			expect_l2_flags(L2_FLAGS_ZERO);
			if (vmread(ENC_vm_instruction_error) != VMERR_unsupported_vmcs_component)
				wrong("the VM-instruction error must be 12");
			observe("shadow_error=%lx", in_shadow(0, ENC_vm_instruction_error));
			case_end();
		}
}

/* SDM "VMREAD": without a link pointer VMfailInvalid, whatever the field; but the bitmaps come first. */
static void no_link(void)
{
	static const u8 *const codes[] = { l2_read, l2_write, l2_read_memory, l2_write_memory };
	static const char *const names[] = { "read", "write", "read_memory", "write_memory" };

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		for (unsigned known = 0; known < 2; known++) {
			guest(codes[i]);
			vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
			case_begin("no_link.%s.%s", names[i], known ? "guest_rip" : "unsupported");
			l2.gpr[RAX] = known ? ENC_guest_rip : 0x5000;
			run(REASON_vmcall);
			expect_l2_flags(L2_FLAGS_CARRY);
			case_end();
		}
		guest(codes[i]);
		vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
		memset(vmread_bitmap, 0xff, PAGE_SIZE);
		memset(vmwrite_bitmap, 0xff, PAGE_SIZE);
		l2.gpr[RAX] = ENC_guest_rip;
		case_begin("no_link.%s.trapped", names[i]);
		run(i & 1 ? REASON_vmwrite : REASON_vmread);
		case_end();
	}
}

static void operands(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u32 encoding;
	} rows[] = {
		{ "read_memory.16", l2_read_memory, ENC_guest_tr_selector },
		{ "read_memory.32", l2_read_memory, ENC_guest_tr_limit },
		{ "read_memory.64", l2_read_memory, ENC_tsc_offset },
		{ "read_memory.natural", l2_read_memory, ENC_host_rip },
		{ "write_memory.16", l2_write_memory, ENC_guest_tr_selector },
		{ "write_memory.32", l2_write_memory, ENC_guest_tr_limit },
		{ "write_memory.64", l2_write_memory, ENC_tsc_offset },
		{ "write_memory.natural", l2_write_memory, ENC_host_rip },
		{ "read_indexed", l2_read_indexed, ENC_guest_cr3 }, { "read_to_rsp", l2_read_to_rsp, ENC_guest_rip },
		{ "write_from_rsp", l2_write_from_rsp, ENC_guest_rip },
		{ "read_by_rsp", l2_read_by_rsp, ENC_guest_rip },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		guest(rows[i].code);
		fill_shadow(0);
		l2.gpr[RAX] = l2.gpr[R8] = rows[i].encoding;
		l2.gpr[RBX] = PATTERN;
		if (rows[i].code == l2_read_indexed) {
			l2.gpr[RSI] = (u64)&cell - 4 * 5 + 8;
			l2.gpr[RDI] = 5;
		}
		case_begin("operand.%s", rows[i].name);
		run(REASON_vmcall);
		observe("in_shadow=%lx", in_shadow(0, rows[i].encoding));
		case_end();
	}
}

/* SDM "VMREAD", "VMWRITE": when a memory operand is looked at, and what happens if it is not there. */
static void faulting_operands(void)
{
	static const struct {
		const char *name;
		u64 set, clear;
		bool crosses;
	} pages[] = {
		{ "absent", 0, PTE_PRESENT, false }, { "read_only", 0, PTE_WRITE, false },
		{ "crossing", 0, 0, true }, { "whole", 0, 0, false },
	};
	static const u32 encodings[] = { ENC_guest_rip, 0x5000, ENC_guest_ia32_perf_global_ctrl };
	static const char *const names[] = { "guest_rip", "unsupported", "perf_global_ctrl" };

	for (unsigned write = 0; write < 2; write++)
		for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
			for (unsigned e = 0; e < ARRAY_SIZE(encodings); e++)
				for (unsigned linked = 0; linked < 2; linked++) {
					/* L0 does not offer the third, but a fault comes first. */
					if (e == 2 && !(write && pages[i].clear & PTE_PRESENT))
						continue;
					guest(write ? l2_write_memory : l2_read_memory);
					fill_shadow(0);
					vmwrite(ENC_vm_instruction_error, 0);
					vmwrite(ENC_exception_bitmap, BIT(VECTOR_PF));
					if (!linked)
						vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
					scratch_change(0, pages[i].set, pages[i].clear);
					l2.gpr[RAX] = encodings[e];
					l2.gpr[RSI] = scratch(0) + (pages[i].crosses ? PAGE_SIZE - 4 : 8);
					case_begin("memory.%s.%s.%s.%s", pages[i].name, write ? "write" : "read",
						   names[e], linked ? "linked" : "no_link");
					{
						struct l2_exit exit = l2_enter();

						observe_exit(&exit);
						observe_l2();
					}
					case_end();
					scratch_change(0, pages[i].clear, pages[i].set);
				}
}

/* The operand lies in a page that L2's EPT does not give: an EPT violation of L2's access, of L1's to handle. */
#define TOUCHED 0x2000000ull
static void ept_operands(void)
{
	static const struct {
		const char *name;
		u64 clear;
	} rows[] = { { "absent", EPT_RWX }, { "no_write", EPT_WRITE }, { "whole", 0 } };

	for (unsigned write = 0; write < 2; write++)
		for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
			guest(write ? l2_write_memory : l2_read_memory);
			fill_shadow(0);
			l2.gpr[RAX] = ENC_guest_rip;
			l2.gpr[RSI] = TOUCHED + 0x10;
			*(u64 *)l2.gpr[RSI] = PATTERN;
			*l2_ept_entry(TOUCHED) &= ~rows[i].clear;
			invept(INVEPT_global, 0);
			case_begin("ept.%s.%s", rows[i].name, write ? "write" : "read");
			{
				struct l2_exit exit = l2_enter();

				observe_exit(&exit);
				observe_l2();
				*l2_ept_entry(TOUCHED) |= EPT_RWX;
				invept(INVEPT_global, 0);
				exit = l2_enter();
				observe_exit(&exit);
				observe("memory=%lx in_shadow=%lx", *(u64 *)l2.gpr[RSI], in_shadow(0, ENC_guest_rip));
			}
			case_end();
		}
}

static void set_code_segment(u16 selector, u32 rights)
{
	vmwrite(ENC_guest_cs_selector, selector);
	vmwrite(ENC_guest_cs_access_rights, rights);
}

static void set_user(void)
{
	set_code_segment(SEL_USER_CODE64, AR_CODE64 | 3 << AR_DPL_SHIFT);
	vmwrite(ENC_guest_ss_selector, SEL_USER_DATA);
	vmwrite(ENC_guest_ss_access_rights, AR_DATA | 3 << AR_DPL_SHIFT);
	vmwrite(ENC_exception_bitmap, BIT(VECTOR_GP) | BIT(VECTOR_UD));
}

/* SDM "VMREAD": the exit comes before the privilege level, #UD before both. */
static void privilege(void)
{
	static const struct {
		const char *name;
		u64 encoding;
		bool trapped, linked;
	} rows[] = {
		{ "passes", ENC_guest_rip, false, true }, { "trapped", ENC_guest_rip, true, true },
		{ "no_link", ENC_guest_rip, false, false }, { "unsupported", 0x5000, false, true },
		{ "bit_15", BIT(15), false, true },
	};

	for (unsigned write = 0; write < 2; write++)
		for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
			bool exits = rows[i].trapped || rows[i].encoding >> 15;

			guest(write ? l2_write : l2_read);
			if (rows[i].trapped)
				trap(write ? vmwrite_bitmap : vmread_bitmap, (u32)rows[i].encoding);
			if (!rows[i].linked)
				vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
			set_user();
			l2.gpr[RAX] = rows[i].encoding;
			case_begin("cpl3.%s.%s", rows[i].name, write ? "write" : "read");
			run(!exits ? REASON_exception_or_nmi : write ? REASON_vmwrite : REASON_vmread);
			case_end();
		}
	for (unsigned i = 0; i < 2; i++) {
		guest(i ? l2_write32 : l2_read32);
		set_code_segment(SEL_CODE32, AR_CODE32);
		vmwrite(ENC_exception_bitmap, BIT(VECTOR_UD));
		l2.gpr[RAX] = ENC_guest_rip;
		run_case(i ? "compatibility.write" : "compatibility.read", REASON_exception_or_nmi);
	}
}

/* Outside IA-32e mode the operands have 32 bits. */
static void protected_mode(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u64 encoding;
	} rows[] = {
		{ "read.natural", l2_read32, ENC_guest_cr3 }, { "read.64", l2_read32, ENC_tsc_offset },
		{ "read.high", l2_read32, ENC_tsc_offset | 1 },
		{ "read.bits_63_32", l2_read32, BIT(40) | ENC_guest_cr3 },
		{ "write.natural", l2_write32, ENC_guest_cr3 }, { "write.64", l2_write32, ENC_tsc_offset },
		{ "write.high", l2_write32, ENC_tsc_offset | 1 },
		{ "read_memory.natural", l2_read_memory32, ENC_guest_cr3 },
		{ "read.bit_15", l2_read32, BIT(15) | ENC_guest_cr3 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		guest(rows[i].code);
		fill_shadow(0);
		if (!has_controls(PROC2_CTLS, PROC2_unrestricted_guest))
			return;
		controls_set(PROC2_CTLS, PROC2_unrestricted_guest);
		controls_clear(ENTRY_CTLS, ENTRY_ia32e_mode_guest);
		vmwrite(ENC_guest_cr0, read_cr0() & ~CR0_PG);
		set_code_segment(SEL_CODE32, AR_CODE32);
		l2.gpr[RAX] = rows[i].encoding;
		l2.gpr[RBX] = PATTERN;
		case_begin("protected_mode.%s", rows[i].name);
		exit = l2_enter();
		observe_exit(&exit);
		observe_l2();
		observe("in_shadow=%lx", in_shadow(0, (u32)rows[i].encoding & ~1u));
		case_end();
	}
}

static void set_root_case(const char *what, enum vmx_outcome outcome, enum vmx_outcome expected)
{
	observe("%s=%d", what, outcome);
	if (outcome != expected)
		wrong("%s must end in %d", what, expected);
}

/* SDM "VM Entries", the basic checks: a shadow VMCS is none that can be entered, whatever its launch state. */
static void current_shadow(void)
{
	u64 value = 0;

	vmcs_make(l2_end);
	make_shadow(0);
	case_begin("current.vmptrld");
	set_root_case("vmptrld", vmptrld(shadow(0)), VMX_SUCCEED);
	observe("vmptrst=%s", vmptrst() == shadow(0) ? "it" : "another");
	case_end();
	case_begin("current.access");
	set_root_case("vmwrite", vmwrite_checked(ENC_guest_rip, PATTERN), VMX_SUCCEED);
	set_root_case("vmread", vmread_checked(ENC_guest_rip, &value), VMX_SUCCEED);
	observe("value=%lx", value);
	set_root_case("unsupported", vmread_checked(0x5000, &value), VMX_FAIL_VALID);
	observe("error=%lu", vmread(ENC_vm_instruction_error));
	case_end();
	case_begin("current.vmlaunch");
	set_root_case("vmlaunch", vmx_enter(&l2, false), VMX_FAIL_INVALID);
	case_end();
	case_begin("current.vmresume");
	set_root_case("vmresume", vmx_enter(&l2, true), VMX_FAIL_INVALID);
	case_end();
	case_begin("current.vmclear");
	set_root_case("vmclear", vmclear(shadow(0)), VMX_SUCCEED);
	observe("vmptrst=%lx", vmptrst());
	set_root_case("vmread", vmread_checked(ENC_guest_rip, &value), VMX_FAIL_INVALID);
	load(shadow(0));
	observe("guest_rip=%lx", vmread(ENC_guest_rip));
	case_end();
	load_ordinary();
	case_begin("current.wrong_revision");
	set_header(wrong_shadow, (revision() ^ 1) | (u32)VMCS_REVISION_SHADOW);
	set_root_case("vmptrld", vmptrld((u64)wrong_shadow), VMX_FAIL_VALID);
	observe("error=%lu", vmread(ENC_vm_instruction_error));
	case_end();
}

#define PAGE (u64)ordinary
#define UNALIGNED (PAGE + 0x800)
#define BEYOND BIT(50)
#define SHADOWING PROC2(PROC2_vmcs_shadowing), TO(vmread_bitmap_address, (u64)vmread_bitmap), \
	TO(vmwrite_bitmap_address, (u64)vmwrite_bitmap)

/* SDM "VM-Execution Control Fields" and "Checks on Guest Non-Register State". */
static const struct entry_case entries[] = {
	{ "entry.bitmaps", ENTERS, { SHADOWING } },
	{ "entry.vmread_bitmap.unaligned", FAILS_CONTROL, { SHADOWING, TO(vmread_bitmap_address, UNALIGNED) } },
	{ "entry.vmread_bitmap.beyond", FAILS_CONTROL, { SHADOWING, TO(vmread_bitmap_address, BEYOND) } },
	{ "entry.vmwrite_bitmap.unaligned", FAILS_CONTROL, { SHADOWING, TO(vmwrite_bitmap_address, UNALIGNED) } },
	{ "entry.vmwrite_bitmap.beyond", FAILS_CONTROL, { SHADOWING, TO(vmwrite_bitmap_address, BEYOND) } },
	{ "entry.bitmaps.control_off", ENTERS,
	  { TO(vmread_bitmap_address, BEYOND), TO(vmwrite_bitmap_address, UNALIGNED) } },
	{ "entry.bitmaps.secondary_off", ENTERS,
	  { SHADOWING, TO(vmread_bitmap_address, BEYOND),
	    CLEAR(primary_processor_based_controls, PROC_activate_secondary_controls) } },
	{ "link.shadow", ENTERS, { SHADOWING, TO(vmcs_link_pointer, (u64)shadows[0]) } },
	{ "link.none", ENTERS, { SHADOWING, TO(vmcs_link_pointer, VMCS_NO_POINTER) } },
	{ "link.ordinary", FAILS_LINK, { SHADOWING, TO(vmcs_link_pointer, (u64)ordinary) } },
	{ "link.ordinary_control_off", ENTERS, { TO(vmcs_link_pointer, (u64)ordinary) } },
	{ "link.shadow_control_off", FAILS_LINK, { TO(vmcs_link_pointer, (u64)shadows[0]) } },
	{ "link.wrong_revision", FAILS_LINK, { SHADOWING, TO(vmcs_link_pointer, (u64)wrong_shadow) } },
	{ "link.unaligned", FAILS_LINK, { SHADOWING, TO(vmcs_link_pointer, (u64)shadows[0] + 8) } },
	{ "link.beyond", FAILS_LINK, { SHADOWING, TO(vmcs_link_pointer, BEYOND + (u64)shadows[0]) } },
	{ "link.all_but_one", FAILS_LINK, { SHADOWING, TO(vmcs_link_pointer, ~1ull) } },
	{ "link.absent_memory", FAILS_LINK, { SHADOWING, TO(vmcs_link_pointer, 0xfe000000) } },
	{ "link.control_before", FAILS_CONTROL,
	  { SHADOWING, TO(vmread_bitmap_address, BEYOND), TO(vmcs_link_pointer, (u64)ordinary) } },
};

/* The current VMCS is ordinary, so that it can be its own link without shadowing alone. */
static void link_to_itself(void)
{
	struct l2_exit exit;

	vmcs_make(l2_end);
	vmwrite(ENC_vmcs_link_pointer, (u64)vmx_region(REGION_A));
	case_begin("link.itself");
	exit = l2_enter();
	observe_exit(&exit);
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, ENTRY_FAIL_vmcs_link_pointer);
	case_end();
}

/* The link is looked at at every entry: memory may have changed, and nothing in the VMCS. */
static void link_changes(void)
{
	struct l2_exit exit;

	guest(l2_end);
	case_begin("link.changes");
	exit = l2_enter();
	observe("first=%x", exit.reason);
	vmclear(shadow(0));
	set_header(shadows[0], revision());
	vmwrite(ENC_guest_rip, (u64)l2_end);
	exit = l2_enter();
	observe("ordinary=%x(%lu)", exit.reason, exit.qualification);
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, ENTRY_FAIL_vmcs_link_pointer);
	make_shadow(0);
	exit = l2_enter();
	observe("shadow_again=%x", exit.reason);
	case_end();
}

/* One VMCS, whoever reaches it: L1 by VMPTRLD, with and without VMCLEAR in between, L2 by the link. */
static void coherence(void)
{
	guest(l2_read);
	fill_shadow(0);
	case_begin("coherence.l1_writes");
	for (unsigned i = 0; i < 4; i++) {
		load(shadow(0));
		vmwrite(ENC_guest_rip, PATTERN + i);
		if (i & 1)
			vmclear(shadow(0));
		load_ordinary();
		next(l2_read, ENC_guest_rip, 0);
		observe("%lx", l2.gpr[RBX]);
		if (l2.gpr[RBX] != PATTERN + i)
			wrong("L2 must read what L1 wrote");
	}
	case_end();
	case_begin("coherence.l2_writes");
	for (unsigned i = 0; i < 4; i++) {
		next(l2_write, ENC_tsc_offset, PATTERN - i);
		if (i & 1)
			vmclear(shadow(0));
		observe("%lx", in_shadow(0, ENC_tsc_offset));
		if (in_shadow(0, ENC_tsc_offset) != PATTERN - i)
			wrong("L1 must read what L2 wrote");
	}
	case_end();
	case_begin("coherence.both");
	next(l2_write, ENC_guest_rsp, 1);
	next(l2_write, ENC_guest_cr3, 2);
	load(shadow(0));
	vmwrite(ENC_guest_rsp, 3);
	load_ordinary();
	next(l2_read, ENC_guest_rsp, 0);
	observe("rsp=%lx", l2.gpr[RBX]);
	next(l2_read, ENC_guest_cr3, 0);
	observe("cr3=%lx", l2.gpr[RBX]);
	observe("others=%lx %lx", in_shadow(0, ENC_host_rip), in_shadow(0, ENC_pin_based_controls));
	case_end();
}

/* Bits that change between entries; what L2 may no longer reach stays as it was. */
static void changing_bitmaps(void)
{
	guest(l2_read);
	fill_shadow(0);
	memset(vmread_bitmap, 0xff, PAGE_SIZE);
	memset(vmwrite_bitmap, 0xff, PAGE_SIZE);
	case_begin("changing_bitmaps");
	for (unsigned i = 0; i < 8; i++) {
		(i & 1 ? pass : trap)(vmread_bitmap, ENC_guest_rip);
		(i & 2 ? pass : trap)(vmwrite_bitmap, ENC_guest_rip);
		next(l2_write, ENC_guest_rip, PATTERN + i);
		observe("%lu", vmread(ENC_exit_reason));
		next(l2_read, ENC_guest_rip, 0);
		observe("%lu:%lx,%lx", vmread(ENC_exit_reason), l2.gpr[RBX], in_shadow(0, ENC_guest_rip));
	}
	case_end();
}

/* Many shadow VMCSs in turn, and the same one linked to by two. */
static void many(void)
{
	guest(l2_read_write);
	case_begin("many.write");
	for (unsigned i = 0; i < MANY; i++) {
		make_shadow(i);
		vmwrite(ENC_vmcs_link_pointer, shadow(i));
		next(l2_read_write, ENC_guest_rip, PATTERN * (i + 1));
		observe("%lx", l2.gpr[RCX] >> 56);
		if (l2.gpr[RCX] != PATTERN * (i + 1))
			wrong("L2 must read what it wrote to number %u", i);
	}
	case_end();
	case_begin("many.read");
	for (unsigned i = 0; i < MANY; i++) {
		u64 value;

		vmwrite(ENC_vmcs_link_pointer, shadow(i));
		next(l2_read, ENC_guest_rip, 0);
		value = in_shadow(i, ENC_guest_rip);
		observe("%lx", value >> 56);
		if (l2.gpr[RBX] != PATTERN * (i + 1) || value != l2.gpr[RBX])
			wrong("number %u must have what L2 wrote", i);
	}
	for (unsigned i = 0; i < MANY; i++)
		vmclear(shadow(i));
	case_end();
}

void group(void)
{
	scratch_init();
	vmx_start();
	if (!has_controls(PROC2_CTLS, PROC2_vmcs_shadowing)) {
		case_begin("offered");
		observe("no");
		case_end();
		return;
	}
	current_shadow();
	make_shadow(0);
	set_header(ordinary, revision());
	ENTRY_CASES(l2_end, entries);
	link_to_itself();
	link_changes();
	fields_read();
	fields_written();
	halves();
	bitmap_bits();
	unsupported();
	no_link();
	operands();
	faulting_operands();
	ept_operands();
	privilege();
	protected_mode();
	coherence();
	changing_bitmaps();
	many();
}
