/* The bytes of a trace, checked and unpacked. Pure but for the memory of the records. */
#include "trace.h"
#include "lib/trace_pack.h"
#include <stdlib.h>
#include <string.h>

struct reader {
	struct trace *trace;
	const u8 *bytes;
	size_t size, at;
	size_t room;
	u32 chunks;
	u64 l2_exits;
	bool in_guest[TRACE_CPUS_MAX]; /* whether the last transition was an entry */
	bool begun[TRACE_CPUS_MAX];
	struct trace_entry entry[TRACE_CPUS_MAX];
	struct trace_exit exit[TRACE_CPUS_MAX];
	bool ended;
};

static bool wrong(struct reader *r, const char *what)
{
	snprintf(r->trace->error, sizeof(r->trace->error), "%s (at byte %zu)", what, r->at);
	return false;
}

/* The records as this reader knows them, and nothing but zeros behind. */
static bool is_our_description(const u8 *text)
{
	if (memcmp(text, trace_description, sizeof(trace_description)) != 0)
		return false;
	for (size_t i = sizeof(trace_description); i < TRACE_DESCRIPTION_SIZE; i++)
		if (text[i])
			return false;
	return true;
}

static bool read_header(struct reader *r)
{
	struct trace_header header;

	if (r->size < sizeof(header) || memcmp(r->bytes, TRACE_MAGIC, sizeof(header.magic)) != 0)
		return wrong(r, "it is not a trace");
	memcpy(&header, r->bytes, sizeof(header));
	if (header.version != TRACE_VERSION || header.description_size != TRACE_DESCRIPTION_SIZE ||
	    r->size < sizeof(header) + TRACE_DESCRIPTION_SIZE ||
	    !is_our_description(r->bytes + sizeof(header)))
		return wrong(r, "its format is that of another version of Turtles: run it again with this one");
	if (header.sum != trace_sum(TRACE_SUM_START, r->bytes, offsetof(struct trace_header, sum)) ||
	    header.cpus == 0 || header.cpus > TRACE_CPUS_MAX || header.tick_is_instruction > 1)
		return wrong(r, "it is damaged: a header that L0 never writes");
	r->trace->cpus = header.cpus;
	r->trace->tick_is_instruction = header.tick_is_instruction;
	r->at = sizeof(header) + header.description_size;
	return true;
}

static union trace_record *add_record(struct reader *r)
{
	struct trace *trace = r->trace;

	if (trace->count == r->room) {
		r->room = r->room ? 2 * r->room : 1024;
		trace->record = realloc(trace->record, r->room * sizeof(*trace->record));
		if (!trace->record)
			abort();
	}
	memset(&trace->record[trace->count], 0, sizeof(*trace->record));
	return &trace->record[trace->count++];
}

static bool entry_follows(struct reader *r, const struct trace_entry *entry)
{
	unsigned cpu = entry->head.cpu;
	const struct trace_exit *exit = &r->exit[cpu];

	if (r->in_guest[cpu])
		return wrong(r, "it is damaged: an entry without an exit before it");
	if (r->begun[cpu] && r->trace->cpus == 1 && entry->time != exit->time + entry->own + entry->l0)
		return wrong(r, "it is damaged: an entry at a time that the exit before it rules out");
	r->in_guest[cpu] = r->begun[cpu] = true;
	r->entry[cpu] = *entry;
	return true;
}

static bool exit_follows(struct reader *r, const struct trace_exit *exit)
{
	unsigned cpu = exit->head.cpu;
	const struct trace_entry *entry = &r->entry[cpu];

	if (!r->in_guest[cpu] || exit->head.level != entry->head.level || exit->vmcs != entry->vmcs)
		return wrong(r, "it is damaged: an exit of what was not entered");
	if (r->trace->cpus == 1 && exit->time < entry->time)
		return wrong(r, "it is damaged: an exit before its entry");
	if (exit->cause != (exit->head.level == 2 ? r->l2_exits + 1 : entry->cause))
		return wrong(r, "it is damaged: an exit that does not continue the numbers");
	if ((exit->reason & EXIT_REASON_BASIC) >= EXIT_REASONS)
		return wrong(r, "it is damaged: an exit for a reason that there is not");
	r->l2_exits += exit->head.level == 2;
	r->in_guest[cpu] = false;
	r->exit[cpu] = *exit;
	return true;
}

/* What L0 did: behind an exit, and before the entry. The first entry of a CPU may deliver an event too. */
static bool note_follows(struct reader *r, const struct trace_head *head)
{
	if (r->in_guest[head->cpu] || (!r->begun[head->cpu] && head->kind != TRACE_event))
		return wrong(r, "it is damaged: L0 at work while a guest runs");
	return true;
}

static bool end_follows(struct reader *r, const struct trace_end *end)
{
	r->ended = true;
	if (end->records != r->trace->count - 1)
		return wrong(r, "it is damaged: records are missing");
	return true;
}

