#include "vmcs.h"
#include "ept.h"
#include "insn.h"
#include "note.h"
#include "random.h"
#include "string.h"

/* Far more than any piece takes: it ends HLT, and what L2 makes of a state that no piece expects. */
#define WATCHDOG_TICKS BIT(23)
#define BEYOND_WIDTH BIT(45)
#define TSS_LIMIT 0xffu
#define GDT_LIMIT 0x5fu
#define TSC_OFFSET_SHIFT 56
#define DEBUGCTL_LBR_BTF 3u
#define RFLAGS_IOPL BITS(13, 12)
#define HANDLER_LSTAR (VM_ADDRESS(PAGE_HANDLERS) + 0xe0 * HANDLER_SIZE)

/*
 * L0 does not offer all of these (docs/differences.md). What sub-pages let through depends on the emulated CPU's TLB, a
 * full log of page modifications is beyond it, as is what a virtual interrupt's delivery reports.
 */
#define PROC2_LEFT_OUT (PROC2_sub_page_write_permissions | PROC2_enable_pml)
#define EXIT_LEFT_OUT (EXIT_load_ia32_perf_global_ctrl | EXIT_save_vmx_preemption_timer_value)
#define ENTRY_LEFT_OUT \
	(ENTRY_entry_to_smm | ENTRY_deactivate_dual_monitor_treatment | ENTRY_load_ia32_perf_global_ctrl)

static bool is_long(const struct vm *vm)
{
	return vm->mode == VM_64 || vm->mode == VM_COMPATIBILITY;
}

static u64 some_of(u64 bits)
{
	return random64() & random64() & bits;
}

/* What the other controls demand; SDM "VM-Execution Control Fields". */
static void make_consistent(u64 *pin, u64 *proc, u64 *proc2)
{
	const u64 of_tpr_shadow = PROC2_virtualize_x2apic_mode | PROC2_apic_register_virtualization |
				  PROC2_virtual_interrupt_delivery;

	if (!(*pin & PIN_nmi_exiting))
		*pin &= ~PIN_virtual_nmis;
	if (!(*pin & PIN_virtual_nmis))
		*proc &= ~PROC_nmi_window_exiting;
	if (!(*proc & PROC_use_tpr_shadow))
		*proc2 &= ~of_tpr_shadow;
	if (!(*pin & PIN_external_interrupt_exiting))
		*proc2 &= ~PROC2_virtual_interrupt_delivery;
	if (*proc2 & PROC2_virtualize_x2apic_mode)
		*proc2 &= ~PROC2_virtualize_apic_accesses;
	if (!(*proc2 & PROC2_enable_ept))
		*proc2 &= ~(PROC2_unrestricted_guest | PROC2_ept_violation_ve);
}

/* What keeps L2 from doing harm, or from running for ever, whatever else is changed. */
u64 vmcs_safe_controls(const struct vm *vm, enum control_msr msr, u64 value)
{
	const u64 wanted_exits = PROC_mwait_exiting | PROC_rdpmc_exiting | PROC_activate_secondary_controls |
				 (vm->watched ? 0 : PROC_hlt_exiting) | (vm->ept ? 0 : PROC_cr3_load_exiting) |
				 (value & PROC_use_io_bitmaps ? 0 : PROC_unconditional_io_exiting);

	switch (msr) {
	case PIN_CTLS:
		value &= ~(PIN_activate_vmx_preemption_timer | PIN_process_posted_interrupts);
		return vm->watched ? value | PIN_activate_vmx_preemption_timer : value;
	case PROC_CTLS:
		return value | wanted_exits;
	case PROC2_CTLS:
		value = (value & ~(PROC2_LEFT_OUT | PROC2_enable_ept)) | (vm->ept ? PROC2_enable_ept : 0);
		/* Random numbers are no more the same on both machines than time is. */
		return value | (controls_may(PROC2_CTLS) & (PROC2_rdrand_exiting | PROC2_rdseed_exiting));
	case EXIT_CTLS:
		return value & ~EXIT_LEFT_OUT;
	default:
		return value & ~ENTRY_LEFT_OUT;
	}
}

