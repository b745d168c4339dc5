#!/bin/sh
# Debian's Xen as L1: its log is that of the bare CPU, its dom0 comes up, and a PVH domain, L2, runs there as it does on
# the bare CPU. Some minutes; not part of make check.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"

TIMEOUT=3600

# What of Xen's log may differ, see docs/l1.md: memory and drives that are L0's, and what follows from CPUID telling of a
# hypervisor.
MAY_DIFFER='^\(XEN\) +(\[[0-9a-f]+, |Found [0-9]+ (MBR|EDD)|Xen settings: |Support for (HVM|PV) VMs: |Dom0 alloc|Init. ramdisk)
^\(XEN\) (New Xen image base|System RAM: |Mitigating GDS|TSC_DEADLINE disabled|TSC deadline timer|VMX: Disabling executable EPT)'

xen_log() {
	tr -d '\r' < "$1" | grep '^(XEN)' | grep -v -E -e "$MAY_DIFFER"
}

same_log() {
	xen_log "$folder/bare/console.txt" > "$folder/bare.txt"
	xen_log "$out/console.txt" > "$folder/l0.txt"
	[ -s "$folder/bare.txt" ] && diff "$folder/bare.txt" "$folder/l0.txt"
}

has() {
	grep -q -F -e "$1" "$out/console.txt"
}

# Each CPUID and each hypercall of the domain is an exit of L2 that Xen handles.
exits_of_domain() {
	for reason in cpuid vmcall; do
		if [ "$(exits l2 $reason l1 count)" -lt 1000 ]; then
			echo "$(exits l2 $reason l1 count) exits of L2 by $reason"
			return 1
		fi
	done
}

plan 9
"$root/turtles" run --out "$folder/bare" --bare --l1 xen --timeout $TIMEOUT > "$folder/bare.said" 2>&1 &
bare=$!
run --l1 xen --timeout $TIMEOUT
l0_status=$status
status=0
wait $bare || status=$?
cp "$folder/bare.said" "$folder/stdout"
ok "Xen, its dom0 and a domain on the bare CPU" status_is 0
status=$l0_status
ok "the same on L0" status_is 0
ok "Xen takes L0's VMX" has '(XEN) HVM: VMX enabled'
ok "and its EPT" has '(XEN) HVM: Hardware Assisted Paging (HAP) detected'
ok "dom0 is up" has 'dom0: Linux 6'
ok "the domain finds Xen, by CPUID and by hypercalls, and its memory" has '(d1) domain: success'
ok "its exits are counted as L2's" exits_of_domain
ok "Xen's log is that of the bare CPU" same_log
ok "nothing is left of it" nothing_left
