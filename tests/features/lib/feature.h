/*
 * What the feature images stand on. Each is an L1 that prints what it sees of VMX: the same image must print the
 * same on the bare CPU and on L0.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include "ept.h"
#include "insn.h"
#include "l1/minivisor/guest.h"
#include "print.h"
#include "vmx_insn.h"
#include "x86.h"

/* Each image's own: print what is seen; false if something cannot be as it is. */
bool feature(void);
/* What the image was given. */
extern const char *command_line;

/* L2's code: a function of the image, which runs with one argument on L2's stack. */
typedef u64 l2_code(u64 argument);

/* The controls of the next VMCS, beyond those that every one has. */
struct controls {
	u32 pin, proc, proc2, exit;
};

/* What an exit tells. */
struct exit {
	enum vmx_outcome outcome; /* if not VMX_SUCCEED: no entry, and error has the number */
	u64 error;
	u32 reason;
	bool done; /* L2's code returned, and its value is in RAX */
	u64 rax;
	u64 qualification, guest_physical_address, guest_linear_address, interruption_information, length;
};

/* Does the CPU offer all these controls? If not, prints a line with what. */
bool offers(const struct controls *controls, const char *what);
u64 ept_vpid_capabilities(void);

/* A new current VMCS: 64-bit L2 in this image's own address space, with its IDT. Without EPT if eptp is 0. */
void guest_new(const struct controls *controls, u64 eptp);
/* Run code from its start to the next exit, or go on after one. */
struct exit guest_call(l2_code *code, u64 argument);
struct exit guest_resume(void);
/* Take over the VMCS that another CPU has left by guest_clear(), as it stands. */
void guest_clear(void);
void guest_take_from(unsigned number);
/* The same after the instruction that exited. */
struct exit guest_skip(void);

/* Print an exit: its reason, qualification and addresses if it is an EPT violation. */
void tell(const char *what, const struct exit *exit);

/* L2's traps: all are counted, the last is kept, and L2 goes on this many bytes further. */
struct traps {
	unsigned count;
	u64 vector, error_code, rflags;
	u64 skip;
	void (*handler)(u64 vector); /* called as well, if there is one */
};
extern volatile struct traps traps;
void tell_traps(const char *what);

/* Accesses of L2's whose instructions have 3 bytes. */
u64 l2_read(u64 address);
u64 l2_write(u64 address);
#define L2_ACCESS_LENGTH 3

#endif
