/*
 * modes: L2 in every mode of operation and paging, entered in it and changing into it, with and without EPT; SDM
 * "Unrestricted Guests", "Loading Guest Control Registers, Debug Registers, and MSRs", "Saving Guest State".
 */
#include "ept.h"
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"

/* In low memory, where real mode reaches it: code, stack and interrupt vectors. */
#define LOW 0x30000
#define TEXT_(value) #value
#define TEXT(value) TEXT_(value)
#define LOW_TEXT TEXT(LOW) /* for assembly */
#define LOW_STACK (LOW + 0x2000)
#define LOW_VECTORS (LOW + 0x3000)
#define LIMIT_64K 0xffffu
#define LIMIT_4G 0xffffffffu
#define AR_USER_16 0x00f3u /* all segments of virtual-8086 mode */
#define VMCALL_LENGTH 3

static u32 directory32[1024] __attribute__((aligned(4096)));
static u64 pdpt[4] __attribute__((aligned(4096))), bad_pdpt[4] __attribute__((aligned(4096)));
static u8 zero_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

/*
 * The same bytes mean something else in each mode: MOV of 2 or 4 bytes, INC with or without REX.W, PUSH of 2, 4 or 8
 * bytes. 16 bits: mov $0x5678, %ax; xor $0x12, %al; dec %ax; inc %ax; push %ax.
 */
L2_CODE(signature, ".byte 0xb8, 0x78, 0x56, 0x34, 0x12, 0x48, 0xff, 0xc0, 0x50");
#define SIGNATURE_SIZE 16

enum paging { PAGING_none, PAGING_32, PAGING_pae, PAGING_4_level };
struct mode {
	const char *name;
	enum paging paging;
	bool real, v8086;
	u32 code, data; /* access rights */
	u64 rax, pushed; /* what signature leaves */
};

static const struct mode modes[] = {
	{ "real", PAGING_none, true, false, AR_CODE16, AR_DATA16, 0x566a, 2 },
	{ "real_32", PAGING_none, true, false, 0x409b, 0x4093, 0x12345678, 4 },
	{ "protected_16", PAGING_none, false, false, AR_CODE16, AR_DATA16, 0x566a, 2 },
	{ "protected_32", PAGING_none, false, false, AR_CODE32, AR_DATA, 0x12345678, 4 },
	{ "paging_32", PAGING_32, false, false, AR_CODE32, AR_DATA, 0x12345678, 4 },
	{ "paging_32_code_16", PAGING_32, false, false, AR_CODE16, AR_DATA16, 0x566a, 2 },
	{ "virtual_8086", PAGING_32, false, true, AR_USER_16, AR_USER_16, 0x566a, 2 },
	{ "pae", PAGING_pae, false, false, AR_CODE32, AR_DATA, 0x12345678, 4 },
	{ "pae_virtual_8086", PAGING_pae, false, true, AR_USER_16, AR_USER_16, 0x566a, 2 },
	{ "compatibility", PAGING_4_level, false, false, AR_CODE32, AR_DATA, 0x12345678, 4 },
	{ "compatibility_16", PAGING_4_level, false, false, AR_CODE16, AR_DATA16, 0x566a, 2 },
	{ "long", PAGING_4_level, false, false, AR_CODE64, AR_DATA, 0x12345679, 8 },
};

/* Both map the low 4 GiB one to one; the directories of 4-level paging serve PAE paging too. */
static void make_tables(void)
{
	u64 *pml4 = (u64 *)read_cr3(), *low = (u64 *)(pml4[0] & PTE_ADDRESS);

	for (unsigned i = 0; i < ARRAY_SIZE(directory32); i++)
		directory32[i] = (u32)(i * MIB(4) | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE);
	for (unsigned i = 0; i < ARRAY_SIZE(pdpt); i++)
		bad_pdpt[i] = pdpt[i] = (low[i] & PTE_ADDRESS) | PTE_PRESENT;
	bad_pdpt[3] |= PTE_WRITE; /* reserved there */
}

