#!/bin/sh
# Images that print what they see of VMX print the same on L0 as on the bare CPU, whatever L0's switches.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

FEW="--set ept02_slots=1 --set vmcs02_slots=1"
slow=$(all_slow)

same_console() {
	status_is 0 && diff "$folder/bare.txt" "$out/console.txt"
}

offers_all() {
	status_is 0 && ! grep 'not offered' "$out/console.txt"
}

# bare IMAGE CPU, then feature IMAGE CPU [SWITCHES]: the transcript, and L0's against it.
bare() {
	run --bare --cpu "$2" --l1 "$BUILD/features/$1.elf"
	ok "$1 on the bare $2" status_is 0
	cp "$out/console.txt" "$folder/bare.txt"
}

feature() {
	feature_image=$1 feature_cpu=$2
	shift 2
	run --cpu "$feature_cpu" --l1 "$BUILD/features/$feature_image.elf" "$@"
	ok "$feature_image on $feature_cpu, L0 with ${*:-its defaults}: the same" same_console
}

plan 76
for image in ept_extras tsc apicv fields msr_lists string_io shadowing; do
	bare "$image" corei7_skylake_x
	ok "$image finds all that it asks for there" offers_all
	feature "$image" corei7_skylake_x
	feature "$image" corei7_skylake_x --set l1_offset=16
	# shellcheck disable=SC2086 # several words
	feature "$image" corei7_skylake_x $slow
	# shellcheck disable=SC2086 # several words
	feature "$image" corei7_skylake_x $FEW
	for cpu in broadwell_ult corei7_icelake_u; do
		bare "$image" $cpu
		feature "$image" $cpu
	done
done

# 24 entries with a list that the CPU can load; at the first VMLAUNCH of a vmcs02 L0 does it all the same.
run --l1 "$BUILD/features/msr_lists.elf"
ok "lists that the CPU can load, it loads" exits_are l2 entry_failure_msr_loading l0 1
run --l1 "$BUILD/features/msr_lists.elf" --set msr_lists=off
ok "or L0, after an entry that had to fail" exits_are l2 entry_failure_msr_loading l0 24

# The bare CPU stands still after a VMX abort; L0 says so and ends the run.
run --bare --timeout 4 --l1 "$BUILD/features/abort_store.elf"
ok "a VMX abort on the bare CPU: it stands still" status_is 124
cp "$out/console.txt" "$folder/bare.txt"
run --l1 "$BUILD/features/abort_store.elf"
ok "on L0: the run ends in failure" status_is 1
ok "L0 says why" grep -q '^VMX abort 1 of L1, by its VMCS at [0-9a-f]*: its VM-exit MSR-store list' "$out/l0.txt"
ok "L1 got as far as on the CPU" diff "$folder/bare.txt" "$out/console.txt"
