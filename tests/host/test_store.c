#include <string.h>

#include "host_test.h"
#include "vmcs_shadow/store.h"

struct row {
	const char *text;
	enum code_size code;
	u8 bytes[16];
	unsigned length;
	struct store store; /* length 0: not a store that is known */
};

#define B(...) { __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ })
#define REGISTER(op, width, gpr) { .operation = STORE_##op, .size = (width), .source = GPR_##gpr }
#define IMMEDIATE(op, width, number) { .operation = STORE_##op, .size = (width), .immediate = true, .value = (number) }
#define UNKNOWN { .length = 0 }

static const struct row rows[] = {
	{ "mov %esi, -0xa0d000(%rdi)", CODE_64, B(0x89, 0xb7, 0x00, 0x30, 0x5f, 0xff), REGISTER(mov, 4, rsi) },
	{ "xchg %esi, -0xa0d000(%rdi)", CODE_64, B(0x87, 0xb7, 0x00, 0x30, 0x5f, 0xff), REGISTER(xchg, 4, rsi) },
	{ "mov %eax, 0xfee000b0 (moffs64)", CODE_64, B(0xa3, 0xb0, 0, 0xe0, 0xfe, 0, 0, 0, 0), REGISTER(mov, 4, rax) },
	{ "mov %r8d, 0x300", CODE_64, B(0x44, 0x89, 0x04, 0x25, 0, 3, 0, 0), REGISTER(mov, 4, r8) },
	{ "mov %edx, 0(%r13)", CODE_64, B(0x41, 0x89, 0x55, 0x00), REGISTER(mov, 4, rdx) },
	{ "mov %edx, (%rbp,%rax,4) with disp32 alone", CODE_64, B(0x89, 0x14, 0x85, 1, 2, 3, 4),
	  REGISTER(mov, 4, rdx) },
	{ "mov %rax, (%rdi)", CODE_64, B(0x48, 0x89, 0x07), REGISTER(mov, 8, rax) },
	{ "mov %ax, (%rdi)", CODE_64, B(0x66, 0x89, 0x07), REGISTER(mov, 2, rax) },
	{ "mov %ah, (%rdi)", CODE_64, B(0x88, 0x27),
	  { .operation = STORE_mov, .size = 1, .source = GPR_rax, .high_byte = true } },
	{ "mov %spl, (%rdi)", CODE_64, B(0x40, 0x88, 0x27), REGISTER(mov, 1, rsp) },
	{ "mov %r12b, (%rdi)", CODE_64, B(0x44, 0x88, 0x27), REGISTER(mov, 1, r12) },
	{ "movl $0, 0x12345678(%rip)", CODE_64, B(0xc7, 0x05, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0),
	  IMMEDIATE(mov, 4, 0) },
	{ "movq $-2, (%rax)", CODE_64, B(0x48, 0xc7, 0x00, 0xfe, 0xff, 0xff, 0xff), IMMEDIATE(mov, 8, ~1ull) },
	{ "movw $0x1234, (%rax)", CODE_64, B(0x66, 0xc7, 0x00, 0x34, 0x12), IMMEDIATE(mov, 2, 0x1234) },
	{ "movb $5, (%rax)", CODE_64, B(0xc6, 0x00, 5), IMMEDIATE(mov, 1, 5) },
	{ "orl $0x100, (%rax)", CODE_64, B(0x81, 0x08, 0, 1, 0, 0), IMMEDIATE(or, 4, 0x100) },
	{ "andl $-2, 0xf0(%rax)", CODE_64, B(0x83, 0xa0, 0xf0, 0, 0, 0, 0xfe), IMMEDIATE(and, 4, ~1ull) },
	{ "lock xor %ecx, (%rax)", CODE_64, B(0xf0, 0x31, 0x08), REGISTER(xor, 4, rcx) },
	{ "or %cl, %gs:(%rax)", CODE_64, B(0x65, 0x08, 0x08), REGISTER(or, 1, rcx) },
	{ "mov %ecx, (%eax)", CODE_64, B(0x67, 0x89, 0x08), REGISTER(mov, 4, rcx) },
	{ "a REX before a prefix is none", CODE_64, B(0x48, 0x66, 0x89, 0x07), REGISTER(mov, 2, rax) },
	{ "mov %eax, 0xfee00300", CODE_32, B(0xa3, 0x00, 0x03, 0xe0, 0xfe), REGISTER(mov, 4, rax) },
	{ "movl $0xc4500, 0xfee00300", CODE_32, B(0xc7, 0x05, 0, 3, 0xe0, 0xfe, 0, 0x45, 0x0c, 0),
	  IMMEDIATE(mov, 4, 0xc4500) },
	{ "inc %eax; not a REX", CODE_32, B(0x40, 0x89, 0x07), UNKNOWN },
	{ "mov %ebx, 0x10(%esp)", CODE_32, B(0x89, 0x5c, 0x24, 0x10), REGISTER(mov, 4, rbx) },
	{ "mov %ax, 0x1234(%bx)", CODE_16, B(0x89, 0x87, 0x34, 0x12), REGISTER(mov, 2, rax) },
	{ "mov %ax, 0x1234", CODE_16, B(0x89, 0x06, 0x34, 0x12), REGISTER(mov, 2, rax) },
	{ "mov %eax, 0xfee00300 in 16-bit code", CODE_16, B(0x66, 0x67, 0xa3, 0, 3, 0xe0, 0xfe),
	  REGISTER(mov, 4, rax) },
	{ "mov %ax, 0x1234 (moffs16)", CODE_16, B(0xa3, 0x34, 0x12), REGISTER(mov, 2, rax) },
	{ "a load", CODE_64, B(0x8b, 0x07), UNKNOWN },
	{ "to a register", CODE_64, B(0x89, 0xc0), UNKNOWN },
	{ "xchg of registers", CODE_64, B(0x87, 0xc0), UNKNOWN },
	{ "add", CODE_64, B(0x01, 0x07), UNKNOWN },
	{ "or to a register", CODE_64, B(0x0b, 0x07), UNKNOWN },
	{ "addl $1", CODE_64, B(0x83, 0x00, 1), UNKNOWN },
	{ "stos", CODE_64, B(0xab), UNKNOWN },
	{ "c7 /1", CODE_64, B(0xc7, 0x08, 0, 0, 0, 0), UNKNOWN },
	{ "two bytes", CODE_64, B(0x0f, 0xc3, 0x07), UNKNOWN },
	{ "prefixes alone", CODE_64, B(0x66, 0x66, 0x66), UNKNOWN },
};