static void set_controls(const struct vm *vm)
{
	const u64 rare = PROC_interrupt_window_exiting | PROC_nmi_window_exiting | PROC_monitor_trap_flag;
	u64 pin = controls_must(PIN_CTLS) | some_of(controls_may(PIN_CTLS));
	u64 proc = controls_must(PROC_CTLS) |
		   some_of(controls_may(PROC_CTLS) & ~(rare | PROC_activate_tertiary_controls));
	u64 proc2 = controls_must(PROC2_CTLS) | some_of(controls_may(PROC2_CTLS) & ~PROC2_unrestricted_guest);

	if (one_in(8))
		proc |= random64() & rare & controls_may(PROC_CTLS);
	if (!vm_is_paged(vm) || one_in(4))
		proc2 |= PROC2_unrestricted_guest & controls_may(PROC2_CTLS);
	pin = vmcs_safe_controls(vm, PIN_CTLS, pin);
	proc = vmcs_safe_controls(vm, PROC_CTLS, proc);
	proc2 = vmcs_safe_controls(vm, PROC2_CTLS, proc2);
	make_consistent(&pin, &proc, &proc2);
	vmwrite(ENC_pin_based_controls, pin);
	vmwrite(ENC_primary_processor_based_controls, proc);
	vmwrite(ENC_secondary_processor_based_controls, proc2);
}

static void set_transition_controls(const struct vm *vm)
{
	const u64 may_exit = EXIT_save_debug_controls | EXIT_save_ia32_pat | EXIT_load_ia32_pat | EXIT_save_ia32_efer |
			     EXIT_load_ia32_efer | EXIT_acknowledge_interrupt_on_exit | EXIT_load_cet_state;
	const u64 may_enter = ENTRY_load_debug_controls | ENTRY_load_ia32_pat | ENTRY_load_ia32_efer |
			      ENTRY_load_cet_state;

	vmwrite(ENC_primary_vm_exit_controls, controls_must(EXIT_CTLS) | EXIT_host_address_space_size |
		(random64() & may_exit & controls_may(EXIT_CTLS)));
	vmwrite(ENC_vm_entry_controls, controls_must(ENTRY_CTLS) | (is_long(vm) ? ENTRY_ia32e_mode_guest : 0) |
		(random64() & may_enter & controls_may(ENTRY_CTLS)));
}

/* Not every CPU has every field. */
static void set_if_there(u16 encoding, u64 value)
{
	vmwrite_checked(encoding, value);
}

static void set_addresses(const struct vm *vm)
{
	const u64 lists = (u64)vm_control_page(vm, CONTROL_LISTS);

	vmwrite(ENC_address_of_io_bitmap_a, (u64)vm_control_page(vm, CONTROL_IO_BITMAP_A));
	vmwrite(ENC_address_of_io_bitmap_b, (u64)vm_control_page(vm, CONTROL_IO_BITMAP_B));
	vmwrite(ENC_address_of_msr_bitmaps, (u64)vm_control_page(vm, CONTROL_MSR_BITMAP));
	vmwrite(ENC_virtual_apic_address, (u64)vm_control_page(vm, CONTROL_VIRTUAL_APIC));
	vmwrite(ENC_apic_access_address, (u64)vm_page(vm, PAGE_APIC));
	vmwrite(ENC_vm_entry_msr_load_address, lists + LIST_ENTRY_LOAD);
	vmwrite(ENC_vm_exit_msr_store_address, lists + LIST_EXIT_STORE);
	vmwrite(ENC_vm_exit_msr_load_address, lists + LIST_EXIT_LOAD);
	set_if_there(ENC_ept_pointer, vm_eptp(vm) | (vm_capabilities() & EPT_CAP_ACCESSED_DIRTY && one_in(2) ?
						     EPTP_ACCESSED_DIRTY : 0));
	set_if_there(ENC_eptp_list_address, (u64)vm_control_page(vm, CONTROL_EPTP_LIST));
	set_if_there(ENC_virtualization_exception_information_address,
		     (u64)vm_control_page(vm, CONTROL_VE_INFORMATION));
	vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
}

