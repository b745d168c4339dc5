#!/bin/sh
# The CPU models: what works on the default works on each with EPT; the others get one clear line.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

# The console's one line of L0 that names what is missing, and no L1 behind it.
names_it() {
	cat "$out/console.txt"
	[ "$(wc -l < "$out/console.txt")" -eq 1 ] && grep -q "^L0: .*$1" "$out/console.txt"
}

models=$(awk -F '\t' '!/^#/ && $2 == "yes" { print $1 }' "$root/scripts/cpu-models.txt")
too_old="corei5_lynnfield_750 core2_penryn_t9600"
able=$(printf '%s\n' "$models" | grep -v -e lynnfield -e penryn)

plan $(($(printf '%s\n' "$able" | wc -l) + 15))
for model in $able; do
	run --cpu "$model" --l2 cpuid,memory,paging,msr,halt --count 10
	ok "$model" status_is 0
done
for model in ryzen zambezi p4_prescott_celeron_336; do
	run --cpu "$model" --l2 cpuid
	ok "$model: has no VMX, so L0 stops" status_is 1
	ok "$model: L0 says so on the console" names_it VMX
	ok "$model: and turtles at the terminal" one_error 'no VMX'
done
for model in $too_old; do
	run --cpu "$model" --l2 cpuid
	ok "$model: lacks what L0 needs" status_is 1
	ok "$model: L0 names it on the console" names_it 'which L0 needs'
	ok "$model: and turtles at the terminal" one_error 'which L0 needs'
done
