/* Starting L1: its image and modules into its memory, and what its loader would have told it. */
#ifndef TURTLES_PAYLOAD_H
#define TURTLES_PAYLOAD_H

#include "boot_info.h"

struct payload {
	u32 entry; /* L1-physical */
	u32 info;  /* of the multiboot information */
};

/* Load the first module as L1's multiboot 1 image, the rest as its modules. Refuses what cannot be loaded. */
struct payload payload_load(struct boot_info *boot);

#endif
