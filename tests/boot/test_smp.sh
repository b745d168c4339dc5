#!/bin/sh
# VMX on more than one CPU, which L1 brings up by INIT-SIPI-SIPI: tests/features/smp.c prints the same on L0 as on the
# bare CPUs, and INITs to CPUs in VMX operation do on L0 what the SDM says, which Bochs 2.7 does not.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

image=$BUILD/features/smp.elf

same_console() {
	status_is 0 && diff "$folder/bare.txt" "$out/console.txt"
}

# on_l0 CPUS WORDS [SWITCHES]: the transcript against that of the last bare run.
on_l0() {
	on_l0_cpus=$1 on_l0_words=$2
	shift 2
	run --l1 "$image" --cpus "$on_l0_cpus" --append "cpus=$on_l0_cpus${on_l0_words:+ }$on_l0_words" "$@"
	ok "$on_l0_cpus CPUs${on_l0_words:+, }$on_l0_words, L0 with ${*:-its defaults}: the same" same_console
}

bare() {
	run --bare --l1 "$image" --cpus "$1" --append "cpus=$1${2:+ }$2"
	ok "$1 bare CPUs${2:+, }$2" status_is 0
	cp "$out/console.txt" "$folder/bare.txt"
}

said() {
	grep -qx -e "$1" "$out/console.txt" && return
	cat "$out/console.txt"
	return 1
}

plan 20
for cpus in 2 4; do
	for words in '' x2apic; do
		bare $cpus "$words"
		on_l0 $cpus "$words"
	done
done
bare 2 ''
on_l0 2 '' --set l1_offset=16
# shellcheck disable=SC2046 # several words
on_l0 2 '' $(all_slow)
for words in 'init' 'x2apic init'; do
	run --l1 "$image" --cpus 2 --append "cpus=2 $words"
	ok "INITs to a CPU in VMX operation ($words)" status_is 0
	ok "to L2: an exit" said 'INIT to L2: exit 3, qualification 0'
	ok "after which L2 goes on" said 'and on: done'
	ok "blocked in root operation until VMXOFF" said 'INIT that was blocked until VMXOFF: CPU 1 started 1 times'
done
run --l1 "$image" --cpus 2 --append cpus=2 --set icr=pass --timeout 5
ok "with icr=pass the emulator's fault shows: the other CPU does not come up" said 'CPU 1: does not come up'
