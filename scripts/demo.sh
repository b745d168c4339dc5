#!/bin/sh
# make demo: L0, an L1 and several L2 guests in turn, and what each of their exits cost.
set -eu
cd "$(dirname "$0")/.."

DEMO_GUESTS=cpuid,io,msr,vmcall,memory,halt,compute
DEMO_COUNT=1000

echo "Turtles: L0 boots on an emulated VMX CPU and starts an L1 hypervisor, which runs its L2 guests."
echo "  ./turtles run --l2 $DEMO_GUESTS --count $DEMO_COUNT"
echo
exec ./turtles run --l2 "$DEMO_GUESTS" --count "$DEMO_COUNT"
