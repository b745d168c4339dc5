# shellcheck shell=sh
# shellcheck disable=SC2034 # variables for the tests that source this
# What the boot tests share: TAP, and running turtles in a folder that goes away. Sourced, with $0 the test.

root=$(cd "$(dirname "$0")/../.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
out=$folder/out
images=$BUILD/images
number=0

plan() {
	echo "1..$1"
}

# ok NAME COMMAND...: a test that passes if the command ends well; if not, what it printed is shown.
ok() {
	ok_name=$1
	shift
	number=$((number + 1))
	if ok_said=$("$@" 2>&1); then
		printf 'ok %d - %s\n' $number "$ok_name"
	else
		printf 'not ok %d - %s\n# %s\n' $number "$ok_name" "$*"
		printf '%s\n' "$ok_said" | sed 's/^/# /'
	fi
}

# turtles ARGUMENT...: runs it; leaves $status, $folder/stdout, $folder/stderr and, of a run, $out.
turtles() {
	rm -rf "$out"
	status=0
	"$root/turtles" "$@" > "$folder/stdout" 2> "$folder/stderr" || status=$?
}

run() {
	turtles run --out "$out" "$@"
}

# status_is N: of the last turtles; shows what that printed if not.
status_is() {
	[ "$status" -eq "$1" ] && return
	echo "status $status instead of $1"
	cat "$folder/stdout" "$folder/stderr"
	return 1
}

# The last turtles printed one line on standard error, and it matches the pattern.
one_error() {
	cat "$folder/stderr"
	[ "$(wc -l < "$folder/stderr")" -eq 1 ] && grep -q -e "$1" "$folder/stderr"
}

# fact KEY: its value in run.tsv.
fact() {
	awk -F '\t' -v key="$1" '$1 == key { print $2 }' "$out/run.tsv"
}

fact_is() {
	[ "$(fact "$1")" = "$2" ] && return
	echo "$1 is $(fact "$1"), not $2"
	return 1
}

# exits FROM REASON OWNER COLUMN: a number of exits.tsv, 0 if there is no such row.
exits() {
	awk -F '\t' -v from="$1" -v reason="$2" -v owner="$3" -v column="$4" '
	NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) wanted = i; next }
	$1 == from && $2 == reason && $3 == owner { value = $wanted }
	END { print value + 0 }' "$out/exits.tsv"
}

exits_are() {
	[ "$(exits "$1" "$2" "$3" count)" -eq "$4" ] && return
	echo "$1 $2 handled by $3: $(exits "$1" "$2" "$3" count), not $4"
	cat "$out/exits.tsv"
	return 1
}

# all_slow: the same as options of turtles run. What is given twice counts as it stands last.
all_slow() {
	slow_settings | sed 's/^/--set /' | paste -s -d ' ' -
}

# Nothing of a run in $out is left: no process, no working folder, no file but its results.
nothing_left() {
	for process in /proc/[0-9]*/cmdline; do
		case $(tr '\0' ' ' 2> /dev/null < "$process") in
		*"$out"*)
			echo "still running: $process"
			return 1
			;;
		esac
	done
	for file in "$out"/.[!.]* "$out"/*; do
		case ${file##*/} in
		'.[!.]*' | '*') continue ;;
		esac
		case " $RUN_FILES " in
		*" ${file##*/} "*) ;;
		*)
			echo "left behind: $file"
			return 1
			;;
		esac
	done
}
