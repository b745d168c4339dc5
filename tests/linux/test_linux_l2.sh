#!/bin/sh
# Linux as L2 of Linux with KVM as L1: its workload's checksums are those of the bare CPU, with one virtual CPU and with
# two; and what nesting costs it.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"
# shellcheck source=tests/boot/lib_linux.sh
. "$(dirname "$0")/../boot/lib_linux.sh"

NESTING_PERCENT_MOST=15

# workload_ticks: from L2's time-stamp counter, from the end of its boot to the end of its workload.
workload_ticks() {
	tr -d '\r' < "$out/console.txt" | sed 's/^\[[a-z]*\] //' |
		awk '$1 == "ticks:" && $2 == "boot" { start = $3 } $1 == "ticks:" && $2 == "end" { print $3 - start }'
}

# workload: what L2 says of itself, wherever it runs; whose the verdict is depends on that.
workload() {
	transcript | grep -v -e '^L[12]: ' -e '^turtles-verdict: '
}

same_workload() {
	status_is 0 && workload > "$folder/workload" && diff "$folder/bare_workload.txt" "$folder/workload"
}

has_cpus() {
	grep -q "L2: Linux .* is up, CPUs: $1" "$out/console.txt"
}

# price: the workload's instructions on L0, in percent of those under KVM on the bare CPU.
price() {
	percent=$((ticks * 100 / bare_ticks))
	echo "# the workload of L2: $bare_ticks instructions under KVM on the bare CPU, $ticks on L0: $percent %"
}

plan 13
linux --bare --l2 linux
ok "under KVM on the bare CPU" status_is 0
transcript > "$folder/bare.txt"
grep -v -e '^L[12]: ' -e '^turtles-verdict: ' "$folder/bare.txt" > "$folder/bare_workload.txt"
bare_ticks=$(workload_ticks)
linux --l2 linux
ticks=$(workload_ticks)
ok "on L0: the transcript of the bare CPU" same_transcript "$folder/bare.txt"
ok "KVM counted the exits that L0 handed to it" every_exit_is_kvms
price
ok "nesting costs the workload at most $NESTING_PERCENT_MOST %" [ $percent -le $((100 + NESTING_PERCENT_MOST)) ]
# shellcheck disable=SC2046 # several words
linux --l2 linux $(all_slow)
ok "all switches slow: the transcript of the bare CPU" same_transcript "$folder/bare.txt"
run --l1 linux-workload --bare --timeout 1500
ok "the same workload as L1 on the bare CPU" same_workload
run --l1 linux-workload --timeout 1500
ok "and as L1 on L0" same_workload
linux --l2 linux --l2-cpus 2
ok "with two virtual CPUs" same_workload
ok "Linux has found both" has_cpus 2
ok "KVM counted their exits, too" every_exit_is_kvms
linux --cpus 2 --l2 linux --l2-cpus 2
ok "with two CPUs in L1 as well" same_workload
ok "L1 has found both" grep -q "^L1: Linux .*, CPUs: 2" "$out/console.txt"
ok "and L2" has_cpus 2
