/*
 * L2's time-stamp counter: offset, multiplier, both, neither. L1 and L0 take time of their own, so only relations are
 * printed: what L2 reads lies between what L1 read before and after, scaled and offset by hand.
 */
#include "lib/feature.h"
#include "l1/minivisor/boot.h"

#define OFFSET 0x123456789abcull
#define NEGATIVE (-0x100000ull)
#define AUX 0x5a5a1234ull

static u64 *msr_bitmap; /* all clear: no MSR access exits */

static u64 l2_rdtsc(u64 unused)
{
	(void)unused;
	return rdtsc();
}

static u64 l2_rdmsr_tsc(u64 unused)
{
	(void)unused;
	return rdmsr(MSR_IA32_TIME_STAMP_COUNTER);
}

static u32 l2_aux;

static u64 l2_rdtscp(u64 unused)
{
	u32 low, high, aux;

	(void)unused;
	__asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux) : : "memory");
	l2_aux = aux;
	return (u64)high << 32 | low;
}

static u64 l2_wrmsr_tsc(u64 value)
{
	wrmsr(MSR_IA32_TIME_STAMP_COUNTER, value);
	return 0;
}

static u64 scaled(u64 value, u64 multiplier)
{
	return (u64)((unsigned __int128)value * multiplier >> TSC_MULTIPLIER_SHIFT);
}

/* SDM "Time-Stamp Counter Offset and Multiplier" */
static u64 expected(const struct controls *controls, u64 tsc, u64 offset, u64 multiplier)
{
	if (!(controls->proc & PROC_use_tsc_offsetting))
		return tsc;
	if (controls->proc2 & PROC2_use_tsc_scaling)
		tsc = scaled(tsc, multiplier);
	return tsc + offset;
}

static bool read_in_l2(const struct controls *controls, const char *what, l2_code *code, u64 offset, u64 multiplier)
{
	u64 before = rdtsc(), after;
	struct exit exit = guest_call(code, 0);
	u64 low, value = exit.rax;

	after = rdtsc();
	tell(what, &exit);
	if (!exit.done)
		return true;
	low = expected(controls, before, offset, multiplier);
	/* Differences, as a sum may have wrapped. */
	if (value - low <= expected(controls, after, offset, multiplier) - low) {
		print("  between L1's reads\n");
		return true;
	}
	print("  WRONG: L1 %lx to %lx, L2 %lx\n", before, after, value);
	return false;
}

static bool reads(const struct controls *controls, const char *what, u64 offset, u64 multiplier)
{
	bool good;

	if (!offers(controls, what))
		return true;
	guest_new(controls, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)msr_bitmap);
	if (controls->proc & PROC_use_tsc_offsetting)
		vmwrite(ENC_tsc_offset, offset);
	if (controls->proc2 & PROC2_use_tsc_scaling)
		vmwrite(ENC_tsc_multiplier, multiplier);
	print("%s: offset %lx, multiplier %lx\n", what, offset, multiplier);
	good = read_in_l2(controls, "RDTSC", l2_rdtsc, offset, multiplier);
	good = read_in_l2(controls, "RDMSR", l2_rdmsr_tsc, offset, multiplier) && good;
	wrmsr(MSR_IA32_TSC_AUX, AUX);
	l2_aux = 0;
	good = read_in_l2(controls, "RDTSCP", l2_rdtscp, offset, multiplier) && good;
	print("  IA32_TSC_AUX %x\n", l2_aux);
	return good;
}

#define OFFSETTING (PROC_use_msr_bitmaps | PROC_use_tsc_offsetting)
static const struct controls neither = { .proc = PROC_use_msr_bitmaps, .proc2 = PROC2_enable_rdtscp };
static const struct controls offset_only = { .proc = OFFSETTING, .proc2 = PROC2_enable_rdtscp };
static const struct controls both = { .proc = OFFSETTING, .proc2 = PROC2_enable_rdtscp | PROC2_use_tsc_scaling };
static const struct controls scaling_only = { .proc = PROC_use_msr_bitmaps,
					      .proc2 = PROC2_enable_rdtscp | PROC2_use_tsc_scaling };

