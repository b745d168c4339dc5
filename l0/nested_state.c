/* The VMCSs that L1 keeps active, each in a slot with the VMCS that the CPU runs for it. */
#include "vmcs_shadow/bitmaps.h"
#include "cpu.h"
#include "nested_page.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "nested_direct.h"
#include "options.h"
#include "string.h"

u64 nested_generation = 1;

/* vmcs02 and direct12 */
#define PAGES_PER_SLOT 2
#define SHADOWING_BITMAPS 2
#define MSR_LISTS 1

static bool offers_sub_pages(void)
{
	return controls_allowed(&host_caps, CONTROLS_proc2) & PROC2_sub_page_write_permissions;
}

static u64 ept02_table_pages(u64 ram_bytes)
{
	u64 roots = options.ept02_slots * (offers_sub_pages() ? 2 : 1);

	if (options.ept02_tables)
		return options.ept02_tables + roots;
	/* Enough to map all of L1's memory once in 4 KiB pages, and what every EPT02 needs to be there at all. */
	return ram_bytes / MIB(2) + ram_bytes / GIB(1) + options.ept02_slots + roots + 192;
}

/* One beyond the switch: a shadow VMCS never takes the place of the one that links to it. */
static u64 slots_wanted(void)
{
	return options.vmcs02_slots + 1;
}

static u64 slot_table_pages(void)
{
	return ALIGN_UP(slots_wanted() * sizeof(struct vmcs_slot), PAGE_SIZE) / PAGE_SIZE;
}

u64 nested_memory_pages(u64 ram_bytes)
{
	u64 tables = ept02_table_pages(ram_bytes);

	if (options.ept02_tables && options.ept02_tables < EPT_TABLES_MIN)
		l0_refuse("ept02_tables=%u is too few, %u is the least", options.ept02_tables, EPT_TABLES_MIN);
	return tables + tables * sizeof(u64) / PAGE_SIZE + 1 + slot_table_pages() +
	       slots_wanted() * PAGES_PER_SLOT + nested_bitmaps_pages() + SHADOWING_BITMAPS + MSR_LISTS;
}

static void init_slot(struct vmcs_slot *slot)
{
	slot->vmptr12 = VMCS_NO_POINTER;
	slot->vmcs02 = home_physical(pool_allocate(1));
	nested_direct_init_slot(slot);
}

/* L2 must not access in a shadow VMCS what L1's CPU does not have, though the CPU itself does. */
static void keep_fields_from_l2(const struct vmx_capabilities *caps12)
{
	struct field_set fields = host_caps.fields;

	for (unsigned i = 0; i < FIELD_SET_WORDS; i++)
		fields.word[i] &= ~caps12->fields.word[i];
	vmcs_bitmap_trap(field_bitmap01, &fields);
}

static struct ept_features ept_features_of(const struct vmx_capabilities *caps12)
{
	u64 ept = capability(caps12, MSR_IA32_VMX_EPT_VPID_CAP);

	return (struct ept_features){
		.maxphyaddr = caps12->maxphyaddr, .execute_only = ept & EPT_CAP_EXECUTE_ONLY,
		.page2m = ept & EPT_CAP_2M, .page1g = ept & EPT_CAP_1G, .accessed_dirty = ept & EPT_CAP_ACCESSED_DIRTY,
	};
}

static u8 max_level02(void)
{
	u64 ept = capability(&host_caps, MSR_IA32_VMX_EPT_VPID_CAP);

	if (!options.ept02_large_pages)
		return 1;
	return ept & EPT_CAP_1G ? 3 : ept & EPT_CAP_2M ? 2 : 1;
}

void nested_init(struct cpu *cpu, u64 ram_bytes)
{
	struct nested *nested = &cpu->nested;

	capabilities_for_l1(&nested->caps12, &host_caps, &vmx_policy_default);
	nested->writable12 = vmcs12_writable(&nested->caps12);
	nested_direct_init(cpu);
	nested_page_init(cpu);
	nested_enter_init();
	keep_fields_from_l2(&nested->caps12);
	nested->features12 = ept_features_of(&nested->caps12);
	nested->slots = pool_allocate(slot_table_pages());
	nested->slot_count = (unsigned)slots_wanted();
	for (unsigned i = 0; i < nested->slot_count; i++)
		init_slot(&nested->slots[i]);
	nested_bitmaps_init(cpu);
	nested->list02 = pool_allocate(MSR_LISTS);
	page_stack_init(&nested->ept02_stack, &nested->ept02_pages, (unsigned)ept02_table_pages(ram_bytes));
	ASSERT(ept02_cache_init(&nested->ept02, nested->ept02_slots, options.ept02_slots, &nested->ept02_pages,
				max_level02()));
	if (offers_sub_pages())
		ASSERT(ept02_cache_add_sub_pages(&nested->ept02));
}

