/*
 * bitmaps: L2's I/O and RDMSR, WRMSR under L1's bitmaps; SDM "I/O-Bitmap Addresses", "MSR-Bitmap Address", "Exit
 * Qualification for I/O Instructions".
 */
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"

static u8 io_bitmap[2 * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 msr_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));
static u64 cell[8] __attribute__((aligned(64)));

static void set_bit(u8 *bits, unsigned bit)
{
	bits[bit / 8] |= (u8)(1u << bit % 8);
}

#define IMMEDIATE BIT(6)
#define IN IO_ACCESS_IN
#define STRING IO_ACCESS_STRING
#define REP IO_ACCESS_REP
#define IO_PIECES(X) \
	X(in8, "in $0x80, %al", 0x80, 1, IN | IMMEDIATE) \
	X(out8, "out %al, $0x80", 0x80, 1, IMMEDIATE) \
	X(in16, "in $0x80, %ax", 0x80, 2, IN | IMMEDIATE) \
	X(out32, "mov $0x80, %edx\nout %eax, %dx", 0x80, 4, 0) \
	X(in32_dx, "mov $0x80, %edx\nin %dx, %eax", 0x80, 4, IN) \
	X(in32_7e, "mov $0x7e, %edx\nin %dx, %eax", 0x7e, 4, IN) \
	X(in8_8080, "mov $0x8080, %edx\nin %dx, %al", 0x8080, 1, IN) \
	X(out8_7fff, "mov $0x7fff, %edx\nout %al, %dx", 0x7fff, 1, 0) \
	X(out16_7fff, "mov $0x7fff, %edx\nout %ax, %dx", 0x7fff, 2, 0) \
	X(out16_wraps, "mov $0xffff, %edx\nout %ax, %dx", 0xffff, 2, 0) \
	X(outsb, "mov $0x80, %edx\noutsb", 0x80, 1, STRING) \
	X(rep_outsb, "mov $0x80, %edx\nmov $3, %ecx\nrep outsb", 0x80, 1, STRING | REP) \
	X(insb, "mov $0x80, %edx\ninsb", 0x80, 1, STRING | IN) \
	X(rep_insl, "mov $0x80, %edx\nmov $2, %ecx\nrep insl", 0x80, 4, STRING | IN | REP) \
	X(outsw_fs, "mov $0x80, %edx\nfs outsw", 0x80, 2, STRING) \
	X(insw_down, "mov $0x80, %edx\nstd\ninsw\ncld", 0x80, 2, STRING | IN) \
	X(outsb_a32, "mov $0x80, %edx\naddr32 outsb", 0x80, 1, STRING)
#define DEFINE_IO_PIECE(name, text, port, size, kind) L2_CODE(io_##name, text);
IO_PIECES(DEFINE_IO_PIECE)

static const struct io_piece {
	const char *name;
	const u8 *code;
	u32 port, size;
	u64 kind; /* of the qualification */
} io_pieces[] = {
#define IO_ROW(name, text, port, size, kind) { #name, io_##name, port, size, kind },
	IO_PIECES(IO_ROW)
};

static const struct io_setting {
	const char *name;
	u64 proc;
	u32 ports[2]; /* whose bits are set, with bitmaps */
} io_settings[] = {
	{ "unconditional", PROC_unconditional_io_exiting, { 0, 0 } },
	{ "bitmap", PROC_use_io_bitmaps, { 0x80, 0x8080 } },
	{ "bitmap_beside", PROC_use_io_bitmaps, { 0x81, 0x8000 } },
	{ "bitmap_and_unconditional", PROC_use_io_bitmaps | PROC_unconditional_io_exiting, { 0x80, 0x7fff } },
};

/* SDM "I/O-Bitmap Addresses": any of the ports, or a wrap behind the last one; bitmaps override the control. */
static bool io_exits(const struct io_setting *setting, const struct io_piece *piece)
{
	u32 end = piece->port + piece->size;

	if (!(setting->proc & PROC_use_io_bitmaps))
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(setting->ports); i++)
		if (setting->ports[i] >= piece->port && setting->ports[i] < end)
			return true;
	return end > 0x10000;
}

static void io_case(const struct io_setting *setting, const struct io_piece *piece)
{
	u64 qualification = piece->kind | (piece->size - 1) | (u64)piece->port << IO_ACCESS_PORT_SHIFT;
	struct l2_exit exit;

	case_begin("io.%s.%s", setting->name, piece->name);
	memset(io_bitmap, 0, sizeof(io_bitmap));
	memset(cell, 0, sizeof(cell));
	vmcs_make(piece->code);
	l2.gpr[RSI] = l2.gpr[RDI] = (u64)cell;
	controls_set(PROC_CTLS, setting->proc);
	vmwrite(ENC_address_of_io_bitmap_a, (u64)io_bitmap);
	vmwrite(ENC_address_of_io_bitmap_b, (u64)io_bitmap + PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(setting->ports) && setting->ports[i]; i++)
		set_bit(io_bitmap, setting->ports[i]);
	exit = l2_enter();
	observe_exit(&exit);
	observe("rax=%lx rcx=%lx rsi=%lx rdi=%lx cell=%lx", l2.gpr[RAX], l2.gpr[RCX], l2.gpr[RSI] - (u64)cell,
		l2.gpr[RDI] - (u64)cell, cell[0]);
	expect_exit(&exit, io_exits(setting, piece) ? REASON_io_instruction : REASON_vmcall);
	if (exit.reason == REASON_io_instruction && exit.qualification != qualification)
		wrong("the qualification must be %lx", qualification);
	case_end();
}

