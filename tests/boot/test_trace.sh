#!/bin/sh
# The trace: what it holds is what L0 counted, to the instruction; it is the same in every run, whatever the ring; its
# formats say the same; it costs nothing when it is off and does not show in the accounts when it is on.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

PAYLOADS=cpuid,io,msr,msr_pass,vmcall,memory,paging,exception,delivery
COUNT=20

# traced NAME ARGUMENT...: a run whose folder is kept under that name.
traced() {
	traced_name=$1
	shift
	run --trace --memory 128 "$@"
	ok "$traced_name: runs with a trace" status_is 0
	mv "$out" "$folder/$traced_name"
}

# tell NAME ARGUMENT...: of a run's trace, into $folder/told.
tell() {
	tell_name=$1
	shift
	"$root/turtles" trace "$folder/$tell_name" "$@" > "$folder/told"
}

table_is_the_run_s() {
	tell "$1" --format table && diff "$folder/told" "$folder/$1/exits.tsv"
}

# same_told NAME NAME [ARGUMENT]...: two traces tell the same.
same_told() {
	same_a=$1 same_b=$2
	shift 2
	tell "$same_a" "$@" && mv "$folder/told" "$folder/told.a" && tell "$same_b" "$@" && cmp "$folder/told.a" "$folder/told"
}

same_counts() {
	tell "$1" --format table && cut -f 1-4,7,8 "$folder/told" > "$folder/counts"
	cut -f 1-4,7,8 "$folder/$1/exits.tsv" | diff "$folder/counts" -
}

# run_fact NAME KEY
run_fact() {
	awk -F '\t' -v key="$2" '$1 == key { print $2 }' "$folder/$1/run.tsv"
}

# Pages mapped in EPT02: a line each, or one that tells how many.
fills_are_the_run_s() {
	tell "$1" &&
		[ "$(awk '/ept02: .* pages mapped/ { n += $3; next } / ept02: / { n++ } END { print n + 0 }' "$folder/told")" -eq \
			"$(run_fact "$1" ept02_fills)" ]
}

# The steps of an exit with their texts, the ticks out of the way: who, what.
steps() {
	tell "$1" --exit "$2" && awk '/^  L/ { $2 = ""; sub(/ +/, " "); print }' "$folder/told"
}

# The number of one whose answer L1 has kept.
a_cpuid_of() {
	tell "$1" && awk '/^exit [0-9]+ of L2: cpuid, leaf 0x1,/ { n = $2 } END { print n }' "$folder/told"
}

# A CPUID of L2 without VMCS shadowing: from the reflected exit to the VMRESUME, nothing else.
cpuid_round_trip() {
	steps bare_fields "$round_trip" | sed 's/= 0x[0-9a-f]*$/=/' > "$folder/steps"
	diff - "$folder/steps" <<'END'
L2 runs
L0 hands it to L1
L1 runs
L0 vmread exit_reason =
L1 runs
L0 vmread guest_rip =
L1 runs
L0 vmread vm_exit_instruction_length =
L1 runs
L0 vmwrite guest_rip =
L1 runs
L0 vmresume: enters L2
END
}

# guest_rip goes on by the length that L1 has read, and the sum at the end is that of the steps.
cpuid_values() {
	tell bare_fields --exit "$round_trip" || return 1
	awk '
	function value() { return $NF }
	/vmread exit_reason/ && value() != "0xa" { bad = "reason " value() }
	/vmread guest_rip/ { from = value() }
	/vmread vm_exit_instruction_length/ && value() != "0x2" { bad = "length " value() }
	/vmwrite guest_rip/ { to = value() }
	/^  L[01]/ { sum[$1] += $2 }
	/^  in all/ && ($4 + 0 != sum["L0"] || $6 + 0 != sum["L1"]) { bad = $0 }
	END {
		if (substr(from, 1, length(from) - 1) != substr(to, 1, length(to) - 1) || from == to) bad = from " " to
		if (bad != "") { print bad; exit 1 }
	}' "$folder/told"
}

# The exceptions that L1 hands on to L2: two for each round of the payload.
events_are() {
	tell "$1" && [ "$(grep -c 'into L2 at the entry: .* by L1$' "$folder/told")" -eq "$2" ] && return
	grep 'into L2' "$folder/told"
	return 1
}