static bool all_reads(void)
{
	static const u64 multipliers[] = { BIT(48), BIT(47), 3 * BIT(48), BIT(48) + 0x123456789, 1 };
	bool good = reads(&neither, "neither", 0, 0);

	good = reads(&offset_only, "offset", OFFSET, 0) && good;
	good = reads(&offset_only, "offset", NEGATIVE, 0) && good;
	good = reads(&scaling_only, "multiplier without offset", OFFSET, 3 * BIT(48)) && good;
	for (unsigned i = 0; i < ARRAY_SIZE(multipliers); i++) {
		good = reads(&both, "both", OFFSET, multipliers[i]) && good;
		good = reads(&both, "both", NEGATIVE, multipliers[i]) && good;
	}
	return good;
}

static void exits(void)
{
	static const struct controls exiting = { .proc = OFFSETTING | PROC_rdtsc_exiting,
						 .proc2 = PROC2_enable_rdtscp };
	static const struct controls no_rdtscp = { .proc = OFFSETTING };
	struct exit exit;

	guest_new(&exiting, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)msr_bitmap);
	vmwrite(ENC_tsc_offset, OFFSET);
	exit = guest_call(l2_rdtsc, 0);
	tell("RDTSC exiting, RDTSC", &exit);
	exit = guest_call(l2_rdtscp, 0);
	tell("RDTSC exiting, RDTSCP", &exit);
	guest_new(&no_rdtscp, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)msr_bitmap);
	vmwrite(ENC_tsc_offset, OFFSET);
	traps.skip = 3;
	exit = guest_call(l2_rdtscp, 0);
	tell("RDTSCP not enabled", &exit);
	tell_traps("  which is");
}

static void multiplier_of_zero(void)
{
	struct exit exit;

	if (!offers(&both, "TSC scaling"))
		return;
	guest_new(&both, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)msr_bitmap);
	vmwrite(ENC_tsc_multiplier, 0);
	exit = guest_call(l2_rdtsc, 0);
	tell("a multiplier of 0", &exit);
}

/* L1 sets its counter: it goes on from there, for L2, too. */
static bool l1_writes(void)
{
	u64 before, after, set = BIT(52);
	bool good;

	wrmsr(MSR_IA32_TIME_STAMP_COUNTER, set);
	before = rdtsc();
	after = rdmsr(MSR_IA32_TIME_STAMP_COUNTER);
	good = before >= set && after >= before && after - set < BIT(40);
	print("L1 wrote its counter: %s\n", good ? "it goes on from there" : "WRONG");
	return reads(&neither, "neither, then", 0, 0) && reads(&offset_only, "offset, then", OFFSET, 0) &&
	       reads(&both, "both, then", NEGATIVE, 3 * BIT(47)) && good;
}

#define CPUID7_EBX_TSC_ADJUST BIT(1)

static bool l1_adjusts(void)
{
	u64 before, moved, adjust;

	if (cpuid(0, 0).eax < 7 || !(cpuid(7, 0).ebx & CPUID7_EBX_TSC_ADJUST)) {
		print("not offered: IA32_TSC_ADJUST\n");
		return true;
	}
	adjust = rdmsr(MSR_IA32_TSC_ADJUST);
	before = rdtsc();
	wrmsr(MSR_IA32_TSC_ADJUST, adjust + BIT(45));
	moved = rdtsc() - before;
	print("L1 adjusted its counter: %s, reads back %s\n", moved >= BIT(45) && moved < BIT(46) ? "moved" : "WRONG",
	      rdmsr(MSR_IA32_TSC_ADJUST) == adjust + BIT(45) ? "as written" : "WRONG");
	return moved >= BIT(45) && reads(&offset_only, "offset, then", OFFSET, 0) &&
	       reads(&both, "both, then", OFFSET, 3 * BIT(47));
}

/* What L2 writes without an exit is the CPU's counter, and so L1's. */
static bool l2_writes(void)
{
	struct exit exit;
	u64 set = BIT(51), after;

	guest_new(&offset_only, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)msr_bitmap);
	vmwrite(ENC_tsc_offset, OFFSET);
	exit = guest_call(l2_wrmsr_tsc, set);
	after = rdtsc();
	tell("L2 writes the counter", &exit);
	print("  L1's is %s\n", after - set < BIT(40) ? "near it" : "elsewhere");
	return reads(&offset_only, "offset, then", OFFSET, 0);
}

bool feature(void)
{
	bool good;

	msr_bitmap = memory_take_zeroed(PAGE_SIZE);
	good = all_reads();
	exits();
	multiplier_of_zero();
	good = l1_writes() && good;
	good = l1_adjusts() && good;
	return l2_writes() && good;
}
