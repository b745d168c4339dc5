#include "vmcs.h"
#include "boot.h"
#include "cpu.h"
#include "enter.h"
#include "ept_map.h"
#include "fields.h"
#include "insn.h"
#include "string.h"
#include "vmx_root.h"
#include "x86.h"

#define SEGMENT_LIMIT 0xffffffffull
#define TSS_LIMIT 0x67
#define IO_BITMAPS_SIZE (2 * PAGE_SIZE)

/* SDM "MSR-Bitmap Address": read-low, read-high, write-low, write-high. */
#define MSR_BITMAP_READ_HIGH 1024
#define MSR_BITMAP_WRITE_LOW 2048
#define MSR_BITMAP_WRITE_HIGH 3072
#define MSR_HIGH_FIRST 0xc0000000u

/* What L1 controls of L2's CR0 and CR4 when it shadows L2's paging: all that paging depends on. */
#define CR0_PAGING (CR0_PE | CR0_WP | CR0_PG)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP)

/* SDM "Virtual-Interrupt Delivery", and what it stands on. */
#define PROC2_APICV \
	(PROC2_virtualize_x2apic_mode | PROC2_apic_register_virtualization | PROC2_virtual_interrupt_delivery)

static void clear_bit(u8 *bitmap, unsigned bit)
{
	bitmap[bit / 8] &= (u8)~(1u << bit % 8);
}

/* One set of bitmaps serves every guest: all is intercepted but a port and some MSRs. */
static u8 *io_bitmaps(void)
{
	static u8 *bitmaps;

	if (!bitmaps) {
		bitmaps = memset(memory_take(IO_BITMAPS_SIZE, PAGE_SIZE), 0xff, IO_BITMAPS_SIZE);
		clear_bit(bitmaps, GUEST_PORT_PASS);
	}
	return bitmaps;
}

static void pass_msr(u8 *bitmap, u32 msr)
{
	clear_bit(bitmap + MSR_BITMAP_READ_HIGH, msr - MSR_HIGH_FIRST);
	clear_bit(bitmap + MSR_BITMAP_WRITE_HIGH, msr - MSR_HIGH_FIRST);
}

static u8 *msr_bitmap(void)
{
	static u8 *bitmap;

	if (!bitmap) {
		bitmap = memset(memory_take(PAGE_SIZE, PAGE_SIZE), 0xff, PAGE_SIZE);
		pass_msr(bitmap, MSR_IA32_FS_BASE);
		/* Where L2 has its SYSCALLs lead: not in the VMCS, and shared by all guests. */
		pass_msr(bitmap, MSR_IA32_STAR);
		pass_msr(bitmap, MSR_IA32_LSTAR);
		if (settings.apicv)
			clear_bit(bitmap + MSR_BITMAP_WRITE_LOW, MSR_X2APIC_EOI);
	}
	return bitmap;
}

/* The CPU's own local APIC for L2, of which no interrupt's end exits. */
static void setup_apicv(struct guest *guest)
{
	guest->virtual_apic = memory_take_zeroed(PAGE_SIZE);
	vmcs_write(virtual_apic_address, (uintptr_t)guest->virtual_apic);
	vmcs_write(tpr_threshold, 0);
	vmcs_write(guest_interrupt_status, 0);
	vmcs_write(eoi_exit_bitmap_0, 0);
	vmcs_write(eoi_exit_bitmap_1, 0);
	vmcs_write(eoi_exit_bitmap_2, 0);
	vmcs_write(eoi_exit_bitmap_3, 0);
}

