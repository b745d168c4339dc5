#include "vmcs_shadow/exit_information.h"

#define EVENT EXIT_INFORMATION_event
#define INSTRUCTION EXIT_INFORMATION_instruction
#define LINEAR EXIT_INFORMATION_linear
#define PHYSICAL EXIT_INFORMATION_physical

/*
 * SDM "Basic VM-Exit Information", "Information for VM Exits Due to Vectored Events", "Information for VM Exits Due to
 * Instruction Execution". A linear address comes with INS, OUTS and LMSW.
 */
const u8 exit_information[EXIT_REASONS] = {
	[REASON_exception_or_nmi] = EVENT,
	[REASON_external_interrupt] = EVENT,
	[REASON_vmclear] = INSTRUCTION,
	[REASON_vmptrld] = INSTRUCTION,
	[REASON_vmptrst] = INSTRUCTION,
	[REASON_vmread] = INSTRUCTION,
	[REASON_vmwrite] = INSTRUCTION,
	[REASON_vmxon] = INSTRUCTION,
	[REASON_control_register_access] = LINEAR,
	[REASON_io_instruction] = INSTRUCTION | LINEAR,
	[REASON_access_to_gdtr_or_idtr] = INSTRUCTION,
	[REASON_access_to_ldtr_or_tr] = INSTRUCTION,
	[REASON_ept_violation] = LINEAR | PHYSICAL,
	[REASON_ept_misconfiguration] = PHYSICAL,
	[REASON_invept] = INSTRUCTION,
	[REASON_invvpid] = INSTRUCTION,
	[REASON_rdrand] = INSTRUCTION,
	[REASON_invpcid] = INSTRUCTION,
	[REASON_rdseed] = INSTRUCTION,
	[REASON_xsaves] = INSTRUCTION,
	[REASON_xrstors] = INSTRUCTION,
	[REASON_spp_related_event] = LINEAR | PHYSICAL,
	[REASON_umwait] = INSTRUCTION,
	[REASON_tpause] = INSTRUCTION,
	[REASON_loadiwkey] = INSTRUCTION,
};
