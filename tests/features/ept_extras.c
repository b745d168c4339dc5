/*
 * What EPT has beside translation: accessed and dirty flags, page-modification logging, VMFUNC, #VE. Where the emulated
 * CPU is not like real ones, the difference is not printed: the qualification of violations on L2's own paging
 * structures with accessed and dirty flags on; bits 11:0 of logged addresses; that each walk with a full log is an
 * exit, even if no flag is to be set; that VM entry does not load eptp_index.
 */
#include "lib/feature.h"
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

static void resume(const char *what)
{
	struct exit exit = guest_resume();

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


/* SDM "Page-Modification Logging" */
static const struct controls logging = { .proc2 = PROC2_enable_pml };
static u64 *pml;

static void tell_log(const char *what)
{
	u64 index = vmread(ENC_pml_index);

	print("%s: index %lx\n", what, index);
	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		if (pml[i])
			print("  %u: page %lx\n", i, pml[i] >> PAGE_SHIFT);
}

static void start_log(u64 index)
{
	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		pml[i] = 0;
	vmwrite(ENC_pml_index, index);
}

static void write_pages(unsigned count)
{
	for (unsigned page = 0; page < count; page++)
		call("write", l2_write, SMALL(page) + 8 * page);
}

/* Before an accessed or a dirty flag is set, the index is looked at. */
static void fill_log(u64 *root)
{
	ept12_clean(root);
	call("make what every call touches dirty", l2_write, LARGE);
	start_log(1);
	guest_call(l2_write, SMALL(0));
	guest_call(l2_write, SMALL(1));
	tell_log("full");
	call("one more", l2_write, SMALL(2));
	ept12_tell("  its page", root, SMALL(2));
	resume("once more");
	start_log(PML_INDEX_MAX);
	resume("with an empty log");
	tell_log("then");
	vmwrite(ENC_pml_index, PML_INDEX_MAX + 1);
	call("a read with a full log", l2_read, SMALL(3));
	ept12_tell("  its page", root, SMALL(3));
	start_log(0);
	resume("with room for one");
	ept12_tell("  its page", root, SMALL(3));
	tell_log("then");
}

static void page_modification_log(void)
{
	u64 *root = new_root();

	if (!offers(&logging, "page-modification logging"))
		return;
	pml = memory_take_zeroed(PAGE_SIZE);
	guest_new(&logging, ept12_pointer(root, true));
	vmwrite(ENC_pml_address, (uintptr_t)pml);
	start_log(PML_INDEX_MAX);
	write_pages(4);
	tell_log("written");
	write_pages(4);
	tell_log("written again");
	call("read large", l2_read, LARGE);
	call("write large", l2_write, LARGE + MIB(1) + 0x128);
	call("write large elsewhere", l2_write, LARGE);
	tell_log("then");
	ept12_clean(root);
	start_log(100);
	write_pages(4);
	tell_log("after L1 cleared the flags");
	fill_log(root);
	vmwrite(ENC_pml_address, (uintptr_t)pml + 8);
	call("an address that is not aligned", l2_read, SMALL(0));
	vmwrite(ENC_pml_address, (uintptr_t)pml);
	vmwrite(ENC_ept_pointer, ept12_pointer(root, false));
	ept12_clean(root);
	start_log(PML_INDEX_MAX);
	write_pages(4);
	tell_log("without accessed and dirty flags");
}

/* SDM "EPTP Switching" */
static const struct controls functions = { .proc2 = PROC2_enable_vm_functions };
static u64 *eptp_list;

/* VMFUNC has 3 bytes, too. */
static u64 l2_vmfunc(u64 function_and_index)
{
	u64 value;

	__asm__ volatile("vmfunc" : : "a"((u32)function_and_index), "c"((u32)(function_and_index >> 32)) : "memory");
	__asm__ volatile("movq (%%rdi), %%rax" : "=a"(value) : "D"(SMALL(0)) : "memory");
	return value;
}

static void tell_eptp(void)
{
	u64 eptp = vmread(ENC_ept_pointer);

	for (unsigned i = 0; i < EPTP_LIST_ENTRIES; i++)
		if (eptp_list[i] == eptp) {
			print("  EPTP is entry %u\n", i);
			return;
		}
	print("  EPTP is not of the list\n");
}

static void vmfunc(const char *what, u32 function, u64 index)
{
	struct exit exit = guest_call(l2_vmfunc, function | index << 32);

	tell(what, &exit);
	if (exit.done)
		print("  L2 sees %lx\n", exit.rax);
	else if (exit.reason == REASON_vmfunc)
		print("  length %lu\n", exit.length);
	tell_eptp();
	if (traps.count)
		tell_traps("  which is");
}

static void fill_list(u64 *roots[2])
{
	eptp_list = memory_take_zeroed(PAGE_SIZE);
	for (unsigned i = 0; i < 2; i++)
		roots[i] = new_root();
	*ept12_entry(roots[1], SMALL(0), 1) = *ept12_entry(roots[1], SMALL(5), 1);
	*(u64 *)SMALL(0) = 0x1111;
	*(u64 *)SMALL(5) = 0x2222;
	eptp_list[0] = ept12_pointer(roots[0], false);
	eptp_list[7] = ept12_pointer(roots[1], false);
	eptp_list[8] = ept12_pointer(roots[1], false) | BIT(8);
	eptp_list[9] = ept12_pointer(roots[1], false) & ~EPTP_WALK_LENGTH;
	eptp_list[511] = ept12_pointer(roots[1], true);
}

static void eptp_switching(void)
{
	u64 *roots[2];

	if (!offers(&functions, "VM functions"))
		return;
	print("VM functions: %lx\n", rdmsr(MSR_IA32_VMX_VMFUNC));
	fill_list(roots);
	guest_new(&functions, eptp_list[0]);
	vmwrite(ENC_vm_function_controls, VMFUNC_eptp_switching);
	vmwrite(ENC_eptp_list_address, (uintptr_t)eptp_list);
	traps.skip = L2_ACCESS_LENGTH;
	vmfunc("to entry 7", 0, 7);
	vmfunc("to entry 7 again", 0, 7);
	vmfunc("to entry 0", 0, 0);
	vmfunc("to entry 511", 0, 511);
	ept12_tell("  its page", roots[1], SMALL(0));
	vmfunc("to entry 512", 0, 512);
	vmfunc("to entry 0x80000007", 0, 0x80000007);
	vmfunc("to an entry of 0", 0, 1);
	vmfunc("to one with a reserved bit", 0, 8);
	vmfunc("to one with a walk of length 1", 0, 9);
	vmfunc("function 1", 1, 0);
	vmfunc("function 63", 63, 0);
	vmfunc("function 64", 64, 0);
	vmwrite(ENC_vm_function_controls, 0);
	vmfunc("not enabled", 0, 7);
	vmwrite(ENC_vm_function_controls, BIT(1));
	vmfunc("a function that does not exist enabled", 0, 7);
	vmwrite(ENC_vm_function_controls, VMFUNC_eptp_switching);
	vmwrite(ENC_eptp_list_address, (uintptr_t)eptp_list + 8);
	vmfunc("a list that is not aligned", 0, 7);
	guest_new(&plain, eptp_list[0]);
	vmfunc("without VM functions", 0, 7);
}

/* SDM "Virtualization Exceptions" */
static const struct controls exceptions = { .proc2 = PROC2_ept_violation_ve };
static volatile struct virtualization_exception_information *information;

static void violate(const char *what, l2_code *code, u64 address)
{
	call(what, code, address);
	if (traps.count)
		tell_traps("  which is");
	print("  information: reason %x, busy %x, qualification %lx, linear %lx, physical %lx\n",
	      information->exit_reason, information->busy, information->exit_qualification,
	      information->guest_linear_address, information->guest_physical_address);
}

static void violate_anew(const char *what, l2_code *code, u64 address)
{
	information->exit_reason = information->busy = information->eptp_index = 0;
	information->exit_qualification = information->guest_linear_address = 0;
	information->guest_physical_address = 0;
	violate(what, code, address);
}

/* A breakpoint whose frame goes where the argument points. */
static u64 l2_breakpoint(u64 stack)
{
	__asm__ volatile("movq %%rsp, %%rbx; movq %%rdi, %%rsp; int3; movq %%rbx, %%rsp"
			 : : "D"(stack) : "rbx", "memory");
	return 0;
}

/* A violation with L2's stack where the argument points, so that there is no place for the frame of its #VE. */
static u64 l2_read_on_stack(u64 stack)
{
	__asm__ volatile("movq %%rsp, %%rbx; movq %%rdi, %%rsp; movq (%%rdi), %%rax; movq %%rbx, %%rsp"
			 : : "D"(stack) : "rax", "rbx", "memory");
	return 0;
}

static void deny(u64 *root)
{
	*ept12_entry(root, SMALL(0), 1) = 0;
	*ept12_entry(root, SMALL(1), 1) &= ~EPT_WRITE;
	*ept12_entry(root, SMALL(2), 1) &= ~EPT_EXECUTE;
	*ept12_entry(root, SMALL(3), 1) = EPT_SUPPRESS_VE;
	*ept12_entry(root, SMALL(4), 1) |= EPT_SUPPRESS_VE;
	*ept12_entry(root, SMALL(5), 1) = EPT_WRITE;
	*ept12_entry(root, LARGE, 2) &= ~EPT_WRITE;
	*ept12_entry(root, OTHER, 2) = EPT_SUPPRESS_VE;
}

static void violations(void)
{
	violate_anew("read", l2_read, SMALL(0) + 0x18);
	violate("read while busy", l2_read, SMALL(0));
	violate_anew("write", l2_write, SMALL(0));
	violate_anew("write to a page without write", l2_write, SMALL(1));
	violate_anew("write to a large page without write", l2_write, LARGE + MIB(1));
	violate_anew("read it", l2_read, LARGE + MIB(1));
	violate_anew("read with #VE suppressed", l2_read, SMALL(3));
	violate_anew("read a page that is there, with #VE suppressed", l2_read, SMALL(4));
	violate_anew("read a large page with #VE suppressed", l2_read, OTHER);
	violate_anew("read a misconfigured page", l2_read, SMALL(5));
	violate_anew("during the delivery of an event", l2_breakpoint, SMALL(0) + 0x800);
	print("  IDT-vectoring information %lx\n", vmread(ENC_idt_vectoring_information));
	violate_anew("during the delivery of its own #VE", l2_read_on_stack, SMALL(0) + 0x800);
	print("  IDT-vectoring information %lx\n", vmread(ENC_idt_vectoring_information));
	traps.skip = 1;
	violate_anew("fetch", l2_fetch, SMALL(2));
	traps.skip = L2_ACCESS_LENGTH;
}

static void virtualization_exceptions(void)
{
	u64 *root = new_root();

	if (!offers(&exceptions, "#VE"))
		return;
	information = memory_take_zeroed(PAGE_SIZE);
	*(u8 *)SMALL(2) = RET;
	*((u8 *)SMALL(2) + 1) = RET;
	deny(root);
	guest_new(&exceptions, ept12_pointer(root, false));
	vmwrite(ENC_virtualization_exception_information_address, (uintptr_t)information);
	vmwrite(ENC_eptp_index, 0x123);
	traps.skip = L2_ACCESS_LENGTH;
	violations();
	vmwrite(ENC_exception_bitmap, BIT(VECTOR_VE));
	violate_anew("with #VE in the exception bitmap", l2_read, SMALL(0));
	vmwrite(ENC_exception_bitmap, 0);
	vmwrite(ENC_virtualization_exception_information_address, (uintptr_t)information + 16);
	violate_anew("an information area that is not aligned", l2_read, SMALL(0));
	guest_new(&plain, ept12_pointer(root, false));
	violate_anew("without #VE", l2_read, SMALL(0));
}

static void switching_with_exceptions(void)
{
	static const struct controls both = { .proc2 = PROC2_ept_violation_ve | PROC2_enable_vm_functions };
	u64 *roots[2];

	if (!offers(&both, "#VE with EPTP switching"))
		return;
	fill_list(roots);
	*ept12_entry(roots[1], SMALL(1), 1) = 0;
	guest_new(&both, eptp_list[0]);
	vmwrite(ENC_vm_function_controls, VMFUNC_eptp_switching);
	vmwrite(ENC_eptp_list_address, (uintptr_t)eptp_list);
	vmwrite(ENC_virtualization_exception_information_address, (uintptr_t)information);
	vmwrite(ENC_eptp_index, 0x123);
	violate_anew("before a switch", l2_read, SMALL(1));
	vmfunc("to entry 7", 0, 7);
	print("  eptp_index %lx\n", vmread(ENC_eptp_index));
	violate_anew("after it", l2_read, SMALL(1));
	print("  in the information %x\n", information->eptp_index);
	vmfunc("to one with a reserved bit", 0, 8);
	print("  eptp_index %lx\n", vmread(ENC_eptp_index));
}

static void logging_with_exceptions(void)
{
	static const struct controls both = { .proc2 = PROC2_ept_violation_ve | PROC2_enable_pml };
	u64 *root = new_root();

	if (!offers(&both, "#VE with page-modification logging"))
		return;
	*ept12_entry(root, SMALL(1), 1) &= ~EPT_WRITE;
	*ept12_entry(root, SMALL(2), 1) = 0;
	guest_new(&both, ept12_pointer(root, true));
	vmwrite(ENC_virtualization_exception_information_address, (uintptr_t)information);
	vmwrite(ENC_pml_address, (uintptr_t)pml);
	start_log(PML_INDEX_MAX);
	violate_anew("a write to a page without write, logging", l2_write, SMALL(1));
	ept12_tell("  its page", root, SMALL(1));
	violate_anew("a write to a page that is not there, logging", l2_write, SMALL(2));
	violate_anew("a write to a page that is there, logging", l2_write, SMALL(3));
	tell_log("the log");
}

/* L1 clears a flag and invalidates the one context. */
static void invalidation_of_one(void)
{
	u64 *root = new_root();

	if (!(ept_vpid_capabilities() & EPT_CAP_ACCESSED_DIRTY))
		return;
	guest_new(&plain, ept12_pointer(root, true));
	call("write", l2_write, SMALL(1));
	call("write large", l2_write, LARGE);
	*ept12_entry(root, SMALL(1), 1) &= ~EPT_DIRTY;
	*ept12_entry(root, LARGE, 2) &= ~(EPT_ACCESSED | EPT_DIRTY);
	print("INVEPT: %d\n", invept(INVEPT_single_context, ept12_pointer(root, true)));
	call("read", l2_read, SMALL(1));
	call("read large", l2_read, LARGE);
	tell_flags(root, "after reads");
	call("write", l2_write, SMALL(1));
	call("write large", l2_write, LARGE);
	tell_flags(root, "after writes");
}

static void tell_all_but_qualification(const char *what, struct exit exit)
{
	if (exit.done)
		print("%s: done\n", what);
	else
		print("%s: exit %x, guest-physical %lx\n", what, exit.reason, exit.guest_physical_address);
}

/* With the flags on, a walk writes to L2's paging structures, so it needs to be allowed to. */
static void walk_without_write(void)
{
	u64 *root = new_root(), cr3 = read_cr3();

	if (!(ept_vpid_capabilities() & EPT_CAP_ACCESSED_DIRTY))
		return;
	ept12_split(root, cr3);
	*ept12_entry(root, cr3, 1) &= ~EPT_WRITE;
	guest_new(&plain, ept12_pointer(root, false));
	tell_all_but_qualification("a read-only PML4 of L2's, without the flags", guest_call(l2_read, SMALL(0)));
	guest_new(&plain, ept12_pointer(root, true));
	tell_all_but_qualification("with the flags", guest_call(l2_read, SMALL(0)));
	ept12_tell("  its page", root, cr3);
	*ept12_entry(root, cr3, 1) = 0;
	ept12_clean(root);
	guest_new(&plain, ept12_pointer(root, false));
	tell_all_but_qualification("an absent PML4 of L2's, without the flags", guest_call(l2_read, SMALL(0)));
	guest_new(&plain, ept12_pointer(root, true));
	tell_all_but_qualification("with the flags", guest_call(l2_read, SMALL(0)));
}

/* What of it needs EPT; SDM "VM-Execution Control Fields". */
static void check_without_ept(const char *what, const struct controls *controls, u64 vm_functions)
{
	if (!offers(controls, what))
		return;
	guest_new(controls, 0);
	if (controls->proc2 & PROC2_enable_pml)
		vmwrite(ENC_pml_address, (uintptr_t)pml);
	if (controls->proc2 & PROC2_ept_violation_ve)
		vmwrite(ENC_virtualization_exception_information_address, (uintptr_t)information);
	if (controls->proc2 & PROC2_enable_vm_functions) {
		vmwrite(ENC_vm_function_controls, vm_functions);
		vmwrite(ENC_eptp_list_address, (uintptr_t)eptp_list);
	}
	call(what, l2_read, SMALL(0));
}

static void without_ept(void)
{
	print("without EPT\n");
	check_without_ept("page-modification logging", &logging, 0);
	check_without_ept("#VE", &exceptions, 0);
	check_without_ept("VM functions", &functions, 0);
	check_without_ept("EPTP switching", &functions, VMFUNC_eptp_switching);
}

bool feature(void)
{
	area = memory_take(3 * sizeof(*area), sizeof(*area));
	accessed_dirty();
	invalidation_of_one();
	walk_without_write();
	page_modification_log();
	eptp_switching();
	virtualization_exceptions();
	switching_with_exceptions();
	logging_with_exceptions();
	without_ept();
	return true;
}
