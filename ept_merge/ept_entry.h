/* What one EPT entry says. SDM "Format of ..." tables under "EPT Translation Mechanism". */
#ifndef TURTLES_EPT_ENTRY_H
#define TURTLES_EPT_ENTRY_H

#include "ept.h"
#include "x86.h"

/* What the CPU that owns the tables can do; it decides which entries are misconfigured. */
struct ept_features {
	u8 maxphyaddr;
	bool execute_only;
	bool page2m, page1g;
	bool accessed_dirty;
};

enum ept_entry_kind { EPT_NOT_PRESENT, EPT_TABLE, EPT_LEAF, EPT_MISCONFIGURED };

/* SDM "EPT Misconfigurations" and "EPT Violations": the kind of an entry found at level (4 to 1). */
enum ept_entry_kind ept_entry_kind(u64 entry, unsigned level, const struct ept_features *features);

/* A page as a leaf maps it. */
struct ept_leaf {
	u64 address;    /* of the page's first byte */
	u8 level;       /* 1 = 4 KiB, 2 = 2 MiB, 3 = 1 GiB */
	u8 rights;      /* EPT_READ | EPT_WRITE | EPT_EXECUTE */
	u8 memory_type; /* enum memory_type */
	bool ignore_pat;
};

u64 ept_leaf_encode(const struct ept_leaf *leaf);
struct ept_leaf ept_leaf_decode(u64 entry, unsigned level);

/* Is an EPTP one that a VM entry accepts? SDM "Checks on VM-Execution Control Fields". */
bool eptp_valid(u64 eptp, u64 ept_vpid_capabilities, unsigned maxphyaddr);

#endif
