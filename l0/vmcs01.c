/* L1's own VMCS: L1 owns the machine, so nearly nothing exits. */
#include "l1_exit.h"
#include "l1_memory.h"
#include "options.h"
#include "ports.h"

#define PIN01 0u
/* With more than one CPU L0 kicks by NMI, so that all of them exit; what is blocked for L1 then is virtual. */
#define PIN01_KICKABLE (PIN_nmi_exiting | PIN_virtual_nmis)
#define PROC01 (PROC_use_tsc_offsetting | PROC_use_io_bitmaps | PROC_use_msr_bitmaps | PROC_activate_secondary_controls)
#define PROC2_01 (PROC2_enable_ept | PROC2_unrestricted_guest)
/* What L1 may use natively where the CPU has it: without the control the instruction would be #UD. */
#define PROC2_01_WISH (PROC2_enable_rdtscp | PROC2_enable_invpcid | PROC2_enable_xsaves_xrstors | \
		       PROC2_enable_user_wait_and_pause | PROC2_enable_pconfig)
#define EXIT01 (EXIT_host_address_space_size | EXIT_save_debug_controls | EXIT_save_ia32_pat | EXIT_load_ia32_pat | \
		EXIT_save_ia32_efer | EXIT_load_ia32_efer)
#define ENTRY01 (ENTRY_load_debug_controls | ENTRY_load_ia32_pat | ENTRY_load_ia32_efer)

#define LIMIT_64K 0xffffu
/* Linux, Documentation/x86/boot.rst, "32-bit BOOT PROTOCOL": __BOOT_CS and __BOOT_DS */
#define LINUX_BOOT_CS 0x10
#define LINUX_BOOT_DS 0x18

u32 controls01[CONTROL_GROUPS];
u64 *msr_bitmap01, *io_bitmap_a01, *io_bitmap_b01, *field_bitmap01;

/* VPIDs serve only where the CPU has them, and can flush one. */
static void vpid_choose(void)
{
	u64 wanted = VPID_CAP_INVVPID | VPID_CAP_INVVPID_SINGLE;

	if (!(controls_allowed(&host_caps, CONTROLS_proc2) & PROC2_enable_vpid) ||
	    (capability(&host_caps, MSR_IA32_VMX_EPT_VPID_CAP) & wanted) != wanted)
		options.vpid02 = 0;
}

static void controls01_init(void)
{
	u32 vpid = options.vpid02 ? PROC2_enable_vpid : 0;
	const u32 wish[CONTROL_GROUPS] = {
		[CONTROLS_pin] = options.cpus > 1 ? PIN01_KICKABLE : PIN01, [CONTROLS_proc] = PROC01,
		[CONTROLS_proc2] = PROC2_01 | PROC2_01_WISH | vpid,
		[CONTROLS_exit] = EXIT01, [CONTROLS_entry] = ENTRY01,
	};

	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		controls01[group] = controls_adjust(&host_caps, (enum control_group)group, wish[group]);
	if ((controls01[CONTROLS_pin] & wish[CONTROLS_pin]) != wish[CONTROLS_pin])
		l0_refuse("this CPU's VMX lacks virtual NMIs, which L0 needs for more than one CPU; give it cpus=1");
}

/* A table, so that a trace costs nothing here. */
static u64 exit_point(enum level level)
{
	enum { ALONE, TRACED, AMONG, WAYS };
	static void (*const points[WAYS][LEVELS])(void) = {
		[ALONE] = { vmx_exit_point_l1, vmx_exit_point_l2 },
		[TRACED] = { vmx_exit_point_l1_traced, vmx_exit_point_l2_traced },
		[AMONG] = { vmx_exit_point_among, vmx_exit_point_among },
	};

	return (u64)points[options.cpus > 1 ? AMONG : ALONE + options.trace][level];
}

void vmcs_write_host_state(struct cpu *cpu, enum level level)
{
	vmwrite(ENC_host_cr0, read_cr0());
	vmwrite(ENC_host_cr3, read_cr3());
	vmwrite(ENC_host_cr4, read_cr4());
	vmwrite(ENC_host_cs_selector, SELECTOR_CODE);
	vmwrite(ENC_host_ss_selector, SELECTOR_DATA);
	vmwrite(ENC_host_ds_selector, SELECTOR_DATA);
	vmwrite(ENC_host_es_selector, SELECTOR_DATA);
	vmwrite(ENC_host_fs_selector, 0);
	vmwrite(ENC_host_gs_selector, 0);
	vmwrite(ENC_host_tr_selector, SELECTOR_TSS);
	vmwrite(ENC_host_fs_base, 0);
	vmwrite(ENC_host_gs_base, 0);
	vmwrite(ENC_host_tr_base, cpu_tss_base(cpu->number));
	vmwrite(ENC_host_gdtr_base, cpu_gdt_base(cpu->number));
	vmwrite(ENC_host_idtr_base, cpu_idt_base());
	vmwrite(ENC_host_ia32_sysenter_cs, 0);
	vmwrite(ENC_host_ia32_sysenter_esp, 0);
	vmwrite(ENC_host_ia32_sysenter_eip, 0);
	vmwrite(ENC_host_ia32_pat, PAT_RESET);
	vmwrite(ENC_host_ia32_efer, EFER_LME | EFER_LMA | EFER_NXE);
	vmwrite(ENC_host_rsp, (u64)&cpu->stack);
	vmwrite(ENC_host_rip, exit_point(level));
}

