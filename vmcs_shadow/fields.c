#include "vmcs_shadow/fields.h"

const struct field_description vmcs_field[VMCS_FIELDS] = {
#define F(name, encoding, use, hot) [F_##name] = { #name, encoding, USE_##use, HOT_##hot },
#include "vmcs_fields.def"
#undef F
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const u8 vmcs_field_of_encoding[VMCS_ENCODING_END / 2] = {
	[0 ... VMCS_ENCODING_END / 2 - 1] = VMCS_FIELDS,
#define F(name, encoding, use, hot) [(encoding) / 2] = F_##name,
#include "vmcs_fields.def"
#undef F
};
#pragma GCC diagnostic pop

/* Natural width is 64 bits: what a 32-bit L1 may see of it is cut where its operand is stored. */
#define WIDTH_MASK(encoding) \
	(VMCS_ENCODING_WIDTH(encoding) == WIDTH_16 ? BITS(15, 0) : \
	 VMCS_ENCODING_WIDTH(encoding) == WIDTH_32 ? BITS(31, 0) : BITS(63, 0))

const u64 vmcs_field_masks[VMCS_FIELDS] = {
#define F(name, encoding, use, hot) [F_##name] = WIDTH_MASK(encoding),
#include "vmcs_fields.def"
#undef F
};

const u8 vmcs_control_field[CONTROL_GROUPS] = {
	[CONTROLS_pin] = F_pin_based_controls,
	[CONTROLS_proc] = F_primary_processor_based_controls,
	[CONTROLS_proc2] = F_secondary_processor_based_controls,
	[CONTROLS_exit] = F_primary_vm_exit_controls,
	[CONTROLS_entry] = F_vm_entry_controls,
};
