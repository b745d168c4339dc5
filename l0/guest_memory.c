#include "guest_memory.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "nested_switch.h"
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

struct paging_state l1_paging(enum paging_privilege privilege)
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

/* L2's memory, on the way to the byte at a linear address. */
struct l2_memory {
	struct cpu *cpu;
	u64 linear;
};

/* With accessed and dirty flags in EPT12 the CPU's accesses to paging structures count as writes. */
static bool reach_entry(const struct l2_memory *l2, u64 address20, bool write, u64 *address10)
{
	bool flags = field12(l2->cpu->nested.current, F_ept_pointer) & EPTP_ACCESSED_DIRTY;

	return nested_reach(l2->cpu, address20, l2->linear, write || flags ? EPT_READ | EPT_WRITE : EPT_READ, false,
			    address10);
}

static bool read_entry20(void *context, u64 address20, unsigned size, u64 *entry)
{
	u64 address10;

	return reach_entry(context, address20, false, &address10) && read_entry(NULL, address10, size, entry);
}

static bool write_entry20(void *context, u64 address20, unsigned size, u64 entry)
{
	u64 address10;

	return reach_entry(context, address20, true, &address10) && write_entry(NULL, address10, size, entry);
}

static void page_fault(u64 linear, u32 error_code)
{
	write_cr2(linear);
	inject_exception(VECTOR_PF, true, error_code);
}

/* The L1-physical address of a linear one, or #PF. With a cpu it is L2 whose address it is. */
static bool translate(struct cpu *cpu, const struct paging_state *state, u64 linear, bool write, u64 *address10)
{
	struct l2_memory l2 = { cpu, linear };
	const struct paging_memory l2_tables = { &l2, read_entry20, write_entry20 };
	struct paging_result result = paging_walk(state, cpu ? &l2_tables : &l1_tables, linear, write);

	if (cpu && cpu->level != LEVEL_2)
		return false; /* an exit to L1 on the way */
	if (result.status == PAGING_FAULT) {
		page_fault(linear, result.error_code);
		return false;
	}
	/* Absent memory reads as all ones: a present entry with reserved bits set. */
	if (result.status == PAGING_UNREADABLE) {
		page_fault(linear, (u32)(PF_PRESENT | PF_RSVD | (write ? PF_WRITE : 0) |
					 (state->privilege == PAGING_user ? PF_USER : 0)));
		return false;
	}
	if (cpu)
		return nested_reach(cpu, result.address, linear, write ? EPT_WRITE : EPT_READ, true, address10);
	*address10 = result.address;
	return true;
}

struct span {
	u64 address10[2];
	unsigned size[2]; /* the second is 0 unless the access crosses a page */
};

static bool translate_span(struct cpu *cpu, enum paging_privilege privilege, u64 linear, unsigned size, bool write,
			   struct span *span)
{
	struct paging_state state = l1_paging(privilege);
	u64 left = PAGE_SIZE - linear % PAGE_SIZE, next = linear + left;

	span->size[0] = size < left ? size : (unsigned)left;
	span->size[1] = size - span->size[0];
	if (!translate(cpu, &state, linear, write, &span->address10[0]))
		return false;
	if (!span->size[1])
		return true;
	return translate(cpu, &state, l1_in_64bit_code() ? next : (u32)next, write, &span->address10[1]);
}

static bool read_linear(struct cpu *cpu, enum paging_privilege privilege, u64 linear, void *to, unsigned size)
{
	struct span span;

	if (!translate_span(cpu, privilege, linear, size, false, &span))
		return false;
	l1_read(span.address10[0], to, span.size[0]);
	if (span.size[1])
		l1_read(span.address10[1], (char *)to + span.size[0], span.size[1]);
	return true;
}

static bool write_linear(struct cpu *cpu, enum paging_privilege privilege, u64 linear, const void *from, unsigned size)
{
	struct span span;

	if (!translate_span(cpu, privilege, linear, size, true, &span))
		return false;
	l1_write(span.address10[0], from, span.size[0]);
	if (span.size[1])
		l1_write(span.address10[1], (const char *)from + span.size[0], span.size[1]);
	return true;
}

bool l1_read_linear(enum paging_privilege privilege, u64 linear, void *to, unsigned size)
{
	return read_linear(NULL, privilege, linear, to, size);
}

