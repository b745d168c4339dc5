#include "ept.h"
#include "insn.h"
#include "places.h"
#include "string.h"

enum { ROUNDS = 8 };

static u8 shared[PAGE_SIZE] __attribute__((aligned(4096)));
static u64 noise_state = 0x2545f4914f6cdd1dull;

L2_CODE(code_busy,
	"cpuid\n"
	"mov $0x277, %ecx\n rdmsr\n"
	"in $0x80, %al\n"
	"mov %cr8, %rax\n mov %rax, %cr8\n");

static const u16 addresses[] = {
	ENC_address_of_io_bitmap_a, ENC_address_of_io_bitmap_b, ENC_address_of_msr_bitmaps, ENC_virtual_apic_address,
	ENC_apic_access_address, ENC_vm_entry_msr_load_address, ENC_vm_exit_msr_store_address, ENC_pml_address,
	ENC_eptp_list_address, ENC_virtualization_exception_information_address,
};

/* Xorshift; the same numbers in every run. */
static u64 noise(void)
{
	noise_state ^= noise_state << 13;
	noise_state ^= noise_state >> 7;
	return noise_state ^= noise_state << 17;
}

/* A page, or what follows the header of a VMCS region. */
static void fill(u8 *region, bool header, unsigned how)
{
	u64 *word = (u64 *)region;

	for (unsigned i = !header; i < PAGE_SIZE / sizeof(*word); i++)
		word[i] = how == 0 ? 0 : how == 1 ? ~0ull : noise();
}

static void point_all_at(u64 address)
{
	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++)
		vmwrite_checked(addresses[i], address);
	controls_set(PROC_CTLS, PROC_use_io_bitmaps | PROC_use_msr_bitmaps | PROC_use_tpr_shadow);
	if (has_controls(PROC2_CTLS, PROC2_virtualize_apic_accesses))
		controls_set(PROC2_CTLS, PROC2_virtualize_apic_accesses);
}

static void run(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct l2_exit exit = l2_enter();

		if (exit.outcome != VMX_SUCCEED || exit.reason & EXIT_REASON_ENTRY_FAILURE ||
		    exit.reason == REASON_vmcall)
			return;
		vmwrite(ENC_guest_rip, exit.rip + exit.length);
	}
}

/* On the bare CPU a VMCS region holds the CPU's own, and L1 is lost if it writes there: only L0 is attacked. */
static void alias_case(const char *name, u64 address, unsigned how)
{
	case_begin("alias.%s.%u", name, how);
	if (on_l0) {
		vmcs_make(code_busy);
		point_all_at(address);
		if (address == (u64)shared)
			fill(shared, true, how);
		run();
		vmclear((u64)vmx_region(REGION_A));
	}
	aftermath();
}

/* The region of the current VMCS, its revision spared or not; then everything there is to do with it. */
static void scribble_case(unsigned how, bool revision, const void *keep)
{
	u8 *region = vmx_region(REGION_A);

	case_begin("scribble.%u.%s", how, revision ? "with_revision" : "body");
	if (on_l0) {
		vmcs_make(code_busy);
		fill(region, revision, how);
		run();
		fill(region, revision, how);
		vmclear((u64)region); /* the image goes over it, and the revision stays as it is */
		fill(region, false, how);
		if (vmptrld((u64)region) == VMX_SUCCEED)
			run();
		vmclear((u64)region);
		memcpy(region, keep, 2 * sizeof(u32));
	}
	aftermath();
}

static void scribbles(void)
{
	u32 keep[2];


	memcpy(keep, vmx_region(REGION_A), sizeof(keep));
	for (unsigned how = 0; how < 2 + ROUNDS; how++) {
		scribble_case(how, false, keep);
		scribble_case(how, true, keep);
	}
}

/* L1's own EPT tables and MSR lists within the page of a VMCS that L0 writes back there. */
static void root_in_vmcs(void)
{
	case_begin("alias.ept_root_is_vmcs");
	if (on_l0) {
		vmcs_make(code_busy);
		vmwrite(ENC_ept_pointer, (u64)vmx_region(REGION_A) | (l2_eptp() & (PAGE_SIZE - 1)));
		run();
		vmclear((u64)vmx_region(REGION_A));
		vmptrld((u64)vmx_region(REGION_A));
		run();
	}
	aftermath();
}

void attack_aliases(void)
{
	for (unsigned how = 0; how < 4; how++)
		alias_case("one_page", (u64)shared, how);
	alias_case("vmcs", (u64)vmx_region(REGION_A), 0);
	alias_case("vmxon_region", (u64)vmx_region(REGION_VMXON), 0);
	alias_case("ept_root", l2_eptp() & EPTP_ADDRESS, 0);
	alias_case("page_tables", read_cr3(), 0);
	root_in_vmcs();
	scribbles();
}
