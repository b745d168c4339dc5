/* Instructions that write to memory, as far as hypervisors and kernels use them on device registers. */
#ifndef TURTLES_STORE_H
#define TURTLES_STORE_H

#include "operand.h"

#define INSTRUCTION_BYTES_MAX 15

/* The size of addresses and operands that a code segment has by default; SDM "Operand-Size and Address-Size". */
enum code_size { CODE_16, CODE_32, CODE_64 };

enum store_operation { STORE_mov, STORE_xchg, STORE_or, STORE_and, STORE_xor };

/* A decoded store. Where it goes is not decoded: the exit that wants the instruction emulated tells it. */
struct store {
	enum store_operation operation;
	u8 length;       /* bytes of the instruction */
	u8 size;         /* bytes written: 1, 2, 4, 8 */
	bool immediate;  /* the source is value, else a register */
	u64 value;
	enum gpr source;
	bool high_byte;  /* AH, CH, DH, BH */
};

/*
 * Decode a MOV, XCHG, OR, AND or XOR with a memory destination from length bytes of code. False if it is anything
 * else, or cut short. SDM "Instruction Format".
 */
bool store_decode(const u8 *code, unsigned length, enum code_size size, struct store *store);

/* What the instruction writes, given what the destination held; the flags of OR, AND and XOR go to *rflags. */
u64 store_result(const struct store *store, const u64 *gpr, u64 old, u64 *rflags);

/* XCHG: the register that gets what the destination held. */
void store_exchange(const struct store *store, u64 *gpr, u64 old);

#endif
