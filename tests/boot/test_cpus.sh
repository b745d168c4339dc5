#!/bin/sh
# More than one CPU: L0 takes over all of them before L1 starts, L1 brings them up by SIPI, and an L1 that uses only
# one of them sees no difference.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

# same_console ARGUMENT...: L1 prints the same on the CPUs themselves and on L0, and ends well on both.
same_console() {
	run --bare "$@"
	status_is 0 || return
	cp "$out/console.txt" "$folder/bare.txt"
	run "$@"
	status_is 0 && diff "$folder/bare.txt" "$out/console.txt"
}

# One exit for each CPU that was started.
sipis_are() {
	cut -f 1-4 "$out/exits.tsv" | grep -qx "l1${tab}startup_ipi${tab}l0${tab}$1" || {
		cat "$out/exits.tsv"
		return 1
	}
}

plan 8
for cpus in 2 4; do
	ok "$cpus CPUs started by L1's SIPI" same_console --l1 "$images/smp.elf" --append "cpus=$cpus" --cpus "$cpus"
	ok "the same, by the hardware" same_console --l1 "$images/smp.elf" --append "cpus=$cpus" --cpus "$cpus" \
		--set icr=pass
	ok "one exit for each of the $cpus CPUs but the first" sipis_are $((cpus - 1))
done
ok "minivisor and its guests on one of two CPUs" same_console --l2 cpuid,memory,exception --count 50 --cpus 2

run --l1 "$images/smp.elf" --append cpus=2 --cpus 1
ok "a CPU that is not there does not answer" grep -q "not all of the other CPUs came up" "$out/console.txt"
