/*
 * msr_lists: what the MSR lists of VM entry and VM exit load and store, what they refuse and what a refused entry
 * leaves behind; SDM "Loading MSRs", "Saving MSRs", "VM-Entry Failures During or After Loading Guest State".
 */
#include "ept.h"
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"

#define NON_CANONICAL BIT(47)
#define ENTRIES 512
#define MSR_ABSENT 0x3000
#define LONG_EFER (EFER_LME | EFER_LMA)

static struct vmx_msr_entry entry_list[ENTRIES] __attribute__((aligned(16)));
static struct vmx_msr_entry store_list[ENTRIES] __attribute__((aligned(16)));
static struct vmx_msr_entry load_list[ENTRIES] __attribute__((aligned(16)));
static u8 zero_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

L2_CODE(l2_nothing, "");
L2_CODE(read_msr, "rdmsr");
L2_CODE(write_msr, "wrmsr");

/* L1's own values, by which it shows what an exit has loaded. */
#define L1_VALUE(msr) (0x1000ul + (msr) % 0x100)

static void reset_msrs(void)
{
	static const u32 msrs[] = { MSR_IA32_STAR, MSR_IA32_LSTAR, MSR_IA32_CSTAR, MSR_IA32_FMASK,
				    MSR_IA32_KERNEL_GS_BASE };

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
		wrmsr(msrs[i], L1_VALUE(msrs[i]));
	wrmsr(MSR_IA32_PAT, PAT_RESET);
	wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) & ~EFER_SCE);
}

static void make(const u8 *code)
{
	memset(entry_list, 0, sizeof(entry_list));
	memset(store_list, 0, sizeof(store_list));
	memset(load_list, 0, sizeof(load_list));
	reset_msrs();
	vmcs_make(code);
	controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)zero_bitmap);
	vmwrite(ENC_exception_bitmap, ~0u);
	vmwrite(ENC_guest_idtr_limit, 0);
	vmwrite(ENC_vm_entry_msr_load_address, (u64)entry_list);
	vmwrite(ENC_vm_exit_msr_store_address, (u64)store_list);
	vmwrite(ENC_vm_exit_msr_load_address, (u64)load_list);
}

struct loaded_case {
	const char *name;
	u32 msr;
	u64 value;
	u32 reserved;
	bool good;
};

/* SDM "Loading MSRs" */
static const struct loaded_case loaded_rows[] = {
	{ "star", MSR_IA32_STAR, 0x0023001000000000, 0, true },
	{ "lstar", MSR_IA32_LSTAR, NON_CANONICAL - 1, 0, true },
	{ "lstar_non_canonical", MSR_IA32_LSTAR, NON_CANONICAL, 0, false },
	{ "cstar", MSR_IA32_CSTAR, 0x12345, 0, true },
	{ "fmask", MSR_IA32_FMASK, 0x47700, 0, true },
	{ "kernel_gs_base", MSR_IA32_KERNEL_GS_BASE, 0xffff800000000000, 0, true },
	{ "kernel_gs_base_non_canonical", MSR_IA32_KERNEL_GS_BASE, NON_CANONICAL, 0, false },
	{ "sysenter_cs", MSR_IA32_SYSENTER_CS, 0x33, 0, true },
	{ "sysenter_esp", MSR_IA32_SYSENTER_ESP, 0x55555, 0, true },
	{ "sysenter_esp_non_canonical", MSR_IA32_SYSENTER_ESP, NON_CANONICAL, 0, false },
	{ "sysenter_eip_non_canonical", MSR_IA32_SYSENTER_EIP, NON_CANONICAL, 0, false },
	{ "pat", MSR_IA32_PAT, 0x0606060606060606, 0, true },
	{ "pat_2", MSR_IA32_PAT, 2, 0, false },
	{ "efer", MSR_IA32_EFER, LONG_EFER, 0, true },
	{ "efer_sce", MSR_IA32_EFER, LONG_EFER | EFER_SCE, 0, true },
	{ "efer_reserved", MSR_IA32_EFER, LONG_EFER | BIT(1), 0, false },
	{ "efer_lme_clear", MSR_IA32_EFER, 0, 0, false },
	{ "fs_base", MSR_IA32_FS_BASE, 0, 0, false },
	{ "gs_base", MSR_IA32_GS_BASE, 0, 0, false },
	{ "x2apic_first", MSR_X2APIC_FIRST, 0, 0, false },
	{ "x2apic_tpr", 0x808, 0, 0, false },
	{ "x2apic_last", MSR_X2APIC_LAST, 0, 0, false },
	{ "smm_monitor_ctl", MSR_IA32_SMM_MONITOR_CTL, 0, 0, false },
	{ "smbase", MSR_IA32_SMBASE, 0, 0, false },
	{ "vmx_basic", MSR_IA32_VMX_BASIC, 0, 0, false },
	{ "vmx_misc", MSR_IA32_VMX_MISC, 0, 0, false },
	{ "feature_control_locked", MSR_IA32_FEATURE_CONTROL, 5, 0, false },
	{ "mtrrcap_read_only", MSR_IA32_MTRRCAP, 0, 0, false },
	{ "absent", MSR_ABSENT, 0, 0, false },
	{ "absent_high", 0xc0001fff, 0, 0, false },
	{ "beyond_ranges", 0x40000000, 0, 0, false },
	{ "reserved", MSR_IA32_STAR, 0, 1, false },
	{ "reserved_high", MSR_IA32_STAR, 0, 0x80000000, false },
};

