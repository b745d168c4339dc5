#!/bin/sh
# kvmrun as a program of any Linux: one static file, and one line on what is wrong. What it does with a KVM, the tests of
# Linux as L1 show.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

kvmrun=$BUILD/linux/kvmrun
image=$BUILD/guests/cpuid.elf

# says STATUS PATTERN ARGUMENT...
says() {
	says_status=$1 says_pattern=$2
	shift 2
	status=0
	"$kvmrun" "$@" > "$folder/stdout" 2> "$folder/stderr" || status=$?
	status_is "$says_status" && one_error "$says_pattern"
}

is_static() {
	readelf -lW "$kvmrun" > "$folder/segments" && grep -q LOAD "$folder/segments" && ! grep -q INTERP "$folder/segments"
}

plan 8
ok "it needs no library" is_static
"$kvmrun" --help > "$folder/stdout"
ok "its help says what it takes" grep -q '^usage: kvmrun .*IMAGE' "$folder/stdout"
ok "without KVM it says so" says 1 "there is no $folder/none: load kvm_intel or kvm_amd" --device "$folder/none" "$image"
ok "what is not KVM is told of" says 1 "/dev/null does not speak version 12 of KVM's API" --device /dev/null "$image"
ok "no image" says 2 'no image behind' --cpus 2
ok "an unknown option" says 2 'unknown option "--frob"' --frob x "$image"
ok "no CPUs" says 2 '"0" is not a number from 1 to 16' --cpus 0 "$image"
ok "no value" says 2 'a value is missing behind "--memory"' --memory
