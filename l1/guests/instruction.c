/* instruction: executes an instruction by its name, at CPL 0 or 3: what=NAME@0, what=NAME@3 or what=all */
/* Exits with count=N: io_instruction C + 1, C being the characters printed, and N times those of the instruction. */
#include "print.h"
#include "runtime/runtime.h"
#include "string.h"

#define CPL3 3
#define VECTOR_CALL 0x31 /* what INT n in a piece calls */
#define VECTOR_BACK 0x32 /* from CPL 3 to the payload */
#define VECTOR_IPI GUEST_VECTOR_IPI
#define STACK_SIZE 4096
#define VECTORS_OF_FAULTS 32
#define VECTOR_SPURIOUS 0xff
#define TEXT_SIZE 13
#define RESULT_SIZE 64

/* Where SYSCALL finds its segments, and SYSRET those of CPL 3: SDM "Fast System Calls in 64-Bit Mode" */
enum {
	SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_SYSRET = 0x18, SEL_USER_DATA = 0x20, SEL_USER_CODE = 0x28, SEL_TSS = 0x30
};
#define SYSCALL_SELECTORS ((u64)(SEL_SYSRET | CPL3) << 48 | (u64)SEL_CODE << 32)

enum kind { DONE, VALUE, TEXT }; /* nothing to tell, what is in RAX, what is in piece_text */
/* CR4.TSD, CR4.OSXSAVE; a local APIC in x2APIC mode; one that minivisor is not between */
enum need { NOTHING, TSD, OSXSAVE, APIC, OWNAPIC };

/* By the MSRs of the APIC: SDM "x2APIC Register Address Space" */
#define SELF_IPI "movl $0x83f, %ecx; movl $0x33, %eax; xorl %edx, %edx; wrmsr; "
#define END_OF_INTERRUPT "movl $0x80b, %ecx; xorl %eax, %eax; xorl %edx, %edx; wrmsr"

/*
 * X(name, kind, what it needs, code). The registers that C keeps over calls are kept but for RBX; what
 * faults is gone on with at its end.
 */
