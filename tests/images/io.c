/*
 * String I/O on the ports that are absent on L0, and writes to CR0 and CR4 that change a bit of L0's and fault for one
 * of the CPU's. Prints what has become of registers and memory. COM2 is absent on the bare machine too.
 */
#include "lib/trap_image.h"
#include "serial.h"
#include "turtles_abi.h"

enum { CODE = 0x08, DATA = 0x10, TSS = 0x18, USER_CODE = 0x20, USER_DATA = 0x28, SMALL = 0x30, READ_ONLY = 0x38,
       GDT_ENTRIES = 8 };
enum { TYPE_TSS32 = 0x89, TYPE_INTERRUPT = 0x8e, TYPE_USER_INTERRUPT = 0xee, TYPE_CODE = 0x9a, TYPE_DATA = 0x92,
       TYPE_READ_ONLY = 0x90, OF_USER = 0x60 };
#define FLAGS_FLAT 0xc
#define FLAGS_BYTES 4
#define RPL3 3
#define PAGES 4
#define PAGING_TABLE 1024
#define IOPL3 0x3000
#define SMAP_AC 0x40000

NORETURN void main(void);

static u64 gdt[GDT_ENTRIES], idt[TRAP_STUBS];
static struct {
	u32 link, esp0, ss0, rest[22];
	u16 trap, io_map;
} tss;
static u32 directory[PAGING_TABLE] __attribute__((aligned(4096))), table[PAGING_TABLE] __attribute__((aligned(4096)));
static u8 pages[PAGES][4096] __attribute__((aligned(4096)));
static u8 stack0[1024], user_stack[1024];

/* What an attempt ends in. */
static struct {
	u32 esi, edi, ecx;
} after;

static u32 *entry_of(u32 page)
{
	return &table[(u32)pages[page] >> 12 & (PAGING_TABLE - 1)];
}

void trap_main(const struct trap_frame *frame, u32 ss)
{
	word(" trap ", frame->vector);
	word("error ", frame->error_code);
	word("eflags ", frame->eflags);
	word("cs ", frame->cs & 0xffff);
	word("ss ", ss);
	if (frame->vector == VECTOR_PF)
		word("cr2 in pages ", get_cr2() - (u32)pages);
	after.esi = frame->esi;
	after.edi = frame->edi;
	after.ecx = frame->ecx;
	attempt_end();
}

/* Identity for users (PTE_USER) or not, in pages of 4 KiB around pages[], of 4 MiB elsewhere. */
static void map(u32 user)
{
	u32 block = (u32)pages >> 22;

	for (u32 i = 0; i < PAGING_TABLE; i++) {
		directory[i] = i << 22 | 0x83 | user;
		table[i] = block << 22 | i << 12 | 0x3 | user;
	}
	directory[block] = (u32)table | 7;
	put_cr3((u32)directory);
}

static void show(void)
{
	word(" esi ", after.esi - (u32)pages);
	word("edi ", after.edi - (u32)pages);
	word("ecx ", after.ecx);
	for (u32 page = 0; page < PAGES; page++) {
		word(" entry ", *entry_of(page) & 0xfff);
		*entry_of(page) = (u32)pages[page] | 3;
	}
	put_cr3(get_cr3());
	for (u32 page = 0; page < PAGES; page++) {
		word(" first ", pages[page][0]);
		word("last ", pages[page][4095]);
		pages[page][0] = pages[page][4095] = 0x5a;
		*entry_of(page) = (u32)pages[page] | 7;
	}
	put_cr3(get_cr3());
	print("\n");
}

/* One case: what its instruction finds. */
static struct {
	u32 esi, edi, ecx, edx, eflags;
} start;

#define CASE(name, instruction) \
	static void name(void) \
	{ \
		__asm__ volatile("pushal; movl %1, %%esi; movl %2, %%edi; movl %3, %%ecx; movl %4, %%edx;" \
				 "pushl %0; popfl;" instruction "; movl %%esi, %5; movl %%edi, %6;" \
				 "movl %%ecx, %7; pushl $2; popfl; popal" \
				 : : "m"(start.eflags), "m"(start.esi), "m"(start.edi), "m"(start.ecx), \
				 "m"(start.edx), "m"(after.esi), "m"(after.edi), "m"(after.ecx) : "memory", "cc"); \
	}
CASE(insb, "insb")
CASE(insw, "insw")
CASE(insl, "insl")
CASE(outsb, "outsb")
CASE(outsw, "outsw")
CASE(outsl, "outsl")
CASE(rep_insb, "rep insb")
CASE(rep_insl, "rep insl")
CASE(rep_outsw, "rep outsw")
CASE(outsb_es, "es outsb")
CASE(outsb_small, "pushl %%fs; pushl $0x30; popl %%fs; fs outsb; popl %%fs")
CASE(insb_read_only, "pushl %%es; pushl $0x38; popl %%es; insb; popl %%es")

