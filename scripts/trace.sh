#!/bin/sh
# turtles trace: tells what a run with --trace has recorded.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

FORMATS='tree json chrome folded perf table'

usage() {
	cat <<'END'
usage: ./turtles trace RUN [--exit N] [--cut] [--format FORMAT]
  RUN                 the folder of a run with --trace, or its trace.bin
  --exit N            only L2's exit number N and all that it caused
  --cut               a trace that ends too early, as that of a run which was stopped: what of it is whole
  --format tree       each exit of L2, and indented below it each step with its instructions (the default)
  --format json       each exit of L2 an object on a line of its own, with its steps, for programs
  --format chrome     JSON for Chrome and Perfetto: levels as tracks, causes as flows
  --format folded     a line for each stack of causes with its instructions, as flame graphs are made of
  --format perf       samples as perf script prints them
  --format table      exits.tsv once more, made of the trace alone
Exit status: 0 success, 1 not a whole trace, 2 wrong usage.
END
}

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles trace --help tells more"
}

parse() {
	run='' exit='' format=tree cut=''
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--cut) cut=yes ;;
		--exit | --format)
			[ $# -ge 2 ] || wrong "$1 needs a value"
			case $1 in
			--exit) exit=$2 ;;
			--format) format=$2 ;;
			esac
			shift
			;;
		-*) wrong "unknown option \"$1\"" ;;
		*)
			[ -z "$run" ] || wrong "one run at a time, not \"$1\" as well"
			run=$1
			;;
		esac
		shift
	done
	[ -n "$run" ] || wrong "which run? Give its folder"
}

check() {
	case " $FORMATS " in
	*" $format "*) ;;
	*) wrong "no format is called \"$format\"; there are: $FORMATS" ;;
	esac
	[ -z "$exit" ] || { is_number "$exit" && [ "$exit" -ge 1 ]; } ||
		wrong "--exit takes the number of an exit of L2, from 1, not \"$exit\""
	file=$run
	[ -e "$run" ] || die "$STATUS_USAGE" "$run: no such run"
	[ ! -d "$run" ] || file=$run/trace.bin
	if ! [ -f "$file" ] || ! [ -r "$file" ]; then
		die "$STATUS_USAGE" "$run: it has no trace.bin; run it again with ./turtles run --trace"
	fi
}

parse "$@"
check
make_quietly "$BUILD/trace"
message=$(mktemp)
trap 'rm -f "$message"' EXIT
status=0
"$BUILD/trace" ${cut:+--cut} ${exit:+--exit "$exit"} --format "$format" "$file" 2> "$message" || status=$?
[ ! -s "$message" ] || {
	said=$(sed 's/^trace: //' "$message")
	[ $status -eq 0 ] || die $status "$said"
	say "$said"
}
exit $status
