#include "smp.h"
#include "kick.h"
#include "l1_apic.h"
#include "l1_exit.h"
#include "memory.h"
#include "options.h"
#include "print.h"
#include "smp_page.h"
#include "string.h"

/* The local APIC's interrupt command register; SDM "Interrupt Command Register (ICR)". */
#define ICR_INIT_ALL_OTHERS 0xc4500u
#define ICR_SIPI_ALL_OTHERS 0xc4600u

/* SDM "Typical BSP Initialization Sequence" waits 10 ms and 200 us; CPUs that have VMX need far less. */
#define TICKS_AFTER_INIT 1000000
#define TICKS_AFTER_SIPI 200000
#define TICKS_TO_ARRIVE 400000000

_Static_assert(AP_NUMBERS == MAX_CPUS, "a stack for each CPU");

extern const char ap_trampoline[], ap_trampoline_end[], ap_trampoline_cr3[];
u32 ap_next_number = 1;
NORETURN void ap_main(u32 number);

static u64 ap_ram_bytes;
static volatile unsigned ap_arrived;
static char ap_lock, lock;

static void spin_lock(char *l)
{
	while (__atomic_test_and_set(l, __ATOMIC_ACQUIRE))
		cpu_relax();
}

static void spin_unlock(char *l)
{
	__atomic_clear(l, __ATOMIC_RELEASE);
}

void shared_lock(void)
{
	spin_lock(&lock);
}

void shared_unlock(void)
{
	spin_unlock(&lock);
}

static void wait_ticks(u64 ticks)
{
	u64 start = rdtsc();

	while (rdtsc() - start < ticks)
		cpu_relax();
}

static void send_ipi(volatile u32 *apic, u32 command)
{
	if (!apic) {
		wrmsr(APIC_MSR(APIC_ICR_LOW), command);
		return;
	}
	apic[APIC_ICR_LOW / sizeof(u32)] = command;
	while (apic[APIC_ICR_LOW / sizeof(u32)] & ICR_PENDING)
		cpu_relax();
}

static volatile u32 *find_apic(void)
{
	u64 base = rdmsr(MSR_IA32_APIC_BASE);

	return base & APIC_BASE_X2APIC ? NULL : memory_map_device(base & APIC_BASE_ADDRESS);
}

static void wake_others(void)
{
	volatile u32 *apic = find_apic();
	u32 sipi = ICR_SIPI_ALL_OTHERS | AP_PAGE >> PAGE_SHIFT;

	send_ipi(apic, ICR_INIT_ALL_OTHERS);
	wait_ticks(TICKS_AFTER_INIT);
	for (unsigned i = 0; i < 2; i++) {
		send_ipi(apic, sipi);
		wait_ticks(TICKS_AFTER_SIPI);
	}
}

static void wait_for(unsigned others)
{
	u64 start = rdtsc();

	while (ap_arrived < others)
		if (rdtsc() - start > TICKS_TO_ARRIVE)
			l0_refuse("cpus=%u, but only %u other CPUs answer; give cpus= what the machine has",
				  options.cpus, ap_arrived);
}

