#include "ept.h"
#include "mutate.h"
#include "vmcs_shadow/entry_check.h"

#define CHANGES 6

/* What a CPU may lack, so that L0 still runs on it. */
static u32 dispensable(enum control_group group)
{
	static const u32 indispensable[CONTROL_GROUPS] = {
		[CONTROLS_proc] = PROC_use_io_bitmaps | PROC_use_msr_bitmaps |
				  (u32)PROC_activate_secondary_controls,
		[CONTROLS_proc2] = PROC2_enable_ept | PROC2_unrestricted_guest,
		[CONTROLS_exit] = EXIT_host_address_space_size | EXIT_save_ia32_pat | EXIT_load_ia32_pat |
				  EXIT_save_ia32_efer | EXIT_load_ia32_efer,
		[CONTROLS_entry] = ENTRY_ia32e_mode_guest | ENTRY_load_ia32_pat | ENTRY_load_ia32_efer,
	};

	return ~(fake_default1[group] | fake_required[group] | indispensable[group]);
}

static void lack_controls(struct fuzz_input *input, struct vmx_capabilities *host)
{
	enum control_group group = (enum control_group)fuzz_below(input, CONTROL_GROUPS);
	u32 lacking = (u32)fuzz_take(input, 4) & dispensable(group);

	fake_allow(host, group, controls_allowed(host, group) & ~lacking);
}

static void lack_feature(struct fuzz_input *input, struct vmx_capabilities *host)
{
	switch (fuzz_below(input, 6)) {
	case 0:
		*fake_msr(host, MSR_IA32_VMX_BASIC) ^= VMX_BASIC_ANY_EXCEPTION_ERROR_CODE;
		break;
	case 1:
		*fake_msr(host, MSR_IA32_VMX_BASIC) ^= VMX_BASIC_TRUE_CONTROLS;
		break;
	case 2:
		*fake_msr(host, MSR_IA32_VMX_MISC) ^= fuzz_take(input, 4);
		break;
	case 3:
		*fake_msr(host, MSR_IA32_VMX_EPT_VPID_CAP) ^=
			fuzz_take(input, 8) & (EPT_CAP_EXECUTE_ONLY | EPT_CAP_UC | EPT_CAP_2M | EPT_CAP_1G |
					       EPT_CAP_ACCESSED_DIRTY | BITS(63, 32));
		break;
	case 4:
		*fake_msr(host, MSR_IA32_VMX_CR4_FIXED1) ^= CR4_LA57;
		break;
	default:
		host->maxphyaddr = (u8)(32 + fuzz_below(input, 21));
		break;
	}
}

struct vmx_capabilities mutate_host(struct fuzz_input *input)
{
	struct vmx_capabilities host = fake_host();

	switch (fuzz_below(input, 4)) {
	case 0:
		lack_controls(input, &host);
		break;
	case 1:
		lack_feature(input, &host);
		break;
	case 2:
		lack_controls(input, &host);
		lack_feature(input, &host);
		break;
	default:
		break;
	}
	return host;
}

/* From a field on to the next one of the set, which is not empty. */
static enum vmcs_field next_of(const struct field_set *set, unsigned from)
{
	while (!field_set_has(set, (enum vmcs_field)(from % VMCS_FIELDS)))
		from++;
	return (enum vmcs_field)(from % VMCS_FIELDS);
}

static bool is_control(unsigned field)
{
	for (unsigned group = 0; group < CONTROL_GROUPS; group++)
		if (vmcs_control_field[group] == field)
			return true;
	return false;
}

enum vmcs_field mutate_pick(struct fuzz_input *input)
{
	unsigned how = fuzz_below(input, 8), from = fuzz_below(input, VMCS_FIELDS);
	struct field_set some = { { 0 } };

	switch (how) {
	case 0:
		return (enum vmcs_field)from;
	case 1:
		return next_of(&entry_check_guest_fields.set, from);
	case 2:
		return next_of(&entry_check_host_fields.set, from);
	case 3:
	case 4:
		return next_of(&entry_check_controls_fields.set, from);
	default:
		break;
	}
	for (unsigned i = 0; i < VMCS_FIELDS; i++)
		if (how == 5 ? is_control(i) : vmcs_field[i].use == USE_MERGE)
			field_set_add(&some, (enum vmcs_field)i);
	return next_of(&some, from);
}