static void setup_execution_controls(struct guest *guest)
{
	u64 proc = PROC_use_io_bitmaps | PROC_use_msr_bitmaps;
	u64 proc2 = (settings.ept ? PROC2_enable_ept : 0) | (settings.vpid ? PROC2_enable_vpid : 0) |
		    (settings.apicv ? PROC2_APICV : 0);

	if (settings.apicv)
		proc |= PROC_use_tpr_shadow;
	if (settings.cr3_exits)
		proc |= PROC_cr3_load_exiting;
	if (guest->hlt_exits)
		proc |= PROC_hlt_exiting;
	if (!settings.ept)
		proc |= PROC_cr3_load_exiting | PROC_cr3_store_exiting | PROC_invlpg_exiting;
	if (proc2)
		proc |= PROC_activate_secondary_controls;
	vmcs_write(pin_based_controls,
		vmx_controls(MSR_IA32_VMX_PINBASED_CTLS, PIN_external_interrupt_exiting, "pin-based"));
	vmcs_write(primary_processor_based_controls,
		vmx_controls(MSR_IA32_VMX_PROCBASED_CTLS, proc, "primary processor-based"));
	if (proc2)
		vmcs_write(secondary_processor_based_controls,
			vmx_controls(MSR_IA32_VMX_PROCBASED_CTLS2, proc2, "secondary processor-based"));
	if (settings.apicv)
		setup_apicv(guest);
	if (settings.vpid)
		vmcs_write(virtual_processor_identifier, guest->vpid);
	if (settings.ept)
		vmcs_write(ept_pointer, ept_pointer(guest));
}

static void setup_intercepts(void)
{
	vmcs_write(exception_bitmap, BIT(VECTOR_UD) | BIT(VECTOR_BP) | (settings.ept ? 0 : BIT(VECTOR_PF)));
	/* With mask and match equal, the exception bitmap alone decides on page faults. */
	vmcs_write(page_fault_error_code_mask, 0);
	vmcs_write(page_fault_error_code_match, 0);
	vmcs_write(cr3_target_count, 0);
	vmcs_write(address_of_io_bitmap_a, (uintptr_t)io_bitmaps());
	vmcs_write(address_of_io_bitmap_b, (uintptr_t)io_bitmaps() + PAGE_SIZE);
	vmcs_write(address_of_msr_bitmaps, (uintptr_t)msr_bitmap());
}

static void setup_exit_and_entry_controls(void)
{
	u64 exit = EXIT_host_address_space_size | EXIT_acknowledge_interrupt_on_exit |
		   EXIT_save_debug_controls | EXIT_load_ia32_efer;
	u64 entry = ENTRY_ia32e_mode_guest | ENTRY_load_debug_controls | ENTRY_load_ia32_efer;

	vmcs_write(primary_vm_exit_controls, vmx_controls(MSR_IA32_VMX_EXIT_CTLS, exit, "VM-exit"));
	vmcs_write(vm_entry_controls, vmx_controls(MSR_IA32_VMX_ENTRY_CTLS, entry, "VM-entry"));
	vmcs_write(vm_exit_msr_store_count, 0);
	vmcs_write(vm_exit_msr_load_count, 0);
	vmcs_write(vm_entry_msr_load_count, 0);
	vmcs_write(vm_entry_interruption_information, 0);
}

static void setup_host_state(const struct guest *guest)
{
	vmcs_write(host_cr0, read_cr0());
	vmcs_write(host_cr3, read_cr3());
	vmcs_write(host_cr4, read_cr4());
	vmcs_write(host_ia32_efer, rdmsr(MSR_IA32_EFER));
	vmcs_write(host_cs_selector, SELECTOR_CODE);
	vmcs_write(host_ss_selector, SELECTOR_DATA);
	vmcs_write(host_ds_selector, SELECTOR_DATA);
	vmcs_write(host_es_selector, SELECTOR_DATA);
	vmcs_write(host_fs_selector, 0);
	vmcs_write(host_gs_selector, 0);
	vmcs_write(host_tr_selector, SELECTOR_TSS);
	vmcs_write(host_fs_base, 0);
	vmcs_write(host_gs_base, 0);
	vmcs_write(host_tr_base, cpu_tss_base());
	vmcs_write(host_gdtr_base, cpu_gdt_base());
	vmcs_write(host_idtr_base, cpu_idt_base());
	vmcs_write(host_ia32_sysenter_cs, 0);
	vmcs_write(host_ia32_sysenter_esp, 0);
	vmcs_write(host_ia32_sysenter_eip, 0);
	vmcs_write(host_rsp, (uintptr_t)&guest->registers.host_stack);
	vmcs_write(host_rip, (uintptr_t)vmx_exit_point);
}

