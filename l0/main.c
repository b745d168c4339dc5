/* L0's start, from the boot loader to L1's first instruction. */
#include "boot_info.h"
#include "l1_apic.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "options.h"
#include "payload.h"
#include "print.h"
#include "self_check.h"
#include "smp.h"
#include "string.h"
#include "test_fault.h"
#include "trace.h"
#include "version.h"
#include "vmcs_shadow/msr_values.h"

NORETURN void l0_main(u32 magic, u32 info);

struct vmx_capabilities host_caps;
static struct boot_info boot;

static void probe_capabilities(void)
{
	u32 address_sizes = cpuid(0x80000008, 0).eax;

	if (!(cpuid(1, 0).ecx & CPUID1_ECX_VMX))
		l0_refuse("this CPU has no VMX (CPUID.1:ECX.VMX), which L0 needs; choose a CPU model that has it");
	for (u32 i = 0; i < VMX_CAPABILITY_MSRS; i++)
		if (rdmsr_safe(MSR_VMX_FIRST + i, &host_caps.msr[i]))
			host_caps.present |= 1u << i;
	host_caps.maxphyaddr = (u8)address_sizes;
	host_caps.page1g = cpuid(0x80000001, 0).edx & CPUID_EXT1_EDX_PAGE1G;
	host_caps.s_cet = s_cet_bits(cpuid(7, 0).ecx & CPUID7_ECX_SHADOW_STACKS,
				     cpuid(7, 0).edx & CPUID7_EDX_INDIRECT_BRANCH_TRACKING);
	if (capabilities_missing(&host_caps))
		l0_refuse("this CPU's VMX lacks \"%s\", which L0 needs; choose a CPU model that has it",
			  capabilities_missing(&host_caps));
}

/* SDM "Enabling and Entering VMX Operation" */
static void enable_vmx(struct cpu *cpu)
{
	u32 *region = pool_allocate(1);
	u64 enable = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON_OUTSIDE_SMX;

	cpu->feature_control = rdmsr(MSR_IA32_FEATURE_CONTROL);
	if (!(cpu->feature_control & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_IA32_FEATURE_CONTROL, cpu->feature_control | enable);
	else if (!(cpu->feature_control & FEATURE_CONTROL_VMXON_OUTSIDE_SMX))
		l0_refuse("the firmware has locked VMX off (IA32_FEATURE_CONTROL); switch it on in the set-up");
	write_cr0((read_cr0() | capability(&host_caps, MSR_IA32_VMX_CR0_FIXED0) | CR0_WP) &
		  capability(&host_caps, MSR_IA32_VMX_CR0_FIXED1));
	write_cr4((read_cr4() | capability(&host_caps, MSR_IA32_VMX_CR4_FIXED0) |
		   (cpuid(1, 0).ecx & CPUID1_ECX_XSAVE ? CR4_OSXSAVE : 0)) &
		  capability(&host_caps, MSR_IA32_VMX_CR4_FIXED1));
	region[0] = (u32)(capability(&host_caps, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
	if (vmxon(home_physical(region)) != VMX_SUCCEED)
		l0_panic("VMXON failed");
}

/*
 * A field exists if VMREAD knows it. The emulated CPU, if it is not alone, knows some at first that its model has not:
 * those go by their controls.
 */
static void probe_fields(void)
{
	for (unsigned f = 0; f < VMCS_FIELDS; f++) {
		u64 value;

		if (vmread_checked(vmcs_field[f].encoding, &value) == VMX_SUCCEED)
			field_set_add(&host_caps.fields, (enum vmcs_field)f);
	}
	capabilities_limit_fields(&host_caps);
}

struct cpu *cpu_bring_up(unsigned number, u64 ram_bytes)
{
	struct cpu *cpu = pool_allocate(ALIGN_UP(sizeof(struct cpu), PAGE_SIZE) / PAGE_SIZE);

	cpu->number = number;
	l1_walk_forget(&cpu->walk);
	cpu_tables_init(number);
	enable_vmx(cpu);
	vmcs01_init(cpu);
	probe_fields();
	nested_init(cpu, ram_bytes);
	cpus[number] = cpu;
	cpu_count++;
	apic_init(cpu);
	return cpu;
}

/* What L0 takes beyond its image: fixed at start, whatever L1 does. */
static u64 memory_wanted(void)
{
	u64 page_tables = boot.ram_bytes / GIB(1) * 2 + 64;
	u64 per_cpu = sizeof(struct cpu) / PAGE_SIZE + 8 + nested_memory_pages(boot.ram_bytes);
	u64 pages = page_tables + options.cpus * per_cpu + l1_memory_pages(boot.ram_bytes) +
		    trace_memory_pages();

	return pages * PAGE_SIZE;
}

/* What L1 will not be offered, or L0 does in another way. */
static void print_lacks(void)
{
	unsigned next = 0;
	const char *name, *separator = "this CPU lacks: ";

	for (; (name = capabilities_next_lacked(&host_caps, &next)); separator = ", ")
		print("%s%s", separator, name);
	print("%s\n", *separator == ',' ? "" : "this CPU lacks nothing that L0 uses");
}

static void print_vmcs01(void)
{
	print("run\tvmcs01\t");
	for (unsigned i = 0; i < cpu_count; i++)
		print("%s0x%lx", i ? " " : "", cpus[i]->vmcs01);
	print("\n");
}

static void print_start(void)
{
	print("Turtles L0 %s\n", TURTLES_COMMIT);
	print("home %lx to %lx (%lu KiB), %lu KiB of it free; EPTP01 %lx\n", home.start, home.end,
	      (home.end - home.start) >> 10, pool_free_pages() << PAGE_SHIFT >> 10, eptp01);
	print("pools: EPT01 %lu tables; each of %u CPUs: EPT02 %u tables for %u EPTP12, %u VMCS02\n",
	      ept01_tables(), cpu_count,
	      cpus[0]->nested.ept02_stack.total, options.ept02_slots, cpus[0]->nested.slot_count);
	print_lacks();
	print_vmcs01();
	options_print();
}

void l0_main(u32 magic, u32 info)
{
	struct cpu *cpu;

	log_init();
	cpu_tables_init(0); /* from here on L0 can tell its own faults */
	boot_info_copy(&boot, magic, info);
	options_parse(boot.command_line);
	log_init();
	probe_capabilities();
	memory_init(&boot, memory_wanted());

	icr_choose();
	bitmaps01_init();
	l1_memory_init(&boot);
	cpu = cpu_bring_up(0, boot.ram_bytes);
	smp_start(boot.ram_bytes);
	print_start();
	trace_init();

	payload_start(cpu, &boot);
	test_fault(cpu);
	self_check_init();
	stats_init(cpu);
	cpu_run(cpu);
}
