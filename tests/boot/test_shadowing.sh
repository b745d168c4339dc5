#!/bin/sh
# VMCS shadowing under the switches: the image of the conformance suite prints on L0 what it prints with the defaults,
# when L0 keeps but one VMCS at a time beside the shadow, when it keeps nothing from one entry to the next, and when
# L1's memory is moved. That the defaults are right is for test_conform.sh.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

shadowing() {
	run --l1 "$BUILD/conform/shadowing.elf" --timeout 120 "$@"
}

same_console() {
	status_is 0 && diff "$folder/default.txt" "$out/console.txt"
}

plan 6
shadowing
cp "$out/console.txt" "$folder/default.txt"
ok "the cases of the conformance suite, all as they must be" status_is 0
shadowing --set vmcs02_slots=1 --set bitmap_cache=off --set vpid02=off
ok "one VMCS at a time, bitmaps merged at every entry" same_console
shadowing --set dirty_tracking=off --set lazy_guest_state=off
ok "nothing left to a later entry or exit" same_console
shadowing --set l1_offset=16
ok "L1's memory moved" same_console
run --bare --l1 "$BUILD/features/shadowing.elf"
cp "$out/console.txt" "$folder/default.txt"
ok "the feature image on the bare CPU" status_is 0
run --l1 "$BUILD/turtles.elf" --append tick=instruction --memory 256 --module "$BUILD/features/shadowing.elf"
ok "two L0s: the upper has the lower do for its L1 what the CPU does" same_console
