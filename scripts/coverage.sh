#!/bin/sh
# coverage.sh: what of the pure rooms the host tests and the fuzz targets reach, in lines and branches. A branch is one
# outcome of one condition. Leaves build/coverage/: table.txt, and html/ with every line's count.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

ROOMS="vmcs_shadow ept_merge"
place=$BUILD/coverage
profiles=$place/profiles

# run PROGRAM ARGUMENT...
run() {
	program=${1##*/}
	LLVM_PROFILE_FILE=$profiles/$program.profraw "$@" > "$profiles/$program.log" 2>&1 ||
		die "$STATUS_FAILURE" "$program fails, see $profiles/$program.log; make check-host and check-fuzz tell more"
}

# What the fuzzer keeps of its runs in make check; its own instrumentation and that of llvm-cov do not mix.
run_fuzzer() {
	mkdir -p "$place/corpus/$1"
	"$BUILD/fuzzers/$1" -seed=1 -runs="$2" -max_len="$3" "$place/corpus/$1" > "$profiles/$1.corpus.log" 2>&1 ||
		die "$STATUS_FAILURE" "$1 fails; make check-fuzz tells more"
	set -- "$place/$1" "$place/corpus/$1"/* "tests/fuzz/regressions/$1"/*
	for input in "$@"; do
		shift
		[ ! -e "$input" ] || set -- "$@" "$input"
	done
	run "$@"
}

run_all() {
	for source in tests/host/test_*.c; do
		program=${source##*/}
		run "$place/${program%.c}"
	done
	grep -v '^#' tests/fuzz/targets.txt | while IFS=$tab read -r name runs longest; do
		run_fuzzer "$name" "$runs" "$longest"
	done
}

# cover COMMAND ARGUMENT...: llvm-cov over all programs and the rooms.
cover() {
	command=$1
	shift
	for source in tests/host/test_*.c tests/fuzz/fuzz_*.c; do
		program=${source##*/}
		set -- "$@" -object "$place/${program%.c}"
	done
	# llvm-cov takes its first plain argument for a program, whatever -object says.
	# shellcheck disable=SC2086 # a list of names
	llvm-cov "$command" "$place/test_merge" "$@" -instr-profile="$place/all.profdata" $ROOMS
}

# llvm-cov's columns: file, then number, missed and share of regions, functions, lines and branches.
table() {
	cover report -show-region-summary=false -show-functions=false | awk '
	$1 ~ /\.[ch]$/ || $1 == "TOTAL" {
		name = $1 == "TOTAL" ? "all" : $1
		printf "%-38s %6d %6d %7.1f%% %9d %6d %7s\n", name, $5, $5 - $6, $5 ? 100 * ($5 - $6) / $5 : 100, $8, $8 - $9,
			$8 ? sprintf("%.1f%%", 100 * ($8 - $9) / $8) : "-"
	}
	BEGIN { printf "%-38s %6s %6s %8s %9s %6s %7s\n", "file", "lines", "hit", "", "branches", "hit", "" }'
}

cd "$root"
rm -rf "$profiles" "$place/html" "$place/corpus"
mkdir -p "$profiles"
make_quietly fuzzers coverage-programs
run_all
llvm-profdata merge -sparse "$profiles"/*.profraw -o "$place/all.profdata"
cover show -format=html -output-dir="$place/html" -show-branches=count > /dev/null
table > "$place/table.txt"
cat "$place/table.txt"
