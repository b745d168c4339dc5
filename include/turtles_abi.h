/* What L0 shares with L1, L2 and the harness: verdict lines and the signature leaf; ports are in ports.h. */
#ifndef TURTLES_ABI_H
#define TURTLES_ABI_H

#include "ports.h"
#include "types.h"

/* The verdict lines, which the harness requires: the guest's on COM1, L0's on COM2. */
#define TURTLES_VERDICT_SUCCESS "turtles-verdict: success"
#define TURTLES_VERDICT_FAILURE "turtles-verdict: failure"
#define TURTLES_L0_VERDICT "turtles-l0-verdict: "

/* CPUID leaves that L0 answers to L1; EBX, ECX, EDX of the first spell the signature. */
#define TURTLES_CPUID_SIGNATURE 0x40000000u
#define TURTLES_SIGNATURE "TurtlesL0VMX"
/* EAX of the signature leaf is the last of these leaves. EAX of this one: what is offered. EBX: FIELD_PLACES. */
#define TURTLES_CPUID_FEATURES 0x40000001u
#define TURTLES_FEATURE_DRW BIT(0)

#endif
