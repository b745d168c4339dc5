#include "kick.h"
#include "l1_apic.h"
#include "smp.h"

#define TICKS_TO_LEAVE 400000000

/* fault_entry.S: HLT unless attention is asked for; an NMI in between counts as well. */
void halt_unless(const bool *attention);

static u64 generation; /* of translations; under the lock */

/*
 * One NMI for one kick: as long as it is on its way, no second is sent. So the NMI that finds kicked set is L0's, and
 * any other is L1's. (The CPU keeps one NMI pending: one of L1's that comes while a kick has not been taken is one with
 * it. L1's own NMI by an interrupt command takes another way where L0 intercepts those.)
 */
void kick(struct cpu *target)
{
	if (!__atomic_exchange_n(&target->kicked, true, __ATOMIC_SEQ_CST))
		apic_send_nmi(current_cpu(), target);
}

void nmi_arrived(struct cpu *cpu)
{
	bool kicked = __atomic_exchange_n(&cpu->kicked, false, __ATOMIC_SEQ_CST);

	wish(cpu, kicked ? WISH_look : WISH_nmi);
}

void nmi_unblock(void)
{
	u64 scratch;

	__asm__ volatile("mov %%ss, %k0; push %0; lea 8(%%rsp), %0; push %0; pushfq; mov %%cs, %k0; push %0;"
			 "lea 1f(%%rip), %0; push %0; iretq; 1:" : "=&r"(scratch) : : "memory", "cc");
}

static void wait_until_out(const struct cpu *target)
{
	u64 start = rdtsc();

	while (__atomic_load_n(&target->in_guest, __ATOMIC_SEQ_CST)) {
		cpu_relax();
		if (rdtsc() - start > TICKS_TO_LEAVE)
			l0_panic("CPU %u cannot be got out of its guest: has L1 switched its APIC off?",
				 target->number);
	}
}

void kick_all_out(void)
{
	const struct cpu *self;

	if (cpu_count == 1)
		return;
	self = current_cpu();
	generation++;
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != self && __atomic_load_n(&cpus[i]->in_guest, __ATOMIC_SEQ_CST))
			kick(cpus[i]);
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != self)
			wait_until_out(cpus[i]);
}

/* Nothing is executed in this state, and no NMI gets the CPU out of it: it comes out by a SIPI, through L0. */
static bool waits_for_sipi(void)
{
	return !icr_intercepted && vmread(ENC_guest_activity_state) == ACTIVITY_wait_for_sipi;
}

void kickable_begin(struct cpu *cpu)
{
	if (cpu->flushed != generation) {
		ASSERT(invept(INVEPT_global, 0) == VMX_SUCCEED);
		cpu->flushed = generation;
	}
	__atomic_store_n(&cpu->in_guest, !waits_for_sipi(), __ATOMIC_SEQ_CST);
	shared_unlock();
}

void kickable_end(struct cpu *cpu)
{
	__atomic_store_n(&cpu->in_guest, false, __ATOMIC_SEQ_CST);
	shared_lock();
}

void kick_wait(struct cpu *cpu)
{
	u64 start = rdtsc();

	shared_unlock();
	halt_unless(&cpu->attention);
	shared_lock();
	cpu->attention = false;
	stats_idle(&cpu->stats, rdtsc() - start);
}
