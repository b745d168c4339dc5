/*
 * sub_pages: pages of L2 that may be written in parts of 128 bytes; SDM "Sub-Page Write Permissions". On a CPU without
 * them the checks say that they are not offered.
 */
#include "ept.h"
#include "insn.h"
#include "string.h"
#include "tests/conform/lib/entry.h"

/* L2's last GiB: its first page is the target, by a leaf of 4 KiB. */
#define WINDOW GIB(3)
#define SUB_PAGE_SIZE 128
#define SUB_PAGES 32
#define NEW_VALUE 0x2222222222222222ul
#define WB ((u64)MEMORY_WB << EPT_MEMORY_TYPE_SHIFT)
#define WRITABLE(n) BIT(2 * (n))
#define BEYOND BIT(50)
#define USED 3 /* the sub-page that most cases write to */

L2_CODE(l2_nothing, "");
L2_CODE(write_one, "mov %rax, (%rbx)");
L2_CODE(write_byte, "mov %al, 127(%rbx)");
L2_CODE(modify, "lock incq (%rbx)");
L2_CODE(push_one, "lea 8(%rbx), %rsp\npush %rax");
L2_CODE(read_one, "mov (%rbx), %rcx");
L2_CODE(write_twice, "mov %rax, (%rbx)\nmov %rax, 128(%rbx)");
L2_CODE(write_and_tell, "mov %rax, (%rbx)\nvmcall\nmov %rax, 8(%rbx)");
L2_CODE(write_and_rdmsr, "mov %rax, (%rbx)\nmov $0xc0000081, %ecx\nrdmsr");

