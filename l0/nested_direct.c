/*
 * L1's VMREADs and VMWRITEs without exits, by the CPU's own VMCS shadowing: while a vmcs12 is current, some of its
 * fields are in a shadow VMCS as well, direct12, which vmcs01's link pointer names. SDM "VMCS Shadowing" and "Software
 * Use of Virtual-Machine Control Structures". Which fields, is for vmcs_shadow/direct_set.c.
 */
#include "nested_direct.h"
#include "nested_page.h"
#include "l1_exit.h"
#include "nested_switch.h"
#include "options.h"
#include "string.h"

/*
 * The course of learning, in entries of L2. It begins with the fixed set. A probe takes all fields from L1, so that
 * every access is seen, and what pays by its count is the new set. At the end of each round what L1 has come to use
 * beside it is added. The rounds from one probe to the next double as long as probes find what there was.
 */
enum { PROBE_ENTRIES = 16, ROUND_ENTRIES = 256, ROUNDS_MIN = 16, ROUNDS_MAX = 256 };
/* Fewer accesses in a round cannot pay for any field. */
enum { FEW_ACCESSES = ROUND_ENTRIES / 32 };

static void let_through(u64 *bitmap, u32 encoding)
{
	bitmap[encoding / 64] &= ~BIT(encoding % 64);
}

/* SDM "VMREAD and VMWRITE Bitmap Addresses": a bit that is clear lets through, and each half has its own. */
static void make_bitmap(u64 *bitmap, struct field_set fields)
{
	enum vmcs_field f;

	memset(bitmap, 0xff, PAGE_SIZE);
	while ((f = field_set_take(&fields)) != VMCS_FIELDS) {
		let_through(bitmap, vmcs_field[f].encoding);
		if (vmcs_field_width(f) == WIDTH_64)
			let_through(bitmap, vmcs_field[f].encoding | VMCS_ENCODING_HIGH);
	}
}

/* L1 accesses these fields directly from now on; direct12 of each slot is to be filled before L1 sees it. */
static void use_set(struct direct *direct, const struct direct_set *set)
{
	struct field_set fields = set->written;
	enum vmcs_field f;

	direct->set = *set;
	direct->version++;
	make_bitmap(direct->vmread_bitmap, set->read);
	make_bitmap(direct->vmwrite_bitmap, set->written);
	for (f = 0; f < VMCS_FIELDS; f++)
		direct->is_read[f] = field_set_has(&set->read, f);
	direct->written_count = 0;
	while ((f = field_set_take(&fields)) != VMCS_FIELDS)
		direct->written[direct->written_count++] = (struct direct_field){ vmcs_field[f].encoding, f };
}