void smp_start(u64 ram_bytes)
{
	static u8 saved[PAGE_SIZE];
	u8 *page;

	if (options.cpus == 1)
		return;
	page = memory_map_low_page(AP_PAGE);
	ap_ram_bytes = ram_bytes;
	memcpy(saved, page, sizeof(saved));
	memcpy(page, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	*(u32 *)(page + (ap_trampoline_cr3 - ap_trampoline)) = (u32)read_cr3();
	wake_others();
	wait_for(options.cpus - 1);
	memcpy(page, saved, sizeof(saved));
	memory_unmap_low_page(AP_PAGE);
}

/*
 * As after INIT: nothing is executed until a SIPI. SDM "Processor State After Reset", table of INIT values. The CPU
 * waits in VMX non-root operation, where L1's SIPI causes an exit, or in L0, which then hears of the SIPI by itself.
 */
static void wait_for_sipi(struct cpu *cpu)
{
	vmcs01_start_real_mode(cpu, 0);
	if (icr_intercepted)
		wish(cpu, WISH_wait);
	else
		vmwrite(ENC_guest_activity_state, ACTIVITY_wait_for_sipi);
	cpu->sipi_taken = false;
}

void ap_main(u32 number)
{
	struct cpu *cpu;

	spin_lock(&ap_lock);
	cpu = cpu_bring_up(number, ap_ram_bytes);
	wait_for_sipi(cpu);
	stats_init(cpu);
	spin_unlock(&ap_lock);
	__atomic_fetch_add(&ap_arrived, 1, __ATOMIC_SEQ_CST);
	cpu_run(cpu);
}

/*
 * An INIT that came while the CPU waited for its SIPI changes nothing there, but some CPUs keep it and deliver it right
 * behind the SIPI, before the first instruction.
 */
static bool is_left_over(const struct cpu *cpu)
{
	return cpu->sipi_taken && vmread(ENC_guest_rip) == 0;
}

void l1_init_exit(struct cpu *cpu)
{
	if (is_left_over(cpu)) {
		cpu->sipi_taken = false;
		vmwrite(ENC_guest_interruptibility_state, 0); /* and not what the waiting CPU was blocking */
	} else {
		wish(cpu, WISH_init);
	}
}

static void start_by_sipi(struct cpu *cpu, u8 vector)
{
	vmcs01_start_real_mode(cpu, vector);
	cpu->sipi_taken = true;
}

void l1_sipi_exit(struct cpu *cpu)
{
	start_by_sipi(cpu, (u8)vmread(ENC_exit_qualification));
}

/* SDM "Other Causes of VM Exits": where a SIPI is waited for, INIT is blocked. */
void smp_init(struct cpu *target)
{
	if (!(target->wishes & WISH_wait))
		wish(target, WISH_init);
}

/* The INIT before it may not have been taken yet. A CPU that does not wait ignores it. */
void smp_sipi(struct cpu *target, u8 vector)
{
	bool will_wait = target->wishes & WISH_init && !target->nested.vmxon;

	if (!(target->wishes & WISH_wait) && !will_wait)
		return;
	target->sipi_vector = vector;
	wish(target, WISH_sipi);
}

static NORETURN void reset_by_init(void)
{
	print("\nL1 resets the machine by an INIT to the boot processor\n");
	l0_stop(TURTLES_STATUS_FAILURE);
}

/* An event that is to be injected comes first, and the INIT at the next exit. */
static void init_in_l2(struct cpu *cpu)
{
	if (vmread(ENC_vm_entry_interruption_information) & INTR_VALID)
		return;
	wish_granted(cpu, WISH_init);
	nested_reflect_signal(cpu, REASON_init_signal, 0);
}

/* Blocked in VMX root operation, which L1 believes itself in; SDM "Restrictions on VMX Operation". */
static void take_init(struct cpu *cpu)
{
	if (cpu->level == LEVEL_2) {
		init_in_l2(cpu);
	} else if (!cpu->nested.vmxon) {
		wish_granted(cpu, WISH_init);
		if (cpu->number == 0)
			reset_by_init();
		apic_reset(cpu);
		wait_for_sipi(cpu);
	}
}

static void take_sipi(struct cpu *cpu)
{
	wish_granted(cpu, WISH_sipi | WISH_wait);
	if (cpu->level == LEVEL_2)
		nested_reflect_signal(cpu, REASON_startup_ipi, cpu->sipi_vector);
	else
		start_by_sipi(cpu, cpu->sipi_vector);
}

/* L1's interrupt commands are no longer intercepted. */
static void wait_in_hardware(struct cpu *cpu)
{
	wish_granted(cpu, WISH_wait);
	vmwrite(ENC_guest_activity_state, ACTIVITY_wait_for_sipi);
}

bool smp_l2_waits(void)
{
	return icr_intercepted && vmread(ENC_guest_activity_state) == ACTIVITY_wait_for_sipi;
}

void smp_attend(struct cpu *cpu)
{
	cpu->attention = false; /* before the wishes are looked at: an NMI from now on sets it again */
	wish_granted(cpu, WISH_look);
	if (cpu->wishes & WISH_init && !(cpu->wishes & WISH_wait))
		take_init(cpu);
	while (cpu->wishes & WISH_wait) {
		if (cpu->wishes & WISH_sipi)
			take_sipi(cpu);
		else if (!icr_intercepted)
			wait_in_hardware(cpu);
		else
			kick_wait(cpu);
	}
}
