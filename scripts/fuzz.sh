#!/bin/sh
# turtles fuzz: random guests, the same on L0 as on the bare CPU. One image runs on both and prints a line a case.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

DIFFERENCES_SHOWN=${FUZZ_SHOWN:-20}
CASES_PER_SECOND=2 # much less than any machine here does
START_SECONDS=30

usage() {
	cat <<'END'
usage: ./turtles fuzz [--seed S] [--count N] [--first K] [--case K] [OPTION]...
  --seed S            of all that is random (1)
  --count N           how many cases (1000)
  --first K           the number of the first one (0)
  --case K            run this case alone, or with --first all from there on, and tell it in full
  --cpu MODEL         a CPU model of the emulator
  --set SWITCH=VALUE  a boot switch of L0
Runs the same random VMCSs and L2 programs on the bare CPU and on L0 and compares all that L1 can observe. A case is told
in a line: how each VM entry ended (the exit reason, failN, errorN, or "cut" by the watchdog), and a checksum of
everything. What was printed is in build/fuzz/diff/. Exit status: 0 if all are equal, 1 if not, 2 wrong usage.
END
}

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles fuzz --help tells more"
}

number_for() {
	is_number "$2" || wrong "$1 takes a number, not \"$2\""
}

parse() {
	seed=1 count='' first='' full='' for_both='' for_l0=''
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--seed | --count | --first | --case | --cpu | --set)
			[ $# -ge 2 ] || wrong "$1 needs a value"
			parse_value "$1" "$2"
			shift
			;;
		*) wrong "unknown option \"$1\"" ;;
		esac
		shift
	done
	[ -z "$full" ] || count=$((full - ${first:=$full} + 1))
	first=${first:-0} count=${count:-1000}
	[ "$count" -gt 0 ] || wrong "there is no case to run"
}

parse_value() {
	case $1 in
	--seed) number_for "$1" "$2" && seed=$2 ;;
	--count) number_for "$1" "$2" && count=$2 ;;
	--first) number_for "$1" "$2" && first=$2 ;;
	--case) number_for "$1" "$2" && full=$2 ;;
	--cpu) for_both="--cpu $2" ;;
	--set) for_l0="$for_l0 --set $2" ;;
	esac
}

# transcript WHERE ARGUMENTS: runs the cases; their lines into $folder/WHERE.
transcript() {
	where=$1
	shift
	run_status=0
	# shellcheck disable=SC2086 # a list of words
	"$root/scripts/run.sh" --l1 "$BUILD/diff/diff.elf" --out "$folder/$where.run" $for_both "$@" \
		--timeout $((START_SECONDS + count / CASES_PER_SECOND)) \
		--append "seed=$seed first=$first count=$count${full:+ full=$full}" > "$folder/$where.output" 2>&1 ||
		run_status=$?
	tr -d '\r' < "$folder/$where.run/console.txt" > "$folder/$where" || return "$STATUS_USAGE"
	return $run_status
}

# end_of WHERE STATUS: true if it ran to its end; if not, what it said last.
end_of() {
	[ "$2" -ne "$STATUS_USAGE" ] || {
		cat "$folder/$1.output" >&2
		exit "$STATUS_USAGE"
	}
	[ "$2" -eq 0 ] && return
	printf '# %s did not come to its end, in case %s: %s\n' "$1" \
		"$(sed -n 's/^\([0-9]*\): .*/\1/p' "$folder/$1" | awk -v first="$first" 'END { print NR ? $1 + 1 : first }')" \
		"$(tail -n 1 "$folder/$1.output")"
	return 1
}

# differences: the cases that are not equal.
differences() {
	awk -v shown="$DIFFERENCES_SHOWN" -v fuzz="./turtles fuzz --seed $seed$for_l0${for_both:+ $for_both}" '
	/^(entries|cases|turtles-verdict)/ || !/^[0-9]+: / { next }
	NR == FNR { bare[$1] = $0; next }
	$1 in bare && bare[$1] != $0 && ++different <= shown {
		print "# bare " bare[$1]
		print "# L0   " $0
		sub(/:/, "", $1)
		print "# " fuzz " --case " $1
	}
	$1 in bare || $1 + 0 >= 0 { compared++ }
	END { print different + 0, compared + 0 }' "$folder/bare" "$folder/l0"
}

judge() {
	differences > "$folder/differences"
	sed '$d' "$folder/differences"
	read -r different compared <<END
$(tail -n 1 "$folder/differences")
END
	entries=$(sed -n 's/^entries: //p' "$folder/l0")
	printf '%d cases, %d VM entries, %d different; seed %d, %d s\n' "$compared" "${entries:-0}" "$different" "$seed" \
		$(($(date +%s) - began))
}

main() {
	parse "$@"
	make_quietly diff-image "$BUILD/mkrom" "$BUILD/rom.bin" "$BUILD/turtles.elf"
	mkdir -p "$BUILD/fuzz/diff"
	folder=$(mktemp -d "$BUILD/fuzz/diff/$seed-XXXXXX")
	began=$(date +%s)
	transcript bare --bare &
	bare=$!
	trap 'kill $bare 2> /dev/null; exit 130' INT
	trap 'kill $bare 2> /dev/null; exit 143' TERM
	l0_status=0 bare_status=0 ended=yes
	# shellcheck disable=SC2086 # a list of words
	transcript l0 $for_l0 || l0_status=$?
	wait $bare || bare_status=$?
	end_of bare $bare_status || ended=no
	end_of l0 $l0_status || ended=no
	judge
	[ -z "$full" ] || diff -U 6 "$folder/bare" "$folder/l0" || :
	printf 'transcripts: %s/bare and l0\n' "$folder"
	[ $ended = yes ] && [ "$different" -eq 0 ] && [ "$compared" -eq "$count" ]
}

main "$@"
