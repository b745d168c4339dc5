/* Structures that change while L0 reads them: another CPU flips their bits all the time. Command line: cpus=2. */
#include "ap.h"
#include "ept.h"
#include "insn.h"
#include "places.h"
#include "string.h"

#define APIC_SVR 0xfee000f0
#define APIC_ICR 0xfee00300
#define APIC_ICR_HIGH 0xfee00310
#define ICR_SIPI 0x4600
#define SVR_ENABLED 0x1ff
#define TOUCHED GIB(2)
#define PORT_WORD (0x80 / 32)          /* of the I/O bitmap, as a word */
#define EFER_READ ((0x400 + 0x80 / 8) / 4) /* of the MSR bitmap, as words */
#define EFER_WRITE ((0xc00 + 0x80 / 8) / 4)
#define PATIENCE 3000000
#define PATIENCE_FLIPS 1000
enum { ROUNDS = 400, FLIPS = 3 };

extern const u8 ap_code[], ap_code_end[];

struct flip {
	u32 address, bits;
};

static u32 io_bitmap[2][PAGE_SIZE / 4] __attribute__((aligned(4096)));
static u32 msr_bitmap[PAGE_SIZE / 4] __attribute__((aligned(4096)));
static u32 virtual_apic[PAGE_SIZE / 4] __attribute__((aligned(4096)));
static struct vmx_msr_entry list[2] __attribute__((aligned(16)));

/* EFER without NXE: were it L0's own that is written, L0 would not survive. */
L2_CODE(code_race,
	"mov $0xc0000080, %ecx\n rdmsr\n mov $0x500, %eax\n xor %edx, %edx\n wrmsr\n"
	"in $0x80, %al\n"
	"mov $0x80000000, %edi\n mov (%rdi), %rax\n mov %rax, (%rdi)\n"
	"mov %cr8, %rax\n");

static volatile u32 *ap_word(unsigned offset)
{
	return (volatile u32 *)(u64)(AP_PAGE + offset);
}

static void wait_for_ap(u32 running)
{
	for (unsigned i = 0; *ap_word(AP_RUNNING) != running; i++) {
		if (i == PATIENCE)
			give_up("the other CPU does not %s", running ? "come up" : "stop");
		cpu_relax();
	}
}

static void start_ap(void)
{
	memcpy((void *)AP_PAGE, ap_code, (size_t)(ap_code_end - ap_code));
	memset((void *)(AP_PAGE + AP_RUNNING), 0, PAGE_SIZE - AP_RUNNING);
	*(volatile u32 *)APIC_SVR = SVR_ENABLED;
	*(volatile u32 *)APIC_ICR_HIGH = 1u << 24;
	*(volatile u32 *)APIC_ICR = ICR_SIPI + (AP_PAGE >> PAGE_SHIFT);
	wait_for_ap(1);
}

static u32 low(const void *address)
{
	return (u32)(u64)address;
}

/* Hand the other CPU its words: it finds an end at once, and the first word last. */
static void set_flips(const struct flip *flips)
{
	volatile struct flip *list_at = (volatile struct flip *)(AP_PAGE + AP_LIST);

	list_at[0].address = 0;
	for (unsigned i = 0; i < PATIENCE_FLIPS; i++)
		cpu_relax(); /* until it has come to the end of the old list */
	for (unsigned i = FLIPS; i--;) {
		list_at[i].bits = flips[i].bits;
		list_at[i].address = flips[i].address;
	}
}

static void make(void)
{
	vmcs_make(code_race);
	controls_set(PROC_CTLS, PROC_use_io_bitmaps | PROC_use_msr_bitmaps | PROC_use_tpr_shadow);
	vmwrite(ENC_address_of_io_bitmap_a, (u64)io_bitmap[0]);
	vmwrite(ENC_address_of_io_bitmap_b, (u64)io_bitmap[1]);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)msr_bitmap);
	vmwrite(ENC_virtual_apic_address, (u64)virtual_apic);
	vmwrite(ENC_exception_bitmap, ~0u);
	virtual_apic[VIRTUAL_APIC_TPR / 4] = 0xff;
	list[0] = (struct vmx_msr_entry){ .index = MSR_IA32_SYSENTER_CS };
	list[1] = (struct vmx_msr_entry){ .index = MSR_IA32_SYSENTER_CS };
	vmwrite(ENC_vm_entry_msr_load_address, (u64)list);
	vmwrite(ENC_vm_entry_msr_load_count, 2);
}

static bool goes_on(u32 reason)
{
	return reason == REASON_rdmsr || reason == REASON_wrmsr || reason == REASON_io_instruction;
}

/* What each entry comes to is a matter of chance; that all come to something is not. */
static void race(const char *name, bool refuses)
{
	unsigned entered = 0, refused = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct l2_exit exit = l2_enter();

		if (exit.outcome != VMX_SUCCEED || exit.reason & EXIT_REASON_ENTRY_FAILURE)
			refused++;
		else
			entered++;
		if (exit.outcome == VMX_SUCCEED && goes_on(exit.reason))
			vmwrite(ENC_guest_rip, exit.rip + exit.length);
		else if (exit.outcome == VMX_SUCCEED)
			vmwrite(ENC_guest_rip, (u64)code_race);
		if (i % 8 == 0)
			invept(INVEPT_global, 0);
	}
	observe("entered: %s, refused: %s", entered ? "some" : "none", refused ? "some" : "none");
	if (!entered || (refused != 0) != refuses)
		wrong("%s: %u entered, %u refused", name, entered, refused);
}

static void race_case(const char *name, bool refuses, const struct flip *flips)
{
	case_begin("other_cpu.%s", name);
	make();
	if (refuses)
		vmwrite(ENC_tpr_threshold, 1);
	set_flips(flips);
	race(name, refuses);
	set_flips((const struct flip[FLIPS]){ { 0, 0 } });
	vmclear((u64)vmx_region(REGION_A));
	aftermath();
}

/* The VMCS region is L0's to read only where there is an L0: on the bare CPU it is the CPU's own. */
void attack_by_other_cpu(void)
{
	const u64 *leaf = l2_ept_entry(TOUCHED);
	const u8 *region = vmx_region(REGION_A);
	const struct flip bitmaps[FLIPS] = { { low(&msr_bitmap[EFER_READ]), BIT(0) },
					     { low(&msr_bitmap[EFER_WRITE]), BIT(0) },
					     { low(&io_bitmap[0][PORT_WORD]), BIT(0) } };
	const struct flip tables[FLIPS] = { { low(leaf), EPT_RWX }, { low((const u8 *)leaf + 4), BIT(15) },
					    { low((const void *)ALIGN_DOWN((u64)leaf, PAGE_SIZE)) + 8, EPT_LARGE } };
	const struct flip tpr[FLIPS] = { { low(&virtual_apic[VIRTUAL_APIC_TPR / 4]), 0xff } };
	const struct flip lists[FLIPS] = { { low(&list[0].index), 0xfffff }, { low(&list[1].value), 0x80 } };
	const struct flip vmcs[FLIPS] = { { low(region + sizeof(struct vmcs_region_header)), 1 },
					  { low(region + PAGE_SIZE / 4), ~0u } };

	start_ap();
	race_case("bitmaps", false, bitmaps);
	race_case("tables", false, tables);
	race_case("tpr", true, tpr);
	race_case("lists", true, lists);
	if (on_l0)
		race_case("vmcs", false, vmcs);
	*ap_word(AP_STOP) = 1;
	wait_for_ap(0);
}
