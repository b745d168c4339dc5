/* MSR lists longer than IA32_VMX_MISC recommends, and entries that fail in them. */
#include "lib/feature.h"
#include "l1/minivisor/boot.h"

#define ENTRIES 2000

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
	return true;
}