static u64 target[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 window_pt[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 tables[EPT_LEVELS + 1][EPT_ENTRIES] __attribute__((aligned(4096))); /* by level */
static u64 other_vectors[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 other_root[EPT_ENTRIES] __attribute__((aligned(4096)));

#define CONTROL PROC2(PROC2_sub_page_write_permissions)

/* SDM "VM-Execution Control Fields" under "Checks on VMX Controls" */
static const struct entry_case checks[] = {
	{ "check.good", ENTERS, { CONTROL, TO(sub_page_permission_table_pointer, 0x1000) } },
	{ "check.unaligned", FAILS_CONTROL, { CONTROL, TO(sub_page_permission_table_pointer, 0x1800) } },
	{ "check.bit_0", FAILS_CONTROL, { CONTROL, TO(sub_page_permission_table_pointer, 1) } },
	{ "check.beyond", FAILS_CONTROL, { CONTROL, TO(sub_page_permission_table_pointer, BEYOND) } },
	{ "check.without_ept", FAILS_CONTROL,
	  { CONTROL, CLEAR(secondary_processor_based_controls, PROC2_enable_ept) } },
	{ "check.unused", ENTERS, { TO(sub_page_permission_table_pointer, ~0ull) } },
};

static u64 *entry_of(unsigned level)
{
	return &tables[level][WINDOW >> EPT_LEVEL_SHIFT(level) & (EPT_ENTRIES - 1)];
}

static void make_tables(u64 vector)
{
	memset(tables, 0, sizeof(tables));
	for (unsigned level = EPT_LEVELS; level > 1; level--)
		*entry_of(level) = (u64)tables[level - 1] | SPP_PRESENT;
	*entry_of(1) = vector;
}

static void make_window(u64 bits)
{
	memset(window_pt, 0, sizeof(window_pt));
	window_pt[0] = (u64)target | WB | bits;
	*l2_ept_entry(WINDOW) = (u64)window_pt | EPT_RWX;
}

/* L2 on a page that cannot be written but for the sub-pages that the vector names. */
static void make(const u8 *code, u64 vector)
{
	memset(target, 0, sizeof(target));
	vmcs_make(code);
	vmwrite(ENC_exception_bitmap, ~0u);
	vmwrite(ENC_guest_idtr_limit, 0);
	controls_set(PROC2_CTLS, PROC2_sub_page_write_permissions);
	make_tables(vector);
	vmwrite(ENC_sub_page_permission_table_pointer, (u64)tables[EPT_LEVELS]);
	make_window(EPT_READ | EPT_SUB_PAGE);
	l2.gpr[RAX] = NEW_VALUE;
	l2.gpr[RBX] = WINDOW + USED * SUB_PAGE_SIZE;
}

static u64 written(void)
{
	return target[USED * SUB_PAGE_SIZE / sizeof(u64)];
}

static struct l2_exit run(const char *name)
{
	struct l2_exit exit;

	invept(INVEPT_global, 0);
	exit = l2_case_begin(name);
	observe("written=%lx rcx=%lx", written(), l2.gpr[RCX]);
	return exit;
}

static void expect_written(const struct l2_exit *exit, u64 value)
{
	expect_exit(exit, REASON_vmcall);
	if (written() != value)
		wrong("memory must have %lx", value);
}

static void expect_refused(const struct l2_exit *exit, enum exit_reason reason)
{
	expect_exit(exit, reason);
	if (written())
		wrong("nothing must be written");
}

/* SDM "Exit Qualification for SPP-Related Events" */
static void expect_event(const struct l2_exit *exit, bool miss)
{
	expect_refused(exit, REASON_spp_related_event);
	if (exit->reason == REASON_spp_related_event && exit->qualification != (miss ? SPP_EVENT_MISS : 0))
		wrong("the qualification must tell a miss from a misconfiguration");
}

static void permission(const char *name, const u8 *code, u64 vector, bool writable, u64 value)
{
	struct l2_exit exit;

	make(code, vector);
	exit = run(name);
	if (writable)
		expect_written(&exit, value);
	else
		expect_refused(&exit, REASON_ept_violation);
	case_end();
}

static void permissions(void)
{
	const u64 all = ~(u64)SPP_VECTOR_RESERVED;

	permission("write.allowed", write_one, WRITABLE(USED), true, NEW_VALUE);
	permission("write.all_allowed", write_one, all, true, NEW_VALUE);
	permission("write.refused", write_one, all & ~WRITABLE(USED), false, 0);
	permission("write.none_allowed", write_one, 0, false, 0);
	permission("write.neighbour_allowed", write_one, WRITABLE(USED - 1) | WRITABLE(USED + 1), false, 0);
	permission("write.last_byte", write_byte, WRITABLE(USED), true, 0);
	permission("write.modify", modify, WRITABLE(USED), true, 1);
	permission("write.push", push_one, WRITABLE(USED), true, NEW_VALUE);
	permission("write.modify_refused", modify, 0, false, 0);
	permission("read", read_one, 0, true, 0);
}

/* The second of two writes is to a sub-page that does not allow it. */
static void beside(void)
{
	struct l2_exit exit;

	make(write_twice, WRITABLE(USED));
	exit = run("write.beside");
	expect_exit(&exit, REASON_ept_violation);
	case_end();
}

/* Each sub-page alone, by its own bit and by no other. */
static void each_sub_page(void)
{
	u64 allowed = 0, refused = 0;

	case_begin("write.each");
	for (unsigned i = 0; i < SUB_PAGES; i++) {
		for (unsigned bit = 0; bit < SUB_PAGES; bit++) {
			struct l2_exit exit;

			make(write_one, WRITABLE(bit));
			l2.gpr[RBX] = WINDOW + i * SUB_PAGE_SIZE;
			invept(INVEPT_global, 0);
			exit = l2_enter();
			if (exit.reason == REASON_vmcall)
				allowed++;
			if (exit.reason == REASON_ept_violation)
				refused++;
			if ((exit.reason == REASON_vmcall) != (i == bit))
				wrong("bit %u for sub-page %u", bit, i);
		}
	}
	observe("allowed=%lu refused=%lu", allowed, refused);
	case_end();
}

/* What the table says of a page that is not eligible does not count. */
static void eligible(const char *name, u64 bits, u64 above, bool control, bool writable)
{
	struct l2_exit exit;

	make(write_one, writable ? 0 : WRITABLE(USED));
	if (!control)
		controls_clear(PROC2_CTLS, PROC2_sub_page_write_permissions);
	make_window(bits);
	*l2_ept_entry(WINDOW) = (u64)window_pt | above;
	exit = run(name);
	if (writable)
		expect_written(&exit, NEW_VALUE);
	else
		expect_refused(&exit, REASON_ept_violation);
	case_end();
}

static void eligibility(void)
{
	struct l2_exit exit;

	eligible("page.without_bit", EPT_READ, EPT_RWX, true, false);
	eligible("page.without_control", EPT_READ | EPT_SUB_PAGE, EPT_RWX, false, false);
	eligible("page.writable", EPT_RWX | EPT_SUB_PAGE, EPT_RWX, true, true);
	eligible("page.absent", EPT_SUB_PAGE, EPT_RWX, true, false);
	if (rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & EPT_CAP_EXECUTE_ONLY)
		eligible("page.execute_only", EPT_EXECUTE | EPT_SUB_PAGE, EPT_RWX, true, false);

	make(write_one, WRITABLE(USED));
	make_window(EPT_RWX | EPT_SUB_PAGE);
	*l2_ept_entry(WINDOW) = (u64)window_pt | EPT_READ | EPT_EXECUTE;
	exit = run("page.read_only_above");
	expect_written(&exit, NEW_VALUE);
	case_end();

	make(write_one, WRITABLE(USED));
	*l2_ept_entry(WINDOW) = ALIGN_DOWN((u64)target, MIB(2)) | WB | EPT_LARGE | EPT_READ | EPT_SUB_PAGE;
	l2.gpr[RBX] = WINDOW + (u64)target % MIB(2) + USED * SUB_PAGE_SIZE;
	exit = run("page.large");
	expect_refused(&exit, REASON_ept_violation);
	case_end();
}

static void event(const char *name, unsigned level, u64 set, u64 clear, bool miss)
{
	struct l2_exit exit;

	make(write_one, WRITABLE(USED));
	*entry_of(level) = (*entry_of(level) & ~clear) | set;
	exit = run(name);
	expect_event(&exit, miss);
	case_end();
}

static void events(void)
{
	event("event.miss_4", 4, 0, SPP_PRESENT, true);
	event("event.miss_3", 3, 0, SPP_PRESENT, true);
	event("event.miss_2", 2, 0, SPP_PRESENT, true);
	event("event.miss_garbage", 3, ~SPP_PRESENT, SPP_PRESENT, true);
	event("event.reserved_4", 4, BIT(1), 0, false);
	event("event.reserved_3", 3, BIT(11), 0, false);
	event("event.reserved_2", 2, BIT(52), 0, false);
	event("event.reserved_63", 2, BIT(63), 0, false);
	event("event.beyond", 3, BEYOND, 0, false);
	event("event.vector_odd", 1, BIT(1), 0, false);
	event("event.vector_odd_63", 1, BIT(63), 0, false);
}

/* SDM "Accessed and Dirty Flags for EPT": a write that a sub-page allows is a write. */
static void flags(const char *name, u64 vector)
{
	struct l2_exit exit;

	if (!(rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & EPT_CAP_ACCESSED_DIRTY))
		return;
	make(write_one, vector);
	vmwrite(ENC_ept_pointer, l2_eptp() | EPTP_ACCESSED_DIRTY);
	exit = run(name);
	observe("accessed=%d dirty=%d", !!(window_pt[0] & EPT_ACCESSED), !!(window_pt[0] & EPT_DIRTY));
	expect_exit(&exit, vector ? REASON_vmcall : REASON_ept_violation);
	if (!(window_pt[0] & EPT_DIRTY) != !vector)
		wrong("the dirty flag must tell of the write");
	case_end();
}

/* L1 takes the permission away between two writes; INVEPT is due. */
static void withdrawn(void)
{
	struct l2_exit exit;

	make(write_and_tell, WRITABLE(USED));
	exit = run("change.before");
	expect_written(&exit, NEW_VALUE);
	case_end();
	*entry_of(1) = 0;
	vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + exit.length);
	exit = run("change.vector");
	expect_exit(&exit, REASON_ept_violation);
	case_end();
}

/* The same by another table, which allows another sub-page. */
static void other_table(void)
{
	struct l2_exit exit;

	make(write_one, WRITABLE(USED));
	exit = run("table.first");
	expect_written(&exit, NEW_VALUE);
	case_end();
	memset(other_vectors, 0, sizeof(other_vectors));
	memcpy(other_root, tables[EPT_LEVELS], sizeof(other_root));
	*entry_of(2) = (u64)other_vectors | SPP_PRESENT;
	other_vectors[0] = WRITABLE(USED + 1);
	vmwrite(ENC_sub_page_permission_table_pointer, (u64)other_root);
	vmwrite(ENC_guest_rip, (u64)write_one);
	memset(target, 0, sizeof(target));
	exit = run("table.other_refuses");
	expect_refused(&exit, REASON_ept_violation);
	case_end();
	l2.gpr[RBX] += SUB_PAGE_SIZE;
	exit = run("table.other_allows");
	expect_exit(&exit, REASON_vmcall);
	case_end();
}

/* A page that means something else to L1's CPU, too: the MSR bitmap. L2 clears a bit of it. */
static void bitmap(void)
{
	struct l2_exit exit;

	make(write_and_rdmsr, WRITABLE(8));
	memset(target, 0xff, sizeof(target));
	controls_set(PROC_CTLS, PROC_use_msr_bitmaps);
	vmwrite(ENC_address_of_msr_bitmaps, (u64)target);
	l2.gpr[RAX] = 0;
	l2.gpr[RBX] = WINDOW + 8 * SUB_PAGE_SIZE; /* reads of MSRs from 0xc0000000 */
	exit = run("bitmap.first");
	observe("word=%lx", target[8 * SUB_PAGE_SIZE / sizeof(u64)]);
	expect_exit(&exit, REASON_rdmsr);
	case_end();
}

void group(void)
{
	vmx_start();
	ENTRY_CASES(l2_nothing, checks);
	if (!has_controls(PROC2_CTLS, PROC2_sub_page_write_permissions))
		return;
	permissions();
	beside();
	each_sub_page();
	eligibility();
	events();
	flags("flags.written", WRITABLE(USED));
	flags("flags.refused", 0);
	withdrawn();
	other_table();
	bitmap();
}
