#include "ept.h"
#include "mutate.h"

#define CHANGES 12

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

	for (unsigned n = fuzz_below(input, 4); n; n--)
		lack_controls(input, &host);
	for (unsigned n = fuzz_below(input, 4); n; n--)
		lack_feature(input, &host);
	return host;
}

static bool matters(enum vmcs_field field)
{
	return vmcs_field[field].use == USE_MERGE || vmcs_field[field].use == USE_EMUL ||
	       vmcs_field[field].use == USE_HOST;
}

enum vmcs_field mutate_pick(struct fuzz_input *input)
{
	enum vmcs_field field = (enum vmcs_field)fuzz_below(input, VMCS_FIELDS);

	/* From a field that matters little on to the next one that does, half of the time. */
	for (bool any = fuzz_bool(input); !any && !matters(field);)
		field = (enum vmcs_field)((field + 1) % VMCS_FIELDS);
	return field;
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
	bool offered = fuzz_below(input, 4);

	for (unsigned n = fuzz_below(input, CHANGES); n; n--) {
		enum vmcs_field field = mutate_pick(input);

		vmcs12_set(vmcs12, field, fuzz_change(input, vmcs12_get(vmcs12, field)));
	}
	if (offered)
		offered_controls_only(vmcs12, caps12);
}
