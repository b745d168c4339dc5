/* Traces as L0 writes them are read as they are; damaged ones are told from them; what is told of them adds up. */
#include <stdlib.h>
#include <string.h>

#include "host_test.h"
#include "lib/trace_pack.h"
#include "tools/trace.h"

#define ROOM 16384

/* A trace in the making, one chunk for each few records. */
struct maker {
	u8 bytes[ROOM];
	size_t size;
	size_t chunk; /* where the open chunk begins; 0: none */
	u32 chunks;
	u64 records;
};

static void make_header(struct maker *m, u16 cpus)
{
	struct trace_header header = {
		.magic = TRACE_MAGIC, .version = TRACE_VERSION, .description_size = TRACE_DESCRIPTION_SIZE,
		.tick_is_instruction = 1, .cpus = cpus,
	};

	header.sum = trace_sum(TRACE_SUM_START, (const u8 *)&header, offsetof(struct trace_header, sum));
	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, &header, sizeof(header));
	memcpy(m->bytes + sizeof(header), trace_description, sizeof(trace_description));
	m->size = sizeof(header) + TRACE_DESCRIPTION_SIZE;
}

static void close_chunk(struct maker *m)
{
	struct trace_chunk chunk = { .magic = TRACE_CHUNK_MAGIC, .number = m->chunks++ };

	chunk.size = (u32)(m->size - m->chunk - sizeof(chunk));
	chunk.sum = trace_sum(TRACE_SUM_START, m->bytes + m->chunk + sizeof(chunk), chunk.size);
	memcpy(m->bytes + m->chunk, &chunk, sizeof(chunk));
	m->chunk = 0;
}

static void open_chunk(struct maker *m)
{
	m->chunk = m->size;
	m->size += sizeof(struct trace_chunk);
}

static void add(struct maker *m, const union trace_record *record, unsigned words)
{
	if (!m->chunk)
		open_chunk(m);
	assert_true(m->size + TRACE_PACKED_MAX(words) <= ROOM);
	m->size += trace_pack(m->bytes + m->size, record->word, words);
	m->records++;
	if (m->records % 4 == 0)
		close_chunk(m);
}

static void add_entry(struct maker *m, u8 level, u8 flags, u64 time, u32 own, u64 l0, u64 cause)
{
	union trace_record r = { .entry = { { TRACE_entry, level, 0, flags }, own, time, l0,
					    level == 2 ? 0x5000 : 0, cause } };

	add(m, &r, trace_words[TRACE_entry]);
}

static void add_exit(struct maker *m, u8 level, u32 reason, u64 time, u64 cause)
{
	union trace_record r = { .exit = { { TRACE_exit, level, 0, 0 }, reason, time, level == 2 ? 0x5000 : 0, cause,
					   0x1000, 0, 0 } };

	add(m, &r, trace_words[TRACE_exit]);
}

static void add_vmread(struct maker *m)
{
	union trace_record r = { .vmx = { { TRACE_vmx, 1, 0, TRACE_SUCCEED }, REASON_vmread, 0x5000, ENC_guest_rip,
					  0x1234 } };

	add(m, &r, trace_words[TRACE_vmx]);
}

static void add_end(struct maker *m)
{
	union trace_record r = { .end = { { TRACE_end, 0, 0, 0 }, 0, 9000, m->records, 60 } };

	add(m, &r, trace_words[TRACE_end]);
	if (m->chunk)
		close_chunk(m);
}

/*
 * L1 starts and enters L2, whose CPUID takes L0 50, L1 30, L0 20 for a VMREAD, L1 10, L0 40 for the VMRESUME. Then an
 * EPT violation that L0 answers in 70. The trace itself takes 5 and more each time.
 */
static void make_trace(struct maker *m)
{
	union trace_record ept = { .ept = { { TRACE_ept, 2, 0, 7 }, 1, 0x3000, 0x403000, 0x1000 } };
	union trace_record event = { .event = { { TRACE_event, 2, 0, TRACE_ASKED }, 0x80000b0eu, 2 } };

	make_header(m, 1);
	add_entry(m, 1, 0, 1000, 5, 100, 0);
	add_exit(m, 1, REASON_vmlaunch, 1200, 0);
	add_entry(m, 2, TRACE_ASKED, 1505, 5, 300, 0);
	add_exit(m, 2, REASON_cpuid, 1600, 1);
	add_entry(m, 1, TRACE_OWNER_L1, 1656, 6, 50, 1);
	add_exit(m, 1, REASON_vmread, 1686, 1);
	add_vmread(m);
	add_entry(m, 1, 0, 1713, 7, 20, 1);
	add_exit(m, 1, REASON_vmresume, 1723, 1);
	add(m, &event, trace_words[TRACE_event]);
	add_entry(m, 2, TRACE_ASKED, 1771, 8, 40, 0);
	add_exit(m, 2, REASON_ept_violation, 1800, 2);
	add(m, &ept, trace_words[TRACE_ept]);
	add_entry(m, 2, 0, 1879, 9, 70, 0);
	add_exit(m, 2, REASON_vmcall, 1900, 3);
	add_end(m);
}

