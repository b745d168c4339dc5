/* VMX instructions whose pointer is a bad place, or whose operand lies in one. SDM "VMX Instruction Reference". */
#include "insn.h"
#include "places.h"
#include "string.h"

CODE(code_vmxon, "vmxon (%rax)");
CODE(code_vmclear, "vmclear (%rax)");
CODE(code_vmptrld, "vmptrld (%rax)");
CODE(code_vmptrst, "vmptrst (%rax)");
CODE(code_vmread, "vmread %rbx, (%rax)");
CODE(code_vmwrite, "vmwrite (%rax), %rbx");
CODE(code_invept, "invept (%rax), %rbx");
CODE(code_invvpid, "invvpid (%rax), %rbx");

/* gs_base, for the CPU itself may read hotter fields for L1, by VMCS shadowing; it is L0 that is attacked. */
static const struct {
	const char *name;
	const u8 *code;
	bool pointer; /* its operand is an address itself */
	u64 rbx;
} instructions[] = {
	{ "vmxon", code_vmxon, true, 0 }, { "vmclear", code_vmclear, true, 0 },
	{ "vmptrld", code_vmptrld, true, 0 }, { "vmptrst", code_vmptrst, false, 0 },
	{ "vmread", code_vmread, false, ENC_guest_gs_base }, { "vmwrite", code_vmwrite, false, ENC_guest_cr3 },
	{ "invept_single", code_invept, true, INVEPT_single_context },
	{ "invept_global", code_invept, true, INVEPT_global },
	{ "invvpid_address", code_invvpid, true, INVVPID_individual_address },
	{ "invvpid_single", code_invvpid, true, INVVPID_single_context },
};

static u64 descriptor[2] __attribute__((aligned(16)));

static void execute(unsigned i, u64 operand, bool observed)
{
	struct probe_result result;

	vmptrld((u64)vmx_region(REGION_A));
	probe_registers_reset();
	probe_frame.rax = operand;
	probe_frame.rbx = instructions[i].rbx;
	result = probe(instructions[i].code);
	if (observed) {
		observe("vector=%d error=%x", result.vector, result.error_code);
		observe_flags(result.rflags);
	}
}

/* The operand is good, what it says is not. INVEPT and INVVPID have the address in either half. */
static void as_pointer(unsigned i, const struct place *place, bool observed)
{
	case_begin("operand.%s.points_to.%s", instructions[i].name, place->name);
	for (unsigned half = 0; half < ARRAY_SIZE(descriptor); half++) {
		memset(descriptor, 0, sizeof(descriptor));
		descriptor[half] = place->address;
		execute(i, (u64)descriptor, observed);
	}
	aftermath();
}

/* Linear is physical below 4 GiB; above nothing is mapped, or it is not canonical. */
static void as_memory(unsigned i, const struct place *place, bool observed)
{
	case_begin("operand.%s.lies_in.%s", instructions[i].name, place->name);
	execute(i, place->address, observed);
	aftermath();
}

L2_CODE(code_none, "nop");

void attack_operands(void)
{
	vmcs_make(code_none);
	for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++) {
		for (unsigned p = 0; p < PLACES; p++) {
			if (instructions[i].pointer)
				as_pointer(i, &places[p], true);
			as_memory(i, &places[p], true);
		}
		for (unsigned p = 0; on_l0 && p < DEVICE_PLACES; p++) {
			if (instructions[i].pointer)
				as_pointer(i, &device_places[p], false);
			as_memory(i, &device_places[p], false);
		}
	}
}
