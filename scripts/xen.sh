#!/bin/sh
# xen.sh domain|linux DISK: a disk with Debian's Xen, a Linux as its dom0 with Xen's own tools, and one domain that dom0
# starts: our own (l1/xen/domain.S) or a Linux. Out of Debian's packages, byte for byte but for the compression of the
# kernel.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
# shellcheck source=scripts/debian.sh
. "$root/scripts/debian.sh"

XEN=4.17
HYPERVISOR=xen-hypervisor-$XEN-amd64
KERNEL=linux-image-amd64
KERNEL_FILE='linux-image-[0-9]*[0-9]-amd64'
# The tools, and all that they are linked with or load.
TOOLS="xen-utils-$XEN libxenmisc$XEN libxencall1 libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 libxengnttab1
libxenhypfs1 libxenstore4 libxentoolcore1 libxentoollog1 libyajl2 libc6 libgcc-s1 liblzma5 libuuid1 libzstd1 zlib1g
busybox-static"
PROGRAMS="xl xenstored xen-init-dom0 xenconsoled"
LOADED_LATER="libgcc_s.so.1"	# by pthread_cancel()
MODULES="xen-privcmd xen-evtchn xen-gntdev xenfs/xenfs"
APPLETS="cat dd grep insmod mkdir mount poweroff printf sed sh sleep true"

# No limits on Xen's log, where the domain's output goes; no logical APIC IDs in x2APIC mode, for the emulated CPU leaves them
# 0. For dom0: no random addresses, no tests of every cipher and of every page's rights, no large bounce buffers.
XEN_WORDS="console=com1 dom0_mem=256M loglvl=all guest_loglvl=all/all x2apic_phys=1"
DOM0_WORDS="console=hvc0 earlyprintk=xen quiet nokaslr mitigations=off cryptomgr.notests=1 rodata=off swiotlb=2048"

# Offsets in a bzImage: Documentation/x86/boot.rst of Linux, "Details of Header Fields".
SETUP_SECTS=497
PAYLOAD_OFFSET=584
PAYLOAD_LENGTH=588
SECTOR=512
PAYLOAD_TAIL=4	# the payload's size, behind it

# field FILE OFFSET BYTES
field() {
	od -An -tu"$3" -j"$2" -N"$3" "$1" | tr -d ' '
}

# recompress BZIMAGE GZIP: the kernel in it, which Xen unpacks ten times as fast from gzip as from xz.
recompress() {
	start=$((($(field "$1" $SETUP_SECTS 1) + 1) * SECTOR + $(field "$1" $PAYLOAD_OFFSET 4)))
	length=$(($(field "$1" $PAYLOAD_LENGTH 4) - PAYLOAD_TAIL))
	tail -c "+$((start + 1))" "$1" | head -c $length | xz -dc | gzip -nc > "$2" ||
		die "$STATUS_FAILURE" "$1 is not a kernel compressed by xz"
}

# needed FILE: the libraries that it names.
needed() {
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}

# take_library NAME: and what that needs.
take_library() {
	[ ! -e "$layout/lib/$1" ] || return 0
	library=$(find "$tree" -name "$1" -not -type d | head -n 1)
	[ -n "$library" ] || die "$STATUS_FAILURE" "Debian's packages have no $1; look into $packages"
	cp -L "$library" "$layout/lib/$1"
	for library_name in $(needed "$layout/lib/$1"); do
		take_library "$library_name"
	done
}

# take_busybox FOLDER
take_busybox() {
	mkdir -p "$1/bin" "$1/dev" "$1/proc" "$1/sys"
	cp "$tree/bin/busybox" "$1/bin"
	for applet in $APPLETS; do
		ln -s busybox "$1/bin/$applet"
	done
}

take_programs() {
	for program in $PROGRAMS; do
		cp "$tree/usr/lib/xen-$XEN/bin/$program" "$layout/bin"
		for name in $(needed "$layout/bin/$program"); do
			take_library "$name"
		done
	done
	take_library $LOADED_LATER
	ln -s lib "$layout/lib64"
	take_busybox "$layout"
}

take_modules() {
	for module in $MODULES; do
		cp "$tree"/lib/modules/*/kernel/drivers/xen/"$module.ko" "$layout/lib"
	done
}

# take_domain domain|linux: what dom0 starts, as /domain.
take_domain() {
	mkdir "$layout/domain"
	cp "$root/l1/xen/$1.cfg" "$layout/domain/config"
	case $1 in
	domain) cp "$BUILD/xen/domain.elf" "$layout/domain/kernel" ;;
	linux)
		cp "$work/vmlinux.gz" "$layout/domain/kernel"
		take_busybox "$work/linux"
		cp "$root/l1/xen/init-linux" "$work/linux/init"
		chmod 755 "$work/linux/init"
		pack "$work/linux" "$layout/domain/initrd"
		;;
	esac
}

# pack FOLDER FILE: an initramfs, byte for byte the same from the same files.
pack() {
	find "$1" -exec touch -h -d @0 {} +
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort |
		"$tree/bin/busybox" cpio -o -H newc -R 0:0 --renumber-inodes --ignore-devno 2> "$work/cpio.txt") > "$2" ||
		die "$STATUS_FAILURE" "busybox could not make $2: $(cat "$work/cpio.txt")"
}

# make_disk FILE: with the loader of boot/disk, which reads it in a thirtieth of the instructions that GRUB needs.
make_disk() {
	gunzip -c "$tree/boot/xen-$XEN-amd64.gz" > "$work/xen"
	"$BUILD/mkdisk" "$1.new" "$BUILD/disk.bin" "$work/xen" "xen $XEN_WORDS" \
		"$work/vmlinux.gz" "vmlinux.gz $DOM0_WORDS" "$work/initrd" initrd 2> "$work/mkdisk.txt" ||
		die "$STATUS_FAILURE" "$(sed 's/^mkdisk: //' "$work/mkdisk.txt")"
	mv "$1.new" "$1"
}

main() {
	case ${1-},$# in
	domain,2 | linux,2) ;;
	*) die "$STATUS_USAGE" "usage: xen.sh domain|linux DISK" ;;
	esac
	for tool in dpkg-deb readelf xz; do
		command -v $tool > /dev/null || die "$STATUS_FAILURE" \
			"no $tool on this machine: it takes the packages of ./turtles doctor, and xz-utils"
	done
	# shellcheck disable=SC2086 # names
	debian_fetch $HYPERVISOR $TOOLS "$KERNEL:$KERNEL_FILE"
	# shellcheck disable=SC2086 # names
	debian_unpack "$tree" $HYPERVISOR $TOOLS "$KERNEL_FILE"
	mkdir -p "$layout/bin" "$layout/lib" "$layout/etc/xen" "$layout/run/xen" "$layout/run/lock" \
		"$layout/var/lib/xen" "$layout/var/lib/xenstored" "$layout/var/log/xen/console"
	ln -s ../run "$layout/var/run"
	ln -s ../run/lock "$layout/var/lock"
	: > "$layout/etc/xen/xl.conf"
	recompress "$(find "$tree/boot" -name 'vmlinuz-*')" "$work/vmlinux.gz"
	take_programs
	take_modules
	take_domain "$1"
	cp "$root/l1/xen/init" "$layout/init"
	chmod 755 "$layout/init"
	pack "$layout" "$work/initrd.cpio"
	gzip -n < "$work/initrd.cpio" > "$work/initrd"
	make_disk "$2"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree layout=$work/layout
main "$@"
