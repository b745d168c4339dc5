/* The tables of Intel's MultiProcessor Specification 1.4: CPUs, the I/O APIC, and the ISA bus's interrupts. */
#include "kvmrun.h"
#include <string.h>

#define LOCAL_APIC_ADDRESS 0xfee00000u
#define IO_APIC_ADDRESS 0xfec00000u
#define LOCAL_APIC_VERSION 0x14
#define IO_APIC_VERSION 0x11
#define ISA_BUS 0
#define ISA_IRQS 16
#define PIC_CASCADE_IRQ 2
#define ALL_LOCAL_APICS 0xff
#define CPU_ENABLED 1
#define CPU_BOOT 2

enum mp_entry { MP_CPU, MP_BUS, MP_IO_APIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
enum mp_interrupt { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };

struct mp_pointer {
	char signature[4];
	u32 table;
	u8 length, revision, checksum, feature[5];
} PACKED;

struct mp_header {
	char signature[4];
	u16 length;
	u8 revision, checksum;
	char maker[8], product[12];
	u32 oem_table;
	u16 oem_size, entries;
	u32 local_apic;
	u32 reserved;
} PACKED;

struct mp_cpu {
	u8 type, apic_id, apic_version, flags;
	u32 signature, features, reserved[2];
} PACKED;

struct mp_bus {
	u8 type, id;
	char name[6];
} PACKED;

struct mp_io_apic {
	u8 type, id, version, enabled;
	u32 address;
} PACKED;

struct mp_interrupt_entry {
	u8 type, kind;
	u16 flags;
	u8 bus, irq, apic, pin;
} PACKED;

static u8 checksum(const void *bytes, unsigned size)
{
	u8 sum = 0;

	for (unsigned i = 0; i < size; i++)
		sum += ((const u8 *)bytes)[i];
	return (u8)-sum;
}

static void add(struct mp_header *header, const void *entry, u16 size)
{
	memcpy((u8 *)header + header->length, entry, size);
	header->length += size;
	header->entries++;
}

static void add_interrupt(struct mp_header *header, u8 type, u8 kind, u8 irq, u8 apic, u8 pin)
{
	struct mp_interrupt_entry entry = { type, kind, 0, ISA_BUS, irq, apic, pin };

	add(header, &entry, sizeof(entry));
}

void mp_table_write(unsigned cpus)
{
	struct mp_pointer *pointer = (void *)(memory + MP_TABLE_ADDRESS);
	struct mp_header *header = (void *)(pointer + 1);
	u8 io_apic = (u8)cpus;

	*header = (struct mp_header){ "PCMP", sizeof(*header), 4, 0, "TURTLES ", "KVMRUN      ", 0, 0, 0,
				      LOCAL_APIC_ADDRESS, 0 };
	for (unsigned i = 0; i < cpus; i++)
		add(header, &(struct mp_cpu){ MP_CPU, (u8)i, LOCAL_APIC_VERSION, CPU_ENABLED | (i ? 0 : CPU_BOOT), 0, 0,
					      { 0 } }, sizeof(struct mp_cpu));
	add(header, &(struct mp_bus){ MP_BUS, ISA_BUS, "ISA   " }, sizeof(struct mp_bus));
	add(header, &(struct mp_io_apic){ MP_IO_APIC, io_apic, IO_APIC_VERSION, 1, IO_APIC_ADDRESS },
	    sizeof(struct mp_io_apic));
	for (u8 irq = 0; irq < ISA_IRQS; irq++)
		if (irq != PIC_CASCADE_IRQ)
			add_interrupt(header, MP_IO_INTERRUPT, MP_INT, irq, io_apic, irq);
	add_interrupt(header, MP_LOCAL_INTERRUPT, MP_EXTINT, 0, 0, 0);
	add_interrupt(header, MP_LOCAL_INTERRUPT, MP_NMI, 0, ALL_LOCAL_APICS, 1);
	header->checksum = checksum(header, header->length);
	*pointer = (struct mp_pointer){ "_MP_", MP_TABLE_ADDRESS + sizeof(*pointer), 1, 4, 0, { 0 } };
	pointer->checksum = checksum(pointer, sizeof(*pointer));
}