/* Loaded, L2 reads it. Refused, the entry fails and says which entry of the list it was. */
static void loaded(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(loaded_rows); i++) {
		const struct loaded_case *row = &loaded_rows[i];
		struct l2_exit exit;
		u64 read;

		case_begin("entry.%s", row->name);
		make(read_msr);
		entry_list[0] = (struct vmx_msr_entry){ row->msr, row->reserved, row->value };
		vmwrite(ENC_vm_entry_msr_load_count, 1);
		l2.gpr[RCX] = row->msr;
		exit = l2_enter();
		observe_exit(&exit);
		read = l2.gpr[RDX] << 32 | (u32)l2.gpr[RAX];
		observe("read=%lx", read);
		if (row->good) {
			expect_exit(&exit, REASON_vmcall);
			if (read != row->value)
				wrong("L2 must read %lx", row->value);
		} else {
			expect_entry_failure(&exit, REASON_entry_failure_msr_loading, 1);
		}
		case_end();
	}
}

/* The qualification counts from 1; what came before stays loaded, what comes behind is not. */
static void failing_place(void)
{
	static const u32 places[] = { 1, 2, 3, 100, 512 };

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		struct l2_exit exit;

		make(l2_nothing);
		for (unsigned j = 0; j < ENTRIES; j++)
			entry_list[j] = (struct vmx_msr_entry){ MSR_IA32_LSTAR, 0, 0x2000 + j };
		entry_list[places[i] - 1].index = MSR_ABSENT;
		vmwrite(ENC_vm_entry_msr_load_count, ENTRIES);
		case_begin("place.%u", places[i]);
		exit = l2_enter();
		observe_exit(&exit);
		observe("lstar=%lx", rdmsr(MSR_IA32_LSTAR));
		expect_entry_failure(&exit, REASON_entry_failure_msr_loading, places[i]);
		if (rdmsr(MSR_IA32_LSTAR) != (i ? 0x2000 + places[i] - 2 : L1_VALUE(MSR_IA32_LSTAR)))
			wrong("the entries before the one that failed, and no other, are loaded");
		case_end();
	}
}

