/* What kvmrun's files share: the guest's memory, the ways in, devices, and how to give up. */
#ifndef KVMRUN_H
#define KVMRUN_H

#include "types.h"
#include <linux/kvm.h>

/* Exit statuses. An end by the clock has that of timeout(1). */
enum { KVMRUN_SUCCESS = 0, KVMRUN_FAILURE = 1, KVMRUN_USAGE = 2, KVMRUN_TIMEOUT = 124 };

/* One line on standard error, and the end. With errno's text behind it where that says why. */
NORETURN void fail(const char *format, ...) PRINTF_LIKE(1, 2);
NORETURN void fail_errno(const char *format, ...) PRINTF_LIKE(1, 2);

/* Guest-physical memory, [0, memory_size), as one block of ours. */
extern u8 *memory;
extern u64 memory_size;

/* Where in the first MiB what is; Linux and multiboot loaders keep it alike. */
#define INFO_ADDRESS 0x10000u    /* multiboot information, or Linux's boot parameters */
#define COMMAND_LINE_ADDRESS 0x20000u
#define COMMAND_LINE_SIZE 2048u
#define GDT_ADDRESS 0x9000u
#define LOW_MEMORY_END 0x9fc00u
#define ACPI_ADDRESS 0xf0000u

/* A file that the guest gets, with its words: an initramfs, or a multiboot module. */
struct module {
	const char *file;
	const char *text;
};

/* How the first CPU starts: in 32-bit protected mode, with flat segments, at entry. */
struct start {
	u32 entry;
	u32 eax, ebx, esi;
};

/* Loads a multiboot 1 image or a bzImage with its command line and modules. */
struct start image_load(const char *file, const char *command_line, const struct module *modules, unsigned count);

/* ACPI's tables, at ACPI_ADDRESS, and the registers that they name, which are among the devices. */
#define PORT_PM1_EVENT 0x600u /* two of 16 bits: status and enable */
#define PORT_PM1_CONTROL 0x604u
void acpi_write(unsigned cpus);

/* What a write to a port asks of the machine. */
enum device_answer { DEVICE_GO_ON, DEVICE_END };

/* Devices on ports. Console lines get this before them; COM2 goes to the log. */
void devices_init(int vm, const char *console_prefix, const char *log_file);
enum device_answer device_out(u16 port, u32 value);
u32 device_in(u16 port);
/* What is left of a line. */
void devices_flush(void);
/* The status that the guest wrote to TURTLES_PORT_EXIT; failure until then. */
int device_status(void);

#endif
