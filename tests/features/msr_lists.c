/* MSR lists longer than IA32_VMX_MISC recommends, and entries that fail in them. */
#include "lib/feature.h"
#include "l1/minivisor/boot.h"

#define ENTRIES 2000
#define SHORT 4
#define TIMES 20

static struct vmx_msr_entry *list;

static u64 l2_read_lstar(u64 argument)
{
	(void)argument;
	return rdmsr(MSR_IA32_LSTAR);
}

static void fill(void)
{
	for (unsigned i = 0; i < ENTRIES; i++)
		list[i] = (struct vmx_msr_entry){ MSR_IA32_LSTAR, 0, 0x1000 + i };
}

static void enter(const char *what)
{
	struct exit exit = guest_call(l2_read_lstar, 0);

	tell(what, &exit);
	print(" L2 read %lx, L1 reads %lx, last stored %lx\n", exit.rax, rdmsr(MSR_IA32_LSTAR),
	      list[ENTRIES - 1].value);
}

/* In between is an exit of an L0, if there is one: nothing is loaded again when L2 goes on. */
static u64 l2_write_lstar(u64 value)
{
	wrmsr(MSR_IA32_LSTAR, value);
	(void)rdmsr(MSR_IA32_FEATURE_CONTROL);
	return rdmsr(MSR_IA32_LSTAR);
}

static void go_on(void)
{
	static const struct controls with_bitmap = { .proc = PROC_use_msr_bitmaps };

	guest_new(&with_bitmap, 0);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)memory_take_zeroed(PAGE_SIZE));
	vmwrite(ENC_vm_entry_msr_load_address, (uintptr_t)list);
	vmwrite(ENC_vm_entry_msr_load_count, SHORT);
	for (unsigned i = 0; i < 3; i++) {
		struct exit exit = guest_call(l2_write_lstar, 0x9000 + i);

		print("L2 wrote %x and read %lx\n", 0x9000 + i, exit.rax);
	}
}

/* One that a CPU can load as it stands, entered with again and again. */
static void short_list(void)
{
	vmwrite(ENC_vm_entry_msr_load_count, SHORT);
	for (unsigned i = 0; i < TIMES; i++) {
		list[SHORT - 1].value = 0x5000 + i;
		enter("a short list to load at an entry");
	}
	list[SHORT - 1].value = BIT(62);
	enter("a bad value in it");
}

bool feature(void)
{
	static const struct controls none;

	list = memory_take_zeroed(ENTRIES * sizeof(*list));
	guest_new(&none, 0);
	fill();
	vmwrite(ENC_vm_entry_msr_load_address, (uintptr_t)list);
	vmwrite(ENC_vm_entry_msr_load_count, ENTRIES);
	enter("a long list to load at an entry");
	list[1500].index = MSR_IA32_FS_BASE;
	enter("a bad entry in it");
	list[1500].reserved = 1;
	list[1500].index = MSR_IA32_LSTAR;
	enter("a reserved bit in it");
	fill();
	short_list();
	vmwrite(ENC_vm_entry_msr_load_count, 0);
	fill();
	vmwrite(ENC_vm_exit_msr_load_address, (uintptr_t)list);
	vmwrite(ENC_vm_exit_msr_load_count, ENTRIES);
	enter("a long list to load at an exit");
	vmwrite(ENC_vm_exit_msr_load_count, 0);
	vmwrite(ENC_vm_exit_msr_store_address, (uintptr_t)list);
	vmwrite(ENC_vm_exit_msr_store_count, ENTRIES);
	wrmsr(MSR_IA32_LSTAR, 0x7777000);
	enter("a long list to store at an exit");
	go_on();
	return true;
}
