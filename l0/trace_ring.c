/* The ring of trace records, and its way out: a debug port that takes bytes without waiting. */
#include "options.h"
#include "string.h"
#include "trace.h"
#include "trace_pack.h"

#define PACKED_MAX TRACE_PACKED_MAX(TRACE_RECORD_WORDS)

static struct {
	u8 *bytes;
	size_t size, used;
	u32 chunks;
	u64 records;
} ring;

static void write_out(const void *bytes, size_t size)
{
	outs(TURTLES_PORT_TRACE, bytes, size);
}

static void spill(void)
{
	struct trace_chunk chunk = {
		.magic = TRACE_CHUNK_MAGIC, .size = (u32)ring.used, .number = ring.chunks++,
		.sum = trace_sum(TRACE_SUM_START, ring.bytes, ring.used),
	};

	write_out(&chunk, sizeof(chunk));
	write_out(ring.bytes, ring.used);
	ring.used = 0;
}

static void write_header(void)
{
	static const char padding[TRACE_DESCRIPTION_SIZE - sizeof(trace_description) + 1];
	struct trace_header header = {
		.version = TRACE_VERSION, .description_size = TRACE_DESCRIPTION_SIZE,
		.tick_is_instruction = options.tick == TICK_instruction, .cpus = (u16)options.cpus,
	};

	memcpy(header.magic, TRACE_MAGIC, sizeof(header.magic));
	header.sum = trace_sum(TRACE_SUM_START, (const u8 *)&header, offsetof(struct trace_header, sum));
	write_out(&header, sizeof(header));
	write_out(trace_description, sizeof(trace_description));
	write_out(padding, sizeof(padding) - 1);
}

void trace_ring_init(u8 *memory, u64 size)
{
	ring.bytes = memory;
	ring.size = size;
	write_header();
}

void trace_put(const union trace_record *record)
{
	if (ring.size - ring.used < PACKED_MAX)
		spill();
	ring.used += trace_pack(ring.bytes + ring.used, record->word, trace_words[record->head.kind]);
	ring.records++;
}

void trace_ring_end(u8 status, u64 ticks)
{
	union trace_record record = { .end = {
		.head.kind = TRACE_end, .status = status, .time = rdtsc(), .records = ring.records, .ticks = ticks,
	} };

	trace_put(&record);
	spill();
}
