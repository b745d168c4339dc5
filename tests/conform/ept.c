/*
 * ept: L2's memory through L1's EPT: page sizes, rights at each level, accessed and dirty flags, misconfigurations,
 * what a violation tells, changes with and without INVEPT; SDM "The Extended Page Table Mechanism (EPT)".
 */
#include "ept.h"
#include "insn.h"
#include "print.h"
#include "string.h"
#include "tests/conform/lib/entry.h"
#include "tests/conform/lib/scratch.h"

/* L2's last GiB is mapped anew by each case: onto target, by a leaf of the level that the case is about. */
#define WINDOW GIB(3)
#define LEAF_LEVELS 3
#define DATA_OFFSET 16 /* the page's first bytes are code */
#define OLD_VALUE 0x1111111111111111ul
#define NEW_VALUE 0x2222222222222222ul

static u64 targets[2][EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 window_pt[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 window_pd[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 other_pml4[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 other_pdpt[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 paging_structures[2][EPT_ENTRIES] __attribute__((aligned(4096)));

/* RBX has the page. RCX is loaded so that a read that has gone wrong shows. */
L2_CODE(access_read, "mov 16(%rbx), %rcx");
L2_CODE(access_write, "mov %rax, 16(%rbx)");
L2_CODE(access_modify, "lock incq 16(%rbx)");
L2_CODE(access_push, "lea 24(%rbx), %rsp\npush %rax");
L2_CODE(access_fetch, "jmp *%rbx");
L2_CODE(access_read_32, "mov 16(%rbx), %ecx");
L2_CODE(access_twice, "mov 16(%rbx), %rcx\nvmcall\nmov 16(%rbx), %rcx");

struct access {
	const char *name;
	const u8 *code;
	u64 needs;  /* of the rights */
	u64 offset; /* of the address that a violation names */
};
static const struct access accesses[] = {
	{ "read", access_read, EPT_READ, DATA_OFFSET },
	{ "write", access_write, EPT_WRITE, DATA_OFFSET },
	{ "modify", access_modify, EPT_READ | EPT_WRITE, DATA_OFFSET },
	{ "push", access_push, EPT_WRITE, DATA_OFFSET },
	{ "fetch", access_fetch, EPT_EXECUTE, 0 },
};

static const char *const level_names[] = { "", "4k", "2m", "1g", "512g" };

static bool offers(u64 capability)
{
	return rdmsr(MSR_IA32_VMX_EPT_VPID_CAP) & capability;
}

static bool has_level(unsigned level)
{
	return level == 1 || offers(level == 2 ? EPT_CAP_2M : EPT_CAP_1G);
}

static u64 leaf_bits(unsigned level)
{
	return (level > 1 ? EPT_LARGE : 0) | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT;
}

static u64 *window_entry(unsigned level)
{
	u64 *const entries[] = { NULL, window_pt, window_pd, l2_ept_pdpte(WINDOW), l2_ept_pml4e() };

	return entries[level] + (level == 1 ? (u64)targets[0] / PAGE_SIZE % EPT_ENTRIES :
				 level == 2 ? (u64)targets[0] / MIB(2) % EPT_ENTRIES : 0);
}

/* Maps the window by a leaf of that level onto the page; all rights. Where the page is in the window. */
static u64 map_window(unsigned level, const u64 *page)
{
	memset(window_pt, 0, sizeof(window_pt));
	memset(window_pd, 0, sizeof(window_pd));
	*window_entry(3) = (u64)window_pd | EPT_RWX;
	*window_entry(2) = (u64)window_pt | EPT_RWX;
	*window_entry(level) = ((u64)page & ~(EPT_LEVEL_SIZE(level) - 1)) | leaf_bits(level) | EPT_RWX;
	return WINDOW + (level == 1 ? (u64)targets[0] : (u64)page);
}

static void fill_targets(void)
{
	static const u8 vmcall_code[] = { 0x0f, 0x01, 0xc1 };

	memset(targets, 0, sizeof(targets));
	memcpy(targets[0], vmcall_code, sizeof(vmcall_code));
	memcpy(targets[1], vmcall_code, sizeof(vmcall_code));
	targets[0][DATA_OFFSET / sizeof(u64)] = OLD_VALUE;
	targets[1][DATA_OFFSET / sizeof(u64)] = NEW_VALUE;
}

/* A case whose L2 makes that access to the first target, mapped by a leaf of that level. */
static u64 make_access(const struct access *access, unsigned level)
{
	fill_targets();
	vmcs_make(access->code);
	vmwrite(ENC_exception_bitmap, ~0u);
	vmwrite(ENC_guest_idtr_limit, 0);
	l2.gpr[RBX] = map_window(level, targets[0]);
	l2.gpr[RAX] = NEW_VALUE;
	return l2.gpr[RBX] + access->offset;
}

static struct l2_exit run(const char *format, ...) PRINTF_LIKE(1, 2);
static struct l2_exit run(const char *format, ...)
{
	char name[96];
	va_list args;
	struct l2_exit exit;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	invept(INVEPT_global, 0);
	exit = l2_case_begin(name);
	observe("rcx=%lx data=%lx", l2.gpr[RCX], targets[0][DATA_OFFSET / sizeof(u64)]);
	return exit;
}

/* SDM "EPT Violations": the access, the rights that all levels leave, and where it was. */
static void expect_violation(const struct l2_exit *exit, const struct access *access, u64 rights, u64 address)
{
	expect_exit(exit, REASON_ept_violation);
	if (exit->reason != REASON_ept_violation)
		return;
	if (!(exit->qualification & access->needs & ~rights))
		wrong("the qualification must have an access that is not allowed");
	if (exit->qualification & EPT_VIOLATION_ACCESS & ~access->needs)
		wrong("the qualification has an access that was not made");
	if ((exit->qualification & EPT_VIOLATION_ENTRY_RWX) >> EPT_VIOLATION_ENTRY_SHIFT != rights)
		wrong("the rights in the qualification must be %lx", rights);
	if (!(exit->qualification & EPT_VIOLATION_LINEAR_VALID) ||
	    !(exit->qualification & EPT_VIOLATION_LINEAR_TRANSLATED))
		wrong("the violation is that of the translation of a linear address");
	if (vmread(ENC_guest_physical_address) != address || vmread(ENC_guest_linear_address) != address)
		wrong("the violation must be at %lx", address);
}

/* The access went through: the code ran to its VMCALL, and memory is as it must be. */
static void expect_access(const struct l2_exit *exit, const struct access *access)
{
	u64 value = access->needs == EPT_WRITE ? NEW_VALUE : OLD_VALUE;

	expect_exit(exit, REASON_vmcall);
	if (access->needs == (EPT_READ | EPT_WRITE))
		value = OLD_VALUE + 1;
	if (targets[0][DATA_OFFSET / sizeof(u64)] != value)
		wrong("memory must have %lx", value);
	if (access->needs == EPT_READ && l2.gpr[RCX] != OLD_VALUE)
		wrong("the read must give %lx", OLD_VALUE);
}

/* SDM "EPT Misconfigurations" */
static bool rights_allowed(u64 rights)
{
	if (rights & EPT_WRITE && !(rights & EPT_READ))
		return false;
	return rights != EPT_EXECUTE || offers(EPT_CAP_EXECUTE_ONLY);
}

static void expect_misconfiguration(const struct l2_exit *exit, u64 address)
{
	expect_exit(exit, REASON_ept_misconfiguration);
	if (exit->reason == REASON_ept_misconfiguration && vmread(ENC_guest_physical_address) != address)
		wrong("the misconfiguration must be at %lx", address);
}

static void expect_by_rights(const struct l2_exit *exit, const struct access *access, u64 rights, u64 address)
{
	if (!rights_allowed(rights))
		expect_misconfiguration(exit, address);
	else if (access->needs & ~rights)
		expect_violation(exit, access, rights, address);
	else
		expect_access(exit, access);
}

/* Each combination of rights in the entry of each level. */
static void rights_of(unsigned leaf, unsigned level)
{
	for (u64 rights = 0; rights <= EPT_RWX; rights++)
		for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++) {
			struct l2_exit exit;
			u64 address = make_access(&accesses[i], leaf);

			*window_entry(level) = (*window_entry(level) & ~(u64)EPT_RWX) | rights;
			exit = run("rights.%s.in_%s.%lx.%s", level_names[leaf], level_names[level], rights,
				   accesses[i].name);
			expect_by_rights(&exit, &accesses[i], rights, address);
			case_end();
		}
}

static void rights(void)
{
	for (unsigned leaf = 1; leaf <= LEAF_LEVELS; leaf++)
		for (unsigned level = leaf; level <= LEAF_LEVELS; level++)
			if (has_level(leaf))
				rights_of(leaf, level);
}

/* SDM "EPT Violations": the rights are those of all levels together. */
static void rights_of_two_levels(void)
{
	static const struct {
		u64 upper, lower;
	} rows[] = {
		{ EPT_READ, EPT_READ | EPT_EXECUTE }, { EPT_READ | EPT_WRITE, EPT_READ | EPT_EXECUTE },
		{ EPT_READ | EPT_EXECUTE, EPT_READ | EPT_WRITE }, { EPT_RWX, EPT_READ },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(accesses); j++) {
			struct l2_exit exit;
			u64 address = make_access(&accesses[j], 1);

			*window_entry(3) = (*window_entry(3) & ~(u64)EPT_RWX) | rows[i].upper;
			*window_entry(1) = (*window_entry(1) & ~(u64)EPT_RWX) | rows[i].lower;
			exit = run("both_levels.%lx_%lx.%s", rows[i].upper, rows[i].lower, accesses[j].name);
			expect_by_rights(&exit, &accesses[j], rows[i].upper & rows[i].lower, address);
			case_end();
		}
}

/* SDM "Accessed and Dirty Flags for EPT": accessed in each entry used, dirty in the leaf of a write. */
static const char *flags_of(u64 entry)
{
	static const char *const text[] = { "--", "A-", "-D", "AD" };

	return text[(entry & EPT_ACCESSED ? 1 : 0) | (entry & EPT_DIRTY ? 2 : 0)];
}

static void observe_flags_of_levels(unsigned leaf, bool enabled, bool accessed, bool dirty)
{
	for (unsigned level = leaf; level <= LEAF_LEVELS; level++) {
		u64 entry = *window_entry(level);

		observe("%s=%s", level_names[level], flags_of(entry));
		if (!(entry & EPT_ACCESSED) == (enabled && accessed))
			wrong("the accessed flag of %s must be %d", level_names[level], enabled && accessed);
		if (!(entry & EPT_DIRTY) == (enabled && dirty && level == leaf))
			wrong("the dirty flag of %s must be %d", level_names[level], enabled && dirty && level == leaf);
	}
}

static void accessed_dirty_of(unsigned leaf, const struct access *access, bool enabled)
{
	struct l2_exit exit;
	const bool writes = access->needs & EPT_WRITE;

	make_access(access, leaf);
	if (enabled)
		vmwrite(ENC_ept_pointer, l2_eptp() | EPTP_ACCESSED_DIRTY);
	exit = run("flags.%s.%s.%s", enabled ? "on" : "off", level_names[leaf], access->name);
	expect_access(&exit, access);
	observe_flags_of_levels(leaf, enabled, true, writes);
	case_end();
}

/* Read first, written later: the second access sets what is left, with no INVEPT in between. */
static void dirty_later(unsigned leaf)
{
	struct l2_exit exit;

	make_access(&accesses[0], leaf);
	vmwrite(ENC_ept_pointer, l2_eptp() | EPTP_ACCESSED_DIRTY);
	exit = run("flags.later.%s.read", level_names[leaf]);
	expect_access(&exit, &accesses[0]);
	observe_flags_of_levels(leaf, true, true, false);
	case_end();
	vmwrite(ENC_guest_rip, (u64)access_write);
	case_begin("flags.later.%s.write", level_names[leaf]);
	exit = l2_enter();
	observe_exit(&exit);
	expect_access(&exit, &accesses[1]);
	observe_flags_of_levels(leaf, true, true, true);
	case_end();
}

/* Cleared by L1 and invalidated, the flags are set again; a violation sets no dirty flag. */
static void flags_cleared(void)
{
	struct l2_exit exit;
	u64 address = make_access(&accesses[1], 1);

	vmwrite(ENC_ept_pointer, l2_eptp() | EPTP_ACCESSED_DIRTY);
	run("flags.before_clearing");
	case_end();
	for (unsigned level = 1; level <= LEAF_LEVELS; level++)
		*window_entry(level) &= ~(u64)(EPT_ACCESSED | EPT_DIRTY);
	vmwrite(ENC_guest_rip, (u64)access_write);
	exit = run("flags.cleared");
	expect_access(&exit, &accesses[1]);
	observe_flags_of_levels(1, true, true, true);
	case_end();
	*window_entry(1) &= ~(u64)(EPT_ACCESSED | EPT_DIRTY | EPT_WRITE);
	vmwrite(ENC_guest_rip, (u64)access_write);
	exit = run("flags.violation");
	expect_violation(&exit, &accesses[1], EPT_READ | EPT_EXECUTE, address);
	observe("4k=%s", flags_of(*window_entry(1)));
	if (*window_entry(1) & EPT_DIRTY)
		wrong("what was not written is not dirty");
	case_end();
}

static void accessed_dirty(void)
{
	for (unsigned leaf = 1; leaf <= LEAF_LEVELS; leaf++)
		for (unsigned i = 0; has_level(leaf) && i < ARRAY_SIZE(accesses); i++) {
			accessed_dirty_of(leaf, &accesses[i], false);
			if (offers(EPT_CAP_ACCESSED_DIRTY))
				accessed_dirty_of(leaf, &accesses[i], true);
		}
	if (!offers(EPT_CAP_ACCESSED_DIRTY))
		return;
	for (unsigned leaf = 1; leaf <= LEAF_LEVELS; leaf++)
		dirty_later(leaf);
	flags_cleared();
}

struct entry_bits {
	const char *name;
	unsigned leaf, level;
	u64 clear, set;
	bool good;
};

/* SDM "EPT Misconfigurations": reserved bits and memory types at each level, and what is ignored there. */
static const struct entry_bits entry_rows[] = {
#define OF_TYPE(leaf, text, type, good) \
	{ "type_" #type "." text, leaf, leaf, EPT_MEMORY_TYPE, type << EPT_MEMORY_TYPE_SHIFT, good }
#define TYPES(leaf, text) \
	OF_TYPE(leaf, text, 0, true), OF_TYPE(leaf, text, 1, true), OF_TYPE(leaf, text, 2, false), \
	OF_TYPE(leaf, text, 3, false), OF_TYPE(leaf, text, 4, true), OF_TYPE(leaf, text, 5, true), \
	OF_TYPE(leaf, text, 7, false)
	TYPES(1, "4k"), TYPES(2, "2m"), TYPES(3, "1g"),
#define OF_BIT(leaf, level, bit, good) { "bit_" #bit ".leaf_" #leaf ".level_" #level, leaf, level, 0, BIT(bit), good }
#define BEYOND_WIDTH(leaf, level) \
	OF_BIT(leaf, level, 40, false), OF_BIT(leaf, level, 51, false), OF_BIT(leaf, level, 52, true), \
	OF_BIT(leaf, level, 62, true)
	BEYOND_WIDTH(1, 1), BEYOND_WIDTH(1, 2), BEYOND_WIDTH(1, 3), BEYOND_WIDTH(2, 2), BEYOND_WIDTH(2, 3),
	BEYOND_WIDTH(3, 3),
#define OF_TABLE(leaf, level) \
	OF_BIT(leaf, level, 3, false), OF_BIT(leaf, level, 4, false), OF_BIT(leaf, level, 5, false), \
	OF_BIT(leaf, level, 6, false), OF_BIT(leaf, level, 11, true)
	OF_TABLE(1, 2), OF_TABLE(1, 3), OF_TABLE(2, 3),
	OF_BIT(2, 2, 12, false), OF_BIT(2, 2, 20, false), OF_BIT(3, 3, 12, false), OF_BIT(3, 3, 21, false),
	OF_BIT(3, 3, 29, false),
	OF_BIT(1, 1, 6, true), OF_BIT(1, 1, 7, true), OF_BIT(1, 1, 11, true), OF_BIT(2, 2, 6, true),
	OF_BIT(2, 2, 11, true), OF_BIT(3, 3, 6, true),
	/* Not present, an entry may hold anything: that is a violation. */
	{ "absent_garbage.4k", 1, 1, EPT_RWX, ~(u64)EPT_RWX, true },
	{ "absent_garbage.2m", 2, 2, EPT_RWX, ~(u64)EPT_RWX, true },
	{ "absent_garbage.1g", 3, 3, EPT_RWX, ~(u64)EPT_RWX, true },
};

/* Bit 8 is ignored without the flags, and so is each entry's bit 9. */
static void entry_bits(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(entry_rows); i++) {
		const struct entry_bits *row = &entry_rows[i];
		const struct access *access = &accesses[i % ARRAY_SIZE(accesses)];
		struct l2_exit exit;
		u64 address;

		if (!has_level(row->leaf))
			continue;
		address = make_access(access, row->leaf);
		*window_entry(row->level) = (*window_entry(row->level) & ~row->clear) | row->set;
		exit = run("entry.%s.%s", row->name, access->name);
		if (!row->good)
			expect_misconfiguration(&exit, address);
		else if (row->clear & EPT_READ)
			expect_violation(&exit, access, 0, address);
		else
			expect_access(&exit, access);
		case_end();
	}
}

/* A page size that the CPU lacks is a reserved bit. */
static void sizes(void)
{
	for (unsigned level = 2; level <= LEAF_LEVELS; level++) {
		struct l2_exit exit;
		u64 address = make_access(&accesses[0], level);

		exit = run("size.%s", level_names[level]);
		observe("offered=%d", has_level(level));
		if (has_level(level))
			expect_access(&exit, &accesses[0]);
		else
			expect_misconfiguration(&exit, address);
		case_end();
	}
}

/* A violation or misconfiguration that L1 mends needs no INVEPT: the CPU has cached nothing of it. */
static void mended(void)
{
	static const struct {
		const char *name;
		u64 clear, set;
	} rows[] = {
		{ "absent", ~0ull, 0 }, { "read_only", EPT_WRITE | EPT_EXECUTE, 0 }, { "no_execute", EPT_EXECUTE, 0 },
		{ "misconfigured", EPT_MEMORY_TYPE, 2 << EPT_MEMORY_TYPE_SHIFT },
	};

	for (unsigned leaf = 1; leaf <= LEAF_LEVELS; leaf++)
		for (unsigned i = 0; has_level(leaf) && i < ARRAY_SIZE(rows); i++) {
			const struct access *access = &accesses[i == 2 ? 4 : 1];
			struct l2_exit exit;
			u64 good, address = make_access(access, leaf);

			good = *window_entry(leaf);
			*window_entry(leaf) = (good & ~rows[i].clear) | rows[i].set;
			exit = run("mended.%s.%s.before", level_names[leaf], rows[i].name);
			if (i == 3)
				expect_misconfiguration(&exit, address);
			else
				expect_violation(&exit, access, *window_entry(leaf) & EPT_RWX, address);
			case_end();
			*window_entry(leaf) = good;
			case_begin("mended.%s.%s.after", level_names[leaf], rows[i].name);
			exit = l2_enter();
			observe_exit(&exit);
			expect_access(&exit, access);
			case_end();
		}
}

/* Another page in the place of the first, or none: with INVEPT of either type the change holds. */
static void expect_value(const struct l2_exit *exit, u64 value)
{
	observe("rcx=%lx", l2.gpr[RCX]);
	expect_exit(exit, REASON_vmcall);
	if (l2.gpr[RCX] != value)
		wrong("the read must give %lx", value);
}

static struct l2_exit go_on(const char *name)
{
	if (vmread(ENC_exit_reason) == REASON_vmcall)
		vmwrite(ENC_guest_rip, vmread(ENC_guest_rip) + vmread(ENC_vm_exit_instruction_length));
	return l2_case_begin(name);
}

static void start_reading(void)
{
	static const struct access twice = { "twice", access_twice, EPT_READ, DATA_OFFSET };
	struct l2_exit exit;

	make_access(&twice, 1);
	invept(INVEPT_global, 0); /* the last case had other tables */
	exit = l2_enter();
	if (exit.reason != REASON_vmcall || l2.gpr[RCX] != OLD_VALUE)
		give_up("the first read went wrong");
	l2.gpr[RCX] = 0;
}

static void invalidated(void)
{
	struct l2_exit exit;

	for (unsigned global = 0; global < 2; global++) {
		const u64 type = global ? INVEPT_global : INVEPT_single_context;

		start_reading();
		*window_entry(1) = (u64)targets[1] | leaf_bits(1) | EPT_RWX;
		invept(type, l2_eptp());
		exit = go_on(global ? "invept.global.other_page" : "invept.single_context.other_page");
		expect_value(&exit, NEW_VALUE);
		case_end();
		start_reading();
		*window_entry(2) = 0;
		invept(type, l2_eptp());
		exit = go_on(global ? "invept.global.absent" : "invept.single_context.absent");
		expect_exit(&exit, REASON_ept_violation);
		case_end();
	}
	start_reading();
	*window_entry(2) = ((u64)targets[0] & ~(MIB(2) - 1)) | leaf_bits(2) | EPT_RWX;
	invept(INVEPT_single_context, l2_eptp());
	exit = go_on("invept.table_to_large_page");
	expect_value(&exit, OLD_VALUE);
	case_end();
}

/* Two EPTs in turn for one VMCS: each keeps its own translations, and the EPTP alone tells them apart. */
static void two_epts(void)
{
	u64 eptp = l2_eptp(), other_eptp = (u64)other_pml4 | (eptp & ~EPTP_ADDRESS);

	start_reading();
	memcpy(other_pdpt, l2_ept_pdpte(0), sizeof(other_pdpt));
	memset(other_pml4, 0, sizeof(other_pml4));
	memset(paging_structures, 0, sizeof(paging_structures));
	other_pml4[0] = (u64)other_pdpt | EPT_RWX;
	other_pdpt[WINDOW / GIB(1)] = (u64)paging_structures[0] | EPT_RWX;
	paging_structures[0][(u64)targets[0] / MIB(2) % EPT_ENTRIES] = (u64)paging_structures[1] | EPT_RWX;
	paging_structures[1][(u64)targets[0] / PAGE_SIZE % EPT_ENTRIES] = (u64)targets[1] | leaf_bits(1) | EPT_RWX;
	for (unsigned i = 0; i < 4; i++) {
		struct l2_exit exit;

		vmwrite(ENC_ept_pointer, i % 2 ? eptp : other_eptp);
		vmwrite(ENC_guest_rip, (u64)access_read);
		case_begin("two_epts.%u", i);
		exit = l2_enter();
		observe_exit(&exit);
		expect_value(&exit, i % 2 ? OLD_VALUE : NEW_VALUE);
		case_end();
	}
}

/* L1 without EPT changes L2's own paging and executes INVVPID of each type, or L2 loads CR3 again. */
static void invvpid_types(void)
{
	enum { VPID = 5, PAGE = 0, RELOAD = INVALIDATION_TYPES };

	for (u64 type = 0; type <= RELOAD; type++) {
		struct l2_exit exit;

		if (!has_controls(PROC2_CTLS, PROC2_enable_vpid))
			return;
		vmcs_make(access_twice);
		controls_clear(PROC2_CTLS, PROC2_enable_ept);
		controls_set(PROC2_CTLS, PROC2_enable_vpid);
		vmwrite(ENC_virtual_processor_identifier, VPID);
		fill_targets();
		scratch_change(PAGE, (u64)targets[0], PTE_ADDRESS);
		l2.gpr[RBX] = scratch(PAGE);
		exit = l2_enter();
		if (exit.reason != REASON_vmcall || l2.gpr[RCX] != OLD_VALUE)
			give_up("the first read without EPT went wrong");
		scratch_change(PAGE, (u64)targets[1], PTE_ADDRESS);
		case_begin("invvpid.%lu", type);
		if (type == RELOAD)
			vmwrite(ENC_virtual_processor_identifier, VPID + 1);
		else
			observe("outcome=%u", invvpid(type, VPID, scratch(PAGE)));
		vmwrite(ENC_guest_rip, (u64)access_read);
		exit = l2_enter();
		observe_exit(&exit);
		expect_value(&exit, NEW_VALUE);
		case_end();
	}
}

/* SDM "EPT Violations": the guest-linear address of accesses to L2's own paging structures, or of none. */
#define PAE_CODE(name, text) L2_CODE(name, ".code32\n" text "\nvmcall\n.code64")
PAE_CODE(load_cr3, "mov %eax, %cr3");
static u64 pdpt[4] __attribute__((aligned(4096)));

static void expect_walk(const struct l2_exit *exit, u64 physical, bool linear_valid)
{
	expect_exit(exit, REASON_ept_violation);
	if (exit->reason != REASON_ept_violation)
		return;
	if (!(exit->qualification & EPT_VIOLATION_LINEAR_VALID) == linear_valid)
		wrong("that the linear address is valid must be told as %d", linear_valid);
	if (exit->qualification & EPT_VIOLATION_LINEAR_TRANSLATED)
		wrong("the access is not the translation of a linear address");
	if (vmread(ENC_guest_physical_address) != physical)
		wrong("the violation must be at %lx", physical);
}

static void walks(void)
{
	const u64 entry = WINDOW + MIB(2) * 4;
	struct l2_exit exit;

	make_access(&accesses[0], 1);
	vmwrite(ENC_guest_cr3, entry);
	exit = run("walk.pml4_absent");
	expect_walk(&exit, entry, true);
	if (exit.reason == REASON_ept_violation && vmread(ENC_guest_linear_address) != (u64)access_read)
		wrong("the linear address must be that of the fetch");
	case_end();
	make_access(&accesses[0], 1);
	*window_entry(1) = (u64)read_cr3() | leaf_bits(1) | EPT_EXECUTE | EPT_READ;
	vmwrite(ENC_guest_cr3, WINDOW + (u64)targets[0]);
	exit = run("walk.pml4_read_only"); /* its accessed flags are set already */
	expect_exit(&exit, REASON_vmcall);
	case_end();
	make_access(&accesses[0], 1);
	targets[1][0] = *(u64 *)read_cr3() & ~(u64)PTE_ACCESSED;
	*window_entry(1) = (u64)targets[1] | leaf_bits(1) | EPT_EXECUTE | EPT_READ;
	vmwrite(ENC_guest_cr3, WINDOW + (u64)targets[0]);
	exit = run("walk.accessed_flag_read_only");
	observe("accessed=%d", (targets[1][0] & PTE_ACCESSED) != 0);
	expect_walk(&exit, WINDOW + (u64)targets[0], true);
	if (exit.reason == REASON_ept_violation && !(exit.qualification & EPT_VIOLATION_WRITE))
		wrong("the violation must be that of a write");
	case_end();
}

/* SDM "EPT Violations": loading the PDPTEs by MOV to CR3 translates no linear address. */
static void pdptes_absent(void)
{
	const u64 absent = WINDOW + MIB(2) * 4;
	u64 *low = (u64 *)(*(u64 *)read_cr3() & PTE_ADDRESS);
	struct l2_exit exit;

	vmcs_make(load_cr3);
	map_window(1, targets[0]);
	controls_clear(ENTRY_CTLS, ENTRY_ia32e_mode_guest);
	controls_clear(PROC_CTLS, PROC_cr3_load_exiting);
	for (u32 i = 0; i < ARRAY_SIZE(pdpt); i++) {
		pdpt[i] = (low[i] & PTE_ADDRESS) | PTE_PRESENT;
		vmwrite(ENC_guest_pdpte0 + 2 * i, pdpt[i]);
	}
	vmwrite(ENC_guest_cr3, (u64)pdpt);
	vmwrite(ENC_guest_cs_access_rights, AR_CODE32);
	l2.gpr[RAX] = absent;
	exit = run("walk.pdptes_absent");
	expect_walk(&exit, absent, false);
	case_end();
}

/* Beyond the first 512 GiB, where the root has no entry. */
static void far_address(void)
{
	enum { PAGE = 1 };
	const u64 far = BIT(39) | 0x5000;
	struct l2_exit exit;

	make_access(&accesses[1], 1);
	scratch_change(PAGE, far, PTE_ADDRESS);
	l2.gpr[RBX] = scratch(PAGE);
	exit = run("far.write");
	expect_exit(&exit, REASON_ept_violation);
	if (exit.reason == REASON_ept_violation && (vmread(ENC_guest_physical_address) != far + DATA_OFFSET ||
						    vmread(ENC_guest_linear_address) != scratch(PAGE) + DATA_OFFSET))
		wrong("the violation must be at %lx", far + DATA_OFFSET);
	case_end();
}

/* Accesses to two pages of which the second is absent; what a string instruction has done is done. */
L2_CODE(access_across, "mov %rax, 0xffc(%rbx)");
L2_CODE(access_string, "lea 0xff0(%rbx), %rdi\nmov $0x20, %ecx\nrep stosb");

static void across(void)
{
	static const struct access rows[] = {
		{ "write", access_across, EPT_WRITE, PAGE_SIZE }, { "string", access_string, EPT_WRITE, PAGE_SIZE },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;
		u64 address = make_access(&rows[i], 1);

		exit = run("across.%s", rows[i].name);
		expect_violation(&exit, &rows[i], 0, address);
		observe("last=%lx", targets[0][EPT_ENTRIES - 1]);
		if (i == 1 && l2.gpr[RCX] != 0x10)
			wrong("RCX must be what is left to do");
		case_end();
	}
}

/* Devices through EPT are the machine's: the local APIC's version, the reset vector. */
static void devices(void)
{
	static const struct {
		const char *name;
		u64 address;
	} rows[] = { { "apic_version", 0xfee00030 }, { "reset_vector", 0xfffffff0 } };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct l2_exit exit;

		make_access(&(struct access){ "read_32", access_read_32, EPT_READ, DATA_OFFSET }, 1);
		*window_entry(1) = (rows[i].address & PAGE_MASK) | EPT_RWX; /* uncached */
		l2.gpr[RBX] += rows[i].address % PAGE_SIZE - DATA_OFFSET;
		exit = run("device.%s", rows[i].name);
		expect_exit(&exit, REASON_vmcall);
		if (l2.gpr[RCX] != *(volatile u32 *)rows[i].address)
			wrong("L2 must read what L1 reads");
		case_end();
	}
}

void group(void)
{
	vmx_start();
	scratch_init();
	rights();
	rights_of_two_levels();
	accessed_dirty();
	entry_bits();
	sizes();
	mended();
	invalidated();
	two_epts();
	invvpid_types();
	walks();
	pdptes_absent();
	far_address();
	across();
	devices();
}
