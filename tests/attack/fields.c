/* Every field of the VMCS with every place in it, all that has an address switched on. */
#include "ept.h"
#include "insn.h"
#include "places.h"
#include "string.h"

#define EXITS_MOST 24
#define UNMAPPED GIB(2) /* EPT has nothing there: the last thing that L2 touches */
#define TEXT_MEMORY 0xb8000

static u8 structure[8][PAGE_SIZE] __attribute__((aligned(4096)));
enum { IO_A, IO_B, MSR_BITMAP, APIC_VIRTUAL, APIC_ACCESS, PML_LOG, EPTP_LIST, VE_AREA };
u8 apic_page[PAGE_SIZE] __attribute__((aligned(4096)));

static struct vmx_msr_entry msr_list[3] = {
	{ .index = MSR_IA32_SYSENTER_CS }, { .index = MSR_IA32_SYSENTER_EIP }, { .index = MSR_IA32_FS_BASE },
};

L2_CODE(code_everything,
	"cpuid\n"
	"mov $0x277, %ecx\n rdmsr\n"
	"in $0x80, %al\n out %al, $0x80\n"
	"mov %cr8, %rax\n mov %rax, %cr8\n"
	"mov apic_page + 0x80, %eax\n mov %eax, apic_page + 0x80\n"
	"xor %eax, %eax\n xor %ecx, %ecx\n vmfunc\n"
	"mov %cr3, %rax\n mov %rax, %cr3\n"
	"mov $0x80000000, %edi\n mov (%rdi), %rax\n");

static const struct {
	enum control_msr msr;
	u32 controls;
} wanted[] = {
	{ PROC_CTLS, PROC_use_io_bitmaps }, { PROC_CTLS, PROC_use_msr_bitmaps }, { PROC_CTLS, PROC_use_tpr_shadow },
	{ PROC_CTLS, PROC_use_tsc_offsetting }, { PROC2_CTLS, PROC2_virtualize_apic_accesses },
	{ PROC2_CTLS, PROC2_enable_pml }, { PROC2_CTLS, PROC2_enable_vm_functions },
	{ PROC2_CTLS, PROC2_ept_violation_ve }, { PROC2_CTLS, PROC2_enable_xsaves_xrstors },
	{ PROC2_CTLS, PROC2_use_tsc_scaling },
};

static void set_addresses(void)
{
	vmwrite(ENC_address_of_io_bitmap_a, (u64)structure[IO_A]);
	vmwrite(ENC_address_of_io_bitmap_b, (u64)structure[IO_B]);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)structure[MSR_BITMAP]);
	vmwrite(ENC_virtual_apic_address, (u64)structure[APIC_VIRTUAL]);
	vmwrite(ENC_apic_access_address, (u64)apic_page);
	vmwrite(ENC_vm_entry_msr_load_address, (u64)msr_list);
	vmwrite(ENC_vm_entry_msr_load_count, 2);
	vmwrite_checked(ENC_pml_address, (u64)structure[PML_LOG]);
	vmwrite_checked(ENC_pml_index, PML_INDEX_MAX);
	vmwrite_checked(ENC_vm_function_controls, VMFUNC_eptp_switching);
	vmwrite_checked(ENC_eptp_list_address, (u64)structure[EPTP_LIST]);
	vmwrite_checked(ENC_virtualization_exception_information_address, (u64)structure[VE_AREA]);
	vmwrite_checked(ENC_tsc_multiplier, BIT(48));
	vmwrite(ENC_exception_bitmap, ~0u); /* L2 has the image's IDT, which is no place for its faults */
}

static u64 accessed_dirty(void)
{
	return rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & EPT_CAP_ACCESSED_DIRTY ? EPTP_ACCESSED_DIRTY : 0;
}

/* A VMCS that uses all that this CPU offers of it. */
static void make_full(u32 encoding)
{
	vmcs_make(code_everything);
	memset(structure, 0, sizeof(structure));
	for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
		if (has_controls(wanted[i].msr, wanted[i].controls))
			controls_set(wanted[i].msr, wanted[i].controls);
	set_addresses();
	vmwrite(ENC_ept_pointer, l2_eptp() | accessed_dirty());
	*(u64 *)structure[EPTP_LIST] = l2_eptp() | accessed_dirty();
	/* The violation there is a #VE only where that is what is attacked. */
	*l2_ept_entry(UNMAPPED) =
		encoding == ENC_virtualization_exception_information_address ? 0 : EPT_SUPPRESS_VE;
	invept(INVEPT_global, 0);
}

static bool goes_on(const struct l2_exit *exit)
{
	switch (exit->reason) {
	case REASON_cpuid:
	case REASON_rdmsr:
	case REASON_io_instruction:
	case REASON_control_register_access:
	case REASON_vmfunc:
		return true;
	default:
		return false;
	}
}