static void go(const char *name, void (*how)(void), u32 offset, u32 count, u32 port)
{
	start.esi = start.edi = (u32)pages + offset;
	start.ecx = count;
	start.edx = port;
	print(name);
	word(" ", offset);
	word("count ", count);
	word("port ", port);
	print(attempt(how) ? " trapped\n" : " done\n");
	show();
}

static void all(const char *title, u32 offset, u32 eflags)
{
	print(title);
	print("\n");
	start.eflags = eflags;
	go("insb", insb, offset, 3, PORT_COM2);
	go("insw", insw, offset, 3, PORT_COM2 + 1);
	go("insl", insl, offset, 3, PORT_COM2 + 2);
	go("outsb", outsb, offset, 3, PORT_COM2 + 3);
	go("outsw", outsw, offset, 3, PORT_COM2);
	go("outsl", outsl, offset, 3, PORT_COM2);
	go("rep insb", rep_insb, offset, 3, PORT_COM2);
	go("rep insb", rep_insb, offset, 0, PORT_COM2);
	go("rep insl", rep_insl, offset, 3, PORT_COM2);
	go("rep outsw", rep_outsw, offset, 3, PORT_COM2);
	go("outsb of ES", outsb_es, offset, 3, PORT_COM2);
	go("outsw beyond the end", outsw, offset, 3, PORT_COM2 + 7);
	go("insw from before", insw, offset, 3, PORT_COM2 - 1);
}

static void with_entry(u32 page, u32 flags, void (*how)(void), const char *name, u32 offset)
{
	*entry_of(page) = (u32)pages[page] | flags;
	put_cr3(get_cr3());
	go(name, how, offset, 5, PORT_COM2);
}

static void string_io(void)
{
	all("forwards", 0x800, 2);
	all("across pages", 0xfff, 2);
	all("backwards", 0x1003, RFLAGS_DF | 2);
	all("single-stepping", 0x800, RFLAGS_TF | 2);
	start.eflags = 2;
	with_entry(1, 6, insl, "the second page absent", 0xffe);
	with_entry(1, 6, rep_insl, "the second page absent", 0xff4);
	with_entry(1, 6, rep_outsw, "the second page absent", 0xffc);
	with_entry(1, 5, rep_insl, "the second page read-only", 0xffc);
	with_entry(1, 5, rep_outsw, "the second page read-only", 0xffc);
	go("a selector's limit", outsb_small, 0x2000, 1, PORT_COM2);
	go("a read-only segment", insb_read_only, 0, 1, PORT_COM2);
}

/* At CPL 3 with IOPL 3, or with none and a bitmap that allows it. */
static u32 user_eflags;
static void to_user(void (*how)(void))
{
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; pushl %0; pushl %1; pushl %2; pushl %3; pushl %4; iret"
			 : : "r"(USER_DATA | RPL3), "r"(user_stack + sizeof(user_stack)), "r"(user_eflags),
			 "i"(USER_CODE | RPL3), "r"(how) : "memory");
}

static void user_rep_insl(void)
{
	__asm__ volatile("rep insl; int $32" : : "c"(2), "D"(start.edi), "d"(PORT_COM2) : "memory");
}
static void user_outsb(void)
{
	__asm__ volatile("outsb; int $32" : : "S"(start.esi), "d"(PORT_COM2) : "memory");
}
static void by_user_rep_insl(void)
{
	to_user(user_rep_insl);
}
static void by_user_outsb(void)
{
	to_user(user_outsb);
}

static void users(void)
{
	user_eflags = 2;
	go("a user without IOPL", by_user_outsb, 0x10, 0, 0);
	user_eflags = IOPL3 | 2;
	go("a user", by_user_outsb, 0x10, 0, 0);
	go("a user", by_user_rep_insl, 0x10, 0, 0);
	with_entry(0, 3, by_user_outsb, "a user at the supervisor's page", 0x10);
	with_entry(0, 3, by_user_rep_insl, "a user at the supervisor's page", 0x10);
	with_entry(0, 5, by_user_rep_insl, "a user at a read-only page", 0x10);
	with_entry(0, 2, by_user_rep_insl, "a user at an absent page", 0x10);
	put_cr0(get_cr0() & ~CR0_WP);
	with_entry(0, 5, by_user_rep_insl, "a user without CR0.WP", 0x10);
	start.eflags = 2;
	with_entry(0, 5, rep_insl, "a supervisor without CR0.WP", 0x10);
	put_cr0(get_cr0() | CR0_WP);
	if (!(cpuid(7, 0).ebx & CPUID7_EBX_SMAP))
		return;
	map(0);
	put_cr4(get_cr4() | CR4_SMAP);
	with_entry(0, 7, rep_insl, "SMAP", 0x10);
	with_entry(0, 3, rep_insl, "SMAP and the supervisor's page", 0x10);
	start.eflags = SMAP_AC | 2;
	with_entry(0, 7, rep_insl, "SMAP and AC", 0x10);
	put_cr4(get_cr4() & ~CR4_SMAP);
}

