#include "guest.h"
#include "apic.h"
#include "boot.h"
#include "devices.h"
#include "enter.h"
#include "ept_map.h"
#include "exits.h"
#include "fail.h"
#include "fields.h"
#include "insn.h"
#include "manner.h"
#include "options.h"
#include "print.h"
#include "shadow_paging.h"
#include "string.h"
#include "timer.h"
#include "vmcs.h"
#include "vmx_root.h"

#define COUNT_DEFAULT 100
#define COUNT_MAX 1000000000000ull
#define MEMORY_MIB_DEFAULT 6
#define MEMORY_MIB_MIN 2
#define MEMORY_MIB_MAX 1024
#define LARGE_PAGE_SIZE MIB(2)
#define SECOND_VPID 0x8000 /* beside the VPID of the first virtual CPU */

static const struct guest *current;

void *guest_memory(const struct guest *guest, u64 address, u64 size)
{
	if (address > guest->memory_size || size > guest->memory_size - address)
		return NULL;
	return guest->memory + address;
}

static void read_options(struct guest *guest, const char *line)
{
	first_word(line, guest->name, sizeof(guest->name));
	if (!*guest->name)
		fail("a module's command line must begin with the guest's name, as in \"cpuid count=1000\"");
	options_check(line, "count|map|hlt|memory|what");
	guest->map = option_choice(line, "map", settings.map, MAP_CHOICES);
	guest->hlt_exits = option_choice(line, "hlt", settings.hlt_exits, "wait|exit");
	guest->memory_size = MIB(ALIGN_UP(
		option_number(line, "memory", MEMORY_MIB_DEFAULT, MEMORY_MIB_MIN, MEMORY_MIB_MAX), 2));
}

static bool is_payload(const struct guest_header *header, u64 size)
{
	const struct multiboot_header *image = &header->multiboot;

	return size >= sizeof(*header) && image->magic == MULTIBOOT_HEADER_MAGIC &&
	       header->magic == GUEST_MAGIC && image->header_addr == GUEST_LOAD_ADDRESS &&
	       image->load_addr == GUEST_LOAD_ADDRESS && image->load_end_addr - GUEST_LOAD_ADDRESS <= size &&
	       image->bss_end_addr >= image->load_end_addr;
}

static const struct guest_header *load_image(struct guest *guest, const struct multiboot_module *module)
{
	const struct guest_header *header = (const void *)(uintptr_t)module->start;
	const struct multiboot_header *image = &header->multiboot;

	if (!is_payload(header, module->end - module->start))
		fail("the module of guest %s is no payload: give it a flat image out of l1/guests",
		     guest->name);
	if (image->bss_end_addr > guest->memory_size)
		fail("the payload of guest %s needs %u KiB: raise memory=", guest->name,
		     image->bss_end_addr / 1024);
	memcpy(guest->memory + image->load_addr, header, image->load_end_addr - image->load_addr);
	memset(guest->memory + image->load_end_addr, 0, image->bss_end_addr - image->load_end_addr);
	guest->image_end = ALIGN_UP(image->bss_end_addr, PAGE_SIZE);
	return header;
}

static void pass_parameters(struct guest *guest, const char *line)
{
	guest->parameters = guest_memory(guest, GUEST_PARAMETERS_ADDRESS, sizeof(*guest->parameters));
	*guest->parameters = (struct guest_parameters){
		.count = option_number(line, "count", COUNT_DEFAULT, 1, COUNT_MAX),
		.memory_size = guest->memory_size,
	};
	option_text(line, "what", guest->parameters->what, GUEST_WHAT_SIZE);
	guest->registers.gpr[RDI] = GUEST_PARAMETERS_ADDRESS;
}

/* Its VMCS, which becomes current. */
static void start_at(struct guest *guest, u64 address)
{
	guest->vmcs = vmx_new_vmcs();
	vmx_make_current(guest->vmcs);
	current = guest;
	guest->fields = fields_new_page();
	fields_follow(guest->fields);
	vmcs_setup(guest, address);
}

