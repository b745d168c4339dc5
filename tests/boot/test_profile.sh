#!/bin/sh
# turtles profile: its sum is what L0 counts of itself, every stack is told, and what is wrong with its arguments is said.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

profile() {
	turtles profile --out "$out" "$@"
}

# of_level LEVEL: instructions a trip, as the profile prints them.
of_level() {
	awk -v level="$1" '$1 == level { print $2 }' "$folder/stdout"
}

# All instructions of the bench's operation are of one row of L0's own table: as many for each trip as there are for
# each exit, once what else exits that way is known.
sum_is_own_count() {
	cp "$folder/stdout" "$folder/profile"
	awk -F '\t' '$1 == "l1" && $2 == "vmptrld" { print $5 / $4 }' "$out/exits.tsv" > "$folder/own"
	awk -v own="$(cat "$folder/own")" -v level="$(of_level L0)" '
	BEGIN { off = own - level; exit !(level > 0 && off < 0.05 * own && off > -0.05 * own) }' && return
	echo "the profile has $(of_level L0), L0's own table $(cat "$folder/own")"
	return 1
}

# column N: the sum of a column of profile.tsv.
functions_sum_to_l0() {
	awk -F '\t' -v l0="$(of_level L0)" 'NR > 1 { sum += $2 }
	END { off = sum - l0; exit !(sum > 0 && off < 1 && off > -1) }' "$out/profile.tsv"
}

# 20 trips of vmptrld: the stacks have 20 times what the profile says.
stacks_sum_to_all() {
	awk -v l0="$(of_level L0)" -v l1="$(of_level L1)" '{ sum += $NF }
	END { off = sum - 20 * (l0 + l1); exit !(sum > 0 && off < 20 && off > -20) }' "$out/profile.folded"
}

# A stack begins at L0's loop and ends in what handles the exit.
stacks_are_nested() {
	grep -q '^L0;vmx_exit_point_l1;\(.*;\)*nested_vmptrld_exit;.* [0-9]*$' "$out/profile.folded"
}

has_all_levels() {
	[ -n "$(of_level L0)" ] && [ -n "$(of_level L1)" ] && [ -n "$(of_level L2)" ]
}

usage_error() {
	[ "$status" -eq 2 ] && one_error "$1"
}

profile --at l1:vmptrld --trips 20 --append bench=vmptrld:2000 --count 1
ok "a profile of L1's VMPTRLD" status_is 0
ok "its sum is what L0 counts of itself" sum_is_own_count
ok "its functions add up to it" functions_sum_to_l0
ok "so do its stacks" stacks_sum_to_all
ok "a stack leads from the loop to what handles the exit" stacks_are_nested

profile --l2 cpuid --count 40 --trips 20
ok "a round trip of L2" status_is 0
ok "all three levels are in it" has_all_levels
cp "$out/profile.folded" "$folder/first"
window=$(sed -n 's/^Profile of instructions \([0-9]*\) to \([0-9]*\) .*/\1 \2/p' "$folder/stdout")
profile --l2 cpuid --count 40 --from "${window% *}" --for $((${window#* } + 1 - ${window% *}))
ok "the same window by its instructions is the same profile" cmp "$folder/first" "$out/profile.folded"

profile --at l2:hlt --count 1
ok "no such exit in the run" one_error 'the run has 0 exits l2:hlt'
ok "that is a failure" status_is 1
profile --from 999999999 --for 10 --count 1
ok "a window behind the end" one_error "the run ends before instruction 1000000009"
profile --at l3:cpuid
ok "--at is checked" usage_error '--at takes LEVEL:REASON'
profile --at l2:nothing
ok "so is the reason" usage_error 'no exit reason is called "nothing"'
profile --trips none
ok "so are numbers" usage_error '--trips takes a number above 0'
profile --from 1 --for 2 --trips 3
ok "one kind of window" usage_error '--from and --for take the place of'
profile --for 2
ok "a window has a beginning" usage_error '--for needs --from'
profile --bare
ok "there must be an L0" usage_error 'without L0 there is nothing to profile'
profile --cpus 2
ok "one CPU" usage_error 'a profile is of one CPU'
profile --l2 nothing
ok "what run refuses is refused" status_is 2
plan $number
