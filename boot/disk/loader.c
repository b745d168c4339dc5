/*
 * Reads the image and its modules from the disk to where they belong; all is laid out by tools/mkdisk.c. The BIOS
 * would read them through a buffer below 1 MiB, a few sectors at a time. Here one command reads a whole segment, and
 * the CPU takes the sectors as they come: ATA/ATAPI-6, "PIO data-in command protocol".
 */
#include "boot/archive.h"
#include "boot/stop.h"
#include "insn.h"

#define ATA_DATA 0x1f0
#define ATA_SECTOR_COUNT 0x1f2
#define ATA_LBA_LOW 0x1f3
#define ATA_LBA_MIDDLE 0x1f4
#define ATA_LBA_HIGH 0x1f5
#define ATA_DEVICE 0x1f6
#define ATA_COMMAND 0x1f7
#define ATA_STATUS 0x1f7
#define ATA_CONTROL 0x3f6
#define ATA_DEVICE_LBA 0x40
#define ATA_READ_SECTORS_EXT 0x24
#define ATA_STATUS_ERROR 0x01
#define ATA_STATUS_DATA 0x08
#define ATA_STATUS_FAULT 0x20
#define ATA_STATUS_BUSY 0x80
#define ATA_CONTROL_NO_INTERRUPTS 0x02
#define ATA_SECTORS_MAX 0xffffu

/* What the BIOS says of the memory; see start.S. */
struct e820_entry {
	u64 address, length;
	u32 type;
} PACKED;

u32 disk_load(const struct e820_entry *map, u32 count);

static u8 sector_buffer[DISK_SECTOR];
static u8 archive_buffer[DISK_ARCHIVE_SECTORS * DISK_SECTOR];

/* The 48-bit registers are written high half first. */
static void ata_start(u32 sector, u32 count)
{
	outb(ATA_CONTROL, ATA_CONTROL_NO_INTERRUPTS);
	outb(ATA_DEVICE, ATA_DEVICE_LBA);
	outb(ATA_SECTOR_COUNT, count >> 8);
	outb(ATA_LBA_LOW, sector >> 24);
	outb(ATA_LBA_MIDDLE, 0);
	outb(ATA_LBA_HIGH, 0);
	outb(ATA_SECTOR_COUNT, count);
	outb(ATA_LBA_LOW, sector);
	outb(ATA_LBA_MIDDLE, sector >> 8);
	outb(ATA_LBA_HIGH, sector >> 16);
	outb(ATA_COMMAND, ATA_READ_SECTORS_EXT);
}

static void ata_wait(void)
{
	u8 status;

	do
		status = inb(ATA_STATUS);
	while (status & ATA_STATUS_BUSY);
	if (status & (ATA_STATUS_ERROR | ATA_STATUS_FAULT) || !(status & ATA_STATUS_DATA))
		boot_stop("disk: a sector cannot be read\n");
}

static void read_sector(void *to)
{
	u32 count = DISK_SECTOR / sizeof(u16);

	ata_wait();
	__asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(ATA_DATA) : "memory");
}

static void copy(void *to, const void *from, u32 size)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static void clear(u32 to, u32 size)
{
	u32 count = size / sizeof(u32);

	__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
	count = size % sizeof(u32);
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory");
}

/* Whole sectors go straight to their place, the rest through the buffer, so that nothing beyond it is touched. */
static void read_command(u32 sector, u32 count, u32 to, u32 size)
{
	ata_start(sector, count);
	for (; size >= DISK_SECTOR; size -= DISK_SECTOR, to += DISK_SECTOR)
		read_sector((void *)to);
	if (size) {
		read_sector(sector_buffer);
		copy((void *)to, sector_buffer, size);
	}
}

static void read(u32 sector, u32 to, u32 size)
{
	while (size) {
		u32 count = (size + DISK_SECTOR - 1) / DISK_SECTOR, part = size;

		if (count > ATA_SECTORS_MAX) {
			count = ATA_SECTORS_MAX;
			part = count * DISK_SECTOR;
		}
		read_command(sector, count, to, part);
		sector += count;
		to += part;
		size -= part;
	}
}

/* One past the last byte of the RAM that begins at 1 MiB. */
static u64 memory_end(const struct e820_entry *map, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (map[i].type == MULTIBOOT_RAM && map[i].address <= MIB(1) &&
		    map[i].address + map[i].length > MIB(1))
			return map[i].address + map[i].length;
	return MIB(1);
}

static void tell_multiboot(const struct e820_entry *map, u32 count)
{
	struct boot_info *boot = (struct boot_info *)BOOT_INFO_ADDRESS;

	if (count > BOOT_MMAP_MAX)
		boot_stop("disk: the BIOS's memory map has too many entries\n");
	for (u32 i = 0; i < count; i++)
		boot->mmap[i] = (struct multiboot_mmap_entry){ sizeof(*map), map[i].address, map[i].length,
							       map[i].type };
	boot->info.mmap_length = count * sizeof(boot->mmap[0]);
	boot->info.mem_upper = (u32)((memory_end(map, count) - MIB(1)) >> 10);
}

static void tell_linux(const struct e820_entry *map, u32 count)
{
	*(u8 *)(BOOT_INFO_ADDRESS + LINUX_E820_COUNT) = (u8)count;
	copy((void *)(BOOT_INFO_ADDRESS + LINUX_E820_TABLE), map, count * sizeof(*map));
}

/* Returns the image's entry point. */
u32 disk_load(const struct e820_entry *map, u32 count)
{
	const struct boot_archive *archive = (const struct boot_archive *)archive_buffer;

	read(DISK_ARCHIVE_SECTOR, (u32)archive_buffer, sizeof(archive_buffer));
	if (archive->magic != BOOT_ARCHIVE_MAGIC)
		boot_stop("disk: there is no image on this disk; build it with mkdisk\n");
	if (archive->memory_end > memory_end(map, count))
		boot_stop("disk: the image and its modules need more memory than the machine has\n");
	for (u32 i = 0; i < archive->segment_count; i++) {
		const struct boot_segment *s = &archive->segments[i];

		read(DISK_ARCHIVE_SECTOR + s->offset, s->address, s->size);
		clear(s->address + s->size, s->clear);
	}
	outb(ATA_CONTROL, 0);
	if (archive->protocol == BOOT_LINUX)
		tell_linux(map, count);
	else
		tell_multiboot(map, count);
	return archive->entry;
}