static bool needs_unrestricted(const struct mode *mode)
{
	return mode->paging == PAGING_none;
}

static void set_data_segments(u32 selector, u32 limit, u32 rights)
{
	for (u32 segment = 0; segment < 6; segment++) {
		if (ENC_guest_es_selector + 2 * segment == ENC_guest_cs_selector)
			continue;
		vmwrite(ENC_guest_es_selector + 2 * segment, selector);
		vmwrite(ENC_guest_es_base + 2 * segment, (u64)selector << 4);
		vmwrite(ENC_guest_es_limit + 2 * segment, limit);
		vmwrite(ENC_guest_es_access_rights + 2 * segment, rights);
	}
}

static void set_paging(enum paging paging)
{
	u64 cr0 = read_cr0(), cr4 = read_cr4() & ~(CR4_PAE | CR4_PSE), cr3 = read_cr3();

	if (paging == PAGING_none)
		cr0 &= ~CR0_PG;
	if (paging == PAGING_32) {
		cr4 |= CR4_PSE;
		cr3 = (u64)directory32;
	} else if (paging != PAGING_none) {
		cr4 |= CR4_PAE;
	}
	if (paging == PAGING_pae) {
		cr3 = (u64)pdpt;
		for (u32 i = 0; i < ARRAY_SIZE(pdpt); i++)
			vmwrite(ENC_guest_pdpte0 + 2 * i, pdpt[i]);
	}
	vmwrite(ENC_guest_cr0, cr0);
	vmwrite(ENC_guest_cr3, cr3);
	vmwrite(ENC_guest_cr4, cr4);
	if (paging != PAGING_4_level)
		controls_clear(ENTRY_CTLS, ENTRY_ia32e_mode_guest);
}

/* Code in low memory, in segments of 64 KiB that start there. */
static void set_low_segments(const struct mode *mode)
{
	memcpy((void *)LOW, signature, SIGNATURE_SIZE);
	set_data_segments(LOW >> 4, LIMIT_64K, mode->data);
	vmwrite(ENC_guest_cs_selector, LOW >> 4);
	vmwrite(ENC_guest_cs_base, LOW);
	vmwrite(ENC_guest_rip, 0);
	vmwrite(ENC_guest_rsp, LOW_STACK - LOW);
}

static void make_mode(const struct mode *mode, bool ept)
{
	vmcs_make(signature);
	vmwrite(ENC_exception_bitmap, ~0u);
	set_paging(mode->paging);
	if (mode->real || mode->v8086) {
		set_low_segments(mode);
	} else {
		set_data_segments(0, LIMIT_4G, mode->data | AR_G);
		vmwrite(ENC_guest_rsp, LOW_STACK);
	}
	vmwrite(ENC_guest_cs_limit, mode->real || mode->v8086 ? LIMIT_64K : LIMIT_4G);
	vmwrite(ENC_guest_cs_access_rights, mode->real || mode->v8086 ? mode->code : mode->code | AR_G);
	if (mode->real)
		vmwrite(ENC_guest_cr0, vmread(ENC_guest_cr0) & ~CR0_PE);
	if (mode->v8086)
		vmwrite(ENC_guest_rflags, RFLAGS_ONE | RFLAGS_VM);
	if (needs_unrestricted(mode))
		controls_set(PROC2_CTLS, PROC2_unrestricted_guest);
	if (!ept)
		controls_clear(PROC2_CTLS, PROC2_enable_ept);
}

/* What of the state tells the mode, and the PDPTEs, which mean something with EPT and PAE paging alone. */
static void observe_mode(bool pdptes)
{
	observe("cr0=%lx cr3_offset=%lx cr4=%lx", vmread(ENC_guest_cr0), vmread(ENC_guest_cr3) & 0xfff,
		vmread(ENC_guest_cr4));
	observe("ia32e=%d", (vmread(ENC_vm_entry_controls) & ENTRY_ia32e_mode_guest) != 0);
	observe("cs=%lx:%lx/%lx/%lx", vmread(ENC_guest_cs_selector), vmread(ENC_guest_cs_base),
		vmread(ENC_guest_cs_limit), vmread(ENC_guest_cs_access_rights));
	observe("ss=%lx:%lx/%lx/%lx", vmread(ENC_guest_ss_selector), vmread(ENC_guest_ss_base),
		vmread(ENC_guest_ss_limit), vmread(ENC_guest_ss_access_rights));
	for (u32 i = 0; pdptes && i < ARRAY_SIZE(pdpt); i++)
		observe("pdpte%u=%lx", i, vmread(ENC_guest_pdpte0 + 2 * i));
}