static bool cpu_is_able(void)
{
	return controls_allowed(&host_caps, CONTROLS_proc2) & PROC2_vmcs_shadowing &&
	       capability(&host_caps, MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ANY;
}

static struct direct_set first_set(const struct direct *direct)
{
	return options.shadow_fields == SHADOW_FIELDS_all ? direct_set_all(&direct->possible) :
							    direct_set_fixed(&direct->possible);
}

void nested_direct_init(struct cpu *cpu)
{
	struct direct *direct = &cpu->nested.direct;
	struct direct_set set;

	if (!cpu_is_able())
		options.vmcs_shadowing = 0;
	if (!options.vmcs_shadowing)
		return;
	direct->possible = direct_set_possible(&host_caps.fields, &cpu->nested.caps12.fields);
	direct->vmread_bitmap = pool_allocate(1);
	direct->vmwrite_bitmap = pool_allocate(1);
	set = first_set(direct);
	use_set(direct, &set);
	if (options.shadow_fields == SHADOW_FIELDS_learned) {
		direct->rounds = direct->rounds_left = 1;
		direct->entries_left = ROUND_ENTRIES;
	}
	vmwrite(ENC_vmread_bitmap_address, home_physical(direct->vmread_bitmap));
	vmwrite(ENC_vmwrite_bitmap_address, home_physical(direct->vmwrite_bitmap));
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

static void load_direct12(const struct vmcs_slot *slot)
{
	load_vmcs(&slot->direct12);
}

void nested_direct_fill(struct cpu *cpu, struct vmcs_slot *slot)
{
	const struct direct *direct = &cpu->nested.direct;
	struct field_set fields = direct->set.read;
	enum vmcs_field f;

	if (slot->direct_version != direct->version) {
		slot->direct_version = direct->version;
		slot->direct_written = direct->set.written;
		slot->checked = false; /* so that the next entry plans anew what its exit reads */
		slot->settled = 0;
	}
	if (slot->page)
		nested_page_fill(cpu, slot);
	if (!slot->direct)
		return;
	load_direct12(slot);
	while ((f = field_set_take(&fields)) != VMCS_FIELDS)
		vmwrite(vmcs_field[f].encoding, vmcs12_get(&slot->vmcs12, f));
	load_vmcs01(cpu);
}

void nested_direct_follow(struct cpu *cpu)
{
	const struct vmcs_slot *slot = cpu->nested.current;
	bool is_direct = slot && slot->direct;
	u32 proc2 = controls01[CONTROLS_proc2];

	if (!options.vmcs_shadowing)
		return;
	vmwrite(ENC_vmcs_link_pointer, is_direct ? slot->direct12 : VMCS_NO_POINTER);
	vmwrite(ENC_secondary_processor_based_controls, is_direct ? proc2 | PROC2_vmcs_shadowing : proc2);
}

void nested_direct_publish(struct cpu *cpu, struct vmcs_slot *slot)
{
	const struct field_set *shadowed = &cpu->nested.direct.set.read;
	struct vmcs12 *vmcs12 = &slot->vmcs12;

	if (UNLIKELY(!slot->direct)) {
		if (slot->page)
			nested_page_publish(cpu, slot);
		return;
	}
	load_direct12(slot);
	for (unsigned i = 0; i < FIELD_SET_WORDS; i++) {
		for (u64 word = vmcs12->changed.word[i] & shadowed->word[i]; word; word &= word - 1) {
			enum vmcs_field f = (enum vmcs_field)(64 * i + (unsigned)__builtin_ctzll(word));

			vmwrite_sure(vmcs_field[f].encoding, vmcs12_get(vmcs12, f));
		}
		vmcs12->changed.word[i] = 0;
	}
}

static inline void collect_field(struct vmcs12 *vmcs12, enum vmcs_field field, u64 value)
{
	if (value != vmcs12_get(vmcs12, field))
		vmcs12_set(vmcs12, field, value);
}

/* By a set of before. */
static void collect_of(struct vmcs_slot *slot, struct field_set written)
{
	enum vmcs_field f;

	load_direct12(slot);
	while ((f = field_set_take(&written)) != VMCS_FIELDS)
		collect_field(&slot->vmcs12, f, vmread(vmcs_field[f].encoding));
}

/* What L1 wrote is in vmcs12 before, and in direct12 behind. Shadow VMCSs of L1's have none. */
void nested_direct_renew(struct cpu *cpu, struct vmcs_slot *slot)
{
	slot->direct_version = cpu->nested.direct.version;
	if (slot->shadow)
		return;
	if (slot->direct)
		collect_of(slot, slot->direct_written);
	else if (slot->page)
		nested_page_take(cpu, slot);
	nested_fetch_stale(cpu, slot);
	slot->direct_version = 0;
	nested_direct_fill(cpu, slot);
}

/* A field that L1 wrote is found by its value. */
void nested_direct_collect(struct cpu *cpu, struct vmcs_slot *slot)
{
	const struct direct_field *written = cpu->nested.direct.written;
	const struct direct_field *end = written + cpu->nested.direct.written_count;
	struct vmcs12 *vmcs12 = &slot->vmcs12;

	if (UNLIKELY(!slot->direct)) {
		if (slot->page)
			nested_page_take(cpu, slot);
		return;
	}
	load_direct12(slot);
	for (; written < end; written++)
		collect_field(vmcs12, (enum vmcs_field)written->field, vmread(written->encoding));
}

void nested_direct_write(struct cpu *cpu, const struct vmcs_slot *slot, enum vmcs_field field)
{
	if (!slot->direct)
		return;
	load_direct12(slot);
	vmwrite(vmcs_field[field].encoding, vmcs12_get(&slot->vmcs12, field));
	load_vmcs01(cpu);
}

/* Another set, for the current VMCS now and for the others when they become current. */
static void change_set(struct cpu *cpu, const struct direct_set *set)
{
	use_set(&cpu->nested.direct, set);
	nested_direct_catch_up(cpu, cpu->nested.current);
}

static void begin_round(struct direct *direct)
{
	direct->probing = false;
	direct->entries_left = ROUND_ENTRIES;
}

static void begin_probe(struct cpu *cpu)
{
	static const struct direct_set none;
	struct direct *direct = &cpu->nested.direct;

	direct->before_probe = direct->set;
	direct->probing = true;
	direct->entries_left = PROBE_ENTRIES;
	change_set(cpu, &none);
}

static void end_probe(struct direct *direct)
{
	if (direct_set_equal(&direct->set, &direct->before_probe))
		direct->rounds = direct->rounds * 2 < ROUNDS_MAX ? direct->rounds * 2 : ROUNDS_MAX;
	else
		direct->rounds = ROUNDS_MIN;
	direct->rounds_left = direct->rounds;
	begin_round(direct);
}

/* What pays by the accesses since the last time comes into the set. */
static void learn(struct cpu *cpu, u64 entries)
{
	struct direct *direct = &cpu->nested.direct;
	struct direct_set set = direct->set;

	direct_set_learn(&set, &direct->possible, &direct->before, &cpu->nested.accesses, entries);
	if (!direct_set_equal(&set, &direct->set))
		change_set(cpu, &set);
}

static void remember_accesses(struct cpu *cpu, u64 total)
{
	cpu->nested.direct.before = cpu->nested.accesses;
	cpu->nested.direct.total_before = total;
}

void nested_direct_look_again(struct cpu *cpu)
{
	struct direct *direct = &cpu->nested.direct;
	u64 total = stats_l1_exits(&cpu->stats, REASON_vmread) + stats_l1_exits(&cpu->stats, REASON_vmwrite);
	bool many = total - direct->total_before > FEW_ACCESSES;

	if (!direct->rounds)
		return; /* the set is not learned */
	if (direct->probing) {
		learn(cpu, PROBE_ENTRIES);
		end_probe(direct);
	} else if (--direct->rounds_left == 0) {
		begin_probe(cpu);
		many = true;
	} else {
		if (many)
			learn(cpu, ROUND_ENTRIES);
		begin_round(direct);
	}
	if (many)
		remember_accesses(cpu, total);
}
