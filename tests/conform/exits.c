/*
 * exits: each exiting control off and on, with L2 code that triggers it: what the exit tells, or that there is
 * none. SDM
 * "Instructions That Cause VM Exits", "Other Causes of VM Exits", "Information for VM Exits".
 */
#include "ept.h"
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"

static u64 cell[64] __attribute__((aligned(64)));
static u8 bitmap[4 * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 page[PAGE_SIZE] __attribute__((aligned(4096)));

/* What L2 does; it starts with all registers 0 but RBX, which points to cell, and RSI and RDI, which do so, too. */
#define PIECES(X) \
	X(cpuid, "cpuid") X(hlt, "hlt") X(invd, "invd") X(wbinvd, "wbinvd") X(pause, "pause") X(rdtsc, "rdtsc") \
	X(invlpg, "invlpg 0x40(%rbx)") X(invlpg_sib, "mov $2, %ecx\ninvlpg 0x123456(%rbx,%rcx,4)") \
	X(rdtscp, "rdtscp") X(invpcid, "mov $2, %eax\ninvpcid 0x10(%rbx), %rax") \
	X(xsetbv, "xor %ecx, %ecx\nmov $1, %eax\nxor %edx, %edx\nxsetbv") \
	X(monitor, "mov %rbx, %rax\nxor %ecx, %ecx\nxor %edx, %edx\nmonitor") \
	X(mwait, "xor %eax, %eax\nxor %ecx, %ecx\nmwait") \
	X(rdrand, "rdrand %r9") X(rdrand16, "rdrand %ax") X(rdseed, "rdseed %r10d") X(getsec, "getsec") \
	X(rdpmc, "xor %ecx, %ecx\nrdpmc") X(ud2, "ud2") X(int3, "int3") X(icebp, ".byte 0xf1") \
	X(int_n, "int $0x42") \
	X(divide, "xor %edx, %edx\ndiv %edx") X(gp, "mov $0x123, %eax\nmov %ax, %ds") \
	X(df_trigger, "xor %rsp, %rsp\npush %rax") \
	X(page_fault_read, "mov 0x8000000000, %al") \
	X(page_fault_write, "movabs $0x8000000000, %rax\nmov %al, (%rax)") \
	X(sgdt, "sgdt 8(%rbx)") X(sidt, "sidt (%rbx)") X(lgdt, "sgdt (%rbx)\nlgdt (%rbx)") \
	X(lidt, "sidt (%rbx)\nlidt (%rbx)") \
	X(sldt, "sldt %r8") X(sldt_mem, "sldt 0x20(%rbx)") X(str, "str %ecx") \
	X(lldt, "xor %eax, %eax\nlldt %ax") X(ltr, "xor %eax, %eax\nltr %ax") \
	X(vmcall_other, "mov $0x77, %eax\nvmcall") X(vmxoff, "vmxoff") X(vmlaunch, "vmlaunch") \
	X(vmresume, "vmresume") \
	X(vmxon, "vmxon 8(%rbx)") X(vmclear, "vmclear 0x10(%rbx)") X(vmptrld, "vmptrld (%rbx,%rax,2)") \
	X(vmptrst, "vmptrst %fs:0x18(%rbx)") \
	X(vmread, "vmread %rcx, %r11") X(vmread_mem, "vmread %rcx, 0x28(%rbx)") \
	X(vmwrite, "vmwrite %r12, %rdx") X(vmwrite_mem, "vmwrite 0x30(%rbx), %rax") \
	X(invept, "invept (%rbx), %r9") X(invvpid, "invvpid 0x20(%rbx), %r14") X(vmfunc, "vmfunc")
#define DEFINE_PIECE(name, text) L2_CODE(l2_##name, text);
PIECES(DEFINE_PIECE)

struct exit_case {
	const char *name;
	const u8 *code;
	struct change changes[3];
};
#define PIECE(name, ...) { #name, l2_##name, { __VA_ARGS__ } }

static const struct exit_case instructions[] = {
	PIECE(cpuid), PIECE(getsec), PIECE(invd), PIECE(vmcall_other), PIECE(vmxoff), PIECE(vmlaunch),
		PIECE(vmresume),
	PIECE(vmxon), PIECE(vmclear), PIECE(vmptrld), PIECE(vmptrst), PIECE(vmread), PIECE(vmread_mem),
		PIECE(vmwrite),
	PIECE(vmwrite_mem), PIECE(invept), PIECE(invvpid), PIECE(xsetbv),
	PIECE(hlt, PROC(PROC_hlt_exiting)), PIECE(invlpg, PROC(PROC_invlpg_exiting)), PIECE(invlpg),
	PIECE(invlpg_sib, PROC(PROC_invlpg_exiting)), PIECE(rdpmc, PROC(PROC_rdpmc_exiting)),
	PIECE(rdtsc, PROC(PROC_rdtsc_exiting)), PIECE(rdtsc),
	PIECE(rdtscp, PROC(PROC_rdtsc_exiting), PROC2(PROC2_enable_rdtscp)), PIECE(rdtscp,
		PROC2(PROC2_enable_rdtscp)),
	PIECE(invpcid, PROC(PROC_invlpg_exiting), PROC2(PROC2_enable_invpcid)), PIECE(invpcid,
		PROC2(PROC2_enable_invpcid)),
	PIECE(pause, PROC(PROC_pause_exiting)), PIECE(pause), PIECE(monitor, PROC(PROC_monitor_exiting)),
	PIECE(mwait, PROC(PROC_mwait_exiting)), PIECE(monitor),
	PIECE(wbinvd, PROC2(PROC2_wbinvd_exiting)), PIECE(wbinvd), PIECE(rdrand, PROC2(PROC2_rdrand_exiting)),
	PIECE(rdrand16, PROC2(PROC2_rdrand_exiting)), PIECE(rdseed, PROC2(PROC2_rdseed_exiting)),
	PIECE(sgdt, PROC2(PROC2_descriptor_table_exiting)), PIECE(sidt, PROC2(PROC2_descriptor_table_exiting)),
	PIECE(lgdt, PROC2(PROC2_descriptor_table_exiting)), PIECE(lidt, PROC2(PROC2_descriptor_table_exiting)),
	PIECE(sldt, PROC2(PROC2_descriptor_table_exiting)), PIECE(sldt_mem, PROC2(PROC2_descriptor_table_exiting)),
	PIECE(str, PROC2(PROC2_descriptor_table_exiting)), PIECE(lldt, PROC2(PROC2_descriptor_table_exiting)),
	PIECE(ltr, PROC2(PROC2_descriptor_table_exiting)), PIECE(sgdt), PIECE(sldt), PIECE(lldt),
};

#define BITMAP(vectors) TO(exception_bitmap, vectors)
/* SDM "Exception Bitmap": what is not enabled is #UD, and each vector exits by its bit. */
static const struct exit_case exceptions[] = {
	PIECE(ud2, BITMAP(BIT(VECTOR_UD))), PIECE(int3, BITMAP(BIT(VECTOR_BP))), PIECE(icebp,
		BITMAP(BIT(VECTOR_DB))),
	PIECE(divide, BITMAP(BIT(VECTOR_DE))), PIECE(gp, BITMAP(BIT(VECTOR_GP))), PIECE(int_n, BITMAP(~0u),
		TO(guest_idtr_limit, 0)),
	PIECE(page_fault_read, BITMAP(BIT(VECTOR_PF))), PIECE(page_fault_write, BITMAP(BIT(VECTOR_PF))),
	PIECE(vmfunc, BITMAP(BIT(VECTOR_UD))), PIECE(rdtscp, BITMAP(BIT(VECTOR_UD))), PIECE(invpcid,
		BITMAP(BIT(VECTOR_UD))),
	PIECE(df_trigger, BITMAP(~0u)), PIECE(df_trigger, BITMAP(BIT(VECTOR_DF)), TO(guest_idtr_limit, 0)),
	PIECE(df_trigger, BITMAP(0), TO(guest_idtr_limit, 0)), PIECE(ud2, BITMAP(0), TO(guest_idtr_limit, 0)),
	PIECE(ud2, BITMAP(BIT(VECTOR_GP)), TO(guest_idtr_limit, 0)), PIECE(int3, BITMAP(BIT(VECTOR_GP)),
		TO(guest_idtr_limit, 0)),
	PIECE(rdpmc, BITMAP(BIT(VECTOR_GP))),
};

/* SDM "Exception Bitmap", page faults: mask and match turn the bit's meaning around. */
static const struct exit_case page_faults[] = {
	PIECE(page_fault_write, BITMAP(BIT(VECTOR_PF)), TO(page_fault_error_code_mask, PF_WRITE),
		TO(page_fault_error_code_match, PF_WRITE)),
	PIECE(page_fault_read, BITMAP(0), TO(page_fault_error_code_mask, PF_WRITE),
		TO(page_fault_error_code_match, PF_WRITE)),
	PIECE(page_fault_write, BITMAP(0), TO(page_fault_error_code_mask, PF_WRITE),
		TO(page_fault_error_code_match, 0)),
	PIECE(page_fault_write, BITMAP(0), TO(page_fault_error_code_mask, 0), TO(page_fault_error_code_match, 1)),
	PIECE(page_fault_read, BITMAP(BIT(VECTOR_PF)), TO(page_fault_error_code_mask, ~0u),
		TO(page_fault_error_code_match, 0)),
};

static bool can_apply(const struct change *changes)
{
	u64 value;

	for (unsigned i = 0; i < 3 && changes[i].kind != CHANGE_NONE; i++) {
		if (vmread_checked(changes[i].field, &value) != VMX_SUCCEED)
			return false;
		for (unsigned msr = 0; msr < CONTROL_MSRS; msr++)
			if (controls_field[msr] == changes[i].field && changes[i].kind == CHANGE_SET &&
			    !has_controls((enum control_msr)msr, changes[i].value))
				return false;
	}
	return true;
}

static void set_registers(void)
{
	memset(cell, 0, sizeof(cell));
	l2.gpr[RBX] = l2.gpr[RSI] = l2.gpr[RDI] = (u64)cell;
}

static void observe_registers(void)
{
	observe("rax=%lx rcx=%lx rdx=%lx rsi=%lx rdi=%lx", l2.gpr[RAX], l2.gpr[RCX], l2.gpr[RDX],
		l2.gpr[RSI] - (u64)cell, l2.gpr[RDI] - (u64)cell);
}

static bool reads_time(const char *name)
{
	return strncmp(name, "rdtsc", 5) == 0 || strncmp(name, "rdrand", 6) == 0;
}

static void exit_cases(const char *kind, const struct exit_case *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct l2_exit exit;

		case_begin("%s.%u.%s", kind, i, rows[i].name);
		vmcs_make(rows[i].code);
		/* What faults unexpectedly exits, and what the bitmap lets through cannot be delivered. */
		vmwrite(ENC_exception_bitmap, ~0u);
		vmwrite(ENC_guest_idtr_limit, 0);
		set_registers();
		if (can_apply(rows[i].changes)) {
			for (unsigned j = 0; j < 3 && rows[i].changes[j].kind != CHANGE_NONE; j++)
				vmwrite(rows[i].changes[j].field, rows[i].changes[j].kind == CHANGE_SET ?
					vmread(rows[i].changes[j].field) | rows[i].changes[j].value :
						rows[i].changes[j].value);
			exit = l2_enter();
			observe_exit(&exit);
			if (!reads_time(rows[i].name))
				observe_registers();
		} else {
			observe("not offered");
		}
		case_end();
	}
}
#define EXIT_CASES(kind, rows) exit_cases(kind, rows, ARRAY_SIZE(rows))