#define PIECES(X) \
	X(nop, DONE, NOTHING, "nop") \
	X(load, DONE, NOTHING, "movl piece_text, %eax") \
	X(cpl, VALUE, NOTHING, "movl %cs, %eax; andl $3, %eax") \
	X(int_n, DONE, NOTHING, "int $0x31") \
	X(syscall, DONE, NOTHING, "syscall") \
	X(ud2, DONE, NOTHING, "ud2") \
	X(int3, DONE, NOTHING, "int3") \
	X(divide, DONE, NOTHING, "xorl %eax, %eax; xorl %edx, %edx; divl %eax") \
	X(page_fault, DONE, NOTHING, "movl 0x40000000, %eax") \
	X(cpuid_0, TEXT, NOTHING, \
	  "xorl %eax, %eax; cpuid; movl %ebx, piece_text; movl %edx, piece_text+4; movl %ecx, piece_text+8") \
	X(cpuid_1_ecx, VALUE, NOTHING, "movl $1, %eax; cpuid; movl %ecx, %eax") \
	X(cpuid_40000000, TEXT, NOTHING, \
	  "movl $0x40000000, %eax; cpuid; movl %ebx, piece_text; movl %ecx, piece_text+4; movl %edx, piece_text+8") \
	X(rdtsc, DONE, NOTHING, "rdtsc") \
	X(rdtsc_tsd, DONE, TSD, "rdtsc") \
	X(rdtscp, DONE, NOTHING, "rdtscp") \
	X(rdpmc, DONE, NOTHING, "xorl %ecx, %ecx; rdpmc") \
	X(rdrand, DONE, NOTHING, "rdrand %rax") \
	X(rdmsr_fs_base, DONE, NOTHING, "movl $0xc0000100, %ecx; rdmsr") \
	X(wrmsr_fs_base, DONE, NOTHING, "movl $0xc0000100, %ecx; xorl %eax, %eax; xorl %edx, %edx; wrmsr") \
	X(rdmsr_sysenter_cs, DONE, NOTHING, "movl $0x174, %ecx; rdmsr") \
	X(wrmsr_sysenter_cs, DONE, NOTHING, "movl $0x174, %ecx; xorl %eax, %eax; xorl %edx, %edx; wrmsr") \
	X(rdmsr_vmx_basic, DONE, NOTHING, "movl $0x480, %ecx; rdmsr") \
	X(rdmsr_unknown, DONE, NOTHING, "movl $0x12345678, %ecx; rdmsr") \
	X(sgdt, VALUE, NOTHING, "sgdt piece_text; movq piece_text+2, %rax") \
	X(sidt, VALUE, NOTHING, "sidt piece_text; movq piece_text+2, %rax") \
	X(sldt, VALUE, NOTHING, "sldt %rax") \
	X(str, VALUE, NOTHING, "str %rax") \
	X(smsw, VALUE, NOTHING, "smsw %rax") \
	X(lgdt, DONE, NOTHING, "sgdt piece_text; lgdt piece_text") \
	X(lidt, DONE, NOTHING, "sidt piece_text; lidt piece_text") \
	X(swapgs, DONE, NOTHING, "swapgs") \
	X(mov_from_cr0, VALUE, NOTHING, "movq %cr0, %rax") \
	X(mov_to_cr0, DONE, NOTHING, "movq %cr0, %rax; movq %rax, %cr0") \
	X(clts, DONE, NOTHING, "clts") \
	X(mov_from_cr3, DONE, NOTHING, "movq %cr3, %rax") \
	X(mov_to_cr3, DONE, NOTHING, "movq %cr3, %rax; movq %rax, %cr3") \
	X(mov_from_cr4, VALUE, NOTHING, "movq %cr4, %rax") \
	X(mov_to_cr4, DONE, NOTHING, "movq %cr4, %rax; movq %rax, %cr4") \
	X(mov_to_cr4_vmxe, DONE, NOTHING, \
	  "movq %cr4, %rax; orl $0x2000, %eax; movq %rax, %cr4; andl $~0x2000, %eax; movq %rax, %cr4") \
	X(mov_from_cr8, VALUE, NOTHING, "movq %cr8, %rax") \
	X(mov_to_cr8, DONE, NOTHING, "xorl %eax, %eax; movq %rax, %cr8") \
	X(mov_from_dr7, VALUE, NOTHING, "movq %dr7, %rax") \
	X(mov_to_dr7, DONE, NOTHING, "movl $0x400, %eax; movq %rax, %dr7") \
	X(in_80, DONE, NOTHING, "inb $0x80, %al") \
	X(out_80, DONE, NOTHING, "outb %al, $0x80") \
	X(in_e0, DONE, NOTHING, "inb $0xe0, %al") \
	X(out_e0, DONE, NOTHING, "outb %al, $0xe0") \
	X(pushf, VALUE, NOTHING, "pushfq; popq %rax; andl $0x200, %eax") \
	X(popf_if, VALUE, NOTHING, \
	  "pushfq; orl $0x200, (%rsp); popfq; pushfq; popq %rax; andl $0x200, %eax; " \
	  "pushfq; andl $~0x200, (%rsp); popfq") \
	X(cli, DONE, NOTHING, "cli") \
	X(sti, DONE, NOTHING, "sti; cli") \
	X(hlt, DONE, NOTHING, "hlt") \
	X(hlt_woken, DONE, OWNAPIC, SELF_IPI "sti; hlt; cli; " END_OF_INTERRUPT) \
	X(self_ipi, DONE, APIC, SELF_IPI "sti; nop; cli; " END_OF_INTERRUPT) \
	X(eoi, DONE, APIC, END_OF_INTERRUPT) \
	X(pause, DONE, NOTHING, "pause") \
	X(monitor, DONE, NOTHING, "movl $piece_text, %eax; xorl %ecx, %ecx; xorl %edx, %edx; monitor") \
	X(invlpg, DONE, NOTHING, "invlpg piece_text") \
	X(wbinvd, DONE, NOTHING, "wbinvd") \
	X(invd, DONE, NOTHING, "invd") \
	X(xgetbv, DONE, OSXSAVE, "xorl %ecx, %ecx; xgetbv") \
	X(xsetbv, DONE, OSXSAVE, "xorl %ecx, %ecx; xgetbv; xsetbv") \
	X(vmcall, DONE, NOTHING, "xorl %eax, %eax; xorl %ebx, %ebx; vmcall") \
	X(vmread, DONE, NOTHING, "vmread %rax, %rcx") \
	X(vmxoff, DONE, NOTHING, "vmxoff")