# The steps of each exit in JSON sum up to its own figures, and those of all exits to the table.
json_sums() {
	tell "$1" --format json && jq -e 'all(.exits[]; . as $exit | [["L0", .l0], ["L1", .l1], ["L2", .l2]] | all(. as [$who, $sum] |
		$sum == ([$exit.steps[] | select(.who == $who) | .ticks] | add // 0)))' "$folder/told" > "$folder/jq" &&
		jq -r '[.exits[] | select(.owner)] | group_by([.reason, .owner])[] | [.[0].reason, (.[0].owner | ascii_downcase),
			length, (map(.l0) | add), (map(.l1) | add), (map(.exits_of_l1 | add // 0) | add)] | @tsv' \
			"$folder/told" | sort > "$folder/sums" &&
		sed -n "s/^l2$tab//p" "$folder/$1/exits.tsv" | cut -f 1-6 | sort | diff - "$folder/sums"
}

# Folded, what each level has run is what L0 has summed up.
folded_sums() {
	tell "$1" --format folded
	for level in 0 1 2; do
		[ "$(awk -v level="L$level" '{ n = split($1, f, ";") } f[n] == level { s += $2 } END { print s }' "$folder/told")" -eq \
			"$(run_fact "$1" "l${level}_ticks")" ] || return 1
	done
}

# What perf script prints, folded as flame graph tools do it, is the folded form.
perf_is_folded() {
	tell "$1" --format perf && awk '
	NF == 0 && stack != "" { sum[stack] += ticks; stack = ""; next }
	/^[^\t ]/ { ticks = $5; if ($6 !~ /^instructions:/) exit 1; next }
	/^\t/ { stack = $2 (stack == "" ? "" : ";" stack) }
	END { for (s in sum) printf "%s %d\n", s, sum[s] }' "$folder/told" | LC_ALL=C sort > "$folder/collapsed"
	tell "$1" --format folded && LC_ALL=C sort "$folder/told" | diff - "$folder/collapsed"
}

# json NAME FILTER: jq's filter is true of the Chrome form.
json() {
	tell "$1" --format chrome && jq -e "$2" "$folder/told" > "$folder/jq"
}

# refused ARGUMENT STATUS PATTERN: by turtles trace, with one line.
refused() {
	refused_status=$1 refused_pattern=$2
	shift 2
	turtles trace "$@"
	status_is "$refused_status" && one_error "$refused_pattern" && [ ! -s "$folder/stdout" ]
}

# A byte of a trace is another.
damage() {
	size=$(wc -c < "$folder/first/trace.bin")
	mkdir -p "$folder/damaged" "$folder/cut"
	{
		head -c $((size / 2)) "$folder/first/trace.bin"
		printf '~'
		tail -c +$((size / 2 + 2)) "$folder/first/trace.bin"
	} > "$folder/damaged/trace.bin"
	head -c $((size - 100)) "$folder/first/trace.bin" > "$folder/cut/trace.bin"
	{
		printf 'TURTRACE\377'
		tail -c +10 "$folder/first/trace.bin"
	} > "$folder/other.bin"
}

all_payloads="--l2 $PAYLOADS --count $COUNT"
# shellcheck disable=SC2086 # words
traced first $all_payloads
# shellcheck disable=SC2086 # words
run --memory 128 $all_payloads
ok "the same without a trace" status_is 0
ok "the accounts of both are equal, to the instruction" cmp "$folder/first/exits.tsv" "$out/exits.tsv"
ok "the consoles are equal" cmp "$folder/first/console.txt" "$out/console.txt"
ok "without --trace there is none" [ ! -e "$out/trace.bin" ]
ok "the trace makes the table of exits, to the instruction" table_is_the_run_s first
ok "each page of EPT02 is in it" fills_are_the_run_s first
ok "folded, it sums up to what each level ran" folded_sums first
ok "as JSON, the steps of each exit sum up to the table" json_sums first
ok "perf's form has the same stacks" perf_is_folded first
ok "the run tells what the trace took" grep -q "^trace_ticks${tab}[1-9]" "$folder/first/run.tsv"

# shellcheck disable=SC2086 # words
traced second $all_payloads
ok "two runs have the same trace" cmp "$folder/first/trace.bin" "$folder/second/trace.bin"
# shellcheck disable=SC2086 # words
traced tiny $all_payloads --set trace_ring=1
ok "a tiny ring loses nothing" same_told first tiny
ok "and its accounts are the same" cmp "$folder/first/exits.tsv" "$folder/tiny/exits.tsv"

traced bare_fields --l2 cpuid,exception --count $COUNT --set vmcs_shadowing=off
ok "L1's VMREADs and VMWRITEs: the table" table_is_the_run_s bare_fields
round_trip=$(a_cpuid_of bare_fields)
ok "a CPUID of L2 is its round trip and nothing else" cpuid_round_trip
ok "with what L1 read and wrote, and the right sum" cpuid_values
ok "the exceptions that L1 injects are there" events_are bare_fields $((2 * COUNT))

traced timer --l2 halt,window --count $COUNT
ok "interrupts: the table" table_is_the_run_s timer
traced shadow --l2 memory,paging --count $COUNT --append ept=off --set l1_offset=16
ok "L1 without EPT, moved in memory: the table" table_is_the_run_s shadow
traced two_cpus --l2 cpuid,memory --count $COUNT --cpus 2
ok "two CPUs: the table's counts" same_counts two_cpus

ok "JSON, and in the form of trace events" json first \
	'(.traceEvents | type == "array") and ([.traceEvents[] | select((.ph | IN("M", "X", "i", "s", "t", "f") | not)
	or (.name | type != "string") or (.pid | type != "number") or (.pid != 1) or (.tid | IN(10, 11, 12) | not))] | length == 0)'