/* The MSRs of the guest start as after reset. */
static void write_controls(void)
{
	vmwrite(ENC_pin_based_controls, controls01[CONTROLS_pin]);
	vmwrite(ENC_primary_processor_based_controls, controls01[CONTROLS_proc]);
	vmwrite(ENC_secondary_processor_based_controls, controls01[CONTROLS_proc2]);
	vmwrite(ENC_primary_vm_exit_controls, controls01[CONTROLS_exit]);
	vmwrite(ENC_vm_entry_controls, controls01[CONTROLS_entry]);
	vmwrite(ENC_tsc_offset, 0);
	vmwrite(ENC_guest_ia32_pat, PAT_RESET);
	vmwrite(ENC_guest_ia32_debugctl, 0);
	vmwrite(ENC_guest_ia32_sysenter_cs, 0);
	vmwrite(ENC_guest_ia32_sysenter_esp, 0);
	vmwrite(ENC_guest_ia32_sysenter_eip, 0);
	vmwrite(ENC_exception_bitmap, 0);
	vmwrite(ENC_vm_exit_msr_store_count, 0);
	vmwrite(ENC_vm_exit_msr_load_count, 0);
	vmwrite(ENC_vm_entry_msr_load_count, 0);
	vmwrite(ENC_cr3_target_count, 0);
	vmwrite(ENC_address_of_msr_bitmaps, home_physical(msr_bitmap01));
	vmwrite(ENC_address_of_io_bitmap_a, home_physical(io_bitmap_a01));
	vmwrite(ENC_address_of_io_bitmap_b, home_physical(io_bitmap_b01));
	vmwrite(ENC_ept_pointer, eptp01);
	vmwrite(ENC_vmcs_link_pointer, VMCS_NO_POINTER);
	if (controls01[CONTROLS_proc2] & PROC2_enable_vpid)
		vmwrite(ENC_virtual_processor_identifier, VPID01);
	if (controls01[CONTROLS_proc2] & PROC2_enable_xsaves_xrstors)
		vmwrite(ENC_xss_exiting_bitmap, 0);
}