static u32 new_value;
static void write_cr0_now(void)
{
	put_cr0(new_value);
}
static void write_cr4_now(void)
{
	put_cr4(new_value);
}
static void write_cr4_twice(void)
{
	for (u32 i = 0; i < 2; i++) {
		put_cr4(new_value);
		new_value |= BIT(30);
	}
}

static void try(const char *name, void (*how)(void), u32 value)
{
	new_value = value;
	print(name);
	word(" ", value);
	print(attempt(how) ? " trapped" : " done");
	word(": cr0 ", get_cr0());
	word("cr4 ", get_cr4());
	print("\n");
}

static void control_registers(void)
{
	u32 cr0 = get_cr0(), cr4 = get_cr4();

	try("CR4", write_cr4_now, cr4 | BIT(30));
	try("CR4 with VMXE", write_cr4_now, cr4 | CR4_VMXE | BIT(30));
	try("CR4 with VMXE", write_cr4_now, cr4 | CR4_VMXE | CR4_PCIDE);
	try("CR4 with VMXE", write_cr4_now, cr4 | CR4_VMXE);
	try("CR4 without VMXE", write_cr4_now, cr4 | BIT(31));
	try("CR4 without VMXE", write_cr4_now, cr4 & ~CR4_VMXE);
	try("CR4, good, then bad", write_cr4_twice, cr4 | CR4_VMXE | CR4_DE);
	try("CR4", write_cr4_now, cr4);
	try("CR0 with NE", write_cr0_now, cr0 | CR0_NE | CR0_NW);
	try("CR0 with NE", write_cr0_now, cr0 | CR0_NE);
	try("CR0 without NE", write_cr0_now, (cr0 & ~(CR0_NE | CR0_PE)));
	try("CR0 without NE, with TS", write_cr0_now, (cr0 & ~CR0_NE) | CR0_TS);
	try("CR0", write_cr0_now, cr0);
}

static void set_up(void)
{
	fill_segment(&gdt[CODE / 8], 0, 0xfffff, TYPE_CODE, FLAGS_FLAT);
	fill_segment(&gdt[DATA / 8], 0, 0xfffff, TYPE_DATA, FLAGS_FLAT);
	fill_segment(&gdt[TSS / 8], (u32)&tss, sizeof(tss) - 1, TYPE_TSS32, 0);
	fill_segment(&gdt[USER_CODE / 8], 0, 0xfffff, TYPE_CODE | OF_USER, FLAGS_FLAT);
	fill_segment(&gdt[USER_DATA / 8], 0, 0xfffff, TYPE_DATA | OF_USER, FLAGS_FLAT);
	fill_segment(&gdt[SMALL / 8], 0, 0xff, TYPE_DATA, FLAGS_BYTES);
	fill_segment(&gdt[READ_ONLY / 8], 0, 0xfffff, TYPE_READ_ONLY, FLAGS_FLAT);
	for (u32 vector = 0; vector < TRAP_STUBS; vector++)
		fill_gate(&idt[vector], CODE, trap_stubs[vector],
			  vector == TRAP_STUBS - 1 ? TYPE_USER_INTERRUPT : TYPE_INTERRUPT);
	load_tables(gdt, sizeof(gdt), idt, sizeof(idt));
	__asm__ volatile("ljmp %0, $1f; 1: mov %1, %%ds; mov %1, %%es; mov %1, %%ss; mov %1, %%fs; mov %1, %%gs"
			 : : "i"(CODE), "r"(DATA));
	tss.esp0 = (u32)(stack0 + sizeof(stack0));
	tss.ss0 = DATA;
	tss.io_map = sizeof(tss);
	load_task_register(TSS);
}

static void start_paging(void)
{
	map(PTE_USER);
	put_cr4(get_cr4() | CR4_PSE);
	put_cr0(get_cr0() | CR0_PG | CR0_WP);
	for (u32 page = 0; page < PAGES; page++)
		pages[page][0] = pages[page][4095] = 0x5a;
}

void main(void)
{
	serial_init(PORT_COM1);
	set_up();
	control_registers();
	start_paging();
	string_io();
	users();
	control_registers();
	finish();
}
