/* One entry of a guest, what it came back with, and what L1 does before the next. */
#ifndef DIFF_STEP_H
#define DIFF_STEP_H

#include "vm.h"

/* How an entry ended, in short. */
struct step_end {
	enum vmx_outcome outcome;
	u32 reason;  /* the exit reason, or the VM-instruction error */
	bool cut;    /* the watchdog ended it: where it got to is a matter of time */
};

/* Changes of the current VMCS, EPT12 and bitmaps, before the guest's first entry. */
void step_prepare(struct vm *vm);
struct step_end step_enter(struct vm *vm);
/* Answers the exit as a hypervisor might, and changes what it likes. */
void step_answer(struct vm *vm, const struct step_end *end);
/* What of L1's own registers an exit may have left changed. */
void step_note_own_state(void);
/* The same registers as they are at the beginning of a case. */
void step_reset_own_state(void);

#endif
