#!/bin/sh
# What L0 does in the CPU's place for L1 itself, beside VMX: images that print all they see print the same on the CPU.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

same_console() {
	status_is 0 && diff "$folder/bare.txt" "$out/console.txt"
}

# same IMAGE CPU [SWITCHES]
same() {
	same_image=$1 same_cpu=$2
	shift 2
	run --bare --cpu "$same_cpu" --l1 "$images/$same_image.elf"
	ok "$same_image on the bare $same_cpu" status_is 0
	cp "$out/console.txt" "$folder/bare.txt"
	run --cpu "$same_cpu" --l1 "$images/$same_image.elf" "$@"
	ok "$same_image on $same_cpu, L0 with ${*:-its defaults}: the same" same_console
}

plan 14
same task corei7_skylake_x
same task corei7_skylake_x --set l1_offset=16
same task corei7_skylake_x --set vpid02=off
same task corei7_icelake_u
same io corei7_skylake_x
same io corei7_skylake_x --set l1_offset=16
same io corei7_sandy_bridge_2600k
