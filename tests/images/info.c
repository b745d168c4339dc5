/*
 * Prints all that multiboot told it, checks what can be checked, and ends with the verdict of that: its own
 * .bss is zero, its modules lie page-aligned above it, in memory that the map calls RAM. Two loaders that tell
 * the same get the same console.
 */
#include "insn.h"
#include "multiboot.h"
#include "serial.h"
#include "turtles_abi.h"

#define SHIFT_TOP_DIGIT 28
#define HASH_START 5381u
#define HASH_FACTOR 33u

NORETURN void main(u32 magic, const struct multiboot_info *info);
extern const char start[], end[];

static u32 cleared[4096];
static bool success = true;

static void print(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	serial_write(PORT_COM1, text, length);
}

static void print_hex(u32 value)
{
	for (int shift = SHIFT_TOP_DIGIT; shift >= 0; shift -= 4)
		serial_write(PORT_COM1, &"0123456789abcdef"[value >> shift & 0xf], 1);
}

static void line(const char *name, u32 value)
{
	print(name);
	print_hex(value);
	print("\n");
}

static void expect(bool holds, const char *what)
{
	if (holds)
		return;
	print("not so: ");
	print(what);
	print("\n");
	success = false;
}

static u32 hash(u32 from, u32 to)
{
	u32 sum = HASH_START;

	for (const u8 *p = (const u8 *)from; p < (const u8 *)to; p++)
		sum = sum * HASH_FACTOR + *p;
	return sum;
}

static bool is_ram(const struct multiboot_info *info, u32 from, u32 to)
{
	u32 at = info->mmap_addr;

	while (at < info->mmap_addr + info->mmap_length) {
		const struct multiboot_mmap_entry *e = (const struct multiboot_mmap_entry *)at;

		if (e->type == MULTIBOOT_RAM && from >= e->address && to <= e->address + e->length)
			return true;
		at += e->size + sizeof(e->size);
	}
	return false;
}

static void show_module(const struct multiboot_info *info, const struct multiboot_module *m)
{
	print("module \"");
	print((const char *)m->string);
	line("\" size ", m->end - m->start);
	line("  hash ", hash(m->start, m->end));
	expect(IS_ALIGNED(m->start, PAGE_SIZE), "the module is page-aligned");
	expect(m->start >= (u32)end, "the module lies above the kernel");
	expect(is_ram(info, m->start, m->end), "the module lies in RAM");
}

static NORETURN void finish(void)
{
	print(success ? TURTLES_VERDICT_SUCCESS "\n" : TURTLES_VERDICT_FAILURE "\n");
	outb(TURTLES_PORT_EXIT, success ? TURTLES_STATUS_SUCCESS : TURTLES_STATUS_FAILURE);
	for (const char *byte = TURTLES_SHUTDOWN_BYTES; *byte; byte++)
		outb(TURTLES_PORT_SHUTDOWN, *byte);
	cpu_halt_forever();
}

void main(u32 magic, const struct multiboot_info *info)
{
	const struct multiboot_module *modules = (const struct multiboot_module *)info->mods_addr;

	serial_init(PORT_COM1);
	expect(magic == MULTIBOOT_BOOT_MAGIC, "EAX holds the magic number");
	for (size_t i = 0; i < ARRAY_SIZE(cleared); i++)
		expect(cleared[i] == 0, ".bss is zero");
	line("lower ", info->mem_lower >> 8);
	line("upper ", info->mem_upper >> 10);
	print("command line \"");
	print((const char *)info->cmdline);
	print("\"\n");
	expect(is_ram(info, (u32)start, (u32)end), "the kernel lies in RAM");
	expect(!is_ram(info, 0xa0000, 0xa1000), "video memory is not RAM");
	for (u32 i = 0; i < info->mods_count; i++)
		show_module(info, &modules[i]);
	finish();
}
