/*
 * Walks of a guest's own page tables against a second walker, which knows each paging mode by itself and
 * all numbers by heart; SDM "Paging". Tables may be anything, and may be each other.
 */
#include <string.h>

#include "fuzz.h"
#include "vmcs_shadow/paging.h"

#define PAGES 8
#define MEMORY (PAGES * 4096)

struct guest {
	u8 bytes[MEMORY];
	struct paging_state state;
	u64 linear;
};

static bool memory_read(void *context, u64 address, unsigned size, u64 *entry)
{
	struct guest *guest = context;

	AGREE((size == 4 || size == 8) && address % size == 0);
	if (address >= MEMORY)
		return false;
	*entry = 0;
	memcpy(entry, guest->bytes + address, size);
	return true;
}

static bool memory_write(void *context, u64 address, unsigned size, u64 entry)
{
	struct guest *guest = context;

	AGREE((size == 4 || size == 8) && address % size == 0);
	if (address >= MEMORY)
		return false;
	memcpy(guest->bytes + address, &entry, size);
	return true;
}

/* The levels of a mode, from the top: where the index of each begins in the linear address. */
struct mode {
	unsigned levels, entry_size, index_bits;
	unsigned shift[5];
};

static const struct mode mode_32bit = { 2, 4, 10, { 22, 12 } };
static const struct mode mode_pae = { 2, 8, 9, { 21, 12 } };
static const struct mode mode_4level = { 4, 8, 9, { 39, 30, 21, 12 } };
static const struct mode mode_5level = { 5, 8, 9, { 48, 39, 30, 21, 12 } };

static const struct mode *mode_of(const struct paging_state *state)
{
	if (state->efer & 0x400)
		return state->cr4 & 0x1000 ? &mode_5level : &mode_4level;
	return state->cr4 & 0x20 ? &mode_pae : &mode_32bit;
}

static u64 index_at(const struct mode *mode, u64 linear, unsigned step)
{
	return linear >> mode->shift[step] & ((1u << mode->index_bits) - 1);
}

static u64 bits(unsigned high, unsigned low)
{
	return high < low ? 0 : ~0ull >> (63 - high) & ~0ull << low;
}

/* Is an entry a page's, though it is not at the last level? */
static bool is_large(const struct guest *guest, const struct mode *mode, unsigned step, u64 entry)
{
	unsigned shift = mode->shift[step];

	if (!(entry & 0x80))
		return false;
	if (shift == 22)
		return guest->state.cr4 & 0x10;
	return shift == 21 || (shift == 30 && guest->state.page1g);
}

/* SDM "Format of ..." tables of each mode: reserved bits. */
static u64 reserved(const struct guest *guest, const struct mode *mode, unsigned step, bool large)
{
	unsigned width = guest->state.maxphyaddr, shift = mode->shift[step];
	u64 always;

	if (mode == &mode_32bit)
		return large ? bits(21, (width < 40 ? width : 40) - 19) : 0;
	always = mode == &mode_pae ? bits(62, width) : bits(51, width);
	if (!(guest->state.efer & 0x800))
		always |= bits(63, 63);
	if (large)
		return always | bits(shift - 1, 13);
	/* Bit 7: names no page at the top levels, nor where 1 GiB pages are none; the PAT's in a PTE. */
	return always | (shift == 12 ? 0 : 0x80);
}

static struct paging_result fault(const struct paging_state *state, u32 error_code, bool write)
{
	return (struct paging_result){ .status = PAGING_FAULT,
				       .error_code = error_code | (write ? 2 : 0) |
						     (state->privilege == PAGING_user ? 4 : 0) };
}

/* SDM "Determination of Access Rights" for data accesses. */
static bool denied(const struct paging_state *state, bool user, bool writable, bool write)
{
	bool smap = state->cr4 & 0x200000;

	switch (state->privilege) {
	case PAGING_user:
		return !user || (write && !writable);
	case PAGING_supervisor:
		smap = smap && !state->alignment_check;
		break;
	case PAGING_system:
		break;
	}
	return (user && smap) || (write && !writable && state->cr0 & 0x10000);
}

