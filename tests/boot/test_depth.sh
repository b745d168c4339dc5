#!/bin/sh
# Turtles on a turtle: L0's own image is L1, and runs minivisor as its L1 with a guest; then one level more. At every
# depth the guest and its hypervisor print what they print on the bare CPU.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

guest=cpuid,memory,exception
count=20
turtles=$BUILD/turtles.elf

# at_depth N [OPTION]...: minivisor under N L0s.
at_depth() {
	depth=$1
	shift
	case $depth in
	0) set -- --bare --l2 "$guest" --count "$count" "$@" ;;
	1) set -- --l2 "$guest" --count "$count" "$@" ;;
	*)
		set -- --l1 "$turtles" --append tick=instruction --memory 256 "$@"
		while [ "$depth" -gt 2 ]; do
			set -- "$@" --module "$turtles tick=instruction"
			depth=$((depth - 1))
		done
		set -- "$@" --module "$BUILD/minivisor.elf"
		for name in $(printf '%s' "$guest" | tr , ' '); do
			set -- "$@" --module "$BUILD/guests/$name.bin count=$count"
		done
		;;
	esac
	run "$@"
}

same_console_at() {
	at_depth "$@"
	status_is 0 && diff "$folder/bare.txt" "$out/console.txt"
}

# rows FROM REASON OWNER: the count of that kind of exit.
rows() {
	awk -F '\t' -v from="$1" -v reason="$2" -v owner="$3" \
		'$1 == from && $2 == reason && $3 == owner { print $4 }' "$out/exits.tsv"
}

# To the L0 below, what minivisor does on the L0 above is what an L2 does: each of its VMREADs is L1's to handle.
vmreads_are_reflected() {
	[ "$(rows l2 vmread l1)" -gt "$count" ]
}

plan 5
at_depth 0
cp "$out/console.txt" "$folder/bare.txt"
ok "one L0: the console of the bare CPU" same_console_at 1
ok "two L0s: the console of the bare CPU" same_console_at 2
at_depth 2 --append vmcs_shadowing=off
ok "two L0s: the lower hands the VMREADs of minivisor to the upper" vmreads_are_reflected
ok "two L0s, the lower with L1's memory moved" same_console_at 2 --set l1_offset=16
ok "three L0s: the console of the bare CPU" same_console_at 3
