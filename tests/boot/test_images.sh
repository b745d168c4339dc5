#!/bin/sh
# What ends a run how: verdicts, broken images, and what the loader tells an image.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

console_is() {
	printf '%b' "$1" | cmp - "$out/console.txt" && head -c "$(wc -c < "$out/console.txt")" "$folder/stdout" | cmp - "$out/console.txt"
}

# broken NAME PATTERN: the file of that name cannot be booted, says one line.
broken() {
	run --bare --l1 "$folder/$1"
	ok "$1 is refused" refused "$2"
}

refused() {
	status_is 1 && one_error "$1" && nothing_left
}

has_header_only() {
	[ "$(wc -l < "$out/exits.tsv")" -eq 1 ] && grep -q "^from${tab}reason${tab}owner${tab}count" "$out/exits.tsv"
}

plan 35

run --bare --l1 "$images/hello.elf"
ok "an image that succeeds" status_is 0
ok "its console is byte-exact, in the file and on standard output" \
	console_is 'hello from a multiboot image\nturtles-verdict: success\n'
ok "run.tsv has its verdict" fact_is verdict success
ok "exits.tsv has a header alone" has_header_only
ok "nothing is left of it" nothing_left

run --bare --l1 "$images/fail.elf"
ok "an image that fails" status_is 1
ok "run.tsv says so" fact_is verdict failure
ok "one line says so" one_error 'the guest reported failure'

run --bare --l1 "$images/silent.elf"
ok "an end without a verdict line is no success" status_is 1
ok "one line says so" one_error 'without a verdict line'

run --bare --l1 "$images/triple_fault.elf"
ok "a triple fault is no success" status_is 1
ok "one line says where" one_error 'the emulator stopped at tick [0-9]*: .*exception'

run --bare --l1 "$images/kludge.bin"
ok "a raw image is placed by its header, its .bss cleared" status_is 0

: > "$folder/empty"
echo 'this is no image' > "$folder/text"
head -c 100000 /dev/zero > "$folder/zeros"
size=$(wc -c < "$images/info.elf")
head -c $((size / 4)) "$images/info.elf" > "$folder/truncated.elf"
head -c 60 "$images/info.elf" > "$folder/header.elf"
broken empty 'empty: no multiboot 1 header'
broken text 'text: no multiboot 1 header'
broken zeros 'zeros: no multiboot 1 header'
broken truncated.elf 'truncated.elf: .*\(cut short\|no multiboot\)'
broken header.elf 'header.elf: no multiboot 1 header'

# The same image with small modules from the ROM, with a big one from a disk and by GRUB: it checks what it is told.
printf 'a module of %s' 'odd size!' > "$folder/odd"
head -c 3000000 /dev/zero | tr '\0' x > "$folder/big"
run --bare --l1 "$images/info.elf" --append 'some words' --append more --module "$folder/odd with words" --memory 32
ok "multiboot information from the ROM" status_is 0
ok "it went through the ROM" fact_is boot rom
ok "memory, command lines and modules are as given" grep -qF 'command line "info some words more"' "$out/console.txt"
cp "$out/console.txt" "$folder/rom.txt"
ok "a module's command line is its name and words" grep -qF 'module "odd with words" size 00000015' "$folder/rom.txt"
run --bare --l1 "$images/info.elf" --append 'some words more' --module "$folder/odd with words" \
	--module "$folder/big" --memory 32
ok "what does not fit the ROM goes onto a disk" status_is 0
ok "and is told so" fact_is boot disk

grep -v -e '^upper' -e '^turtles' "$folder/rom.txt" > "$folder/rom-common.txt"
common() {
	grep -v -e '^upper' -e '^turtles' "$out/console.txt" | head -n "$(wc -l < "$folder/rom-common.txt")" |
		cmp - "$folder/rom-common.txt"
}
ok "the disk's loader and the ROM tell an image the same" common

printf 'a second module' > "$folder/second"
head -c 1600000 /dev/zero > "$folder/most"
run --bare --l1 "$images/info.elf" --module "$folder/most" --module "$folder/second" --memory 4
ok "modules that just fit the memory" status_is 0
run --bare --l1 "$images/kludge.bin" --module "$folder/most" --module "$folder/second" --memory 4 --cpus 2
ok "a second CPU changes nothing" status_is 0
head -c 1900000 /dev/zero > "$folder/most"
run --bare --l1 "$images/kludge.bin" --module "$folder/most" --memory 4
ok "an image with a module that just fits" status_is 0
head -c 2089000 /dev/zero > "$folder/most"
run --bare --l1 "$images/kludge.bin" --module "$folder/most" --memory 4
ok "a few bytes more do not" status_is 1
ok "the loader says so" grep -qx 'rom: the image and its modules need more memory than the machine has' "$out/console.txt"
run --l1 "$images/info.elf" --append 'some words' --module "$folder/big" --set vpid02=off
ok "L0 and an L1 with a big module, from a disk" status_is 0
ok "L0's switches come that way, too" fact_is switch.vpid02 off
run --bare --l1 "$images/info.elf" --append 'some words more' --module "$folder/odd with words" \
	--module "$folder/big" --memory 32 --boot grub
ok "GRUB loads it as well" status_is 0
ok "GRUB and the ROM tell an image the same" common
run --bare --l1 "$images/info.elf" --module "$folder/big" --boot rom
ok "a ROM that is asked for and too small is refused" refused 'do not fit a ROM of 2 MiB'
