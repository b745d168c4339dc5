/* A CPU as L0 sees it, and the few things that all of L0 needs. */
#ifndef TURTLES_CPU_H
#define TURTLES_CPU_H

#include "insn.h"
#include "nested.h"
#include "vmcs_shadow/apic.h"
#include "vmcs_shadow/operand.h"
#include "l1_walk.h"
#include "stats.h"
#include "vmx_insn.h"
#include "turtles_abi.h"

#define MAX_CPUS 8

/* SDM "Local APIC": the CPU's own, which is L1's. l1_apic.c */
struct l1_apic {
	struct apic_address address;
	u64 page; /* physical, of its registers; NO_APIC_PAGE if they are not in memory */
	volatile u32 *window; /* where L0 reaches that page */
};
#define NO_APIC_PAGE (~0ull)

enum wish {
	WISH_look = 1, /* nothing but to look again */
	WISH_nmi = 2,  /* an NMI for L1 */
	WISH_init = 4, /* an INIT for L1; stays while it is blocked */
	WISH_sipi = 8, /* a start-up IPI for the CPU, which waits for it */
	WISH_wait = 16, /* the CPU waits for a SIPI within L0 */
};

/* A write of L1's to CR0 or CR4 that the CPU is to make, or to refuse; l1_cr.c. */
struct cr_retry {
	enum vmcs_encoding real, shadow;
	u64 old_real, old_shadow;
	u64 rip, cs_base;
};

struct cpu {
	/* The guest's registers and what entry.S keeps; it knows these by offset. RSP is in the VMCS. */
	u64 gpr[GPRS];
	u64 stack; /* where L0's begins, while a guest runs */
	u64 tsc_entry, tsc_exit;
	u32 wishes; /* what to see to before the next entry; also set by other CPUs and the NMI handler: atomic */
	bool attention; /* an NMI has hit L0 since it last looked at the wishes: do not enter a guest */
	u64 trace_ticks; /* since the last exit, that went into the trace */
	enum level level; /* who runs at the next entry */
	bool sipi_taken;   /* started by a SIPI, nothing executed since as far as L0 knows */
	u8 sipi_vector; /* of WISH_sipi */
	bool kicked; /* an NMI of L0's own is on its way to this CPU; atomic */
	bool in_guest; /* may use translations of EPT01 and EPT02; set under the lock */
	u64 flushed; /* kick.c: the generation of translations that this CPU has none older than */
	struct l1_apic apic;
	unsigned number;

	u64 vmcs01; /* host physical */
	u64 tsc_offset01;
	u64 feature_control; /* IA32_FEATURE_CONTROL as L1 sees it */
	unsigned shutdown_matched; /* bytes of "Shutdown" seen on its port */
	struct cr_retry cr_retry;
	struct l1_walk walk;

	struct nested nested;
	struct stats stats;
};

extern struct cpu *cpus[MAX_CPUS];
extern unsigned cpu_count;
/* The CPU that executes this; NULL before its cpu_bring_up(). fault.c */
struct cpu *current_cpu(void);

/* What the CPU offers, probed once at start. main.c */
extern struct vmx_capabilities host_caps;

/*
 * entry.S: run guests on the current VMCS, for ever, and have exits handled; the second where there are several CPUs,
 * whose functions are those called ..._among. Exits arrive at the exit points.
 */
NORETURN void vmx_run(struct cpu *cpu);
NORETURN void vmx_run_among(struct cpu *cpu);
void vmx_exit_point_l1(void);
void vmx_exit_point_l2(void);
void vmx_exit_point_among(void);
void vmx_exit_point_l1_traced(void);
void vmx_exit_point_l2_traced(void);

/* What entry.S calls, all of it in exit.c. The exit at hand: */
void cpu_exit_l1(struct cpu *cpu);
void cpu_exit_l2(struct cpu *cpu);
bool cpu_exit_among(struct cpu *cpu); /* with cpu_prepare_among() for the next entry */
/* Before an entry, if there are wishes: see to them. True if the VMCS to enter is clear. */
bool cpu_attend(struct cpu *cpu);
/* Before an entry: the same, and give up the lock. */
bool cpu_prepare_among(struct cpu *cpu);
/* An NMI has asked for attention before the entry: do all of that once more. */
bool cpu_entry_abandoned(struct cpu *cpu);
/* The CPU refused the current VMCS, with these RFLAGS. If L1 is to blame, L1 runs next; whatever else is the end. */
COLD void vmx_refused(struct cpu *cpu, u64 rflags);

/* Run L1, and L2 for it, for ever. exit.c */
NORETURN void cpu_run(struct cpu *cpu);

/* Answer the exit at hand, which nothing in L0 expects: dump it in full and stop with failure. */
NORETURN COLD void exit_unexpected(struct cpu *cpu, const char *why);

/* Stop the machine: tables and verdict to the log, then the status to the machine. stop.c */
NORETURN void l0_stop(u8 status);
/* L0 itself has failed: say why, dump, stop with failure. */
NORETURN COLD void l0_panic(const char *format, ...) PRINTF_LIKE(1, 2);
/* Bring up the serial port that the switch `log` names: at first the default one, then what the command line said. */
void log_init(void);
/* L0 cannot start: one clear line on L1's console and the log, and failure. */
NORETURN COLD void l0_refuse(const char *format, ...) PRINTF_LIKE(1, 2);

/* Instructions that may fault, with the fault as a value: false on #GP. fault.c */
bool rdmsr_safe(u32 msr, u64 *value);
bool wrmsr_safe(u32 msr, u64 value);
bool xsetbv_safe(u32 index, u64 value);

/* GDT, TSS and IDT of this CPU; its stack pointers. fault.c */
void cpu_tables_init(unsigned number);
u64 cpu_gdt_base(unsigned number);
u64 cpu_tss_base(unsigned number);
u64 cpu_idt_base(void);
#define CPU_GDT_SIZE 40
#define CPU_TSS_SIZE 104
#define CPU_IDT_SIZE (EXCEPTION_VECTORS * 16)
/* Print a backtrace from a stack pointer, one symbol a line. */
COLD void backtrace(u64 rsp);

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18

#endif
