#!/bin/sh
# turtles profile: every instruction of L0's in a window of a run, by function. The emulator is deterministic: a first run
# tells when each exit happens, and a second one, the same, is traced where the window is.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

FUNCTIONS_SHOWN=${PROFILE_SHOWN:-40}

usage() {
	cat <<'END'
usage: ./turtles profile [--at LEVEL:REASON] [--trips N] [--from TICK --for N] [OPTION OF turtles run]...
  --at LEVEL:REASON   what a trip begins with, e.g. l2:cpuid or l1:vmread; the next one ends it (the commonest exit of
                      L2, or if there is none, of L1)
  --trips N           how many trips, from the middle of the run (100)
  --from TICK         instead: from this instruction of the machine on,
  --for N             that many instructions
  --out DIR           the folder (a new one under build/runs)
Counts the instructions that L0 executes, by function, for each trip. Functions that the compiler has put into others are
told apart. In the folder: profile.tsv (function, instructions of its own, with what it called), and profile.folded, a
line a stack, from which flamegraph.pl and its like draw. Exit status: that of turtles run.
END
}

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles profile --help tells more"
}

# number_for OPTION VALUE
number_for() {
	is_number "$2" || wrong "$1 takes a number above 0, not \"$2\""
	[ "$2" -gt 0 ] || wrong "$1 takes a number above 0, not $2"
}

check_exit() {
	case $1 in
	l1:?* | l2:?*) ;;
	*) wrong "--at takes LEVEL:REASON, as in l2:cpuid, not \"$1\"" ;;
	esac
	grep -q "^R([0-9]*, ${1#l?:})\$" "$root/include/exit_reasons.def" ||
		wrong "--at $1: no exit reason is called \"${1#l?:}\"; include/exit_reasons.def has them"
}

# parse ARGUMENT...: what is not the profile's own is run's, and goes to $run_options, a line each.
parse() {
	at='' trips='' from='' length='' out='' run_options=''
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--bare) wrong "--bare: without L0 there is nothing to profile" ;;
		--at | --trips | --from | --for | --out | --cpus)
			[ $# -ge 2 ] || wrong "$1 needs a value"
			parse_value "$1" "$2"
			shift
			;;
		*) run_options="$run_options$1$newline" ;;
		esac
		shift
	done
	[ -z "$from$length" ] || [ -z "$at$trips" ] || wrong "--from and --for take the place of --at and --trips"
	[ -z "$from" ] || [ -n "$length" ] || wrong "--from needs --for"
	[ -z "$length" ] || [ -n "$from" ] || wrong "--for needs --from"
}

parse_value() {
	case $1 in
	--at) check_exit "$2" && at=$2 ;;
	--trips) number_for "$1" "$2" && trips=$2 ;;
	--from) number_for "$1" "$2" && from=$2 ;;
	--for) number_for "$1" "$2" && length=$2 ;;
	--out) out=$2 ;;
	--cpus) [ "$2" = 1 ] || wrong "--cpus $2: a profile is of one CPU" ;;
	esac
}

make_folder() {
	if [ -z "$out" ]; then
		mkdir -p "$BUILD/runs"
		out=$(mktemp -d "$BUILD/runs/$(date +%Y%m%d-%H%M%S)-XXXX")
	fi
	mkdir -p "$out" || die "$STATUS_USAGE" "--out $out: cannot make that folder"
	rm -f "$out/spans.tsv" "$out/profile.tsv" "$out/profile.folded"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
}

# run_once: one run as it was asked for; what it printed is shown only if it failed.
run_once() {
	set --
	while IFS= read -r option; do
		set -- "$@" "$option"
	done < "$work/options"
	run_status=0
	"$root/scripts/run.sh" "$@" --out "$out" > "$work/terminal" 2>&1 || run_status=$?
	[ $run_status -eq 0 ] || {
		cat "$work/terminal" >&2
		exit $run_status
	}
}