#define DEFINE_PIECE(name, kind, need, text) \
	extern const u8 piece_##name[]; \
	__asm__(".pushsection .text\npiece_" #name ": " text "\nret\n.popsection");
PIECES(DEFINE_PIECE)

static const struct piece {
	const char *name;
	enum kind kind;
	enum need need;
	const u8 *code;
} pieces[] = {
#define PIECE(name, kind, need, text) { #name, kind, need, piece_##name },
	PIECES(PIECE)
};

u64 piece_value, payload_stack;
char piece_text[TEXT_SIZE + 3];
u8 piece_stack[STACK_SIZE] __attribute__((aligned(16)));

/*
 * piece_repeat(code, count): calls it so often, each time on a clean stack. At CPL 3 by way of piece_repeat_user, which
 * returns at piece_user_back. SYSCALL goes straight back.
 */
void piece_repeat(const u8 *code, u64 count);
void piece_repeat_user(const u8 *code, u64 count);
extern const u8 piece_resume[], piece_user_back[], sysret_here[];
__asm__(".pushsection .text\n"
	".macro for_kept operation, registers:vararg\n"
	".irp register, \\registers; \\operation %\\register; .endr\n"
	".endm\n"
	"piece_repeat: for_kept pushq, rbx, rbp, r12, r13, r14, r15\n"
	"movq %rdi, %r12; movq %rsi, %r13; movq %rsp, %r14\n"
	"1: call *%r12\n"
	"movq %rax, piece_value\n"
	"piece_resume: movq %r14, %rsp; decq %r13; jnz 1b\n"
	"for_kept popq, r15, r14, r13, r12, rbp, rbx; ret\n"
	"piece_repeat_user: for_kept pushq, rbx, rbp, r12, r13, r14, r15\n"
	"movq %rsp, payload_stack\n"
	"pushq $0x23; pushq $piece_stack+4096; pushq $2; pushq $0x2b; pushq $1f; iretq\n"
	"1: call piece_repeat; int $0x32\n"
	"piece_user_back: for_kept popq, r15, r14, r13, r12, rbp, rbx; ret\n"
	"sysret_here: sysretq\n"
	".popsection");

static struct PACKED {
	u32 reserved0;
	u64 rsp[3], reserved1, ist[7], reserved2;
	u16 reserved3, io_map;
} tss;
static u8 trap_stack[STACK_SIZE] __attribute__((aligned(16)));
static u64 gdt[SEL_TSS / 8 + 2] = {
	0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cff3000000ffff, 0x00affb000000ffff
};

static struct trap_frame trapped; /* the last one */
static bool has_trapped, in_piece;

/* Beside a piece nothing may trap. */
static void note_trap(struct trap_frame *frame)
{
	trapped = *frame;
	has_trapped = true;
	if (!in_piece)
		unexpected_trap(frame);
	frame->rip = (uintptr_t)piece_resume;
}

static void return_at_once(struct trap_frame *frame)
{
	(void)frame;
}

static void return_to_payload(struct trap_frame *frame)
{
	frame->rip = (uintptr_t)piece_user_back;
	frame->cs = SEL_CODE;
	frame->ss = SEL_DATA;
	frame->rsp = payload_stack;
}

/* SDM "TSS Descriptor in 64-bit mode" */
static void load_tables(void)
{
	u64 base = (uintptr_t)&tss;

	tss.rsp[0] = (uintptr_t)trap_stack + STACK_SIZE;
	tss.io_map = sizeof(tss);
	gdt[SEL_TSS / 8] = 0x0000890000000000 | (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
	gdt[SEL_TSS / 8 + 1] = base >> 32;
	lgdt(&(struct descriptor_pointer){ sizeof(gdt) - 1, (uintptr_t)gdt });
	ltr(SEL_TSS);
}

static void open_tables(u64 *table, unsigned levels)
{
	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*table); i++) {
		if (!(table[i] & PTE_PRESENT))
			continue;
		table[i] |= PTE_USER;
		if (levels > 1)
			open_tables((u64 *)(uintptr_t)(table[i] & PTE_ADDRESS), levels - 1);
	}
}

/* All memory to CPL 3, gates for what it calls, and SYSCALL; minivisor has it on already. */
static void open_to_user(void)
{
	load_tables();
	open_tables((u64 *)read_cr3(), 3);
	write_cr3(read_cr3());
	for (unsigned vector = 0; vector < VECTORS_OF_FAULTS; vector++)
		on_trap(vector, note_trap);
	on_trap(VECTOR_CALL, return_at_once);
	on_trap(VECTOR_IPI, return_at_once);
	on_trap(VECTOR_BACK, return_to_payload);
	open_gate(VECTOR_BP);
	open_gate(VECTOR_CALL);
	open_gate(VECTOR_BACK);
	if (!on_minivisor())
		wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_SCE);
	wrmsr(MSR_IA32_STAR, SYSCALL_SELECTORS);
	wrmsr(MSR_IA32_LSTAR, (uintptr_t)sysret_here);
}

