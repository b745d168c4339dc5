/* Where the other CPU's code lies, and what it shares with the first; numbers alone, for assembly too. */
#ifndef ATTACK_AP_H
#define ATTACK_AP_H

#define AP_PAGE 0x9000
#define AP_RUNNING 0x800 /* 1 from its first step to its last */
#define AP_STOP 0x804
#define AP_LIST 0x808    /* words to change, each by XOR: address, bits; an address of 0 ends it */
#define AP_WORD 8

#endif