/* Runs L2 to an exit that is not an instruction's; tells the reasons on the way. */
static void run_through(bool observed)
{
	for (unsigned i = 0; i < EXITS_MOST; i++) {
		struct l2_exit exit = l2_enter();

		if (observed && exit.outcome != VMX_SUCCEED)
			observe("fail=%u", exit.error);
		else if (observed)
			observe("%x", exit.reason);
		if (exit.outcome != VMX_SUCCEED || !goes_on(&exit))
			return;
		vmwrite(ENC_guest_rip, exit.rip + exit.length);
	}
}

/*
 * Not these: L1's own state at the next exit, which is L1's to lose; the lists that an exit works through, where a bad
 * place is a VMX abort, the end of L1; and where L2 fetches code from, for the emulated CPU does not fetch from holes.
 */
static bool is_left_out(u32 encoding)
{
	switch (encoding) {
	case ENC_vm_exit_msr_store_count:
	case ENC_vm_exit_msr_load_count:
	case ENC_guest_rip:
	case ENC_guest_cs_base:
		return true;
	default:
		return VMCS_ENCODING_TYPE(encoding) == TYPE_HOST;
	}
}

/* What the emulated CPU does not check as the SDM has it, or L0 does not offer: no comparison. */
static bool differs(u32 encoding)
{
	return encoding == ENC_guest_ia32_debugctl || encoding == ENC_guest_pending_debug_exceptions ||
	       encoding == ENC_vm_entry_interruption_information;
}

static void field_case(const char *name, u32 encoding, const struct place *place, bool observed)
{
	u64 low;

	make_full(encoding);
	low = vmread(encoding) & (PAGE_SIZE - 1); /* of an EPTP */
	case_begin("field.%s.%s", name, place->name);
	vmwrite_checked(encoding, place->address | low);
	run_through(observed && !differs(encoding));
	aftermath();
}

/* Fields of controls that L0 does not offer (docs/differences.md): L0 has no such field. */
static bool is_not_offered(u32 encoding)
{
	return encoding == ENC_vmread_bitmap_address || encoding == ENC_vmwrite_bitmap_address ||
	       encoding == ENC_guest_ia32_perf_global_ctrl;
}

static void field(const char *name, u32 encoding)
{
	unsigned first = VMCS_ENCODING_TYPE(encoding) == TYPE_CONTROL ? 0 : DEVICE_MEMORY;
	u64 value;

	make_full(encoding);
	if (is_left_out(encoding) || is_not_offered(encoding) ||
	    VMCS_ENCODING_TYPE(encoding) == TYPE_EXIT_INFORMATION ||
	    vmread_checked(encoding, &value) != VMX_SUCCEED)
		return;
	for (unsigned p = 0; p < PLACES_OF_A_KIND; p++)
		field_case(name, encoding, &places[p], true);
	for (unsigned p = first; on_l0 && p < DEVICE_PLACES; p++)
		field_case(name, encoding, &device_places[p], false);
}

/* The display's memory answers only once its registers say where it is. */
static void display_on(void)
{
	static const struct {
		u16 port;
		u8 index, value;
	} registers[] = {
		{ 0x3c4, 2, 0x0f }, { 0x3c4, 4, 0x06 }, { 0x3ce, 4, 0 }, { 0x3ce, 5, 0 }, { 0x3ce, 6, 0x0c },
		{ 0x3ce, 8, 0xff },
	};

	outb(0x3c3, 1);
	outb(0x3c2, 0x63);
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
		outb(registers[i].port, registers[i].index);
		outb(registers[i].port + 1, registers[i].value);
	}
}

/*
 * SDM "VM-Execution Control Fields": the threshold may not exceed the TPR on the virtual-APIC page, which here is a
 * device, here the text memory of the display, which no copy of L0's stands for.
 */
static void threshold_in_device(void)
{
	volatile u8 *tpr = (volatile u8 *)TEXT_MEMORY + VIRTUAL_APIC_TPR;
	struct l2_exit exit;

	case_begin("field.tpr_threshold.display");
	display_on();
	*tpr = 0;
	observe("tpr=%x", *tpr);
	vmcs_make(code_everything);
	controls_set(PROC_CTLS, PROC_use_tpr_shadow);
	vmwrite(ENC_virtual_apic_address, TEXT_MEMORY);
	vmwrite(ENC_tpr_threshold, 1);
	exit = l2_enter();
	observe_exit(&exit);
	expect_vmfail(&exit, VMERR_entry_invalid_control_fields);
	aftermath();
}

void attack_fields(void)
{
	threshold_in_device();
#define F(name, encoding, use, hot) field(#name, encoding);
#include "vmcs_fields.def"
#undef F
}
