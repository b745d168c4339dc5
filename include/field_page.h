/*
 * The field page: memory through which L1 reads and writes the fields of a VMCS without exits, if it wants to and L0
 * offers it; docs/drw.md. Part of the ABI: its layout follows from vmcs_fields.def.
 */
#ifndef TURTLES_FIELD_PAGE_H
#define TURTLES_FIELD_PAGE_H

#include "types.h"

/* The place of each field in the arrays below. */
enum field_place {
#define F(name, encoding, use, hot) PLACE_##name,
#include "vmcs_fields.def"
#undef F
	FIELD_PLACES
};

#define FIELD_PAGE_WORDS (FIELD_PLACES / 64 + 1)

struct field_page {
	u64 readable[FIELD_PAGE_WORDS]; /* a bit for each place: value has what VMREAD would give */
	u64 written[FIELD_PAGE_WORDS];  /* L1 has written value, L0 has yet to take it */
	u64 value[FIELD_PLACES];
};
_Static_assert(sizeof(struct field_page) <= 4096, "it is one page");

/* The MSR that names the page of the current VMCS: its physical address, and the bit that says that there is one. */
#define MSR_TURTLES_FIELD_PAGE 0x40000000u
#define FIELD_PAGE_ENABLE BIT(0)

#endif
