#!/bin/sh
# VMCS fields in memory (docs/drw.md): minivisor prints with them what it prints without, in all that touches them, and its
# VMREADs and VMWRITEs are gone. On the bare CPU it says that there are none.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

GUESTS=cpuid,io,msr,vmcall,memory,halt,exception,paging,debug,delivery,window
OFFERED="minivisor: drw=on: VMCS fields are read and written in memory"
IGNORED="minivisor: drw=on is ignored: nothing below offers it"

guests() {
	run --l2 $GUESTS --count 30 --memory 128 --timeout 30 "$@"
}

# with LINE: the console says it, and beside it what the bare CPU printed.
with() {
	status_is 0 && grep -qx "$1" "$out/console.txt" && grep -vx "$1" "$out/console.txt" | diff "$folder/bare.txt" -
}

# Not for every exit: some at the start, and what a guest needs that is cold.
few_exits_for_fields() {
	few_reflected=$(awk -F '\t' '$1 == "l2" && $3 == "l1" { n += $4 } END { print n + 0 }' "$out/exits.tsv")
	few_fields=$(($(exits l1 vmread l0 count) + $(exits l1 vmwrite l0 count)))
	[ "$few_reflected" -gt 500 ] && [ "$few_fields" -lt $((few_reflected / 10)) ] && return
	echo "$few_fields for $few_reflected exits"
	return 1
}

plan 14
guests --bare
cp "$out/console.txt" "$folder/bare.txt"
ok "the reference on the bare CPU" status_is 0
guests --bare --append drw=on
ok "on the bare CPU it is ignored" with "$IGNORED"
guests --append drw=on --set drw=off
ok "where L0 does not offer it, too" with "$IGNORED"
guests --append drw=on
ok "the fields in memory" with "$OFFERED"
ok "few exits for fields" few_exits_for_fields
guests --append drw=on --set vmcs_shadowing=off
ok "without VMCS shadowing" with "$OFFERED"
ok "without VMCS shadowing, few exits for fields" few_exits_for_fields
guests --append "drw=on quantum=1" --set vmcs02_slots=1
sed -i 's/quantum 1,/quantum 16,/' "$out/console.txt"
sort "$folder/bare.txt" > "$folder/bare.sorted"
sort "$out/console.txt" | grep -vx "$OFFERED" > "$folder/l0.sorted"
ok "another VMCS at each exit, in one slot" status_is 0
ok "the same lines, in whatever order" cmp "$folder/bare.sorted" "$folder/l0.sorted"
ok "pages went with their VMCSs" test "$(fact vmcs02_evictions)" -gt 500
guests --append drw=on --set lazy_guest_state=off --set dirty_tracking=off --set bitmap_cache=off
ok "nothing left to a later entry or exit" with "$OFFERED"
guests --append drw=on --set l1_offset=16
ok "L1's memory moved" with "$OFFERED"
guests --append "drw=on vpid=off"
sed -i 's/vpid off,/vpid on,/' "$out/console.txt"
ok "without VPIDs" with "$OFFERED"
guests --append drw=on --cpu corei7_ivy_bridge_3770k
ok "a CPU without VMCS shadowing" with "$OFFERED"
