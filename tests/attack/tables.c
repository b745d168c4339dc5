/* EPT12 that leads nowhere, into L0, or into itself. SDM "EPT Translation Mechanism". */
#include "ept.h"
#include "insn.h"
#include "places.h"

#define TOUCHED GIB(5) /* beyond what the good EPT12 maps, and what no page of its shares a table with */

static u64 directory[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 table[EPT_ENTRIES] __attribute__((aligned(4096)));
static u64 page[EPT_ENTRIES] __attribute__((aligned(4096)));
/* L2's own paging, which leads to TOUCHED by way of memory that EPT12 maps well. */
static u64 paging_pdpt[512] __attribute__((aligned(4096)));
static u64 paging_directory[512] __attribute__((aligned(4096)));
#define LINEAR BIT(40)

L2_CODE(code_read_write, "mov (%rdi), %rax\n mov %rax, 8(%rdi)");

enum { LEAF = MEMORY_WB << EPT_MEMORY_TYPE_SHIFT };

static u64 *pml4(void)
{
	return (u64 *)(l2_eptp() & EPTP_ADDRESS);
}

/* The entry of each level on the way to TOUCHED. */
static u64 *entry_at(unsigned level)
{
	switch (level) {
	case 4:
		return &pml4()[TOUCHED >> EPT_LEVEL_SHIFT(4)];
	case 3:
		return &((u64 *)(pml4()[0] & EPT_ADDRESS))[TOUCHED >> EPT_LEVEL_SHIFT(3)];
	case 2:
		return &directory[0];
	default:
		return &table[0];
	}
}

static void make(void)
{
	u64 *own = (u64 *)read_cr3(), flags = PTE_PRESENT | PTE_WRITE | PTE_USER;

	vmcs_make(code_read_write);
	*entry_at(3) = (u64)directory | EPT_RWX;
	*entry_at(2) = (u64)table | EPT_RWX;
	*entry_at(1) = (u64)page | EPT_RWX | LEAF;
	own[LINEAR >> 39 & 511] = (u64)paging_pdpt | flags;
	paging_pdpt[LINEAR >> 30 & 511] = (u64)paging_directory | flags;
	paging_directory[0] = TOUCHED | flags | PTE_LARGE;
	l2.gpr[RDI] = LINEAR;
	invept(INVEPT_global, 0);
}

static void run(bool observed)
{
	struct l2_exit exit = l2_enter();

	if (observed && exit.outcome != VMX_SUCCEED)
		observe("fail=%u", exit.error);
	else if (observed)
		observe("exit=%x qualification=%lx rax=%lx", exit.reason, exit.qualification, l2.gpr[RAX]);
	*entry_at(3) = 0;
	invept(INVEPT_global, 0);
	aftermath();
}

static void leads_to(unsigned level, const struct place *place, bool observed)
{
	case_begin("ept.level%u.%s", level, place->name);
	make();
	if (level == 1)
		*entry_at(1) = ALIGN_DOWN(place->address & EPT_ADDRESS, PAGE_SIZE) | EPT_RWX | LEAF;
	else
		*entry_at(level) = (place->address & EPT_ADDRESS) | EPT_RWX;
	run(observed);
}

/* A large page that lies half in L0's home. */
static void large_page(unsigned level, const struct place *place, bool observed)
{
	case_begin("ept.large%u.%s", level, place->name);
	make();
	*entry_at(level) = ALIGN_DOWN(place->address & EPT_ADDRESS, EPT_LEVEL_SIZE(level)) | EPT_RWX | LEAF | EPT_LARGE;
	run(observed);
}

static void loops(void)
{
	for (unsigned level = 2; level <= 3; level++) {
		case_begin("ept.loop%u", level);
		make();
		/* The table that the entry lies in: the walk ends after four steps, in a table taken for a page. */
		*entry_at(level) = ALIGN_DOWN((u64)entry_at(level), PAGE_SIZE) | EPT_RWX;
		run(level == 2);
	}
	case_begin("ept.root_in_itself");
	make();
	pml4()[1] = (u64)pml4() | EPT_RWX;
	paging_directory[0] = GIB(512) | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE;
	run(false);
	pml4()[1] = 0;
}

/* Every bit of an entry alone, at every level: reserved ones, rights without read, types that are none. */
static void bits(void)
{
	for (unsigned level = 1; level <= 3; level++)
		for (unsigned bit = 0; bit < 64; bit++) {
			case_begin("ept.level%u.bit%u", level, bit);
			make();
			*entry_at(level) ^= BIT(bit);
			/* Where the bit changes the address within RAM, what is read there is of no interest. */
			run(bit < 12 || bit >= 40);
		}
}

/* The table of sub-page write permissions, which L0 walks as well: at each level, and as a whole. */
static void sub_pages(unsigned level, const struct place *place, bool observed)
{
	static u64 tables[EPT_LEVELS + 1][EPT_ENTRIES] __attribute__((aligned(4096)));
	u64 root = (u64)tables[EPT_LEVELS];

	case_begin("sub_pages.level%u.%s", level, place->name);
	make();
	for (unsigned above = EPT_LEVELS; above > 1; above--)
		tables[above][TOUCHED >> EPT_LEVEL_SHIFT(above) & (EPT_ENTRIES - 1)] =
			(above == level ? place->address & EPT_ADDRESS : (u64)tables[above - 1]) | SPP_PRESENT;
	controls_set(PROC2_CTLS, PROC2_sub_page_write_permissions);
	vmwrite(ENC_sub_page_permission_table_pointer, level > EPT_LEVELS ? place->address & EPT_ADDRESS : root);
	*entry_at(1) = (u64)page | EPT_READ | EPT_SUB_PAGE | LEAF;
	run(observed);
}

void attack_tables(void)
{
	for (unsigned level = 1; level <= 3; level++)
		for (unsigned p = 0; p < PLACES; p++)
			leads_to(level, &places[p], places[p].address <= home_end || level > 1);
	for (unsigned level = 2; level <= 3; level++)
		for (unsigned p = 0; p < PLACES; p++)
			large_page(level, &places[p], false);
	for (unsigned level = 1; on_l0 && level <= 3; level++)
		for (unsigned p = DEVICE_MEMORY; p < DEVICE_PLACES; p++)
			leads_to(level, &device_places[p], false);
	for (unsigned level = 2; has_controls(PROC2_CTLS, PROC2_sub_page_write_permissions) && level <= 5; level++)
		for (unsigned p = 0; p < PLACES; p++)
			/* Of a vector of all ones the emulated CPU does not see that it is malformed. */
			sub_pages(level, &places[p], level > 2);
	loops();
	bits();
}
