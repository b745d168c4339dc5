#!/bin/sh
# KVM's own options in the Linux that is L1: whichever way it runs its guests, they say what they say on the bare CPU.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"
# shellcheck source=tests/boot/lib_linux.sh
. "$(dirname "$0")/../boot/lib_linux.sh"

# with_option OPTION: payloads under it, the transcript but for what L1 says of the option.
with_option() {
	linux --l2 "$l2" --count 50 --append "$1"
	status_is 0 && transcript | grep -v "^L1: kvm_intel\." > "$folder/transcript" && diff "$folder/bare.txt" "$folder/transcript"
}

# off OPTION: KVM obeyed.
off() {
	grep -q "^L1: kvm_intel.$1=N" "$out/console.txt"
}

run_into() {
	linux --l2 "$l2" --count 50
	status_is 0 && cp "$out/exits.tsv" "$folder/$1.tsv"
}

plan 20
l2=cpuid,memory,exception,msr
linux --bare --l2 $l2 --count 50
ok "on the bare CPU" status_is 0
transcript > "$folder/bare.txt"
for option in ept vpid unrestricted_guest; do
	ok "kvm_intel.$option=0" with_option "kvm_intel.$option=0"
	ok "kvm_intel.$option=0 is in force" off $option
	ok "kvm_intel.$option=0: KVM counted the exits that L0 handed to it" every_exit_is_kvms
done
for option in enable_shadow_vmcs=0 enable_shadow_vmcs=1 pml=0 pml=1; do
	ok "kvm_intel.$option" with_option "kvm_intel.$option"
done
ok "kvm_intel.nested=1" with_option kvm_intel.nested=1
ok "kvm_intel.nested=1 is in force" grep -q "^L1: kvm_intel.nested=Y" "$out/console.txt"
ok "kvm_intel.nested=1: KVM counted the exits that L0 handed to it" every_exit_is_kvms
ok "a run" run_into first
ok "the same run again" run_into second
ok "both have the same exits" cmp "$folder/first.tsv" "$folder/second.tsv"
