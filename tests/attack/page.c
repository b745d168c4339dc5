/*
 * The field page: bad places for it, and bad values in it. docs/drw.md. The bare CPU has none: there is no
 * such MSR.
 */
#include "field_page.h"
#include "insn.h"
#include "places.h"
#include "string.h"

L2_CODE(code_nothing, "nop");

static struct field_page page __attribute__((aligned(PAGE_SIZE)));

static void give_page(u64 address)
{
	if (on_l0 && try_wrmsr(MSR_TURTLES_FIELD_PAGE, address | FIELD_PAGE_ENABLE) >= 0)
		give_up("L0 does not take a good field page");
}

static void at_place(const char *name, u64 address)
{
	case_begin("field_page.at.%s", name);
	vmcs_make(code_nothing);
	observe("vector=%d", try_wrmsr(MSR_TURTLES_FIELD_PAGE, address | FIELD_PAGE_ENABLE));
	observe("entry=%d", l2_enter().outcome);
	aftermath();
}

static void without_vmcs(void)
{
	case_begin("field_page.without_vmcs");
	vmcs_make(code_nothing);
	vmclear((u64)vmx_region(REGION_A));
	observe("vector=%d", try_wrmsr(MSR_TURTLES_FIELD_PAGE, (u64)&page | FIELD_PAGE_ENABLE));
	aftermath();
}

/* All fields, those that there are not as well: whatever comes of the entry. */
static void all_values(const char *name, u64 value)
{
	case_begin("field_page.all.%s", name);
	vmcs_make(code_nothing);
	give_page((u64)&page);
	for (unsigned i = 0; i < FIELD_PLACES; i++)
		page.value[i] = value;
	memset(page.written, 0xff, sizeof(page.written));
	if (on_l0)
		l2_enter();
	vmclear((u64)vmx_region(REGION_A));
	aftermath();
}

#define IS_ADDRESS(encoding) \
	(VMCS_ENCODING_TYPE(encoding) == TYPE_CONTROL && VMCS_ENCODING_WIDTH(encoding) == WIDTH_64)

/* One field that holds an address, or may. */
static void one_value(enum field_place field, u64 value)
{
	vmcs_make(code_nothing);
	give_page((u64)&page);
	page.value[field] = value;
	page.written[field / 64] |= BIT(field % 64);
	if (on_l0)
		l2_enter();
}

static void each_address(const char *name, u64 value)
{
	case_begin("field_page.each.%s", name);
#define F(name, encoding, use, hot) \
	if (IS_ADDRESS(encoding)) \
		one_value(PLACE_##name, value);
#include "vmcs_fields.def"
#undef F
	aftermath();
}

/* The page is the VMCS region as well, or itself once more. */
static void alias(const char *name, u64 address)
{
	u64 *region = vmx_region(REGION_A), header;

	case_begin("field_page.alias.%s", name);
	vmcs_make(code_nothing);
	header = *region;
	give_page(address);
	if (on_l0)
		l2_enter();
	vmclear((u64)region);
	*region = header; /* the revision, which the page lay over */
	aftermath();
}

void attack_page(void)
{
	for (unsigned i = 0; i < PLACES; i++) {
		at_place(places[i].name, places[i].address);
		all_values(places[i].name, places[i].address);
		each_address(places[i].name, places[i].address);
	}
	at_place("unaligned", (u64)&page + 8);
	without_vmcs();
	alias("region", (u64)vmx_region(REGION_A));
	alias("field_page", (u64)&page);
}