static void packing_is_undone(void **state)
{
	u64 seed = host_seed(), words[TRACE_RECORD_WORDS], word;
	u8 packed[TRACE_PACKED_MAX(TRACE_RECORD_WORDS)];

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		size_t size, at = 0;

		for (unsigned i = 0; i < TRACE_RECORD_WORDS; i++)
			words[i] = host_random(&seed) & host_random(&seed) >> host_random_below(&seed, 64);
		size = trace_pack(packed, words, TRACE_RECORD_WORDS);
		assert_true(size <= sizeof(packed));
		for (unsigned i = 0; i < TRACE_RECORD_WORDS; i++) {
			size_t used = trace_unpack_word(packed + at, size - at, &word);

			assert_int_equal(word, words[i]);
			assert_int_equal(trace_unpack_word(packed + at, used - 1, &word), 0);
			at += used;
		}
		assert_int_equal(at, size);
	}
}

static void whole_trace_is_read(void **state)
{
	static struct maker m;
	struct trace trace;

	(void)state;
	make_trace(&m);
	assert_true(trace_read(&trace, m.bytes, m.size));
	assert_int_equal(trace.count, m.records);
	assert_int_equal(trace.cpus, 1);
	assert_int_equal(trace.record[6].vmx.operand, ENC_guest_rip);
	trace_free(&trace);
}

/* A buffer of its own for each, so that a byte read too far is seen. */
static bool reads(const u8 *bytes, size_t size)
{
	u8 *copy = malloc(size + 1);
	struct trace trace;
	bool whole;

	assert_non_null(copy);
	memcpy(copy + 1, bytes, size);
	whole = trace_read(&trace, copy + 1, size);
	assert_int_equal(whole, trace.error[0] == '\0');
	trace_free(&trace);
	free(copy);
	return whole;
}

static void cut_trace_is_refused(void **state)
{
	static struct maker m;

	(void)state;
	make_trace(&m);
	for (size_t size = 0; size < m.size; size++)
		assert_false(reads(m.bytes, size));
	assert_false(reads(m.bytes, m.size + 1));
	assert_true(reads(m.bytes, m.size));
}

/* Wherever it ends, records come in whole pieces of up to four, and each format tells of as many as there are. */
static void cut_trace_is_told_as_far_as_it_goes(void **state)
{
	static struct maker m;
	FILE *sink = fopen("/dev/null", "w");
	size_t most = 0;

	(void)state;
	assert_non_null(sink);
	make_trace(&m);
	for (size_t size = sizeof(struct trace_header) + TRACE_DESCRIPTION_SIZE; size <= m.size; size++) {
		struct trace trace;
		struct trace_view view = { .trace = &trace };
		struct leg *legs;

		assert_true(trace_read_cut(&trace, m.bytes, size));
		assert_int_equal(trace.cut, size < m.size);
		assert_true(trace.count >= most && (trace.count % 4 == 0 || size == m.size));
		most = trace.count;
		view.leg = legs = trace_legs(&trace, &view.count);
		trace_print_tree(&view, sink);
		trace_print_chrome(&view, sink);
		trace_print_folded(&view, sink);
		trace_print_perf(&view, sink);
		trace_print_table(&view, sink);
		free(legs);
		trace_free(&trace);
	}
	assert_int_equal(most, m.records);
	fclose(sink);
}

/* All but the closing piece is there, and a byte of the piece before it is another. */
static void damage_is_not_taken_for_a_cut(void **state)
{
	static struct maker m;
	struct trace trace;

	(void)state;
	make_trace(&m);
	m.bytes[sizeof(struct trace_header) + TRACE_DESCRIPTION_SIZE + sizeof(struct trace_chunk)] ^= 1;
	assert_false(trace_read_cut(&trace, m.bytes, m.size));
	trace_free(&trace);
	assert_false(trace_read_cut(&trace, m.bytes, m.size - 1));
	trace_free(&trace);
}

static void damaged_trace_is_refused(void **state)
{
	static struct maker m;

	(void)state;
	make_trace(&m);
	for (size_t at = 0; at < m.size; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			m.bytes[at] ^= (u8)(1u << bit);
			assert_false(reads(m.bytes, m.size));
			m.bytes[at] ^= (u8)(1u << bit);
		}
}

