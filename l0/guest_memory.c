#include "guest_memory.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "vmcs_shadow/paging.h"

static bool read_entry(void *context, u64 address, unsigned size, u64 *entry)
{
	const void *at = l1_pointer(address, size);

	(void)context;
	if (!at)
		return false;
	*entry = size == sizeof(u64) ? *(const u64 *)at : *(const u32 *)at;
	return true;
}

static bool write_entry(void *context, u64 address, unsigned size, u64 entry)
{
	(void)context;
	if (!l1_pointer(address, size))
		return false;
	l1_write(address, &entry, size);
	return true;
}

static const struct paging_memory l1_tables = { NULL, read_entry, write_entry };

static struct paging_state l1_paging(void)
{
	struct paging_state state = {
		.cr0 = vmread(ENC_guest_cr0), .cr3 = vmread(ENC_guest_cr3), .cr4 = vmread(ENC_guest_cr4),
		.efer = vmread(ENC_guest_ia32_efer), .alignment_check = vmread(ENC_guest_rflags) & RFLAGS_AC,
		.page1g = host_caps.page1g, .maxphyaddr = host_caps.maxphyaddr,
	};

	if (state.cr4 & CR4_PAE && !(state.efer & EFER_LMA))
		for (unsigned i = 0; i < ARRAY_SIZE(state.pdpte); i++)
			state.pdpte[i] = vmread(ENC_guest_pdpte0 + 2 * i);
	return state;
}

/* The L1-physical address of a linear one, or #PF for L1. */
static bool translate(const struct paging_state *state, u64 linear, bool write, u64 *address10)
{
	struct paging_result result = paging_walk(state, &l1_tables, linear, write);

	if (result.status == PAGING_FAULT) {
		write_cr2(linear);
		inject_exception(VECTOR_PF, true, result.error_code);
		return false;
	}
	/* Absent memory reads as all ones: a present entry with reserved bits set. */
	if (result.status == PAGING_UNREADABLE) {
		write_cr2(linear);
		inject_exception(VECTOR_PF, true, (u32)(PF_PRESENT | PF_RSVD | (write ? PF_WRITE : 0)));
		return false;
	}
	*address10 = result.address;
	return true;
}

struct span {
	u64 address10[2];
	unsigned size[2]; /* the second is 0 unless the access crosses a page */
};

static bool translate_span(u64 linear, unsigned size, bool write, struct span *span)
{
	struct paging_state state = l1_paging();
	u64 left = PAGE_SIZE - linear % PAGE_SIZE;

	span->size[0] = size < left ? size : (unsigned)left;
	span->size[1] = size - span->size[0];
	return translate(&state, linear, write, &span->address10[0]) &&
	       (!span->size[1] || translate(&state, linear + span->size[0], write, &span->address10[1]));
}

bool l1_read_linear(struct cpu *cpu, u64 linear, void *to, unsigned size)
{
	struct span span;

	(void)cpu;
	if (!translate_span(linear, size, false, &span))
		return false;
	l1_read(span.address10[0], to, span.size[0]);
	if (span.size[1])
		l1_read(span.address10[1], (char *)to + span.size[0], span.size[1]);
	return true;
}

bool l1_write_linear(struct cpu *cpu, u64 linear, const void *from, unsigned size)
{
	struct span span;

	(void)cpu;
	if (!translate_span(linear, size, true, &span))
		return false;
	l1_write(span.address10[0], from, span.size[0]);
	if (span.size[1])
		l1_write(span.address10[1], (const char *)from + span.size[0], span.size[1]);
	return true;
}

bool l1_operand_address(struct cpu *cpu, const struct vmx_operand *operand, unsigned size, bool write, u64 *linear)
{
	u32 place = 2 * operand->segment; /* encodings of the segments follow each other */
	struct segment_state segment = {
		.base = vmread(ENC_guest_es_base + place),
		.limit = (u32)vmread(ENC_guest_es_limit + place),
		.access_rights = (u32)vmread(ENC_guest_es_access_rights + place),
	};
	unsigned width = vmread(ENC_guest_cr4) & CR4_LA57 ? 57 : 48;
	int vector = operand_linear(operand, &segment, size, write, l1_in_64bit_code(), width, linear);

	(void)cpu;
	if (vector >= 0)
		inject_exception((enum x86_vector)vector, true, 0);
	return vector < 0;
}

#define PDPTE_RESERVED (BITS(2, 1) | BITS(8, 5))
#define PAE_CR3_TABLE BITS(31, 5)

bool l1_read_pdptes(u64 cr3, u64 pdpte[PDPTES])
{
	u64 reserved = PDPTE_RESERVED | ~(BIT(host_caps.maxphyaddr) - 1);

	l1_read(cr3 & PAE_CR3_TABLE, pdpte, PDPTES * sizeof(u64));
	for (unsigned i = 0; i < PDPTES; i++)
		if (pdpte[i] & PTE_PRESENT && pdpte[i] & reserved)
			return false;
	return true;
}

/* Reading L2's page tables goes through EPT12, where there is one. */
static bool read_entry_of_l2(void *context, u64 address, unsigned size, u64 *entry)
{
	return nested_translate20(context, address, &address) && read_entry(NULL, address, size, entry);
}

/* The CPU has set the flags when it fetched the instruction. */
static bool keep_entry(void *context, u64 address, unsigned size, u64 entry)
{
	(void)context;
	(void)address;
	(void)size;
	(void)entry;
	return true;
}

static bool fetch_address(struct cpu *cpu, const struct paging_state *state, u64 linear, u64 *address10)
{
	struct paging_memory memory = { cpu, cpu->level == LEVEL_2 ? read_entry_of_l2 : read_entry, keep_entry };
	struct paging_result result = paging_walk(state, &memory, linear, false);

	*address10 = result.address;
	return result.status == PAGING_OK &&
	       (cpu->level == LEVEL_1 || nested_translate20(cpu, result.address, address10));
}

unsigned guest_fetch(struct cpu *cpu, u8 *code, unsigned size)
{
	struct paging_state state = l1_paging();
	u64 linear = vmread(ENC_guest_rip) + (l1_in_64bit_code() ? 0 : vmread(ENC_guest_cs_base)), address10;
	unsigned length = 0;

	state.alignment_check = true; /* as if it were an explicit access: SMAP does not apply to fetches */
	while (length < size) {
		unsigned left = (unsigned)(PAGE_SIZE - (linear + length) % PAGE_SIZE);
		unsigned part = size - length < left ? size - length : left;

		if (!fetch_address(cpu, &state, linear + length, &address10))
			break;
		l1_read(address10, code + length, part);
		length += part;
	}
	return length;
}
