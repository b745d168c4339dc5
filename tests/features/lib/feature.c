#include "feature.h"
#include "l1/guests/guest_abi.h"
#include "l1/minivisor/boot.h"
#include "l1/minivisor/cpu.h"
#include "l1/minivisor/fail.h"
#include "l1/minivisor/vmx_root.h"
#include "machine.h"
#include "serial.h"

NORETURN void feature_main(u32 magic, u32 info);

const char *command_line;

void feature_main(u32 magic, u32 info)
{
	serial_init(GUEST_PORT_CONSOLE);
	print_to_port(GUEST_PORT_CONSOLE);
	command_line = boot_read(magic, info).command_line;
	cpu_init();
	vmx_on();
	machine_verdict(feature());
}

u64 l2_read(u64 address)
{
	u64 value;

	__asm__ volatile("movq (%%rdi), %%rax" : "=a"(value) : "D"(address) : "memory");
	return value;
}

u64 l2_write(u64 address)
{
	__asm__ volatile("movq %%rax, (%%rdi)" : : "a"(address), "D"(address) : "memory");
	return 0;
}
