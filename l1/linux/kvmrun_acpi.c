/*
 * ACPI's tables (Advanced Configuration and Power Interface Specification 6.4, "ACPI System Description Tables"), by
 * which an operating system finds the CPUs and the interrupt controllers, and a way to switch the machine off.
 */
#include "kvmrun.h"
#include <string.h>

#define LOCAL_APIC_ADDRESS 0xfee00000u
#define IO_APIC_ADDRESS 0xfec00000u
#define SCI_IRQ 9
#define ALL_PROCESSORS 0xff
#define NMI_LINT 1
#define CMOS_CENTURY 50

#define FADT_REVISION 3
#define FADT_LEGACY_DEVICES BIT(0) /* the serial ports, at their old places */
#define FADT_NO_VGA BIT(2)
#define FADT_WBINVD BIT(0)
#define FADT_NO_POWER_BUTTON BIT(4)
#define FADT_NO_SLEEP_BUTTON BIT(5)
#define FADT_NO_RTC_WAKE BIT(6)
#define MADT_PCAT_COMPATIBLE 1
#define MADT_CPU_ENABLED 1

enum { MADT_LOCAL_APIC = 0, MADT_IO_APIC = 1, MADT_LOCAL_APIC_NMI = 4 };

struct acpi_rsdp {
	char signature[8];
	u8 checksum;
	char maker[6];
	u8 revision;
	u32 rsdt, length;
	u64 xsdt;
	u8 extended_checksum, reserved[3];
} PACKED;

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char maker[6], product[8];
	u32 product_revision;
	char tool[4];
	u32 tool_revision;
} PACKED;

struct acpi_xsdt {
	struct acpi_header header;
	u64 tables[2];
} PACKED;

struct acpi_fadt {
	struct acpi_header header;
	u32 facs, dsdt;
	u8 interrupt_model, profile;
	u16 sci_irq;
	u32 smi_command;
	u8 acpi_enable, acpi_disable, s4_bios, p_state;
	u32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	u8 pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	u8 gpe0_length, gpe1_length, gpe1_base, c_state;
	u16 c2_latency, c3_latency, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 boot_architecture;
	u8 reserved;
	u32 flags;
	u8 reset_register[12], reset_value, reserved2[3];
	u64 x_facs, x_dsdt;
	u8 x_registers[8][12];
} PACKED;
_Static_assert(sizeof(struct acpi_fadt) == 244, "FADT of ACPI 2.0");

struct acpi_madt {
	struct acpi_header header;
	u32 local_apic, flags;
	u8 entries[];
} PACKED;

struct madt_local_apic {
	u8 type, length, processor, id;
	u32 flags;
} PACKED;

struct madt_io_apic {
	u8 type, length, id, reserved;
	u32 address, first_irq;
} PACKED;

struct madt_local_apic_nmi {
	u8 type, length, processor;
	u16 flags;
	u8 lint;
} PACKED;

/* Name (_S5_, Package () { 0, 0, 0, 0 }): what to write into the control register's SLP_TYP to switch off. */
static const u8 dsdt_aml[] = { 0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0, 0, 0, 0 };

/* Where the next table goes. */
static u32 place;

static u8 checksum(const void *bytes, u32 size)
{
	u8 sum = 0;

	for (u32 i = 0; i < size; i++)
		sum += ((const u8 *)bytes)[i];
	return (u8)-sum;
}

/* Room for a table, zeroed. */
static void *table_begin(const char *signature, u8 revision, u32 size)
{
	struct acpi_header *header = (void *)(memory + place);

	*header = (struct acpi_header){
		.length = size, .revision = revision, .maker = "TURTLE", .product = "KVMRUN ", .tool = "TRTL",
	};
	memcpy(header->signature, signature, sizeof(header->signature));
	return header;
}

static void table_add(struct acpi_header *header, const void *entry, u32 size)
{
	memcpy((u8 *)header + header->length, entry, size);
	header->length += size;
}

/* Returns its address. */
static u32 table_end(struct acpi_header *header)
{
	u32 address = place;

	header->checksum = checksum(header, header->length);
	place = (u32)ALIGN_UP(place + header->length, 16);
	return address;
}

static u32 write_dsdt(void)
{
	struct acpi_header *dsdt = table_begin("DSDT", 2, sizeof(*dsdt));

	table_add(dsdt, dsdt_aml, sizeof(dsdt_aml));
	return table_end(dsdt);
}

static u32 write_fadt(u32 dsdt)
{
	struct acpi_fadt *fadt = table_begin("FACP", FADT_REVISION, sizeof(*fadt));

	fadt->dsdt = dsdt;
	fadt->x_dsdt = dsdt;
	fadt->sci_irq = SCI_IRQ;
	fadt->pm1a_event = PORT_PM1_EVENT;
	fadt->pm1_event_length = 4;
	fadt->pm1a_control = PORT_PM1_CONTROL;
	fadt->pm1_control_length = 2;
	fadt->c2_latency = fadt->c3_latency = 0xffff; /* there is neither */
	fadt->century = CMOS_CENTURY;
	fadt->boot_architecture = FADT_LEGACY_DEVICES | FADT_NO_VGA;
	fadt->flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_NO_RTC_WAKE;
	return table_end(&fadt->header);
}

static u32 write_madt(unsigned cpus)
{
	struct acpi_madt *madt = table_begin("APIC", FADT_REVISION, sizeof(*madt));
	struct madt_io_apic io_apic = { MADT_IO_APIC, sizeof(io_apic), (u8)cpus, 0, IO_APIC_ADDRESS, 0 };
	struct madt_local_apic_nmi nmi = { MADT_LOCAL_APIC_NMI, sizeof(nmi), ALL_PROCESSORS, 0, NMI_LINT };

	madt->local_apic = LOCAL_APIC_ADDRESS;
	madt->flags = MADT_PCAT_COMPATIBLE;
	for (unsigned i = 0; i < cpus; i++) {
		struct madt_local_apic cpu = { MADT_LOCAL_APIC, sizeof(cpu), (u8)i, (u8)i, MADT_CPU_ENABLED };

		table_add(&madt->header, &cpu, sizeof(cpu));
	}
	table_add(&madt->header, &io_apic, sizeof(io_apic));
	table_add(&madt->header, &nmi, sizeof(nmi));
	return table_end(&madt->header);
}

void acpi_write(unsigned cpus)
{
	struct acpi_rsdp *rsdp = (void *)(memory + ACPI_ADDRESS);
	struct acpi_xsdt *xsdt;
	u32 fadt, madt;

	place = (u32)ALIGN_UP(ACPI_ADDRESS + sizeof(*rsdp), 16);
	fadt = write_fadt(write_dsdt());
	madt = write_madt(cpus);
	xsdt = table_begin("XSDT", 1, sizeof(*xsdt));
	xsdt->tables[0] = fadt;
	xsdt->tables[1] = madt;
	*rsdp = (struct acpi_rsdp){ "RSD PTR ", 0, "TURTLE", 2, 0, sizeof(*rsdp), table_end(&xsdt->header), 0, { 0 } };
	rsdp->checksum = checksum(rsdp, offsetof(struct acpi_rsdp, length));
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}
