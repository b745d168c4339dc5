/*
 * Hardware task switches of every source, into tasks of every kind, with every fault that one can meet; prints what
 * the new task finds, what the old TSS holds and what the descriptors have become. SDM "Task Management".
 */
#include "lib/trap_image.h"

enum { CODE = 0x08, DATA = 0x10, MAIN = 0x18, TSS32 = 0x20, TSS16 = 0x28, LDT = 0x30, GATE = 0x38, USER_CODE = 0x40,
       USER_DATA = 0x48, ABSENT_CODE = 0x50, ABSENT_DATA = 0x58, READ_ONLY = 0x60, CONFORMING = 0x68,
       EXECUTE_ONLY = 0x70, LOW_CODE = 0x78, STACK16 = 0x80, TINY_CODE = 0x88, ABSENT_LDT = 0x90, SHORT_TSS = 0x98,
       ABSENT_TSS = 0xa0, HANDLER = 0xa8, USER_CONFORMING = 0xb0, BEYOND = 0xc0 };
#define GDT_ENTRIES (BEYOND / 8)
#define RPL3 3
#define IN_LDT 4

enum { TYPE_TSS16 = 0x81, TYPE_TSS32 = 0x89, TYPE_LDT = 0x82, TYPE_GATE = 0x85, TYPE_INTERRUPT = 0x8e,
       TYPE_USER_INTERRUPT = 0xee, TYPE_CODE = 0x9a, TYPE_DATA = 0x92, TYPE_READ_ONLY = 0x90, TYPE_EXECUTE_ONLY = 0x98,
       TYPE_CONFORMING = 0x9e, OF_USER = 0x60, PRESENT = 0x80 };
#define FLAGS_FLAT 0xc
#define FLAGS_16BIT 0
#define FLAGS_BYTES 4
#define NO_FLAGS 0

enum { GATE_VECTOR = 33, IDT_ENTRIES };
#define VM_FLAG 0x20000
#define NT_FLAG 0x4000
#define REAL_CODE 0x8000
#define OPCODE_HLT 0xf4
#define LOCAL_BREAKPOINTS 0x155
#define APIC_ICR 0xfee00300u
#define APIC_ICR_SELF_NMI 0x40400

struct tss {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, gpr[8], segment[6], ldt, trap;
};
struct tss16 {
	u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, gpr[8], segment[4], ldt;
};
enum { ES, CS, SS, DS, FS, GS };

/* lib/task_stubs.S */
void task_entry(void), user_entry(void);
void task_main(void);
NORETURN void main(void);

struct seen {
	u32 gpr[8], segment[6], tr, ldt, cr0, cr3, dr7, eflags, top;
};
struct seen seen;

static u64 gdt[GDT_ENTRIES], idt[IDT_ENTRIES], ldt[4];
static u32 directory[2][1024] __attribute__((aligned(4096)));
static u8 pages[3][4096] __attribute__((aligned(4096)));
static struct tss main_tss, handler_tss;
static struct tss *task_tss = (struct tss *)(pages[1] - sizeof(struct tss) / 2); /* across a page boundary */
static struct tss16 tss16;
static u8 stack0[1024], task_stack[1024], handler_stack[1024], stack16[4096];
static u32 *changed; /* a page-table entry */
static u32 skip; /* bytes that the old task is to go on further */
static bool paging, nested_nmi;

static void segment(u32 selector, u32 base, u32 limit, u32 type, u32 flags)
{
	fill_segment(&gdt[selector / 8], base, limit, type, flags);
}

static void gate(u32 vector, u32 selector, u32 offset, u32 type)
{
	fill_gate(&idt[vector], selector, offset, type);
}

