/*
 * More than one CPU, brought up by INIT-SIPI-SIPI: VMX on each, VMCSs that move between them, NMI, INIT and SIPI that
 * reach L2. Command line: "cpus=N", "x2apic", "init" (what the bare CPU does not show: INITs that cause exits, which
 * Bochs 2.7 never clears, and a VMCS on two CPUs).
 */
#include "l1/minivisor/boot.h"
#include "l1/minivisor/fail.h"
#include "l1/minivisor/vmx_root.h"
#include "lib/cpus.h"
#include "lib/feature.h"
#include "lib/traps.h"
#include "string.h"

#define ROUNDS 50
#define SIPI_SEEN 0x9a
#define COOKIE 0x1234567

static unsigned count;
static const struct controls plain, nmi_exiting = { .pin = PIN_nmi_exiting };
static volatile struct exit last[FEATURE_CPUS];
static volatile unsigned exits[FEATURE_CPUS];
static volatile bool stop;
static volatile u64 turns;

static bool has_word(const char *word)
{
	size_t length = strlen(word);

	for (const char *at = command_line; *at; at++)
		if ((at == command_line || at[-1] == ' ') && strncmp(at, word, length) == 0)
			return true;
	return false;
}

static unsigned wanted_cpus(void)
{
	for (const char *at = command_line; *at; at++)
		if (strncmp(at, "cpus=", 5) == 0 && at[5] >= '1' && at[5] <= '8')
			return (unsigned)(at[5] - '0');
	return 1;
}

static void keep(struct exit exit)
{
	*(struct exit *)&last[cpu_number()] = exit;
}

static void tell_last(const char *what, unsigned number)
{
	struct exit exit = *(struct exit *)&last[number];

	tell(what, &exit);
}

static u64 l2_cpuids(u64 rounds)
{
	for (u64 i = 0; i < rounds; i++)
		cpuid(0, 0);
	return COOKIE + rounds;
}

static u64 l2_wait(u64 unused)
{
	(void)unused;
	while (!stop) {
		turns++;
		cpu_relax();
	}
	return 0;
}

static u64 l2_twice(u64 value)
{
	__asm__ volatile("vmcall" : "+D"(value) : : "memory");
	return value;
}

static void count_exits(void)
{
	struct exit exit = guest_call(l2_cpuids, ROUNDS);

	while (exit.outcome == VMX_SUCCEED && exit.reason == REASON_cpuid) {
		exits[cpu_number()]++;
		exit = guest_skip();
	}
	keep(exit);
}

static void make_guest(void)
{
	guest_new(&plain, 0);
}

static void make_nmi_guest(void)
{
	guest_new(&nmi_exiting, 0);
}

static bool guests_on_all(void)
{
	bool good = true;

	for (unsigned i = 1; i < count; i++)
		cpu_do(i, make_guest);
	make_guest();
	for (unsigned i = 1; i < count; i++)
		cpu_begin(i, count_exits);
	count_exits();
	for (unsigned i = 1; i < count; i++)
		while (!cpu_is_done(i))
			cpu_relax();
	for (unsigned i = 0; i < count; i++) {
		print("CPU %u: %u exits of L2 by CPUID, ", i, exits[i]);
		tell_last("the last", i);
		good = good && exits[i] == ROUNDS && last[i].done && last[i].rax == COOKIE + ROUNDS;
	}
	return good;
}

static void run_first_half(void)
{
	guest_new(&plain, 0);
	keep(guest_call(l2_twice, COOKIE));
	vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + 3);
	vmwrite(ENC_guest_ia32_sysenter_eip, COOKIE);
	guest_clear();
}

static unsigned from;

static void run_second_half(void)
{
	guest_take_from(from);
	keep(guest_resume());
	print("on CPU %u: sysenter_eip %lx\n", cpu_number(), vmread(ENC_guest_ia32_sysenter_eip));
}

/* A VMCS that another CPU's VMCLEAR has left; then back. */
static bool migrate(unsigned a, unsigned b)
{
	if (a)
		cpu_do(a, run_first_half);
	else
		run_first_half();
	tell_last("first half", a);
	from = a;
	if (b)
		cpu_do(b, run_second_half);
	else
		run_second_half();
	tell_last("second half", b);
	return last[b].done && last[b].rax == COOKIE;
}

static void wait_in_l2(void)
{
	keep(guest_call(l2_wait, 0));
}

static void go_on_in_l2(void)
{
	keep(guest_resume());
}

static void until_in_l2(void)
{
	u64 before = turns;

	while (turns < before + 3)
		cpu_relax();
}

static void until_done(unsigned number)
{
	while (!cpu_is_done(number))
		cpu_relax();
}

