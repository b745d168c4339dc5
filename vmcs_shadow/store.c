#include "vmcs_shadow/store.h"

#define REX 0x40
#define REX_MASK 0xf0
#define REX_W 0x8
#define REX_R 0x4
#define ADDRESS_SIZE_PREFIX 0x67
#define OPERAND_SIZE_PREFIX 0x66

struct decoder {
	const u8 *code;
	unsigned length, at;
	enum code_size size;
	u8 rex;
	bool has_rex, operand_prefix, address_prefix;
};

static bool next(struct decoder *d, u8 *byte)
{
	if (d->at >= d->length)
		return false;
	*byte = d->code[d->at++];
	return true;
}

static bool is_other_prefix(u8 byte)
{
	return byte == 0xf0 || byte == 0xf2 || byte == 0xf3 || byte == 0x26 || byte == 0x2e || byte == 0x36 ||
	       byte == 0x3e || byte == 0x64 || byte == 0x65;
}

/* Prefixes and the opcode behind them. A REX counts only right before the opcode. */
static bool decode_prefixes(struct decoder *d, u8 *opcode)
{
	while (next(d, opcode)) {
		if (d->size == CODE_64 && (*opcode & REX_MASK) == REX) {
			d->rex = *opcode;
			d->has_rex = true;
			continue;
		}
		if (*opcode == OPERAND_SIZE_PREFIX)
			d->operand_prefix = true;
		else if (*opcode == ADDRESS_SIZE_PREFIX)
			d->address_prefix = true;
		else if (!is_other_prefix(*opcode))
			return true;
		d->has_rex = false;
		d->rex = 0;
	}
	return false;
}

static u8 operand_size(const struct decoder *d)
{
	if (d->rex & REX_W)
		return sizeof(u64);
	return (d->size == CODE_16) == d->operand_prefix ? sizeof(u32) : sizeof(u16);
}

static u8 address_size(const struct decoder *d)
{
	if (d->size == CODE_64)
		return d->address_prefix ? sizeof(u32) : sizeof(u64);
	return (d->size == CODE_16) == d->address_prefix ? sizeof(u32) : sizeof(u16);
}

static bool skip(struct decoder *d, unsigned bytes)
{
	d->at += bytes;
	return d->at <= d->length;
}

/* SDM "Addressing-Mode Encoding of ModR/M and SIB Bytes": what follows ModRM. False if it names a register. */
static bool skip_address(struct decoder *d, u8 modrm)
{
	bool wide = address_size(d) != sizeof(u16);
	unsigned mod = modrm >> 6, rm = modrm & 7, displacement = wide ? sizeof(u32) : sizeof(u16);
	u8 sib;

	if (mod == 3)
		return false;
	if (wide && rm == 4) {
		if (!next(d, &sib))
			return false;
		rm = sib & 7;
	}
	if (mod == 0)
		return rm != (wide ? 5 : 6) || skip(d, displacement);
	return skip(d, mod == 1 ? 1 : displacement);
}

static void set_register(const struct decoder *d, struct store *store, u8 modrm)
{
	unsigned number = modrm >> 3 & 7;

	store->high_byte = store->size == 1 && !d->has_rex && number >= 4;
	store->source = (enum gpr)(store->high_byte ? number - 4 : number + (d->rex & REX_R ? 8 : 0));
}

/* At most 32 bits, sign-extended. */
static bool decode_immediate(struct decoder *d, struct store *store, unsigned size)
{
	u64 value = 0;
	u8 byte;

	for (unsigned i = 0; i < size; i++) {
		if (!next(d, &byte))
			return false;
		value |= (u64)byte << 8 * i;
	}
	store->immediate = true;
	store->value = (u64)((s64)(value << (64 - 8 * size)) >> (64 - 8 * size));
	return true;
}

/* The logical operations among the eight of the opcode map's first rows and of group 1. */
static bool logical(unsigned number, enum store_operation *operation)
{
	static const u8 of[8] = { [1] = STORE_or, [4] = STORE_and, [6] = STORE_xor };

	*operation = (enum store_operation)of[number];
	return of[number] != 0;
}

