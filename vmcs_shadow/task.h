/* Hardware task switches: the formats, and what is checked of a new task. SDM "Task Management". */
#ifndef TURTLES_TASK_H
#define TURTLES_TASK_H

#include "operand.h"

/* SDM "Exit Qualification for Task Switches" */
enum task_source { TASK_call, TASK_iret, TASK_jmp, TASK_gate };

#define TASK_GPRS 8

/* What a TSS holds of a task beside its link and the stacks of its inner levels. */
struct task {
	u32 cr3; /* only of a 32-bit TSS */
	u32 eip, eflags;
	u32 gpr[TASK_GPRS];
	u16 selector[SEGMENTS];
	u16 ldt;
	bool trap; /* #DB before the first instruction; only of a 32-bit TSS */
};

/* How a TSS of one width is laid out, in bytes from its start. */
struct tss_layout {
	u32 size;                   /* of what a new task's limit must reach */
	u32 saved_start, saved_end; /* what a task switch writes of the old task */
};
const struct tss_layout *tss_layout(bool wide);

/* Write the saved part of a TSS (wide: of 32 bits); all else in it stays. tss has at least saved_end bytes. */
void tss_save(u8 *tss, bool wide, const struct task *task);
/* Read a task out of size bytes. Of a 16-bit TSS the upper halves are what the CPU makes of them. */
void tss_load(const u8 *tss, bool wide, struct task *task);

/* SDM "Segment Descriptors": a descriptor, with access rights as the VMCS holds them. */
struct segment_state descriptor_decode(u64 descriptor);

#define SELECTOR_RPL BITS(1, 0)
#define SELECTOR_LDT BIT(2)
#define SELECTOR_INDEX BITS(15, 3)
/* Bits of the type in an access-rights field. */
#define AR_TYPE_ACCESSED BIT(0)
#define AR_TYPE_BUSY BIT(1)   /* of a TSS */
#define AR_TYPE_TSS32 BIT(3)  /* of a TSS: not of 16 bits */
#define AR_TYPE_CONFORMING BIT(2) /* of code */

/*
 * May the new task have this segment? which is loaded with selector, whose descriptor has these access rights; cs is
 * the task's selector of CS. The vector of the fault that the CPU raises with the selector as error code, or -1.
 * Null selectors have no descriptor: selector_is_null() comes first. SDM "Task Switching".
 */
int task_segment_check(enum segment which, u16 selector, u16 cs, u32 access_rights);
/* The same of LDTR. */
int task_ldt_check(u16 selector, u32 access_rights);
static inline bool selector_is_null(u16 selector)
{
	return !(selector & (SELECTOR_INDEX | SELECTOR_LDT));
}

/*
 * What becomes of a fault (vector) during the delivery of an event, given as interruption information; SDM "Interrupt
 * 8---Double Fault Exception (#DF)".
 */
enum fault_outcome { FAULT_itself, FAULT_double, FAULT_shutdown };
enum fault_outcome fault_during_event(u32 event, enum x86_vector vector);
/* Is the event external to the program: the EXT bit of an error code. SDM "Error Code". */
bool event_is_external(u32 event);

#endif