ok "levels are tracks with names" json first \
	'[.traceEvents[] | select(.name == "thread_name") | [.tid, .args.name]] == [[10, "L0"], [11, "L1"], [12, "L2"]]'
ok "all that is not a name has its time, in order" json first \
	'[.traceEvents[] | select(.ph == "X") | .ts] | length > 1000 and . == sort'
ok "at any time one level runs" json first \
	'[.traceEvents[] | select(.ph == "X")] | [[.[:-1][] | .ts + .dur], [.[1:][] | .ts]] | transpose |
	all(.[]; (.[0] - .[1]) * 1000 | fabs < 0.5)'
ok "L2's exits are in it" json first "[.traceEvents[] | select(.args.exit_of == \"L2\")] | length == $(
	awk -F '\t' '$1 == "l2" { n += $4 } END { print n }' "$folder/first/exits.tsv")"
ok "each cause is a flow, from L2 to L0's last step" json first \
	'[.traceEvents[] | select(.cat == "cause")] | group_by(.id) | length > 100 and
	all(.[]; .[0].ph == "s" and .[0].tid == 12 and .[-1].ph == "f" and .[-1].tid == 10 and (.[1:-1] | all(.[]; .ph == "t")))'
ok "one exit alone" json bare_fields '[.traceEvents[] | select(.ph == "X") | .args.l2_exit] | unique | length > 1'
tell bare_fields --format chrome --exit "$round_trip"
ok "has its own steps only" jq -e \
	"[.traceEvents[] | select(.ph == \"X\")] | length == 12 and all(.[]; .args.l2_exit == $round_trip)" "$folder/told"

run --trace --l1 "$images/trace_port.elf"
ok "to L1 the port is absent" status_is 0
ok "and what L1 writes there is not in the trace" "$root/turtles" trace "$out"
run --trace --l1 "$images/triple_fault.elf"
ok "what the emulator has to say of a triple fault" status_is 1
ok "is not in the trace, which is whole" table_is_the_run_s out
run --trace --l2 hang --count 1 --timeout 4 --set trace_ring=1
ok "a run that the clock ends" status_is 124
mv "$out" "$folder/hung"
ok "has no whole trace" refused 1 'trace.bin: it has no end: the run was stopped' "$folder/hung"

tell_cut() {
	turtles trace "$folder/hung" --cut --format table
	cut -f 1-3 "$folder/stdout" | grep -q "^l2${tab}io_instruction${tab}l1"'$'
}
ok "but what is whole of it can be told" tell_cut
ok "with a line that says so" one_error 'trace.bin: it is cut: [0-9]* records, [1-9][0-9]* exits of L2'

damage
ok "refused: a damaged trace" refused 1 'damaged/trace.bin: it is damaged' "$folder/damaged"
ok "refused: a trace that was cut" refused 1 'cut/trace.bin: it is damaged or cut short' "$folder/cut"
ok "refused: another version's" refused 1 'other.bin: its format is that of another version' "$folder/other.bin"
ok "refused: what is no trace" refused 1 'exits.tsv: it is not a trace' "$folder/first/exits.tsv"
run --l2 cpuid --count 1
mv "$out" "$folder/untraced"
ok "refused: a run without one" refused 2 'it has no trace.bin; run it again with ./turtles run --trace' "$folder/untraced"
ok "refused: no such run" refused 2 'nonesuch: no such run' "$folder/nonesuch"
ok "refused: no run" refused 2 'which run'
ok "refused: an exit beyond the last" refused 2 'exit 100000: L2 has [0-9]* exits' "$folder/first" --exit 100000
ok "refused: exit 0" refused 2 'takes the number of an exit of L2, from 1, not "0"' "$folder/first" --exit 0
ok "refused: an unknown format" refused 2 'no format is called "svg"; there are: tree' "$folder/first" --format svg
plan $number
