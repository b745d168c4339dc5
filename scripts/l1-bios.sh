# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# L1s that the machine's BIOS boots: --l1 bios, from a disk or CD image of its own, and --l1 xen. Sourced by run.sh, which
# has parsed; what is wrong with an image is told here, for the BIOS would tell the screen, which nobody sees.

# Systems measure time by the machine's clock: so many instructions in a second of it; and they try MSRs that are not.
BOCHS_IPS=${BOCHS_IPS:-50000000}
BOCHS_IGNORE_BAD_MSRS=${BOCHS_IGNORE_BAD_MSRS:-1}

SECTOR=512
CD_SECTOR=2048
BOOT_SIGNATURE=55aa
# El Torito Bootable CD-ROM Format Specification 1.0, "Boot Record Volume": sector 17, from its second byte on.
CD_BOOT_RECORD=$((17 * CD_SECTOR + 1))
CD_BOOT_RECORD_IS='CD001?EL TORITO SPECIFICATION'

# bytes_at FILE OFFSET COUNT
bytes_at() {
	tail -c "+$(($2 + 1))" "$1" | head -c "$3"
}

is_whole() {
	[ $(($(wc -c < "$1") % $2)) -eq 0 ] && [ -s "$1" ]
}

bios_check_disk() {
	is_whole "$1" $SECTOR || die "$STATUS_USAGE" "--disk $1: not a disk image: its size is no multiple of $SECTOR bytes"
	[ "$(bytes_at "$1" $((SECTOR - 2)) 2 | od -An -tx1 | tr -d ' ')" = $BOOT_SIGNATURE ] ||
		die "$STATUS_USAGE" "--disk $1: no boot sector: its first sector does not end in 55 aa"
}

bios_check_cdrom() {
	# shellcheck disable=SC2254 # a pattern
	case $(bytes_at "$1" $CD_BOOT_RECORD 29 | tr '\001' '?') in
	"$CD_BOOT_RECORD_IS") ;;
	*) die "$STATUS_USAGE" "--cdrom $1: no CD image that a BIOS can boot: it has no El Torito boot record" ;;
	esac
}

# Sets $device, disk or cdrom, and $l1_file.
bios_check() {
	[ -z "$disk" ] || [ -z "$cdrom" ] || wrong "--l1 bios boots from --disk or from --cdrom, not from both"
	[ -n "$disk$cdrom" ] || wrong "--l1 bios needs --disk FILE or --cdrom FILE to boot from"
	[ -z "$l2$modules$append" ] || wrong "--l1 bios takes no --l2, --module or --append: what it boots has its own"
	device=cdrom
	[ -z "$disk" ] || device=disk
	l1_file=$disk$cdrom
	check_file "--$device" "$l1_file"
	"bios_check_$device" "$l1_file"
}

# Debian's Xen, from the disk that scripts/xen.sh makes with the domain that is L2.
XEN_DOMAINS="domain linux"

xen_check() {
	[ -z "$modules$append" ] || wrong "--l1 xen takes no --module and no --append: its disk has its own"
	l2=${l2:-domain}
	case " $XEN_DOMAINS " in
	*" $l2 "*) ;;
	*) wrong "no domain for Xen is called \"$l2\"; there are: $XEN_DOMAINS" ;;
	esac
	device=disk
	l1_file=$BUILD/xen/$l2.img
}

# xen_forecast: what is ahead, in instructions and time of a CPU that has nothing else to do.
xen_forecast() {
	case $l2 in
	linux) say "Xen, its dom0 and a Linux boot: 7500 million instructions, three minutes; $timeout s are the limit" ;;
	*) say "Xen, its dom0 and a domain boot: 4400 million instructions, two minutes; $timeout s are the limit" ;;
	esac
}
