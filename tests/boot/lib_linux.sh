# shellcheck shell=sh
# shellcheck disable=SC2154 # variables come from lib.sh
# What the tests of Linux as L1 share; sourced after lib.sh.

# linux [OPTION]...: L1 is Linux; the time limit is for a machine that has much else to do.
linux() {
	run --l1 linux --timeout 1500 "$@"
}

# transcript: the console, but for what depends on time: the kernels' own messages, how KVM's exits came about, ticks.
transcript() {
	tr -d '\r' < "$out/console.txt" | sed 's/^\[[a-z]*\] //' |
		grep -v -e '^\[ *[0-9]*\.[0-9]*\] ' -e '^kvmrun: ' -e '^ticks: ' -e '^L0: '
}

# same_transcript FILE: the last run ended well, and its transcript is that.
same_transcript() {
	status_is 0 && transcript > "$folder/transcript" && diff "$1" "$folder/transcript"
}

# kvm_exits: how many exits KVM counted, in all its guests.
kvm_exits() {
	sed -n "s/^kvmrun: KVM's statistics.* exits \([0-9]*\) .*/\1/p" "$out/console.txt" | awk '{ sum += $1 } END { print sum + 0 }'
}

# reflected_exits: how many L0 handed to L1.
reflected_exits() {
	awk -F '\t' '$1 == "l2" && $3 == "l1" { sum += $4 } END { print sum + 0 }' "$out/exits.tsv"
}

# KVM has seen each exit that L0 says it handed to L1, and no other.
every_exit_is_kvms() {
	[ "$(kvm_exits)" -gt 0 ] && [ "$(kvm_exits)" -eq "$(reflected_exits)" ] && return
	echo "KVM counted $(kvm_exits) exits, L0 handed $(reflected_exits) to L1"
	return 1
}