/* One exit of code with what has been set up since vmcs_make(). */
static void one(const char *format, ...) PRINTF_LIKE(1, 2);
static void one(const char *format, ...)
{
	char name[64];
	va_list args;
	struct l2_exit exit;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	exit = l2_case_begin(name);
	observe_registers();
	case_end();
	(void)exit;
}

/* Control registers. RAX has the value. */
#define CR_PIECES(X) \
	X(to_cr0, "mov %rax, %cr0") X(from_cr0, "mov %cr0, %rcx") X(to_cr3, "mov %rax, %cr3") \
	X(to_cr3_r13, "mov %rax, %r13\nmov %r13, %cr3") \
	X(from_cr3, "mov %cr3, %rdx") X(from_cr3_r8, "mov %cr3, %r8") X(to_cr4, "mov %rax, %cr4") \
	X(from_cr4, "mov %cr4, %rcx") \
	X(to_cr8, "mov %rax, %cr8") X(from_cr8, "mov %cr8, %rcx") X(clts, "clts") X(lmsw, "lmsw %ax") \
	X(lmsw_mem, "mov %ax, (%rbx)\nlmsw (%rbx)") \
	X(smsw, "smsw %rcx") X(to_dr7, "mov %rax, %dr7") X(from_dr7, "mov %dr7, %rcx") \
	X(from_dr0_r9, "mov %dr0, %r9") X(to_dr6, "mov %rax, %dr6") \
	X(to_cr0_rsp, "mov %rax, %rsp\nmov %rsp, %cr0")