u64 mutate_value(struct fuzz_input *input, enum vmcs_field field, u64 value)
{
	static const u64 counts[] = { 0, 1, 4, 5, 15, 16 };
	static const u64 efer[] = { EFER_LMA, EFER_LME, EFER_LMA | EFER_LME, EFER_NXE, BIT(1), BIT(16) };
	static const u64 cr0[] = { CR0_PE, CR0_PG, CR0_PG | CR0_PE, CR0_NE, CR0_WP, BIT(32) };

	if (fuzz_below(input, 4) == 0)
		return fuzz_change(input, value);
	switch (field) {
	case F_vm_entry_interruption_information:
		return INTR_VALID | fuzz_below(input, 8) << INTR_TYPE_SHIFT | fuzz_below(input, 40) |
		       (fuzz_bool(input) ? INTR_ERROR_CODE : 0);
	case F_vm_entry_instruction_length:
	case F_cr3_target_count:
	case F_tpr_threshold:
	case F_vm_entry_msr_load_count:
	case F_vm_exit_msr_load_count:
	case F_vm_exit_msr_store_count:
		return counts[fuzz_below(input, ARRAY_SIZE(counts))];
	case F_guest_ia32_efer:
	case F_host_ia32_efer:
		return value ^ efer[fuzz_below(input, ARRAY_SIZE(efer))];
	case F_host_ia32_s_cet:
		return value ^ BIT(fuzz_below(input, 13));
	case F_guest_cr0:
	case F_host_cr0:
		return value ^ cr0[fuzz_below(input, ARRAY_SIZE(cr0))];
	default:
		return is_control(field) ? value ^ BIT(fuzz_below(input, 32)) : fuzz_change(input, value);
	}
}

/* An event to inject, whose three fields belong together. */
static void mutate_event(struct fuzz_input *input, struct vmcs12 *vmcs12)
{
	static const u8 fields[] = {
		F_vm_entry_interruption_information, F_vm_entry_instruction_length,
		F_vm_entry_exception_error_code,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		enum vmcs_field field = (enum vmcs_field)fields[i];

		vmcs12_set(vmcs12, field, mutate_value(input, field, vmcs12_get(vmcs12, field)));
	}
}

/* Secondary controls by the handful, with what they need beside addresses, of which 0 is one. */
static void mutate_features(struct fuzz_input *input, struct vmcs12 *vmcs12,
			    const struct vmx_capabilities *caps12)
{
	u64 proc2 = fuzz_take(input, 4) & fuzz_take(input, 4) & controls_allowed(caps12, CONTROLS_proc2);

	vmcs12_set(vmcs12, F_secondary_processor_based_controls,
		   proc2 ^ vmcs12_get(vmcs12, F_secondary_processor_based_controls));
	vmcs12_set(vmcs12, F_vm_function_controls, fuzz_below(input, 8) ? fuzz_below(input, 2) : BIT(1));
	vmcs12_set(vmcs12, F_tsc_multiplier, fuzz_below(input, 8) ? fuzz_take(input, 7) : 0);
}

static void offered_controls_only(struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12)
{
	for (unsigned group = 0; group < CONTROL_GROUPS; group++) {
		enum vmcs_field field = (enum vmcs_field)vmcs_control_field[group];

		vmcs12_set(vmcs12, field, controls_adjust(caps12, (enum control_group)group,
							  (u32)vmcs12_get(vmcs12, field)));
	}
}

void mutate_vmcs12(struct fuzz_input *input, struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12)
{
	bool offered = fuzz_below(input, 8);

	if (fuzz_below(input, 4) == 0)
		mutate_event(input, vmcs12);
	if (fuzz_below(input, 3) == 0)
		mutate_features(input, vmcs12, caps12);
	for (unsigned n = fuzz_below(input, CHANGES); n; n--) {
		enum vmcs_field field = mutate_pick(input);

		vmcs12_set(vmcs12, field, mutate_value(input, field, vmcs12_get(vmcs12, field)));
	}
	if (offered)
		offered_controls_only(vmcs12, caps12);
}