static struct vmcs_slot **bucket_of(struct nested *nested, u64 vmptr12)
{
	return &nested->bucket[vmptr12 / PAGE_SIZE % SLOT_BUCKETS];
}

/* Active or not. */
static struct vmcs_slot *slot_that_holds(struct nested *nested, u64 vmptr12)
{
	struct vmcs_slot *slot = *bucket_of(nested, vmptr12);

	while (slot && slot->vmptr12 != vmptr12)
		slot = slot->next;
	return slot;
}

struct vmcs_slot *slot_find(struct cpu *cpu, u64 vmptr12)
{
	struct vmcs_slot *slot = slot_that_holds(&cpu->nested, vmptr12);

	return slot && slot->active ? slot : NULL;
}

static void hold(struct nested *nested, struct vmcs_slot *slot, u64 vmptr12)
{
	struct vmcs_slot **bucket = bucket_of(nested, vmptr12);

	slot->vmptr12 = vmptr12;
	slot->region12 = l1_pointer(vmptr12, PAGE_SIZE);
	slot->next = *bucket;
	*bucket = slot;
}

static void forget(struct nested *nested, struct vmcs_slot *slot)
{
	struct vmcs_slot **at = bucket_of(nested, slot->vmptr12);

	if (slot->vmptr12 == VMCS_NO_POINTER)
		return;
	while (*at != slot)
		at = &(*at)->next;
	*at = slot->next;
	slot->vmptr12 = VMCS_NO_POINTER;
}

/* The header stays as L1 wrote it. */
static void store_image(struct cpu *cpu, struct vmcs_slot *slot)
{
	struct vmcs12_image *image = slot->region12;

	nested_direct_catch_up(cpu, slot);
	nested_direct_collect(cpu, slot);
	nested_fetch_stale(cpu, slot); /* makes vmcs01 current again */
	if (!image)
		return;
	watch_written(slot->vmptr12);
	vmcs12_store(&slot->vmcs12, image);
	image->field_page = slot->page_msr;
	image->field_page_check = ~slot->page_msr;
	image->entered = slot->accesses == &cpu->nested.accesses;
}

/* From now on the VMCS is in L1's memory. The slot may still have it, for when L1 makes it current again. */
static void deactivate(struct nested *nested, struct vmcs_slot *slot, bool keep)
{
	slot->page = NULL;
	slot->page_msr = 0;
	slot->active = false;
	nested->active_slots--;
	if (!keep)
		forget(nested, slot);
}

void slot_release(struct cpu *cpu, struct vmcs_slot *slot)
{
	slot->vmcs12.launched = false;
	slot->page_msr = 0; /* its last use is to store what L1 has written */
	store_image(cpu, slot);
	deactivate(&cpu->nested, slot, options.vmcs02_kept);
	if (cpu->nested.current == slot)
		cpu->nested.current = NULL;
	nested_direct_follow(cpu);
}

/* Of those that are active, or of the others; never the one that an entry makes active another beside. */
static struct vmcs_slot *least_recently_used(struct nested *nested, bool active, const struct vmcs_slot *but)
{
	struct vmcs_slot *oldest = NULL;

	for (unsigned i = 0; i < nested->slot_count; i++) {
		struct vmcs_slot *slot = &nested->slots[i];

		if (slot->active == active && slot != but && (!oldest || slot->used < oldest->used))
			oldest = slot;
	}
	return oldest;
}

/* Its launch state goes to L1's memory with the rest. */
static void evict(struct cpu *cpu, const struct vmcs_slot *but)
{
	struct vmcs_slot *slot = least_recently_used(&cpu->nested, true, but);

	cpu->nested.evictions++;
	store_image(cpu, slot);
	deactivate(&cpu->nested, slot, false);
}

/* What the merge takes from L0 as long as the slot holds this VMCS. */
static void init_input(struct vmcs_slot *slot)
{
	slot->input = (struct merge_input){
		.vmcs12 = &slot->vmcs12, .host = &host_caps,
		.link_pointer02 = VMCS_NO_POINTER,
	};
	nested_bitmaps_init_slot(slot);
	memcpy(slot->input.controls01, controls01, sizeof(controls01));
}

