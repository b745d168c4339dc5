/* The VMCS fields that come with EPT's helpers, TSC scaling and the virtual APIC: which there are, and their widths. */
#include "lib/feature.h"

#define FIELD(name) { #name, ENC_##name }

static const struct {
	const char *name;
	u64 encoding;
} fields[] = {
	FIELD(eptp_index), FIELD(guest_interrupt_status), FIELD(pml_index), FIELD(pml_address), FIELD(tsc_offset),
	FIELD(virtual_apic_address), FIELD(apic_access_address), FIELD(vm_function_controls), FIELD(ept_pointer),
	FIELD(eoi_exit_bitmap_0), FIELD(eoi_exit_bitmap_1), FIELD(eoi_exit_bitmap_2), FIELD(eoi_exit_bitmap_3),
	FIELD(eptp_list_address), FIELD(virtualization_exception_information_address), FIELD(tsc_multiplier),
	FIELD(tpr_threshold), FIELD(virtual_processor_identifier),
};

static void try_write(u64 encoding, u64 value)
{
	enum vmx_outcome outcome = vmwrite_checked(encoding, value);
	u64 back = 0;

	if (outcome != VMX_SUCCEED) {
		print(" VMWRITE %d, error %lu;", outcome, vmread(ENC_vm_instruction_error));
		return;
	}
	outcome = vmread_checked(encoding, &back);
	print(" VMREAD %d, %lx;", outcome, back);
}

bool feature(void)
{
	static const struct controls none;

	guest_new(&none, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		print("%s:", fields[i].name);
		try_write(fields[i].encoding, ~0ull);
		try_write(fields[i].encoding, 0x123456789abcdef0);
		if (VMCS_ENCODING_WIDTH(fields[i].encoding) == WIDTH_64)
			try_write(fields[i].encoding | VMCS_ENCODING_HIGH, 0xfedcba9876543210);
		try_write(fields[i].encoding, 0);
		print("\n");
	}
	return true;
}
