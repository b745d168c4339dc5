/*
 * String I/O of L2 on a port that is absent on L0 as it is on the bare machine, COM2: its memory operand meets L2's
 * page tables, EPT12 and exits on the way, with and without the exits that L1 can ask for.
 */
#include "lib/ept12.h"
#include "lib/feature.h"
#include "l1/minivisor/boot.h"
#include "ports.h"
#include "string.h"

#define COUNT 6
#define NOT_MAPPED (GIB(4) - 2)
#define STRING_LENGTH 3 /* of the instructions at an address of 64 bits, with REP and an operand-size prefix */

static u64 *root;
static u8 *buffer; /* two pages */
static u64 left;

static u64 l2_insw(u64 address)
{
	u64 at = address, count = COUNT;

	__asm__ volatile(".byte 0x66, 0xf3, 0x6d" : "+D"(at), "+c"(count) : "d"(PORT_COM2) : "memory");
	left = count;
	return at - address;
}

static u64 l2_outsw(u64 address)
{
	u64 at = address, count = COUNT;

	__asm__ volatile(".byte 0x66, 0xf3, 0x6f" : "+S"(at), "+c"(count) : "d"(PORT_COM2) : "memory");
	left = count;
	return at - address;
}

static void show(const char *what, const struct exit *exit)
{
	print("%s: ", what);
	if (exit->outcome != VMX_SUCCEED)
		print("no entry, error %lu", exit->error);
	else if (exit->done)
		print("done, %lx bytes, %lu left", exit->rax, left);
	else
		print("exit %x, qualification %lx, physical +%lx, linear +%lx, interruption %lx", exit->reason,
		      exit->qualification, exit->reason == REASON_ept_violation ? exit->guest_physical_address -
		      (uintptr_t)buffer : 0, exit->reason == REASON_ept_violation ? exit->guest_linear_address -
		      (uintptr_t)buffer : 0, exit->interruption_information);
	print("; cr2 %lx\n memory", read_cr2());
	for (unsigned i = PAGE_SIZE - 8; i < PAGE_SIZE + 8; i++)
		print(" %x", buffer[i]);
	print("\n");
	memset(buffer, 0, 2 * PAGE_SIZE);
	write_cr2(0x1234);
}

static void both(const char *what, u64 address)
{
	struct exit exit = guest_call(l2_insw, address);

	print("%s, INS", what);
	show("", &exit);
	tell_traps("");
	exit = guest_call(l2_outsw, address);
	print("%s, OUTS", what);
	show("", &exit);
	tell_traps("");
}

/* An EPT12 without some right to the second page: an exit there, and then the rest. */
static void without(const char *what, u64 rights)
{
	u64 *entry = ept12_entry(root, (uintptr_t)buffer + PAGE_SIZE, 1);
	u64 was = *entry;
	struct exit exit;

	print("%s\n", what);
	*entry &= ~rights;
	invept(INVEPT_global, 0);
	exit = guest_call(l2_insw, (uintptr_t)buffer + PAGE_SIZE - 5);
	show("INS", &exit);
	*entry = was;
	invept(INVEPT_global, 0);
	if (!exit.done)
		exit = guest_resume();
	show("and again", &exit);
	ept12_tell("flags", root, (uintptr_t)buffer + PAGE_SIZE);
	ept12_clean(root);
}

static void with_ept(const char *what, const struct controls *controls, bool flags)
{
	print("%s\n", what);
	guest_new(controls, ept12_pointer(root, flags));
	both("across pages", (uintptr_t)buffer + PAGE_SIZE - 5);
	ept12_tell("flags", root, (uintptr_t)buffer);
	ept12_tell("flags", root, (uintptr_t)buffer + PAGE_SIZE);
	ept12_clean(root);
	without("no right to write", EPT_WRITE);
	without("no right at all", EPT_RWX);
}

static void page_faults(void)
{
	static const struct controls none;

	guest_new(&none, 0);
	traps.skip = STRING_LENGTH;
	both("without EPT", (uintptr_t)buffer + PAGE_SIZE - 5);
	both("not mapped", NOT_MAPPED);
	both("not canonical", 0x800000000000);
	vmwrite(ENC_exception_bitmap, BIT(VECTOR_PF) | BIT(VECTOR_GP));
	both("not mapped, with an exit", NOT_MAPPED);
	both("not canonical, with an exit", 0x800000000000);
	vmwrite(ENC_page_fault_error_code_mask, PF_WRITE);
	both("not mapped, with an exit for reads alone", NOT_MAPPED);
}

bool feature(void)
{
	static const struct controls ept = { .proc2 = PROC2_enable_ept };

	root = ept12_new();
	buffer = memory_take_zeroed(2 * PAGE_SIZE);
	ept12_split(root, (uintptr_t)buffer);
	if (!IS_ALIGNED((uintptr_t)buffer, MIB(2)) && (uintptr_t)buffer % MIB(2) == MIB(2) - PAGE_SIZE)
		ept12_split(root, (uintptr_t)buffer + PAGE_SIZE);
	write_cr2(0x1234);
	page_faults();
	with_ept("EPT", &ept, false);
	if (ept_vpid_capabilities() & EPT_CAP_ACCESSED_DIRTY)
		with_ept("EPT with flags", &ept, true);
	return true;
}
