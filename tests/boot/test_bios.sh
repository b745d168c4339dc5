#!/bin/sh
# L1 that the machine's BIOS boots, from a disk and from a CD: it gets there, INT 15h tells of all memory but L0's, and
# what cannot be booted is refused.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

KIB=1024
MIB=1048576
# Two pages: the BIOS's stub takes one or, with what is left of its last page, two.
STUB_MOST=8192

# refuse PATTERN ARGUMENT...
refuse() {
	refuse_pattern=$1
	shift
	run "$@"
	ok "refused: run $*" refused "$refuse_pattern"
}

refused() {
	status_is 2 && one_error "$1" && [ ! -s "$folder/stdout" ] && [ ! -e "$out" ]
}

# ranges FILE: type, start, end in decimal, of the map that bios.S prints.
ranges() {
	sed -n 's/^range \(.*\) \(.*\) \(.*\)$/\1 \2 \3/p' "$1" | while read -r type start length; do
		echo $((0x$type)) $((0x$start)) $((0x$start + 0x$length))
	done
}

ram_bytes() {
	ranges "$1" | awk '$1 == 1 { sum += $3 - $2 } END { printf "%.0f\n", sum }'
}

# home: where L0 lies, as two numbers.
home() {
	sed -n 's/^home \([0-9a-f]*\) to \([0-9a-f]*\) .*/0x\1 0x\2/p' "$out/l0.txt" | tr -d '\r'
}