static void stores_are_decoded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct store store, wanted = row->store;
		bool known = store_decode(row->bytes, row->length, row->code, &store);

		print_message("%s\n", row->text);
		assert_int_equal(known, wanted.size != 0);
		if (!known)
			continue;
		wanted.length = (u8)row->length;
		assert_int_equal(store.length, wanted.length);
		assert_int_equal(store.size, wanted.size);
		assert_int_equal(store.operation, wanted.operation);
		assert_int_equal(store.immediate, wanted.immediate);
		assert_int_equal(store.value, wanted.value);
		assert_int_equal(store.source, wanted.source);
		assert_int_equal(store.high_byte, wanted.high_byte);
	}
}

static void what_is_cut_short_is_not_decoded(void **state)
{
	struct store store;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned length = 0; length < rows[i].length && rows[i].store.size; length++)
			assert_false(store_decode(rows[i].bytes, length, rows[i].code, &store));
}

/* Whatever the bytes: nothing is read behind them, and no instruction is longer than they are. */
static void any_bytes_are_survived(void **state)
{
	u64 random = host_seed();

	(void)state;
	for (unsigned round = 0; round < 100000; round++) {
		unsigned length = (unsigned)host_random_below(&random, INSTRUCTION_BYTES_MAX + 1);
		u8 *code = test_malloc(length ? length : 1);
		struct store store;

		for (unsigned i = 0; i < length; i++)
			code[i] = (u8)host_random_below(&random, 256);
		if (store_decode(code, length, (enum code_size)host_random_below(&random, 3), &store)) {
			assert_in_range(store.length, 2, length);
			assert_in_range(store.source, 0, GPRS - 1);
		}
		test_free(code);
	}
}

static void results_and_flags(void **state)
{
	u64 gpr[GPRS] = { [GPR_rax] = 0x11223344aabbccddull, [GPR_rcx] = 0x80000000 };
	struct store mov = { .operation = STORE_mov, .size = 4, .source = GPR_rax };
	struct store high = { .operation = STORE_mov, .size = 1, .source = GPR_rax, .high_byte = true };
	struct store or = { .operation = STORE_or, .size = 4, .source = GPR_rcx };
	struct store and = { .operation = STORE_and, .size = 2, .immediate = true, .value = ~0xffull };
	struct store xor = { .operation = STORE_xor, .size = 8, .immediate = true, .value = 3 };
	u64 rflags = RFLAGS_ONE | RFLAGS_CF | RFLAGS_OF;

	(void)state;
	assert_int_equal(store_result(&mov, gpr, 0, &rflags), 0xaabbccdd);
	assert_int_equal(store_result(&high, gpr, 0, &rflags), 0xcc);
	assert_int_equal(rflags, RFLAGS_ONE | RFLAGS_CF | RFLAGS_OF);
	assert_int_equal(store_result(&or, gpr, 1, &rflags), 0x80000001);
	assert_int_equal(rflags, RFLAGS_ONE | RFLAGS_SF);
	assert_int_equal(store_result(&and, gpr, 0xff, &rflags), 0);
	assert_int_equal(rflags, RFLAGS_ONE | RFLAGS_ZF | RFLAGS_PF);
	assert_int_equal(store_result(&xor, gpr, 0x100, &rflags), 0x103);
	assert_int_equal(rflags, RFLAGS_ONE | RFLAGS_PF);
}

static void exchange_writes_as_registers_are_written(void **state)
{
	struct store store = { .operation = STORE_xchg, .size = 4, .source = GPR_rdx };
	u64 gpr[GPRS] = { [GPR_rdx] = ~0ull };

	(void)state;
	store_exchange(&store, gpr, 0x1234);
	assert_int_equal(gpr[GPR_rdx], 0x1234);
	store.size = 2;
	gpr[GPR_rdx] = ~0ull;
	store_exchange(&store, gpr, 0x1234);
	assert_int_equal(gpr[GPR_rdx], 0xffffffffffff1234ull);
	store.size = 1;
	store.high_byte = true;
	store_exchange(&store, gpr, 0x56);
	assert_int_equal(gpr[GPR_rdx], 0xffffffffffff5634ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stores_are_decoded),
		cmocka_unit_test(what_is_cut_short_is_not_decoded),
		cmocka_unit_test(any_bytes_are_survived),
		cmocka_unit_test(results_and_flags),
		cmocka_unit_test(exchange_writes_as_registers_are_written),
	};

	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
