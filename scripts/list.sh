#!/bin/sh
# turtles list: what can be named on `turtles run`'s command line, from the sources that define it.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
experiments=$root/experiments
# shellcheck source=scripts/exp-lib.sh
. "$root/scripts/exp-lib.sh"

columns() {
	awk -F '\t' -v width="$1" '{ printf "  %-" width "s  %s\n", $1, $2 }'
}

echo "L1 (--l1)"
columns 26 <<END
minivisor${tab}our own small hypervisor, which runs the payloads below
bench${tab}prices its own operations and each exit of its L2, see l1/bench/main.c
linux${tab}Debian's Linux with KVM, which runs the payloads below, minivisor, turtles and Linux as L2
linux-workload${tab}what is the L2 linux of that, as L1
xen${tab}Debian's Xen with its dom0 and a PVH domain, see docs/l1.md
bios${tab}what the machine's BIOS boots from --disk or --cdrom
FILE${tab}any multiboot 1 image, or a bzImage
END
echo "L2 payloads of minivisor and linux (--l2)"
guest_table | columns 26
echo "CPU models (--cpu)"
cpu_table | awk -F '\t' -v OFS='\t' '{ print $1, ($2 == "yes" ? "VMX     " : "no VMX  ") $3 (NR == 1 ? " (default)" : "") }' | columns 26
echo "Switches of L0 (--set SWITCH=VALUE)"
switch_table | awk -F '\t' -v OFS='\t' '{ print $1, $4 " [" $3 "; default " $2 "]" }' | columns 26
echo "Experiments (./turtles exp NAME)"
found=$(experiment_table)
printf '%s\n' "${found:-none yet}" | columns 26
