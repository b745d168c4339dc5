#!/bin/sh
# L0 on another hypervisor's VMX: Debian's Linux with KVM has the emulated CPU, kvmrun starts L0's image there, and minivisor
# with its payloads on it prints what it prints on the bare CPU. QEMU and libvirt in kvmrun's place: make check-machines.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/machines/lib_machines.sh
. "$(dirname "$0")/../machines/lib_machines.sh"

plan 4
on_kvm kvmrun
ok "kvmrun: L0, minivisor and every payload" status_is 0
ok "kvmrun: they print what they print on the bare CPU" cmp "$folder/bare.txt" "$folder/guest.txt"
ok "kvmrun: there are lines to compare" [ "$(grep -c 'ended: ' "$folder/guest.txt")" -gt 10 ]
