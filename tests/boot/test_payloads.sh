#!/bin/sh
# Each L2 payload, on L0 and on the bare CPU: the same console line by line, and the exits that it is known to cause.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

COUNT=40

# What each payload makes L1 handle, as "reason:number"; beside these it exits for its console alone.
known_exits() {
	case $1 in
	compute | cr3 | instruction | io_pass | msr_pass | exception_pass) ;;
	fault) echo "ept_violation:$((803 + COUNT))" ;;
	cpuid | vmcall) echo "$1:$COUNT" ;;
	build) echo "io_instruction:$((12 * (COUNT + 1))) external_interrupt:$((8 * (COUNT + 1))) vmcall:$((8 * (COUNT + 1))) cpuid:2 ept_violation:28" ;;
	debug) echo "vmcall:$COUNT" ;;
	delivery) echo "exception_or_nmi:$COUNT ept_violation:$COUNT" ;;
	exception) echo "exception_or_nmi:$((2 * COUNT))" ;;
	halt) echo "external_interrupt:$COUNT vmcall:$COUNT" ;;
	ipi) echo "wrmsr:$((2 * COUNT)) hlt:$((COUNT + 1)) vmcall:1" ;;
	io) echo "io_instruction:$((2 * COUNT))" ;;
	memory) echo "ept_violation:$COUNT" ;;
	msr) echo "rdmsr:$((COUNT + 1)) wrmsr:$COUNT" ;;
	paging) echo "ept_violation:5" ;;
	send_direct) echo "cpuid:2 ept_violation:32" ;;
	send_emulated) echo "cpuid:2 io_instruction:$((2 * COUNT + 1)) ept_violation:32" ;;
	send_ring) echo "cpuid:2 io_instruction:$(((COUNT + 15) / 16 + 1)) ept_violation:32" ;;
	server) echo "external_interrupt:2 vmcall:2 cpuid:2 ept_violation:132" ;;
	spawn) echo "cpuid:2 ept_violation:20" ;;
	wake) echo "external_interrupt:$COUNT interrupt_window:$COUNT vmcall:$COUNT hlt:$COUNT" ;;
	window) echo "external_interrupt:$COUNT interrupt_window:$COUNT vmcall:$COUNT" ;;
	*) echo "unknown:0" ;;
	esac
}

# All exits of L2 that L1 handles, sorted: the known ones, and one for each character on the console and for the end.
expected() {
	characters=$(sed -n "s/^\[$1\] //p" "$out/console.txt" | grep -v -e '^exits:' -e '^ended:' | wc -c)
	# shellcheck disable=SC2046 # words
	printf '%s\n' $(known_exits "$1") "io_instruction:$((characters + 1))" |
		awk -F : '$1 != "" { sum[$1] += $2 } END { for (reason in sum) print reason, sum[reason] }' | sort
}

# The rows of exits.tsv that L1 owns, as the L1's own last words list them.
l1_owned() {
	awk -F '\t' '$1 == "l2" && $3 == "l1" { printf "%s%s %s", separator, $2, $4; separator = ", " }' "$out/exits.tsv"
}

as_l1_counted() {
	said=$(sed -n "s/^\[$1\] exits: //p" "$out/console.txt")
	[ -n "$said" ] && [ "$(l1_owned)" = "$said" ] && return
	echo "L1: $said"
	echo "L0: $(l1_owned)"
	return 1
}

as_known() {
	awk -F '\t' '$1 == "l2" && $3 == "l1" { print $2, $4 }' "$out/exits.tsv" | sort > "$folder/exits"
	expected "$1" | diff - "$folder/exits"
}

# What L1 has to be told. The emulated CPU does not leave HLT when an interrupt window opens, as the SDM says it does.
words_for() {
	case $1 in
	wake) echo hlt=exit ;;
	esac
}

payloads=$("$root/turtles" list | sed -n '/^L2 payloads/,/^CPU models/s/^  \([a-z_0-9]*\) .*/\1/p' | grep -v '^hang$')
plan $((5 * $(printf '%s\n' "$payloads" | wc -l)))
for payload in $payloads; do
	run --bare --l2 "$payload" --count $COUNT --timeout 20 --append "$(words_for "$payload")"
	ok "$payload on the bare CPU" status_is 0
	cp "$out/console.txt" "$folder/bare.txt"
	run --l2 "$payload" --count $COUNT --timeout 20 --append "$(words_for "$payload")"
	ok "$payload on L0" status_is 0
	ok "$payload: the same console on both" cmp "$folder/bare.txt" "$out/console.txt"
	ok "$payload: L0 counted the exits that L1 counted" as_l1_counted "$payload"
	ok "$payload: its exits are the known ones" as_known "$payload"
done
