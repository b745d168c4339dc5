#include "ept_map.h"
#include "boot.h"
#include "ept.h"
#include "fail.h"
#include "fields.h"
#include "insn.h"
#include "vmx_root.h"

#define LEAF_FLAGS (EPT_RWX | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT)

static void need(u64 capabilities, u64 bits, const char *what)
{
	if ((capabilities & bits) != bits)
		fail("the CPU's EPT lacks %s: run with other settings (ept=off)", what);
}

void ept_check(void)
{
	u64 capabilities;

	vmx_controls(MSR_IA32_VMX_PROCBASED_CTLS, PROC_activate_secondary_controls,
		     "primary processor-based");
	vmx_controls(MSR_IA32_VMX_PROCBASED_CTLS2, PROC2_enable_ept, "secondary processor-based");
	capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	need(capabilities, EPT_CAP_WALK_4 | EPT_CAP_WB, "a 4-level walk of write-back tables");
	need(capabilities, EPT_CAP_INVEPT | EPT_CAP_INVEPT_GLOBAL, "INVEPT");
	/* SDM "Guidelines for Use of the INVEPT Instruction": translations of an earlier user of the CPU. */
	invept(INVEPT_global, 0);
}

static unsigned entry_index(u64 address, unsigned level)
{
	return address >> EPT_LEVEL_SHIFT(level) & (EPT_ENTRIES - 1);
}

/* The entry for address in the table of that level (1 or 2); tables above it are made where missing. */
static u64 *entry_for(u64 *table, u64 address, unsigned level)
{
	for (unsigned above = EPT_LEVELS; above > level; above--) {
		u64 *entry = &table[entry_index(address, above)];

		if (!*entry)
			*entry = (uintptr_t)memory_take_zeroed(PAGE_SIZE) | EPT_RWX;
		table = (u64 *)(*entry & EPT_ADDRESS);
	}
	return &table[entry_index(address, level)];
}

void ept_map_to(u64 *root, u64 address, u64 physical, unsigned level)
{
	*entry_for(root, address, level) = physical | LEAF_FLAGS | (level > 1 ? EPT_LARGE : 0);
}

static void map(struct guest *guest, u64 address, unsigned level)
{
	u64 page = ALIGN_DOWN(address, EPT_LEVEL_SIZE(level));

	ept_map_to(guest->ept_root, page, (uintptr_t)guest->memory + page, level);
}

bool ept_map_page(struct guest *guest, u64 address)
{
	if (address >= guest->memory_size)
		return false;
	map(guest, address, 1);
	return true;
}

void ept_init(struct guest *guest)
{
	unsigned level = guest->map == MAP_large ? 2 : 1;
	u64 end = guest->map == MAP_demand ? guest->image_end : guest->memory_size;

	if (level > 1)
		need(rdmsr(MSR_IA32_VMX_EPT_VPID_CAP), EPT_CAP_2M, "2 MiB pages, which map=large asks for");
	guest->ept_root = memory_take_zeroed(PAGE_SIZE);
	for (u64 address = 0; address < end; address += EPT_LEVEL_SIZE(level))
		map(guest, address, level);
}

u64 ept_pointer(const struct guest *guest)
{
	return (uintptr_t)guest->ept_root | (EPT_LEVELS - 1) << EPTP_WALK_LENGTH_SHIFT | MEMORY_WB;
}
