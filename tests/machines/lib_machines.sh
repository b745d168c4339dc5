# shellcheck shell=sh
# shellcheck disable=SC2154 # variables come from lib.sh
# What the tests of the machine kinds on KVM share; sourced after lib.sh.

COUNT=20
# KVM, as the emulated CPU, does not leave HLT when an interrupt window opens, as the SDM says it does.
MINIVISOR_WORDS=hlt=exit

# all_payloads: every one that ends.
all_payloads() {
	guest_table | cut -f 1 | grep -v '^hang$' | paste -s -d , -
}

# guest_lines PREFIX FILE: what minivisor and the payloads print, but for what depends on time and on the machine. The order of
# the guests does, too.
guest_lines() {
	tr -d '\r' < "$2" | sed -n "s/^$1//p" | grep -e '^minivisor: VMX is on' -e '^\[[a-z0-9_]*\] ' |
		grep -v -e '\] exits: ' -e '\] ticks: ' -e ' ticks$' | sort
}

# on_kvm VMM PAYLOADS: the reference on the bare CPU, then L0 as the guest of that VMM.
on_kvm() {
	payloads=$2
	run --memory 192 --bare --l2 "$payloads" --count $COUNT --append $MINIVISOR_WORDS
	guest_lines '' "$out/console.txt" > "$folder/bare.txt"
	ok "the reference on the bare CPU" status_is 0
	run --bare --l1 linux --vmm "$1" --l2 turtles --l3 "$payloads" --count $COUNT --l2-append $MINIVISOR_WORDS --timeout 1800
	guest_lines '\[turtles\] ' "$out/console.txt" > "$folder/guest.txt"
	tr -d '\r' < "$out/console.txt" | sed -n 's/^\[turtles L0\] //p' > "$folder/l0.txt"
}

# Each payload has told how it ended.
all_ended() {
	[ "$(grep -c '\] ended: success$' "$folder/guest.txt")" -eq "$(printf '%s\n' "$payloads" | tr , '\n' | wc -l)" ] && return
	cat "$folder/guest.txt"
	return 1
}

says() {
	grep -q -e "$1" "$folder/l0.txt" || {
		tail -n 40 "$out/console.txt"
		return 1
	}
}

# The exits that are VMX's, and those that L1 handled itself.
has_exits() {
	awk -F '\t' -v from="$1" -v owner="$2" '$1 == "exits" && $2 == from && $4 == owner { sum += $5 } END { exit !sum }' \
		"$folder/l0.txt"
}

passes_everywhere() {
	ok "$1 on KVM: L0, minivisor and payloads" status_is 0
	ok "$1 on KVM: they print what they print on the bare CPU" cmp "$folder/bare.txt" "$folder/guest.txt"
	ok "$1 on KVM: all payloads" all_ended
	ok "$1 on KVM: L0 says what KVM's VMX lacks" says '^this CPU lacks'
	ok "$1 on KVM: L0's own verdict" says '^turtles-l0-verdict: success'
	ok "$1 on KVM: L0 handled exits of L1" has_exits l1 l0
	ok "$1 on KVM: L1 handled exits of L2" has_exits l2 l1
}
