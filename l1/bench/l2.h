/*
 * The bench's L2: endless loops of an instruction or two that exit, in L1's own code, on L1's page tables. Its
 * guest-physical memory is L1's at the same addresses, and windows above it that L1 maps as it likes.
 */
#ifndef BENCH_L2_H
#define BENCH_L2_H

#include "l1/minivisor/enter.h"

/* One L2: a VMCS. All of them share registers, memory and EPT. */
struct l2 {
	void *vmcs;
	bool launched;
};

/* L2's code, in L1's: an endless loop of body. */
#define L2_LOOP(name, body) \
	extern const u8 name[]; \
	__asm__(".text\n" #name ":" body "\n\tjmp " #name)

extern struct guest_registers l2_registers;

/* Makes EPT12 and what else all L2s share. Call it once, in VMX operation. */
void l2_init(void);

/* Takes a region for l2's VMCS, clears it, makes it current and fills it. */
void l2_create(struct l2 *l2);

/* Clears l2's VMCS and makes it current again: the next entry is a VMLAUNCH. */
void l2_clear(struct l2 *l2);

/* Fills the current VMCS, field by field. */
void l2_fill(void);

/* Makes l2's VMCS current. */
void l2_select(struct l2 *l2);

/* The current L2 goes on at code. */
void l2_start(const u8 *code);

/* Enters the current L2. Ends the run if it exits for any other reason than that of number reason. */
void l2_enter(u64 reason);

/* The same, with host_rsp written first, as by an L1 whose stack has moved. */
void l2_run(u64 reason);

/* Moves the current L2's rip behind the instruction that exited. */
void l2_skip(void);

/* As many fresh guest-physical bytes, aligned to 2 MiB; mapped by no one yet. */
u64 l2_window(u64 size);

/* Maps the page of that level (1 is 4 KiB, 2 is 2 MiB) around the guest-physical address to some of L1's memory. */
void l2_map(u64 address, unsigned level);

/* Maps the 2 MiB page around the guest-physical address to memory of L1's that nobody has touched. */
void l2_map_untouched(u64 address);

/* The descriptor that INVEPT takes. */
u64 l2_eptp(void);

#define L2_VPID 1

#endif