#define DEFINE_CR_PIECE(name, text) L2_CODE(cr_##name, text);
CR_PIECES(DEFINE_CR_PIECE)

struct cr_case {
	const char *name;
	const u8 *code;
	u64 set, clear; /* against the register's present value in RAX */
	u64 mask, shadow;
};

/*
 * SDM "Guest/Host Masks and Read Shadows for CR0 and CR4"; the shadow is given as the difference to the
 * register.
 */
static void cr0_masks(void)
{
	static const struct cr_case rows[] = {
		{ "unmasked", cr_to_cr0, CR0_TS, 0, 0, 0 }, { "masked_same", cr_to_cr0, CR0_MP, 0, CR0_TS, 0 },
		{ "masked_changed", cr_to_cr0, CR0_TS, 0, CR0_TS, 0 }, { "shadow_differs", cr_to_cr0, 0, 0,
			CR0_TS, CR0_TS },
		{ "shadow_matches", cr_to_cr0, CR0_TS, 0, CR0_TS, CR0_TS }, { "rsp", cr_to_cr0_rsp, CR0_TS, 0,
			CR0_TS, 0 },
		{ "read", cr_from_cr0, 0, 0, CR0_TS | CR0_WP, CR0_TS }, { "read_unmasked", cr_from_cr0, 0, 0, 0,
			CR0_TS },
		{ "smsw", cr_smsw, 0, 0, CR0_TS | CR0_EM, CR0_TS | CR0_EM },
		{ "clts_unmasked", cr_clts, 0, 0, 0, 0 }, { "clts_shadow_0", cr_clts, 0, 0, CR0_TS, 0 },
		{ "clts_shadow_1", cr_clts, 0, 0, CR0_TS, CR0_TS }, { "lmsw_unmasked", cr_lmsw, CR0_TS, 0, 0, 0 },
		{ "lmsw_masked", cr_lmsw, CR0_TS, 0, CR0_TS, 0 }, { "lmsw_mem_masked", cr_lmsw_mem, CR0_TS, 0,
			CR0_TS, 0 },
		{ "lmsw_pe_clear", cr_lmsw, 0, CR0_PE, CR0_PE, 0 }, { "lmsw_pe_shadow_0", cr_lmsw, 0, 0, CR0_PE,
			CR0_PE },
		{ "lmsw_other_bits", cr_lmsw, CR0_NE, 0, CR0_NE | CR0_WP, CR0_NE },
		{ "ne_clear", cr_to_cr0, 0, CR0_NE, 0, 0 }, { "ne_clear_masked", cr_to_cr0, 0, CR0_NE, CR0_NE, 0 },
		{ "pg_clear", cr_to_cr0, 0, CR0_PG, 0, 0 }, { "nw_alone", cr_to_cr0, CR0_NW, 0, 0, 0 },
		{ "wp_set_all_masked", cr_to_cr0, CR0_WP, 0, ~0ull, 0 }, { "high", cr_to_cr0, BIT(32), 0, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vmcs_make(rows[i].code);
		set_registers();
		l2.gpr[RAX] = (read_cr0() | rows[i].set) & ~rows[i].clear;
		vmwrite(ENC_cr0_guest_host_mask, rows[i].mask);
		vmwrite(ENC_cr0_read_shadow, read_cr0() ^ rows[i].shadow);
		vmwrite(ENC_exception_bitmap, ~0u);
		case_begin("cr0.%s", rows[i].name);
		struct l2_exit exit = l2_enter();
		observe_exit(&exit);
		observe_registers();
		observe("cr0=%lx", vmread(ENC_guest_cr0));
		case_end();
	}
}

static void cr4_masks(void)
{
	static const struct cr_case rows[] = {
		{ "unmasked", cr_to_cr4, CR4_DE, 0, 0, 0 }, { "masked_same", cr_to_cr4, CR4_TSD, 0, CR4_DE, 0 },
		{ "masked_changed", cr_to_cr4, CR4_DE, 0, CR4_DE, 0 }, { "shadow_matches", cr_to_cr4, CR4_DE, 0,
			CR4_DE, CR4_DE },
		{ "vmxe_clear", cr_to_cr4, 0, CR4_VMXE, 0, 0 }, { "vmxe_clear_masked", cr_to_cr4, 0, CR4_VMXE,
			CR4_VMXE, 0 },
		{ "vmxe_clear_shadowed", cr_to_cr4, 0, CR4_VMXE, CR4_VMXE, CR4_VMXE }, { "read", cr_from_cr4, 0,
			0, CR4_VMXE, CR4_VMXE },
		{ "read_unmasked", cr_from_cr4, 0, 0, 0, CR4_VMXE }, { "reserved", cr_to_cr4, BIT(15), 0, 0, 0 },
		{ "pae_clear", cr_to_cr4, 0, CR4_PAE, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vmcs_make(rows[i].code);
		set_registers();
		l2.gpr[RAX] = (read_cr4() | rows[i].set) & ~rows[i].clear;
		vmwrite(ENC_cr4_guest_host_mask, rows[i].mask);
		vmwrite(ENC_cr4_read_shadow, read_cr4() ^ rows[i].shadow);
		vmwrite(ENC_exception_bitmap, ~0u);
		case_begin("cr4.%s", rows[i].name);
		struct l2_exit exit = l2_enter();
		observe_exit(&exit);
		observe_registers();
		observe("cr4=%lx", vmread(ENC_guest_cr4));
		case_end();
	}
}

/* SDM "CR3-Target Controls", "MOV CR3", "MOV CR8", "MOV DR" */
static void other_registers(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		u64 proc;
		u64 targets;
	} rows[] = {
		{ "to_cr3", cr_to_cr3, 0, 0 }, { "to_cr3_exiting", cr_to_cr3, PROC_cr3_load_exiting, 0 },
		{ "to_cr3_r13", cr_to_cr3_r13, PROC_cr3_load_exiting, 0 }, { "to_cr3_target", cr_to_cr3,
			PROC_cr3_load_exiting, 4 },
		{ "to_cr3_target_beyond_count", cr_to_cr3, PROC_cr3_load_exiting, 2 }, { "from_cr3",
			cr_from_cr3, 0, 0 },
		{ "from_cr3_exiting", cr_from_cr3, PROC_cr3_store_exiting, 0 }, { "from_cr3_r8", cr_from_cr3_r8,
			PROC_cr3_store_exiting, 0 },
		{ "to_cr8_exiting", cr_to_cr8, PROC_cr8_load_exiting, 0 }, { "from_cr8_exiting", cr_from_cr8,
			PROC_cr8_store_exiting, 0 },
		{ "to_dr7", cr_to_dr7, PROC_mov_dr_exiting, 0 }, { "from_dr7", cr_from_dr7, PROC_mov_dr_exiting,
			0 },
		{ "from_dr0_r9", cr_from_dr0_r9, PROC_mov_dr_exiting, 0 }, { "to_dr6", cr_to_dr6,
			PROC_mov_dr_exiting, 0 },
		{ "from_dr7_free", cr_from_dr7, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vmcs_make(rows[i].code);
		set_registers();
		l2.gpr[RAX] = strncmp(rows[i].name, "to_cr3", 6) == 0 ? read_cr3() : strncmp(rows[i].name,
			"to_cr8", 6) == 0 ? 5 : 0x400;
		controls_set(PROC_CTLS, rows[i].proc);
		if (!(rows[i].proc & PROC_cr3_load_exiting))
			controls_clear(PROC_CTLS, PROC_cr3_load_exiting);
		if (!(rows[i].proc & PROC_cr3_store_exiting))
			controls_clear(PROC_CTLS, PROC_cr3_store_exiting);
		vmwrite(ENC_cr3_target_count, rows[i].targets);
		vmwrite(ENC_cr3_target_value_3, read_cr3());
		one("register.%s", rows[i].name);
	}
}

/* Ports. SDM "I/O-Bitmap Addresses", "Exit Qualification for I/O Instructions". */
#define IO_PIECES(X) \
	X(in8, "in $0x80, %al") X(out8, "out %al, $0x80") X(in16, "in $0x80, %ax") \
	X(out32, "mov $0x80, %edx\nout %eax, %dx") \
	X(in32_dx, "mov $0x80, %edx\nin %dx, %eax") X(out16_wraps, "mov $0xffff, %edx\nout %ax, %dx") \
	X(in32_7e, "mov $0x7e, %edx\nin %dx, %eax") \
	X(in8_8080, "mov $0x8080, %edx\nin %dx, %al") X(outsb, "mov $0x80, %edx\noutsb") \
	X(rep_outsb, "mov $0x80, %edx\nmov $3, %ecx\nrep outsb") \
	X(insb, "mov $0x80, %edx\ninsb") X(rep_insl, "mov $0x80, %edx\nmov $2, %ecx\nrep insl") \
	X(outsw_fs, "mov $0x80, %edx\nfs outsw") \
	X(rep_outsl_0, "mov $0x80, %edx\nxor %ecx, %ecx\nrep outsl") X(insw_down, \
		"mov $0x80, %edx\nstd\ninsw\ncld") \
	X(outsb_a32, "mov $0x80, %edx\naddr32 outsb")
#define DEFINE_IO_PIECE(name, text) L2_CODE(io_##name, text);
IO_PIECES(DEFINE_IO_PIECE)

static const struct {
	const char *name;
	const u8 *code;
} io_pieces[] = {
#define IO_ROW(name, text) { #name, io_##name },
	IO_PIECES(IO_ROW)
};

static void set_bit(u8 *bits, unsigned bit)
{
	bits[bit / 8] |= (u8)(1u << bit % 8);
}

static void ports(void)
{
	static const char *const controls[] = { "unconditional", "bitmap", "bitmap_beside",
		"bitmap_and_unconditional" };

	for (unsigned setting = 0; setting < ARRAY_SIZE(controls); setting++)
		for (unsigned i = 0; i < ARRAY_SIZE(io_pieces); i++) {
			memset(bitmap, 0, sizeof(bitmap));
			vmcs_make(io_pieces[i].code);
			set_registers();
			if (setting == 0 || setting == 3)
				controls_set(PROC_CTLS, PROC_unconditional_io_exiting);
			if (setting) {
				controls_set(PROC_CTLS, PROC_use_io_bitmaps);
				vmwrite(ENC_address_of_io_bitmap_a, (u64)bitmap);
				vmwrite(ENC_address_of_io_bitmap_b, (u64)bitmap + PAGE_SIZE);
				set_bit(bitmap, setting == 2 ? 0x81 : 0x80);
				if (setting == 1)
					set_bit(bitmap, 0x8080);
			}
			/*
			 * What passes would read a port: the same on both, but of no interest, and string reads
			 * would spread it.
			 */
			one("io.%s.%s", controls[setting], io_pieces[i].name);
		}
}

L2_CODE(msr_read, "rdmsr");
L2_CODE(msr_write, "wrmsr");

/* SDM "MSR-Bitmap Address": four bitmaps, and what is in neither range always exits. */
static void msrs(void)
{
	static const struct {
		const char *name;
		u32 msr;
		unsigned bit; /* in the bitmap for reads; writes have theirs 16384 later */
	} rows[] = {
		{ "low", MSR_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_EIP },
		{ "high", MSR_IA32_KERNEL_GS_BASE, 8 * 1024 + (MSR_IA32_KERNEL_GS_BASE & 0x1fff) },
		{ "between", 0x2000, 0 }, { "beyond", 0xc0002000, 0 }, { "below_high", 0xbfffffff, 0 },
		{ "last_low_absent", 0x1fff, 0x1fff }, { "efer", MSR_IA32_EFER,
			8 * 1024 + (MSR_IA32_EFER & 0x1fff) },
		{ "feature_control", MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL },
		{ "vmx_basic", MSR_IA32_VMX_BASIC, MSR_IA32_VMX_BASIC },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned variant = 0; variant < 6; variant++) {
			bool write = variant & 1, set = variant & 2, none = variant >= 4;

			memset(bitmap, 0, sizeof(bitmap));
			vmcs_make(write ? msr_write : msr_read);
			set_registers();
			l2.gpr[RCX] = rows[i].msr;
			if (rows[i].msr == MSR_IA32_EFER)
				l2.gpr[RAX] = rdmsr(MSR_IA32_EFER);
			if (!none)
				controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
			vmwrite_checked(ENC_address_of_msr_bitmaps, (u64)bitmap);
			vmwrite(ENC_exception_bitmap, BIT(VECTOR_GP));
			if (set && rows[i].bit)
				set_bit(bitmap, rows[i].bit + (write ? 16 * 1024 : 0));
			one("msr.%s.%s.%s", rows[i].name, write ? "write" : "read", none ? "no_bitmap" : set ?
				"set" : "clear");
		}
}

/* Windows and timers: exits without an instruction. SDM "Other Causes of VM Exits". */
L2_CODE(window_sti, "sti\nnop\nnop\ncli");
L2_CODE(window_mov_ss, "mov %ss, %ecx\nsti\nmov %ecx, %ss\nnop\nnop");
L2_CODE(spin, "1: jmp 1b");

static void windows(void)
{
	vmcs_make(window_sti);
	controls_set(PROC_CTLS, PROC_interrupt_window_exiting);
	one("window.after_sti");
	vmcs_make(window_mov_ss);
	controls_set(PROC_CTLS, PROC_interrupt_window_exiting);
	one("window.after_sti_mov_ss");
	vmcs_make(l2_pause);
	controls_set(PROC_CTLS, PROC_interrupt_window_exiting);
	vmwrite(ENC_guest_rflags, RFLAGS_ONE | RFLAGS_IF);
	one("window.at_once");
	vmcs_make(l2_pause);
	controls_set(PIN_CTLS, PIN_nmi_exiting | PIN_virtual_nmis);
	controls_set(PROC_CTLS, PROC_nmi_window_exiting);
	one("nmi_window.at_once");
	vmcs_make(l2_pause);
	controls_set(PIN_CTLS, PIN_nmi_exiting | PIN_virtual_nmis);
	controls_set(PROC_CTLS, PROC_nmi_window_exiting);
	vmwrite(ENC_guest_interruptibility_state, INTERRUPTIBILITY_nmi);
	one("nmi_window.blocked");
	vmcs_make(spin);
	controls_set(PIN_CTLS, PIN_activate_vmx_preemption_timer);
	vmwrite_checked(ENC_vmx_preemption_timer_value, 0);
	one("timer.zero");
	vmcs_make(l2_hlt);
	controls_set(PIN_CTLS, PIN_activate_vmx_preemption_timer);
	vmwrite_checked(ENC_vmx_preemption_timer_value, 500);
	vmwrite(ENC_guest_activity_state, ACTIVITY_hlt);
	one("timer.halted");
	if (!has_controls(PROC_CTLS, PROC_monitor_trap_flag))
		return;
	vmcs_make(window_sti);
	controls_set(PROC_CTLS, PROC_monitor_trap_flag);
	one("monitor_trap_flag.first");
	one("monitor_trap_flag.second");
}

/* SDM "TPR Virtualization": MOV to CR8 below the threshold exits behind the instruction. */
static void tpr(void)
{
	static const struct {
		u64 value, threshold;
	} rows[] = { { 5, 3 }, { 3, 3 }, { 2, 3 }, { 0, 1 }, { 15, 15 } };

	if (!has_controls(PROC_CTLS, PROC_use_tpr_shadow))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vmcs_make(cr_to_cr8);
		set_registers();
		memset(page, 0, sizeof(page));
		page[VIRTUAL_APIC_TPR] = 0xf0;
		controls_set(PROC_CTLS, PROC_use_tpr_shadow);
		vmwrite(ENC_virtual_apic_address, (u64)page);
		vmwrite(ENC_tpr_threshold, rows[i].threshold);
		l2.gpr[RAX] = rows[i].value;
		one("tpr.%lu_threshold_%lu", rows[i].value, rows[i].threshold);
		case_begin("tpr.%lu_threshold_%lu.page", rows[i].value, rows[i].threshold);
		observe("tpr=%x", page[VIRTUAL_APIC_TPR]);
		case_end();
	}
	vmcs_make(cr_from_cr8);
	page[VIRTUAL_APIC_TPR] = 0x7f;
	controls_set(PROC_CTLS, PROC_use_tpr_shadow);
	vmwrite(ENC_virtual_apic_address, (u64)page);
	one("tpr.read");
}

/* L2 touches a page of 2 MiB beyond the image, whose EPT entry each case sets. */
#define TOUCHED 0x2000000ull
L2_CODE(ept_read, "mov 0x2000008, %rax");
L2_CODE(ept_write, "movq $5, 0x2000010");
L2_CODE(ept_modify, "incq 0x2000018");
L2_CODE(ept_fetch, "mov $0x2000000, %eax\njmp *%rax");
L2_CODE(ept_push, "mov $0x2000100, %esp\npush %rax");

static void ept(void)
{
	static const struct {
		const char *name;
		const u8 *code;
	} codes[] = { { "read", ept_read }, { "write", ept_write }, { "modify", ept_modify }, { "fetch",
		ept_fetch },
		      { "push", ept_push } };
	static const struct {
		const char *name;
		u64 clear, set;
	} entries[] = {
		{ "absent", ~0ull, 0 }, { "read_only", EPT_WRITE | EPT_EXECUTE, 0 }, { "no_execute",
			EPT_EXECUTE, 0 },
		{ "no_write", EPT_WRITE, 0 }, { "write_only", EPT_READ | EPT_EXECUTE, 0 }, { "execute_only",
			EPT_READ | EPT_WRITE, 0 },
		{ "write_execute", EPT_READ, 0 }, { "memory_type_2", EPT_MEMORY_TYPE, 2 << EPT_MEMORY_TYPE_SHIFT },
		{ "reserved_bit", 0, BIT(13) }, { "beyond_width", 0, BIT(45) }, { "all_rights", 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(entries); j++) {
			*(u8 *)TOUCHED = 0x0f; /* VMCALL, for the fetch */
			*(u8 *)(TOUCHED + 1) = 0x01;
			*(u8 *)(TOUCHED + 2) = 0xc1;
			vmcs_make(codes[i].code);
			set_registers();
			*l2_ept_entry(TOUCHED) = (*l2_ept_entry(TOUCHED) & ~entries[j].clear) | entries[j].set;
			invept(INVEPT_global, 0);
			one("ept.%s.%s", entries[j].name, codes[i].name);
		}
}

void group(void)
{
	vmx_start();
	EXIT_CASES("instruction", instructions);
	EXIT_CASES("exception", exceptions);
	EXIT_CASES("page_fault", page_faults);
	cr0_masks();
	cr4_masks();
	other_registers();
	ports();
	msrs();
	windows();
	tpr();
	ept();
}
