/* The MSRs that L0 keeps from L1; all others are L1's own and do not exit. */
#include "vmcs_shadow/bitmaps.h"
#include "vmcs_shadow/msr_values.h"
#include "l1_apic.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "nested_page.h"
#include "options.h"

#define FEATURE_CONTROL_WRITABLE (FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON_OUTSIDE_SMX)
/* With it EFER.NXE is reserved, which every exit loads for L0. SDM "IA32_MISC_ENABLE". */
#define MISC_ENABLE_XD_DISABLE BIT(34)

struct msr_rule {
	u32 first, last;
	bool read, write;
};

/* SDM "VMX Capability Reporting Facility" for the first two. The rest could reach L0's memory or clock. */
static const struct msr_rule trapped[] = {
	{ MSR_IA32_FEATURE_CONTROL, MSR_IA32_FEATURE_CONTROL, true, true },
	{ MSR_VMX_FIRST, MSR_VMX_LAST, true, true },
	{ MSR_IA32_TIME_STAMP_COUNTER, MSR_IA32_TIME_STAMP_COUNTER, false, true },
	{ MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_ADJUST, true, true },
	{ MSR_IA32_APIC_BASE, MSR_IA32_APIC_BASE, false, true },
	{ MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, false, true },
	{ MSR_IA32_BIOS_UPDT_TRIG, MSR_IA32_BIOS_UPDT_TRIG, false, true },
	{ MSR_IA32_RTIT_FIRST, MSR_IA32_RTIT_LAST, true, true },
};

void bitmaps01_init(void)
{
	msr_bitmap01 = pool_allocate(1);
	io_bitmap_a01 = pool_allocate(1);
	io_bitmap_b01 = pool_allocate(1);
	field_bitmap01 = pool_allocate(1);
	for (unsigned i = 0; i < ARRAY_SIZE(trapped); i++)
		for (u32 msr = trapped[i].first; msr <= trapped[i].last; msr++) {
			if (trapped[i].read)
				msr_bitmap_trap(msr_bitmap01, msr, false);
			if (trapped[i].write)
				msr_bitmap_trap(msr_bitmap01, msr, true);
		}
	if (icr_intercepted)
		msr_bitmap_trap(msr_bitmap01, APIC_MSR(APIC_ICR_LOW), true);
	for (u16 port = 0; options.log == LOG_com2 && port < PORTS_PER_UART; port++)
		io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, (u16)(PORT_COM2 + port));
	io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, TURTLES_PORT_EXIT);
	io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, TURTLES_PORT_SHUTDOWN);
	io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, PORT_SYSTEM_CONTROL);
	io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, PORT_KEYBOARD_DATA);
	io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, PORT_KEYBOARD_COMMAND);
	if (options.self_check)
		io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, TURTLES_PORT_CHECK);
	if (options.trace)
		io_bitmap_trap(io_bitmap_a01, io_bitmap_b01, TURTLES_PORT_TRACE);
}

/* MSRs that the VMCS keeps for a guest, so that the CPU's own are L0's while L0 runs. */
static const struct {
	u32 msr;
	enum vmcs_encoding field;
} in_vmcs[] = {
	{ MSR_IA32_EFER, ENC_guest_ia32_efer },
	{ MSR_IA32_PAT, ENC_guest_ia32_pat },
	{ MSR_IA32_DEBUGCTL, ENC_guest_ia32_debugctl },
	{ MSR_IA32_SYSENTER_CS, ENC_guest_ia32_sysenter_cs },
	{ MSR_IA32_SYSENTER_ESP, ENC_guest_ia32_sysenter_esp },
	{ MSR_IA32_SYSENTER_EIP, ENC_guest_ia32_sysenter_eip },
	{ MSR_IA32_FS_BASE, ENC_guest_fs_base },
	{ MSR_IA32_GS_BASE, ENC_guest_gs_base },
};