/*
 * A VMCS of L0's own making must be clear before it is first used, and while its type changes; SDM "VMCLEAR", "VMCS
 * Types: Ordinary and Shadow".
 */
static void renew_vmcs02(struct vmcs_slot *slot, bool shadow)
{
	struct vmcs_region_header *header = home_virtual(slot->vmcs02);

	ASSERT(vmclear(slot->vmcs02) == VMX_SUCCEED);
	header->revision = (u32)(capability(&host_caps, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
	if (shadow)
		header->revision |= (u32)VMCS_REVISION_SHADOW;
	ASSERT(vmclear(slot->vmcs02) == VMX_SUCCEED);
	slot->launched02 = slot->prepared02 = slot->checked = slot->knows_pat02 = false;
	slot->settled = 0;
	slot->direct_version = 0;
	slot->shadow = shadow;
	slot->ept02 = NULL;
	slot->awaited_access = 0;
	init_input(slot);
}

/* Out of L1's memory, where L1 may have changed it. Of a VMCS that the slot had before, only what differs is new. */
static void load_image(struct nested *nested, struct vmcs_slot *slot, bool again)
{
	struct vmcs12_image absent;
	const struct vmcs12_image *image = slot->region12;
	u64 field_page;

	if (UNLIKELY(!image)) {
		l1_read(slot->vmptr12, &absent, sizeof(absent));
		image = &absent;
	}
	if (again)
		vmcs12_load_again(&slot->vmcs12, image);
	else
		vmcs12_load(&slot->vmcs12, image);
	slot->direct = options.vmcs_shadowing && !slot->shadow;
	slot->accesses = image->entered ? &nested->accesses : &nested->setup_accesses;
	field_page = __atomic_load_n(&image->field_page, __ATOMIC_RELAXED);
	if (field_page == ~__atomic_load_n(&image->field_page_check, __ATOMIC_RELAXED))
		nested_page_restore(slot, field_page);
}

/* In the slot that has been of no use for longest. */
static struct vmcs_slot *take_slot(struct nested *nested, u64 vmptr12, bool shadow)
{
	struct vmcs_slot *slot = least_recently_used(nested, false, NULL);

	forget(nested, slot);
	renew_vmcs02(slot, shadow);
	hold(nested, slot, vmptr12);
	return slot;
}

static COLD struct vmcs_slot *make_active(struct cpu *cpu, u64 vmptr12, bool shadow, bool linked)
{
	struct nested *nested = &cpu->nested;
	struct vmcs_slot *slot = slot_that_holds(nested, vmptr12);
	bool again = slot && slot->shadow == shadow;

	if (nested->active_slots >= options.vmcs02_slots + linked)
		evict(cpu, linked ? nested->current : NULL);
	if (slot && !again)
		forget(nested, slot);
	if (!again)
		slot = take_slot(nested, vmptr12, shadow);
	load_image(nested, slot, again);
	nested_direct_fill(cpu, slot);
	slot->active = true;
	nested->active_slots++;
	return slot;
}

static struct vmcs_slot *activate(struct cpu *cpu, struct vmcs_slot *slot, u64 vmptr12, bool shadow, bool linked)
{
	if (UNLIKELY(slot && slot->shadow != shadow)) { /* L1 changed the type of an active VMCS, which it must not */
		store_image(cpu, slot);
		deactivate(&cpu->nested, slot, false);
		slot = NULL;
	}
	if (LIKELY(slot))
		nested_direct_catch_up(cpu, slot);
	else
		slot = make_active(cpu, vmptr12, shadow, linked);
	slot->used = ++cpu->nested.clock;
	return slot;
}

struct vmcs_slot *slot_activate(struct cpu *cpu, struct vmcs_slot *found, u64 vmptr12, bool shadow)
{
	return activate(cpu, found, vmptr12, shadow, false);
}

struct vmcs_slot *slot_activate_linked(struct cpu *cpu, u64 vmptr12)
{
	return activate(cpu, slot_find(cpu, vmptr12), vmptr12, true, true);
}

void nested_vmxoff(struct cpu *cpu)
{
	struct nested *nested = &cpu->nested;

	for (unsigned i = 0; i < nested->slot_count; i++) {
		struct vmcs_slot *slot = &nested->slots[i];

		if (slot->active) {
			slot->page_msr = 0;
			store_image(cpu, slot);
			deactivate(nested, slot, false);
		}
		forget(nested, slot);
	}
	nested_bitmaps_forget_all(cpu);
	nested->current = NULL;
	nested->vmxon = false;
	nested_direct_follow(cpu);
	vmcs01_update_cr_masks(cpu);
}