static void fill_tss_descriptors(void)
{
	segment(MAIN, (u32)&main_tss, sizeof(main_tss) - 1, TYPE_TSS32, NO_FLAGS);
	segment(TSS32, (u32)task_tss, sizeof(*task_tss) - 1, TYPE_TSS32, NO_FLAGS);
	segment(TSS16, (u32)&tss16, sizeof(tss16) - 1, TYPE_TSS16, NO_FLAGS);
	segment(HANDLER, (u32)&handler_tss, sizeof(handler_tss) - 1, TYPE_TSS32, NO_FLAGS);
	segment(SHORT_TSS, (u32)task_tss, sizeof(*task_tss) - 2, TYPE_TSS32, NO_FLAGS);
	segment(ABSENT_TSS, (u32)task_tss, sizeof(*task_tss) - 1, TYPE_TSS32 & ~PRESENT, NO_FLAGS);
}

static void fill_gdt(void)
{
	segment(CODE, 0, 0xfffff, TYPE_CODE, FLAGS_FLAT);
	segment(DATA, 0, 0xfffff, TYPE_DATA, FLAGS_FLAT);
	segment(LDT, (u32)ldt, sizeof(ldt) - 1, TYPE_LDT, NO_FLAGS);
	segment(GATE, 0, 0, 0, 0);
	gdt[GATE / 8] = TSS32 << 16 | (u64)TYPE_GATE << 40;
	segment(USER_CODE, 0, 0xfffff, TYPE_CODE | OF_USER, FLAGS_FLAT);
	segment(USER_DATA, 0, 0xfffff, TYPE_DATA | OF_USER, FLAGS_FLAT);
	segment(ABSENT_CODE, 0, 0xfffff, TYPE_CODE & ~PRESENT, FLAGS_FLAT);
	segment(ABSENT_DATA, 0, 0xfffff, TYPE_DATA & ~PRESENT, FLAGS_FLAT);
	segment(READ_ONLY, 0, 0xfffff, TYPE_READ_ONLY, FLAGS_FLAT);
	segment(CONFORMING, 0, 0xfffff, TYPE_CONFORMING, FLAGS_FLAT);
	segment(USER_CONFORMING, 0, 0xfffff, TYPE_CONFORMING | OF_USER, FLAGS_FLAT);
	segment(EXECUTE_ONLY, 0, 0xfffff, TYPE_EXECUTE_ONLY, FLAGS_FLAT);
	segment(LOW_CODE, (u32)task_entry, 0xffff, TYPE_CODE, FLAGS_BYTES);
	segment(STACK16, (u32)stack16, sizeof(stack16) - 1, TYPE_DATA, FLAGS_16BIT);
	segment(TINY_CODE, 0, 0xff, TYPE_CODE, FLAGS_BYTES);
	segment(ABSENT_LDT, (u32)ldt, sizeof(ldt) - 1, TYPE_LDT & ~PRESENT, NO_FLAGS);
	ldt[1] = gdt[DATA / 8];
	fill_tss_descriptors();
}

static void fill_idt(void)
{
	for (u32 vector = 0; vector < 33; vector++)
		gate(vector, CODE, trap_stubs[vector], vector == 32 ? TYPE_USER_INTERRUPT : TYPE_INTERRUPT);
	gate(GATE_VECTOR, TSS32, 0, TYPE_GATE);
}

/* A task that works: cases change what they are about. */
static void fill_tasks(void)
{
	*task_tss = (struct tss){
		.esp0 = (u32)(stack0 + sizeof(stack0)), .ss0 = DATA, .cr3 = (u32)directory[1], .eip = (u32)task_entry,
		.eflags = 0xffc08ad7, .gpr = { 0xa0a0a0a0, 0xa1a1a1a1, 0xa2a2a2a2, 0xa3a3a3a3,
		(u32)(task_stack + sizeof(task_stack) - 16), 0xa5a5a5a5, 0xa6a6a6a6, 0xa7a7a7a7 },
		.segment = { DATA, CODE, DATA, DATA, 0, DATA }, .ldt = LDT,
	};
	handler_tss = *task_tss;
	handler_tss.gpr[4] = (u32)(handler_stack + sizeof(handler_stack) - 16);
	tss16 = (struct tss16){
		.flags = 0xcd7, .gpr = { 0xb0b0, 0xb1b1, 0xb2b2, 0xb3b3, sizeof(stack16) - 16, 0xb5b5, 0xb6b6, 0xb7b7 },
		.segment = { DATA, LOW_CODE, STACK16, DATA }, .ldt = 0,
	};
}


