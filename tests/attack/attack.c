/* attack: an L1 that gives L0 whatever could make it harm itself. Runs on L0 with the switch self_check. */
#include "insn.h"
#include "multiboot.h"
#include "places.h"
#include "string.h"
#include "turtles_abi.h"

#define HOME_SIZE_BARE MIB(4)

u64 home_start, home_end;
bool on_l0;
struct place places[PLACES];
const struct place device_places[DEVICE_PLACES] = {
	{ "local_apic", 0xfee00000 }, { "video", 0xa0000 }, { "firmware", 0xfffff000 },
};

L2_CODE(code_ordinary, "mov $0x1234, %rax\npush %rax\npop %rbx");

static bool has_signature(void)
{
	struct cpuid_result leaf = cpuid(TURTLES_CPUID_SIGNATURE, 0);

	return memcmp(&leaf.ebx, TURTLES_SIGNATURE, 4) == 0 && memcmp(&leaf.ecx, TURTLES_SIGNATURE + 4, 4) == 0;
}

/* The lowest reserved block above 1 MiB; the bare CPU has none in RAM, and the memory right behind it stands for it. */
static void find_home(void)
{
	const struct multiboot_info *info = (const void *)(u64)multiboot_information;
	u64 at = info->mmap_addr, end = at + info->mmap_length, ram_end = 0;

	while (at < end) {
		const struct multiboot_mmap_entry *entry = (const void *)at;

		if (entry->type == MULTIBOOT_RAM && entry->address + entry->length > ram_end)
			ram_end = entry->address + entry->length;
		if (on_l0 && !home_start && entry->type != MULTIBOOT_RAM && entry->address >= MIB(2)) {
			home_start = entry->address;
			home_end = home_start + entry->length;
		}
		at += entry->size + sizeof(entry->size);
	}
	if (on_l0 && !home_start)
		give_up("the memory map has no place for L0");
	if (on_l0)
		return;
	home_start = ALIGN_UP(ram_end, MIB(2));
	home_end = home_start + HOME_SIZE_BARE;
}

u64 home_in_host(void)
{
	return home_start + MIB(command_line_number("l1_offset=", 0));
}

void places_init(void)
{
	u64 end = BIT(cpuid(0x80000008, 0).eax & 0xff);
	struct place table[PLACES] = {
		{ "home_first", home_start }, { "home_unaligned", home_start + PAGE_SIZE / 2 + 8 },
		{ "end_of_space", end - PAGE_SIZE }, { "beyond_space", end }, { "all_ones", ~0ull },
		{ "home_inside", home_start + MIB(1) + 5 * PAGE_SIZE }, { "home_last", home_end - PAGE_SIZE },
		{ "absent", GIB(3) - PAGE_SIZE }, { "far_beyond", BIT(51) },
	};

	memcpy(places, table, sizeof(places));
}

/* A guest of its own VMCS, which no attack touches: made once, run after each. */
static struct l2_exit run_ordinary(void)
{
	static bool made;
	u64 region = (u64)vmx_region(REGION_B);

	if (!made)
		vmcs_make_in(region, code_ordinary);
	else if (vmptrld(region) != VMX_SUCCEED)
		give_up("the next VMCS cannot be made current");
	l2_resumes(made);
	made = true;
	memset(&l2, 0, sizeof(l2));
	vmwrite(ENC_guest_rip, (u64)code_ordinary);
	vmwrite(ENC_guest_rsp, l2_stack_top());
	return l2_enter();
}

void aftermath(void)
{
	struct l2_exit exit;

	outb(TURTLES_PORT_CHECK, 0);
	exit = run_ordinary();
	if (exit.outcome != VMX_SUCCEED || exit.reason != REASON_vmcall || l2.gpr[RBX] != 0x1234)
		give_up("after this the next guest does not run: outcome %u, error %u, reason %x", exit.outcome,
			exit.error, exit.reason);
	case_end();
}

void group(void)
{
	on_l0 = has_signature();
	find_home();
	places_init();
	vmx_start();
	if (command_line_number("cpus=", 1) > 1) {
		attack_by_other_cpu();
		return;
	}
	attack_home();
	attack_operands();
	attack_fields();
	attack_tables();
	attack_lists();
	attack_aliases();
	attack_page();
	attack_pools();
}