static void expect_signature(const struct l2_exit *exit, const struct mode *mode, u64 stack)
{
	expect_exit(exit, REASON_vmcall);
	if (l2.gpr[RAX] != mode->rax)
		wrong("RAX must be %lx", mode->rax);
	if (stack - vmread(ENC_guest_rsp) != mode->pushed)
		wrong("PUSH must take %lu bytes", mode->pushed);
}

static void entered(const struct mode *mode, bool ept)
{
	struct l2_exit exit;
	u64 stack;

	case_begin("enter.%s.%s", mode->name, ept ? "ept" : "no_ept");
	make_mode(mode, ept);
	stack = vmread(ENC_guest_rsp);
	exit = l2_enter();
	observe_exit(&exit);
	observe("rax=%lx", l2.gpr[RAX]);
	observe_mode(ept && mode->paging == PAGING_pae);
	if (has_controls(PROC2_CTLS, PROC2_unrestricted_guest) || !needs_unrestricted(mode))
		expect_signature(&exit, mode, stack);
	case_end();
}

/* Without unrestricted guest, neither real mode nor a mode without paging can be entered. */
static void restricted(const struct mode *mode)
{
	struct l2_exit exit;

	case_begin("restricted.%s", mode->name);
	make_mode(mode, true);
	controls_clear(PROC2_CTLS, PROC2_unrestricted_guest);
	exit = l2_enter();
	observe_exit(&exit);
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, ENTRY_FAIL_general);
	case_end();
}

/*
 * One L2 through all modes, from real mode and back to it; VMCALL tells of each. ESI, EDI and EBP have the roots of
 * 4-level, PAE and 32-bit paging.
 */
extern const u8 travel[], travel_end[];
__asm__(".pushsection .text.l2, \"ax\"\n.balign 16\ntravel:\n"
	".code16\n"
	"	vmcall\n"
	"	movl	%cr0, %eax\n	orb	$1, %al\n	movl	%eax, %cr0\n"
	"	vmcall\n"
	"	ljmpl	$0x18, $(" LOW_TEXT " + 1f - travel)\n"
	".code32\n"
	"1:	movw	$0x10, %ax\n	movw	%ax, %ss\n	movw	%ax, %ds\n	movw	%ax, %es\n"
	"	vmcall\n"
	"	movl	%cr4, %eax\n	orl	$0x20, %eax\n	movl	%eax, %cr4\n	movl	%esi, %cr3\n"
	"	movl	$0xc0000080, %ecx\n	rdmsr\n	orl	$0x100, %eax\n	wrmsr\n"
	"	vmcall\n"
	"	movl	%cr0, %eax\n	orl	$0x80000000, %eax\n	movl	%eax, %cr0\n"
	"	vmcall\n"
	"	ljmpl	$0x08, $(" LOW_TEXT " + 2f - travel)\n"
	".code64\n"
	"2:	vmcall\n"
	"	pushq	$0x18\n	pushq	$(" LOW_TEXT " + 3f - travel)\n	lretq\n"
	".code32\n"
	"3:	movl	%cr0, %eax\n	andl	$0x7fffffff, %eax\n	movl	%eax, %cr0\n"
	"	vmcall\n"
	"	movl	$0xc0000080, %ecx\n	rdmsr\n	andl	$~0x100, %eax\n	wrmsr\n"
	"	movl	%edi, %cr3\n"
	"	movl	%cr0, %eax\n	orl	$0x80000000, %eax\n	movl	%eax, %cr0\n"
	"	vmcall\n"
	"	movl	%cr0, %eax\n	andl	$0x7fffffff, %eax\n	movl	%eax, %cr0\n"
	"	movl	%cr4, %eax\n	andl	$~0x20, %eax\n	orl	$0x10, %eax\n	movl	%eax, %cr4\n"
	"	movl	%ebp, %cr3\n"
	"	movl	%cr0, %eax\n	orl	$0x80000000, %eax\n	movl	%eax, %cr0\n"
	"	vmcall\n"
	"	movl	%cr0, %eax\n	andl	$0x7fffffff, %eax\n	movl	%eax, %cr0\n"
	"	movw	$0x40, %ax\n	movw	%ax, %ss\n	movw	%ax, %ds\n	movw	%ax, %es\n"
	"	ljmpl	$0x20, $(" LOW_TEXT " + 4f - travel)\n"
	".code16\n"
	"4:	vmcall\n"
	"	movl	%cr0, %eax\n	andb	$0xfe, %al\n	movl	%eax, %cr0\n"
	"	ljmpw	$(" LOW_TEXT " >> 4), $(5f - travel)\n"
	"5:	vmcall\n"
	"travel_end:\n.code64\n.popsection");

