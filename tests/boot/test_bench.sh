#!/bin/sh
# The bench, by two witnesses that know nothing of each other: what an operation costs beyond the bare CPU by the time-stamp
# counter that L1 reads is what the debugger's trace of it has of L0's instructions.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

STEPS=3
OPERATIONS="l1_cpuid l1_vmread_rare l2_cpuid l2_vmcall"

bench() {
	run --l1 bench --memory 128 "$@"
}

# cost FILE OPERATION: instructions for one more of it; nothing if they are not a whole number.
cost() {
	tr -d '\r' < "$1" | awk -v operation="$2" '
	$1 == "bench:" && $2 == operation && ($6 - $4) % ($5 - $3) == 0 { print ($6 - $4) / ($5 - $3) }'
}

# steps WINDOW COLUMN: in the steps of that window, each value that there is.
steps() {
	awk -F '\t' -v window="$1" -v column="$2" '
	NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) wanted = i; next }
	$1 == window && !seen[$wanted]++ { print $wanted }' "$out/steps.tsv" | sort -n | paste -s -d ' ' -
}

# Of the steps, the last is the one that the loop repeats: the first may find what an earlier operation left.
last_step() {
	awk -F '\t' -v window="$1" -v step=$STEPS '$1 == window && $2 == step { print $3 }' "$out/steps.tsv"
}

net_is_traced() {
	net=$(($(cost "$out/console.txt" "$1") - $(cost "$folder/bare" "$1")))
	echo "$1: $net by the time-stamp counter, $(last_step "$2") traced"
	[ "$net" -gt 0 ] && [ "$net" -eq "$(last_step "$2")" ]
}

is() {
	echo "$1, not $2"
	[ "$1" = "$2" ]
}

export TURTLES_STEPS=$STEPS
bench --bare --append "ticks=1 repeats=1"
ok "every operation on the bare CPU" status_is 0
cut -d ' ' -f 2 "$out/console.txt" > "$folder/names"
cp "$out/console.txt" "$folder/bare"
bench --append "ticks=1 repeats=1 steps=$STEPS"
ok "every operation on L0, and each alone" status_is 0
cut -d ' ' -f 2 "$out/console.txt" > "$folder/names.l0"
ok "the same operations" cmp "$folder/names" "$folder/names.l0"
for operation in $OPERATIONS; do
	window=$(grep -nx "$operation" "$folder/names" | cut -d : -f 1)
	ok "$operation: the same by both witnesses" net_is_traced "$operation" "$window"
	case $operation in
	l1_*) ok "$operation: one exit" is "$(steps "$window" exits)" 1 ;;
	l2_*) ok "$operation: two exits, and as many entries" is "$(steps "$window" exits) $(steps "$window" entries)" "2 2" ;;
	esac
done
bench --append "only=frobnicate"
ok "an unknown operation is refused" grep -q 'only=frobnicate: there are no such operations' "$out/console.txt"
plan $number
