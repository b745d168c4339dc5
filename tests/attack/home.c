/* L0's home, read and written page by page, by L1 and by L2: absent memory, all of it. */
#include "insn.h"
#include "places.h"

#define WRITTEN 0x0123456789abcdefull

L2_CODE(code_sweep,
	"1: mov (%rdi), %rax\n"
	"cmp $-1, %rax\n"
	"jne 2f\n"
	"mov %rcx, (%rdi)\n"
	"add %rsi, %rdi\n"
	"cmp %rdx, %rdi\n"
	"jb 1b\n"
	"2:");

static void by_l1(void)
{
	u64 at = home_start;

	case_begin("home.by_l1");
	for (; at < home_end; at += PAGE_SIZE / 2) {
		volatile u64 *word = (volatile u64 *)at;

		*word = WRITTEN;
		if (*word != ~0ull)
			break;
	}
	observe("absent=%s", at == home_end ? "all" : "not all");
	if (at != home_end)
		wrong("L1 reads %lx at %lx of L0's home", *(volatile u64 *)at, at);
	aftermath();
}

/* Again after the tables of the sweep have gone, so that nothing is taken from where the first sweep left it. */
static void by_l2(const char *name)
{
	struct l2_exit exit;

	case_begin("home.%s", name);
	vmcs_make(code_sweep);
	l2.gpr[RDI] = home_start;
	l2.gpr[RSI] = PAGE_SIZE / 2;
	l2.gpr[RDX] = home_end;
	l2.gpr[RCX] = WRITTEN;
	exit = l2_enter();
	expect_exit(&exit, REASON_vmcall);
	observe("exit=%x absent=%s", exit.reason, l2.gpr[RDI] == home_end ? "all" : "not all");
	if (l2.gpr[RDI] != home_end)
		wrong("L2 reads %lx at %lx of L0's home", l2.gpr[RAX], l2.gpr[RDI]);
	aftermath();
}

/* The APIC's page hides what lies under it: over L0's memory L1 may not have it. SDM "Relocating the Local APIC". */
static void apic_base(void)
{
	u64 base, moved;

	case_begin("home.apic_base");
	try_rdmsr(MSR_IA32_APIC_BASE, &base);
	moved = (base & ~APIC_BASE_ADDRESS) | home_in_host();
	if (on_l0 && try_wrmsr(MSR_IA32_APIC_BASE, moved) != VECTOR_GP)
		wrong("the APIC can be moved over L0");
	aftermath();
}

/*
 * Address line 20, off by each of its switches. SDM "VMXON": A20M is disabled in VMX operation. Bare it is
 * L1 itself that would be lost.
 */
static void address_line_20(void)
{
	static const struct {
		u16 port;
		u8 value;
	} writes[] = { { 0x92, 0 }, { 0x64, 0xdd }, { 0x64, 0xd1 }, { 0x60, 0xdd } };

	case_begin("home.address_line_20");
	for (unsigned i = 0; on_l0 && i < ARRAY_SIZE(writes); i++)
		outb(writes[i].port, writes[i].value);
	aftermath();
}

void attack_home(void)
{
	by_l1();
	by_l2("by_l2");
	invept(INVEPT_global, 0);
	by_l2("by_l2_again");
	apic_base();
	address_line_20();
}
