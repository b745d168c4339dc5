/* EPT: entries, EPTP, violations, capabilities. SDM "The Extended Page Table Mechanism (EPT)". */
#ifndef TURTLES_EPT_H
#define TURTLES_EPT_H

#include "types.h"

#define EPT_READ BIT(0)
#define EPT_WRITE BIT(1)
#define EPT_EXECUTE BIT(2)
#define EPT_RWX (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_MEMORY_TYPE_SHIFT 3
#define EPT_MEMORY_TYPE BITS(5, 3)
#define EPT_IGNORE_PAT BIT(6)
#define EPT_LARGE BIT(7)
#define EPT_ACCESSED BIT(8)
#define EPT_DIRTY BIT(9)
#define EPT_SUB_PAGE BIT(61) /* of a 4 KiB page */
#define EPT_SUPPRESS_VE BIT(63)
#define EPT_ADDRESS BITS(51, 12)
#define EPT_ENTRIES 512

/* Levels are numbered as in the SDM's walk: 4 = PML4E, 3 = PDPTE, 2 = PDE, 1 = PTE. */
#define EPT_LEVELS 4
#define EPT_LEVEL_SHIFT(level) (12 + 9 * ((level) - 1))
#define EPT_LEVEL_SIZE(level) BIT(EPT_LEVEL_SHIFT(level))

#define EPTP_MEMORY_TYPE BITS(2, 0)
#define EPTP_WALK_LENGTH_SHIFT 3
#define EPTP_WALK_LENGTH BITS(5, 3)
#define EPTP_ACCESSED_DIRTY BIT(6)
#define EPTP_SHADOW_STACK BIT(7)
#define EPTP_RESERVED BITS(11, 8)
#define EPTP_ADDRESS BITS(51, 12)

/* SDM "Exit Qualification for EPT Violations" */
#define EPT_VIOLATION_READ BIT(0)
#define EPT_VIOLATION_WRITE BIT(1)
#define EPT_VIOLATION_FETCH BIT(2)
#define EPT_VIOLATION_ACCESS BITS(2, 0)
#define EPT_VIOLATION_ENTRY_SHIFT 3
#define EPT_VIOLATION_ENTRY_RWX BITS(5, 3)
#define EPT_VIOLATION_LINEAR_VALID BIT(7)
#define EPT_VIOLATION_LINEAR_TRANSLATED BIT(8)
#define EPT_VIOLATION_NMI_UNBLOCKING BIT(12)

/* SDM "Sub-Page Write Permissions": entries that name a table; vectors of the last level, two bits a sub-page. */
#define SPP_PRESENT BIT(0)
#define SPP_TABLE_RESERVED (BITS(63, 52) | BITS(11, 1))
#define SPP_VECTOR_RESERVED 0xaaaaaaaaaaaaaaaaull
#define SPP_VECTOR_SHIFT(address) (2 * (((address) & 0xfff) >> 7))
/* SDM "Exit Qualification for SPP-Related Events": a table is missing, not malformed. */
#define SPP_EVENT_MISS BIT(11)

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_CAP_EXECUTE_ONLY BIT(0)
#define EPT_CAP_WALK_4 BIT(6)
#define EPT_CAP_WALK_5 BIT(7)
#define EPT_CAP_UC BIT(8)
#define EPT_CAP_WB BIT(14)
#define EPT_CAP_2M BIT(16)
#define EPT_CAP_1G BIT(17)
#define EPT_CAP_INVEPT BIT(20)
#define EPT_CAP_ACCESSED_DIRTY BIT(21)
#define EPT_CAP_ADVANCED_VIOLATION_INFORMATION BIT(22)
#define EPT_CAP_SUPERVISOR_SHADOW_STACK BIT(23)
#define EPT_CAP_INVEPT_SINGLE BIT(25)
#define EPT_CAP_INVEPT_GLOBAL BIT(26)
#define VPID_CAP_INVVPID BIT(32)
#define VPID_CAP_INVVPID_INDIVIDUAL BIT(40)
#define VPID_CAP_INVVPID_SINGLE BIT(41)
#define VPID_CAP_INVVPID_ALL BIT(42)
#define VPID_CAP_INVVPID_RETAINING_GLOBALS BIT(43)

#endif
