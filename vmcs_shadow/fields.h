/* The fields of the VMCS as dense indices, and sets of them; all of it from vmcs_fields.def. */
#ifndef TURTLES_FIELDS_H
#define TURTLES_FIELDS_H

#include "vmx.h"

/* Dense indices, e.g. F_guest_rip; VMCS_FIELDS counts them and stands for "no such field". */
enum vmcs_field {
#define F(name, encoding, use, hot) F_##name,
#include "vmcs_fields.def"
#undef F
	VMCS_FIELDS
};

/* What becomes of L1's value in vmcs02; see vmcs_fields.def. */
enum field_use { USE_COPY, USE_MERGE, USE_HOST, USE_EMUL, USE_EXIT, USE_NONE };
/* What a hypervisor does with the field at nearly every exit. */
enum field_hot { HOT_N = 0, HOT_R = 1, HOT_W = 2, HOT_RW = 3 };

struct field_description {
	const char *name;
	u16 encoding;
	u8 use;
	u8 hot;
};

extern const struct field_description vmcs_field[VMCS_FIELDS];

/* Tables behind the two functions below, which every VMREAD and VMWRITE of L1 passes through. */
#define VMCS_ENCODING_END 0x7000u /* beyond every encoding whose reserved bits are clear */
extern const u8 vmcs_field_of_encoding[VMCS_ENCODING_END / 2]; /* by encoding / 2 */
extern const u64 vmcs_field_masks[VMCS_FIELDS];
_Static_assert(VMCS_FIELDS <= UINT8_MAX, "a field fits in the table's bytes");

/* The field of a full or a high encoding; VMCS_FIELDS if there is none. */
static inline enum vmcs_field vmcs_field_of_half(u64 encoding)
{
	if (UNLIKELY(encoding >= VMCS_ENCODING_END))
		return VMCS_FIELDS;
	return (enum vmcs_field)vmcs_field_of_encoding[encoding / 2];
}

/*
 * The field of an encoding (of its full, not its high half); VMCS_FIELDS if there is none. Rotated, the encoding of a
 * high half is beyond the end as well.
 */
static inline enum vmcs_field vmcs_field_of(u64 encoding)
{
	u64 index = encoding >> 1 | encoding << 63;

	if (UNLIKELY(index >= VMCS_ENCODING_END / 2))
		return VMCS_FIELDS;
	return (enum vmcs_field)vmcs_field_of_encoding[index];
}

/* The bits that a field's width leaves of a value. */
static inline u64 vmcs_field_mask(enum vmcs_field field)
{
	return vmcs_field_masks[field];
}

static inline enum vmcs_type vmcs_field_type(enum vmcs_field field)
{
	return (enum vmcs_type)VMCS_ENCODING_TYPE(vmcs_field[field].encoding);
}

static inline enum vmcs_width vmcs_field_width(enum vmcs_field field)
{
	return (enum vmcs_width)VMCS_ENCODING_WIDTH(vmcs_field[field].encoding);
}

/* The groups of VM-execution, exit and entry controls that a capability MSR governs. */
enum control_group {
	CONTROLS_pin,
	CONTROLS_proc,
	CONTROLS_proc2,
	CONTROLS_exit,
	CONTROLS_entry,
	CONTROL_GROUPS
};

/* The field of each group. */
extern const u8 vmcs_control_field[CONTROL_GROUPS];

/* One bit more than there are fields, so that VMCS_FIELDS may be asked for: it is in no set. */
#define FIELD_SET_WORDS (VMCS_FIELDS / 64 + 1)
struct field_set {
	u64 word[FIELD_SET_WORDS];
};

/* A set that is known at build time: FIELD_SET_OF(.guest_rip = 1, .guest_rsp = 1). */
union field_bits {
	struct {
#define F(name, encoding, use, hot) u64 name : 1;
#include "vmcs_fields.def"
#undef F
		u64 none : 1;
	} has;
	struct field_set set;
};
_Static_assert(sizeof(union field_bits) == sizeof(struct field_set), "the bits are those of the set");
#define FIELD_SET_OF(...) { .has = { __VA_ARGS__ } }

static inline void field_set_add(struct field_set *set, enum vmcs_field f)
{
	set->word[f / 64] |= BIT(f % 64);
}

static inline void field_set_remove(struct field_set *set, enum vmcs_field f)
{
	set->word[f / 64] &= ~BIT(f % 64);
}

static inline bool field_set_has(const struct field_set *set, enum vmcs_field f)
{
	return set->word[f / 64] >> (f % 64) & 1;
}

static inline void field_set_unite(struct field_set *set, const struct field_set *other)
{
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		set->word[i] |= other->word[i];
}

static inline void field_set_clear(struct field_set *set)
{
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		set->word[i] = 0;
}

static inline bool field_set_intersects(const struct field_set *a, const struct field_set *b)
{
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		if (a->word[i] & b->word[i])
			return true;
	return false;
}

static inline bool field_set_is_empty(const struct field_set *set)
{
	u64 all = 0;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		all |= set->word[i];
	return !all;
}

/* Take the lowest member out of the set; VMCS_FIELDS when it is empty. */
static inline enum vmcs_field field_set_take(struct field_set *set)
{
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++) {
		u64 word = set->word[i];

		if (word) {
			set->word[i] = word & (word - 1);
			return (enum vmcs_field)(64 * i + (unsigned)__builtin_ctzll(word));
		}
	}
	return VMCS_FIELDS;
}

#endif
