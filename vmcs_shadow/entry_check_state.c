/* The entry checks on host and guest state. */
#include "vmcs_shadow/check.h"
#include "vmcs_shadow/msr_values.h"
#include "vmcs_shadow/operand.h"

/* SDM "Restrictions on VMX Operation": bits that are 1 in FIXED0 are 1, and those 0 in FIXED1 are 0. */
static bool check_fixed(struct check *c, enum vmcs_field field, u64 fixed0, u64 fixed1)
{
	u64 value = check_get(c, field);

	return require(c, !(fixed0 & ~value) && !(value & ~fixed1), field, "bits that VMX fixes");
}

static bool check_cr4(struct check *c, enum vmcs_field field)
{
	return check_fixed(c, field, capability(c->caps12, MSR_IA32_VMX_CR4_FIXED0),
			   capability(c->caps12, MSR_IA32_VMX_CR4_FIXED1));
}

#define LINEAR_WIDTH 48
#define LINEAR_WIDTH_LA57 57

/* A CPU that has CR4.LA57 keeps linear addresses of 57 bits in these registers, whatever CR4 says. */
static bool check_canonical(struct check *c, enum vmcs_field field)
{
	bool la57 = capability(c->caps12, MSR_IA32_VMX_CR4_FIXED1) & CR4_LA57;

	return require(c, is_canonical(check_get(c, field), la57 ? LINEAR_WIDTH_LA57 : LINEAR_WIDTH), field,
		       "canonical address");
}

static bool check_pat(struct check *c, enum vmcs_field field)
{
	return require(c, pat_is_valid(check_get(c, field)), field, "memory type");
}

/* LMA follows the address-space size, and LME does where paging is on. */
static bool check_efer(struct check *c, enum vmcs_field field, bool long_mode, bool paging)
{
	u64 efer = check_get(c, field);
	bool lma = efer & EFER_LMA, lme = efer & EFER_LME;

	return require(c, !(efer & ~EFER_DEFINED), field, "reserved bits") &&
	       require(c, lma == long_mode, field, "LMA against the address-space size") &&
	       require(c, !paging || lme == long_mode, field, "LME against the address-space size");
}

static bool check_s_cet(struct check *c, enum vmcs_field field)
{
	return require(c, s_cet_is_valid(check_get(c, field), c->caps12->s_cet), field, "reserved bits");
}

static bool check_host_cet(struct check *c)
{
	if (!require(c, !(check_get(c, F_host_cr4) & CR4_CET) || (check_get(c, F_host_cr0) & CR0_WP), F_host_cr4,
		     "CET needs CR0.WP"))
		return false;
	return !check_uses(c, CONTROLS_exit, EXIT_load_cet_state) ||
	       (check_s_cet(c, F_host_ia32_s_cet) && check_canonical(c, F_host_ia32_interrupt_ssp_table_addr) &&
		require(c, !(check_get(c, F_host_ssp) & SSP_UNALIGNED), F_host_ssp, "4-byte alignment"));
}

/* SDM "Checks on Host Control Registers, MSRs, and SSP". */
static bool check_host_registers(struct check *c)
{
	bool long_mode = check_uses(c, CONTROLS_exit, EXIT_host_address_space_size);

	return check_fixed(c, F_host_cr0, capability(c->caps12, MSR_IA32_VMX_CR0_FIXED0),
			   capability(c->caps12, MSR_IA32_VMX_CR0_FIXED1)) &&
	       check_cr4(c, F_host_cr4) &&
	       require(c, fits_width(c, check_get(c, F_host_cr3)), F_host_cr3, "physical-address width") &&
	       check_canonical(c, F_host_ia32_sysenter_esp) && check_canonical(c, F_host_ia32_sysenter_eip) &&
	       (!check_uses(c, CONTROLS_exit, EXIT_load_ia32_pat) || check_pat(c, F_host_ia32_pat)) &&
	       (!check_uses(c, CONTROLS_exit, EXIT_load_ia32_efer) ||
		check_efer(c, F_host_ia32_efer, long_mode, true)) &&
	       check_host_cet(c);
}

#define SELECTOR_RPL_TI BITS(2, 0)