static bool decode_moffs(struct decoder *d, struct store *store)
{
	store->source = GPR_rax;
	return skip(d, address_size(d));
}

static bool decode_with_immediate(struct decoder *d, struct store *store, u8 opcode, u8 modrm)
{
	unsigned number = modrm >> 3 & 7, size = store->size < 4 ? store->size : sizeof(u32);

	if (opcode >= 0xc6 ? number != 0 : !logical(number, &store->operation))
		return false;
	return skip_address(d, modrm) && decode_immediate(d, store, opcode == 0x83 ? 1 : size);
}

static bool decode_operands(struct decoder *d, struct store *store, u8 opcode)
{
	u8 modrm;

	store->size = opcode & 1 ? operand_size(d) : 1;
	if (opcode == 0xa2 || opcode == 0xa3)
		return decode_moffs(d, store);
	if (!next(d, &modrm))
		return false;
	switch (opcode) {
	case 0x80: case 0x81: case 0x83: case 0xc6: case 0xc7:
		return decode_with_immediate(d, store, opcode, modrm);
	case 0x86: case 0x87:
		store->operation = STORE_xchg;
		break;
	case 0x88: case 0x89:
		break;
	default:
		if (opcode >= 0x40 || (opcode & 7) > 1 || !logical(opcode >> 3, &store->operation))
			return false;
	}
	set_register(d, store, modrm);
	return skip_address(d, modrm);
}

bool store_decode(const u8 *code, unsigned length, enum code_size size, struct store *store)
{
	struct decoder d = { .code = code, .length = length, .size = size };
	u8 opcode;

	if (d.length > INSTRUCTION_BYTES_MAX)
		d.length = INSTRUCTION_BYTES_MAX;
	*store = (struct store){ .operation = STORE_mov };
	if (!decode_prefixes(&d, &opcode) || !decode_operands(&d, store, opcode))
		return false;
	store->length = (u8)d.at;
	return true;
}

static u64 size_mask(const struct store *store)
{
	return store->size == sizeof(u64) ? ~0ull : BIT(8 * store->size) - 1;
}

static bool even_parity(u8 value)
{
	value ^= value >> 4;
	value ^= value >> 2;
	value ^= value >> 1;
	return !(value & 1);
}

/* SDM "OR", "AND", "XOR": CF and OF are cleared, AF is undefined and stays. */
static void set_flags(const struct store *store, u64 result, u64 *rflags)
{
	*rflags &= ~(RFLAGS_CF | RFLAGS_OF | RFLAGS_SF | RFLAGS_ZF | RFLAGS_PF);
	if (!result)
		*rflags |= RFLAGS_ZF;
	if (result >> (8 * store->size - 1) & 1)
		*rflags |= RFLAGS_SF;
	if (even_parity((u8)result))
		*rflags |= RFLAGS_PF;
}

u64 store_result(const struct store *store, const u64 *gpr, u64 old, u64 *rflags)
{
	u64 source = store->immediate ? store->value : gpr[store->source] >> (store->high_byte ? 8 : 0);

	switch (store->operation) {
	case STORE_or:
		source |= old;
		break;
	case STORE_and:
		source &= old;
		break;
	case STORE_xor:
		source ^= old;
		break;
	case STORE_mov:
	case STORE_xchg:
		return source & size_mask(store);
	}
	source &= size_mask(store);
	set_flags(store, source, rflags);
	return source;
}

/* SDM "General-Purpose Registers in 64-Bit Mode": 32 bits clear the upper half, fewer keep the rest. */
void store_exchange(const struct store *store, u64 *gpr, u64 old)
{
	u64 *to = &gpr[store->source], mask = size_mask(store);
	unsigned shift = store->high_byte ? 8 : 0;

	if (store->size == sizeof(u32))
		*to = (u32)old;
	else
		*to = (*to & ~(mask << shift)) | (old & mask) << shift;
}