static bool check_record(struct reader *r, const union trace_record *record)
{
	const struct trace_head *head = &record->head;

	if (r->ended)
		return wrong(r, "it is damaged: it goes on behind its end");
	if (head->kind == TRACE_end)
		return end_follows(r, &record->end);
	if (head->cpu >= r->trace->cpus || head->level < 1 || head->level > 2)
		return wrong(r, "it is damaged: a record of no CPU or level that there is");
	if (head->kind == TRACE_entry)
		return entry_follows(r, &record->entry);
	if (head->kind == TRACE_exit)
		return exit_follows(r, &record->exit);
	if (head->kind == TRACE_vmx && (head->flags >= TRACE_OUTCOMES || record->vmx.reason >= EXIT_REASONS))
		return wrong(r, "it is damaged: a VMX instruction that there is not");
	return note_follows(r, head);
}

/* One record out of the bytes up to end. */
static bool read_record(struct reader *r, size_t end)
{
	union trace_record *record = add_record(r);
	unsigned words = 1;

	for (unsigned i = 0; i < words; i++) {
		size_t used = trace_unpack_word(r->bytes + r->at, end - r->at, &record->word[i]);

		if (used == 0)
			return wrong(r, "it is damaged: half a record");
		if (i == 0) {
			if (record->head.kind == TRACE_none || record->head.kind >= TRACE_KINDS)
				return wrong(r, "it is damaged: a record of no kind that there is");
			words = trace_words[record->head.kind];
		}
		r->at += used;
	}
	return check_record(r, record);
}

/* The chunk at this place, checked as far as its own numbers go. */
static bool chunk_at(const u8 *bytes, size_t size, size_t at, u32 number, struct trace_chunk *chunk)
{
	if (size - at < sizeof(*chunk))
		return false;
	memcpy(chunk, bytes + at, sizeof(*chunk));
	return chunk->magic == TRACE_CHUNK_MAGIC && chunk->number == number &&
	       chunk->size <= size - at - sizeof(*chunk) &&
	       trace_sum(TRACE_SUM_START, bytes + at + sizeof(*chunk), chunk->size) == chunk->sum;
}

static bool read_chunk(struct reader *r)
{
	struct trace_chunk chunk;
	size_t end;

	if (!chunk_at(r->bytes, r->size, r->at, r->chunks++, &chunk))
		return wrong(r, "it is damaged or cut short: a piece that is not whole");
	r->at += sizeof(chunk);
	end = r->at + chunk.size;
	while (r->at < end)
		if (!read_record(r, end))
			return false;
	return true;
}

/* Where whole pieces end too early: behind the last, or within one that is as it was as far as it goes. */
static bool is_cut_here(const struct reader *r)
{
	size_t left = r->size - r->at;
	struct trace_chunk chunk;

	if (left < sizeof(chunk))
		return true;
	memcpy(&chunk, r->bytes + r->at, sizeof(chunk));
	return chunk.magic == TRACE_CHUNK_MAGIC && chunk.number == r->chunks && chunk.size > left - sizeof(chunk);
}

static bool read_pieces(struct reader *r, bool may_be_cut)
{
	if (!read_header(r))
		return false;
	while (r->at < r->size) {
		if (may_be_cut && !r->ended && is_cut_here(r))
			break;
		if (!read_chunk(r))
			return false;
	}
	r->trace->cut = !r->ended;
	if (!r->ended && !may_be_cut)
		return wrong(r, "it has no end: the run was stopped, or the file cut short; --cut tells what there is");
	return true;
}

bool trace_read(struct trace *trace, const u8 *bytes, size_t size)
{
	struct reader r = { .trace = trace, .bytes = bytes, .size = size };

	*trace = (struct trace){ .count = 0 };
	return read_pieces(&r, false);
}

bool trace_read_cut(struct trace *trace, const u8 *bytes, size_t size)
{
	struct reader r = { .trace = trace, .bytes = bytes, .size = size };

	*trace = (struct trace){ .count = 0 };
	return read_pieces(&r, true);
}

void trace_free(struct trace *trace)
{
	free(trace->record);
	trace->record = NULL;
	trace->count = 0;
}

/* The header is the first piece, then come the chunks by their numbers. */
static size_t piece_at(const struct trace_cutter *cutter, const u8 *bytes, size_t size, size_t at)
{
	struct trace_chunk chunk;

	if (cutter->pieces == 0)
		return size - at >= sizeof(struct trace_header) + TRACE_DESCRIPTION_SIZE &&
		       memcmp(bytes + at, TRACE_MAGIC, sizeof(TRACE_MAGIC) - 1) == 0 ?
		       sizeof(struct trace_header) + TRACE_DESCRIPTION_SIZE : 0;
	return chunk_at(bytes, size, at, cutter->pieces - 1, &chunk) ? sizeof(chunk) + chunk.size : 0;
}

size_t trace_next_piece(struct trace_cutter *cutter, const u8 *bytes, size_t size, size_t *start)
{
	for (size_t at = cutter->at; at < size; at++) {
		size_t length = piece_at(cutter, bytes, size, at);

		if (!length)
			continue;
		*start = at;
		cutter->at = at + length;
		cutter->pieces++;
		return length;
	}
	return 0;
}