static bool check_host_selectors(struct check *c)
{
	static const u8 selectors[] = {
		F_host_es_selector, F_host_cs_selector, F_host_ss_selector, F_host_ds_selector,
		F_host_fs_selector, F_host_gs_selector, F_host_tr_selector,
	};
	bool long_mode = check_uses(c, CONTROLS_exit, EXIT_host_address_space_size);

	for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++) {
		enum vmcs_field field = (enum vmcs_field)selectors[i];

		if (!require(c, !(check_get(c, field) & SELECTOR_RPL_TI), field, "RPL and TI of a selector"))
			return false;
	}
	return require(c, check_get(c, F_host_cs_selector), F_host_cs_selector, "null selector") &&
	       require(c, check_get(c, F_host_tr_selector), F_host_tr_selector, "null selector") &&
	       require(c, long_mode || check_get(c, F_host_ss_selector), F_host_ss_selector, "null selector");
}

/* SDM "Checks on Host Segment and Descriptor-Table Registers". */
static bool check_host_segments(struct check *c)
{
	return check_host_selectors(c) && check_canonical(c, F_host_fs_base) &&
	       check_canonical(c, F_host_gs_base) && check_canonical(c, F_host_gdtr_base) &&
	       check_canonical(c, F_host_idtr_base) && check_canonical(c, F_host_tr_base);
}

/* What the exit loads of CET is under the rules of the mode that it leads to. */
static bool check_host_cet_32(struct check *c)
{
	return !check_uses(c, CONTROLS_exit, EXIT_load_cet_state) ||
	       (require(c, !(check_get(c, F_host_ia32_s_cet) >> 32), F_host_ia32_s_cet, "S_CET of a 32-bit host") &&
		require(c, !(check_get(c, F_host_ssp) >> 32), F_host_ssp, "SSP of a 32-bit host"));
}

static bool check_host_cet_64(struct check *c)
{
	return !check_uses(c, CONTROLS_exit, EXIT_load_cet_state) ||
	       (check_canonical(c, F_host_ia32_s_cet) && check_canonical(c, F_host_ssp));
}

static bool check_host_32(struct check *c)
{
	return require(c, !check_uses(c, CONTROLS_entry, ENTRY_ia32e_mode_guest), F_vm_entry_controls,
		       "ia32e_mode_guest needs host_address_space_size") &&
	       require(c, !(check_get(c, F_host_cr4) & CR4_PCIDE), F_host_cr4, "PCIDE of a 32-bit host") &&
	       require(c, !(check_get(c, F_host_rip) >> 32), F_host_rip, "RIP of a 32-bit host") &&
	       check_host_cet_32(c);
}

static bool check_host_64(struct check *c)
{
	return require(c, check_get(c, F_host_cr4) & CR4_PAE, F_host_cr4, "PAE of a 64-bit host") &&
	       check_canonical(c, F_host_rip) && check_host_cet_64(c);
}

/* SDM "Checks Related to Address-Space Size". */
static bool check_address_space(struct check *c, bool l1_long_mode)
{
	bool long_mode = check_uses(c, CONTROLS_exit, EXIT_host_address_space_size);

	return require(c, long_mode == l1_long_mode, F_primary_vm_exit_controls,
		       "host_address_space_size against IA32_EFER.LMA") &&
	       (long_mode ? check_host_64(c) : check_host_32(c));
}

struct entry_verdict entry_check_host(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12,
				      const struct entry_context *context)
{
	struct check c = { .vmcs12 = vmcs12, .caps12 = caps12 };
	bool passed = check_host_registers(&c) && check_host_segments(&c) &&
		      check_address_space(&c, context->l1_long_mode);

	return verdict(&c, passed, ENTRY_vmfail, VMERR_entry_invalid_host_state);
}

