/*
 * minivisor: a small VMX hypervisor, on the bare CPU or on one below that offers VMX. It runs one guest per
 * multiboot module, in turn, and says what exits each of them caused.
 */
#include "bench.h"
#include "boot.h"
#include "cpu.h"
#include "ept_map.h"
#include "fail.h"
#include "fields.h"
#include "guest.h"
#include "machine.h"
#include "options.h"
#include "print.h"
#include "serial.h"
#include "timer.h"
#include "vmx_root.h"

#define QUANTUM_DEFAULT 16
#define QUANTUM_MAX 1000000000

struct settings settings;

NORETURN void minivisor_main(u32 magic, u32 info);

static void read_settings(const char *line)
{
	options_check(line, "quantum|ept|vpid|drw|map|hlt|cr3|apicv|manner|bench");
	settings.quantum = option_number(line, "quantum", QUANTUM_DEFAULT, 1, QUANTUM_MAX);
	settings.ept = option_choice(line, "ept", 1, "off|on");
	settings.vpid = option_choice(line, "vpid", 1, "off|on");
	settings.drw = option_choice(line, "drw", 0, "off|on");
	settings.map = option_choice(line, "map", MAP_demand, MAP_CHOICES);
	settings.hlt_exits = option_choice(line, "hlt", 0, "wait|exit");
	settings.cr3_exits = option_choice(line, "cr3", 0, "pass|exit");
	settings.apicv = option_choice(line, "apicv", 0, "off|on");
	settings.manner = option_choice(line, "manner", MANNER_own, MANNER_CHOICES);
}

static void run_bench(const char *line)
{
	char list[OPTION_SIZE];

	if (option_find(line, "bench", list))
		bench_run(list);
}

static struct guest *create_guests(const struct boot *boot)
{
	struct guest *guests = memory_take_zeroed(boot->module_count * sizeof(struct guest));

	for (unsigned i = 0; i < boot->module_count; i++)
		guest_create(&guests[i], &boot->modules[i], (u16)(i + 1));
	return guests;
}

/* A quantum each, until all have ended. */
static bool run_guests(struct guest *guests, unsigned count)
{
	unsigned running = count, failed = 0;

	while (running)
		for (unsigned i = 0; i < count; i++) {
			if (!guests[i].running)
				continue;
			guest_run(&guests[i]);
			running -= !guests[i].running;
			failed += guests[i].failed;
		}
	return !failed;
}

void minivisor_main(u32 magic, u32 info)
{
	struct boot boot;
	struct guest *guests;

	serial_init(PORT_COM1);
	print_to_port(PORT_COM1);
	cpu_init();
	boot = boot_read(magic, info);
	read_settings(boot.command_line);
	vmx_on();
	if (settings.ept)
		ept_check();
	timer_init();
	print("minivisor: VMX is on; ept %s, vpid %s, quantum %lu, guests %u\n", settings.ept ? "on" : "off",
	      settings.vpid ? "on" : "off", settings.quantum, boot.module_count);
	fields_init(settings.drw);
	run_bench(boot.command_line);
	guests = create_guests(&boot);
	machine_verdict(run_guests(guests, boot.module_count));
}
