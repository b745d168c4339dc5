/*
 * L1's VMREADs and VMWRITEs without exits, by the CPU's own VMCS shadowing: while a vmcs12 is current, its hot fields
 * are in a shadow VMCS as well, direct12, which vmcs01's link pointer names. SDM "VMCS Shadowing" and "Software Use of
 * Virtual-Machine Control Structures".
 */
#include "nested_direct.h"
#include "l1_exit.h"
#include "nested_switch.h"
#include "options.h"

static u64 *vmread_bitmap01, *vmwrite_bitmap01;

/*
 * What L1 may read there: all that is hot. Guest state that stays in vmcs02 at an exit is not, or L1 would miss it.
 * What it may write is found again by comparison, so it must be what it reads as well.
 */
#define IS_GUEST(encoding) (VMCS_ENCODING_TYPE(encoding) == TYPE_GUEST)
#define IS_READ(encoding, hot) (HOT_##hot != HOT_N && (!IS_GUEST(encoding) || (HOT_##hot & HOT_R)))
#define IS_WRITTEN(encoding, hot) (IS_READ(encoding, hot) && (HOT_##hot & HOT_W))

static const union field_bits shadowed = { .has = {
#define F(name, encoding, use, hot) .name = IS_READ(encoding, hot),
#include "vmcs_fields.def"
#undef F
} };

/* A 64-bit field's high half has an encoding of its own, which exits and reads vmcs12. */
#define F(name, encoding, use, hot) \
	_Static_assert(!IS_WRITTEN(encoding, hot) || VMCS_ENCODING_WIDTH(encoding) != WIDTH_64, #name);
#include "vmcs_fields.def"
#undef F

static void let_through(u64 *bitmap, u32 encoding)
{
	bitmap[encoding / 64] &= ~BIT(encoding % 64);
}

/* SDM "VMREAD and VMWRITE Bitmap Addresses": a bit that is clear lets through. */
static void make_bitmaps(const struct field_set *fields12)
{
	vmread_bitmap01 = pool_allocate(1);
	vmwrite_bitmap01 = pool_allocate(1);
	for (unsigned i = 0; i < PAGE_SIZE / sizeof(u64); i++)
		vmread_bitmap01[i] = vmwrite_bitmap01[i] = ~0ull;
#define F(name, encoding, use, hot) \
	if (IS_READ(encoding, hot) && field_set_has(fields12, F_##name)) { \
		let_through(vmread_bitmap01, encoding); \
		if (IS_WRITTEN(encoding, hot)) \
			let_through(vmwrite_bitmap01, encoding); \
	}
#include "vmcs_fields.def"
#undef F
}

/* L1's writes are looked for by VMREAD, which must know each field that L1 may write. */
static bool cpu_has_written_fields(void)
{
	bool has = true;

#define F(name, encoding, use, hot) \
	if (IS_WRITTEN(encoding, hot)) \
		has &= field_set_has(&host_caps.fields, F_##name);
#include "vmcs_fields.def"
#undef F
	return has;
}

void nested_direct_init(const struct field_set *fields12)
{
	if (!(controls_allowed(&host_caps, CONTROLS_proc2) & PROC2_vmcs_shadowing) ||
	    !(capability(&host_caps, MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ANY) || !cpu_has_written_fields())
		options.vmcs_shadowing = 0;
	if (!options.vmcs_shadowing)
		return;
	if (!vmread_bitmap01)
		make_bitmaps(fields12);
	vmwrite(ENC_vmread_bitmap_address, home_physical(vmread_bitmap01));
	vmwrite(ENC_vmwrite_bitmap_address, home_physical(vmwrite_bitmap01));
}

void nested_direct_init_slot(struct vmcs_slot *slot)
{
	u32 revision = (u32)(capability(&host_caps, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
	struct vmcs_region_header *header;

	if (!options.vmcs_shadowing)
		return;
	header = pool_allocate(1);
	header->revision = revision | VMCS_REVISION_SHADOW;
	slot->direct12 = home_physical(header);
	ASSERT(vmclear(slot->direct12) == VMX_SUCCEED);
}

/* A shadow VMCS of L1's is accessed by L2, too: what L1 reads of it may still be in its vmcs02. */
static bool is_direct(const struct vmcs_slot *slot)
{
	return options.vmcs_shadowing && slot && !slot->shadow;
}

static void load_direct12(const struct vmcs_slot *slot)
{
	ASSERT(vmptrld(slot->direct12) == VMX_SUCCEED);
}

void nested_direct_fill(struct cpu *cpu, const struct vmcs_slot *slot)
{
	const struct vmcs12 *vmcs12 = &slot->vmcs12;

	if (!is_direct(slot))
		return;
	load_direct12(slot);
#define F(name, encoding, use, hot) \
	if (IS_READ(encoding, hot) && field_set_has(&host_caps.fields, F_##name)) \
		vmwrite(encoding, vmcs12_get(vmcs12, F_##name));
#include "vmcs_fields.def"
#undef F
	load_vmcs01(cpu);
}

void nested_direct_follow(struct cpu *cpu)
{
	const struct vmcs_slot *slot = cpu->nested.current;
	u32 proc2 = controls01[CONTROLS_proc2];

	if (!options.vmcs_shadowing)
		return;
	vmwrite(ENC_vmcs_link_pointer, is_direct(slot) ? slot->direct12 : VMCS_NO_POINTER);
	vmwrite(ENC_secondary_processor_based_controls, is_direct(slot) ? proc2 | PROC2_vmcs_shadowing : proc2);
}

void nested_direct_publish(struct vmcs_slot *slot)
{
	struct vmcs12 *vmcs12 = &slot->vmcs12;

	if (!is_direct(slot))
		return;
	load_direct12(slot);
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++) {
		for (u64 word = vmcs12->changed.word[i] & shadowed.set.word[i]; word; word &= word - 1) {
			enum vmcs_field f = (enum vmcs_field)(64 * i + (unsigned)__builtin_ctzll(word));

			vmwrite_sure(vmcs_field[f].encoding, vmcs12_get(vmcs12, f));
		}
		vmcs12->changed.word[i] = 0;
	}
}

/* A field that L1 wrote is found by its value. */
static inline void collect(struct vmcs12 *vmcs12, enum vmcs_field field, u64 value)
{
	if (value != vmcs12_get(vmcs12, field))
		vmcs12_set(vmcs12, field, value);
}

void nested_direct_collect(struct vmcs_slot *slot)
{
	if (!is_direct(slot))
		return;
	load_direct12(slot);
#define F(name, encoding, use, hot) \
	if (IS_WRITTEN(encoding, hot)) \
		collect(&slot->vmcs12, F_##name, vmread(encoding));
#include "vmcs_fields.def"
#undef F
}

void nested_direct_write(struct cpu *cpu, const struct vmcs_slot *slot, enum vmcs_field field)
{
	if (!is_direct(slot) || !field_set_has(&shadowed.set, field))
		return;
	load_direct12(slot);
	vmwrite(vmcs_field[field].encoding, vmcs12_get(&slot->vmcs12, field));
	load_vmcs01(cpu);
}