void vmcs01_init(struct cpu *cpu)
{
	u32 *region = pool_allocate(1);

	if (!controls01[CONTROLS_exit]) {
		vpid_choose();
		controls01_init();
	}
	region[0] = (u32)(capability(&host_caps, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
	cpu->vmcs01 = home_physical(region);
	ASSERT(vmclear(cpu->vmcs01) == VMX_SUCCEED && vmptrld(cpu->vmcs01) == VMX_SUCCEED);
	vmcs_write_host_state(cpu, LEVEL_1);
	write_controls();
}

/* Bits that VMX operation holds at 1 in a guest's CR0; PE and PG are free with unrestricted guest. */
static u64 cr0_required(bool in_vmx)
{
	u64 fixed = capability(&host_caps, MSR_IA32_VMX_CR0_FIXED0);

	return in_vmx ? fixed : fixed & ~(CR0_PE | CR0_PG);
}

void vmcs01_update_cr_masks(struct cpu *cpu)
{
	vmwrite(ENC_cr0_guest_host_mask, cr0_required(cpu->nested.vmxon));
	vmwrite(ENC_cr4_guest_host_mask, capability(&host_caps, MSR_IA32_VMX_CR4_FIXED0));
}

u64 l1_cr0(void)
{
	u64 mask = vmread(ENC_cr0_guest_host_mask);

	return (vmread(ENC_guest_cr0) & ~mask) | (vmread(ENC_cr0_read_shadow) & mask);
}

u64 l1_cr4(void)
{
	u64 mask = vmread(ENC_cr4_guest_host_mask);

	return (vmread(ENC_guest_cr4) & ~mask) | (vmread(ENC_cr4_read_shadow) & mask);
}

void l1_set_cr0(u64 value)
{
	vmwrite_sure(ENC_guest_cr0, value | cr0_required(false));
	vmwrite_sure(ENC_cr0_read_shadow, value);
}

void l1_set_cr4(u64 value)
{
	vmwrite_sure(ENC_guest_cr4, value | capability(&host_caps, MSR_IA32_VMX_CR4_FIXED0));
	vmwrite_sure(ENC_cr4_read_shadow, value);
}

static void write_segment(enum vmcs_encoding selector, u16 value, u32 access_rights, u32 limit)
{
	/* The encodings of one segment's parts lie at the same place in their groups. */
	u32 place = selector - ENC_guest_es_selector;

	vmwrite(selector, value);
	vmwrite(ENC_guest_es_base + place, 0);
	vmwrite(ENC_guest_es_limit + place, limit);
	vmwrite(ENC_guest_es_access_rights + place, access_rights);
}

static void write_tables(u32 limit)
{
	vmwrite(ENC_guest_gdtr_base, 0);
	vmwrite(ENC_guest_gdtr_limit, limit);
	vmwrite(ENC_guest_idtr_base, 0);
	vmwrite(ENC_guest_idtr_limit, limit);
}

/* Flat, in 32-bit protected mode. */
static void start_flat(u16 code, u16 stack_and_data)
{
	static const enum vmcs_encoding data[] = { ENC_guest_es_selector, ENC_guest_ss_selector, ENC_guest_ds_selector,
						   ENC_guest_fs_selector, ENC_guest_gs_selector };

	write_segment(ENC_guest_cs_selector, code, AR_CODE32, ~0u);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		write_segment(data[i], stack_and_data, AR_DATA, ~0u);
	write_segment(ENC_guest_ldtr_selector, 0, AR_UNUSABLE, 0);
	write_segment(ENC_guest_tr_selector, 0, AR_TSS64_BUSY, 0xffff);
	write_tables(0);
}

static void clear_registers(struct cpu *cpu)
{
	for (unsigned i = 0; i < GPRS; i++)
		cpu->gpr[i] = 0;
}

/* What no way of starting differs in. MSRs that INIT leaves alone are not touched. */
static void start_common(struct cpu *cpu, u64 cr0, u64 rip)
{
	vmwrite(ENC_vm_entry_controls, controls01[CONTROLS_entry]);
	vmcs01_update_cr_masks(cpu);
	l1_set_cr0(cr0);
	l1_set_cr4(0);
	vmwrite(ENC_guest_cr3, 0);
	vmwrite(ENC_guest_dr7, DR7_RESET);
	vmwrite(ENC_guest_ia32_efer, 0);
	vmwrite(ENC_guest_interruptibility_state, 0);
	vmwrite(ENC_guest_activity_state, ACTIVITY_active);
	vmwrite(ENC_guest_pending_debug_exceptions, 0);
	vmwrite(ENC_vm_entry_interruption_information, 0);
	vmwrite(ENC_guest_rflags, RFLAGS_ONE);
	vmwrite(ENC_guest_rsp, 0);
	vmwrite(ENC_guest_rip, rip);
	clear_registers(cpu);
	cpu->level = LEVEL_1;
}

void vmcs01_start_real_mode(struct cpu *cpu, u8 vector)
{
	static const enum vmcs_encoding data[] = { ENC_guest_es_selector, ENC_guest_ss_selector, ENC_guest_ds_selector,
						   ENC_guest_fs_selector, ENC_guest_gs_selector };

	write_segment(ENC_guest_cs_selector, (u16)(vector << 8), AR_CODE16, LIMIT_64K);
	vmwrite(ENC_guest_cs_base, (u64)vector << 12);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		write_segment(data[i], 0, AR_DATA16, LIMIT_64K);
	write_segment(ENC_guest_ldtr_selector, 0, AR_LDT, LIMIT_64K);
	write_segment(ENC_guest_tr_selector, 0, AR_TSS64_BUSY, LIMIT_64K);
	write_tables(LIMIT_64K);
	start_common(cpu, CR0_ET | CR0_CD | CR0_NW, 0);
	cpu->gpr[GPR_rdx] = cpuid(1, 0).eax;
}

void vmcs01_start_multiboot(struct cpu *cpu, u32 entry, u32 info)
{
	start_flat(SELECTOR_CODE, SELECTOR_DATA);
	start_common(cpu, CR0_PE | CR0_ET, entry);
	cpu->gpr[GPR_rax] = MULTIBOOT_BOOT_MAGIC;
	cpu->gpr[GPR_rbx] = info;
}

void vmcs01_start_linux(struct cpu *cpu, u32 entry, u32 params)
{
	start_flat(LINUX_BOOT_CS, LINUX_BOOT_DS);
	start_common(cpu, CR0_PE | CR0_ET, entry);
	cpu->gpr[GPR_rsi] = params;
}
