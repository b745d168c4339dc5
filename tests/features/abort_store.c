/* A VMX abort: an exit that has to store an MSR which cannot be read. The CPU shuts down. */
#include "lib/feature.h"
#include "l1/minivisor/boot.h"

#define NO_MSR 0x1234567

static u64 l2_nothing(u64 argument)
{
	return argument;
}

bool feature(void)
{
	static const struct controls none;
	struct vmx_msr_entry *list = memory_take_zeroed(sizeof(*list));

	guest_new(&none, 0);
	list->index = NO_MSR;
	vmwrite(ENC_vm_exit_msr_store_address, (uintptr_t)list);
	vmwrite(ENC_vm_exit_msr_store_count, 1);
	print("before the abort\n");
	guest_call(l2_nothing, 0);
	print("behind it\n");
	return false;
}
