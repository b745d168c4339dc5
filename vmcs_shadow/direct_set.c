#include "direct_set.h"

/*
 * What decides, in instructions of L0, rounded: an access that exits; at each exit of L2, to read a field out of vmcs02
 * and to write it for L1 to read; at each entry, to look whether L1 has written it. On a CPU all four are dearer, in
 * much the same proportion.
 */
enum { COST_TRAP = 240, COST_FETCH = 12, COST_PUBLISH = 12, COST_COLLECT = 8 };

#define IS_GUEST(encoding) (VMCS_ENCODING_TYPE(encoding) == TYPE_GUEST)
#define IS_READ(encoding, hot) (HOT_##hot != HOT_N && (!IS_GUEST(encoding) || (HOT_##hot & HOT_R)))
#define IS_WRITTEN(encoding, hot) (IS_READ(encoding, hot) && (HOT_##hot & HOT_W))

static const union field_bits hot_to_read = { .has = {
#define F(name, encoding, use, hot) .name = IS_READ(encoding, hot),
#include "vmcs_fields.def"
#undef F
} };

static const union field_bits hot_to_write = { .has = {
#define F(name, encoding, use, hot) .name = IS_WRITTEN(encoding, hot),
#include "vmcs_fields.def"
#undef F
} };

/* An instruction that fails writes it, whenever that is. */
static const union field_bits never = FIELD_SET_OF(.vm_instruction_error = 1);

static struct field_set both(const struct field_set *a, const struct field_set *b)
{
	struct field_set set;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		set.word[i] = a->word[i] & b->word[i];
	return set;
}

struct field_set direct_set_possible(const struct field_set *host, const struct field_set *offered)
{
	struct field_set set = both(host, offered);

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		set.word[i] &= ~never.set.word[i];
	return set;
}

struct direct_set direct_set_fixed(const struct field_set *possible)
{
	return (struct direct_set){ both(possible, &hot_to_read.set), both(possible, &hot_to_write.set) };
}

struct direct_set direct_set_all(const struct field_set *possible)
{
	return (struct direct_set){ *possible, *possible };
}

/* Of a field that L1 reads without an exit, at each exit of L2. What no exit changes costs nothing. */
static u64 cost_to_read(enum vmcs_field field)
{
	enum vmcs_type type = vmcs_field_type(field);

	if (type == TYPE_GUEST)
		return vmcs_field[field].hot & HOT_R ? COST_PUBLISH : COST_FETCH + COST_PUBLISH;
	return type == TYPE_EXIT_INFORMATION ? COST_PUBLISH : 0;
}

void direct_set_learn(struct direct_set *set, const struct field_set *possible, const struct field_accesses *before,
		      const struct field_accesses *now, u64 exits)
{
	struct field_set rest = *possible;
	enum vmcs_field f;

	while ((f = field_set_take(&rest)) != VMCS_FIELDS) {
		bool is_read = field_set_has(&set->read, f), is_written = field_set_has(&set->written, f);
		u64 reads = (u64)(now->read[f] - before->read[f]) * COST_TRAP;
		u64 writes = (u64)(now->written[f] - before->written[f]) * COST_TRAP;
		u64 reading = is_read ? 0 : exits * cost_to_read(f), writing = exits * COST_COLLECT;

		/* To write it L1 must be let read it, so that may pay by the writes it saves. */
		if (!is_written && writes > writing && reads + writes > reading + writing)
			field_set_add(&set->written, f);
		else if (!is_written && reads <= reading)
			continue;
		field_set_add(&set->read, f);
	}
}

bool direct_set_equal(const struct direct_set *a, const struct direct_set *b)
{
	bool equal = true;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		equal &= a->read.word[i] == b->read.word[i] && a->written.word[i] == b->written.word[i];
	return equal;
}