static void set_other_controls(const struct vm *vm)
{
	vmwrite(ENC_exception_bitmap, one_in(2) ? 0 : random_odd(32));
	vmwrite(ENC_page_fault_error_code_mask, one_in(2) ? 0 : random_below(32));
	vmwrite(ENC_page_fault_error_code_match, one_in(2) ? 0 : random_below(32));
	vmwrite(ENC_cr3_target_count, random_below(5));
	for (unsigned i = 0; i < 4; i++)
		vmwrite(ENC_cr3_target_value_0 + 2 * i, vm->physical + VM_ADDRESS(PAGE_TABLES));
	vmwrite(ENC_tsc_offset, random_odd(8) << TSC_OFFSET_SHIFT);
	set_if_there(ENC_tsc_multiplier, BIT(TSC_MULTIPLIER_SHIFT));
	set_if_there(ENC_virtual_processor_identifier, 1 + random_below(4));
	set_if_there(ENC_vm_function_controls, controls_may(PROC2_CTLS) & PROC2_enable_vm_functions ? 1 : 0);
	set_if_there(ENC_xss_exiting_bitmap, random_odd(64));
	/* No pause loop is that long, and none ends by a gap. */
	set_if_there(ENC_ple_window, ~0u);
	set_if_there(ENC_ple_gap, ~0u);
	vmwrite(ENC_vmx_preemption_timer_value, WATCHDOG_TICKS);
}

static void set_host_state(void)
{
	static const u16 data[] = { ENC_host_es_selector, ENC_host_ss_selector, ENC_host_ds_selector };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		vmwrite(data[i], SEL_DATA);
	vmwrite(ENC_host_cs_selector, SEL_CODE64);
	vmwrite(ENC_host_tr_selector, SEL_TSS);
	vmwrite(ENC_host_cr0, read_cr0());
	vmwrite(ENC_host_cr3, read_cr3());
	vmwrite(ENC_host_cr4, read_cr4());
	vmwrite(ENC_host_ia32_pat, PAT_RESET);
	vmwrite(ENC_host_ia32_efer, rdmsr(MSR_IA32_EFER));
	vmwrite(ENC_host_tr_base, probe_tss_base());
	vmwrite(ENC_host_gdtr_base, probe_gdt_base());
	vmwrite(ENC_host_idtr_base, probe_idt_base());
	vmwrite(ENC_host_rip, (u64)vmx_exit_point);
}

/* The encodings of one segment's parts lie at the same place in their groups. */
static void set_segment(unsigned selector_field, u16 selector, u32 limit, u32 rights)
{
	unsigned place = selector_field - ENC_guest_es_selector;

	vmwrite(selector_field, selector);
	vmwrite(ENC_guest_es_limit + place, limit);
	vmwrite(ENC_guest_es_access_rights + place, rights);
	vmwrite(ENC_guest_es_base + place, 0);
}

/* SDM "Checks on Guest Segment Registers" */
static void set_code_or_data(const struct vm *vm, unsigned field)
{
	const u32 privilege = vm->ring << AR_DPL_SHIFT;
	const bool code = field == ENC_guest_cs_selector;

	if (vm->mode == VM_REAL)
		set_segment(field, 0, 0xffff, code ? AR_CODE16 : AR_DATA16);
	else if (vm->mode == VM_V8086)
		set_segment(field, 0, 0xffff, AR_DATA16 | privilege);
	else if (!code)
		set_segment(field, vm->ring ? SEL_USER_DATA : SEL_DATA, ~0u, AR_DATA | privilege);
	else if (vm->mode == VM_64)
		set_segment(field, vm->ring ? SEL_USER_CODE64 : SEL_CODE64, ~0u, AR_CODE64 | privilege);
	else
		set_segment(field, vm->ring ? SEL_USER_CODE32 : SEL_CODE32, ~0u, AR_CODE32 | privilege);
}

