#include "program.h"
#include "random.h"
#include "string.h"

#define VMCALL_SIZE 3
#define INT3 0xcc
#define ITEM_SIZE 48 /* no item is longer */

/* Where the next byte goes, and the kind of code that it is. */
struct writer {
	u8 *at;
	u64 address; /* L2's, of at */
	unsigned bits;
	const struct vm *vm;
};

static void put(struct writer *w, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		w->at[i] = (u8)(value >> 8 * i);
	w->at += bytes;
	w->address += bytes;
}

/* Some bytes in the order they are written down in, the first not 0. */
static void put_bytes(struct writer *w, u64 bytes)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		if (bytes >> shift)
			put(w, bytes >> shift, 1);
}

/* Has 32-bit operands, whatever the code. */
static void operand32(struct writer *w)
{
	if (w->bits == 16)
		put(w, 0x66, 1);
}

static void move_to(struct writer *w, enum gpr gpr, u64 value)
{
	if (w->bits == 64 && value >> 32) {
		put(w, 0x48, 1);
		put(w, 0xb8 + gpr, 1);
		put(w, value, 8);
		return;
	}
	operand32(w);
	put(w, 0xb8 + gpr, 1);
	put(w, value, 4);
}

/* A ModRM byte for memory at RSI, RDI or RBX. */
static void memory_operand(struct writer *w, unsigned reg)
{
	static const u8 wide[] = { RSI, RDI, RBX }, narrow[] = { 4, 5, 7 };
	unsigned base = (unsigned)random_below(3);

	put(w, reg << 3 | (w->bits == 16 ? narrow[base] : wide[base]), 1);
}

static u64 some_address(const struct writer *w)
{
	u64 address = VM_ADDRESS(random_below(VM_LINEAR_PAGES)) + random_below(PAGE_SIZE);

	if (one_in(2))
		address = VM_ADDRESS(PAGE_DATA) + random_below(PAGE_SIZE);
	if (one_in(16))
		address = random_odd(w->bits == 64 ? 64 : 32);
	return one_in(2) ? address & ~7ull : address;
}

static void aim(struct writer *w)
{
	static const u8 pointers[] = { RSI, RDI, RBX };

	move_to(w, pointers[random_below(3)], some_address(w));
}

static void item_control_register(struct writer *w)
{
	static const u8 registers[] = { 0, 0, 3, 4, 4, 8 };
	unsigned cr = registers[random_below(ARRAY_SIZE(registers))], gpr = (unsigned)random_below(3);

	if (cr == 8 && w->bits != 64)
		cr = 2;
	if (cr == 8)
		put(w, 0x44, 1);
	put_bytes(w, 0x0f20);
	put(w, 0xc0 | (cr & 7) << 3 | gpr, 1);
	if (one_in(3))
		return;
	if (!one_in(3)) {
		/* XOR with an immediate */
		operand32(w);
		put(w, 0x81, 1);
		put(w, 0xf0 | gpr, 1);
		put(w, cr == 8 ? random_below(20) : random_odd(32), 4);
	}
	if (cr == 8)
		put(w, 0x44, 1);
	put_bytes(w, 0x0f22);
	put(w, 0xc0 | (cr & 7) << 3 | gpr, 1);
}

static void item_machine_status(struct writer *w)
{
	switch (random_below(3)) {
	case 0:
		put_bytes(w, 0x0f06); /* CLTS */
		break;
	case 1:
		put_bytes(w, 0x0f01e0); /* SMSW EAX */
		break;
	default:
		move_to(w, RAX, random_below(32));
		put_bytes(w, 0x0f01f0); /* LMSW AX */
	}
}

static void item_debug_register(struct writer *w)
{
	unsigned dr = (unsigned)random_below(8);

	if (one_in(2)) {
		move_to(w, RDX, dr < 4 ? some_address(w) : random_odd(32) & 0xffff);
		put_bytes(w, 0x0f23);
	} else {
		put_bytes(w, 0x0f21);
	}
	put(w, 0xc0 | dr << 3 | RDX, 1);
}

static void item_msr(struct writer *w)
{
	static const u32 msrs[] = { 0xc0000081, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0x174,
				    0x175, 0x176, 0x277, 0xc0000080, 0x1d9, 0x3a, 0x480, 0x10, 0x808, 0x80b, 0x80d,
				    0xdeadbeef, 0x1b, 0x8b, 0xda0 };

	move_to(w, RCX, one_in(3) ? msrs[random_below(ARRAY_SIZE(msrs))] : msrs[random_below(8)]);
	if (one_in(2)) {
		put_bytes(w, 0x0f32);
		return;
	}
	move_to(w, RDX, one_in(4) ? random_odd(32) : random_below(2) * 0x7fff);
	move_to(w, RAX, random_odd(32));
	put_bytes(w, 0x0f30);
}

/* The timer, the speaker and the clock tell of time, which is not the same on L0. */
static u32 timeless(u32 port)
{
	return port >= 0x40 - sizeof(u32) && port < 0x80 ? 0x80 : port;
}

