#include "vmcs_shadow/vmcs12.h"

#include <string.h>

#include "vmcs_shadow/capabilities.h"

static enum vmx_outcome fail_valid(u32 *number, enum vm_instruction_error error)
{
	*number = error;
	return VMX_FAIL_VALID;
}

/* SDM "Structure of VMCS Component Encoding": only a 64-bit field has a high half. */
static bool bad_half(u64 encoding)
{
	return (encoding & VMCS_ENCODING_HIGH) && VMCS_ENCODING_WIDTH(encoding) != WIDTH_64;
}

enum vmx_outcome vmcs12_vmread(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12,
			       u64 encoding, u64 *value, u32 *number)
{
	enum vmcs_field field = vmcs_field_of_half(encoding);

	if (UNLIKELY(!field_set_has(&caps12->fields, field) || bad_half(encoding)))
		return fail_valid(number, VMERR_unsupported_vmcs_component);
	*value = vmcs12->value[field];
	if (encoding & VMCS_ENCODING_HIGH)
		*value >>= 32;
	return VMX_SUCCEED;
}

static bool may_write_exit_information(const struct vmx_capabilities *caps12)
{
	return capability(caps12, MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ANY;
}

enum vmx_outcome vmcs12_vmwrite(struct vmcs12 *vmcs12, const struct vmx_capabilities *caps12,
				u64 encoding, u64 value, u32 *number)
{
	enum vmcs_field field = vmcs_field_of_half(encoding);

	if (UNLIKELY(!field_set_has(&caps12->fields, field) || bad_half(encoding)))
		return fail_valid(number, VMERR_unsupported_vmcs_component);
	if (UNLIKELY(VMCS_ENCODING_TYPE(encoding) == TYPE_EXIT_INFORMATION && !may_write_exit_information(caps12)))
		return fail_valid(number, VMERR_vmwrite_read_only_component);
	if (encoding & VMCS_ENCODING_HIGH)
		value = value << 32 | (vmcs12->value[field] & BITS(31, 0));
	vmcs12_set(vmcs12, field, value);
	return VMX_SUCCEED;
}

struct field_set vmcs12_writable(const struct vmx_capabilities *caps12)
{
	struct field_set fields = caps12->fields;

	for (unsigned f = 0; f < VMCS_FIELDS && !may_write_exit_information(caps12); f++)
		if (vmcs_field_type((enum vmcs_field)f) == TYPE_EXIT_INFORMATION)
			field_set_remove(&fields, (enum vmcs_field)f);
	return fields;
}

static const union field_bits every_field = { .has = {
#define F(name, encoding, use, hot) .name = 1,
#include "vmcs_fields.def"
#undef F
} };

void vmcs12_reset(struct vmcs12 *vmcs12)
{
	memset(vmcs12, 0, sizeof(*vmcs12));
	vmcs12->dirty = every_field.set;
}

void vmcs12_store(const struct vmcs12 *vmcs12, struct vmcs12_image *image)
{
	image->launched = vmcs12->launched;
	memcpy(image->value, vmcs12->value, sizeof(image->value));
}

/* L1 can change the image meanwhile: each value is read once. */
static inline u64 image_value(const struct vmcs12_image *image, unsigned field)
{
	return __atomic_load_n(&image->value[field], __ATOMIC_RELAXED) & vmcs_field_mask((enum vmcs_field)field);
}

void vmcs12_load(struct vmcs12 *vmcs12, const struct vmcs12_image *image)
{
	for (unsigned field = 0; field < VMCS_FIELDS; field++)
		vmcs12->value[field] = image_value(image, field);
	vmcs12->launched = image->launched != 0;
	vmcs12->dirty = every_field.set;
	field_set_clear(&vmcs12->stale);
}

void vmcs12_load_again(struct vmcs12 *vmcs12, const struct vmcs12_image *image)
{
	for (unsigned field = 0; field < VMCS_FIELDS; field++) {
		u64 value = image_value(image, field);

		if (UNLIKELY(value != vmcs12->value[field])) {
			vmcs12->value[field] = value;
			field_set_add(&vmcs12->dirty, (enum vmcs_field)field);
		}
	}
	vmcs12->launched = image->launched != 0;
}
