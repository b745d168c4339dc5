/* What the command line sets for the whole run. */
#ifndef MINIVISOR_SETTINGS_H
#define MINIVISOR_SETTINGS_H

#include "types.h"

enum map_mode { MAP_demand, MAP_eager, MAP_large };
#define MAP_CHOICES "demand|eager|large"

enum manner { MANNER_own, MANNER_kvm87 };
#define MANNER_CHOICES "own|kvm87"

struct settings {
	u64 quantum; /* exits of one guest before the next one's turn */
	bool ept;    /* without it, L2's paging is shadowed */
	bool vpid;
	bool drw; /* VMCS fields in memory, where the hypervisor below offers that */
	bool hlt_exits; /* HLT is intercepted, unless a module says otherwise */
	bool cr3_exits; /* loads of CR3 are intercepted with EPT as well */
	bool apicv; /* L2's APIC is the CPU's business, as far as that can do it */
	enum manner manner;
	enum map_mode map; /* how EPT gets filled, unless a module says otherwise */
};

extern struct settings settings;

#endif
