#!/bin/sh
# What Debian's perf sees in the Linux that is L1: the exits that KVM saw there are those that L0 handed to it, reason by
# reason; and of a hypervisor below KVM the nested ones.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/../boot/lib.sh"
# shellcheck source=tests/boot/lib_linux.sh
. "$(dirname "$0")/../boot/lib_linux.sh"

# perf_count EVENT: all of it.
perf_count() {
	awk -F '\t' -v event="$1" '$1 == event { sum += $3 } END { print sum + 0 }' "$out/l1-perf.tsv"
}

same_reasons() {
	awk -F '\t' '$1 == "kvm_exit" { print $2, $3 }' "$out/l1-perf.tsv" | sort > "$folder/seen"
	awk -F '\t' '$1 == "l2" && $3 == "l1" { print $2, $4 }' "$out/exits.tsv" | sort > "$folder/reflected"
	[ "$(wc -l < "$folder/reflected")" -ge 5 ] && diff "$folder/reflected" "$folder/seen"
}

# An exit of what runs below the L2 is one to KVM first, and each VM entry that KVM carries out began as a VMLAUNCH or VMRESUME.
nested_are_there() {
	cat "$out/l1-perf.tsv"
	[ "$(perf_count kvm_nested_vmexit)" -ge 20 ] && [ "$(perf_count kvm_nested_vmexit)" -le "$(perf_count kvm_exit)" ] &&
		[ "$(perf_count kvm_nested_vmenter)" -eq $(($(exits l2 vmlaunch l1 count) + $(exits l2 vmresume l1 count))) ]
}

plan 4
linux --l2 cpuid,memory,exception,msr,minivisor --l3 cpuid --count 20 --append kvm_intel.nested=1 --l1-perf
ok "perf records in L1" status_is 0
ok "KVM's exits in L1 are those that L0 handed to it, reason by reason" same_reasons
ok "KVM counted as many itself" every_exit_is_kvms
ok "the exits of what runs below the L2" nested_are_there