/* Twelve characters, or fewer with zeros behind, as hypervisors sign. */
static bool printable(const char *text)
{
	size_t length = strlen(text);

	for (size_t i = length; i < TEXT_SIZE - 1; i++)
		if (text[i])
			return false;
	for (size_t i = 0; i < length; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return length > 0;
}

static void tell_text(char *result)
{
	u32 words[3];

	memcpy(words, piece_text, sizeof(words));
	piece_text[TEXT_SIZE - 1] = '\0';
	if (printable(piece_text))
		snprintf(result, RESULT_SIZE, "\"%s\"", piece_text);
	else
		snprintf(result, RESULT_SIZE, "0x%x 0x%x 0x%x", words[0], words[1], words[2]);
}

static void tell_trap(char *result)
{
	static const char *const names[VECTORS_OF_FAULTS] = {
		[VECTOR_DE] = "#DE", [VECTOR_BP] = "#BP", [VECTOR_UD] = "#UD", [VECTOR_GP] = "#GP", [VECTOR_PF] = "#PF",
	};
	const char *name = names[trapped.vector];

	if (!name)
		snprintf(result, RESULT_SIZE, "vector %lu", trapped.vector);
	else if (trapped.vector == VECTOR_GP || trapped.vector == VECTOR_PF)
		snprintf(result, RESULT_SIZE, "%s(%lx)", name, trapped.error_code);
	else
		snprintf(result, RESULT_SIZE, "%s", name);
}

static void tell(const struct piece *piece, char *result)
{
	if (has_trapped)
		tell_trap(result);
	else if (piece->kind == TEXT)
		tell_text(result);
	else if (piece->kind == VALUE)
		snprintf(result, RESULT_SIZE, "0x%lx", piece_value);
	else
		snprintf(result, RESULT_SIZE, "done");
}

#define MSR_X2APIC_SPURIOUS 0x80f
#define APIC_SOFTWARE_ENABLE BIT(8)

static void provide(enum need need, u64 cr4)
{
	switch (need) {
	case NOTHING:
		break;
	case TSD:
		write_cr4(cr4 | CR4_TSD);
		break;
	case OSXSAVE:
		write_cr4(cr4 | CR4_OSXSAVE);
		break;
	case APIC:
	case OWNAPIC:
		if (on_minivisor())
			break;
		wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
		wrmsr(MSR_X2APIC_SPURIOUS, APIC_SOFTWARE_ENABLE | VECTOR_SPURIOUS);
		break;
	}
}

/* Ticks are told of what was asked for by name: they are not the same on every level. */
static void execute(const struct piece *piece, unsigned cpl, u64 count)
{
	u64 cr4 = read_cr4(), ticks;
	char result[RESULT_SIZE];

	has_trapped = false;
	provide(piece->need, cr4);
	in_piece = true;
	ticks = rdtsc();
	if (cpl == CPL3)
		piece_repeat_user(piece->code, count);
	else
		piece_repeat(piece->code, count);
	ticks = rdtsc() - ticks;
	in_piece = false;
	write_cr4(cr4);
	tell(piece, result);
	report("%s@%u: %s", piece->name, cpl, result);
	if (parameters->what[0])
		report("ticks: %lu", ticks);
}

/* At CPL 0, SYSCALL has no way back. Nothing ends HLT, not even a window that minivisor opens: Bochs 2.7 sleeps on. */
static bool is_possible(const struct piece *piece, unsigned cpl)
{
	if (piece->need == OSXSAVE && !(cpuid(1, 0).ecx & CPUID1_ECX_XSAVE))
		return false;
	if (piece->need == OWNAPIC && on_minivisor())
		return false;
	if (piece->need == APIC || piece->need == OWNAPIC)
		return cpl == 0;
	return cpl == CPL3 || (piece->code != piece_syscall && piece->code != piece_hlt);
}

/* Is it what was asked for, "NAME@CPL"? */
static bool is_asked_for(const struct piece *piece, unsigned cpl, const char *what)
{
	size_t length = strlen(piece->name);

	return !strncmp(what, piece->name, length) && what[length] == '@' && what[length + 1] == (char)('0' + cpl) &&
	       !what[length + 2];
}

bool payload(u64 count)
{
	char what[GUEST_WHAT_SIZE];
	unsigned executed = 0;

	for (unsigned i = 0; i < sizeof(what); i++)
		what[i] = parameters->what[i];
	open_to_user();
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++)
		for (unsigned cpl = 0; cpl <= CPL3; cpl += CPL3) {
			if (strcmp(what, "all") && !is_asked_for(&pieces[i], cpl, *what ? what : "nop@0"))
				continue;
			if (is_possible(&pieces[i], cpl)) {
				execute(&pieces[i], cpl, count);
				executed++;
			}
		}
	if (!executed)
		report("instruction: what=%s names none; give what=NAME@0, what=NAME@3 or what=all", what);
	return executed;
}