static bool field_of(u32 msr, enum vmcs_encoding *field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(in_vmcs); i++)
		if (in_vmcs[i].msr == msr) {
			*field = in_vmcs[i].field;
			return true;
		}
	return false;
}

bool l1_wrmsr_is_plain(u32 msr)
{
	enum vmcs_encoding field;

	return !msr_bitmap_traps(msr_bitmap01, msr, true) && !field_of(msr, &field) && msr != MSR_IA32_S_CET &&
	       msr != MSR_IA32_INTERRUPT_SSP_TABLE_ADDR;
}

/* WRMSR's rules for these, which the CPU would otherwise first notice at an entry of L0's. */
static bool value_fits(u32 msr, u64 value, u64 old)
{
	switch (msr) {
	case MSR_IA32_EFER:
		return !(value & ~EFER_DEFINED) && !((value ^ old) & (EFER_LME | EFER_LMA));
	case MSR_IA32_PAT:
		return pat_is_valid(value);
	case MSR_IA32_DEBUGCTL:
		return !(value & DEBUGCTL_RESERVED);
	case MSR_IA32_SYSENTER_CS:
		return true;
	default:
		return is_canonical(value, capability(&host_caps, MSR_IA32_VMX_CR4_FIXED1) & CR4_LA57 ? 57 : 48);
	}
}

static bool read_vmx_capability(struct cpu *cpu, u32 msr, u64 *value)
{
	const struct vmx_capabilities *caps12 = &cpu->nested.caps12;

	if (!capability_present(caps12, msr))
		return false;
	*value = capability(caps12, (enum msr_number)msr);
	return true;
}

/* These are L0's own while L0 runs, so that a write to the CPU's would hit L0. */
static bool write_in_vmcs(u32 msr, enum vmcs_encoding field, u64 value)
{
	if (!value_fits(msr, value, vmread(field)))
		return false;
	vmwrite(field, value);
	return true;
}

/* Reads of MSRs outside the bitmaps' ranges arrive here too; the CPU knows which exist. */
bool l1_rdmsr(struct cpu *cpu, u32 msr, u64 *value)
{
	enum vmcs_encoding field;

	if (msr >= MSR_VMX_FIRST && msr <= MSR_VMX_LAST)
		return read_vmx_capability(cpu, msr, value);
	if (msr >= MSR_IA32_RTIT_FIRST && msr <= MSR_IA32_RTIT_LAST)
		return false;
	if (msr == MSR_IA32_FEATURE_CONTROL) {
		*value = cpu->feature_control;
		return true;
	}
	if (field_of(msr, &field)) {
		*value = vmread(field);
		return true;
	}
	if (msr == MSR_TURTLES_FIELD_PAGE && options.drw)
		return nested_page_rdmsr(cpu, value);
	if (!rdmsr_safe(msr, value))
		return false;
	if (msr == MSR_IA32_TSC_ADJUST || msr == MSR_IA32_TIME_STAMP_COUNTER)
		*value += cpu->tsc_offset01;
	return true;
}

/* SDM "Enabling and Entering VMX Operation": once locked, a write is #GP until reset. */
static bool write_feature_control(struct cpu *cpu, u64 value)
{
	if (cpu->feature_control & FEATURE_CONTROL_LOCK || value & ~FEATURE_CONTROL_WRITABLE)
		return false;
	cpu->feature_control = value;
	return true;
}

/*
 * L0's own clock must not jump: L1's TSC moves by an offset, and what L2 sees moves with it. Called with L2's VMCS
 * current when L2 itself writes the MSR.
 */
static void move_tsc(struct cpu *cpu, u64 by)
{
	cpu->tsc_offset01 += by;
	for (unsigned i = 0; i < cpu->nested.slot_count; i++)
		field_set_add(&cpu->nested.slots[i].vmcs12.dirty, F_tsc_offset);
	vmwrite(ENC_tsc_offset, vmread(ENC_tsc_offset) + by);
	if (cpu->level == LEVEL_1)
		return;
	ASSERT(vmptrld(cpu->vmcs01) == VMX_SUCCEED);
	vmwrite(ENC_tsc_offset, cpu->tsc_offset01);
	ASSERT(vmptrld(cpu->nested.current->vmcs02) == VMX_SUCCEED);
}

