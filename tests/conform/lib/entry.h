/* VM entries with one rule broken: a good VMCS, one or a few changes, and how the entry must end. */
#ifndef CONFORM_ENTRY_H
#define CONFORM_ENTRY_H

#include "l2.h"

/* A control group stands for its field; a value is set, or its bits are set or cleared in what is there. */
enum change_kind { CHANGE_NONE, CHANGE_TO, CHANGE_SET, CHANGE_CLEAR };
struct change {
	enum change_kind kind;
	u32 field;
	u64 value;
};
#define TO(name, value) { CHANGE_TO, ENC_##name, value }
#define SET(name, value) { CHANGE_SET, ENC_##name, value }
#define CLEAR(name, value) { CHANGE_CLEAR, ENC_##name, value }
#define PIN(bits) SET(pin_based_controls, bits)
#define PROC(bits) SET(primary_processor_based_controls, bits)
#define PROC2(bits) SET(secondary_processor_based_controls, bits)
#define EXIT(bits) SET(primary_vm_exit_controls, bits)
#define ENTRY(bits) SET(vm_entry_controls, bits)

enum entry_end {
	ENTERS,        /* L2 runs to its VMCALL */
	FAILS_CONTROL, /* VM-instruction error 7 */
	FAILS_HOST,    /* 8 */
	FAILS_GUEST,   /* exit reason 33, qualification 0 */
	FAILS_PDPTE,   /* 33, 2 */
	FAILS_NMI,     /* 33, 3 */
	FAILS_LINK,    /* 33, 4 */
	EXITS,         /* L2 is entered; how it goes on is compared alone */
};

enum { CHANGES = 8 };
struct entry_case {
	const char *name;
	enum entry_end end;
	struct change changes[CHANGES];
};

/* Whether the current VMCS has the fields, and the CPU the controls; a list may end early with CHANGE_NONE. */
bool changes_offered(const struct change *changes, unsigned count);
void changes_apply(const struct change *changes, unsigned count);
/* The case is wrong unless the entry ended so. */
void expect_end(const struct l2_exit *exit, enum entry_end end);

/* Runs them all with code as L2; what the CPU does not offer is left out and said so. */
void entry_cases(const u8 *code, const struct entry_case *rows, unsigned count);
#define ENTRY_CASES(code, rows) entry_cases(code, rows, ARRAY_SIZE(rows))

#endif
