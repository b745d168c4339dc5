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

/* PKRU is L1's while L0 runs, which has no user pages of its own. */
static u32 read_pkru(void)
{
	u64 cr4 = read_cr4();
	u32 pkru;

	write_cr4(cr4 | CR4_PKE);
	pkru = rdpkru();
	write_cr4(cr4);
	return pkru;
}

static struct paging_state l1_paging(enum paging_privilege privilege)
{
	struct paging_state state = {
		.cr0 = vmread(ENC_guest_cr0), .cr3 = vmread(ENC_guest_cr3), .cr4 = vmread(ENC_guest_cr4),
		.efer = vmread(ENC_guest_ia32_efer), .alignment_check = vmread(ENC_guest_rflags) & RFLAGS_AC,
		.privilege = privilege, .page1g = host_caps.page1g, .maxphyaddr = host_caps.maxphyaddr,
	};

	if (state.cr4 & CR4_PAE && !(state.efer & EFER_LMA))
		for (unsigned i = 0; i < ARRAY_SIZE(state.pdpte); i++)
			state.pdpte[i] = vmread(ENC_guest_pdpte0 + 2 * i);
	if (UNLIKELY(state.cr4 & CR4_PKE))
		state.pkru = read_pkru();
	return state;
}

enum paging_privilege l1_privilege(void)
{
	return l1_cpl() == 3 ? PAGING_user : PAGING_supervisor;
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
		inject_exception(VECTOR_PF, true, (u32)(PF_PRESENT | PF_RSVD | (write ? PF_WRITE : 0) |
							(state->privilege == PAGING_user ? PF_USER : 0)));
		return false;
	}
	*address10 = result.address;
	return true;
}

struct span {
	u64 address10[2];
	unsigned size[2]; /* the second is 0 unless the access crosses a page */
};

static bool translate_span(enum paging_privilege privilege, u64 linear, unsigned size, bool write, struct span *span)
{
	struct paging_state state = l1_paging(privilege);
	u64 left = PAGE_SIZE - linear % PAGE_SIZE, next = linear + left;

	span->size[0] = size < left ? size : (unsigned)left;
	span->size[1] = size - span->size[0];
	if (!translate(&state, linear, write, &span->address10[0]))
		return false;
	if (!span->size[1])
		return true;
	return translate(&state, l1_in_64bit_code() ? next : (u32)next, write, &span->address10[1]);
}

bool l1_read_linear(enum paging_privilege privilege, u64 linear, void *to, unsigned size)
{
	struct span span;

	if (!translate_span(privilege, linear, size, false, &span))
		return false;
	l1_read(span.address10[0], to, span.size[0]);
	if (span.size[1])
		l1_read(span.address10[1], (char *)to + span.size[0], span.size[1]);
	return true;
}

bool l1_write_linear(enum paging_privilege privilege, u64 linear, const void *from, unsigned size)
{
	struct span span;

	if (!translate_span(privilege, linear, size, true, &span))
		return false;
	l1_write(span.address10[0], from, span.size[0]);
	if (span.size[1])
		l1_write(span.address10[1], (const char *)from + span.size[0], span.size[1]);
	return true;
}

bool l1_probe_linear(enum paging_privilege privilege, u64 linear, unsigned size, bool write)
{
	struct span span;

	return translate_span(privilege, linear, size, write, &span);
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
