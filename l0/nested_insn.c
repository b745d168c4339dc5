/* L1's VMX instructions: gather the operands, ask the pure code, apply its answer. SDM "VMX Instruction Reference". */
#include "guest_memory.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "nested_direct.h"
#include "nested_page.h"
#include "options.h"

/* Of the VMCS that is current for L1: no earlier one is left in vmcs02. */
static void set_instruction_error(struct vmcs12 *vmcs12, u32 number)
{
	vmcs12_learn(vmcs12, F_vm_instruction_error, number);
	field_set_remove(&vmcs12->stale, F_vm_instruction_error);
	field_set_add(&vmcs12->dirty, F_vm_instruction_error);
}

/* VMsucceed, VMfailInvalid, VMfailValid(number); SDM "Conventions". */
void nested_complete(struct cpu *cpu, enum vmx_outcome outcome, u32 number)
{
	u64 rflags = vmread(ENC_guest_rflags) & ~RFLAGS_VMX_OUTCOME;

	if (outcome == VMX_FAIL_VALID && !cpu->nested.current)
		outcome = VMX_FAIL_INVALID;
	if (outcome == VMX_FAIL_VALID) {
		set_instruction_error(&cpu->nested.current->vmcs12, number);
		rflags |= RFLAGS_ZF;
	} else if (outcome == VMX_FAIL_INVALID) {
		rflags |= RFLAGS_CF;
	}
	vmwrite_sure(ENC_guest_rflags, rflags);
	l1_advance(rflags);
}

/* Of 64-bit code, whose RIP does not end at 4 GiB. */
static inline void succeed_wide(void)
{
	u64 rflags = vmread(ENC_guest_rflags) & ~RFLAGS_VMX_OUTCOME;

	vmwrite_sure(ENC_guest_rflags, rflags);
	l1_go_on_at(vmread(ENC_guest_rip) + vmread(ENC_vm_exit_instruction_length), rflags);
}

static inline void succeed(void)
{
	u64 rflags = vmread(ENC_guest_rflags) & ~RFLAGS_VMX_OUTCOME;

	vmwrite_sure(ENC_guest_rflags, rflags);
	l1_advance(rflags);
}

static void fail(struct cpu *cpu, u32 number)
{
	nested_complete(cpu, VMX_FAIL_VALID, number);
}

/* What comes before all else: in VMX operation (else #UD), at CPL 0 (else #GP). The CPU has checked the mode. */
static bool may_execute(struct cpu *cpu)
{
	if (UNLIKELY(!cpu->nested.vmxon))
		inject_ud();
	else if (UNLIKELY(l1_cpl() != 0))
		inject_gp();
	else
		return true;
	return false;
}

static struct vmx_operand decode(struct cpu *cpu)
{
	cpu->gpr[GPR_rsp] = vmread(ENC_guest_rsp);
	return operand_decode((u32)vmread(ENC_vm_exit_instruction_information), vmread(ENC_exit_qualification),
			      cpu->gpr);
}

static bool read_operand(struct cpu *cpu, const struct vmx_operand *operand, u64 *to, unsigned size)
{
	u64 linear;

	return l1_operand_address(operand, size, false, &linear) &&
	       l1_read_operand(cpu, linear, to, size);
}

static bool write_operand(const struct vmx_operand *operand, const void *from, unsigned size)
{
	u64 linear;

	return l1_operand_address(operand, size, true, &linear) &&
	       l1_write_linear(PAGING_supervisor, linear, from, size);
}

/* A pointer to a VMCS or VMXON region: page-aligned and within the physical-address width. */
static bool region_pointer_valid(struct cpu *cpu, u64 pointer)
{
	return IS_ALIGNED(pointer, PAGE_SIZE) && !(pointer >> cpu->nested.caps12.maxphyaddr);
}

static u32 region_revision(u64 pointer)
{
	struct vmcs_region_header header;

	l1_read(pointer, &header, sizeof(header));
	return header.revision;
}

