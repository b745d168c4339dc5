#include "self_check.h"
#include "ept.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "memory.h"
#include "options.h"
#include "print.h"

/* FNV-1a, a word at a time: any single change changes the sum. */
#define SUM_START 0xcbf29ce484222325ull
#define SUM_PRIME 0x100000001b3ull
#define GUARD 0x5ca1ab1e0ddba11ull
#define GUARD_PAGES 8u
#define TABLE_ENTRIES 512

/* l0.ld */
extern char image_start[], rodata_end[];

enum part { PART_image, PART_page_tables, PART_bitmaps01, PART_descriptors, PART_settings, PART_guard, PARTS };
static const char *const part_name[PARTS] = {
	[PART_image] = "L0's text and read-only data", [PART_page_tables] = "L0's page tables",
	[PART_bitmaps01] = "L0's bitmaps for L1", [PART_descriptors] = "L0's descriptor tables",
	[PART_settings] = "L0's settings", [PART_guard] = "the pages behind L0's last",
};

static u64 sum_at_start[PARTS];
static u64 checks;

/* The pages behind the last that L0 has taken. */
static u64 guard_size(void)
{
	u64 pages = pool_free_pages();

	return (pages < GUARD_PAGES ? pages : GUARD_PAGES) * PAGE_SIZE;
}

static u64 sum_words(u64 sum, const void *start, u64 size)
{
	for (const u64 *word = start, *end = word + size / sizeof(u64); word < end; word++)
		sum = (sum ^ *word) * SUM_PRIME;
	return sum;
}

static u64 sum_bytes(u64 sum, const void *start, u64 size)
{
	for (const u8 *byte = start, *end = byte + size; byte < end; byte++)
		sum = (sum ^ *byte) * SUM_PRIME;
	return sum;
}

/* Accessed and dirty flags are the CPU's to set. */
static u64 sum_table(u64 sum, u64 table, unsigned level)
{
	const u64 *entries = home_virtual(table);

	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		u64 entry = entries[i] & ~(PTE_ACCESSED | PTE_DIRTY);

		sum = (sum ^ entry) * SUM_PRIME;
		if (level > 1 && (entry & (PTE_PRESENT | PTE_LARGE)) == PTE_PRESENT)
			sum = sum_table(sum, entry & PTE_ADDRESS, level - 1);
	}
	return sum;
}

static u64 sum_descriptors(void)
{
	u64 sum = sum_words(SUM_START, (const void *)cpu_idt_base(), CPU_IDT_SIZE);

	for (unsigned i = 0; i < cpu_count; i++) {
		sum = sum_words(sum, (const void *)cpu_gdt_base(i), CPU_GDT_SIZE);
		sum = sum_bytes(sum, (const void *)cpu_tss_base(i), CPU_TSS_SIZE);
	}
	return sum;
}

static u64 sum_settings(void)
{
	const struct l1_region *regions;
	unsigned count = l1_regions(&regions);
	u64 sum = sum_bytes(SUM_START, &options, sizeof(options));

	sum = sum_bytes(sum, &host_caps, sizeof(host_caps));
	sum = sum_bytes(sum, controls01, sizeof(controls01));
	sum = sum_bytes(sum, regions, count * sizeof(*regions));
	return sum_bytes(sum, &home, sizeof(home));
}

static u64 sum_of(enum part part)
{
	u64 sum;

	switch (part) {
	case PART_image:
		return sum_words(SUM_START, image_start, (u64)(rodata_end - image_start));
	case PART_page_tables:
		return sum_table(SUM_START, read_cr3() & PTE_ADDRESS, EPT_LEVELS);
	case PART_bitmaps01:
		sum = sum_words(SUM_START, msr_bitmap01, PAGE_SIZE);
		return sum_words(sum_words(sum, io_bitmap_a01, PAGE_SIZE), io_bitmap_b01, PAGE_SIZE);
	case PART_descriptors:
		return sum_descriptors();
	case PART_settings:
		return sum_settings();
	default:
		return sum_words(SUM_START, pool_free_start(), guard_size());
	}
}

static bool in_home(u64 physical, u64 size)
{
	return physical < home.end && physical + size > home.start;
}

/* No leaf of a table that the CPU walks for a guest may lead into the home, and every table lies in it. */
static void check_ept(u64 table, unsigned level)
{
	const u64 *entries = home_virtual(table);

	if (!in_home(table, PAGE_SIZE))
		l0_panic("self-check: an EPT table at %lx is not L0's", table);
	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		u64 address = entries[i] & EPT_ADDRESS;

		if (!(entries[i] & EPT_RWX))
			continue;
		if (level > 1 && !(entries[i] & EPT_LARGE))
			check_ept(address, level - 1);
		else if (in_home(address, EPT_LEVEL_SIZE(level)))
			l0_panic("self-check: an EPT leaf leads into L0's home, at %lx", address);
	}
}

static void check_slot(const struct vmcs_slot *slot)
{
	if (in_home(slot->input.virtual_apic02, PAGE_SIZE) || in_home(slot->input.apic_access02, PAGE_SIZE))
		l0_panic("self-check: a page of the APIC's that L1 gave lies in L0's home");
}

static void check_nested(const struct nested *nested)
{
	for (unsigned i = 0; i < nested->ept02.slot_count; i++)
		check_ept(nested->ept02.slots[i].root, EPT_LEVELS);
	for (unsigned i = 0; i < nested->slot_count; i++)
		check_slot(&nested->slots[i]);
}

void self_check_init(void)
{
	u64 *guard = pool_free_start();

	if (!options.self_check)
		return;
	for (u64 i = 0; i < guard_size() / sizeof(*guard); i++)
		guard[i] = GUARD + i;
	for (unsigned part = 0; part < PARTS; part++)
		sum_at_start[part] = sum_of((enum part)part);
}

void self_check(void)
{
	for (unsigned part = 0; part < PARTS; part++)
		if (sum_of((enum part)part) != sum_at_start[part])
			l0_panic("self-check: %s: changed", part_name[part]);
	check_ept(eptp01 & EPTP_ADDRESS, EPT_LEVELS);
	for (unsigned i = 0; i < cpu_count; i++)
		check_nested(&cpus[i]->nested);
	checks++;
}

void self_check_print(void)
{
	if (!options.self_check)
		return;
	print("run\tself_checks\t%lu\nrun\tself_checksum\t%lx\n", checks,
	      sum_bytes(SUM_START, sum_at_start, sizeof(sum_at_start)));
}
