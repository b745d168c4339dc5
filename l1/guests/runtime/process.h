/* What a small kernel does for programs: address spaces, pages on demand, system calls, a tick. All of it at CPL 0. */
#ifndef GUEST_PROCESS_H
#define GUEST_PROCESS_H

#include "runtime.h"

/* A program's memory is from here on, fresh pages of zeros as they are touched. */
#define PROGRAM_MEMORY GIB(512)

enum system_call {
	SYSTEM_CALL_none,  /* does nothing */
	SYSTEM_CALL_read,  /* copies a file's block to the program, at the address given */
	SYSTEM_CALL_write, /* copies a block from the program; each WRITES_PER_KICK-th tells the disk by a port */
};
#define BLOCK_SIZE 512
#define WRITES_PER_KICK 4

/* What has happened since process_init(). */
struct process_counts {
	u64 programs, page_faults, system_calls, kicks;
};

/* Before all else; interrupts are on from then on. */
void process_init(void);

/* A program's address space, empty, loaded into CR3. False if memory for its tables is out. */
bool process_exec(void);

/* The program's pages and tables are free again, and the first address space is loaded. */
void process_exit(void);

void system_call(enum system_call number, u64 address);

/*
 * On minivisor: a timer interrupt, some ten thousand ticks from now, once the one before has come. What runs until
 * then is to be without page faults and system calls, which turn interrupts off: so it exits the same way each time.
 * Elsewhere there is no tick.
 */
void tick(void);

struct process_counts process_counts(void);

/* Around the work that is measured: a CPUID each, to be seen from outside. */
void measure_begin(void);
/* Answers what the time-stamp counter went on in between. */
u64 measure_end(void);

#endif
