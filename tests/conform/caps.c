/*
 * caps: what the CPU says of itself, bit by bit, and whether what it allows works; SDM "VMX Capability Reporting
 * Facility". A control that L0 does not offer must read as such and fail the entry: each is in the list of differences.
 */
#include "ept.h"
#include "insn.h"
#include "tests/conform/lib/l2.h"

L2_CODE(l2_nothing, "");
static u8 zero_page[4 * PAGE_SIZE] __attribute__((aligned(4096)));

static const char *const group_names[CONTROL_MSRS] = { "pin", "proc", "proc2", "exit", "entry" };

/* Each field that holds an address gets a page, so that a control alone does not fail for want of one. */
static void fill_addresses(void)
{
	static const u16 addresses[] = {
		ENC_address_of_io_bitmap_a, ENC_address_of_io_bitmap_b, ENC_address_of_msr_bitmaps,
		ENC_virtual_apic_address, ENC_apic_access_address, ENC_pml_address, ENC_eptp_list_address,
		ENC_vmread_bitmap_address, ENC_vmwrite_bitmap_address,
		ENC_virtualization_exception_information_address, ENC_sub_page_permission_table_pointer,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++)
		vmwrite_checked(addresses[i], (u64)zero_page);
	vmwrite_checked(ENC_virtual_processor_identifier, 1);
	vmwrite_checked(ENC_tsc_multiplier, BIT(48));
	vmwrite_checked(ENC_vmx_preemption_timer_value, ~0u);
	vmwrite_checked(ENC_guest_ia32_pat, PAT_RESET);
	vmwrite_checked(ENC_host_ia32_pat, PAT_RESET);
	vmwrite_checked(ENC_guest_ia32_efer, rdmsr(MSR_IA32_EFER));
	vmwrite_checked(ENC_host_ia32_efer, rdmsr(MSR_IA32_EFER));
	vmwrite_checked(ENC_tpr_threshold, 0);
}

/* How an entry with the control flipped ends; in short, for what an exit tells is another group's subject. */
static void observe_flipped(const char *what, enum control_msr msr, u64 bit)
{
	struct l2_exit exit;

	vmcs_make(l2_nothing);
	fill_addresses();
	vmwrite(controls_field[msr], vmread(controls_field[msr]) ^ bit);
	exit = l2_enter();
	if (exit.outcome != VMX_SUCCEED)
		observe("%s=failvalid(%u)", what, exit.error);
	else
		observe("%s=exit(%x)", what, exit.reason);
	if ((controls_may(msr) & bit) || exit.outcome != VMX_SUCCEED)
		return;
	wrong("a control that may not be 1 is taken");
}

/* SDM "VM-Execution Control Fields" under "Checks on VMX Controls": reserved bits by the capability MSRs. */
static void control(enum control_msr msr, unsigned number)
{
	u64 bit = BIT(number);
	bool must = controls_must(msr) & bit, may = controls_may(msr) & bit;

	case_begin("%s.%u", group_names[msr], number);
	observe("must=%d may=%d", must, may);
	if (must && !may)
		wrong("what must be 1 may be 1");
	observe_flipped("flipped", msr, bit);
	case_end();
}

/* SDM "Reserved Controls and Default Settings": the TRUE MSRs allow at least what the others do. */
static void default_settings(enum control_msr msr)
{
	static const u16 plain[] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_PROCBASED_CTLS,
				     MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_ENTRY_CTLS };
	u64 value;
	int vector = try_rdmsr(plain[msr], &value);

	case_begin("default1.%s", group_names[msr]);
	observe("vector=%d must=%x", vector, (u32)value);
	if (controls_must(msr) & ~(u32)value || (u32)(value >> 32) != controls_may(msr))
		wrong("the TRUE MSR is not a relaxation of the other");
	case_end();
}

static void ept_vpid(void)
{
	u64 value;
	int vector = try_rdmsr(MSR_IA32_VMX_EPT_VPID_CAP, &value);

	for (unsigned i = 0; i < 64; i++) {
		case_begin("ept_vpid.%u", i);
		observe("vector=%d bit=%lu", vector, value >> i & 1);
		case_end();
	}
}

static void whole_msrs(void)
{
	static const struct {
		const char *name;
		u32 msr;
	} rows[] = {
		{ "cr0_fixed0", MSR_IA32_VMX_CR0_FIXED0 }, { "cr0_fixed1", MSR_IA32_VMX_CR0_FIXED1 },
		{ "cr4_fixed0", MSR_IA32_VMX_CR4_FIXED0 }, { "cr4_fixed1", MSR_IA32_VMX_CR4_FIXED1 },
		{ "feature_control", MSR_IA32_FEATURE_CONTROL }, { "vmcs_enum", MSR_IA32_VMX_VMCS_ENUM },
		{ "vmfunc", MSR_IA32_VMX_VMFUNC }, { "procbased_ctls3", MSR_IA32_VMX_PROCBASED_CTLS3 },
		{ "exit_ctls2", MSR_IA32_VMX_EXIT_CTLS2 }, { "efer", MSR_IA32_EFER }, { "pat", MSR_IA32_PAT },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 value;
		int vector = try_rdmsr(rows[i].msr, &value);

		case_begin("msr.%s", rows[i].name);
		observe("vector=%d value=%lx", vector, value);
		case_end();
	}
}

static void part(const char *msr, const char *name, u64 value, u64 mask)
{
	case_begin("%s.%s", msr, name);
	observe("value=%lx", (value & mask) / (mask & -mask));
	case_end();
}