struct station {
	const char *name;
	u64 cr0; /* of PE and PG */
	bool ia32e, long_mode_enabled;
	u32 code; /* of L and D/B */
};

static const struct station stations[] = {
	{ "real", 0, false, false, 0 },
	{ "protected_16", CR0_PE, false, false, 0 },
	{ "protected_32", CR0_PE, false, false, AR_DB },
	{ "lme_without_pg", CR0_PE, false, true, AR_DB },
	{ "compatibility", CR0_PE | CR0_PG, true, true, AR_DB },
	{ "long", CR0_PE | CR0_PG, true, true, AR_L },
	{ "out_of_compatibility", CR0_PE, false, true, AR_DB },
	{ "pae", CR0_PE | CR0_PG, false, false, AR_DB },
	{ "paging_32", CR0_PE | CR0_PG, false, false, AR_DB },
	{ "protected_16_again", CR0_PE, false, false, 0 },
	{ "real_again", 0, false, false, 0 },
};
enum { STATION_pae = 7 };

static void expect_station(const struct l2_exit *exit, const struct station *station)
{
	u64 efer = (station->ia32e ? EFER_LMA : 0) | (station->long_mode_enabled ? EFER_LME : 0);

	expect_exit(exit, REASON_vmcall);
	if ((vmread(ENC_guest_cr0) & (CR0_PE | CR0_PG)) != station->cr0)
		wrong("CR0 must have %lx of PE and PG", station->cr0);
	if (!(vmread(ENC_vm_entry_controls) & ENTRY_ia32e_mode_guest) == station->ia32e)
		wrong("\"IA-32e mode guest\" must be saved as %d", station->ia32e);
	if ((vmread(ENC_guest_cs_access_rights) & (AR_L | AR_DB)) != station->code)
		wrong("CS must have %x of L and D", station->code);
	if (has_controls(EXIT_CTLS, EXIT_save_ia32_efer) &&
	    (vmread(ENC_guest_ia32_efer) & (EFER_LMA | EFER_LME)) != efer)
		wrong("IA32_EFER must have %lx of LMA and LME", efer);
}

static void make_travel(void)
{
	make_mode(&modes[0], true);
	memcpy((void *)LOW, travel, (size_t)(travel_end - travel));
	set_data_segments(LOW >> 4, LIMIT_64K, AR_DATA16);
	controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)zero_bitmap);
	controls_set(EXIT_CTLS, EXIT_save_ia32_efer & controls_may(EXIT_CTLS));
	controls_set(ENTRY_CTLS, ENTRY_load_ia32_efer & controls_may(ENTRY_CTLS));
	controls_clear(PROC_CTLS, PROC_cr3_load_exiting | PROC_cr3_store_exiting);
	l2.gpr[RSI] = read_cr3();
	l2.gpr[RDI] = (u64)pdpt;
	l2.gpr[RBP] = (u64)directory32;
}

