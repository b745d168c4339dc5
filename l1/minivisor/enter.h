/* VM entry as a call that returns at the next VM exit. */
#ifndef MINIVISOR_ENTER_H
#define MINIVISOR_ENTER_H

#include "guest.h"

/* Run the current VMCS's guest with these registers. Anything but VMX_SUCCEED: it was not entered. */
enum vmx_outcome vmx_enter(struct guest_registers *registers, bool launched);

/* Where a VM exit goes on: the host_rip of every VMCS. */
void vmx_exit_point(void);

#endif
