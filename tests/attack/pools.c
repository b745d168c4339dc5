/* More VMCSs, EPTs and pages than L0 has room for: all of it goes on, by eviction. */
#include "ept.h"
#include "insn.h"
#include "places.h"
#include "string.h"

enum { MANY = 70, TOUCHED_GIB = 1000, STORM = 20000 };
#define LINEAR BIT(41)

static u8 regions[MANY][PAGE_SIZE] __attribute__((aligned(4096)));
static u64 roots[MANY][EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 high_pdpt[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 paging_pdpts[2][512] __attribute__((aligned(4096)));
static volatile u64 sample[2];

L2_CODE(code_count, "1: inc %rax\n vmcall\n jmp 1b");
/* Reads at RDI and every GiB from there, RCX times; as often as the right value is there, RBX counts. */
L2_CODE(code_spread,
	"1: cmp %rdx, (%rdi)\n"
	"jne 2f\n"
	"inc %rbx\n"
	"2: add %rsi, %rdi\n"
	"dec %rcx\n"
	"jnz 1b");

/* SDM "VMPTRLD": as many VMCSs as L1 likes are active, each launched once and resumed from then on. */
static void many_vmcs(void)
{
	u64 wrong_count = 0;

	case_begin("pool.vmcs");
	for (unsigned i = 0; i < MANY; i++) {
		memcpy(regions[i], vmx_region(REGION_B), sizeof(struct vmcs_region_header));
		vmcs_make_in((u64)regions[i], code_count);
		vmwrite(ENC_ept_pointer, ((u64)roots[i]) | (l2_eptp() & (PAGE_SIZE - 1)));
		memcpy(roots[i], (void *)(l2_eptp() & EPTP_ADDRESS), PAGE_SIZE);
		wrong_count += l2_enter().reason != REASON_vmcall;
	}
	for (unsigned round = 2; round < 5; round++)
		for (unsigned i = 0; i < MANY; i++) {
			vmptrld((u64)regions[i]);
			l2_resumes(true);
			vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + 3);
			l2.gpr[RAX] = round * MANY + i;
			wrong_count += l2_enter().reason != REASON_vmcall || l2.gpr[RAX] != round * MANY + i + 1;
		}
	observe("wrong=%lu", wrong_count);
	if (wrong_count)
		wrong("a VMCS is not what it was");
	for (unsigned i = 0; i < MANY; i++)
		vmclear((u64)regions[i]);
	aftermath();
}

/* EPT12 that maps the first GiB again and again over its whole width, so that every GiB wants tables of its own. */
static void many_tables(void)
{
	u64 *root = (u64 *)(l2_eptp() & EPTP_ADDRESS), *own = (u64 *)read_cr3(), *pdpt;

	case_begin("pool.ept02");
	vmcs_make(code_spread);
	pdpt = (u64 *)(root[0] & EPT_ADDRESS);
	for (unsigned i = 4; i < EPT_ENTRIES; i++)
		pdpt[i] = pdpt[0];
	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		high_pdpt[i] = pdpt[0];
	root[1] = (u64)high_pdpt | EPT_RWX;
	for (unsigned i = 0; i < 2; i++) {
		own[(LINEAR >> 39) + i] = (u64)paging_pdpts[i] | PTE_PRESENT | PTE_WRITE | PTE_USER;
		for (unsigned g = 0; g < 512; g++)
			paging_pdpts[i][g] = GIB(512 * i + g) | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE;
	}
	sample[0] = 0x5a5a;
	l2.gpr[RDI] = LINEAR + GIB(4) + (u64)&sample[0];
	l2.gpr[RSI] = GIB(1);
	l2.gpr[RCX] = TOUCHED_GIB;
	l2.gpr[RDX] = sample[0];
	struct l2_exit exit = l2_enter();

	observe("exit=%x found=%lu", exit.reason, l2.gpr[RBX]);
	if (l2.gpr[RBX] != TOUCHED_GIB)
		wrong("not every page is there");
	memset(&pdpt[4], 0, (EPT_ENTRIES - 4) * sizeof(u64));
	root[1] = 0;
	invept(INVEPT_global, 0);
	aftermath();
}

/* L1 itself touches a device page in every GiB there is. */
static void many_device_pages(void)
{
	u64 sum = ~0ull;

	case_begin("pool.ept01");
	for (u64 g = 4; g < TOUCHED_GIB; g++)
		sum &= *(volatile u64 *)(LINEAR + GIB(g));
	observe("read=%lx", sum);
	aftermath();
}

/* SDM "Instructions That Cause VM Exits Unconditionally": the shortest way from L2 to L1 and back. */
static void storm(void)
{
	unsigned count = 0;

	case_begin("storm.vmcall");
	vmcs_make(code_count);
	while (count < STORM && l2_enter().reason == REASON_vmcall) {
		vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + 3);
		count++;
	}
	observe("exits=%u", count);
	if (count != STORM || l2.gpr[RAX] != STORM)
		wrong("L2 counts %lu", l2.gpr[RAX]);
	aftermath();
}

void attack_pools(void)
{
	many_vmcs();
	if (cpuid(0x80000001, 0).edx & CPUID_EXT1_EDX_PAGE1G) {
		many_tables();
		many_device_pages();
	}
	storm();
}
