/* Watches on L1's pages: write protection in EPT01 that is let go at the first write. */
#include "cpu.h"
#include "kick.h"
#include "l1_memory.h"

/* All that are set: few, while every page that L2 is given is held against them. */
static struct watch *first;

/* From the first of their pages to the last: most of what L2 is given lies beside. */
static u64 lowest = ~0ull, highest;

static void find_bounds(void)
{
	lowest = ~0ull;
	highest = 0;
	for (const struct watch *watch = first; watch; watch = watch->next) {
		if (watch->address10 < lowest)
			lowest = watch->address10;
		if (watch->address10 > highest)
			highest = watch->address10;
	}
}

static void set(struct watch *watch, u64 address10)
{
	if (!watch->set) {
		watch->next = first;
		first = watch;
	}
	watch->set = true;
	watch->address10 = address10;
	watch->armed = watch->mapped02 = false;
	find_bounds();
}

static void unset(struct watch *watch)
{
	struct watch **at = &first;

	if (!watch->set)
		return;
	while (*at != watch)
		at = &(*at)->next;
	*at = watch->next;
	watch->set = false;
	find_bounds();
}

/* Has some watch been set on the page since before any EPT02 that may let L2 write it was composed? */
static bool is_followed(u64 page)
{
	for (const struct watch *watch = first; watch; watch = watch->next)
		if (watch->address10 == page && !watch->mapped02)
			return true;
	return false;
}

void watch_arm(struct watch *watch, u64 address10)
{
	bool known = is_followed(address10);

	if (watch->armed && watch->address10 != address10)
		watch_written(watch->address10);
	set(watch, address10);
	kick_all_out();
	ept01_protect(address10, EPT_READ | EPT_EXECUTE);
	/* What was composed before the page was read-only may let L2 write it. */
	for (unsigned c = 0; c < cpu_count && !known; c++)
		ept02_drop_all(&cpus[c]->nested.ept02);
	watch->armed = true;
	nested_generation++;
}

static bool is_armed(u64 page)
{
	for (const struct watch *watch = first; watch; watch = watch->next)
		if (watch->armed && watch->address10 == page)
			return true;
	return false;
}

void watch_written(u64 address10)
{
	u64 page = ALIGN_DOWN(address10, PAGE_SIZE);

	if (!is_armed(page))
		return;
	for (struct watch *watch = first; watch; watch = watch->next)
		if (watch->address10 == page)
			watch->armed = false;
	nested_generation++;
	ept01_protect(page, EPT_RWX);
}

void watch_clear(struct watch *watch)
{
	if (watch->armed)
		watch_written(watch->address10);
	watch->armed = false;
	unset(watch);
	nested_generation++;
}

void watch_forget_all(void)
{
	for (struct watch *watch = first; watch; watch = watch->next)
		watch->armed = false;
	nested_generation++;
}

void watch_mapped02(u64 start10, u64 size)
{
	if (start10 > highest || start10 + size <= lowest)
		return;
	for (struct watch *watch = first; watch; watch = watch->next)
		if (watch->address10 - start10 < size)
			watch->mapped02 = true;
}
