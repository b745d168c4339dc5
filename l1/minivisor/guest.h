/*
 * One L2 guest: its memory, its VMCS, its registers, and its life from load to end. A guest may have a second virtual
 * CPU. It is a struct guest of its own, which shares the memory; what it prints, counts and ends is its owner's.
 */
#ifndef MINIVISOR_GUEST_H
#define MINIVISOR_GUEST_H

#include "l1/guests/guest_abi.h"
#include "field_page.h"
#include "multiboot.h"
#include "settings.h"
#include "vmx.h"

/* As exit qualifications number them. RSP has its place in the VMCS; the one here is unused. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R15 = 15, GPRS };

/* What vmx_enter() loads and saves; enter.S knows the layout. */
struct guest_registers {
	u64 gpr[GPRS];
	u64 host_stack; /* L1's stack while L2 runs. host_rsp points here, so an exit pushes into gpr[]. */
};

#define GUEST_NAME_SIZE 32
#define GUEST_LINE_SIZE 128

struct guest {
	struct guest_registers registers;
	char name[GUEST_NAME_SIZE];
	void *vmcs;
	struct field_page *fields; /* with drw=on */
	u16 vpid;
	struct guest *owner;  /* of a second virtual CPU its guest, of a guest itself */
	struct guest *second; /* the second virtual CPU, once L2 has started it */
	struct guest *turn;   /* which of the two runs */
	bool launched;
	bool running;
	bool failed;
	bool hlt_exits;     /* HLT is intercepted, and L1 sleeps in its place */
	bool halted;        /* waits for an interrupt, the other virtual CPU having its turn */
	bool timer_armed;   /* the guest keeps the CPU until its timer has interrupted it */
	bool timer_pending; /* the interrupt is there, but not yet injected */
	bool ipi_pending;   /* the other virtual CPU has sent one, or this itself */
	bool ipi_in_service; /* and it has come, but not ended */
	u8 *virtual_apic;   /* with apicv=on: from where the CPU delivers it */
	enum map_mode map;
	u8 *memory; /* guest-physical 0 lies here */
	u64 memory_size;
	u64 image_end; /* guest-physical end of what the loader filled */
	struct guest_parameters *parameters;
	u64 *ept_root;
	u64 *shadow_root;   /* with ept=off: what CR3 holds while L2 runs */
	u64 *shadow_tables; /* those below the root */
	unsigned shadow_used;
	u64 cr3;                    /* with ept=off: what L2 believes CR3 holds */
	u64 cr2;                    /* CR2 is in no VMCS: kept here while another guest runs */
	u64 test_counter;           /* behind the test port */
	u32 packets_sent;
	char line[GUEST_LINE_SIZE]; /* of output, until its newline */
	unsigned line_length;
	u64 exits[EXIT_REASONS];
};

/* Load the payload of a multiboot module, and set up the VMCS that starts it. */
void guest_create(struct guest *guest, const struct multiboot_module *module, u16 vpid);

/* Start its second virtual CPU at address, and let it run. False if it has one already. */
bool guest_start_second(struct guest *guest, u64 address);
/* From now on the other virtual CPU runs, if this one's timer is not armed. */
void guest_hand_over(struct guest *from, struct guest *to);

/* Run it for a quantum of exits, or to its end. */
void guest_run(struct guest *guest);

/* The guest is not entered again. */
void guest_end(struct guest *guest, bool success);
/* The same, with a line that says why it failed. */
void guest_fail(struct guest *guest, const char *format, ...) PRINTF_LIKE(2, 3);

/* Guest-physical memory as L1 sees it; NULL if [address, address + size) is not all there. */
void *guest_memory(const struct guest *guest, u64 address, u64 size);

#endif
