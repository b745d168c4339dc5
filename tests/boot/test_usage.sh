#!/bin/sh
# Wrong usage: status 2, one line that says what is wrong, nothing made.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

refuse() {
	refuse_pattern=$1
	shift
	run "$@"
	ok "refused: run $*" refused "$refuse_pattern"
}

refused() {
	status_is 2 && one_error "$1" && [ ! -s "$folder/stdout" ] && [ ! -e "$out" ]
}

plan 34
refuse 'unknown option "--frob"' --frob
refuse 'unknown option "cpuid"' cpuid
refuse '--l2 needs a value' --l2
refuse 'machine kind "vax".* there are: bochs qemu libvirt metal' --machine vax
refuse 'no CPU model is called "z80"; there are: .*corei7_skylake_x' --cpu z80
refuse '0: 1 is the least' --cpus 0
refuse 'cpus takes a number, not "two"' --cpus two
refuse '--cpus 9: 8 is the most' --cpus 9
refuse 'memory takes a number, not "64M"' --memory 64M
refuse '1: 4 is the least' --memory 1
refuse '--memory 4096: 2048 MiB is the most' --memory 4096
refuse 'count takes a number, not "-5"' --count -5
refuse 'timeout 0: 1 is the least' --timeout 0
refuse 'timeout takes a number, not "1.5"' --timeout 1.5
refuse 'no payload is called "nonesuch"; there are: ' --l2 nonesuch
refuse 'no payload is called "../../lib/print"' --l2 ../../lib/print
refuse '--l1 nonesuch: no such file' --l1 nonesuch
refuse '--module nonesuch: no such file' --module 'nonesuch with arguments'
refuse '--l2 names L2s of minivisor and linux' --l1 "$images/hello.elf" --l2 cpuid
refuse '--set takes SWITCH=VALUE, not "vpid02"' --set vpid02
refuse 'no switch is called "warp"; there are: .*vpid02' --set warp=9
refuse 'the switch vpid02 takes on|off, not "maybe"' --set vpid02=maybe
refuse 'the switch ept02_slots takes 1..64, not "65"' --set ept02_slots=65

refuse 'no domain for Xen is called "nonesuch"; there are: domain linux' --l1 xen --l2 nonesuch
refuse '--l1 xen takes no --module and no --append' --l1 xen --append words
refuse '--disk and --cdrom are for --l1 bios' --l1 xen --disk "$images/bios.bin"
refuse '--vmm is for --l1 linux' --vmm qemu
refuse '--vmm takes kvmrun, qemu or libvirt, not "xen"' --l1 linux --vmm xen
refuse '--trace is of what L0 sees' --trace --bare
refuse '--trace goes out by port 0xe9' --trace --machine metal
refuse '--set trace=on: that is what --trace is for' --set trace=on
refuse '--boot takes rom, disk or grub, not "cd"' --boot cd
refuse '--boot is not for --l1 xen' --l1 xen --boot disk

turtles frobnicate
ok "an unknown command is refused" one_error 'unknown command "frobnicate"; there are: run conform fuzz .*doctor help'