bool l1_write_linear(enum paging_privilege privilege, u64 linear, const void *from, unsigned size)
{
	return write_linear(NULL, privilege, linear, from, size);
}

bool l1_probe_linear(enum paging_privilege privilege, u64 linear, unsigned size, bool write)
{
	struct span span;

	return translate_span(NULL, privilege, linear, size, write, &span);
}

static struct cpu *if_l2(struct cpu *cpu)
{
	return cpu->level == LEVEL_2 ? cpu : NULL;
}

bool guest_read_linear(struct cpu *cpu, u64 linear, void *to, unsigned size)
{
	return read_linear(if_l2(cpu), l1_privilege(), linear, to, size);
}

bool guest_write_linear(struct cpu *cpu, u64 linear, const void *from, unsigned size)
{
	return write_linear(if_l2(cpu), l1_privilege(), linear, from, size);
}

bool guest_probe_linear(struct cpu *cpu, u64 linear, unsigned size, bool write)
{
	struct span span;

	return translate_span(if_l2(cpu), l1_privilege(), linear, size, write, &span);
}

/* SDM "Segmentation in IA-32e Mode": the offset is the address, but for FS and GS. The rest is for operand_linear(). */
static inline bool offset_is_linear(const struct vmx_operand *operand, unsigned size)
{
	return l1_in_64bit_code() && operand->segment < SEGMENT_fs && is_canonical(operand->offset, 48) &&
	       is_canonical(operand->offset + size - 1, 48);
}

static inline struct segment_state segment_state_of(enum segment number)
{
	u32 place = 2 * number; /* encodings of the segments follow each other */

	return (struct segment_state){
		.base = vmread(ENC_guest_es_base + place),
		.limit = (u32)vmread(ENC_guest_es_limit + place),
		.access_rights = (u32)vmread(ENC_guest_es_access_rights + place),
	};
}

static inline unsigned linear_width(void)
{
	return vmread(ENC_guest_cr4) & CR4_LA57 ? 57 : 48;
}

static COLD bool address_by_segment(const struct vmx_operand *operand, unsigned size, bool write, u64 *linear)
{
	struct segment_state segment = segment_state_of(operand->segment);
	unsigned width = linear_width();
	int vector = operand_linear(operand, &segment, size, write, l1_in_64bit_code(), width, linear);

	if (vector >= 0)
		inject_exception((enum x86_vector)vector, true, 0);
	return vector < 0;
}

bool l1_operand_address(const struct vmx_operand *operand, unsigned size, bool write, u64 *linear)
{
	*linear = operand->offset;
	return LIKELY(offset_is_linear(operand, size)) || address_by_segment(operand, size, write, linear);
}

bool l1_read_operand(struct cpu *cpu, u64 linear, u64 *to, unsigned size)
{
	const u64 *from = l1_walk_recall(&cpu->walk, linear, size);

	if (UNLIKELY(!from)) {
		l1_walk_remember(&cpu->walk, linear);
		return l1_read_linear(PAGING_supervisor, linear, to, size);
	}
	to[0] = from[0];
	if (size > sizeof(u64))
		to[1] = from[1];
	return true;
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
	struct paging_state state = l1_paging(PAGING_supervisor);
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

static bool peek_linear(struct cpu *cpu, u64 linear, u8 *to, unsigned size)
{
	struct paging_state state = l1_paging(PAGING_supervisor);
	u64 address10[2];
	unsigned first = (unsigned)(PAGE_SIZE - linear % PAGE_SIZE);

	first = size < first ? size : first;
	if (!fetch_address(cpu, &state, linear, &address10[0]))
		return false;
	if (first < size && !fetch_address(cpu, &state, linear + first, &address10[1]))
		return false;
	l1_read(address10[0], to, first);
	if (first < size)
		l1_read(address10[1], to + first, size - first);
	return true;
}

bool l1_peek_operand(struct cpu *cpu, void *to, unsigned size)
{
	struct vmx_operand operand;
	struct segment_state segment;
	u64 linear;

	cpu->gpr[GPR_rsp] = vmread(ENC_guest_rsp);
	operand = operand_decode((u32)vmread(ENC_vm_exit_instruction_information), vmread(ENC_exit_qualification),
				 cpu->gpr);
	segment = segment_state_of(operand.segment);
	return operand_linear(&operand, &segment, size, false, l1_in_64bit_code(), linear_width(), &linear) < 0 &&
	       peek_linear(cpu, linear, to, size);
}
