/*
 * Copies the image and its modules to where they belong. All is laid out by tools/mkrom.c; only the size
 * of the memory is learnt here. Every instruction counts in a run's total, hence the string instructions.
 */
#include "boot/archive.h"
#include "boot/stop.h"
#include "insn.h"

#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_KIB_ABOVE_1M 0x30   /* two bytes, up to 64 MiB */
#define CMOS_64K_ABOVE_16M 0x34  /* two bytes */

u32 rom_load(void);

static u32 cmos_word(u8 index)
{
	u32 low, high;

	outb(CMOS_INDEX, index);
	low = inb(CMOS_DATA);
	outb(CMOS_INDEX, index + 1);
	high = inb(CMOS_DATA);
	return high << 8 | low;
}

/* One past the last byte of RAM; a machine has at least 1 MiB. */
static u32 memory_end(void)
{
	u32 blocks = cmos_word(CMOS_64K_ABOVE_16M);

	if (blocks)
		return MIB(16) + (blocks << 16);
	return MIB(1) + (cmos_word(CMOS_KIB_ABOVE_1M) << 10);
}

static void copy(u32 to, u32 from, u32 size)
{
	u32 count = size / sizeof(u32);

	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
	count = size % sizeof(u32);
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void clear(u32 to, u32 size)
{
	u32 count = size / sizeof(u32);

	__asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0) : "memory");
	count = size % sizeof(u32);
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory");
}

/* Returns the image's entry point. */
u32 rom_load(void)
{
	u32 base = *(const u32 *)ROM_ARCHIVE_POINTER;
	const struct boot_archive *archive = (const struct boot_archive *)base;
	struct boot_info *rom = (struct boot_info *)BOOT_INFO_ADDRESS;
	u32 end = memory_end();

	if (archive->magic != BOOT_ARCHIVE_MAGIC)
		boot_stop("rom: there is no image in this ROM; build it with mkrom\n");
	if (archive->memory_end > end)
		boot_stop("rom: the image and its modules need more memory than the machine has\n");
	for (u32 i = 0; i < archive->segment_count; i++) {
		const struct boot_segment *s = &archive->segments[i];

		copy(s->address, base + s->offset, s->size);
		clear(s->address + s->size, s->clear);
	}
	rom->info.mem_upper = (end - MIB(1)) >> 10;
	rom->mmap[ROM_MMAP_HIGH].length = end - MIB(1);
	return archive->entry;
}