static void set_segments(const struct vm *vm)
{
	for (unsigned field = ENC_guest_es_selector; field <= ENC_guest_gs_selector; field += 2)
		set_code_or_data(vm, field);
	set_segment(ENC_guest_ldtr_selector, 0, 0, AR_UNUSABLE);
	set_segment(ENC_guest_tr_selector, SEL_TSS, TSS_LIMIT, AR_TSS64_BUSY);
	vmwrite(ENC_guest_tr_base, VM_ADDRESS(PAGE_GDT) + 0x800);
	vmwrite(ENC_guest_gdtr_base, VM_ADDRESS(PAGE_GDT));
	vmwrite(ENC_guest_gdtr_limit, GDT_LIMIT);
	vmwrite(ENC_guest_idtr_base, VM_ADDRESS(PAGE_IDT));
	vmwrite(ENC_guest_idtr_limit, is_long(vm) ? 0xfff : vm->mode == VM_REAL ? 0x3ff : 0x7ff);
}

#define CR0_PAGING (CR0_PG | CR0_PE | CR0_WP)
#define CR4_PAGING (CR4_PAE | CR4_PSE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define CR0_HARMLESS (CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_AM | CR0_NW | BIT(6) | BITS(63, 32))
#define CR4_HARMLESS (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_MCE | CR4_UMIP | CR4_VMXE | BIT(15) | BITS(63, 24))

/* The emulated CPU lets a guest that is not unrestricted leave paging by a MOV to CR0. */
u64 vmcs_safe_cr0_mask(const struct vm *vm, u64 mask)
{
	if (!vm->ept)
		return mask | CR0_PAGING;
	if (vmread(ENC_secondary_processor_based_controls) & PROC2_unrestricted_guest)
		return mask;
	return mask | CR0_PE | CR0_PG;
}

static void set_control_registers(const struct vm *vm)
{
	u64 cr0 = (rdmsr(MSR_IA32_VMX_CR0_FIXED0) & ~(CR0_PE | CR0_PG)) | CR0_NE | CR0_ET | CR0_WP;
	u64 cr4 = rdmsr(MSR_IA32_VMX_CR4_FIXED0) | (random64() & (CR4_TSD | CR4_DE | CR4_MCE | CR4_PGE));
	u64 mask0 = one_in(2) ? 0 : random_odd(32), mask4 = one_in(2) ? 0 : random_odd(24);

	if (vm->mode != VM_REAL)
		cr0 |= CR0_PE;
	if (vm_is_paged(vm))
		cr0 |= CR0_PG;
	if (is_long(vm) || vm->mode == VM_PAE)
		cr4 |= CR4_PAE;
	cr0 |= random64() & (CR0_TS | CR0_MP | CR0_AM);
	vmwrite(ENC_guest_cr0, cr0);
	vmwrite(ENC_guest_cr4, cr4);
	vmwrite(ENC_guest_cr3, vm->physical + VM_ADDRESS(PAGE_TABLES));
	vmwrite(ENC_cr0_guest_host_mask, vmcs_safe_cr0_mask(vm, mask0));
	vmwrite(ENC_cr4_guest_host_mask, vm->ept ? mask4 : mask4 | CR4_PAGING);
	vmwrite(ENC_cr0_read_shadow, cr0 ^ (one_in(2) ? 0 : random_odd(32)));
	vmwrite(ENC_cr4_read_shadow, cr4 ^ (one_in(2) ? 0 : random_odd(24)));
}

