#!/bin/sh
# Guests that hang: the clock ends them, with a line that says where they stood; so do Ctrl-C and TERM, without trace.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

stood() {
	status_is 124 && one_error "timeout after 2 s: cpu 0 at rip 0x[0-9a-f]* in $1"
}

# until_hanging: returns when the guest says that it hangs, however long the machine takes to get there.
until_hanging() {
	tries=0
	while ! grep -qs 'now hanging' "$out/console.txt" && [ $tries -lt 600 ]; do
		sleep 0.1
		tries=$((tries + 1))
	done
}

# interrupted SIGNAL: sends it to a run and, as a terminal does, to all of the run's own group, once the guest hangs: an
# alarm makes timeout believe that time is over.
interrupted() {
	rm -rf "$out"
	status=0
	{
		until_hanging
		kill -ALRM "$(cat "$folder/pid")"
	} &
	# shellcheck disable=SC2016 # for that shell
	sh -c 'echo $$ > "$0" && exec timeout "$@"' "$folder/pid" -s "$1" -k 10 120 \
		"$root/turtles" run --bare --l1 "$images/hang.elf" --timeout 100 --out "$out" \
		> "$folder/stdout" 2> "$folder/stderr" || status=$?
	# timeout's own status; that of a killing with -k is 137
	status_is 124 && nothing_left && grep -q 'now hanging' "$out/console.txt"
}

# On its own a signal to the script alone is enough, and its status tells which.
terminated() {
	rm -rf "$out"
	"$root/turtles" run --bare --l1 "$images/hang.elf" --timeout 100 --out "$out" > "$folder/stdout" 2> "$folder/stderr" &
	run_script=$!
	until_hanging
	kill -TERM $run_script
	status=0
	wait $run_script || status=$?
	status_is 143 && nothing_left
}

two_cpus() {
	status_is 124 && grep -q 'cpu 0 at rip' "$folder/stderr" && grep -q 'cpu 1 at rip' "$folder/stderr"
}

plan 15

run --bare --l1 "$images/hang.elf" --timeout 2
ok "a hanging L1 on the bare CPU, with the symbol it hangs at" stood 'L1 (hanging+0 in hang.elf)'
ok "its console is there" grep -qx 'now hanging' "$out/console.txt"
ok "run.tsv says timeout" fact_is verdict timeout
ok "nothing is left of it" nothing_left

run --bare --l1 "$images/hang.elf" --timeout 2 --cpus 2
ok "each CPU is told of" two_cpus

run --l1 "$images/hang.elf" --timeout 2
ok "a hanging L1 on L0" stood 'L1 (hanging+0 in hang.elf)'
ok "nothing is left of it" nothing_left

run --bare --l2 hang --timeout 2
ok "a hanging L2 on the bare CPU" stood L2
run --l2 hang --timeout 2
left='; L1 left off at 0x[0-9a-f]* (vmx_enter+0x[0-9a-f]* in minivisor.elf)'
ok "a hanging L2 of an L1 on L0, with the place where that entered it" stood "L2.*$left"
ok "nothing is left of it" nothing_left

ok "Ctrl-C leaves nothing running" interrupted INT
ok "TERM to all leaves nothing running" interrupted TERM
ok "a hang-up leaves nothing running" interrupted HUP
ok "TERM to the command alone leaves nothing running" terminated

run --bare --l1 "$images/hello.elf" --timeout 10
ok "a time limit that is not reached changes nothing" status_is 0