none_of_l0() {
	home=$(home)
	ranges "$out/console.txt" | awk -v home=$((${home% *})) -v home_end=$((${home#* })) '
	$1 == 1 && $3 > home && $2 < home_end { print "RAM in the home: " $0; bad = 1 }
	$1 == 2 && $2 == home && $3 == home_end { found = 1 }
	END { exit bad || !found }'
}

none_twice() {
	ranges "$out/console.txt" | sort -n -k 2 | awk '
	$2 < end { print "overlap at " $2; bad = 1 }
	{ end = $3 }
	END { exit bad || !NR }'
}

# Missing are the home and, below 1 MiB, the stub's pages, which the map calls reserved.
all_but_home_and_stub() {
	home=$(home)
	missing=$(($(ram_bytes "$folder/bare.txt") - $(ram_bytes "$out/console.txt") - (${home#* } - ${home% *})))
	conventional=$(ranges "$out/console.txt" | awk '$1 == 1 && $2 == 0 { print $3 }')
	echo "$missing bytes are missing, from $conventional on"
	[ $missing -gt 0 ] && [ $missing -le $STUB_MOST ] &&
		ranges "$out/console.txt" | grep -qx "2 $conventional $((conventional + missing))"
}

# answer FILE LINE REGISTER: the 1st to 3rd of the register lines; carry, ax, bx, cx, dx are 1 to 5.
answer() {
	sed -n 's/^carry, ax, bx, cx, dx //p' "$1" | sed -n "$2p" | cut -d ' ' -f "$3" | sed 's/^/0x/'
}

# What INT 15h, E801h and 88h, and INT 12h say of it is what the map says.
sizes_agree() {
	end=$(ranges "$1" | awk -v mib=$MIB '$1 == 1 && $2 == mib { print $3 }')
	conventional=$(ranges "$1" | awk '$1 == 1 && $2 == 0 { print $3 }')
	cat "$1"
	[ $(($(answer "$1" 1 2))) -eq $((15 * KIB)) ] &&
		[ $(($(answer "$1" 1 3) * 64 * KIB)) -eq $((end - 16 * MIB)) ] &&
		[ $(($(answer "$1" 2 2) * KIB)) -eq $((end - MIB)) ] &&
		[ $(($(answer "$1" 3 2) * KIB)) -eq "$conventional" ] &&
		[ "$(answer "$1" 1 2) $(answer "$1" 1 3)" = "$(answer "$1" 1 4) $(answer "$1" 1 5)" ]
}

# All but what tells of the memory's sizes.
same_otherwise() {
	for file in "$folder/bare.txt" "$out/console.txt"; do
		sed -e '/^range/d' -e 's/^\(carry, ax, bx, cx, dx 00000000\) .*/\1/' "$file" > "$file.rest"
	done
	diff "$folder/bare.txt.rest" "$out/console.txt.rest" && rm "$out/console.txt.rest"
}

# boots NAME ARGUMENT...: on L0 as on the bare CPU.
boots() {
	boots_name=$1
	shift
	run --bare --l1 bios "$@" --timeout 30
	ok "$boots_name: on the bare CPU" status_is 0
	cp "$out/console.txt" "$folder/bare.txt"
	run --l1 bios "$@" --timeout 60
	ok "$boots_name: on L0" status_is 0
	ok "$boots_name: run.tsv says how it was booted" fact_is boot bios
	ok "$boots_name: none of its memory is L0's" none_of_l0
	ok "$boots_name: none of it is there twice" none_twice
	ok "$boots_name: none but L0's is missing" all_but_home_and_stub
	ok "$boots_name: the map and the other answers agree" sizes_agree "$out/console.txt"
	ok "$boots_name: all else is as on the bare CPU" same_otherwise
	ok "$boots_name: nothing is left of it" nothing_left
}

# iso NAME BOOT-IMAGE: a CD that boots it without emulation.
iso() {
	mkdir -p "$folder/cd"
	cp "$2" "$folder/cd/boot.bin"
	xorriso -as mkisofs -quiet -b boot.bin -no-emul-boot -boot-load-size 4 -o "$1" "$folder/cd" > "$folder/xorriso.txt" 2>&1
}

# What GRUB, booted from a CD, gathers from the BIOS about memory: all that it calls RAM must be.
grub_cd() {
	mkdir -p "$folder/grub/boot/grub"
	cp "$images/map.elf" "$folder/grub/boot/map.elf"
	printf 'set timeout=0\nmultiboot /boot/map.elf\nboot\n' > "$folder/grub/boot/grub/grub.cfg"
	grub-mkrescue -o "$folder/grub.iso" "$folder/grub" > "$folder/grub.txt" 2>&1
}

has_read_only() {
	cmp "$images/bios.bin" "$folder/disk.img"
}

plan 39
cp "$images/bios.bin" "$folder/disk.img"
boots "a disk" --disk "$folder/disk.img" --memory 64
cat "$images/bios.bin" /dev/zero | head -c $((2 * 16 * 63 * 512)) > "$folder/disk2.img"
boots "a disk of two whole cylinders" --disk "$folder/disk2.img" --memory 40
ok "the image is as before" has_read_only
iso "$folder/cd.iso" "$images/bios.bin"
boots "a CD" --cdrom "$folder/cd.iso" --memory 32
grub_cd
run --l1 bios --cdrom "$folder/grub.iso" --memory 64 --timeout 60
ok "an image by GRUB from a CD: all that is called RAM is RAM" status_is 0
run --l1 bios --disk "$folder/disk.img" --set l1_offset=16
ok "no BIOS where L1's memory is moved" one_error 'l1=disk and l1=cdrom need a machine whose BIOS has run, and l1_offset=0'

head -c 1000 /dev/zero > "$folder/odd"
head -c 1024 /dev/zero > "$folder/blank"
refuse '--l1 bios needs --disk FILE or --cdrom FILE' --l1 bios
refuse 'from --disk or from --cdrom, not from both' --l1 bios --disk "$folder/disk.img" --cdrom "$folder/cd.iso"
refuse '--disk and --cdrom are for --l1 bios' --disk "$folder/disk.img"
refuse '--disk nonesuch: no such file' --l1 bios --disk nonesuch
refuse 'odd: not a disk image: its size is no multiple of 512' --l1 bios --disk "$folder/odd"
refuse 'blank: no boot sector' --l1 bios --disk "$folder/blank"
refuse 'blank: no CD image that a BIOS can boot' --l1 bios --cdrom "$folder/blank"
refuse '--l1 bios takes no --l2, --module or --append' --l1 bios --disk "$folder/disk.img" --append words
refuse '--set l1=disk: where L1 comes from is what --l1 tells' --set l1=disk
