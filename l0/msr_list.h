/*
 * L1's MSR load and store lists, worked through by L0. SDM "VM-Entry Controls for MSRs", "VM-Exit Controls for MSRs".
 */
#ifndef TURTLES_MSR_LIST_H
#define TURTLES_MSR_LIST_H

#include "cpu.h"

/*
 * Load count MSRs from a list at an L1-physical address for the level that runs next, whose VMCS is current; L1 can
 * load what it may write. False at the first that cannot be, its place, counted from 1, in *failed.
 */
bool msr_list_load(struct cpu *cpu, u64 address10, u32 count, u32 *failed);

/*
 * Store the MSRs of L2, whose VMCS is current. False at the first that cannot be stored: a VMX abort. SDM
 * "Saving MSRs".
 */
bool msr_list_store(struct cpu *cpu, u64 address10, u32 count);

#endif
