#include "cpus.h"
#include "feature.h"
#include "l1/minivisor/cpu.h"
#include "string.h"

#define AP_PAGE 0x9000ull
#define STACK_SIZE 16384
#define IDT_LIMIT 4095
#define GDT_LIMIT 39
#define SOFTWARE_ENABLE 0x1ffu
#define PAUSES 20000
#define PATIENCE 200

extern const char ap_code[], ap_code_end[], ap_code_cr3[];
u8 ap_stacks[FEATURE_CPUS][STACK_SIZE] __attribute__((aligned(16)));
NORETURN void ap_main(unsigned number);

static bool x2apic;
static void (*volatile work[FEATURE_CPUS])(void);
static volatile unsigned starts[FEATURE_CPUS];

unsigned cpu_number(void)
{
	u64 offset = (u64)__builtin_frame_address(0) - (u64)ap_stacks;

	return offset < sizeof(ap_stacks) ? (unsigned)(offset / STACK_SIZE) : 0;
}

static volatile u32 *apic(void)
{
	return (volatile u32 *)(rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS);
}

bool cpus_have_x2apic(void)
{
	return cpuid(1, 0).ecx & CPUID1_ECX_X2APIC;
}

void cpus_use_x2apic(void)
{
	x2apic = true;
	wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
}

void ipi(u32 destination, u32 flags)
{
	if (x2apic) {
		wrmsr(APIC_MSR(APIC_ICR_LOW), (u64)destination << 32 | flags);
		return;
	}
	apic()[APIC_ICR_HIGH / sizeof(u32)] = destination << 24;
	apic()[APIC_ICR_LOW / sizeof(u32)] = flags;
	while (apic()[APIC_ICR_LOW / sizeof(u32)] & ICR_PENDING)
		cpu_relax();
}

void ap_main(unsigned number)
{
	lgdt(&(struct descriptor_pointer){ GDT_LIMIT, cpu_gdt_base() });
	lidt(&(struct descriptor_pointer){ IDT_LIMIT, cpu_idt_base() });
	if (x2apic)
		cpus_use_x2apic();
	else
		apic()[APIC_SVR / sizeof(u32)] = SOFTWARE_ENABLE;
	work[number] = NULL;
	starts[number]++;
	for (;;) {
		while (!work[number])
			cpu_relax();
		work[number]();
		work[number] = NULL;
	}
}

u8 cpus_sipi_vector(void)
{
	memcpy((void *)AP_PAGE, ap_code, (size_t)(ap_code_end - ap_code));
	*(u32 *)(AP_PAGE + (u64)(ap_code_cr3 - ap_code)) = (u32)read_cr3();
	return AP_PAGE >> PAGE_SHIFT;
}

unsigned cpu_starts(unsigned number)
{
	return starts[number];
}

void cpus_pause(void)
{
	for (unsigned i = 0; i < PAUSES; i++)
		cpu_relax();
}

bool cpu_start(unsigned number)
{
	unsigned before = starts[number], vector = cpus_sipi_vector();

	ipi(number, IPI_INIT);
	cpus_pause();
	ipi(number, IPI_SIPI | vector);
	cpus_pause();
	ipi(number, IPI_SIPI | vector);
	for (unsigned i = 0; i < PATIENCE && starts[number] == before; i++)
		cpus_pause();
	return starts[number] == before + 1;
}

void cpu_begin(unsigned number, void (*function)(void))
{
	work[number] = function;
}

bool cpu_is_done(unsigned number)
{
	return !work[number];
}

void cpu_do(unsigned number, void (*function)(void))
{
	cpu_begin(number, function);
	while (!cpu_is_done(number))
		cpu_relax();
}