/* SDM "Saving Control Registers, Debug Registers, and MSRs": what each change of mode leaves in the VMCS. */
static void travelling(bool resumes_each)
{
	make_travel();
	for (unsigned i = 0; i < ARRAY_SIZE(stations); i++) {
		char name[64];
		struct l2_exit exit;

		snprintf(name, sizeof(name), "%s.%s", resumes_each ? "travel" : "reload", stations[i].name);
		exit = l2_case_begin(name);
		observe_mode(i == STATION_pae);
		if (has_controls(EXIT_CTLS, EXIT_save_ia32_efer))
			observe("efer=%lx", vmread(ENC_guest_ia32_efer));
		expect_station(&exit, &stations[i]);
		case_end();
		vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + VMCALL_LENGTH);
		/* Writing back what was saved is to change nothing. */
		for (u32 field = ENC_guest_cr0; !resumes_each && field <= ENC_guest_cr4; field += 2)
			vmwrite(field, vmread(field));
		if (!resumes_each)
			vmwrite(ENC_guest_ia32_efer, vmread(ENC_guest_ia32_efer));
	}
}

/* SDM "Changes to Instruction Behavior in VMX Non-Root Operation", MOV to CR3 with PAE paging: the PDPTEs. */
#define PAE_CODE(name, text) L2_CODE(name, ".code32\n" text "\nvmcall\n.code64")
PAE_CODE(pae_load, "mov %eax, %cr3");
PAE_CODE(pae_pge, "mov %cr4, %ecx\nxor $0x80, %ecx\nmov %ecx, %cr4");
PAE_CODE(pae_read, "mov (%ebx), %eax");

struct pae_case {
	const char *name;
	const u8 *code;
	u64 *loads;
	bool garbage_in_memory, ept, faults;
	u64 expected; /* of the fourth PDPTE */
};

static void pae_case(const struct pae_case *row)
{
	static u64 other[4] __attribute__((aligned(32)));
	u64 *const from = row->loads ? row->loads : other;
	struct l2_exit exit;

	case_begin("pdptes.%s", row->name);
	memcpy(other, pdpt, sizeof(other));
	other[3] = row->expected;
	make_mode(&modes[7], row->ept);
	vmwrite(ENC_guest_rip, (u64)row->code);
	controls_clear(PROC_CTLS, PROC_cr3_load_exiting | PROC_cr3_store_exiting);
	if (row->garbage_in_memory)
		vmwrite(ENC_guest_cr3, (u64)bad_pdpt);
	l2.gpr[RAX] = (u64)from;
	l2.gpr[RBX] = (u64)other;
	exit = l2_enter();
	observe_exit(&exit);
	observe_mode(row->ept);
	expect_exit(&exit, row->faults ? REASON_exception_or_nmi : REASON_vmcall);
	if (row->faults && (exit.intr & INTR_VECTOR) != VECTOR_GP)
		wrong("the load must be #GP");
	if (row->ept && vmread(ENC_guest_pdpte3) != row->expected)
		wrong("PDPTE 3 must be %lx", row->expected);
	case_end();
}