static void item_port(struct writer *w)
{
	static const u8 plain[] = { 0xec, 0xed, 0xee, 0xef }, string[] = { 0x6c, 0x6d, 0x6e, 0x6f };

	if (one_in(4)) {
		put(w, 0xe4 + random_below(4), 1);
		put(w, one_in(3) ? timeless((u32)random_below(256)) : 0x80, 1);
		return;
	}
	move_to(w, RDX, one_in(3) ? timeless((u32)random_odd(16)) : 0x80);
	if (one_in(4))
		operand32(w);
	if (one_in(2)) {
		put(w, plain[random_below(4)], 1);
		return;
	}
	if (one_in(2))
		aim(w);
	if (one_in(4))
		put(w, 0xfc + random_below(2), 1); /* CLD, STD */
	if (one_in(2)) {
		move_to(w, RCX, random_below(5));
		put(w, 0xf3, 1);
	}
	put(w, string[random_below(4)], 1);
}

/* Instructions that have an exit of their own, or whose only operands are registers. */
static void item_plain(struct writer *w)
{
	static const u32 instructions[] = {
		0x0fa2, 0x0fa2, 0xf4, 0xf390, 0x0f09, 0x0f08, 0x0f01d1, 0x0f01d0, /* CPUID to XGETBV */
		0x0f01c1, 0x0f01c2, 0x0f01c3, 0x0f01c4, 0x0f01d4,                 /* VMCALL to VMFUNC */
		0x0f01c8, 0x0f01c9, 0x0f0b, 0xf1, 0xcc, 0xce, 0x0f33, 0x0f37, 0x0f77, /* MONITOR to EMMS */
		0xfa, 0xfb, 0x9c, 0x9b, 0x0f05, 0x0f34, 0x0f01f8, 0x0faa, 0xdbe3, /* CLI to FNINIT */
	};

	put_bytes(w, instructions[random_below(ARRAY_SIZE(instructions))]);
}

static void item_vmfunc(struct writer *w)
{
	move_to(w, RAX, random_below(3) / 2);
	move_to(w, RCX, random_below(4));
	put_bytes(w, 0x0f01d4);
}

/* Instructions on memory that need not be there. */
static void item_memory(struct writer *w)
{
	static const struct {
		u32 opcode;
		u8 reg;
	} instructions[] = {
		{ 0x8b, 0 }, { 0x89, 0 }, { 0x8a, 1 }, { 0x88, 2 }, { 0x01, 1 }, { 0x87, 2 }, { 0xff, 6 }, { 0x8f, 0 },
		{ 0x0f01, 7 }, { 0x0f01, 7 }, { 0x0f01, 4 }, { 0x0f01, 6 }, { 0xf00fb1, 1 }, { 0x0fae, 7 }, { 0x62, 0 },
		{ 0x660f3882, 0 }, { 0x660f3880, 1 }, { 0x660f3881, 2 }, { 0x0fc7, 6 }, { 0x0fc7, 7 }, { 0x660fc7, 6 },
		{ 0xf30fc7, 6 }, { 0x0f78, 1 }, { 0x0f79, 2 }, { 0x0fc7, 1 }, { 0xd9, 6 }, { 0xdd, 7 }, { 0x0f28, 0 },
	};
	unsigned i = (unsigned)random_below(one_in(2) ? 8 : ARRAY_SIZE(instructions));

	if (!one_in(4))
		aim(w);
	if (instructions[i].opcode > 0xffff && one_in(2))
		move_to(w, RAX, random_below(5));
	if (w->bits == 64 && instructions[i].opcode < 0x100 && one_in(2))
		put(w, 0x48, 1);
	put_bytes(w, instructions[i].opcode);
	memory_operand(w, instructions[i].reg);
}

static void item_descriptor_table(struct writer *w)
{
	switch (random_below(5)) {
	case 0:
	case 1:
		aim(w);
		put_bytes(w, 0x0f01); /* SGDT, SIDT, LGDT, LIDT */
		memory_operand(w, (unsigned)random_below(4));
		break;
	case 2: /* SLDT, STR, LLDT, LTR, VERR, VERW of EAX */
		move_to(w, RAX, one_in(2) ? 0 : random_below(12) * 8);
		put_bytes(w, 0x0f00);
		put(w, 0xc0 | random_below(6) << 3, 1);
		break;
	default: /* MOV to a segment register, not CS */
		move_to(w, RAX, one_in(4) ? random_odd(16) & 0x7b : SEL_DATA | w->vm->ring);
		put(w, 0x8e, 1);
		put(w, 0xc0 | (unsigned[]){ 0, 2, 3, 4, 5 }[random_below(5)] << 3, 1);
	}
}

/* MOV SS and STI block events for an instruction. */
static void item_blocking(struct writer *w)
{
	if (one_in(2)) {
		put(w, 0xfb, 1);
	} else {
		put_bytes(w, 0x8cd0);
		put_bytes(w, 0x8ed0);
	}
	item_plain(w);
}

