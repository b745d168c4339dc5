#!/bin/sh
# libfuzzer.sh check NAME: a fuzz target as TAP: what it once failed on, then a fixed number of runs, always the same.
# libfuzzer.sh run SECONDS [NAME...]: each target for so long, with a corpus that is kept; a line for each.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

SEED=1
regressions=$root/tests/fuzz/regressions
crashes=$BUILD/fuzz/crashes
corpora=$BUILD/fuzz/corpus

target_table() {
	grep -v '^#' "$root/tests/fuzz/targets.txt"
}

# target_column NAME COLUMN
target_column() {
	target_table | awk -F '\t' -v name="$1" -v column="$2" '$1 == name { print $column }'
}

# fuzz NAME ARGUMENT...: libFuzzer's own report goes to NAME.log.
fuzz() {
	name=$1
	shift
	mkdir -p "$crashes"
	"$BUILD/fuzzers/$name" -seed="$SEED" -max_len="$(target_column "$name" 3)" -timeout=20 -print_final_stats=1 \
		-artifact_prefix="$crashes/$name-" "$@" > "$BUILD/fuzz/$name.log" 2>&1
}

# What went wrong, and how to see it again.
tell_failure() {
	grep -E 'no agreement|broken invariant|runtime error|ERROR: |error:' "$BUILD/fuzz/$1.log" | head -n 3
	sed -n "s,.*Test unit written to \(.*\),replay: $BUILD/fuzzers/$1 \1," "$BUILD/fuzz/$1.log"
}

# tap NUMBER NAME CLAIM ARGUMENT...
tap() {
	tap_number=$1 tap_name=$2 tap_claim=$3
	shift 3
	if fuzz "$tap_name" "$@"; then
		printf 'ok %d - %s\n' "$tap_number" "$tap_claim"
	else
		printf 'not ok %d - %s\n' "$tap_number" "$tap_claim"
		tell_failure "$tap_name" | sed 's/^/# /'
	fi
}

check() {
	runs=$(target_column "$1" 2)
	[ -n "$runs" ] || die "$STATUS_USAGE" "tests/fuzz/targets.txt has no $1: add it"
	set -- "$1" "$regressions/$1"/*
	name=$1
	shift
	if [ -e "$1" ]; then
		printf '1..2\n'
		tap 2 "$name" "$# inputs that once failed" "$@"
	else
		printf '1..1\n'
	fi
	tap 1 "$name" "$runs runs from seed $SEED" -runs="$runs"
}

run_one() {
	mkdir -p "$corpora/$2"
	set -- "$1" "$2" "$corpora/$2"
	[ ! -d "$regressions/$2" ] || set -- "$@" "$regressions/$2"
	seconds=$1 name=$2
	shift 2
	if fuzz "$name" -max_total_time="$seconds" "$@"; then
		awk -v name="$name" -v seconds="$seconds" '
		/\tDONE / { for (i = 1; i < NF; i++) value[$i] = $(i + 1) }
		/number_of_executed_units/ { runs = $2 }
		END { printf "ok      %-18s %9d runs, %7d a second, %4d edges, corpus %s\n", name, runs,
			runs / seconds, value["cov:"], value["corp:"] }' "$BUILD/fuzz/$name.log"
	else
		printf 'FAILED  %s\n' "$name"
		tell_failure "$name" | sed 's/^/        /'
		return 1
	fi
}

run() {
	is_number "${1:-}" || die "$STATUS_USAGE" "FUZZ_SECONDS is a number of seconds, not \"${1:-}\""
	seconds=$1
	shift
	if [ $# -eq 0 ]; then
		# shellcheck disable=SC2046 # a list of names
		set -- $(names target_table)
	fi
	make_quietly fuzzers
	printf '%s\n' "$@" | xargs -n 1 -P "$(nproc)" "$0" one "$seconds"
}

case ${1:-} in
check) check "$2" ;;
run)
	shift
	run "$@"
	;;
one) run_one "$2" "$3" ;;
*) die "$STATUS_USAGE" "libfuzzer.sh takes \"check NAME\" or \"run SECONDS [NAME...]\"" ;;
esac