static void pdptes(void)
{
	const u64 old = pdpt[3];
	const struct pae_case rows[] = {
		{ "loaded", pae_load, NULL, false, true, false, 0 },
		{ "loaded_not_present", pae_load, NULL, false, true, false, 0xfffffffffffffffeull },
		{ "reserved", pae_load, bad_pdpt, false, true, true, old },
		{ "of_vmcs", pae_read, NULL, true, true, false, old },
		{ "cr4_loads_again", pae_pge, NULL, true, true, true, old },
		{ "no_ept.loaded", pae_load, NULL, false, false, false, 0 },
		{ "no_ept.reserved", pae_load, bad_pdpt, false, false, true, old },
		{ "no_ept.cr4", pae_pge, NULL, false, false, false, old },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		pae_case(&rows[i]);
}

/* Control registers in 64-bit mode and outside, which an unrestricted guest may change more freely. */
L2_CODE(mov_to_cr0, "mov %rax, %cr0");
L2_CODE(mov_to_cr4, "mov %rax, %cr4");

static void control_registers(void)
{
	static const struct {
		const char *name;
		const u8 *code;
		bool unrestricted, faults;
		u64 clear;
	} rows[] = {
		{ "cr0.pg_in_64_bit_mode", mov_to_cr0, true, true, CR0_PG },
		{ "cr0.pe_with_paging", mov_to_cr0, true, true, CR0_PE },
		{ "cr0.pe_and_pg_in_64_bit_mode", mov_to_cr0, true, true, CR0_PE | CR0_PG },
		{ "cr0.ne_unrestricted", mov_to_cr0, true, true, CR0_NE },
		{ "cr4.pae_in_long_mode", mov_to_cr4, true, true, CR4_PAE },
		{ "cr4.vmxe_unrestricted", mov_to_cr4, true, true, CR4_VMXE },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		vmcs_make(rows[i].code);
		controls_set(PROC2_CTLS, PROC2_unrestricted_guest);
		vmwrite(ENC_exception_bitmap, ~0u);
		l2.gpr[RAX] = (rows[i].code == mov_to_cr0 ? read_cr0() : read_cr4()) & ~rows[i].clear;
		exit = l2_case_begin(rows[i].name);
		observe("cr0=%lx cr4=%lx", vmread(ENC_guest_cr0), vmread(ENC_guest_cr4));
		expect_exit(&exit, REASON_exception_or_nmi);
		if ((exit.intr & INTR_VECTOR) != VECTOR_GP)
			wrong("it must be #GP");
		case_end();
	}
}

/* Events through the vectors of real mode: a frame of three words, no error code. SDM "Event Injection". */
static void real_mode_events(void)
{
	static const struct {
		const char *name;
		u32 type, vector, length;
	} rows[] = {
		{ "real_event.external", INTR_external, 0x40, 0 },
		{ "real_event.nmi", INTR_nmi, VECTOR_NMI, 0 },
		{ "real_event.software", INTR_software_interrupt, 0x21, 2 },
		{ "real_event.ud", INTR_hardware_exception, VECTOR_UD, 0 },
		{ "real_event.gp", INTR_hardware_exception, VECTOR_GP, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const u16 *frame = (const u16 *)(LOW_STACK - 6);
		struct l2_exit exit;

		make_mode(&modes[0], true);
		vmwrite(ENC_guest_idtr_base, LOW_VECTORS);
		vmwrite(ENC_guest_idtr_limit, 0x3ff);
		vmwrite(ENC_guest_rflags, RFLAGS_ONE | RFLAGS_IF);
		vmwrite(ENC_vm_entry_interruption_information,
			(u32)INTR_VALID | rows[i].type << INTR_TYPE_SHIFT | rows[i].vector);
		vmwrite(ENC_vm_entry_instruction_length, rows[i].length);
		((u32 *)LOW_VECTORS)[rows[i].vector] = (LOW >> 4) << 16 | 6; /* PUSH %AX is there, then VMCALL */
		exit = l2_case_begin(rows[i].name);
		observe("frame=%x %x %x", frame[0], frame[1], frame[2]);
		expect_exit(&exit, REASON_vmcall);
		if (frame[0] != rows[i].length || frame[1] != LOW >> 4 || frame[2] != (RFLAGS_ONE | RFLAGS_IF))
			wrong("IP, CS and FLAGS must be on the stack");
		case_end();
	}
}

void group(void)
{
	const bool unrestricted = has_controls(PROC2_CTLS, PROC2_unrestricted_guest);

	vmx_start();
	make_tables();
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (unrestricted || !needs_unrestricted(&modes[i]))
			entered(&modes[i], true);
		if (needs_unrestricted(&modes[i]))
			restricted(&modes[i]);
		else
			entered(&modes[i], false);
	}
	pdptes();
	if (!unrestricted)
		return;
	travelling(true);
	travelling(false);
	control_registers();
	real_mode_events();
}