/* SDM "Basic VMX Information" and "Miscellaneous Data" */
static void basic_and_misc(void)
{
	u64 basic = rdmsr(MSR_IA32_VMX_BASIC), misc = rdmsr(MSR_IA32_VMX_MISC);

	part("basic", "revision", basic, VMX_BASIC_REVISION);
	part("basic", "region_size", basic, VMX_BASIC_REGION_SIZE);
	part("basic", "addresses_of_32_bits", basic, VMX_BASIC_32BIT_ADDRESSES);
	part("basic", "dual_monitor", basic, VMX_BASIC_DUAL_MONITOR);
	part("basic", "memory_type", basic, BITS(53, VMX_BASIC_MEMORY_TYPE_SHIFT));
	part("basic", "ins_outs", basic, VMX_BASIC_INS_OUTS_INFORMATION);
	part("basic", "true_controls", basic, VMX_BASIC_TRUE_CONTROLS);
	part("basic", "any_error_code", basic, VMX_BASIC_ANY_EXCEPTION_ERROR_CODE);
	part("basic", "reserved", basic, BITS(63, 57));
	part("misc", "preemption_timer_rate", misc, VMX_MISC_PREEMPTION_TIMER_RATE);
	part("misc", "efer_lma_stored", misc, VMX_MISC_EFER_LMA_STORED);
	part("misc", "activity_states", misc,
	     VMX_MISC_ACTIVITY_HLT | VMX_MISC_ACTIVITY_SHUTDOWN | VMX_MISC_ACTIVITY_WAIT_FOR_SIPI);
	part("misc", "intel_pt", misc, VMX_MISC_INTEL_PT);
	part("misc", "rdmsr_smbase", misc, VMX_MISC_RDMSR_SMBASE);
	part("misc", "cr3_targets", misc, VMX_MISC_CR3_TARGETS);
	part("misc", "msr_list", misc, VMX_MISC_MSR_LIST);
	part("misc", "smm_block_disable", misc, VMX_MISC_SMM_BLOCK_DISABLE);
	part("misc", "vmwrite_any", misc, VMX_MISC_VMWRITE_ANY);
	part("misc", "zero_length_injection", misc, VMX_MISC_ZERO_LENGTH_INJECTION);
	part("misc", "mseg_revision", misc, BITS(63, 32));
}

/* SDM "VMX Capability Reporting Facility": the MSRs are read-only, and so is a locked IA32_FEATURE_CONTROL. */
static void writes(void)
{
	static const u32 msrs[] = { MSR_IA32_VMX_BASIC, MSR_IA32_VMX_MISC, MSR_IA32_VMX_EPT_VPID_CAP,
				    MSR_IA32_VMX_TRUE_ENTRY_CTLS, MSR_IA32_FEATURE_CONTROL };

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		u64 value = 0;
		int vector;

		try_rdmsr(msrs[i], &value);
		case_begin("write.%x", msrs[i]);
		vector = try_wrmsr(msrs[i], value);
		observe("vector=%d", vector);
		if (vector != VECTOR_GP)
			wrong("the write must be #GP");
		case_end();
	}
}

#define LEAF_EXTENDED 0x80000000u
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_FEATURES 1
#define LEAF_STRUCTURED 7
#define LEAF_INTEL_PT 0x14
#define STRUCTURED_EBX_INTEL_PT BIT(25)
#define SUBLEAVES 4

/* The bits in which L0 differs by intent have cases of their own. */
static void leaf(u32 number, u32 subleaf)
{
	struct cpuid_result r = cpuid(number, subleaf);

	if (number == LEAF_FEATURES && subleaf == 0) {
		part("cpuid", "hypervisor", r.ecx, CPUID1_ECX_HYPERVISOR);
		part("cpuid", "smx", r.ecx, CPUID1_ECX_SMX);
	}
	if (number == LEAF_FEATURES)
		r.ecx &= (u32)~(CPUID1_ECX_HYPERVISOR | CPUID1_ECX_SMX);
	if (number == LEAF_STRUCTURED && subleaf == 0) {
		part("cpuid", "intel_pt", r.ebx, STRUCTURED_EBX_INTEL_PT);
		r.ebx &= (u32)~STRUCTURED_EBX_INTEL_PT;
	}
	case_begin("cpuid.%x.%x", number, subleaf);
	observe("eax=%x ebx=%x ecx=%x edx=%x", r.eax, r.ebx, r.ecx, r.edx);
	case_end();
}

static void leaves(void)
{
	u32 last = cpuid(0, 0).eax, last_extended = cpuid(LEAF_EXTENDED, 0).eax;

	for (u32 number = 0; number <= last; number++)
		for (u32 subleaf = 0; subleaf < SUBLEAVES; subleaf++)
			leaf(number, subleaf);
	leaf(LEAF_HYPERVISOR, 0);
	for (u32 number = LEAF_EXTENDED; number <= last_extended; number++)
		leaf(number, 0);
	leaf(last + 1, 0);
	leaf(last_extended + 1, 0);
}

void group(void)
{
	vmx_start();
	for (unsigned msr = 0; msr < CONTROL_MSRS; msr++) {
		default_settings((enum control_msr)msr);
		for (unsigned number = 0; number < 32; number++)
			control((enum control_msr)msr, number);
	}
	ept_vpid();
	basic_and_misc();
	whole_msrs();
	writes();
	leaves();
}
