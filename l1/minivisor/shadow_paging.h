/*
 * L2's paging without EPT: L1 keeps tables of its own, which map what L2's tables map, but to where
 * L2's memory really lies. They start empty and are filled at L2's page faults. Only 4-level paging, as
 * L2 has it in 64-bit mode; no-execute and protection keys are not looked at.
 */
#ifndef MINIVISOR_SHADOW_PAGING_H
#define MINIVISOR_SHADOW_PAGING_H

#include "guest.h"

void shadow_init(struct guest *guest);

/* A page fault in L2: fill the shadow, or give L2 the fault if its own tables cause it. */
void shadow_page_fault(struct guest *guest, u64 linear, u32 error_code);

/* L2 loaded CR3, or executed INVLPG: forget what its tables may no longer say. */
void shadow_load_cr3(struct guest *guest, u64 cr3);
void shadow_invlpg(struct guest *guest, u64 linear);

#endif
