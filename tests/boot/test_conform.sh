#!/bin/sh
# Images that print what they see of VMX print the same on L0 as on the bare CPU, whatever L0's switches.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

SLOW="--set ept02_large_pages=off --set ept02_cache=off --set dirty_tracking=off --set lazy_guest_state=off"

same_console() {
	status_is 0 && diff "$folder/bare.txt" "$out/console.txt"
}

# conform IMAGE CPU: four tests.
conform() {
	run --bare --cpu "$2" --l1 "$BUILD/conform/$1.elf"
	ok "$1 on the bare $2" status_is 0
	cp "$out/console.txt" "$folder/bare.txt"
	run --cpu "$2" --l1 "$BUILD/conform/$1.elf"
	ok "$1 on $2: L0 shows the same" same_console
	run --cpu "$2" --l1 "$BUILD/conform/$1.elf" --set l1_offset=16
	ok "$1 on $2: moved within memory, too" same_console
	# shellcheck disable=SC2086 # several words
	run --cpu "$2" --l1 "$BUILD/conform/$1.elf" $SLOW
	ok "$1 on $2: with the slow switches, too" same_console
}

plan 12
for cpu in corei7_skylake_x broadwell_ult corei7_icelake_u; do
	conform ept_extras $cpu
done
