/* Entering VMX operation, and what the CPU allows there. */
#ifndef MINIVISOR_VMX_ROOT_H
#define MINIVISOR_VMX_ROOT_H

#include "vmx.h"
#include "x86.h"

/* Check that the CPU has VMX, enable it, execute VMXON. Ends the run with a line that says why it cannot. */
void vmx_on(void);

/*
 * The value for a control field: what is wished for, and what the CPU insists on. Ends the run if a
 * wish cannot be had. SDM "Algorithms for Determining VMX Capabilities".
 */
u32 vmx_controls(enum msr_number capability, u64 wish, const char *what);

/* A cleared VMCS, not yet current. */
void *vmx_new_vmcs(void);
void vmx_make_current(const void *vmcs);

/* Print what became of a VMX instruction that must not fail, and end the run. */
NORETURN void vmx_failed(const char *instruction, enum vmx_outcome outcome);

#endif