/* SDM "Protection Keys" */
static bool key_denies(const struct paging_state *state, bool user, u64 entry, bool write)
{
	u32 rights = state->pkru >> (entry >> 59 & 15) * 2 & 3;

	if (!user || !(state->cr4 & 0x400000) || !(state->efer & 0x400))
		return false;
	return rights & 1 || (rights & 2 && write && (state->privilege == PAGING_user || state->cr0 & 0x10000));
}

static u64 translation(const struct mode *mode, unsigned step, u64 entry, u64 linear)
{
	u64 size = 1ull << mode->shift[step];

	if (mode == &mode_32bit && step == 0)
		return (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32 | (linear & 0x3fffff);
	return (entry & 0xffffffffff000 & ~(size - 1)) | (linear & (size - 1));
}

/* The entries that were used are accessed, the last one dirty after a write. */
static void mark(struct guest *guest, const u64 *used, unsigned steps, bool write)
{
	for (unsigned step = 0; step < steps; step++) {
		guest->bytes[used[step]] |= 0x20;
		if (step == steps - 1 && write)
			guest->bytes[used[step]] |= 0x40;
	}
}

/* The first table of an address; false where PAE paging has none. */
static bool first_table(const struct guest *guest, const struct mode *mode, u64 *table)
{
	u64 root = guest->state.cr3;

	if (mode == &mode_pae) {
		root = guest->state.pdpte[guest->linear >> 30 & 3];
		if (!(root & 1))
			return false;
	}
	*table = mode == &mode_32bit ? root & 0xfffff000 : root & 0xffffffffff000;
	return true;
}

static struct paging_result model_walk(struct guest *guest, bool write)
{
	const struct mode *mode = mode_of(&guest->state);
	bool user = true, writable = true, large;
	u64 table, entry, used[5];

	if (!(guest->state.cr0 & 0x80000000))
		return (struct paging_result){ .status = PAGING_OK, .address = guest->linear };
	if (!first_table(guest, mode, &table))
		return fault(&guest->state, 0, write);
	for (unsigned step = 0;; step++) {
		used[step] = table + index_at(mode, guest->linear, step) * mode->entry_size;
		if (used[step] >= MEMORY)
			return (struct paging_result){ .status = PAGING_UNREADABLE };
		entry = 0;
		memcpy(&entry, guest->bytes + used[step], mode->entry_size);
		if (!(entry & 1))
			return fault(&guest->state, 0, write);
		large = is_large(guest, mode, step, entry);
		if (entry & reserved(guest, mode, step, large) && !(mode == &mode_32bit && !large))
			return fault(&guest->state, 0x9, write);
		user = user && entry & 4;
		writable = writable && entry & 2;
		if (large || step == mode->levels - 1) {
			if (key_denies(&guest->state, user, entry, write))
				return fault(&guest->state, 0x21, write);
			if (denied(&guest->state, user, writable, write))
				return fault(&guest->state, 1, write);
			mark(guest, used, step + 1, write);
			return (struct paging_result){
				.status = PAGING_OK,
				.address = translation(mode, step, entry, guest->linear),
			};
		}
		table = entry & 0xffffffffff000;
	}
}

static void check_walk(struct guest *guest, bool write)
{
	static struct guest model;
	const struct paging_memory memory = { guest, memory_read, memory_write };
	struct paging_result expected, result;

	model = *guest;
	expected = model_walk(&model, write);
	result = paging_walk(&guest->state, &memory, guest->linear, write);
	AGREE(result.status == expected.status);
	if (result.status == PAGING_OK)
		AGREE(result.address == expected.address);
	if (result.status == PAGING_FAULT)
		AGREE(result.error_code == expected.error_code);
	AGREE(memcmp(guest->bytes, model.bytes, MEMORY) == 0);
}

/* Tables one behind the other, that map the linear address for everyone. */
static void lay_out(struct guest *guest)
{
	const struct mode *mode = mode_of(&guest->state);

	for (unsigned step = 0; step < mode->levels; step++) {
		u64 entry = (step + 1) * 4096 | 7;
		u64 address = step * 4096 + index_at(mode, guest->linear, step) * mode->entry_size;

		memcpy(guest->bytes + address, &entry, mode->entry_size);
	}
	guest->state.cr3 &= 0xfff;
	for (unsigned i = 0; i < 4; i++)
		guest->state.pdpte[i] = 1;
}

/* The entry that a walk finds at a step is changed a little, or a lot. */
static void change_entry(struct guest *guest, struct fuzz_input *input)
{
	const struct mode *mode = mode_of(&guest->state);
	unsigned step = fuzz_below(input, mode->levels);
	u64 address = step * 4096 + index_at(mode, guest->linear, step) * mode->entry_size, entry = 0;

	memcpy(&entry, guest->bytes + address, mode->entry_size);
	if (fuzz_bool(input))
		entry ^= 1ull << fuzz_below(input, 8 * mode->entry_size);
	else
		entry = (entry & ~0xff7ull) | (fuzz_take(input, 2) & 0xff6);
	memcpy(guest->bytes + address, &entry, mode->entry_size);
}

/* An entry on the way of the linear address: mostly one that leads on, and has little wrong with it. */
static void take_entry(struct guest *guest, struct fuzz_input *input)
{
	const struct mode *mode = mode_of(&guest->state);
	u64 index = index_at(mode, guest->linear, fuzz_below(input, mode->levels));
	u64 address = fuzz_below(input, PAGES) * 4096 + index * mode->entry_size;
	u64 entry = fuzz_below(input, PAGES) * 4096 | (fuzz_take(input, 2) & 0xfff);

	if (fuzz_below(input, 4))
		entry |= 7;
	if (fuzz_bool(input))
		entry ^= 1ull << fuzz_below(input, 64);
	if (fuzz_below(input, 8) == 0)
		entry = fuzz_take(input, 8);
	memcpy(guest->bytes + address, &entry, mode->entry_size);
}

static void take_registers(struct paging_state *state, u32 flags)
{
	state->maxphyaddr = (u8)(32 + (flags & 0xff) % 21);
	flags >>= 8;
	state->cr0 = (flags & 0x1 ? 0x10000 : 0) | (flags & 0x6 ? 0x80000001 : 1);
	state->cr4 = (flags & 0x8 ? 0x10 : 0) | (flags & 0x10 ? 0x20 : 0) | (flags & 0x20 ? 0x1000 : 0) |
		     (flags & 0x40 ? 0x200000 : 0);
	state->efer = (flags & 0x80 ? 0x800 : 0) | (flags & 0x10 && flags & 0x100 ? 0x500 : 0);
	state->alignment_check = flags & 0x200;
	state->privilege = (enum paging_privilege)((flags >> 11) % 3);
	state->cr4 |= flags & 0x2000 ? 0x400000 : 0;
	state->page1g = flags & 0x400;
}

static void take_state(struct guest *guest, struct fuzz_input *input)
{
	struct paging_state *state = &guest->state;

	take_registers(state, (u32)fuzz_take(input, 3));
	state->pkru = (u32)fuzz_take(input, 4);
	state->cr3 = fuzz_below(input, PAGES + 1) * 4096 | (fuzz_take(input, 1) & 0x18);
	for (unsigned i = 0; i < 4; i++)
		state->pdpte[i] = fuzz_below(input, PAGES) * 4096 | (fuzz_take(input, 1) & 1);
	guest->linear = fuzz_take(input, 8);
	if (!(state->efer & 0x400))
		guest->linear &= 0xffffffff;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct guest guest;
	struct fuzz_input input = fuzz_begin(data, size);

	memset(&guest, 0, sizeof(guest));
	take_state(&guest, &input);
	lay_out(&guest);
	while (fuzz_goes_on(&input)) {
		unsigned choice = fuzz_below(&input, 8);

		if (choice < 3)
			check_walk(&guest, choice & 1);
		else if (choice == 3 && fuzz_below(&input, 4) == 0)
			take_state(&guest, &input);
		else if (choice == 4)
			lay_out(&guest);
		else if (choice == 5)
			take_entry(&guest, &input);
		else
			change_entry(&guest, &input);
	}
	check_walk(&guest, false);
	check_walk(&guest, true);
	return 0;
}
