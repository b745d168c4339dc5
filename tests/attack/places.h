/* Addresses that a hypervisor must not be given blindly: its own memory, holes, devices, beyond the end. */
#ifndef ATTACK_PLACES_H
#define ATTACK_PLACES_H

#include "tests/conform/lib/l2.h"

struct place {
	const char *name;
	u64 address;
};

/* L0's home, as the memory map shows it to L1. On the bare CPU absent memory stands for it, which it is to L1. */
extern u64 home_start, home_end;
/* Where the home really is, for registers that L0 does not translate: l1_offset, told on the command line. */
u64 home_in_host(void);
extern bool on_l0;

/* Finds the home and fills the table. */
void places_init(void);

/* Absent or beyond the address width: an access has the same outcome on L0 as on the bare CPU. */
enum { PLACES_OF_A_KIND = 5, PLACES = 9 }; /* the first are of a kind each */
extern struct place places[PLACES];
/*
 * Devices: what an access to them gives differs (docs/differences.md), but it must do no harm. From
 * DEVICE_MEMORY on they take accesses of all widths: of others the emulated CPU makes a failure of the machine.
 */
enum { DEVICE_APIC, DEVICE_MEMORY, DEVICE_PLACES = 3 };
extern const struct place device_places[DEVICE_PLACES];

/* Behind each attack: L0 proves that it is whole, and the next ordinary guest runs. */
void aftermath(void);

/* The attacks, a file each. */
void attack_fields(void);
void attack_operands(void);
void attack_tables(void);
void attack_lists(void);
void attack_aliases(void);
void attack_home(void);
void attack_page(void);
void attack_pools(void);
void attack_by_other_cpu(void);

#endif
