#!/bin/sh
# The machine's memory, parted between L0 and L1: what L1 is told of it, and too little of it.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

MEMORY=64
MIB=1048576
MULTIBOOT_MAGIC=0x1badb002
# Multiboot flags: page-aligned modules and memory information; load addresses; something that nobody knows.
FLAGS=0x3
WITH_ADDRESSES=0x10003
UNKNOWN=0x10013

# L0 stopped before L1 ran, with one line on the console, which is on L0's log and at the terminal as well.
refused() {
	cat "$out/console.txt"
	status_is 1 && [ "$(wc -l < "$out/console.txt")" -eq 1 ] && grep -q "^L0: .*$1" "$out/console.txt" &&
		grep -qxF "$(cat "$out/console.txt")" "$out/l0.txt" && one_error "^turtles: L0: .*$1" &&
		grep -qx 'turtles-l0-verdict: failure' "$out/l0.txt" && ! grep -q '^L0 ' "$out/l0.txt"
}

refused_or_success() {
	[ "$status" -eq 0 ] || refused "$1"
}

# home: where L0 lies, as two numbers.
home() {
	sed -n 's/^home \([0-9a-f]*\) to \([0-9a-f]*\) .*/\1 \2/p' "$out/l0.txt" | tr -d '\r'
}

# The lines of map.elf's console, numbers in decimal: type, address, end, first word.
map_entries() {
	sed -n 's/^type \(.*\) address \(.*\) length \(.*\) word \(.*\)$/\1 \2 \3 \4/p' "$1" |
		while read -r type address length word; do
			echo $((0x$type)) $((0x$address)) $((0x$address + 0x$length)) $((0x$word))
		done
}

ram_bytes() {
	map_entries "$1" | awk '$1 == 1 { sum += $3 - $2 } END { printf "%.0f\n", sum }'
}

