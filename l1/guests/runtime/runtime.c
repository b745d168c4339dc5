#include "runtime.h"
#include "machine.h"
#include "print.h"
#include "serial.h"
#include "string.h"

#define VECTORS 64
#define LINE_SIZE 128
#define COUNT_DEFAULT 100
#define COUNT_KEY "count="
#define WHAT_KEY "what="
#define GATE_INTERRUPT_64 0x8e
#define GATE_CPL3 0x60
#define SELECTOR_CODE 8

/* SDM "64-Bit Mode IDT" */
struct gate {
	u16 offset_low, selector;
	u8 stack, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};

extern const u64 trap_stubs[VECTORS];
extern u8 image_end[];

volatile struct guest_parameters *parameters;

static struct guest_parameters own_parameters;
static struct gate idt[VECTORS];
static void (*handlers[VECTORS])(struct trap_frame *frame);

NORETURN void runtime_start(struct guest_parameters *given, const struct multiboot_info *info);
void trap(struct trap_frame *frame);

bool on_minivisor(void)
{
	return parameters != &own_parameters;
}

/* minivisor's console is always ready, and asking would only cost exits; a real one must be asked. */
static void write_console(const char *text, size_t length)
{
	if (on_minivisor())
		while (length--)
			outb(GUEST_PORT_CONSOLE, (u8)*text++);
	else
		serial_write(GUEST_PORT_CONSOLE, text, length);
}

void report(const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;
	size_t length;

	va_start(args, format);
	length = (size_t)vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length] = '\n';
	write_console(line, length + 1);
}

static NORETURN void end(bool success)
{
	if (!on_minivisor())
		machine_verdict(success);
	machine_end(success ? TURTLES_STATUS_SUCCESS : TURTLES_STATUS_FAILURE);
}

void unexpected_trap(const struct trap_frame *frame)
{
	report("unexpected exception %lu at rip %lx, error code %lx, cr2 %lx", frame->vector, frame->rip,
	       frame->error_code, read_cr2());
	end(false);
}

void trap(struct trap_frame *frame)
{
	if (frame->vector < VECTORS && handlers[frame->vector]) {
		handlers[frame->vector](frame);
		return;
	}
	unexpected_trap(frame);
}

void on_trap(unsigned vector, void (*handler)(struct trap_frame *frame))
{
	handlers[vector] = handler;
}

static void load_idt(void)
{
	for (unsigned vector = 0; vector < VECTORS; vector++)
		idt[vector] = (struct gate){
			.offset_low = (u16)trap_stubs[vector],
			.selector = SELECTOR_CODE,
			.type = GATE_INTERRUPT_64,
			.offset_middle = (u16)(trap_stubs[vector] >> 16),
			.offset_high = (u32)(trap_stubs[vector] >> 32),
		};
	lidt(&(struct descriptor_pointer){ sizeof(idt) - 1, (uintptr_t)idt });
}

void open_gate(unsigned vector)
{
	idt[vector].type = GATE_INTERRUPT_64 | GATE_CPL3;
}

/* What stands behind "key="; the empty string if there is no such word. */
static const char *value_of(const char *line, const char *key)
{
	while (*line && strncmp(line, key, strlen(key)))
		line++;
	return *line ? line + strlen(key) : line;
}

static u64 count_in(const char *line)
{
	const char *digits = value_of(line, COUNT_KEY);
	u64 count = 0;

	if (!*digits)
		return COUNT_DEFAULT;
	for (; *digits >= '0' && *digits <= '9'; digits++)
		count = count * 10 + (u64)(*digits - '0');
	return count;
}

static void copy_what(char *what, const char *line)
{
	const char *word = value_of(line, WHAT_KEY);

	for (unsigned i = 0; i < GUEST_WHAT_SIZE - 1 && word[i] && word[i] != ' '; i++)
		what[i] = word[i];
}

static void read_multiboot_info(const struct multiboot_info *info)
{
	const char *line = info->flags & MULTIBOOT_INFO_CMDLINE ? (const char *)(uintptr_t)info->cmdline : "";

	own_parameters.count = count_in(line);
	copy_what(own_parameters.what, line);
	own_parameters.memory_size = MIB(1) + KIB(info->mem_upper);
}

u64 free_memory_start(void)
{
	return (uintptr_t)image_end;
}

u64 free_memory_end(void)
{
	return parameters->memory_size;
}

void runtime_start(struct guest_parameters *given, const struct multiboot_info *info)
{
	parameters = given ? given : &own_parameters;
	if (!given) {
		read_multiboot_info(info);
		serial_init(GUEST_PORT_CONSOLE);
		print_to_port(GUEST_PORT_CONSOLE);
	}
	load_idt();
	end(payload(parameters->count));
}
