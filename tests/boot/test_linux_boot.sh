#!/bin/sh
# L0 as a loader of Linux: what a kernel is handed by the boot protocol, and the kernels that L0 refuses.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

kernel=$images/bzimage.bin

console_is() {
	printf '%b' "$1" | cmp - "$out/console.txt"
}

refused() {
	status_is 1 && one_error "$1" && nothing_left
}

plan 8

printf 'the initrd\n\0' > "$folder/initrd"
run --l1 "$kernel" --append 'some words' --module "$folder/initrd"
ok "a kernel finds its registers, memory map, command line and initrd" \
	console_is 'some words\nthe initrd\nturtles-verdict: success\n'
run --l1 "$kernel" --append 'some words' --module "$folder/initrd" --set l1_offset=16
ok "so it does in memory that is elsewhere" console_is 'some words\nthe initrd\nturtles-verdict: success\n'
run --l1 "$kernel"
ok "no words and no initrd" console_is '\nturtles-verdict: success\n'

run --l1 "$kernel" --module "$folder/initrd" --module "$folder/initrd"
ok "two initrds are refused" refused 'takes one module, its initrd'
run --l1 "$kernel" --memory 16
ok "too little memory is refused" refused 'wants memory at 1000000 to 1100000'
run --l1 "$kernel" --append "$(head -c 65 /dev/zero | tr '\0' x)"
ok "a long command line is refused" refused 'longer than the 64 bytes'
head -c 1024 "$kernel" > "$folder/cut"
run --l1 "$folder/cut"
ok "a kernel without its body is refused" refused 'cut short'
{
	head -c 518 "$kernel"
	printf '\006\002'
	tail -c +521 "$kernel"
} > "$folder/old"
run --l1 "$folder/old"
ok "an old kernel is refused" refused 'old Linux boot protocol (2.06)'