static void set_registers(const struct vm *vm)
{
	const u64 efer = EFER_SCE | EFER_NXE;
	const u64 *pdpt = (const u64 *)vm_page(vm, PAGE_TABLES);

	vmwrite(ENC_guest_ia32_efer, is_long(vm) ? efer | EFER_LME | EFER_LMA : efer);
	vmwrite(ENC_guest_ia32_pat, PAT_RESET ^ (one_in(2) ? 0x0200 : 0));
	vmwrite(ENC_guest_dr7, DR7_RESET);
	vmwrite(ENC_guest_ia32_sysenter_cs, SEL_CODE64);
	vmwrite(ENC_guest_ia32_sysenter_esp, VM_ADDRESS(PAGE_STACK) + PAGE_SIZE / 2);
	vmwrite(ENC_guest_ia32_sysenter_eip, HANDLER_LSTAR);
	for (unsigned i = 0; i < 4 && vm->ept && vm->mode == VM_PAE; i++)
		vmwrite(ENC_guest_pdpte0 + 2 * i, pdpt[i]);
}

/*
 * A shadow stack is a page that cannot be written otherwise: L2 has none by chance, so that a CALL mostly faults. Of an
 * event that enforcement stops on its way to ring 0, the emulated CPU saves whatever SS its own memory has.
 */
static void set_cet(const struct vm *vm)
{
	const u64 parts = BITS(5, 0) | S_CET_TRACKER;

	if (!has_controls(ENTRY_CTLS, ENTRY_load_cet_state) || vm->ring)
		return;
	vmwrite(ENC_guest_ia32_s_cet, one_in(2) ? 0 : random64() & parts);
	vmwrite(ENC_guest_ssp, one_in(2) ? VM_ADDRESS(PAGE_STACK) + PAGE_SIZE / 4 : random_odd(40) & ~SSP_UNALIGNED);
	vmwrite(ENC_guest_ia32_interrupt_ssp_table_addr, random_odd(40));
	vmwrite(ENC_host_ia32_s_cet, random64() & parts);
	vmwrite(ENC_host_ssp, random_odd(40) & ~SSP_UNALIGNED);
	if (one_in(4))
		vmwrite(ENC_guest_cr4, vmread(ENC_guest_cr4) | CR4_CET);
}

void vmcs_set_start(struct vm *vm, u64 rip)
{
	u64 rflags = RFLAGS_ONE | (one_in(2) ? RFLAGS_IF : 0) | (one_in(4) ? RFLAGS_IOPL : 0);

	vmwrite(ENC_guest_rip, rip);
	vmwrite(ENC_guest_rsp, VM_ADDRESS(PAGE_STACK) + PAGE_SIZE - 64);
	vmwrite(ENC_guest_rflags, vm->mode == VM_V8086 ? rflags | RFLAGS_VM : rflags);
	vmwrite(ENC_guest_interruptibility_state, 0);
	vmwrite(ENC_guest_activity_state, ACTIVITY_active);
	vmwrite(ENC_guest_pending_debug_exceptions, 0);
	for (unsigned field = ENC_guest_es_selector; field <= ENC_guest_gs_selector; field += 2)
		if (vm->mode == VM_V8086 || field == ENC_guest_cs_selector || field == ENC_guest_ss_selector)
			set_code_or_data(vm, field);
}

static const u32 free_msrs[] = { MSR_IA32_STAR, MSR_IA32_FMASK, MSR_IA32_KERNEL_GS_BASE, MSR_IA32_TSC_AUX,
				 MSR_IA32_FS_BASE, MSR_IA32_GS_BASE, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_CS };
enum { LISTED_MSRS = 4 }; /* of free_msrs: those that a list may name */
#define BITMAP_HIGH 1024
#define BITMAP_WRITE 2048

static void let_msr(u8 *bitmap, u32 msr)
{
	u8 *half = bitmap + (msr >= 0xc0000000 ? BITMAP_HIGH : 0);
	u32 bit = msr & 0x1fff;

	if (!one_in(3))
		half[bit / 8] &= (u8)~BIT(bit % 8);
	if (!one_in(3))
		half[BITMAP_WRITE + bit / 8] &= (u8)~BIT(bit % 8);
}

