/* Watches on L1's pages: write protection in EPT01 that is let go at the first write. */
#include "cpu.h"
#include "kick.h"
#include "l1_memory.h"

typedef void watch_visitor(struct cpu *cpu, struct watch *watch, u64 argument);

static void for_each_watch(watch_visitor *visit, u64 argument)
{
	for (unsigned c = 0; c < cpu_count; c++)
		for (unsigned s = 0; s < cpus[c]->nested.slot_count; s++) {
			struct vmcs_slot *slot = &cpus[c]->nested.slots[s];

			if (slot->vmptr12 == VMCS_NO_POINTER)
				continue; /* it watches nothing */
			for (unsigned p = 0; p < MERGED_PAGES; p++)
				if (slot->watch[p].set)
					visit(cpus[c], &slot->watch[p], argument);
		}
}

static void drop_ept02(struct cpu *cpu)
{
	ept02_drop_all(&cpu->nested.ept02);
}

void watch_arm(struct watch *watch, u64 address10)
{
	bool known = watch->set && watch->address10 == address10 && !watch->mapped02;

	if (watch->armed && watch->address10 != address10)
		watch_written(watch->address10);

	*watch = (struct watch){ .address10 = address10, .set = true };
	kick_all_out();
	ept01_protect(address10, EPT_READ | EPT_EXECUTE);
	/* What was composed before the page was read-only may let L2 write it. */
	for (unsigned c = 0; c < cpu_count && !known; c++)
		drop_ept02(cpus[c]);
	watch->armed = true;
	nested_generation++;
}

static void disarm(struct cpu *cpu, struct watch *watch, u64 page)
{
	(void)cpu;
	if (watch->address10 != page)
		return;
	watch->armed = false;
	nested_generation++;
}

static void find_armed(struct cpu *cpu, struct watch *watch, u64 found)
{
	(void)cpu;
	if (watch->armed && watch->address10 == *(u64 *)found)
		*(u64 *)found = ~0ull;
}

static bool is_armed(u64 page)
{
	u64 found = page;

	for_each_watch(find_armed, (u64)&found);
	return found != page;
}

void watch_written(u64 address10)
{
	u64 page = ALIGN_DOWN(address10, PAGE_SIZE);

	if (!is_armed(page))
		return;
	for_each_watch(disarm, page);
	ept01_protect(page, EPT_RWX);
}

void watch_clear(struct watch *watch)
{
	if (watch->armed)
		watch_written(watch->address10);
	watch->set = watch->armed = false;
	nested_generation++;
}

static void forget(struct cpu *cpu, struct watch *watch, u64 argument)
{
	(void)cpu;
	(void)argument;
	watch->armed = false;
	nested_generation++;
}

void watch_forget_all(void)
{
	for_each_watch(forget, 0);
}

static void note_mapped(struct cpu *cpu, struct watch *watch, u64 leaf)
{
	(void)cpu;
	if (ALIGN_DOWN(watch->address10, EPT_LEVEL_SIZE(((struct ept_leaf *)leaf)->level)) ==
	    ((struct ept_leaf *)leaf)->address)
		watch->mapped02 = true;
}

/* leaf10: the page of L1's that was mapped, by L1-physical address. */
void watch_mapped02(const struct ept_leaf *leaf10)
{
	for_each_watch(note_mapped, (u64)leaf10);
}
