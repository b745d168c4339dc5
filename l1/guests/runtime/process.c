#include "process.h"
#include "string.h"

#define LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * ((level) - 1))
#define LEVELS 4
#define ENTRIES 512
#define TABLE_FLAGS (PTE_PRESENT | PTE_WRITE)
#define VECTOR_SYSTEM_CALL 0x31
/* Longer than the way back from the hypercall on any hypervisor below, or the wait would show. */
#define TICK_DELAY 10000

extern u64 pml4[ENTRIES];

static u64 next_page;
static u64 *program;
static struct process_counts counts;
static volatile u64 ticks_asked, ticks_come;
static enum system_call call_number;
static u64 call_address;
static u8 block[BLOCK_SIZE];
static u64 measured_from;

/* Pages are taken one behind the other; they become free all at once, when the program ends. */
static u64 *take_page(void)
{
	u64 *page = (u64 *)next_page;

	if (next_page + PAGE_SIZE > free_memory_end())
		return NULL;
	next_page += PAGE_SIZE;
	return memset(page, 0, PAGE_SIZE);
}

/* The entry for the page of that address; tables are made where they are missing. NULL if memory is out. */
static u64 *entry_for(u64 address)
{
	u64 *table = program;

	for (unsigned level = LEVELS; level > 1; level--) {
		u64 *entry = &table[address >> LEVEL_SHIFT(level) & (ENTRIES - 1)];

		if (!*entry) {
			u64 *next = take_page();

			if (!next)
				return NULL;
			*entry = (uintptr_t)next | TABLE_FLAGS;
		}
		table = (u64 *)(*entry & PTE_ADDRESS);
	}
	return &table[address >> LEVEL_SHIFT(1) & (ENTRIES - 1)];
}

static void page_fault(struct trap_frame *frame)
{
	u64 address = read_cr2(), *entry, *page;

	counts.page_faults++;
	entry = program && address >= PROGRAM_MEMORY && !(frame->error_code & PF_PRESENT) ? entry_for(address) : NULL;
	page = entry ? take_page() : NULL;
	if (!page)
		unexpected_trap(frame);
	*entry = (uintptr_t)page | TABLE_FLAGS;
}

static void write_block(void)
{
	static u64 writes;

	memcpy(block, (const void *)call_address, BLOCK_SIZE);
	if (++writes % WRITES_PER_KICK)
		return;
	counts.kicks++;
	__asm__ volatile("outl %0, %w1" : : "a"((u32)writes), "Nd"(GUEST_PORT_TEST));
}

static void serve_system_call(struct trap_frame *frame)
{
	(void)frame;
	counts.system_calls++;
	if (call_number == SYSTEM_CALL_read)
		memcpy((void *)call_address, block, BLOCK_SIZE);
	else if (call_number == SYSTEM_CALL_write)
		write_block();
}

void system_call(enum system_call number, u64 address)
{
	call_number = number;
	call_address = address;
	__asm__ volatile("int %0" : : "i"(VECTOR_SYSTEM_CALL) : "memory");
}

static void count_tick(struct trap_frame *frame)
{
	(void)frame;
	ticks_come++;
}

static void await_tick(void)
{
	while (ticks_come != ticks_asked)
		cpu_relax();
}

void tick(void)
{
	if (!on_minivisor())
		return;
	await_tick();
	ticks_asked++;
	/* Bochs 2.7 lets an interrupt exit only after IF has changed since the entry. */
	__asm__ volatile("cli" : : : "memory");
	hypercall(HYPERCALL_timer, TICK_DELAY);
	__asm__ volatile("sti" : : : "memory");
}

void process_init(void)
{
	next_page = ALIGN_UP(free_memory_start(), PAGE_SIZE);
	on_trap(VECTOR_PF, page_fault);
	on_trap(VECTOR_SYSTEM_CALL, serve_system_call);
	on_trap(GUEST_VECTOR_TIMER, count_tick);
	__asm__ volatile("sti" : : : "memory");
}

bool process_exec(void)
{
	u64 *root = take_page();

	if (!root)
		return false;
	root[0] = pml4[0];
	program = root;
	counts.programs++;
	write_cr3((uintptr_t)root);
	return true;
}

void process_exit(void)
{
	await_tick();
	write_cr3((uintptr_t)pml4);
	program = NULL;
	next_page = ALIGN_UP(free_memory_start(), PAGE_SIZE);
}

struct process_counts process_counts(void)
{
	return counts;
}

void measure_begin(void)
{
	cpuid(0, 0);
	measured_from = rdtsc();
}

u64 measure_end(void)
{
	u64 now = rdtsc();

	cpuid(0, 0);
	return now - measured_from;
}