L2_CODE(msr_read, "rdmsr");
L2_CODE(msr_write, "wrmsr");

#define NO_BIT (~0u)
#define HIGH(msr) (8 * 1024 + ((msr) & 0x1fff))
#define WRITES (16 * 1024)
static const struct msr_row {
	const char *name;
	u32 msr;
	unsigned bit; /* in the bitmap for reads, if it has one */
	bool readable, writable;
} msr_rows[] = {
	{ "low", MSR_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_EIP, true, true },
	{ "high", MSR_IA32_KERNEL_GS_BASE, HIGH(MSR_IA32_KERNEL_GS_BASE), true, true },
	{ "efer", MSR_IA32_EFER, HIGH(MSR_IA32_EFER), true, true },
	{ "feature_control", MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL, true, false },
	{ "vmx_basic", MSR_IA32_VMX_BASIC, MSR_IA32_VMX_BASIC, true, false },
	{ "last_low_absent", 0x1fff, 0x1fff, false, false },
	{ "last_high_absent", 0xc0001fff, HIGH(0xc0001fff), false, false },
	{ "behind_low", 0x2000, NO_BIT, false, false },
	{ "before_high", 0xbfffffff, NO_BIT, false, false },
	{ "behind_high", 0xc0002000, NO_BIT, false, false },
};

enum msr_setting { NO_BITMAP, BIT_CLEAR, BIT_SET, OTHERS_SET, MSR_SETTINGS };
static const char *const msr_settings[] = { "no_bitmap", "clear", "set", "others_set" };

static void fill_msr_bitmap(const struct msr_row *row, bool write, enum msr_setting setting)
{
	unsigned bit = row->bit + (write ? WRITES : 0);

	memset(msr_bitmap, setting == OTHERS_SET ? 0xff : 0, sizeof(msr_bitmap));
	if (row->bit == NO_BIT)
		return;
	if (setting == BIT_SET)
		set_bit(msr_bitmap, bit);
	else if (setting == OTHERS_SET)
		msr_bitmap[bit / 8] &= (u8)~(1u << bit % 8);
}

static void expect_msr(const struct l2_exit *exit, const struct msr_row *row, bool write, enum msr_setting setting)
{
	bool exits = setting == NO_BITMAP || setting == BIT_SET || row->bit == NO_BIT;
	bool faults = write ? !row->writable : !row->readable;

	expect_exit(exit, exits ? (write ? REASON_wrmsr : REASON_rdmsr) : faults ? REASON_exception_or_nmi :
										   REASON_vmcall);
	if (exit->reason == REASON_exception_or_nmi && (exit->intr & INTR_VECTOR) != VECTOR_GP)
		wrong("it must be #GP");
}

static void msr_case(const struct msr_row *row, bool write, enum msr_setting setting)
{
	struct l2_exit exit;

	case_begin("msr.%s.%s.%s", row->name, write ? "write" : "read", msr_settings[setting]);
	fill_msr_bitmap(row, write, setting);
	vmcs_make(write ? msr_write : msr_read);
	l2.gpr[RCX] = row->msr;
	if (row->msr == MSR_IA32_EFER)
		l2.gpr[RAX] = rdmsr(MSR_IA32_EFER);
	if (setting != NO_BITMAP)
		controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)msr_bitmap);
	vmwrite(ENC_exception_bitmap, BIT(VECTOR_GP));
	exit = l2_enter();
	observe_exit(&exit);
	/* What VMX offers is another group's subject. */
	if (row->msr != MSR_IA32_VMX_BASIC)
		observe("rax=%lx rdx=%lx", l2.gpr[RAX], l2.gpr[RDX]);
	expect_msr(&exit, row, write, setting);
	case_end();
}

/* L1 changes a bitmap between two entries of the same VMCS: the next one goes by it. */
static void changed_bitmap(void)
{
	struct l2_exit exit;

	memset(msr_bitmap, 0, sizeof(msr_bitmap));
	vmcs_make(msr_read);
	controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)msr_bitmap);
	for (unsigned i = 0; i < 4; i++) {
		l2.gpr[RCX] = MSR_IA32_SYSENTER_EIP;
		vmwrite(ENC_guest_rip, (u64)msr_read);
		case_begin("msr.changed.%u", i);
		exit = l2_enter();
		observe_exit(&exit);
		expect_exit(&exit, i % 2 ? REASON_rdmsr : REASON_vmcall);
		case_end();
		msr_bitmap[MSR_IA32_SYSENTER_EIP / 8] ^= 1u << MSR_IA32_SYSENTER_EIP % 8;
	}
}

void group(void)
{
	vmx_start();
	for (unsigned i = 0; i < ARRAY_SIZE(io_settings); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(io_pieces); j++)
			io_case(&io_settings[i], &io_pieces[j]);
	for (unsigned i = 0; i < ARRAY_SIZE(msr_rows); i++)
		for (unsigned write = 0; write < 2; write++)
			for (unsigned setting = 0; setting < MSR_SETTINGS; setting++)
				msr_case(&msr_rows[i], write, (enum msr_setting)setting);
	changed_bitmap();
}
