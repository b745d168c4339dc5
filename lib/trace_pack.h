/* Packing of a trace's records: most of their bytes are zero. Pure. */
#ifndef TURTLES_TRACE_PACK_H
#define TURTLES_TRACE_PACK_H

#include "types.h"

/* The most bytes that a number of words may take. */
#define TRACE_PACKED_MAX(words) ((words) * 9u)

/*
 * Each word becomes a byte that says which of its bytes are not zero, the lowest first, and those. Returns the length
 * of it at to, where there must be room for TRACE_PACKED_MAX(words).
 */
size_t trace_pack(u8 *to, const u64 *word, unsigned words);

/* One word out of at most size bytes: how many it took, or 0 if there are too few. */
size_t trace_unpack_word(const u8 *from, size_t size, u64 *word);

/* The sum of a chunk's bytes, to be begun with TRACE_SUM_START: any change of one byte changes it. FNV-1a. */
#define TRACE_SUM_START 0x811c9dc5u
u32 trace_sum(u32 sum, const u8 *bytes, size_t size);

#endif