/* The main task as it was, whatever a case made of it. */
static void recover(void)
{
	u32 flags;

	fill_gdt();
	fill_idt();
	fill_tasks();
	load_tables(gdt, sizeof(gdt), idt, sizeof(idt));
	main_tss = (struct tss){ .esp0 = (u32)(stack0 + sizeof(stack0)), .ss0 = DATA, .cr3 = (u32)directory[0] };
	__asm__ volatile("ljmp %0, $1f; 1: mov %1, %%ds; mov %1, %%es; mov %1, %%ss; mov %1, %%fs; mov %1, %%gs"
			 : : "i"(CODE), "r"(DATA));
	load_task_register(MAIN);
	__asm__ volatile("lldt %w0; clts" : : "r"(0) : "memory");
	__asm__ volatile("pushfl; popl %0; andl %1, %0; pushl %0; popfl" : "=&r"(flags) : "i"(~NT_FLAG) : "cc");
	put_dr7(DR7_RESET);
	put_dr6(DR6_RESET);
	if (paging)
		put_cr3((u32)directory[0]);
	skip = 0;
}

/* The page that a case is about is as others again, so that it can be looked at. */
static void restore_page(void)
{
	if (!changed)
		return;
	*changed = (*changed & ~0xfffu) | 3;
	put_cr3(get_cr3());
	changed = NULL;
}

static void print_old(void)
{
	static const char *const what[] = { "main ", "task ", "16 ", "handler " };
	static const u32 selector[] = { MAIN, TSS32, TSS16, HANDLER };

	restore_page();
	print(" types: ");
	for (u32 i = 0; i < ARRAY_SIZE(selector); i++)
		word(what[i], (u32)(gdt[selector[i] / 8] >> 40) & 0xff);
	word("links: ", task_tss->link);
	word("", tss16.link);
	word("", handler_tss.link);
	print("\n main's TSS: ");
	word("eflags ", main_tss.eflags);
	for (u32 i = 0; i < 8; i++)
		word(i == 4 ? "esp? " : "", i == 4 ? main_tss.gpr[i] != 0 : main_tss.gpr[i]);
	for (u32 i = 0; i < 6; i++)
		word("", main_tss.segment[i]);
	word("cr3 ", main_tss.cr3 == (u32)directory[0]);
	word("accessed ", (u32)(gdt[USER_DATA / 8] >> 40) & 0xff);
	word("", (u32)(gdt[CODE / 8] >> 40) & 0xff);
	word("ldt's ", (u32)(ldt[1] >> 40) & 0xff);
	print("\n");
}

static void print_seen(void)
{
	print("\n task:");
	for (u32 i = 0; i < 8; i++)
		word(" ", i == 4 ? seen.gpr[4] & 0xfff00fff : seen.gpr[i]);
	print("\n  segments ");
	for (u32 i = 0; i < 6; i++)
		word("", seen.segment[i]);
	word("tr ", seen.tr);
	word("ldt ", seen.ldt);
	word("cr0 ", seen.cr0);
	word("cr3 ", seen.cr3 == (u32)directory[1]);
	word("dr7 ", seen.dr7);
	word("eflags ", seen.eflags);
	word("top ", seen.top);
	print("\n");
}

static void self_nmi(void)
{
	*(volatile u32 *)APIC_ICR = APIC_ICR_SELF_NMI;
	for (volatile u32 i = 0; i < 100; i++)
		;
}

