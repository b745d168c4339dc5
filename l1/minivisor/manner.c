#include "manner.h"
#include "fields.h"
#include "insn.h"

/* What SYSCALL and SWAPGS use: in no VMCS field, so switched by hand on the way to user space and back. */
static const enum msr_number switched_msrs[] = { MSR_IA32_LSTAR, MSR_IA32_FMASK, MSR_IA32_KERNEL_GS_BASE };

/* What is read is used by nobody here, and has to be read nevertheless. */
static volatile u64 kept;

static bool as_kvm87(void)
{
	return UNLIKELY(settings.manner == MANNER_kvm87);
}

void manner_exited(void)
{
	if (!as_kvm87())
		return;
	kept = vmcs_read(idt_vectoring_information);
	kept = vmcs_read(vm_exit_interruption_information);
	kept = vmcs_read(guest_interruptibility_state);
}

void manner_skipped(void)
{
	if (!as_kvm87())
		return;
	vmcs_write(guest_interruptibility_state,
		   vmcs_read(guest_interruptibility_state) & ~(u64)(INTERRUPTIBILITY_sti | INTERRUPTIBILITY_mov_ss));
}

void manner_entering(const struct guest *guest)
{
	if (!as_kvm87())
		return;
	vmcs_write(host_cr0, read_cr0());
	vmcs_write(host_rsp, (uintptr_t)&guest->registers.host_stack);
}

static void switch_to_host_msrs(u64 *of_guest)
{
	for (size_t i = 0; i < ARRAY_SIZE(switched_msrs); i++) {
		of_guest[i] = rdmsr(switched_msrs[i]);
		wrmsr(switched_msrs[i], 0);
	}
	wrmsr(MSR_IA32_FS_BASE, 0);
	wrmsr(MSR_IA32_GS_BASE, 0);
}

static void switch_to_guest_msrs(const u64 *of_guest)
{
	for (size_t i = 0; i < ARRAY_SIZE(switched_msrs); i++)
		wrmsr(switched_msrs[i], of_guest[i]);
}

/* TS of CR0 is set and cleared there, for the FPU is handed over as it is first used. */
static void set_task_switched(bool on)
{
	write_cr0(on ? read_cr0() | CR0_TS : read_cr0() & ~(u64)CR0_TS);
}

void manner_user_space(void)
{
	u64 of_guest[ARRAY_SIZE(switched_msrs)];

	if (!as_kvm87())
		return;
	kept = vmcs_read(guest_rflags);
	switch_to_host_msrs(of_guest);
	set_task_switched(true);
	set_task_switched(false);
	switch_to_guest_msrs(of_guest);
	vmcs_write(host_fs_selector, 0);
	vmcs_write(host_gs_selector, 0);
	vmcs_write(host_fs_base, 0);
	vmcs_write(host_gs_base, 0);
}