# holds FILE OFFSET CONDITION: an awk condition on each entry: type, start, end (in the host), word; L0 lies from
# home to home_end.
holds() {
	home=$(home)
	map_entries "$1" | awk -v offset="$2" -v home=$((0x${home% *})) -v home_end=$((0x${home#* })) '
	{ type = $1; start = $2 + offset; end = $3 + offset; word = $4 }
	!('"$3"') { print "not so of " $0; bad = 1 }
	END {
		if (!NR) print "no memory map"
		exit bad || !NR
	}'
}

none_of_l0() {
	holds "$out/console.txt" "$1" 'type != 1 || end <= home || start >= home_end'
}

none_twice() {
	map_entries "$out/console.txt" | sort -n -k 2 | awk '
	$2 < end { print "overlap at " $2; bad = 1 }
	{ end = $3 }
	END { exit bad }'
}

l0_unreadable() {
	holds "$out/console.txt" 0 'start != home || (type == 2 && end == home_end && word == 4294967295)' &&
		grep -q "^type 00000002 address 0*$(home | cut -d ' ' -f 1) " "$out/console.txt"
}

all_but_home() {
	home=$(home)
	missing=$(($(ram_bytes "$folder/bare.txt") - $(ram_bytes "$out/console.txt")))
	[ $missing -eq $((0x${home#* } - 0x${home% *})) ] && return
	echo "$missing bytes are missing"
	return 1
}

# memory_map NAME ARGUMENT...: of L1 on L0, against the bare machine's.
memory_map() {
	map_name=$1
	shift
	run --bare --l1 "$images/map.elf" "$@"
	cp "$out/console.txt" "$folder/bare.txt"
	run --l1 "$images/map.elf" "$@"
	ok "$map_name: all of L1's memory is there" status_is 0
	ok "$map_name: none of it is L0's" none_of_l0 0
	ok "$map_name: none of it is there twice" none_twice
	ok "$map_name: none but L0's is missing" all_but_home
	ok "$map_name: L0's home reads as ones, and a write to it is lost" l0_unreadable
}

# told ARGUMENT...: what an image prints of its command line and modules, how much memory there is apart.
told() {
	run --l1 "$images/info.elf" --append 'some  words=more' --memory $MEMORY "$@"
	grep -v '^upper ' "$out/console.txt"
}

# told_as_bare NAME BOOT ARGUMENT...
told_as_bare() {
	told_name=$1
	boot=$2
	shift 2
	told "$@" > "$folder/told.txt"
	ok "$told_name: modules and command line as given" same_told
	ok "$told_name: by way of $boot" fact_is boot "$boot"
}

same_told() {
	status_is 0 && diff "$folder/bare.txt" "$folder/told.txt"
}

# words NUMBER...: as 32-bit numbers.
words() {
	for word in "$@"; do
		printf '%b' "$(printf '\\0%03o\\0%03o\\0%03o\\0%03o' $((word & 255)) \
			$((word >> 8 & 255)) $((word >> 16 & 255)) $((word >> 24 & 255)))"
	done
}

# header FLAGS [HEADER LOAD LOAD_END BSS_END ENTRY]: an image that is but that.
header() {
	flags=$1
	shift
	words $MULTIBOOT_MAGIC "$flags" $((-(MULTIBOOT_MAGIC + flags))) "$@"
}

# bad_image NAME PATTERN: the image in $folder/image as L1.
bad_image() {
	run --l1 "$folder/image" --memory $MEMORY --timeout 20
	ok "an L1 $1" refused "$2"
}

# bad_address NAME LOAD BSS_END
bad_address() {
	header $WITH_ADDRESSES "$2" "$2" 0 "$3" "$2" > "$folder/image"
	bad_image "$1" "L1's image wants memory at $(printf '%x to %x' "$2" "$3"), but L1 has none free there"
}

: > "$folder/empty"
printf 'a module of odd size' > "$folder/odd"
head -c 3145728 /dev/zero | tr '\0' x > "$folder/big"
head -c 10000000 /dev/zero > "$folder/most"
head -c 12000000 /dev/zero > "$folder/huge"

# What L1 is told of its memory.
for memory in 16 $MEMORY 300; do
	memory_map "$memory MiB" --memory "$memory"
done
memory_map "$MEMORY MiB, by GRUB" --memory $MEMORY --module "$folder/big"
for offset in 3 8; do
	run --l1 "$images/map.elf" --memory $MEMORY --set l1_offset=$offset
	ok "l1_offset=$offset: all of L1's memory is there" status_is 0
	ok "l1_offset=$offset: none of it is L0's" none_of_l0 $((offset * MIB))
	ok "l1_offset=$offset: none of it is there twice" none_twice
done

# What L1 is told of its modules and command line.
set -- --module "$folder/odd with words" --module "$folder/empty" --module "$folder/odd"
told --bare "$@" > "$folder/bare.txt"
ok "small modules on the bare CPU" status_is 0
told_as_bare "small modules" rom "$@"
told_as_bare "small modules, l1_offset=3" rom "$@" --set l1_offset=3
told_as_bare "small modules, small pages" rom "$@" --set ept01_large_pages=off
set -- --module "$folder/odd with words" --module "$folder/big words" --module "$folder/odd"
told --bare "$@" > "$folder/bare.txt"
ok "a big module on the bare CPU" status_is 0
told_as_bare "a big module" disk "$@"
told_as_bare "a big module, l1_offset=8" disk "$@" --set l1_offset=8
told --bare --boot grub "$@" > "$folder/bare.txt"
told_as_bare "a big module, by GRUB" grub "$@" --boot grub

# Images that cannot be there.
run --l1 "$images/map.elf" --memory $MEMORY
l0_home=$(home)
bad_address "in L0's home" $((0x${l0_home% *})) $((0x${l0_home% *} + 32))
bad_address "that reaches into L0's home" 0x100000 $((0x${l0_home% *} + 1))
bad_address "beyond all memory" 0x80000000 0x80001000
bad_address "that is too large for any machine" 0x100000 0xf0000000
bad_address "in video memory" 0xa0000 0xa0020
bad_address "that reaches into video memory" 0x9f000 0xa0001
header $WITH_ADDRESSES 0x100000 0x100020 0 0x100040 0x100000 > "$folder/image"
bad_image "with its header outside of what it loads" "addresses contradict each other"
header $WITH_ADDRESSES 0x100000 0x100000 0x100020 0x100010 0x100000 > "$folder/image"
bad_image "that ends before its own end" "addresses contradict each other"
header $WITH_ADDRESSES 0x100000 0x100000 0x100021 0 0x100000 > "$folder/image"
bad_image "that is shorter than it says" "L1's image is cut short"
header $UNKNOWN 0x100000 0x100000 0 0 0x100000 > "$folder/image"
bad_image "that asks for what nobody knows" "asks for multiboot features that L0 does not have (flags 10013)"
header $FLAGS 0 0 0 0 0 > "$folder/image"
bad_image "that does not say where it goes" "neither ELF nor has it load addresses"
{
	head -c 8192 /dev/zero
	header $WITH_ADDRESSES 0x102000 0x100000 0 0 0x100000
} > "$folder/image"
bad_image "with a header too far behind" "is not a multiboot 1 image"
: > "$folder/image"
bad_image "without a byte" "L1's image is empty"

# Too little memory.
for memory in 4 5 6 7 8 9; do
	run --l1 "$images/kludge.bin" --memory $memory --timeout 20
	ok "$memory MiB: enough, or a line that says what is not" refused_or_success 'give the machine more memory'
done
ok "the most of these is enough" status_is 0
run --l1 "$images/hello.elf" --memory 4
ok "4 MiB are too little for L0" refused 'not enough memory: L0 needs [0-9]* MiB'
run --l1 "$images/hello.elf" --memory 9 --module "$folder/big"
ok "9 MiB with a module are too little for L0, from a disk" refused 'not enough memory: L0 needs [0-9]* MiB'
run --l1 "$images/hello.elf" --memory 16 --module "$folder/most"
ok "a module that leaves L0 no room" refused 'give the machine more memory'
run --l1 "$images/hello.elf" --memory 12 --module "$folder/huge"
ok "a module that the loader has no room for is not left out" status_is 1
ok "and the loader says so" grep -q "^disk: the image and its modules need more memory" "$out/console.txt"
ok "and its verdict arrives" fact_is verdict failure
run --l1 "$images/hello.elf" --memory 16 --module "$folder/huge" --boot grub
ok "nor does GRUB leave it out" status_is 1
ok "and it says so" grep -q "GRUB: no room for huge" "$out/console.txt"
run --l1 "$images/hello.elf" --memory $MEMORY --module "$folder/huge" --set l1_offset=50
ok "a module larger than the memory that l1_offset leaves" refused 'do not fit its memory'
run --l1 "$images/hello.elf" --memory $MEMORY --set l1_offset=1024
ok "l1_offset beyond the machine's memory" refused \
	'l1_offset=1024 leaves L1 no memory; this machine has [0-9]* MiB'
run --l1 "$images/kludge.bin" --memory $MEMORY --set l1_offset=58
ok "l1_offset that leaves less than L1's image" refused "L1's image wants memory at 100000 to"
run --l2 cpuid --memory 7 --count 5
ok "too little memory for L1's guests is told by L1" \
	grep -q 'minivisor: out of memory: .*give the machine more' "$out/console.txt"
plan $number