void task_main(void)
{
	print_seen();
	print_old();
	if (nested_nmi) { /* blocked until IRET */
		gate(VECTOR_NMI, CODE, trap_stubs[VECTOR_NMI], TYPE_INTERRUPT);
		self_nmi();
		print(" still here\n");
	}
	if (seen.tr == HANDLER)
		attempt_end();
	main_tss.eip += skip;
}


void trap_main(const struct trap_frame *frame, u32 ss)
{
	u32 tr, depth = frame->esp_of_trap - (u32)(stack0 + sizeof(stack0));

	__asm__("str %0" : "=r"(tr));
	print("\n");
	word(" trap ", frame->vector);
	word("error ", frame->error_code);
	word("in task ", frame->eip == (u32)task_entry);
	word("at user ", frame->eip == (u32)user_entry + 2);
	/* Which RPL a CS has that was loaded beside no stack, is nowhere defined. */
	word("cs ", frame->vector < GATE_VECTOR - 1 && depth + 64 <= 64 ? frame->cs & 0xfff8 : frame->cs & 0xffff);
	word("eflags ", frame->eflags);
	word("tr ", tr);
	word("ss ", ss);
	word("inner stack ", depth + 64 <= 64);
	word("dr6 ", get_dr6());
	if (frame->vector == VECTOR_PF)
		word("cr2 in pages ", get_cr2() - (u32)pages);
	if (depth + 64 <= 64)
		word("outer ss ", frame->ss & 0xffff);
	word("cr3 ", get_cr3() == (u32)directory[1]);
	word("cr0 ", get_cr0());
	print("\n");
	print_old();
	attempt_end();
}

/* The sources. Registers hold what the old TSS must show. */
#define SET_REGISTERS "pushal; movl $0xc0, %%eax; movl $0xc1, %%ecx; movl $0xc2, %%edx; movl $0xc3, %%ebx;" \
		      "movl $0xc5, %%ebp; movl $0xc6, %%esi; movl $0xc7, %%edi; stc; std;"
#define SOURCE(name, instruction) \
	static void name(void) \
	{ \
		__asm__ volatile(SET_REGISTERS instruction "; cld; popal" : : : "memory", "cc"); \
	}
SOURCE(by_call, "lcall $0x20, $0")
SOURCE(by_jmp, "ljmp $0x20, $0")
SOURCE(by_gate, "lcall $0x38, $0")
SOURCE(by_gate_jmp, "ljmp $0x38, $0")
SOURCE(by_int, "int $33")
SOURCE(by_call16, "lcall $0x28, $0")
SOURCE(by_jmp16, "ljmp $0x28, $0")
SOURCE(by_short, "lcall $0x98, $0")
SOURCE(by_absent, "lcall $0xa0, $0")
SOURCE(by_main, "lcall $0x18, $0")
SOURCE(by_beyond, "lcall $0xc0, $0")
SOURCE(by_ud, "ud2")
SOURCE(by_gp, "movl $0x1238, %%eax; movl %%eax, %%fs")
SOURCE(by_int1, ".byte 0xf1")
SOURCE(by_breakpoint, "int3")
SOURCE(by_page_fault, "movl %%eax, 0xd0000000")

static void by_iret(void)
{
	main_tss.link = TSS32;
	gdt[TSS32 / 8] |= 2ull << 40; /* busy: an outer task */
	__asm__ volatile(SET_REGISTERS "pushfl; orl $0x4000, (%%esp); popfl; iret; cld; popal" : : : "memory", "cc");
}

static void by_nmi(void)
{
	nested_nmi = true;
	gate(VECTOR_NMI, TSS32, 0, TYPE_GATE);
	self_nmi();
}

static void go(const char *name, void (*how)(void))
{
	u32 trapped;

	print(name);
	print(":");
	trapped = attempt(how);
	nested_nmi = false;
	if (!trapped) {
		u32 tr;

		__asm__("str %0" : "=r"(tr));
		word(" back, tr ", tr);
		print("\n");
	}
	print_old();
	recover();
}

