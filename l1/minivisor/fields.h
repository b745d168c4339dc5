/*
 * The fields of the current VMCS: by VMREAD and VMWRITE or, if drw=on asks for it and the hypervisor below offers
 * it, in a page of memory that both share (docs/drw.md).
 */
#ifndef MINIVISOR_FIELDS_H
#define MINIVISOR_FIELDS_H

#include "field_page.h"
#include "types.h"
#include "vmx_insn.h"

/* The current VMCS's page; NULL if it has none. */
extern struct field_page *fields_page;

/* Is it asked for and there? Says so, or why not. Once, before the first VMCS. */
void fields_init(bool drw);
/* A page for a new VMCS, which is current; NULL without them. */
struct field_page *fields_new_page(void);
/* Another VMCS is current, with this page. */
static inline void fields_follow(struct field_page *page)
{
	fields_page = page;
}

static inline u64 field_read(enum field_place place, u64 encoding)
{
	const struct field_page *page = fields_page;

	if (page && page->readable[place / 64] >> (place % 64) & 1)
		return page->value[place];
	return vmread(encoding);
}

static inline void field_write(enum field_place place, u64 encoding, u64 value)
{
	struct field_page *page = fields_page;

	if (!page) {
		vmwrite(encoding, value);
		return;
	}
	page->value[place] = value;
	page->readable[place / 64] |= BIT(place % 64);
	page->written[place / 64] |= BIT(place % 64);
}

/* By name, as in vmcs_fields.def. */
#define vmcs_read(name) field_read(PLACE_##name, ENC_##name)
#define vmcs_write(name, value) field_write(PLACE_##name, ENC_##name, value)

#endif