/* SDM "VM-Entry Failures During or After Loading Guest State": nothing is stored; the exit's list is loaded. */
static void after_failure(void)
{
	struct l2_exit exit;

	make(l2_nothing);
	entry_list[0] = (struct vmx_msr_entry){ MSR_ABSENT, 0, 0 };
	store_list[0] = (struct vmx_msr_entry){ MSR_IA32_STAR, 0, 0x77 };
	load_list[0] = (struct vmx_msr_entry){ MSR_IA32_CSTAR, 0, 0x5678 };
	vmwrite(ENC_vm_entry_msr_load_count, 1);
	vmwrite(ENC_vm_exit_msr_store_count, 1);
	vmwrite(ENC_vm_exit_msr_load_count, 1);
	vmwrite(ENC_vm_entry_interruption_information, (u32)INTR_VALID | INTR_hardware_exception << INTR_TYPE_SHIFT |
							       VECTOR_UD);
	exit = l2_case_begin("failure.lists");
	observe("stored=%lx cstar=%lx", store_list[0].value, rdmsr(MSR_IA32_CSTAR));
	observe("information=%lx", vmread(ENC_vm_entry_interruption_information));
	expect_entry_failure(&exit, REASON_entry_failure_msr_loading, 1);
	if (store_list[0].value != 0x77)
		wrong("no MSR is stored");
	if (rdmsr(MSR_IA32_CSTAR) != 0x5678)
		wrong("the exit's MSRs are loaded");
	if (!(vmread(ENC_vm_entry_interruption_information) & INTR_VALID))
		wrong("the valid bit is not cleared");
	case_end();
	case_begin("failure.vmcs_not_launched");
	vmwrite(ENC_vm_entry_interruption_information, 0);
	vmwrite(ENC_vm_entry_msr_load_count, 0);
	exit = l2_enter();
	observe_exit(&exit);
	expect_exit(&exit, REASON_vmcall); /* by VMLAUNCH */
	case_end();
}

/* What a failed entry had loaded of the VMCS is the host's again. */
static void host_after_failure(void)
{
	struct l2_exit exit;

	make(l2_nothing);
	wrmsr(MSR_IA32_SYSENTER_EIP, 0x999);
	vmwrite(ENC_guest_ia32_sysenter_eip, 0x111);
	vmwrite(ENC_host_ia32_sysenter_eip, 0x222);
	entry_list[0] = (struct vmx_msr_entry){ MSR_IA32_SYSENTER_EIP, 0, 0x333 };
	entry_list[1] = (struct vmx_msr_entry){ MSR_IA32_EFER, 0, LONG_EFER | EFER_SCE };
	entry_list[2] = (struct vmx_msr_entry){ MSR_ABSENT, 0, 0 };
	vmwrite(ENC_vm_entry_msr_load_count, 3);
	exit = l2_case_begin("failure.host_state");
	observe("sysenter_eip=%lx efer=%lx guest=%lx", rdmsr(MSR_IA32_SYSENTER_EIP), rdmsr(MSR_IA32_EFER),
		vmread(ENC_guest_ia32_sysenter_eip));
	expect_entry_failure(&exit, REASON_entry_failure_msr_loading, 3);
	if (rdmsr(MSR_IA32_SYSENTER_EIP) != 0x222)
		wrong("IA32_SYSENTER_EIP must be that of the host state");
	if (vmread(ENC_guest_ia32_sysenter_eip) != 0x111)
		wrong("no guest state is saved");
	case_end();
}

/* Guest state that is not valid: of a list that is, nothing is loaded. Mended, all of it. */
static void list_after_guest_state(void)
{
	struct l2_exit exit;

	make(l2_nothing);
	entry_list[0] = (struct vmx_msr_entry){ MSR_IA32_LSTAR, 0, 0x4321 };
	vmwrite(ENC_vm_entry_msr_load_count, 1);
	vmwrite(ENC_guest_rflags, 0);
	exit = l2_case_begin("failure.guest_state");
	observe("lstar=%lx", rdmsr(MSR_IA32_LSTAR));
	expect_entry_failure(&exit, REASON_entry_failure_guest_state, ENTRY_FAIL_general);
	if (rdmsr(MSR_IA32_LSTAR) != L1_VALUE(MSR_IA32_LSTAR))
		wrong("no MSR is loaded");
	case_end();
	vmwrite(ENC_guest_rflags, RFLAGS_ONE);
	exit = l2_case_begin("failure.guest_state_mended");
	observe("lstar=%lx", rdmsr(MSR_IA32_LSTAR));
	expect_exit(&exit, REASON_vmcall);
	if (rdmsr(MSR_IA32_LSTAR) != 0x4321)
		wrong("the list is loaded");
	case_end();
	wrmsr(MSR_IA32_LSTAR, L1_VALUE(MSR_IA32_LSTAR));
	vmwrite(ENC_vm_entry_msr_load_count, 0);
	vmwrite(ENC_guest_rip, (u64)l2_nothing);
	exit = l2_case_begin("failure.list_gone");
	observe("lstar=%lx", rdmsr(MSR_IA32_LSTAR));
	expect_exit(&exit, REASON_vmcall);
	if (rdmsr(MSR_IA32_LSTAR) != L1_VALUE(MSR_IA32_LSTAR))
		wrong("no MSR is loaded");
	case_end();
}