static void sources(void)
{
	put_dr7(DR7_RESET | LOCAL_BREAKPOINTS | 2);
	go("call", by_call);
	go("jmp", by_jmp);
	go("call through a gate", by_gate);
	go("jmp through a gate", by_gate_jmp);
	go("int", by_int);
	go("iret", by_iret);
	go("call of 16 bits", by_call16);
	go("jmp of 16 bits", by_jmp16);
	go("short TSS", by_short);
	go("absent TSS", by_absent);
	go("busy TSS", by_main);
	go("no TSS", by_beyond);
}

static void exceptions(void)
{
	static const struct {
		const char *name;
		u32 vector, length;
		void (*how)(void);
	} cases[] = {
		{ "#UD", VECTOR_UD, 2, by_ud }, { "#GP", VECTOR_GP, 2, by_gp }, { "INT1", VECTOR_DB, 0, by_int1 },
		{ "INT3", VECTOR_BP, 0, by_breakpoint },
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		gate(cases[i].vector, TSS32, 0, TYPE_GATE);
		skip = cases[i].length;
		go(cases[i].name, cases[i].how);
		gate(cases[i].vector, TSS32, 0, TYPE_GATE);
		task_tss->segment[SS] = 0;
		go("the same to a task without a stack", cases[i].how);
	}
	gate(VECTOR_GP, TSS16, 0, TYPE_GATE);
	skip = 2;
	go("#GP to a task of 16 bits", by_gp);
	task_tss->segment[SS] = 0;
	go("INT to a task without a stack", by_int);
	if (*(volatile u32 *)0xfee00030 != ~0u)
		go("NMI", by_nmi);
}

static void with_segment(const char *name, u32 which, u32 selector)
{
	task_tss->segment[which] = selector;
	print(name);
	word(" ", selector);
	go("", by_call);
}

static void with_ldt(u32 selector)
{
	task_tss->ldt = selector;
	word("LDTR ", selector);
	go("", by_jmp);
}

static void segments(void)
{
	static const u32 selectors[] = { 0, RPL3, DATA, DATA | RPL3, 0x8 | IN_LDT, 0x38 | IN_LDT, BEYOND,
					 TSS32, USER_DATA,
					 USER_DATA | RPL3, CODE, ABSENT_CODE, ABSENT_DATA, READ_ONLY, CONFORMING,
					 CONFORMING | RPL3, EXECUTE_ONLY, USER_CODE, USER_CODE | RPL3,
					 USER_CONFORMING };
	static const u32 ldts[] = { 0, LDT | RPL3, LDT | IN_LDT, BEYOND, ABSENT_LDT, DATA, TSS32 };
	static const u32 which[] = { SS, DS, GS, CS };
	static const char *const names[] = { "SS", "DS", "GS", "CS" };

	for (u32 i = 0; i < ARRAY_SIZE(which); i++)
		for (u32 j = 0; j < ARRAY_SIZE(selectors); j++)
			with_segment(names[i], which[i], selectors[j]);
	for (u32 i = 0; i < ARRAY_SIZE(ldts); i++)
		with_ldt(ldts[i]);
}

static void to_user(void)
{
	task_tss->segment[CS] = USER_CODE | RPL3;
	task_tss->segment[SS] = task_tss->segment[DS] = USER_DATA | RPL3;
	task_tss->segment[ES] = task_tss->segment[GS] = 0;
	task_tss->eip = (u32)user_entry;
}

