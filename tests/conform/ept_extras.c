/*
 * What EPT has beside translation: accessed and dirty flags, page-modification logging, VMFUNC, #VE. The qualification
 * of violations on L2's own paging structures is never printed: with accessed and dirty flags on, the emulated CPU
 * reports another one than real CPUs do.
 */
#include "lib/conform.h"
#include "lib/ept12.h"
#include "l1/minivisor/boot.h"

static const struct controls plain;
/* Three areas: the first is mapped with 4 KiB pages, the others with 2 MiB pages. */
static u8 (*area)[MIB(2)];

#define SMALL(page) ((uintptr_t)area[0] + (page) * PAGE_SIZE)
#define LARGE ((uintptr_t)area[1])
#define OTHER ((uintptr_t)area[2])
#define RET 0xc3

static u64 *new_root(void)
{
	u64 *root = ept12_new();

	ept12_split(root, SMALL(0));
	return root;
}

static void call(const char *what, l2_code *code, u64 argument)
{
	struct exit exit = guest_call(code, argument);

	tell(what, &exit);
}

static u64 l2_fetch(u64 address)
{
	((void (*)(void))address)();
	return 0;
}

static void tell_flags(u64 *root, const char *what)
{
	print("%s\n", what);
	for (unsigned page = 0; page < 4; page++)
		ept12_tell("  4 KiB page", root, SMALL(page));
	ept12_tell("  2 MiB page", root, LARGE);
	ept12_tell("  2 MiB page untouched", root, OTHER);
}

static void touch_all(u64 *root)
{
	tell_flags(root, "clean");
	call("read 0", l2_read, SMALL(0));
	tell_flags(root, "after");
	call("write 1", l2_write, SMALL(1));
	tell_flags(root, "after");
	call("fetch 2", l2_fetch, SMALL(2));
	tell_flags(root, "after");
	call("read large", l2_read, LARGE);
	tell_flags(root, "after");
	call("write large", l2_write, LARGE + MIB(1));
	tell_flags(root, "after");
	call("write 0, which was read", l2_write, SMALL(0));
	tell_flags(root, "after");
}

/* L2's page walk counts as writes to the paging structures: SDM "Accessed and Dirty Flags for EPT". */
static void walk_of_l2(u64 *root)
{
	u64 cr3 = read_cr3();

	ept12_split(root, cr3);
	ept12_clean(root);
	call("read through L2's page tables", l2_read, SMALL(3));
	ept12_tell("L2's PML4", root, cr3);
}

static void accessed_dirty(void)
{
	u64 *root;

	if (!(ept_vpid_capabilities() & EPT_CAP_ACCESSED_DIRTY)) {
		print("not offered: EPT accessed and dirty flags\n");
		return;
	}
	area[0][2 * PAGE_SIZE] = RET;
	root = new_root();
	guest_new(&plain, ept12_pointer(root, true));
	touch_all(root);
	ept12_clean(root);
	print("cleared by L1\n");
	touch_all(root);
	walk_of_l2(root);
	root = new_root();
	print("without the flags in EPTP\n");
	guest_new(&plain, ept12_pointer(root, false));
	touch_all(root);
	print("the same tables with them\n");
	guest_new(&plain, ept12_pointer(root, true));
	touch_all(root);
}

bool conform(void)
{
	area = memory_take(3 * sizeof(*area), sizeof(*area));
	accessed_dirty();
	return true;
}
