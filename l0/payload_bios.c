/* L1 from the machine's own disk or CD: the BIOS boots it, in real mode, as at power-on. */
#include "payload_load.h"
#include "cpu.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "options.h"
#include "string.h"

/* The BIOS's data area and interrupt table, in low memory. */
#define BIOS_KIB_OF_MEMORY 0x413
#define INTERRUPT_15 (0x15 * sizeof(u32))
/* Which device the BIOS boots first lies in the clock's memory: the low half of this byte. */
#define PORT_CMOS_INDEX 0x70
#define PORT_CMOS_DATA 0x71
#define CMOS_BOOT_ORDER 0x3d
#define CMOS_BOOT_DISK 2
#define CMOS_BOOT_CDROM 3

#define MAP_ENTRIES 128
#define LEAST_CONVENTIONAL KIB(512)

struct bios_map_entry {
	u64 start, size;
	u32 type;
} PACKED;

/* As boot/bios.S has it. */
struct bios_data {
	u32 old_int15;
	u32 map_count;
	u16 kib_below_16m, blocks_above_16m; /* of 1 KiB and of 64 KiB */
	u16 kib_extended;                    /* above 1 MiB, as far as it goes */
	u16 padding;
	struct bios_map_entry map[MAP_ENTRIES];
} PACKED;

extern const char bios_stub[], bios_stub_end[], bios_int15[], bios_data[];

/* What the map is written to, and what of low memory the stub takes. */
struct map_writer {
	struct bios_data *data;
	u64 stub10;
};

static void write_sizes(struct bios_data *data, u64 end)
{
	u64 below = end < MIB(16) ? end : MIB(16), above = end > MIB(16) ? end - MIB(16) : 0;
	u64 extended = (end - MIB(1)) >> 10;

	data->kib_below_16m = (u16)((below - MIB(1)) >> 10);
	data->blocks_above_16m = (u16)(above >> 16);
	data->kib_extended = (u16)(extended < 0xffff ? extended : 0xffff);
}

static void put_map_entry(struct bios_data *data, u64 start, u64 end, u32 type)
{
	if (data->map_count == MAP_ENTRIES)
		l0_refuse("the memory map has more than the %u ranges that INT 15h can tell of here", MAP_ENTRIES);
	data->map[data->map_count++] = (struct bios_map_entry){ start, end - start, type };
}

static void add_map_entry(void *context, u64 start, u64 end, u32 type)
{
	struct map_writer *writer = context;

	if (type == MULTIBOOT_RAM && start < writer->stub10 && end > writer->stub10) {
		put_map_entry(writer->data, writer->stub10, end, MULTIBOOT_RESERVED);
		end = writer->stub10;
	}
	put_map_entry(writer->data, start, end, type);
	if (type == MULTIBOOT_RAM && start == MIB(1))
		write_sizes(writer->data, end);
}

static void choose_device(void)
{
	outb(PORT_CMOS_INDEX, CMOS_BOOT_ORDER);
	outb(PORT_CMOS_DATA, options.l1 == L1_disk ? CMOS_BOOT_DISK : CMOS_BOOT_CDROM);
}

/* Takes the stub's memory off the end of what the BIOS says there is, for L1 to leave it alone. */
static u64 take_conventional(u64 size)
{
	u16 *kib = l1_pointer(BIOS_KIB_OF_MEMORY, sizeof(*kib));
	u64 end = kib ? KIB(*kib) : 0, place;

	ASSERT(size <= PAGE_SIZE);
	if (end < LEAST_CONVENTIONAL || end >= MIB(1))
		l0_refuse("l1=disk and l1=cdrom need a machine whose BIOS has run, and l1_offset=0");
	for (place = ALIGN_DOWN(end - size, PAGE_SIZE); !l1_pointer(place, size); place -= PAGE_SIZE)
		ASSERT(place > 0);
	*kib = (u16)(place >> 10);
	return place;
}

u8 payload_load_bios(const struct boot_info *boot)
{
	u64 size = (u64)(bios_stub_end - bios_stub), place10 = take_conventional(size);
	u8 *stub = l1_pointer(place10, size);
	struct bios_data *data = (void *)(stub + (bios_data - bios_stub));
	u32 *vector = l1_pointer(INTERRUPT_15, sizeof(*vector));

	memcpy(stub, bios_stub, size);
	data->old_int15 = *vector;
	*vector = (u32)(place10 >> 4) << 16 | (u32)(bios_int15 - bios_stub);
	payload_memory_map(boot, add_map_entry, &(struct map_writer){ data, place10 });
	choose_device();
	return (u8)(place10 >> PAGE_SHIFT);
}