# The commonest exit of L2, or else of L1.
commonest() {
	cut -f 3,4 "$out/spans.tsv" | sort | uniq -c | sort -k 2,2nr -k 1,1nr | awk 'NR == 1 { print "l" $2 ":" $3 }'
}

# A window that was given must be in the run.
check_window() {
	trips=1
	[ "$((from + length))" -le "$(awk -F "$tab" '$1 == "instructions" { print $2 }' "$out/run.tsv")" ] ||
		die "$STATUS_FAILURE" "the run ends before instruction $((from + length))"
}

# choose: from the exits that trips begin with, $from and $length; the middle ones.
choose() {
	at=${at:-$(commonest)}
	trips=${trips:-100}
	awk -F '\t' -v level="${at%:*}" -v reason="${at#*:}" '"l" $3 == level && $4 == reason { print $2 }' \
		"$out/spans.tsv" > "$work/at"
	there_are=$(wc -l < "$work/at")
	[ "$there_are" -ge 2 ] ||
		die "$STATUS_FAILURE" "the run has $there_are exits $at, and a trip needs two; --at names others, --count makes more"
	[ "$trips" -lt "$there_are" ] || trips=$((there_are - 1))
	first_trip=$(((there_are - trips + 1) / 2))
	from=$(($(sed -n "${first_trip}p" "$work/at") + 1))
	length=$(($(sed -n "$((first_trip + trips))p" "$work/at") + 1 - from))
}

# The functions that each traced address of L0's is in, as the compiler has put them into one another.
inlined() {
	cut -f 2 "$out/trace.tsv" | sort -u > "$work/addresses"
	addr2line -a -f -i -e "${TURTLES_L0:-$BUILD/turtles.elf}" @"$work/addresses" | awk '
	function flush() { if (address != "") printf "%s\t%s\n", address, chain }
	/^0x/ { flush(); address = substr($0, 3); chain = ""; odd = 0; next }
	{ odd = !odd }
	odd { chain = $0 (chain == "" ? "" : ";") chain }
	END { flush() }' > "$work/inlined"
}

told_window() {
	printf 'Profile of instructions %s to %s of the machine' "$from" "$((from + length - 1))"
	[ -z "$at" ] || printf ': %s trips from an exit %s to the next; figures are for one trip' "$trips" "$at"
	printf '\n\n'
}

tell() {
	told_window
	awk -v first="$from" -v last=$((from + length - 1)) -v trips="$trips" -v table="$work/table" \
		-v folded="$out/profile.folded" -f "$root/scripts/profile.awk" "$work/inlined" "$out/spans.tsv" "$out/trace.tsv"
	{
		printf 'function\tself\twith_called\n'
		LC_ALL=C sort -t "$tab" -k 2,2nr -k 3,3nr -k 1,1 "$work/table"
	} > "$out/profile.tsv"
	printf '\nL0, by function:\n'
	awk -F '\t' -v shown="$FUNCTIONS_SHOWN" '
	NR == 1 { printf "  %9s %12s  %s\n", "itself", "with called", "function"; next }
	NR <= shown + 1 && $2 > 0 { printf "  %9s %12s  %s\n", $2, $3, $1 }' "$out/profile.tsv"
	printf '\nprofile.tsv and profile.folded are in %s\n' "$out"
}

main() {
	parse "$@"
	command -v addr2line > /dev/null || die "$STATUS_FAILURE" "no addr2line on this machine; it is in the package binutils"
	make_folder
	printf '%s' "$run_options" > "$work/options"
	TURTLES_WITNESS=transitions
	export TURTLES_WITNESS
	run_once
	mv "$out/witness.tsv" "$out/spans.tsv"
	if [ -n "$from" ]; then
		check_window
	else
		choose
	fi
	unset TURTLES_WITNESS
	TURTLES_TRACE="$from $length"
	export TURTLES_TRACE
	run_once
	inlined
	tell
}

main "$@"