/* The APIC's page takes the place of memory: over L0's home L1 would cut L0 off from its own. */
static bool write_apic_base(struct cpu *cpu, u64 value)
{
	u64 page = value & APIC_BASE_ADDRESS;

	if (page < home.end && page + PAGE_SIZE > home.start)
		return false;
	if (!wrmsr_safe(MSR_IA32_APIC_BASE, value))
		return false;
	apic_learn(cpu);
	return true;
}

/* These are no part of L0's own state: the CPU's is the guest's, but for an entry that loads another. */
static bool write_cet(u32 msr, u64 value)
{
	enum vmcs_encoding field =
		msr == MSR_IA32_S_CET ? ENC_guest_ia32_s_cet : ENC_guest_ia32_interrupt_ssp_table_addr;

	if (!wrmsr_safe(msr, value))
		return false;
	if (controls_allowed(&host_caps, CONTROLS_entry) & ENTRY_load_cet_state)
		vmwrite(field, value);
	return true;
}

bool l1_wrmsr(struct cpu *cpu, u32 msr, u64 value)
{
	enum vmcs_encoding field;

	if (msr >= MSR_VMX_FIRST && msr <= MSR_VMX_LAST)
		return false; /* read-only */
	if (msr >= MSR_IA32_RTIT_FIRST && msr <= MSR_IA32_RTIT_LAST)
		return false;
	switch (msr) {
	case MSR_IA32_FEATURE_CONTROL:
		return write_feature_control(cpu, value);
	case MSR_IA32_TIME_STAMP_COUNTER:
		move_tsc(cpu, value - (rdtsc() + cpu->tsc_offset01));
		return true;
	case MSR_IA32_TSC_ADJUST: {
		u64 adjust;

		if (!rdmsr_safe(msr, &adjust))
			return false;
		move_tsc(cpu, value - (adjust + cpu->tsc_offset01));
		return true;
	}
	case MSR_IA32_APIC_BASE:
		return write_apic_base(cpu, value);
	case MSR_IA32_MISC_ENABLE:
		return !(value & MISC_ENABLE_XD_DISABLE) && wrmsr_safe(msr, value);
	case APIC_MSR(APIC_ICR_LOW):
		return icr_intercepted ? l1_write_x2apic_icr(cpu, value) : wrmsr_safe(msr, value);
	case MSR_TURTLES_FIELD_PAGE:
		return options.drw ? nested_page_wrmsr(cpu, value) : wrmsr_safe(msr, value);
	case MSR_IA32_S_CET:
	case MSR_IA32_INTERRUPT_SSP_TABLE_ADDR:
		return write_cet(msr, value);
	case MSR_IA32_BIOS_UPDT_TRIG:
		return true; /* as on a CPU that has this microcode already: no update is loaded */
	default:
		if (field_of(msr, &field))
			return write_in_vmcs(msr, field, value);
		return wrmsr_safe(msr, value);
	}
}

void l1_rdmsr_exit(struct cpu *cpu)
{
	u64 value;

	if (l1_cpl() != 0 || !l1_rdmsr(cpu, (u32)cpu->gpr[GPR_rcx], &value)) {
		inject_gp();
		return;
	}
	cpu->gpr[GPR_rax] = (u32)value;
	cpu->gpr[GPR_rdx] = value >> 32;
	l1_skip_instruction();
}

void l1_wrmsr_exit(struct cpu *cpu)
{
	u64 value = cpu->gpr[GPR_rdx] << 32 | (u32)cpu->gpr[GPR_rax];

	if (l1_cpl() != 0 || !l1_wrmsr(cpu, (u32)cpu->gpr[GPR_rcx], value))
		inject_gp();
	else
		l1_skip_instruction();
}