/* Its sums are right, and it is all the same none that L0 writes. */
static void impossible_traces_are_refused(void **state)
{
	static struct maker m;

	(void)state;
	make_header(&m, 1);
	add_exit(&m, 1, REASON_cpuid, 10, 0);
	add_end(&m);
	assert_false(reads(m.bytes, m.size)); /* an exit of what was not entered */
	make_header(&m, 1);
	add_entry(&m, 1, 0, 10, 0, 10, 0);
	add_exit(&m, 1, REASON_cpuid, 20, 0);
	add_entry(&m, 1, 0, 31, 0, 10, 0);
	add_end(&m);
	assert_false(reads(m.bytes, m.size)); /* 11 instructions of which 10 are accounted for */
	make_header(&m, 1);
	add_entry(&m, 2, 0, 10, 0, 10, 0);
	add_exit(&m, 2, REASON_cpuid, 20, 2);
	add_end(&m);
	assert_false(reads(m.bytes, m.size)); /* the first exit of L2 is number 1 */
	make_header(&m, 1);
	add_entry(&m, 1, 0, 10, 0, 10, 0);
	m.records++;
	add_end(&m);
	assert_false(reads(m.bytes, m.size)); /* one record fewer than its end tells */
}

static void trace_is_found_among_other_bytes(void **state)
{
	static const char text[] = "Next at t=0\nTURTLE";
	static u8 all[2 * ROOM], found[ROOM];
	static struct maker m;
	struct trace_cutter cutter = { 0, 0 };
	size_t all_size = 0, found_size = 0, piece, start, done = 0;

	(void)state;
	make_trace(&m);
	assert_int_equal(trace_next_piece(&cutter, (const u8 *)text, sizeof(text), &start), 0);
	while ((piece = trace_next_piece(&cutter, m.bytes, m.size, &start))) {
		assert_int_equal(start, done); /* nothing but the trace there */
		done = start + piece;
		memcpy(all + all_size, text, sizeof(text));
		memcpy(all + all_size + sizeof(text), m.bytes + start, piece);
		all_size += sizeof(text) + piece;
	}
	assert_int_equal(done, m.size);
	assert_true(cutter.pieces > 2);
	cutter = (struct trace_cutter){ 0, 0 };
	while ((piece = trace_next_piece(&cutter, all, all_size, &start))) {
		memcpy(found + found_size, all + start, piece);
		found_size += piece;
	}
	assert_int_equal(found_size, m.size);
	assert_memory_equal(found, m.bytes, m.size);
}

/* What a format prints of the trace, or of one exit of it. */
static char *printed(const struct maker *m, u64 only, void (*print)(const struct trace_view *view, FILE *out))
{
	struct trace trace;
	struct trace_view view = { .trace = &trace, .only = only };
	struct leg *legs;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_true(trace_read(&trace, m->bytes, m->size));
	view.leg = legs = trace_legs(&trace, &view.count);
	print(&view, out);
	fclose(out);
	free(legs);
	trace_free(&trace);
	return text;
}

static void assert_prints(u64 only, void (*print)(const struct trace_view *view, FILE *out), const char *expected)
{
	static struct maker m;
	char *text;

	make_trace(&m);
	text = printed(&m, only, print);
	assert_string_equal(text, expected);
	free(text);
}

static void table_is_that_of_the_accounts(void **state)
{
	(void)state;
	assert_prints(0, trace_print_table,
		      "from\treason\towner\tcount\tl0_instructions\tl1_instructions\tl1_exits\tl1_exits_by_reason\n"
		      "l1\tvmlaunch\tl0\t1\t300\t0\t0\t\n"
		      "l1\tvmread\tl0\t1\t20\t0\t0\t\n"
		      "l1\tvmresume\tl0\t1\t40\t0\t0\t\n"
		      "l2\tcpuid\tl1\t1\t110\t40\t2\tvmread:1,vmresume:1\n"
		      "l2\tept_violation\tl0\t1\t70\t0\t0\t\n");
}

static void tree_has_the_round_trip(void **state)
{
	(void)state;
	assert_prints(1, trace_print_tree,
		      "  L2         95  runs\n"
		      "exit 1 of L2: cpuid, leaf 0x0, rip 0x1000, VMCS 0x5000, CPU 0, at 695\n"
		      "  L0         50  hands it to L1\n"
		      "  L1         30    runs\n"
		      "  L0         20      vmread guest_rip = 0x1234\n"
		      "  L1         10    runs\n"
		      "  L0         40      vmresume\n"
		      "  L0                   into L2 at the entry: exception 14, error code 0x2, by L1\n"
		      "  in all: L0 110, L1 40 instructions; exits of L1: vmread 1, vmresume 1\n\n");
	assert_prints(2, trace_print_tree,
		      "  L2         29  runs\n"
		      "exit 2 of L2: ept_violation, access --- to 0x0, rip 0x1000, VMCS 0x5000, CPU 0, at 874\n"
		      "  L0         70  answers it\n"
		      "  L0               ept02: 0x3000 is in the page at 0x403000 of 4 KiB, rwx\n"
		      "  in all: L0 70, L1 0 instructions; exits of L1: none\n\n");
}