/* All exits but what can do no harm. Port 0x80 is the only one that L2 may reach. */
static void make_bitmaps(const struct vm *vm)
{
	u8 *bitmap = vm_control_page(vm, CONTROL_MSR_BITMAP);

	memset(bitmap, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(free_msrs); i++)
		let_msr(bitmap, free_msrs[i]);
	memset(vm_control_page(vm, CONTROL_IO_BITMAP_A), 0xff, PAGE_SIZE);
	memset(vm_control_page(vm, CONTROL_IO_BITMAP_B), 0xff, PAGE_SIZE);
	if (!one_in(3))
		vm_control_page(vm, CONTROL_IO_BITMAP_A)[0x80 / 8] = 0xfe;
}

static void make_list(struct vmx_msr_entry *list, u16 count_field)
{
	u64 count = one_in(2) ? 0 : random_below(LIST_LENGTH);

	for (unsigned i = 0; i < count; i++)
		list[i] = (struct vmx_msr_entry){ .index = free_msrs[random_below(LISTED_MSRS)],
						  .value = random_odd(31) };
	vmwrite(count_field, count);
}

/* What cannot be loaded at an entry fails it; at an exit it would be a VMX abort, so that none is there. */
static void spoil(struct vmx_msr_entry *entry)
{
	static const u32 wrong[] = { MSR_IA32_FS_BASE, MSR_IA32_GS_BASE, 0x12345678, MSR_X2APIC_FIRST + 8 };

	if (one_in(3))
		entry->reserved = 1;
	else if (one_in(3))
		*entry = (struct vmx_msr_entry){ .index = MSR_IA32_KERNEL_GS_BASE, .value = BIT(50) };
	else
		entry->index = wrong[random_below(ARRAY_SIZE(wrong))];
}

static void make_lists(const struct vm *vm)
{
	u8 *page = vm_control_page(vm, CONTROL_LISTS);
	struct vmx_msr_entry *load = (struct vmx_msr_entry *)(page + LIST_ENTRY_LOAD);

	make_list(load, ENC_vm_entry_msr_load_count);
	make_list((struct vmx_msr_entry *)(page + LIST_EXIT_STORE), ENC_vm_exit_msr_store_count);
	make_list((struct vmx_msr_entry *)(page + LIST_EXIT_LOAD), ENC_vm_exit_msr_load_count);
	if (one_in(12))
		spoil(&load[random_below(LIST_LENGTH)]);
}

static void make_eptp_list(const struct vm *vm)
{
	u64 *list = (u64 *)vm_control_page(vm, CONTROL_EPTP_LIST);

	list[0] = list[1] = vm_eptp(vm);
	list[2] = vm_eptp(vm) | 1;
}

void vmcs_make_random(struct vm *vm)
{
	struct vmcs_region_header *header = vm_region(vm);

	*header = (struct vmcs_region_header){ .revision = (u32)(rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION) };
	if (vmclear((u64)header) != VMX_SUCCEED)
		give_up("VMCLEAR of a good region failed");
	vm_use(vm);
	for (unsigned i = 0; i < vmcs_field_count; i++)
		if (VMCS_ENCODING_TYPE(vmcs_fields[i].encoding) != TYPE_EXIT_INFORMATION)
			vmwrite_checked(vmcs_fields[i].encoding, 0);
	set_controls(vm);
	set_transition_controls(vm);
	set_addresses(vm);
	set_other_controls(vm);
	set_host_state();
	vmwrite(ENC_host_rsp, (u64)&vm->registers.host_stack);
	set_segments(vm);
	set_control_registers(vm);
	set_registers(vm);
	set_cet(vm);
	make_bitmaps(vm);
	make_lists(vm);
	make_eptp_list(vm);
	vm_next_piece(vm);
}

void vmcs_reset_guest(struct vm *vm)
{
	u64 entry = vmread(ENC_vm_entry_controls) & ~ENTRY_ia32e_mode_guest;

	tell("  resets the guest\n");
	vmwrite(ENC_vm_entry_controls, is_long(vm) ? entry | ENTRY_ia32e_mode_guest : entry);
	set_segments(vm);
	set_control_registers(vm);
	set_registers(vm);
	set_cet(vm);
	vm_next_piece(vm);
}
