#include "vmcs_shadow/apic.h"

#define DFR_FLAT 0xf

enum icr_mode icr_mode(u64 icr)
{
	return (enum icr_mode)(icr >> ICR_MODE_SHIFT & 7);
}

bool icr_is_deassert(u64 icr)
{
	return icr_mode(icr) == ICR_init && icr & ICR_LEVEL && !(icr & ICR_ASSERT);
}

/* SDM "Logical Destination Mode in x2APIC Mode": a cluster, and a bit for each APIC in it. */
static bool logical_x2apic(u32 destination, const struct apic_address *to)
{
	return destination >> 16 == to->ldr >> 16 && destination & to->ldr & 0xffff;
}

/* SDM "Logical Destination Mode": the flat and the cluster model. */
static bool logical_xapic(u8 destination, const struct apic_address *to)
{
	u8 id = (u8)(to->ldr >> 24);

	if (to->dfr >> 28 == DFR_FLAT)
		return destination & id;
	return (destination >> 4 == id >> 4 || destination >> 4 == 0xf) && destination & id & 0xf;
}

static bool selected_by_destination(u64 icr, bool wide, const struct apic_address *to)
{
	u32 destination = wide ? (u32)(icr >> 32) : (u32)(icr >> 56);

	if (destination == (wide ? ~0u : 0xffu))
		return true;
	if (icr & ICR_LOGICAL)
		return to->x2apic ? logical_x2apic(destination, to) : logical_xapic((u8)destination, to);
	return destination == (to->x2apic ? to->id : to->id >> 24);
}

bool icr_selects(u64 icr, const struct apic_address *from, const struct apic_address *to)
{
	switch ((enum icr_shorthand)(icr >> ICR_SHORTHAND_SHIFT & 3)) {
	case ICR_to_destination:
		return selected_by_destination(icr, from->x2apic, to);
	case ICR_to_others:
		return from != to;
	default:
		return false;
	}
}
