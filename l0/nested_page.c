#include "nested_page.h"
#include "l1_memory.h"
#include "nested_direct.h"
#include "nested_switch.h"
#include "options.h"

#define F(name, encoding, use, hot) \
	_Static_assert((unsigned)PLACE_##name == (unsigned)F_##name, "the places are those of vmcs12: " #name);
#include "vmcs_fields.def"
#undef F
_Static_assert(FIELD_PAGE_WORDS == FIELD_SET_WORDS, "the bits are those of a set");

void nested_page_init(struct cpu *cpu)
{
	const struct field_set *fields12 = &cpu->nested.caps12.fields;

	cpu->nested.paged = direct_set_possible(fields12, fields12);
}

/* The page itself, where L0 reaches it; NULL if the value names none that is L1's RAM. */
static struct field_page *page_of(u64 value)
{
	if (!(value & FIELD_PAGE_ENABLE) || value & (PAGE_SIZE - 1) & ~FIELD_PAGE_ENABLE)
		return NULL;
	return l1_pointer(ALIGN_DOWN(value, PAGE_SIZE), PAGE_SIZE);
}

bool nested_page_rdmsr(const struct cpu *cpu, u64 *value)
{
	const struct vmcs_slot *slot = cpu->nested.current;

	if (!options.drw || !slot || slot->shadow)
		return false;
	*value = slot->page_msr;
	return true;
}

/* The fields are with the page from now on instead of direct12, or the other way. */
static void use_page(struct cpu *cpu, struct vmcs_slot *slot, struct field_page *page, u64 value)
{
	nested_direct_collect(cpu, slot);
	nested_fetch_stale(cpu, slot);
	slot->page = page;
	slot->page_msr = value;
	slot->direct = options.vmcs_shadowing && !page;
	nested_direct_fill(cpu, slot);
	nested_direct_follow(cpu);
}

bool nested_page_wrmsr(struct cpu *cpu, u64 value)
{
	struct vmcs_slot *slot = cpu->nested.current;
	struct field_page *page = page_of(value);

	if (!options.drw || !slot || slot->shadow || (value && !page))
		return false;
	if (page) { /* what was there before is not L1's writing */
		watch_written(ALIGN_DOWN(value, PAGE_SIZE));
		for (unsigned i = 0; i < FIELD_PAGE_WORDS; i++)
			page->written[i] = 0;
	}
	use_page(cpu, slot, page, value);
	return true;
}

void nested_page_restore(struct vmcs_slot *slot, u64 value)
{
	slot->page = options.drw && !slot->shadow ? page_of(value) : NULL;
	slot->page_msr = slot->page ? value : 0;
	slot->direct &= !slot->page;
}

/* Another CPU of L1's may write there meanwhile: each word is read once. */
static inline u64 read_once(const u64 *at)
{
	return *(const volatile u64 *)at;
}

static void take_field(struct vmcs_slot *slot, enum vmcs_field field)
{
	struct vmcs12 *vmcs12 = &slot->vmcs12;
	u64 value = read_once(&slot->page->value[field]) & vmcs_field_mask(field);

	slot->page->value[field] = value;
	if (value != vmcs12_get(vmcs12, field) || field_set_has(&vmcs12->stale, field))
		vmcs12_set(vmcs12, field, value);
}

void nested_page_take(const struct cpu *cpu, struct vmcs_slot *slot)
{
	for (unsigned i = 0; i < FIELD_PAGE_WORDS; i++) {
		u64 word = read_once(&slot->page->written[i]);

		if (!word)
			continue;
		slot->page->written[i] = 0;
		for (word &= cpu->nested.paged.word[i]; word; word &= word - 1)
			take_field(slot, (enum vmcs_field)(64 * i + (unsigned)__builtin_ctzll(word)));
	}
}

void nested_page_publish(const struct cpu *cpu, struct vmcs_slot *slot)
{
	struct vmcs12 *vmcs12 = &slot->vmcs12;

	for (unsigned i = 0; i < FIELD_PAGE_WORDS; i++) {
		for (u64 word = vmcs12->changed.word[i]; word; word &= word - 1) {
			enum vmcs_field f = (enum vmcs_field)(64 * i + (unsigned)__builtin_ctzll(word));

			slot->page->value[f] = vmcs12_get(vmcs12, f);
		}
		vmcs12->changed.word[i] = 0;
		slot->page->readable[i] = cpu->nested.paged.word[i] & ~vmcs12->stale.word[i];
	}
}

void nested_page_fill(const struct cpu *cpu, struct vmcs_slot *slot)
{
	field_set_unite(&slot->vmcs12.changed, &cpu->nested.paged);
	nested_page_publish(cpu, slot);
}

void nested_page_write(const struct cpu *cpu, struct vmcs_slot *slot, enum vmcs_field field)
{
	field_set_add(&slot->vmcs12.changed, field);
	nested_page_publish(cpu, slot);
}
