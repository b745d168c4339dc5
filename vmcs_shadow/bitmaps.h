/*
 * MSR, I/O, VMREAD and VMWRITE bitmaps: asked, changed and merged. SDM "MSR-Bitmap Address", "I/O-Bitmap Addresses",
 * "VMCS Shadowing Bitmap Addresses".
 */
#ifndef TURTLES_BITMAPS_H
#define TURTLES_BITMAPS_H

#include "fields.h"
#include "x86.h"

/* The bitmaps that a VMCS names. */
enum bitmap { BITMAP_msr, BITMAP_io_a, BITMAP_io_b, BITMAP_vmread, BITMAP_vmwrite, BITMAPS };

#define BITMAP_WORDS (PAGE_SIZE / sizeof(u64))
#define IO_BITMAP_PORTS (PAGE_SIZE * 8) /* ports of bitmap A; B has the upper half */

/* Does a RDMSR (or WRMSR) of msr exit? Numbers outside both ranges always do. */
bool msr_bitmap_traps(const u64 *bitmap, u32 msr, bool write);
/* Make a RDMSR (or WRMSR) of msr exit; nothing for numbers outside both ranges. */
void msr_bitmap_trap(u64 *bitmap, u32 msr, bool write);
void msr_bitmap_pass(u64 *bitmap, u32 msr, bool write);

/* Does an access of size bytes at port exit? One that wraps around port 0xffff always does. */
bool io_bitmap_traps(const u64 *bitmap_a, const u64 *bitmap_b, u16 port, unsigned size);
void io_bitmap_trap(u64 *bitmap_a, u64 *bitmap_b, u16 port);
void io_bitmap_pass(u64 *bitmap_a, u64 *bitmap_b, u16 port);

/* A VMREAD or VMWRITE bitmap: does the access exit? Encodings beyond bits 14:0 always do. */
bool vmcs_bitmap_traps(const u64 *bitmap, u64 encoding);
/* Make every access to these fields exit, whole or by halves. */
void vmcs_bitmap_trap(u64 *bitmap, const struct field_set *fields);
/* The fields of which at least a half is accessed without an exit. */
struct field_set vmcs_bitmap_passes(const u64 *bitmap);

/* One page: exits where either of the two asks for it. */
void bitmap_merge(u64 *merged, const u64 *one, const u64 *other);

#endif
