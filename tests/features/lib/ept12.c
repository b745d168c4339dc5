#include "ept12.h"
#include "l1/minivisor/boot.h"
#include "l1/minivisor/fail.h"
#include "print.h"
#include "vmx_insn.h"
#include "x86.h"

#define MAPPED_PAGES 32 /* of 2 MiB */

static u64 *table_of(u64 entry)
{
	return (u64 *)(entry & EPT_ADDRESS);
}

static u64 leaf(u64 address)
{
	return address | EPT_RWX | (u64)MEMORY_WB << EPT_MEMORY_TYPE_SHIFT;
}

u64 *ept12_new(void)
{
	u64 *root = memory_take_zeroed(PAGE_SIZE), *pdpt = memory_take_zeroed(PAGE_SIZE);
	u64 *directory = memory_take_zeroed(PAGE_SIZE);

	root[0] = (uintptr_t)pdpt | EPT_RWX;
	pdpt[0] = (uintptr_t)directory | EPT_RWX;
	for (unsigned i = 0; i < MAPPED_PAGES; i++)
		directory[i] = leaf(i * MIB(2)) | EPT_LARGE;
	return root;
}

u64 ept12_pointer(const u64 *root, bool accessed_dirty)
{
	return (uintptr_t)root | MEMORY_WB | (EPT_LEVELS - 1) << EPTP_WALK_LENGTH_SHIFT |
	       (accessed_dirty ? EPTP_ACCESSED_DIRTY : 0);
}

u64 *ept12_entry(u64 *root, u64 address, unsigned level)
{
	u64 *table = root;
	unsigned at = EPT_LEVELS;

	for (; at > level; at--)
		table = table_of(table[address >> EPT_LEVEL_SHIFT(at) & (EPT_ENTRIES - 1)]);
	return &table[address >> EPT_LEVEL_SHIFT(at) & (EPT_ENTRIES - 1)];
}

void ept12_split(u64 *root, u64 address)
{
	u64 *entry = ept12_entry(root, address, 2), *table = memory_take_zeroed(PAGE_SIZE);
	u64 base = ALIGN_DOWN(address, MIB(2));

	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		table[i] = leaf(base + i * PAGE_SIZE);
	*entry = (uintptr_t)table | EPT_RWX;
}

static unsigned leaf_level(u64 *root, u64 address)
{
	return *ept12_entry(root, address, 2) & EPT_LARGE ? 2 : 1;
}

void ept12_tell(const char *what, u64 *root, u64 address)
{
	unsigned last = leaf_level(root, address);

	print("%s:", what);
	for (unsigned level = EPT_LEVELS; level >= last; level--) {
		u64 entry = *ept12_entry(root, address, level);

		print(" %s%s", entry & EPT_ACCESSED ? "A" : "-", entry & EPT_DIRTY ? "D" : "-");
	}
	print("\n");
}

static void clean_table(u64 *table, unsigned level)
{
	for (unsigned i = 0; i < EPT_ENTRIES; i++) {
		if (!(table[i] & EPT_RWX))
			continue;
		if (level > 1 && !(table[i] & EPT_LARGE))
			clean_table(table_of(table[i]), level - 1);
		table[i] &= ~(EPT_ACCESSED | EPT_DIRTY);
	}
}

void ept12_clean(u64 *root)
{
	clean_table(root, EPT_LEVELS);
	if (invept(INVEPT_global, 0) != VMX_SUCCEED)
		fail("INVEPT failed");
}