static void kinds(void)
{
	to_user();
	go("a task at CPL 3", by_call);
	to_user();
	task_tss->segment[DS] = DATA;
	go("a task at CPL 3 with a DS of CPL 0", by_call);
	to_user();
	task_tss->segment[CS] = USER_CODE;
	go("a task at CPL 3 with a CS of RPL 0", by_call);
	*(volatile u8 *)(REAL_CODE + 5) = OPCODE_HLT;
	task_tss->eflags = VM_FLAG | 2;
	for (u32 i = 0; i < 6; i++)
		task_tss->segment[i] = REAL_CODE >> 4;
	task_tss->eip = 5;
	go("a task in virtual-8086 mode", by_call);
	task_tss->eflags = VM_FLAG | 2;
	task_tss->ldt = DATA;
	go("the same with a bad LDT", by_call);
	task_tss->trap = 1;
	go("a task with the trap flag", by_call);
	task_tss->trap = 1;
	task_tss->segment[SS] = 0;
	go("the same without a stack", by_call);
	task_tss->segment[CS] = TINY_CODE;
	go("a task beyond its limit", by_call);
	task_tss->eflags = 0x102;
	go("a task that single-steps", by_call);
	gate(VECTOR_GP, TSS32, 0, TYPE_GATE);
	task_tss->gpr[4] = 2;
	task_tss->segment[SS] = STACK16;
	gate(VECTOR_DF, HANDLER, 0, TYPE_GATE);
	go("an error code to a stack without room", by_gp);
	segment(MAIN, (u32)&main_tss, 0x5e, TYPE_TSS32, NO_FLAGS);
	load_task_register(MAIN);
	go("from a short TSS", by_call);
}

/* Identity, in pages of 4 KiB around pages[], of 4 MiB elsewhere. */
static void start_paging(void)
{
	static u32 table[1024] __attribute__((aligned(4096)));
	u32 block = (u32)pages >> 22;

	for (u32 i = 0; i < 1024; i++) {
		directory[0][i] = i << 22 | 0x83;
		table[i] = block << 22 | i << 12 | 0x3;
	}
	directory[0][block] = (u32)table | 3;
	directory[0][0xd0000000u >> 22] = 0;
	for (u32 i = 0; i < 1024; i++)
		directory[1][i] = directory[0][i];
	put_cr3((u32)directory[0]);
	put_cr4(get_cr4() | CR4_PSE);
	put_cr0(get_cr0() | CR0_PG | CR0_WP);
	paging = true;
}

static u32 *entry_of(const void *page)
{
	u32 *table = (u32 *)(directory[0][(u32)page >> 22] & ~0xfffu);

	return &table[(u32)page >> 12 & 1023];
}

static void with_entry(const char *name, const void *page, u32 flags, void (*how)(void))
{
	changed = entry_of(page);
	*changed = (*changed & ~0xfffu) | flags;
	put_cr3(get_cr3());
	go(name, how);
}

static void page_faults(void)
{
	start_paging();
	recover();
	go("another CR3", by_call);
	go("another CR3 by JMP", by_jmp);
	go("no other CR3 with 16 bits", by_call16);
	with_entry("the first page of the TSS is absent", pages[0], 0, by_call);
	with_entry("the second page of the TSS is absent", pages[1], 0, by_jmp);
	with_entry("the link is read-only", pages[0], 1, by_call);
	with_entry("a read-only TSS that nothing is written to", pages[0], 1, by_jmp);
	gate(VECTOR_UD, TSS32, 0, TYPE_GATE);
	with_entry("#UD to an absent TSS", pages[1], 0, by_ud);
	gate(VECTOR_GP, TSS32, 0, TYPE_GATE);
	with_entry("#GP to an absent TSS", pages[1], 0, by_gp);
	gate(VECTOR_PF, TSS32, 0, TYPE_GATE);
	skip = 5;
	go("#PF to a task", by_page_fault);
	with_entry("INT to an absent TSS", pages[1], 0, by_int);
}


void main(void)
{
	serial_init(PORT_COM1);
	recover();
	sources();
	exceptions();
	segments();
	kinds();
	page_faults();
	finish();
}