/* An unrestricted guest may run without protection and paging, but not with paging alone. */
static bool check_guest_cr0(struct check *c)
{
	u64 fixed0 = capability(c->caps12, MSR_IA32_VMX_CR0_FIXED0), cr0 = check_get(c, F_guest_cr0);

	if (check_uses(c, CONTROLS_proc2, PROC2_unrestricted_guest))
		fixed0 &= ~(CR0_PE | CR0_PG);
	return check_fixed(c, F_guest_cr0, fixed0, capability(c->caps12, MSR_IA32_VMX_CR0_FIXED1)) &&
	       require(c, !(cr0 & CR0_PG) || (cr0 & CR0_PE), F_guest_cr0, "PG needs PE") &&
	       require(c, (cr0 & CR0_PG) || !check_uses(c, CONTROLS_entry, ENTRY_ia32e_mode_guest), F_guest_cr0,
		       "ia32e_mode_guest needs PG");
}

#define DR7_HIGH BITS(63, 32)

static bool check_guest_debug(struct check *c)
{
	if (!check_uses(c, CONTROLS_entry, ENTRY_load_debug_controls))
		return true;
	return require(c, !(check_get(c, F_guest_ia32_debugctl) & DEBUGCTL_RESERVED), F_guest_ia32_debugctl,
		       "reserved bits") &&
	       require(c, !(check_get(c, F_guest_dr7) & DR7_HIGH), F_guest_dr7, "reserved bits");
}

static bool check_guest_msrs(struct check *c)
{
	bool long_mode = check_uses(c, CONTROLS_entry, ENTRY_ia32e_mode_guest);

	return (!check_uses(c, CONTROLS_entry, ENTRY_load_ia32_pat) || check_pat(c, F_guest_ia32_pat)) &&
	       (!check_uses(c, CONTROLS_entry, ENTRY_load_ia32_efer) ||
		check_efer(c, F_guest_ia32_efer, long_mode, check_get(c, F_guest_cr0) & CR0_PG));
}

static bool check_guest_link_pointer(struct check *c)
{
	return check_get(c, F_vmcs_link_pointer) == VMCS_NO_POINTER || check_page(c, F_vmcs_link_pointer);
}

struct entry_verdict entry_check_guest(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12)
{
	struct check c = { .vmcs12 = vmcs12, .caps12 = caps12 };
	bool passed = check_guest_cr0(&c) && check_cr4(&c, F_guest_cr4) && check_guest_debug(&c) &&
		      check_guest_msrs(&c);

	if (!passed)
		return verdict(&c, false, ENTRY_failure, ENTRY_FAIL_general);
	return verdict(&c, check_guest_link_pointer(&c), ENTRY_failure, ENTRY_FAIL_vmcs_link_pointer);
}

struct entry_verdict entry_check_link(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12, u64 vmptr12,
				      u32 header)
{
	struct check c = { .vmcs12 = vmcs12, .caps12 = caps12 };
	u32 revision = (u32)(capability(caps12, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
	bool shadow = header & VMCS_REVISION_SHADOW;
	enum vmcs_field field = F_vmcs_link_pointer;
	bool passed = require(&c, (header & VMX_BASIC_REVISION) == revision, field, "revision identifier") &&
		      require(&c, shadow == check_uses(&c, CONTROLS_proc2, PROC2_vmcs_shadowing), field,
			      "shadow-VMCS indicator against vmcs_shadowing") &&
		      require(&c, check_get(&c, field) != vmptr12, field, "the current VMCS");

	return verdict(&c, passed, ENTRY_failure, ENTRY_FAIL_vmcs_link_pointer);
}

/* RSP, which L1 may set before every entry, is under no rule. */
const union field_bits entry_check_host_fields = { .has = {
#define F(name, encoding, use, hot) \
	.name = (USE_##use == USE_HOST && F_##name != F_host_rsp && F_##name != F_host_ia32_sysenter_cs) || \
		F_##name == F_primary_vm_exit_controls || F_##name == F_vm_entry_controls,
#include "vmcs_fields.def"
#undef F
} };

const union field_bits entry_check_guest_fields = FIELD_SET_OF(
	.guest_cr0 = 1, .guest_cr4 = 1, .guest_ia32_debugctl = 1, .guest_dr7 = 1, .guest_ia32_pat = 1,
	.guest_ia32_efer = 1, .vmcs_link_pointer = 1, .primary_processor_based_controls = 1,
	.secondary_processor_based_controls = 1, .vm_entry_controls = 1);