/* SDM "Saving MSRs", in the order of the list; what L2 wrote is stored, and the index and reserved bits stay. */
static void stored(void)
{
	static const u32 msrs[] = { MSR_IA32_STAR, MSR_IA32_LSTAR, MSR_IA32_KERNEL_GS_BASE, MSR_IA32_SYSENTER_CS,
				    MSR_IA32_SYSENTER_EIP, MSR_IA32_PAT, MSR_IA32_EFER, MSR_IA32_APIC_BASE };

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		struct l2_exit exit;
		bool writable = msrs[i] != MSR_IA32_EFER && msrs[i] != MSR_IA32_APIC_BASE;
		u64 value = writable ? 0x0000000600060006 : rdmsr(msrs[i]);

		make(write_msr);
		l2.gpr[RCX] = msrs[i];
		l2.gpr[RAX] = (u32)value;
		l2.gpr[RDX] = value >> 32;
		store_list[0] = (struct vmx_msr_entry){ msrs[i], 0, ~0ull };
		store_list[1] = (struct vmx_msr_entry){ msrs[i], 0, ~0ull };
		store_list[2].value = ~0ull;
		vmwrite(ENC_vm_exit_msr_store_count, 2);
		case_begin("store.%x", msrs[i]);
		exit = l2_enter();
		observe_exit(&exit);
		observe("stored=%lx %lx %lx", store_list[0].value, store_list[1].value, store_list[2].value);
		expect_exit(&exit, REASON_vmcall);
		value &= msrs[i] == MSR_IA32_SYSENTER_CS ? ~0u : ~0ull;
		if (store_list[0].value != value || store_list[1].value != value || store_list[2].value != ~0ull)
			wrong("%lx must be stored, twice", value);
		if (store_list[0].index != msrs[i] || store_list[0].reserved)
			wrong("nothing but the value is written");
		case_end();
	}
}

/* Stored before the exit loads anything, in either list. */
static void exit_lists(void)
{
	struct l2_exit exit;

	make(write_msr);
	l2.gpr[RCX] = MSR_IA32_LSTAR;
	l2.gpr[RAX] = 0x4444;
	entry_list[0] = (struct vmx_msr_entry){ MSR_IA32_STAR, 0, 0x3333 };
	store_list[0] = (struct vmx_msr_entry){ MSR_IA32_STAR, 0, 0 };
	store_list[1] = (struct vmx_msr_entry){ MSR_IA32_LSTAR, 0, 0 };
	load_list[0] = (struct vmx_msr_entry){ MSR_IA32_STAR, 0, 0x5555 };
	load_list[1] = (struct vmx_msr_entry){ MSR_IA32_LSTAR, 0, 0x6666 };
	load_list[2] = (struct vmx_msr_entry){ MSR_IA32_LSTAR, 0, 0x7777 };
	vmwrite(ENC_vm_entry_msr_load_count, 1);
	vmwrite(ENC_vm_exit_msr_store_count, 2);
	vmwrite(ENC_vm_exit_msr_load_count, 3);
	exit = l2_case_begin("exit.all_lists");
	observe("stored=%lx %lx star=%lx lstar=%lx", store_list[0].value, store_list[1].value, rdmsr(MSR_IA32_STAR),
		rdmsr(MSR_IA32_LSTAR));
	expect_exit(&exit, REASON_vmcall);
	if (store_list[0].value != 0x3333 || store_list[1].value != 0x4444)
		wrong("L2's values are stored");
	if (rdmsr(MSR_IA32_STAR) != 0x5555 || rdmsr(MSR_IA32_LSTAR) != 0x7777)
		wrong("the exit's list is loaded, in its order");
	case_end();
}

