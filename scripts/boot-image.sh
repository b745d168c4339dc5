# shellcheck shell=sh
# shellcheck disable=SC2154 # variables come from the script that sources this
# What a machine boots from: a disk of ours, which starts fastest, or an ISO with GRUB. Sourced by the machine kinds, with
# $work the folder for it.

# disk_image KERNEL CMDLINE [MODULE STRING]...: $work/disk.img, whose boot sector loads them all through the BIOS.
disk_image() {
	"$BUILD/mkdisk" "$work/disk.img" "$BUILD/disk.bin" "$@" 2> "$work/mkdisk.txt" ||
		die "$STATUS_FAILURE" "$(sed 's/^mkdisk: //' "$work/mkdisk.txt")"
}

# grub_quote STRING: each word of it quoted for GRUB's shell.
grub_quote() {
	printf '%s\n' "$1" | sed "s/'/'\\\\''/g; s/[^ ][^ ]*/'&'/g"
}

# What GRUB cannot load must not be left out in silence: it says so on L1's console and ends the machine.
grub_functions() {
	printf 'function give_up {\n\tinsmod serial\n\tinsmod iorw\n\tserial --unit=0 --speed=115200\n'
	# shellcheck disable=SC2016 # $1 is GRUB's
	printf '\tterminal_output serial\n\techo "GRUB: no room for $1; give the machine more memory"\n'
	for byte in 0x53 0x68 0x75 0x74 0x64 0x6f 0x77 0x6e; do # "Shutdown"
		printf '\toutb 0x8900 %s\n' $byte
	done
	printf '}\n'
}

# grub_load COMMAND FILE ARGUMENTS NAME
grub_load() {
	printf 'if %s %s %s; then true; else give_up "%s"; fi\n' "$1" "$2" "$3" "$4"
}

# grub_image KERNEL CMDLINE [MODULE STRING]...: $work/boot.iso
grub_image() {
	command -v grub-mkrescue > /dev/null ||
		die "$STATUS_FAILURE" "the images do not fit a ROM, and there is no grub-mkrescue: see ./turtles doctor"
	mkdir -p "$work/iso/boot/grub"
	cp "$1" "$work/iso/boot/kernel"
	{
		grub_functions
		printf 'set timeout=0\n'
		grub_load multiboot /boot/kernel "$(grub_quote "$2")" "${1##*/}"
		shift 2
		while [ $# -gt 0 ]; do
			cp "$1" "$work/iso/boot/module$#"
			grub_load module "/boot/module$#" "$(grub_quote "$2")" "${1##*/}"
			shift 2
		done
		printf 'boot\n'
	} > "$work/iso/boot/grub/grub.cfg"
	grub-mkrescue -o "$work/boot.iso" "$work/iso" > "$work/grub.txt" 2>&1 ||
		die "$STATUS_FAILURE" "grub-mkrescue failed: $(tail -n 1 "$work/grub.txt")"
}