static void setup_guest_segments(void)
{
#define SEGMENT(name, selector, limit, rights) \
	do { \
		vmcs_write(guest_##name##_selector, selector); \
		vmcs_write(guest_##name##_base, 0); \
		vmcs_write(guest_##name##_limit, limit); \
		vmcs_write(guest_##name##_access_rights, rights); \
	} while (0)
	SEGMENT(cs, SELECTOR_CODE, SEGMENT_LIMIT, AR_CODE64);
	SEGMENT(ss, SELECTOR_DATA, SEGMENT_LIMIT, AR_DATA);
	SEGMENT(ds, SELECTOR_DATA, SEGMENT_LIMIT, AR_DATA);
	SEGMENT(es, SELECTOR_DATA, SEGMENT_LIMIT, AR_DATA);
	SEGMENT(fs, 0, 0, AR_UNUSABLE);
	SEGMENT(gs, 0, 0, AR_UNUSABLE);
	SEGMENT(ldtr, 0, 0, AR_UNUSABLE);
	SEGMENT(tr, SELECTOR_TSS, TSS_LIMIT, AR_TSS64_BUSY);
#undef SEGMENT
	vmcs_write(guest_gdtr_base, 0);
	vmcs_write(guest_gdtr_limit, 0);
	vmcs_write(guest_idtr_base, 0);
	vmcs_write(guest_idtr_limit, 0);
}

/* L2 does not see CR4.VMXE, which is there for L1's sake, nor may it change what shadowed paging rests on. */
static void setup_guest_control_registers(const struct guest *guest)
{
	u64 cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	u64 cr4 = CR4_PAE;

	vmcs_write(guest_cr0, (cr0 | rdmsr(MSR_IA32_VMX_CR0_FIXED0)) & rdmsr(MSR_IA32_VMX_CR0_FIXED1));
	vmcs_write(guest_cr4, (cr4 | rdmsr(MSR_IA32_VMX_CR4_FIXED0)) & rdmsr(MSR_IA32_VMX_CR4_FIXED1));
	vmcs_write(cr0_read_shadow, cr0);
	vmcs_write(cr4_read_shadow, cr4);
	vmcs_write(cr0_guest_host_mask, settings.ept ? 0 : CR0_PAGING);
	vmcs_write(cr4_guest_host_mask, CR4_VMXE | (settings.ept ? 0 : CR4_PAGING));
	vmcs_write(guest_cr3, settings.ept ? guest->cr3 : (uintptr_t)guest->shadow_root);
	vmcs_write(guest_ia32_efer, EFER_LME | EFER_LMA | EFER_SCE);
}

static void setup_guest_rest(u64 entry)
{
	vmcs_write(guest_rip, entry);
	vmcs_write(guest_rsp, 0);
	vmcs_write(guest_rflags, RFLAGS_ONE);
	vmcs_write(guest_dr7, DR7_RESET);
	vmcs_write(guest_ia32_debugctl, 0);
	vmcs_write(guest_ia32_sysenter_cs, 0);
	vmcs_write(guest_ia32_sysenter_esp, 0);
	vmcs_write(guest_ia32_sysenter_eip, 0);
	vmcs_write(guest_activity_state, ACTIVITY_active);
	vmcs_write(guest_interruptibility_state, 0);
	vmcs_write(guest_pending_debug_exceptions, 0);
	vmcs_write(vmcs_link_pointer, VMCS_NO_POINTER);
}

void vmcs_setup(struct guest *guest, u64 entry)
{
	setup_execution_controls(guest);
	setup_intercepts();
	setup_exit_and_entry_controls();
	setup_host_state(guest);
	setup_guest_segments();
	setup_guest_control_registers(guest);
	setup_guest_rest(entry);
}
