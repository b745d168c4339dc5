/* MSR lists that name what no list may name, what no CPU has, and more than there is. SDM "Loading MSRs". */
#include "insn.h"
#include "places.h"

#define MSRS_MANY 65
#define EFER_NONSENSE BIT(63)
#define MISC_ENABLE_XD_DISABLE BIT(34)

static struct vmx_msr_entry list[MSRS_MANY] __attribute__((aligned(16)));

L2_CODE(code_nothing, "nop");
L2_CODE(code_wrmsr, "wrmsr");

static const struct {
	const char *name;
	struct vmx_msr_entry entry;
} forbidden[] = {
	{ "fs_base", { MSR_IA32_FS_BASE, 0, 0 } }, { "gs_base", { MSR_IA32_GS_BASE, 0, 0 } },
	{ "x2apic_first", { 0x800, 0, 0 } }, { "x2apic_icr", { 0x830, 0, 0x4500 } }, { "x2apic_last", { 0x8ff, 0, 0 } },
	{ "unknown_low", { 0x1fff, 0, 0 } }, { "unknown_middle", { 0x40000000, 0, 0 } },
	{ "unknown_high", { 0xc0001fff, 0, 0 } }, { "all_ones", { ~0u, 0, ~0ull } },
	{ "reserved", { MSR_IA32_SYSENTER_CS, 1, 0 } }, { "feature_control", { MSR_IA32_FEATURE_CONTROL, 0, 0 } },
	{ "vmx_basic", { MSR_IA32_VMX_BASIC, 0, 0 } }, { "efer", { MSR_IA32_EFER, 0, EFER_NONSENSE } },
	{ "pat", { MSR_IA32_PAT, 0, 0x0202020202020202 } },
	{ "sysenter_eip", { MSR_IA32_SYSENTER_EIP, 0, BIT(62) } },
};

static void run(void)
{
	struct l2_exit exit = l2_enter();

	observe_exit(&exit);
	aftermath();
}

/* The last of three, so that two have been loaded. */
static void forbidden_cases(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(forbidden); i++) {
		case_begin("list.%s", forbidden[i].name);
		vmcs_make(code_nothing);
		list[0] = list[1] = (struct vmx_msr_entry){ .index = MSR_IA32_SYSENTER_CS };
		list[2] = forbidden[i].entry;
		vmwrite(ENC_vm_entry_msr_load_address, (u64)list);
		vmwrite(ENC_vm_entry_msr_load_count, 3);
		run();
	}
}

/* A list of which the last entry lies in L0's home, or beyond the address space, and counts without end. */
static void far_cases(void)
{
	static const u32 counts[] = { 1, 2, 512, 513, 65536, 0x7fffffff, ~0u };

	for (unsigned p = 0; p < PLACES_OF_A_KIND; p++)
		for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
			case_begin("list.%u_at.%s", counts[c], places[p].name);
			vmcs_make(code_nothing);
			vmwrite(ENC_vm_entry_msr_load_address, ALIGN_DOWN(places[p].address, 16));
			vmwrite(ENC_vm_entry_msr_load_count, counts[c]);
			run();
		}
}

/* What only L0 has something to lose by: the APIC would hide it where it goes, and its EFER has NXE. */
static void against_l0(const char *name, struct vmx_msr_entry entry)
{
	struct l2_exit exit;

	case_begin("list.%s", name);
	vmcs_make(code_nothing);
	list[0] = entry;
	vmwrite(ENC_vm_entry_msr_load_address, (u64)list);
	vmwrite(ENC_vm_entry_msr_load_count, 1);
	if (on_l0) {
		exit = l2_enter();
		expect_entry_failure(&exit, REASON_entry_failure_msr_loading, 1);
	}
	aftermath();
}

/* L2 writes to the MSRs that could undo L0, with L1's leave. */
static void by_l2(void)
{
	static const struct {
		const char *name;
		u32 index;
		u64 value;
	} rows[] = {
		{ "feature_control", MSR_IA32_FEATURE_CONTROL, 0 }, { "vmx_basic", MSR_IA32_VMX_BASIC, 0 },
		{ "efer", MSR_IA32_EFER, EFER_NONSENSE }, { "unknown", 0x40000000, 0 },
	};
	static u8 bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		case_begin("wrmsr_by_l2.%s", rows[i].name);
		vmcs_make(code_wrmsr);
		controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
		vmwrite(ENC_address_of_msr_bitmaps, (u64)bitmap);
		vmwrite(ENC_exception_bitmap, BIT(VECTOR_GP));
		l2.gpr[RCX] = rows[i].index;
		l2.gpr[RAX] = (u32)rows[i].value;
		l2.gpr[RDX] = rows[i].value >> 32;
		struct l2_exit exit = l2_enter();

		observe("exit=%x intr=%x", exit.reason, exit.intr);
		aftermath();
	}
}

void attack_lists(void)
{
	forbidden_cases();
	far_cases();
	against_l0("apic_base", (struct vmx_msr_entry){
		MSR_IA32_APIC_BASE, 0, (rdmsr(MSR_IA32_APIC_BASE) & ~APIC_BASE_ADDRESS) | home_in_host() });
	against_l0("xd_disable", (struct vmx_msr_entry){ MSR_IA32_MISC_ENABLE, 0, MISC_ENABLE_XD_DISABLE });
	by_l2();
}