/* SDM "NMI Handling": what blocks further NMIs after the exit is over with an IRET. */
static void unblock_nmis(void)
{
	u64 scratch;

	__asm__ volatile("mov %%ss, %k0; push %0; lea 8(%%rsp), %0; push %0; pushfq; mov %%cs, %k0; push %0;"
			 "lea 1f(%%rip), %0; push %0; iretq; 1:" : "=&r"(scratch) : : "memory", "cc");
}

/* An NMI to a CPU in L2 that exits for it, and to one that takes it by its own IDT. */
static bool nmi_to_l2(void)
{
	stop = false;
	cpu_do(1, make_nmi_guest);
	cpu_begin(1, wait_in_l2);
	until_in_l2();
	ipi(1, IPI_NMI);
	until_done(1);
	tell_last("NMI to L2 with NMI exiting", 1);
	cpu_do(1, unblock_nmis);
	cpu_do(1, make_guest);
	cpu_begin(1, wait_in_l2);
	until_in_l2();
	ipi(1, IPI_NMI);
	while (!traps.count)
		cpu_relax();
	until_in_l2();
	stop = true;
	until_done(1);
	tell_traps("NMI to L2 without");
	tell_last("then", 1);
	return last[1].done;
}

static void wait_for_sipi(void)
{
	guest_new(&plain, 0);
	guest_call(l2_twice, 0);
	vmwrite(ENC_guest_activity_state, ACTIVITY_wait_for_sipi);
	keep(guest_resume());
	exits[1] = (unsigned)vmread(ENC_guest_activity_state);
}

/* SDM "Other Causes of VM Exits": in the wait-for-SIPI state a SIPI exits, and INIT does not. */
static bool sipi_to_l2(bool init)
{
	cpu_begin(1, wait_for_sipi);
	cpus_pause();
	if (init) {
		ipi(1, IPI_INIT);
		cpus_pause();
	}
	ipi(1, IPI_SIPI | SIPI_SEEN);
	until_done(1);
	tell_last("SIPI to L2 that waits for it", 1);
	/* SDM "Saving Non-Register State": the state before the exit. Bochs saves the active one: not compared. */
	return last[1].reason == REASON_startup_ipi && last[1].qualification == SIPI_SEEN &&
	       (!init || exits[1] == ACTIVITY_wait_for_sipi);
}

static void wait_in_vain(void)
{
	guest_new(&plain, 0);
	guest_call(l2_twice, 0);
	vmwrite(ENC_guest_activity_state, ACTIVITY_wait_for_sipi);
	vmwrite(ENC_guest_rflags, 0);
	keep(guest_resume());
}

/* SDM "Checks on the Guest State Area": what does not get there does not wait. The SIPI is for one that does. */
static bool no_sipi_to_l2(void)
{
	cpu_begin(1, wait_in_vain);
	cpus_pause();
	ipi(1, IPI_SIPI | SIPI_SEEN);
	until_done(1);
	tell_last("L2 that cannot wait for a SIPI", 1);
	return last[1].reason == (REASON_entry_failure_guest_state | EXIT_REASON_ENTRY_FAILURE);
}

/* A SIPI does nothing to a CPU that does not wait for it. */
static bool sipi_to_running(void)
{
	unsigned before = cpu_starts(1);

	stop = false;
	cpu_do(1, make_guest);
	cpu_begin(1, wait_in_l2);
	until_in_l2();
	ipi(1, IPI_SIPI | cpus_sipi_vector());
	cpus_pause();
	until_in_l2();
	stop = true;
	until_done(1);
	tell_last("SIPI to L2 that runs", 1);
	return last[1].done && cpu_starts(1) == before;
}

static void vmx_off(void)
{
	if (vmxoff() != VMX_SUCCEED)
		fail("VMXOFF failed");
}

/* SDM "Restrictions on VMX Operation": outside it INIT resets the CPU. */
static bool start_again(void)
{
	bool up;

	cpu_do(1, vmx_off);
	up = cpu_start(1);
	print("CPU 1 after VMXOFF, INIT, SIPI: up %u times\n", cpu_starts(1));
	if (up)
		cpu_do(1, vmx_on);
	return up;
}

/* An INIT to L2 is an exit, one for one, and L2 can go on. */
static bool init_to_l2(void)
{
	bool good;

	stop = false;
	cpu_do(1, make_guest);
	cpu_begin(1, wait_in_l2);
	until_in_l2();
	ipi(1, IPI_INIT);
	until_done(1);
	tell_last("INIT to L2", 1);
	good = last[1].reason == REASON_init_signal;
	cpu_begin(1, go_on_in_l2);
	until_in_l2();
	stop = true;
	until_done(1);
	tell_last("and on", 1);
	return good && last[1].done;
}