static void json_has_the_same_steps(void **state)
{
	(void)state;
	assert_prints(2, trace_print_json,
		      "{\"unit\":\"instructions\",\"cpus\":1,\"exits\":[\n"
		      "{\"exit\":2,\"reason\":\"ept_violation\",\"detail\":\"access --- to 0x0\","
		      "\"entry_failed\":false,"
		      "\"rip\":\"0x1000\",\"vmcs\":\"0x5000\",\"cpu\":0,\"start\":874,\"owner\":\"L0\",\"steps\":["
		      "{\"who\":\"L2\",\"ticks\":29,\"depth\":0,\"what\":\"runs\"},"
		      "{\"who\":\"L0\",\"ticks\":70,\"depth\":0,\"what\":\"answers it\","
		      "\"notes\":[\"ept02: 0x3000 is in the page at 0x403000 of 4 KiB, rwx\"]}],"
		      "\"l0\":70,\"l1\":0,\"l2\":29,\"exits_of_l1\":{}}\n]}\n");
}

static void stacks_are_of_causes(void **state)
{
	(void)state;
	assert_prints(0, trace_print_folded,
		      "L2;cpuid;L1;vmread;L0 20\n"
		      "L2;cpuid;L1;vmresume;L0 40\n"
		      "L2;cpuid;L0 50\n"
		      "L2;cpuid;L1 40\n"
		      "L2;ept_violation;L0 70\n"
		      "L1;vmlaunch;L0 300\n"
		      "L0 100\n"
		      "L1 200\n"
		      "L2 145\n");
}

/* Records of any numbers with the right sums: read or refused, and what is read can be told in every format. */
static void nonsense_does_no_harm(void **state)
{
	static void (*const print[])(const struct trace_view *view, FILE *out) = {
		trace_print_tree, trace_print_json, trace_print_chrome, trace_print_folded, trace_print_perf,
		trace_print_table,
	};
	static struct maker m;
	u64 seed = host_seed();
	unsigned read = 0;

	(void)state;
	for (unsigned round = 0; round < 3000; round++) {
		u64 time = 0;

		make_header(&m, 2); /* with several CPUs times are not held against each other */
		for (u64 i = host_random_below(&seed, 6), number = 0; i > 0; i--) {
			union trace_record r = { .event = { { TRACE_event, 1, 0, 0 }, (u32)host_random(&seed), 1 } };
			u8 level = (u8)(1 + host_random_below(&seed, 2));
			u64 cause = host_random_below(&seed, 3);

			add_entry(&m, level, (u8)host_random(&seed), time += 10, 1, 9, cause);
			add_exit(&m, level, (u32)host_random_below(&seed, EXIT_REASONS), time += 10,
				 level == 2 ? ++number : cause);
			r.head.kind = (u8)host_random_below(&seed, TRACE_KINDS + host_random_percent(&seed, 1));
			r.head.flags = (u8)host_random_below(&seed, TRACE_OUTCOMES);
			r.word[1] = host_random(&seed);
			r.vmx.reason %= EXIT_REASONS + 1;
			if (host_random_percent(&seed, 60))
				add(&m, &r, trace_words[r.head.kind < TRACE_KINDS ? r.head.kind : TRACE_event]);
		}
		add_end(&m);
		if (!reads(m.bytes, m.size))
			continue;
		read++;
		for (unsigned i = 0; i < ARRAY_SIZE(print); i++)
			free(printed(&m, host_random_below(&seed, 3), print[i]));
	}
	assert_in_range(read, 300, 2700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packing_is_undone),
		cmocka_unit_test(whole_trace_is_read),
		cmocka_unit_test(cut_trace_is_refused),
		cmocka_unit_test(cut_trace_is_told_as_far_as_it_goes),
		cmocka_unit_test(damage_is_not_taken_for_a_cut),
		cmocka_unit_test(damaged_trace_is_refused),
		cmocka_unit_test(impossible_traces_are_refused),
		cmocka_unit_test(trace_is_found_among_other_bytes),
		cmocka_unit_test(table_is_that_of_the_accounts),
		cmocka_unit_test(tree_has_the_round_trip),
		cmocka_unit_test(json_has_the_same_steps),
		cmocka_unit_test(stacks_are_of_causes),
		cmocka_unit_test(nonsense_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