/* The exit's list comes last: it is over the host state. */
static void load_over_host_state(void)
{
	struct l2_exit exit;

	make(l2_nothing);
	vmwrite(ENC_host_ia32_sysenter_esp, 0x222);
	load_list[0] = (struct vmx_msr_entry){ MSR_IA32_SYSENTER_ESP, 0, 0x444 };
	vmwrite(ENC_vm_exit_msr_load_count, 1);
	exit = l2_case_begin("exit.over_host_state");
	observe("sysenter_esp=%lx", rdmsr(MSR_IA32_SYSENTER_ESP));
	expect_exit(&exit, REASON_vmcall);
	if (rdmsr(MSR_IA32_SYSENTER_ESP) != 0x444)
		wrong("the list is loaded behind the host state");
	case_end();
}

/* The list changes what the VMCS has loaded: EFER.SCE by the list, over that of the field. */
static void load_over_guest_state(void)
{
	struct l2_exit exit;
	u64 read;

	make(read_msr);
	l2.gpr[RCX] = MSR_IA32_PAT;
	entry_list[0] = (struct vmx_msr_entry){ MSR_IA32_PAT, 0, 0x0101010101010101 };
	vmwrite(ENC_vm_entry_msr_load_count, 1);
	controls_set(ENTRY_CTLS, ENTRY_load_ia32_pat);
	controls_set(EXIT_CTLS, EXIT_save_ia32_pat | EXIT_load_ia32_pat);
	vmwrite(ENC_guest_ia32_pat, PAT_RESET);
	vmwrite(ENC_host_ia32_pat, PAT_RESET);
	exit = l2_case_begin("entry.over_guest_state");
	read = l2.gpr[RDX] << 32 | (u32)l2.gpr[RAX];
	observe("read=%lx saved=%lx host=%lx", read, vmread(ENC_guest_ia32_pat), rdmsr(MSR_IA32_PAT));
	expect_exit(&exit, REASON_vmcall);
	if (read != 0x0101010101010101 || vmread(ENC_guest_ia32_pat) != read || rdmsr(MSR_IA32_PAT) != PAT_RESET)
		wrong("the list is loaded behind the guest state, and the exit saves and loads IA32_PAT");
	case_end();
}

/* SDM "VM Entries": controls, then host state, then guest state, and the list last. */
static void order(void)
{
	static const struct {
		const char *name;
		enum entry_end end;
		struct change changes[2];
	} rows[] = {
		{ "order.control_before_list", FAILS_CONTROL, { TO(cr3_target_count, 5) } },
		{ "order.host_before_list", FAILS_HOST, { TO(host_tr_selector, 0) } },
		{ "order.guest_before_list", FAILS_GUEST, { TO(guest_rflags, 0) } },
		{ "order.link_before_list", FAILS_LINK, { TO(vmcs_link_pointer, 0x10) } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		make(l2_nothing);
		entry_list[0] = (struct vmx_msr_entry){ MSR_ABSENT, 0, 0 };
		vmwrite(ENC_vm_entry_msr_load_count, 1);
		changes_apply(rows[i].changes, ARRAY_SIZE(rows[i].changes));
		exit = l2_case_begin(rows[i].name);
		expect_end(&exit, rows[i].end);
		case_end();
	}
}

void group(void)
{
	vmx_start();
	loaded();
	failing_place();
	after_failure();
	host_after_failure();
	list_after_guest_state();
	stored();
	exit_lists();
	load_over_host_state();
	load_over_guest_state();
	order();
}
