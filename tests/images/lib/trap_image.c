#include "trap_image.h"
#include "serial.h"
#include "turtles_abi.h"

void print(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	serial_write(PORT_COM1, text, length);
}

void word(const char *name, u32 value)
{
	char digits[] = "         ", *at = &digits[sizeof(digits) - 1];

	print(name);
	*--at = ' ';
	do
		*--at = "0123456789abcdef"[value & 0xf];
	while ((value >>= 4) && at > digits);
	print(at);
}

void fill_segment(u64 *descriptor, u32 base, u32 limit, u32 type, u32 flags)
{
	*descriptor = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
		      (u64)(limit >> 16 & 0xf) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

void fill_gate(u64 *gate, u32 selector, u32 offset, u32 type)
{
	*gate = (offset & 0xffff) | selector << 16 | (u64)type << 40 | (u64)(offset >> 16) << 48;
}

void load_tables(const u64 *gdt, u32 gdt_size, const u64 *idt, u32 idt_size)
{
	struct {
		u16 limit;
		u32 base;
	} PACKED pointer = { (u16)(gdt_size - 1), (u32)gdt };

	__asm__ volatile("lgdt %0" : : "m"(pointer) : "memory");
	pointer.limit = (u16)(idt_size - 1);
	pointer.base = (u32)idt;
	__asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}

void load_task_register(u16 selector)
{
	__asm__ volatile("ltr %0" : : "r"(selector) : "memory");
}

void finish(void)
{
	print(TURTLES_VERDICT_SUCCESS "\n");
	outb(TURTLES_PORT_EXIT, TURTLES_STATUS_SUCCESS);
	for (const char *byte = TURTLES_SHUTDOWN_BYTES; *byte; byte++)
		outb(TURTLES_PORT_SHUTDOWN, (u8)*byte);
	cpu_halt_forever();
}
