/*
 * The format of a trace, which L0 writes and tools/trace.c reads, little-endian: struct trace_header, the description
 * of the records (text, padded with zeros), then chunks, each a struct trace_chunk and its bytes. The bytes of all
 * chunks in a row are the records, packed (lib/trace_pack.h); none is cut by the end of a chunk.
 */
#ifndef TURTLES_TRACE_FORMAT_H
#define TURTLES_TRACE_FORMAT_H

#include "types.h"

#define TRACE_MAGIC "TURTRACE"
#define TRACE_VERSION 1u
#define TRACE_CHUNK_MAGIC 0x4b4e4843u /* "CHNK" */

struct trace_header {
	char magic[8];
	u32 version;
	u32 description_size;
	u16 tick_is_instruction; /* 1: each tick of the TSC is one instruction */
	u16 cpus;
	u32 sum; /* of all that is before: trace_sum() */
};

struct trace_chunk {
	u32 magic;
	u32 size;   /* of the bytes behind */
	u32 number; /* from 0 */
	u32 sum;    /* of the bytes: trace_sum() */
};

enum trace_kind {
	TRACE_none,
#define BEGIN(kind) TRACE_##kind,
#define FIELD(kind, type, name)
#define END(kind)
#include "trace_records.def"
#undef BEGIN
#undef FIELD
#undef END
	TRACE_KINDS
};

struct trace_head {
	u8 kind;
	u8 level; /* 1 or 2 */
	u8 cpu;
	u8 flags;
};

#define BEGIN(kind) struct trace_##kind { struct trace_head head;
#define FIELD(kind, type, name) type name;
#define END(kind) };
#include "trace_records.def"
#undef BEGIN
#undef FIELD
#undef END

#define TRACE_RECORD_WORDS 7
union trace_record {
	struct trace_head head;
#define BEGIN(kind) struct trace_##kind kind;
#define FIELD(kind, type, name)
#define END(kind)
#include "trace_records.def"
#undef BEGIN
#undef FIELD
#undef END
	u64 word[TRACE_RECORD_WORDS];
};
_Static_assert(sizeof(union trace_record) == TRACE_RECORD_WORDS * sizeof(u64), "the longest record sets the size");

/* The words of a record by its kind. */
static const u8 trace_words[TRACE_KINDS] = {
#define BEGIN(kind) [TRACE_##kind] = sizeof(struct trace_##kind) / sizeof(u64),
#define FIELD(kind, type, name)
#define END(kind)
#include "trace_records.def"
#undef BEGIN
#undef FIELD
#undef END
};

/* The records in words, for the header: a reader of another format shall see that it is one. */
#define BEGIN(kind) #kind ":"
#define FIELD(kind, type, name) " " #type " " #name
#define END(kind) "\n"
static const char trace_description[] =
#include "trace_records.def"
	;
#undef BEGIN
#undef FIELD
#undef END
#define TRACE_DESCRIPTION_SIZE ALIGN_UP(sizeof(trace_description), 8)

/* Flags of an entry: L1 handles the exit before; L1 asked for this entry of L2, or for this event. */
#define TRACE_OWNER_L1 1u
#define TRACE_ASKED 2u

#define TRACE_NO_VMCS (~0ull)

/* What became of a VMX instruction of L1. */
enum trace_outcome {
	TRACE_SUCCEED,
	TRACE_FAIL_INVALID,
	TRACE_FAIL_VALID,
	TRACE_FAULT,      /* L1 has an exception instead */
	TRACE_ENTERED,    /* L2 runs */
	TRACE_ENTRY_FAILED, /* L1 has the exit that tells of invalid guest state or MSRs */
	TRACE_OUTCOMES
};

#endif