static void spin_in_root(void)
{
	while (!stop) {
		turns++;
		cpu_relax();
	}
}

/* SDM "Restrictions on VMX Operation": blocked in root operation, and pending until L2 runs. */
static bool init_to_root(void)
{
	bool good;

	stop = false;
	cpu_do(1, make_guest);
	cpu_begin(1, spin_in_root);
	until_in_l2();
	ipi(1, IPI_INIT);
	cpus_pause();
	until_in_l2();
	stop = true;
	until_done(1);
	print("INIT in root operation: nothing\n");
	cpu_do(1, count_exits);
	tell_last("then L2", 1);
	good = last[1].reason == REASON_init_signal;
	cpu_do(1, go_on_in_l2);
	tell_last("and on", 1);
	return good && last[1].reason == REASON_cpuid;
}

static bool init_at_vmxoff(void)
{
	unsigned before = cpu_starts(1);

	stop = false;
	cpu_begin(1, spin_in_root);
	until_in_l2();
	ipi(1, IPI_INIT);
	cpus_pause();
	stop = true;
	until_done(1);
	cpu_begin(1, vmx_off);
	cpus_pause();
	ipi(1, IPI_SIPI | cpus_sipi_vector());
	for (unsigned i = 0; i < 100 && cpu_starts(1) == before; i++)
		cpus_pause();
	print("INIT that was blocked until VMXOFF: CPU 1 started %u times\n", cpu_starts(1) - before);
	return cpu_starts(1) == before + 1;
}

static u8 *msr_bitmap;
static volatile bool write_now;

static u64 l2_rdmsr(u64 msr)
{
	return rdmsr((u32)msr);
}

/* The first write leaves a translation in this CPU's TLB, by which the second is made. */
static void write_bitmap_late(void)
{
	volatile u8 *last_byte = &msr_bitmap[PAGE_SIZE - 1], *byte = &msr_bitmap[MSR_IA32_SYSENTER_CS / 8];

	*last_byte = 0;
	turns++;
	while (!write_now)
		cpu_relax();
	*byte |= 1 << MSR_IA32_SYSENTER_CS % 8;
}

/* An MSR bitmap that another CPU changes while it is in use holds from the next entry on. */
static bool bitmap_of_other_cpu(void)
{
	static const struct controls with_bitmap = { .proc = (u32)PROC_use_msr_bitmaps };
	u64 before = turns;
	struct exit exit;

	msr_bitmap = memory_take_zeroed(PAGE_SIZE);
	write_now = false;
	guest_new(&with_bitmap, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)msr_bitmap);
	cpu_begin(1, write_bitmap_late);
	while (turns == before)
		cpu_relax();
	exit = guest_call(l2_rdmsr, MSR_IA32_SYSENTER_CS);
	tell("RDMSR that the bitmap lets pass", &exit);
	write_now = true;
	until_done(1);
	exit = guest_call(l2_rdmsr, MSR_IA32_SYSENTER_CS);
	tell("and after another CPU's write", &exit);
	return exit.reason == REASON_rdmsr;
}

static void take_without_clear(void)
{
	guest_take_from(0);
	guest_call(l2_cpuids, 1);
}

/* Undefined for the VMCS by the SDM; but the CPU that had it first goes on here, and both can start anew. */
static bool used_twice(void)
{
	bool good;

	make_guest();
	guest_call(l2_cpuids, 1);
	cpu_do(1, take_without_clear);
	keep(guest_skip());
	tell_last("a VMCS that another CPU took without VMCLEAR", 0);
	good = last[0].done;
	for (unsigned i = 0; i < count; i++)
		exits[i] = 0;
	return guests_on_all() && good;
}

static bool start_all(void)
{
	for (unsigned i = 1; i < count; i++) {
		bool up = cpu_start(i);

		print("CPU %u: %s\n", i, up ? "up" : "does not come up");
		if (!up)
			return false;
		cpu_do(i, vmx_on);
	}
	return true;
}

bool feature(void)
{
	bool good;

	count = wanted_cpus();
	if (has_word("x2apic"))
		cpus_use_x2apic();
	traps.skip = 0;
	if (!start_all())
		return false;
	good = guests_on_all() && migrate(0, 1) && migrate(1, 0) && migrate(1, count - 1) && bitmap_of_other_cpu() &&
	       nmi_to_l2() && sipi_to_l2(false) && no_sipi_to_l2() &&
	       sipi_to_running() && start_again();
	if (good && has_word("init"))
		good = sipi_to_l2(true) && used_twice() && init_to_l2() && init_to_root() && init_at_vmxoff();
	return good;
}