static u32 own_revision(struct cpu *cpu)
{
	return (u32)(capability(&cpu->nested.caps12, MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION);
}

/* SDM "VMPTRLD": bit 31 marks a shadow VMCS, for a CPU that has them. */
static bool is_own_vmcs(struct cpu *cpu, u32 revision)
{
	bool shadowing = controls_allowed(&cpu->nested.caps12, CONTROLS_proc2) & PROC2_vmcs_shadowing;

	return (shadowing ? revision & ~(u32)VMCS_REVISION_SHADOW : revision) == own_revision(cpu);
}

static bool fixed_bits_hold(struct cpu *cpu, u64 value, enum msr_number fixed0, enum msr_number fixed1)
{
	const struct vmx_capabilities *caps12 = &cpu->nested.caps12;

	return !(capability(caps12, fixed0) & ~value) && !(value & ~capability(caps12, fixed1));
}

/* SDM "VMXON": what is #GP outside VMX operation. */
static bool vmxon_permitted(struct cpu *cpu)
{
	u64 enabled = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMXON_OUTSIDE_SMX;

	return l1_cpl() == 0 && (cpu->feature_control & enabled) == enabled &&
	       fixed_bits_hold(cpu, l1_cr0(), MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR0_FIXED1) &&
	       fixed_bits_hold(cpu, l1_cr4(), MSR_IA32_VMX_CR4_FIXED0, MSR_IA32_VMX_CR4_FIXED1);
}

static void enter_vmx_operation(struct cpu *cpu, u64 pointer)
{
	u64 cr0 = l1_cr0(); /* while PE and PG are L1's own, and not in the read shadow */

	cpu->nested.vmxon = true;
	cpu->nested.vmxon_pointer = pointer;
	cpu->nested.current = NULL;
	vmcs01_update_cr_masks(cpu);
	l1_set_cr0(cr0);
}

void nested_vmxon_exit(struct cpu *cpu)
{
	struct vmx_operand operand = decode(cpu);
	u64 pointer;

	if (!(l1_cr4() & CR4_VMXE)) {
		inject_ud();
	} else if (cpu->nested.vmxon) {
		if (l1_cpl() != 0)
			inject_gp();
		else
			fail(cpu, VMERR_vmxon_in_root);
	} else if (!vmxon_permitted(cpu)) {
		inject_gp();
	} else if (read_operand(cpu, &operand, &pointer, sizeof(pointer))) {
		if (!region_pointer_valid(cpu, pointer) || region_revision(pointer) != own_revision(cpu)) {
			nested_complete(cpu, VMX_FAIL_INVALID, 0);
			return;
		}
		enter_vmx_operation(cpu, pointer);
		succeed();
	}
}

void nested_vmxoff_exit(struct cpu *cpu)
{
	if (!may_execute(cpu))
		return;
	nested_vmxoff(cpu);
	succeed();
}

/* VMCLEAR of a VMCS that is not active: only its launch state is known to the architecture. */
static void clear_in_memory(u64 pointer)
{
	u64 launched = 0;

	l1_write(pointer + offsetof(struct vmcs12_image, launched), &launched, sizeof(launched));
}

void nested_vmclear_exit(struct cpu *cpu)
{
	struct vmx_operand operand;
	struct vmcs_slot *slot;
	u64 pointer;

	if (!may_execute(cpu))
		return;
	operand = decode(cpu);
	if (!read_operand(cpu, &operand, &pointer, sizeof(pointer)))
		return;
	if (!region_pointer_valid(cpu, pointer)) {
		fail(cpu, VMERR_vmclear_invalid_address);
	} else if (pointer == cpu->nested.vmxon_pointer) {
		fail(cpu, VMERR_vmclear_vmxon_pointer);
	} else {
		slot = slot_find(cpu, pointer);
		if (slot)
			slot_release(cpu, slot);
		else
			clear_in_memory(pointer);
		succeed();
	}
}

/* Of a VMCS that is active L0 knows where its region is. */
static u32 revision_of(const struct vmcs_slot *slot, u64 pointer)
{
	if (!slot || !slot->region12)
		return region_revision(pointer);
	return __atomic_load_n(&slot->region12->header.revision, __ATOMIC_RELAXED);
}

void nested_vmptrld_exit(struct cpu *cpu)
{
	struct vmx_operand operand;
	struct vmcs_slot *slot;
	u64 pointer;
	u32 revision;

	if (!may_execute(cpu))
		return;
	operand = decode(cpu);
	if (!read_operand(cpu, &operand, &pointer, sizeof(pointer)))
		return;
	slot = slot_find(cpu, pointer);
	revision = revision_of(slot, pointer);
	if (!region_pointer_valid(cpu, pointer)) {
		fail(cpu, VMERR_vmptrld_invalid_address);
	} else if (pointer == cpu->nested.vmxon_pointer) {
		fail(cpu, VMERR_vmptrld_vmxon_pointer);
	} else if (!is_own_vmcs(cpu, revision)) {
		fail(cpu, VMERR_vmptrld_incorrect_revision);
	} else {
		cpu->nested.current = slot_activate(cpu, slot, pointer, revision & VMCS_REVISION_SHADOW);
		nested_direct_follow(cpu);
		succeed();
	}
}

void nested_vmptrst_exit(struct cpu *cpu)
{
	struct vmx_operand operand;
	u64 pointer;

	if (!may_execute(cpu))
		return;
	operand = decode(cpu);
	pointer = cpu->nested.current ? cpu->nested.current->vmptr12 : VMCS_NO_POINTER;
	if (write_operand(&operand, &pointer, sizeof(pointer)))
		succeed();
}

/* The value of a register operand; RSP is in the VMCS. Outside 64-bit mode (!wide) registers have 32 bits. */
static inline u64 register_value(struct cpu *cpu, enum gpr gpr, bool wide)
{
	u64 value = UNLIKELY(gpr == GPR_rsp) ? vmread(ENC_guest_rsp) : cpu->gpr[gpr];

	return wide ? value : (u32)value;
}

static inline void set_register(struct cpu *cpu, enum gpr gpr, u64 value, bool wide)
{
	if (!wide)
		value = (u32)value;
	if (UNLIKELY(gpr == GPR_rsp))
		vmwrite(ENC_guest_rsp, value);
	else
		cpu->gpr[gpr] = value;
}

static COLD void fetch_stale(struct cpu *cpu, struct vmcs_slot *slot, enum vmcs_field field)
{
	if (!slot->page) {
		nested_fetch_field(cpu, slot, field);
		return;
	}
	nested_fetch_stale(cpu, slot);
	nested_page_publish(cpu, slot);
}

static inline void fetch_if_stale(struct cpu *cpu, enum vmcs_field field)
{
	struct vmcs_slot *slot = cpu->nested.current;

	if (UNLIKELY(field_set_has(&slot->vmcs12.stale, field)))
		fetch_stale(cpu, slot, field);
}

/* SDM's tables of instruction information: the register forms of VMREAD and VMWRITE need nothing decoded in full. */
#define INFO_IS_REGISTER BIT(10)
#define INFO_REGISTER1(i) ((enum gpr)((i) >> 3 & 0xf))
#define INFO_REGISTER2(i) ((enum gpr)((i) >> 28 & 0xf))

/* VMREAD and VMWRITE: what comes before their operands. */
static inline bool may_access_fields(struct cpu *cpu)
{
	if (!may_execute(cpu))
		return false;
	if (UNLIKELY(!cpu->nested.current))
		nested_complete(cpu, VMX_FAIL_INVALID, 0);
	else if (UNLIKELY(cpu->nested.current->page))
		nested_page_take(cpu, cpu->nested.current);
	return cpu->nested.current != NULL;
}

/*
 * The same at once for what is the case nearly always: 64-bit code at CPL 0, and a current VMCS, so that L1 is in VMX
 * operation, whose fields are in no page of L1's. CS alone tells: unless it is conforming, its DPL is the CPL. SDM
 * "Checks on Guest Segment Registers".
 */
static inline bool is_wide_and_may_access_fields(const struct cpu *cpu)
{
	u64 cs = vmread(ENC_guest_cs_access_rights);
	const struct vmcs_slot *slot = cpu->nested.current;

	return (cs & (AR_L | AR_DPL | AR_CONFORMING)) == AR_L && slot && !slot->page;
}

/* The memory forms; false if the access faults. */
static COLD bool write_memory_operand(struct cpu *cpu, u64 value, bool wide)
{
	struct vmx_operand operand = decode(cpu);

	return write_operand(&operand, &value, wide ? sizeof(u64) : sizeof(u32));
}

static COLD bool read_memory_operand(struct cpu *cpu, u64 *value, bool wide)
{
	struct vmx_operand operand = decode(cpu);
	u64 linear;

	*value = 0;
	return l1_operand_address(&operand, wide ? sizeof(u64) : sizeof(u32), false, &linear) &&
	       l1_read_linear(PAGING_supervisor, linear, value, wide ? sizeof(u64) : sizeof(u32));
}

static COLD void finish_vmread_to_memory(struct cpu *cpu, u64 value, bool wide)
{
	if (write_memory_operand(cpu, value, wide))
		succeed();
}

static ALWAYS_INLINE void finish_vmread(struct cpu *cpu, u32 information, u64 value, bool wide)
{
	if (UNLIKELY(!(information & INFO_IS_REGISTER))) {
		finish_vmread_to_memory(cpu, value, wide);
		return;
	}
	set_register(cpu, INFO_REGISTER1(information), value, wide);
	if (wide)
		succeed_wide();
	else
		succeed();
}

/* In any mode, of any field. */
static COLD void vmread_in_full(struct cpu *cpu)
{
	struct nested *nested = &cpu->nested;
	u32 information = (u32)vmread(ENC_vm_exit_instruction_information), number;
	bool wide = l1_in_64bit_code();
	u64 encoding, value;

	if (!may_access_fields(cpu))
		return;
	encoding = register_value(cpu, INFO_REGISTER2(information), wide);
	nested->current->accesses->read[vmcs_field_of_half(encoding)]++;
	fetch_if_stale(cpu, vmcs_field_of_half(encoding));
	if (vmcs12_vmread(&nested->current->vmcs12, &nested->caps12, encoding, &value, &number) == VMX_SUCCEED)
		finish_vmread(cpu, information, value, wide);
	else
		fail(cpu, number);
}

void nested_vmread_exit(struct cpu *cpu)
{
	struct nested *nested = &cpu->nested;
	struct vmcs12 *vmcs12;
	enum vmcs_field field;
	u32 information;

	if (LIKELY(is_wide_and_may_access_fields(cpu))) {
		vmcs12 = &nested->current->vmcs12;
		information = (u32)vmread(ENC_vm_exit_instruction_information);
		field = vmcs_field_of(register_value(cpu, INFO_REGISTER2(information), true));
		if (LIKELY(vmcs12_is_at_hand(vmcs12, &nested->caps12.fields, field))) {
			nested->current->accesses->read[field]++;
			finish_vmread(cpu, information, vmcs12_get(vmcs12, field), true);
			return;
		}
	}
	vmread_in_full(cpu);
}

/* In any mode, of any field, from memory as well. */
static COLD void vmwrite_in_full(struct cpu *cpu)
{
	struct nested *nested = &cpu->nested;
	u32 information = (u32)vmread(ENC_vm_exit_instruction_information), number;
	bool wide = l1_in_64bit_code();
	enum vmcs_field field;
	u64 encoding, value;

	if (!may_access_fields(cpu))
		return;
	encoding = register_value(cpu, INFO_REGISTER2(information), wide);
	value = register_value(cpu, INFO_REGISTER1(information), wide);
	field = vmcs_field_of_half(encoding);
	if (!(information & INFO_IS_REGISTER) && !read_memory_operand(cpu, &value, wide))
		return;
	nested->current->accesses->written[field]++;
	if (encoding & VMCS_ENCODING_HIGH) /* it keeps the other half */
		fetch_if_stale(cpu, field);
	if (vmcs12_vmwrite(&nested->current->vmcs12, &nested->caps12, encoding, value, &number) != VMX_SUCCEED) {
		fail(cpu, number);
		return;
	}
	nested_direct_written(cpu, nested->current, field);
	if (nested->current->page)
		nested_page_write(cpu, nested->current, field);
	succeed();
}

void nested_vmwrite_exit(struct cpu *cpu)
{
	struct nested *nested = &cpu->nested;
	enum vmcs_field field;
	u32 information;

	if (LIKELY(is_wide_and_may_access_fields(cpu))) {
		information = (u32)vmread(ENC_vm_exit_instruction_information);
		field = vmcs_field_of(register_value(cpu, INFO_REGISTER2(information), true));
		if (LIKELY(information & INFO_IS_REGISTER &&
			   vmcs12_is_at_hand(&nested->current->vmcs12, &nested->writable12, field))) {
			nested->current->accesses->written[field]++;
			vmcs12_put(&nested->current->vmcs12, field,
				   register_value(cpu, INFO_REGISTER1(information), true));
			nested_direct_written(cpu, nested->current, field);
			succeed_wide();
			return;
		}
	}
	vmwrite_in_full(cpu);
}

static void enter(struct cpu *cpu, bool launch)
{
	if (may_execute(cpu))
		nested_enter(cpu, launch);
}

void nested_vmlaunch_exit(struct cpu *cpu)
{
	enter(cpu, true);
}

void nested_vmresume_exit(struct cpu *cpu)
{
	enter(cpu, false);
}

/* What INVEPT and INVVPID name: a type in a register, and 128 bits in memory. */
struct invalidation {
	u64 type;
	union {
		struct invalidation_descriptor descriptor;
		u64 word[2];
	};
};

/*
 * Their common course: the instruction must exist, then come the checks of every VMX instruction, then the type, and
 * only then is the descriptor read. True if it is for the caller to judge. first_type is the bit of type 0 in
 * IA32_VMX_EPT_VPID_CAP.
 */
static bool gather_invalidation(struct cpu *cpu, u64 exists, u64 first_type, struct invalidation *what)
{
	u64 ept_vpid = capability(&cpu->nested.caps12, MSR_IA32_VMX_EPT_VPID_CAP);
	struct vmx_operand operand;

	if (!(ept_vpid & exists)) {
		inject_ud();
		return false;
	}
	if (!may_execute(cpu))
		return false;
	operand = decode(cpu);
	what->type = register_value(cpu, operand.register2, l1_in_64bit_code());
	if (what->type >= INVALIDATION_TYPES || !(ept_vpid & first_type << what->type)) {
		fail(cpu, VMERR_invalid_operand_to_invept_invvpid);
		return false;
	}
	return read_operand(cpu, &operand, what->word, sizeof(what->word));
}

static void drop_ept02(struct ept02_cache *cache, u64 eptp12)
{
	if (options.ept02_renewal)
		ept02_outdate(cache, eptp12);
	else
		ept02_drop(cache, eptp12);
}

static void drop_ept02_all(struct ept02_cache *cache)
{
	if (options.ept02_renewal)
		ept02_outdate_all(cache);
	else
		ept02_drop_all(cache);
}

void nested_invept_exit(struct cpu *cpu)
{
	const struct vmx_capabilities *caps12 = &cpu->nested.caps12;
	struct invalidation what;

	if (!gather_invalidation(cpu, EPT_CAP_INVEPT, EPT_CAP_INVEPT_SINGLE >> INVEPT_single_context, &what))
		return;
	if (what.type == INVEPT_global) {
		drop_ept02_all(&cpu->nested.ept02);
		succeed();
	} else if (eptp_valid(what.descriptor.low, capability(caps12, MSR_IA32_VMX_EPT_VPID_CAP), caps12->maxphyaddr)) {
		if (options.selective_invalidation)
			drop_ept02(&cpu->nested.ept02, what.descriptor.low);
		else
			drop_ept02_all(&cpu->nested.ept02);
		succeed();
	} else {
		fail(cpu, VMERR_invalid_operand_to_invept_invvpid);
	}
}

static bool invvpid_valid(const struct invalidation *what)
{
	unsigned width = capability(&host_caps, MSR_IA32_VMX_CR4_FIXED1) & CR4_LA57 ? 57 : 48;

	if (what->descriptor.low >> 16)
		return false;
	if (what->type == INVVPID_all_contexts)
		return true;
	return (u16)what->descriptor.low != 0 &&
	       (what->type != INVVPID_individual_address || is_canonical(what->descriptor.high, width));
}

void nested_invvpid_exit(struct cpu *cpu)
{
	struct invalidation what;

	if (!gather_invalidation(cpu, VPID_CAP_INVVPID, VPID_CAP_INVVPID_INDIVIDUAL, &what))
		return;
	if (!invvpid_valid(&what)) {
		fail(cpu, VMERR_invalid_operand_to_invept_invvpid);
		return;
	}
	nested_invvpid(cpu, what.type, (u16)what.descriptor.low, what.descriptor.high);
	succeed();
}

/*
 * SDM "VMCALL": in VMX root operation without a dual monitor it fails; outside VMX operation it is #UD. Alone among the
 * VMX instructions it exits from compatibility and virtual-8086 mode too, where for a root it is #UD.
 */
static bool vmcall_exists(struct cpu *cpu)
{
	bool compatibility = vmread(ENC_guest_ia32_efer) & EFER_LMA && !l1_in_64bit_code();

	return cpu->nested.vmxon && !compatibility && !(vmread(ENC_guest_rflags) & RFLAGS_VM);
}

void nested_vmcall_exit(struct cpu *cpu)
{
	if (!vmcall_exists(cpu))
		inject_ud();
	else if (may_execute(cpu))
		fail(cpu, VMERR_vmcall_in_root);
}

/* SDM "VMFUNC": #UD outside VMX non-root operation, which L1 believes it is. */
void nested_vmfunc_exit(struct cpu *cpu)
{
	(void)cpu;
	inject_ud();
}