static void item_software_interrupt(struct writer *w)
{
	put(w, 0xcd, 1);
	put(w, random_below(256), 1);
}

/* A far return to the instruction behind it, in one or another code segment. */
static void item_far_return(struct writer *w)
{
	static const u8 selectors[] = { SEL_CODE64, SEL_CODE32, SEL_CODE16, SEL_USER_CODE64, SEL_USER_CODE32, SEL_DATA,
					0x50, 0x78 };
	u64 selector = w->vm->mode == VM_64 ? SEL_CODE64 : SEL_CODE32;
	unsigned immediate = w->bits == 16 ? 2 : 4;

	if (w->vm->mode == VM_REAL || w->vm->mode == VM_V8086)
		selector = 0;
	else if (one_in(2))
		selector = selectors[random_below(ARRAY_SIZE(selectors))];
	put(w, 0x6a, 1);
	put(w, selector | w->vm->ring, 1);
	put(w, 0x68, 1);
	put(w, w->address + immediate + (w->bits == 64 ? 2 : 1), immediate);
	if (w->bits == 64)
		put(w, 0x48, 1);
	put(w, 0xcb, 1);
}

/*
 * PUSH and POPF, with any flags but those of a nested task and TF: of a single step that an exit cuts short before the
 * instruction the emulated CPU saves a pending debug exception, so that it differs where L0 has to map a page.
 */
static void item_flags(struct writer *w)
{
	unsigned immediate = w->bits == 16 ? 2 : 4;

	put(w, 0x68, 1);
	put(w, (random_odd(16) & 0x3fff & ~RFLAGS_TF) | RFLAGS_ONE, immediate);
	put(w, 0x9d, 1);
	if (one_in(2))
		item_plain(w);
}

/*
 * Time is not the same on both machines, but the offset's upper bits are. EAX is cleared twice, for a program may find
 * itself in another mode than it was made for.
 */
static void item_time(struct writer *w)
{
	put_bytes(w, one_in(2) ? 0x0f31 : 0x0f01f9);
	put_bytes(w, 0x31c0);
	put(w, 0x66, 1);
	put_bytes(w, 0x31c0);
	operand32(w);
	put_bytes(w, 0x81e2);
	put(w, 0xff000000, 4);
}

static void item_divide(struct writer *w)
{
	put_bytes(w, 0x31d2);
	put_bytes(w, 0xf7f2);
}

/*
 * Bytes that make no jump, whatever they are taken for: no opcode of one, none of what reads time or a random number,
 * nor POPF.
 */
static bool is_jump_or_time(u8 byte)
{
	return (byte >= 0x70 && byte <= 0x7f) || (byte >= 0x80 && byte <= 0x8f) || (byte >= 0xe0 && byte <= 0xef) ||
	       byte == 0xff || byte == 0x9a || byte == 0xc2 || byte == 0xc3 || byte == 0xca || byte == 0xcb ||
	       byte == 0xcf || byte == 0x31 || byte == 0x33 || byte == 0xc7 || byte == 0xf9 || byte == 0x35 ||
	       byte == 0x07 || byte == 0x9d;
}

static void item_bytes(struct writer *w)
{
	unsigned count = 3 + (unsigned)random_below(12);

	while (count) {
		u8 byte = (u8)random64();

		if (is_jump_or_time(byte))
			continue;
		if (one_in(6))
			byte = 0x0f;
		put(w, byte, 1);
		count--;
	}
}

/* The first of them always run straight on, the others where a watchdog ends what does not. */
static void (*const items[])(struct writer *) = {
	item_control_register, item_control_register, item_machine_status, item_msr, item_msr, item_port, item_port,
	item_plain, item_plain, item_plain, item_plain, item_memory, item_memory, item_memory, item_memory,
	item_blocking,
	item_software_interrupt, item_time, item_divide, item_vmfunc,
	item_debug_register, item_descriptor_table, item_far_return, item_flags, item_bytes, item_bytes,
};
#define ITEMS_STRAIGHT 20

/* Ends with a VMCALL; beyond it are INT3s. */
static void make_piece(struct vm *vm, unsigned number)
{
	u64 offset = number * PIECE_SIZE;
	struct writer w = { .at = vm_page(vm, PAGE_CODE) + offset, .address = VM_ADDRESS(PAGE_CODE) + offset,
			    .bits = vm_code_bits(vm), .vm = vm };
	u8 *end = w.at + PIECE_SIZE;
	unsigned count = 1 + (unsigned)random_below(4);
	const u64 kinds = vm->watched ? ARRAY_SIZE(items) : ITEMS_STRAIGHT;

	memset(w.at, INT3, PIECE_SIZE);
	while (count-- && w.at + ITEM_SIZE + VMCALL_SIZE < end)
		items[random_below(kinds)](&w);
	put_bytes(&w, 0x0f01c1);
}

void program_make(struct vm *vm)
{
	for (unsigned number = 0; number < PIECES; number++)
		make_piece(vm, number);
}
