/* Which exit information an exit defines, by its reason. SDM "VM-Exit Information Fields". */
#ifndef TURTLES_EXIT_INFORMATION_H
#define TURTLES_EXIT_INFORMATION_H

#include "fields.h"

/*
 * What not every exit defines. Without EXIT_INFORMATION_event the VM-exit interruption information is 0; the other
 * fields are as they were before.
 */
enum exit_information {
	EXIT_INFORMATION_event = 1,       /* vm_exit_interruption_information; the error code if there is an event */
	EXIT_INFORMATION_instruction = 2, /* vm_exit_instruction_information */
	EXIT_INFORMATION_linear = 4,      /* guest_linear_address */
	EXIT_INFORMATION_physical = 8,    /* guest_physical_address */
};

/* By basic exit reason: a combination of the above. */
extern const u8 exit_information[EXIT_REASONS];

#endif
