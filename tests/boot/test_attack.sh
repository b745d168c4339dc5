#!/bin/sh
# The attack suite: an L1 that gives L0 addresses of L0's own, of nothing and of devices wherever one is taken, tables
# that lead into themselves, lists and regions that change. What it sees is what the bare CPU shows; after each attack L0
# has looked at itself, and the next guest runs.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

# Pools as small as may be, L1 moved.
TINY="--memory 160 --set ept02_tables=64 --set ept01_tables=64
	--set l1_offset=5 --append l1_offset=5"

attack() {
	run --l1 "$BUILD/attack.elf" --timeout 400 "$@"
}

# The cases that the bare CPU can run too.
comparable() {
	grep -v -e '\.local_apic:' -e '\.video:' -e '\.firmware:' -e '^other_cpu\.vmcs:' -e '^cases: ' "$1"
}

same_as_bare() {
	grep -q '^cases: [1-9]' "$folder/bare.txt" || return
	comparable "$folder/bare.txt" > "$folder/bare_cases.txt"
	comparable "$out/console.txt" | diff "$folder/bare_cases.txt" -
}

# One check for each case, and one at the end.
all_checked() {
	[ "$(fact self_checks)" -gt "$(sed -n 's/^cases: \([0-9]*\),.*/\1/p' "$out/console.txt")" ]
}

survived() {
	ok "$1: L0 is whole, each answer the right one" status_is 0
	ok "$1: the bare CPU answers the same" same_as_bare
	ok "$1: L0 has looked at itself after each" all_checked
}

room_was_made() {
	for pool in ept01 ept02 vmcs02; do
		[ "$(fact ${pool}_evictions)" -gt 0 ] || return
	done
}

plan 17
attack --bare
ok "on the bare CPU" status_is 0
cp "$out/console.txt" "$folder/bare.txt"
attack --set self_check=on
survived "all attacks"
# shellcheck disable=SC2046,SC2086 # several words
attack --set self_check=on $(all_slow) $TINY
survived "all attacks on tiny pools, all switches slow"
ok "every pool made room by eviction" room_was_made

attack --bare --cpu tigerlake
ok "on a CPU with more of VMX" status_is 0
cp "$out/console.txt" "$folder/bare.txt"
attack --cpu tigerlake --set self_check=on
survived "on a CPU with more of VMX"

attack --bare --cpus 2 --append cpus=2
ok "from another CPU, on the bare CPUs" status_is 0
cp "$out/console.txt" "$folder/bare.txt"
attack --cpus 2 --append cpus=2 --set self_check=on
survived "from another CPU"
run --l2 cpuid --set ept02_tables=63
ok "a pool that is too small is refused" one_error 'ept02_tables=63 is too few, 64 is the least'