static void switch_to(const struct guest *guest)
{
	if (current != guest) {
		vmx_make_current(guest->vmcs);
		fields_follow(guest->fields);
	}
	current = guest;
	write_cr2(guest->cr2);
}

void guest_create(struct guest *guest, const struct multiboot_module *module, u16 vpid)
{
	const char *line = (const char *)(uintptr_t)module->string;
	const struct guest_header *image;

	read_options(guest, line);
	guest->vpid = vpid;
	guest->owner = guest->turn = guest;
	guest->memory =
		memory_take(guest->memory_size, guest->map == MAP_large ? LARGE_PAGE_SIZE : PAGE_SIZE);
	image = load_image(guest, module);
	pass_parameters(guest, line);
	guest->cr3 = image->cr3;
	if (settings.ept)
		ept_init(guest);
	else
		shadow_init(guest);
	start_at(guest, image->entry64);
	guest->running = true;
}

/* Where one of two sleeps, the other is to run: HLT exits in both. */
static struct guest *second_of(struct guest *guest)
{
	struct guest *second = memory_take_zeroed(sizeof(*second));

	memcpy(second->name, guest->name, sizeof(second->name));
	second->owner = guest;
	second->vpid = guest->vpid | SECOND_VPID;
	second->hlt_exits = true;
	second->map = guest->map;
	second->memory = guest->memory;
	second->memory_size = guest->memory_size;
	second->image_end = guest->image_end;
	second->parameters = guest->parameters;
	second->ept_root = guest->ept_root;
	second->cr3 = settings.ept ? vmcs_read(guest_cr3) : guest->cr3;
	return second;
}

bool guest_start_second(struct guest *guest, u64 address)
{
	if (guest->owner->second)
		return false;
	vmcs_write(primary_processor_based_controls,
		   vmcs_read(primary_processor_based_controls) | PROC_hlt_exiting);
	guest->second = second_of(guest);
	if (!settings.ept)
		shadow_init(guest->second);
	guest->cr2 = read_cr2();
	start_at(guest->second, address);
	switch_to(guest);
	guest_hand_over(guest, guest->second);
	return true;
}

static void run_to_exit(struct guest *guest)
{
	enum vmx_outcome outcome;

	manner_entering(guest);
	outcome = vmx_enter(&guest->registers, guest->launched);

	if (UNLIKELY(outcome != VMX_SUCCEED))
		vmx_failed(guest->launched ? "VMRESUME" : "VMLAUNCH", outcome);
	guest->launched = true;
}

void guest_hand_over(struct guest *from, struct guest *to)
{
	if (!from->timer_armed)
		from->owner->turn = to;
}

static struct guest *take_turn(struct guest *from)
{
	struct guest *to = from->owner->turn;

	from->cr2 = read_cr2();
	switch_to(to);
	apic_deliver(to);
	return to;
}

void guest_run(struct guest *guest)
{
	struct guest *cpu = guest->turn;

	switch_to(cpu);
	for (u64 exits = 0; guest->running && (exits < settings.quantum || cpu->timer_armed); exits++) {
		run_to_exit(cpu);
		handle_exit(cpu);
		if (UNLIKELY(guest->turn != cpu))
			cpu = take_turn(cpu);
	}
	cpu->cr2 = read_cr2();
}

void guest_end(struct guest *cpu, bool success)
{
	struct guest *guest = cpu->owner;

	guest->running = false;
	guest->failed = !success;
	if (cpu->timer_armed)
		timer_cancel();
	cpu->timer_armed = false;
	console_flush(guest);
	print_exits(guest);
	print("[%s] ended: %s\n", guest->name, success ? "success" : "failure");
}

void guest_fail(struct guest *guest, const char *format, ...)
{
	va_list args;

	console_flush(guest->owner);
	print("[%s] minivisor: ", guest->name);
	va_start(args, format);
	vprint(format, args);
	va_end(args);
	print("\n");
	guest_end(guest, false);
}
