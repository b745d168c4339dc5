# shellcheck shell=sh
# shellcheck disable=SC2154 # variables come from the script that sources this
# Debian's QEMU and libvirt in the Linux that is L1, as they are installed here, with the libraries they want: --vmm.
# Sourced by l1-linux.sh.

VMM_APPLETS="env rm sed tail"
QEMU_SHARE="/usr/share/qemu/bios-256k.bin /usr/share/seabios/bios-256k.bin /usr/share/qemu/kvmvapic.bin"
LIBVIRT_DRIVERS=/usr/lib/x86_64-linux-gnu/libvirt/connection-driver
# libvirt asks QEMU what it can do without KVM, too.
QEMU_MODULES=/usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so
VMM_MEMORY=192
PERF_APPLETS="awk rm sed tr"

vmm_check() {
	[ -z "$l1_perf" ] || perf --version > /dev/null 2>&1 ||
		die "$STATUS_FAILURE" "no perf here to put into L1; type: $(install_command linux-perf)"
	case $vmm in
	kvmrun) return ;;
	qemu) vmm_programs=qemu-system-x86_64 ;;
	libvirt) vmm_programs="qemu-system-x86_64 libvirtd virsh" ;;
	*) wrong "--vmm takes kvmrun, qemu or libvirt, not \"$vmm\"" ;;
	esac
	case ",$l2," in
	*,linux,* | *,bench,*) wrong "--vmm $vmm boots payloads, minivisor and turtles, not linux or bench" ;;
	esac
	for vmm_program in $vmm_programs; do
		command -v "$vmm_program" > /dev/null ||
			die "$STATUS_FAILURE" "no $vmm_program here to put into L1; ./turtles doctor tells what to install"
	done
}

# vmm_take FOLDER FILE...: each at its place in that folder, with the libraries that it wants.
vmm_take() {
	vmm_to=$1
	shift
	for vmm_file in "$@"; do
		printf '%s\n' "$vmm_file"
		ldd "$vmm_file" 2> "$work/ldd.txt" | grep -o '/[^ ]*'
	done | sort -u | while IFS= read -r vmm_file; do
		mkdir -p "$vmm_to${vmm_file%/*}"
		cp -L "$vmm_file" "$vmm_to$vmm_file"
	done
}

# vmm_applets FOLDER NAME...: busybox by these names, where L1 has not got them.
vmm_applets() {
	vmm_to=$1
	shift
	mkdir -p "$vmm_to/bin"
	for vmm_applet in "$@"; do
		ln -sf busybox "$vmm_to/bin/$vmm_applet"
	done
}

# perf_files FOLDER: all that perf needs there.
perf_files() {
	# shellcheck disable=SC2086 # words
	vmm_applets "$1" $PERF_APPLETS
	cp "$root/l1/linux/perf-kvm" "$1/bin"
	vmm_take "$1" "$(command -v perf)"
}

# vmm_files FOLDER: all that the VMM needs in L1's tree.
vmm_files() {
	mkdir -p "$1/var/tmp"
	# shellcheck disable=SC2086 # words
	vmm_applets "$1" $VMM_APPLETS
	cp "$root/l1/linux/vmm-$vmm" "$1/bin"
	for vmm_program in $vmm_programs; do
		vmm_take "$1" "$(command -v "$vmm_program")"
	done
	for vmm_file in $QEMU_SHARE; do
		[ ! -e "$vmm_file" ] || vmm_take "$1" "$vmm_file"
	done
	[ "$vmm" != libvirt ] || vmm_libvirt_files "$1"
}

# libvirt as root's, without what a cloud kernel and an initramfs do not have.
vmm_libvirt_files() {
	vmm_take "$1" "$LIBVIRT_DRIVERS"/libvirt_driver_qemu.so $QEMU_MODULES
	mkdir -p "$1/etc/libvirt" "$1/run" "$1/var/lib" "$1/var/log/libvirt" "$1/var/cache" "$1/usr/share/libvirt"
	ln -s ../run "$1/var/run"
	cp -r /usr/share/libvirt/cpu_map /usr/share/libvirt/schemas "$1/usr/share/libvirt/"
	printf 'root:x:0:0:root:/:/bin/sh\nlibvirt-qemu:x:1:1::/:/bin/sh\n' > "$1/etc/passwd"
	printf 'root:x:0:\nkvm:x:1:\nlibvirt-qemu:x:2:\nlibvirt:x:3:\n' > "$1/etc/group"
	printf '%s\n' 'user = "root"' 'group = "root"' 'security_driver = "none"' 'stdio_handler = "file"' \
		'cgroup_controllers = []' 'namespaces = []' 'remember_owner = 0' > "$1/etc/libvirt/qemu.conf"
	printf '%s\n' 'auth_unix_rw = "none"' 'unix_sock_group = "root"' > "$1/etc/libvirt/libvirtd.conf"
}

# vmm_domain NAME FOLDER: the domain of the machine kind libvirt, its serial ports in files.
vmm_domain() {
	(
		# shellcheck disable=SC2034 # for what is sourced
		memory=$VMM_MEMORY cpus=$l2_cpus domain=$1 connect=qemu:///session accel=kvm cpu=host
		# shellcheck source=scripts/machine-libvirt.sh
		. "$root/scripts/machine-libvirt.sh"
		libvirt_disk disk "/l2/$1/disk.img" hda 1 > "$work/disks.xml"
		libvirt_xml
	) | awk -v folder="/l2/$1" '
	/<console/ { while ($0 !~ /<\/console>/) getline; next }
	/<serial type=/ { sub(/pty/, "file"); print; printf "      <source path=\"%s/serial%d\"/>\n", folder, n++; next }
	{ print }' > "$2/domain.xml"
}

# vmm_l2 NAME FOLDER: the disk of that L2, in the folder that is its in L1.
vmm_l2() {
	mkdir -p "$2"
	case $1 in
	minivisor | turtles)
		set -- "$1" "$2" "$BUILD/minivisor.elf" "minivisor${l2_append:+ $l2_append}"
		[ "$1" != turtles ] ||
			set -- "$1" "$2" "$BUILD/turtles.elf" "turtles tick=$(linux_tick) cpus=$l2_cpus" \
				"$BUILD/minivisor.elf" "minivisor${l2_append:+ $l2_append}"
		for l3_name in $(printf '%s' "$l3" | tr , ' '); do
			set -- "$@" "$BUILD/guests/$l3_name.bin" "$l3_name count=$count${what:+ what=$what}"
		done
		;;
	*) set -- "$1" "$2" "$BUILD/guests/$1.elf" "$1 count=$count" ;;
	esac
	vmm_name=$1 vmm_folder=$2
	shift 2
	"$BUILD/mkdisk" "$vmm_folder/disk.img" "$BUILD/disk.bin" "$@" 2> "$work/mkdisk.txt" ||
		die "$STATUS_FAILURE" "$(sed 's/^mkdisk: //' "$work/mkdisk.txt")"
	[ "$vmm" != libvirt ] || vmm_domain "$vmm_name" "$vmm_folder"
}
