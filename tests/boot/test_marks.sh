#!/bin/sh
# What exits cost, in instructions of L0 for each: the same to the digit in every run, so that a change that
# makes them dearer is seen. marks.tsv holds what was recorded and, where there is one, the mark not to be
# passed by more than a twentieth; UPDATE_MARKS=yes records what is measured.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

MARKS=$root/tests/boot/marks.tsv
TOLERANCE=1.05
COUNT=500
# Two runs, one of which does it COUNT times more often: what is not of it cancels out.
BENCHES="cpuid rdmsr vmptrld vmclear invept invvpid"
# The fields that these touch exit only without VMCS shadowing.
FIELD_BENCHES="vmread vmwrite"
COLD_BENCHES="vmread_cold vmwrite_cold"

# bench TIMES NAME...: L1's own operations, that often each.
bench() {
	bench_list=
	bench_times=$1
	shift
	for bench_name in "$@"; do
		bench_list=$bench_list${bench_list:+,}$bench_name:$bench_times
	done
	run --append "bench=$bench_list" --l2 vmcall --count 1 --set "vmcs_shadowing=$bench_shadowing"
}

# measure NAME COMMAND...: runs it with COUNT and twice that; keeps both tables.
measure() {
	measure_name=$1
	shift
	for times in $COUNT $((2 * COUNT)); do
		"$@" "$times"
		ok "$measure_name, $times times" status_is 0
		cp "$out/exits.tsv" "$folder/$measure_name.$times"
	done
}

# shellcheck disable=SC2086 # words
hot_benches() {
	bench_shadowing=on
	bench "$1" $BENCHES
}

# shellcheck disable=SC2086 # words
cold_benches() {
	bench_shadowing=on
	bench "$1" $COLD_BENCHES
}

# shellcheck disable=SC2086 # words
field_benches() {
	bench_shadowing=off
	bench "$1" $FIELD_BENCHES
}

payload() {
	run --l2 "${measure_name%%-*}" --count "$1"
}

unshadowed_payload() {
	run --l2 "${measure_name%%-*}" --count "$1" --set vmcs_shadowing=off
}

eager_payload() {
	run --l2 "${measure_name%%-*}" --count "$1" --append map=eager
}

# figure NAME FROM REASON OWNER: L0's instructions for one more such exit; "none" if there were no more of them.
figure() {
	cat "$folder/$1.$COUNT" "$folder/$1.$((2 * COUNT))" |
		awk -F '\t' -v from="$2" -v reason="$3" -v owner="$4" '
		$1 == "from" { sign = sign ? 1 : -1 }
		$1 == from && $2 == reason && $3 == owner { count += sign * $4; l0 += sign * $5 }
		END { if (count > 0) printf "%.1f\n", l0 / count; else print "none" }'
}

# page_figure NAME: of a fresh page of L2's that L1 maps: all of L2's EPT violations, for each that L1 handled.
page_figure() {
	cat "$folder/$1.$COUNT" "$folder/$1.$((2 * COUNT))" |
		awk -F '\t' '
		$1 == "from" { sign = sign ? 1 : -1 }
		$1 == "l2" && $2 == "ept_violation" { l0 += sign * $5 }
		$1 == "l2" && $2 == "ept_violation" && $3 == "l1" { count += sign * $4 }
		END { if (count > 0) printf "%.1f\n", l0 / count; else print "none" }'
}

# All that is measured: key, figure.
figures() {
	for bench in $BENCHES; do
		printf 'l1_%s\t%s\n' "$bench" "$(figure benches l1 "$bench" l0)"
	done
	for bench in $FIELD_BENCHES; do
		printf 'l1_%s\t%s\n' "$bench" "$(figure field_benches l1 "$bench" l0)"
	done
	for bench in $COLD_BENCHES; do
		printf 'l1_%s\t%s\n' "$bench" "$(figure cold_benches l1 "${bench%_cold}" l0)"
	done
	while read -r key name reason owner; do
		printf 'l2_%s\t%s\n' "$key" "$(figure "$name" l2 "$reason" "$owner")"
	done <<END
cpuid cpuid cpuid l1
cpuid_unshadowed cpuid-unshadowed cpuid l1
vmcall vmcall vmcall l1
io io io_instruction l1
rdmsr msr rdmsr l1
wrmsr msr wrmsr l1
exception exception exception_or_nmi l1
external_interrupt halt external_interrupt l1
interrupt_window window interrupt_window l1
ept_violation_by_l0 memory-eager ept_violation l0
END
	printf 'l2_ept_violation\t%s\n' "$(page_figure memory)"
	printf 'l2_ept_violation_unshadowed\t%s\n' "$(page_figure memory-unshadowed)"
}

mark_of() {
	awk -F '\t' -v key="$1" '$1 == key { print $3 }' "$MARKS"
}

record() {
	{
		printf 'key\tinstructions\tmark\n'
		while IFS=$tab read -r key measured; do
			mark=$(mark_of "$key")
			printf '%s\t%s\t%s\n' "$key" "$measured" "${mark:--}"
		done < "$folder/figures"
	} > "$folder/marks"
	cp "$folder/marks" "$MARKS"
}

# at_most LIMIT FIGURE
at_most() {
	awk -v limit="$1" -v figure="$2" '
	BEGIN { exit !(figure ~ /^[0-9.]+$/ && limit > 0 && figure + 0 <= limit + 0) }'
}

not_dearer() {
	at_most "$(awk -v recorded="$1" -v tolerance=$TOLERANCE 'BEGIN { print recorded * tolerance }')" "$2"
}

# The table has a row for each figure, and no other.
all_recorded() {
	tail -n +2 "$MARKS" | cut -f 1 > "$folder/recorded"
	cut -f 1 "$folder/figures" | diff "$folder/recorded" -
}

measure benches hot_benches
measure field_benches field_benches
measure cold_benches cold_benches
for name in cpuid vmcall io msr exception halt window memory; do
	measure $name payload
done
measure cpuid-unshadowed unshadowed_payload
measure memory-unshadowed unshadowed_payload
measure memory-eager eager_payload

figures > "$folder/figures"
[ "${UPDATE_MARKS-}" != yes ] || record
ok "each figure is recorded" all_recorded
# What L1 has mapped is composed before L2 runs again: no exit of L2 beside the one that L1 handles.
ok "a page that L1 maps takes L2 one exit" [ "$(figure memory l2 ept_violation l0)" = none ]
while IFS=$tab read -r key recorded mark; do
	[ "$key" != key ] || continue
	measured=$(awk -F '\t' -v key="$key" '$1 == key { print $2 }' "$folder/figures")
	ok "$key: $measured instructions, recorded $recorded" not_dearer "$recorded" "$measured"
	[ "$mark" = - ] || ok "$key: $measured instructions, the mark is $mark" not_dearer "$mark" "$measured"
done < "$MARKS"
plan $number
