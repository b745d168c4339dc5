#!/bin/sh
# linux.sh kernel|l1|l2|archive FOLDER FILE: out of Debian's packages, in build/linux: the kernel with KVM's modules and
# busybox; the initramfs of the Linux that is L1; that of the Linux that is L2; an archive of a folder, for an initramfs.
# Nothing is installed, and root is not needed.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

linux=$BUILD/linux
packages=$linux/packages
KERNEL_PACKAGE="linux-image-cloud-amd64"
MODULES="arch/x86/crypto/sha256-ssse3 virt/lib/irqbypass arch/x86/kvm/kvm arch/x86/kvm/kvm-intel"
L1_APPLETS="cat echo grep insmod ls mkdir mount printf sh sleep umount"
L2_APPLETS="cat cp cut dd echo find grep gunzip gzip head ls md5sum mkdir mount rev rm sed seq sh sort tail tr true uniq"

# kernel_package: the package that KERNEL_PACKAGE stands for.
kernel_package() {
	apt-cache "$@" depends $KERNEL_PACKAGE 2> "$work/apt.txt" | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p'
}

# fetch_with APT-OPTION...: into the folder of packages.
fetch_with() {
	kernel=$(kernel_package "$@")
	[ -n "$kernel" ] || return 1
	(cd "$packages" && apt-get "$@" -q download "$kernel" busybox-static) > "$work/apt.txt" 2>&1
}

# With the machine's package lists, or with fresh ones of our own if it has none or they are too old.
fetch() {
	command -v apt-get > /dev/null || die "$STATUS_FAILURE" "no apt-get here: put Debian's packages" \
		"linux-image-VERSION-cloud-amd64 and busybox-static (.deb) into $packages, then try again"
	say "fetching Debian's kernel and busybox, once, into $packages"
	fetch_with -o APT::Sandbox::User=root && return
	set -- -o APT::Sandbox::User=root -o "Dir::State::lists=$linux/apt/lists" -o "Dir::Cache=$linux/apt"
	mkdir -p "$linux/apt/lists/partial" "$linux/apt/archives/partial"
	if ! apt-get "$@" -q update > "$work/apt.txt" 2>&1 || ! fetch_with "$@"; then
		die "$STATUS_FAILURE" "cannot fetch $KERNEL_PACKAGE and busybox-static: $(tail -n 1 "$work/apt.txt")"
	fi
}

# package NAME-PATTERN: the file of a package that was fetched; nothing if there is none.
package() {
	find "$packages" -name "$1" | sort | tail -n 1
}

unpack() {
	dpkg-deb -x "$1" "$work/tree" || die "$STATUS_FAILURE" "$1 is broken: remove it, then try again"
}

take() {
	[ -f "$1" ] || die "$STATUS_FAILURE" "Debian's packages have no ${1#"$work/tree/"}; look into $packages"
	cp "$1" "$2"
}

make_kernel() {
	mkdir -p "$packages" "$linux/modules"
	if [ -z "$(package 'linux-image-[0-9]*.deb')" ] || [ -z "$(package 'busybox-static_*.deb')" ]; then
		fetch
	fi
	unpack "$(package 'linux-image-[0-9]*.deb')"
	unpack "$(package 'busybox-static_*.deb')"
	release=$(ls "$work/tree/lib/modules")
	for module in $MODULES; do
		take "$work/tree/lib/modules/$release/kernel/$module.ko" "$linux/modules"
	done
	take "$work/tree/bin/busybox" "$linux/busybox"
	take "$work/tree/boot/vmlinuz-$release" "$linux/vmlinuz" # the last, for make goes by it
}

# lay_out APPLETS INIT PROGRAM...: what both initramfs have.
lay_out() {
	layout=$work/layout
	mkdir -p "$layout/bin" "$layout/dev" "$layout/proc" "$layout/sys" "$layout/tmp"
	for applet in $1; do
		ln -s busybox "$layout/bin/$applet"
	done
	cp "$2" "$layout/init"
	shift 2
	cp "$linux/busybox" "$@" "$layout/bin"
	chmod 755 "$layout/init" "$layout"/bin/*
}

# Byte for byte the same from the same files.
pack() {
	find "$layout" -exec touch -h -d @0 {} +
	(cd "$layout" && find . -mindepth 1 | LC_ALL=C sort |
		"$linux/busybox" cpio -o -H newc -R 0:0 --renumber-inodes --ignore-devno 2> "$work/cpio.txt") > "$1.new" ||
		die "$STATUS_FAILURE" "busybox could not make $1: $(cat "$work/cpio.txt")"
	mv "$1.new" "$1"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case ${1-} in
kernel) make_kernel ;;
l1)
	lay_out "$L1_APPLETS" "$root/l1/linux/init" "$linux/kvmrun" "$linux/machine"
	mkdir -p "$layout/lib"
	cp "$linux"/modules/*.ko "$layout/lib"
	pack "$linux/l1.cpio"
	;;
l2)
	lay_out "$L2_APPLETS" "$root/l1/linux/init-l2" "$linux/machine" "$linux/workload"
	pack "$linux/l2.cpio"
	;;
archive)
	layout=$2
	pack "$3"
	;;
*) die "$STATUS_USAGE" "linux.sh takes kernel, l1, l2 or archive, not \"${1-}\"" ;;
esac
