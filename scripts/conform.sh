#!/bin/sh
# turtles conform: L0 against the bare CPU. Each group's image runs on both, and their transcripts must be equal.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

RUN_SECONDS=90
DIFFERENCES_SHOWN=${CONFORM_SHOWN:-20}
differences=$root/tests/conform/differences.tsv

usage() {
	cat <<'END'
usage: ./turtles conform [GROUP]... [--cpu MODEL]... [--set SWITCH=VALUE]...
  GROUP        all of them, if none is named
  --cpu MODEL  a CPU model of the emulator, or all (corei7_skylake_x)
  --set SWITCH=VALUE  a boot switch of L0
Runs the group's image on the bare CPU and on L0 and compares what it observed, case by case; TAP. The transcripts are
kept in build/conform/MODEL/GROUP.bare and GROUP.l0. Exit status: 0 if all are equal, but for the differences that
tests/conform/differences.tsv allows; 1 if not; 2 wrong usage.
END
}

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles conform --help tells more"
}

group_table() {
	for group_file in "$root"/tests/conform/*.c; do
		basename "$group_file" .c
	done
}

# The CPU models that L0 can run on.
able_models() {
	cpu_table | awk -F '\t' '$2 == "yes" && $1 !~ /lynnfield|penryn/ { print $1 }'
}

add_group() {
	group_table | grep -qx -e "$1" || wrong "no group is called \"$1\"; there are: $(names group_table)"
	groups="$groups${groups:+ }$1"
}

add_model() {
	if [ "$1" = all ]; then
		models=$(able_models | paste -s -d ' ' -)
		return
	fi
	able_models | grep -qx -e "$1" || wrong "L0 does not run on a CPU model \"$1\"; there are: $(names able_models)"
	models="$models${models:+ }$1"
}

parse() {
	groups='' models='' for_l0=''
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--cpu)
			[ $# -ge 2 ] || wrong "--cpu needs a value"
			add_model "$2"
			shift
			;;
		--set)
			[ $# -ge 2 ] || wrong "--set needs a value"
			for_l0="$for_l0 --set $2"
			shift
			;;
		-*) wrong "unknown option \"$1\"" ;;
		*) add_group "$1" ;;
		esac
		shift
	done
	groups=${groups:-$(group_table | paste -s -d ' ' -)}
	models=${models:-$(able_models | head -n 1)}
}

# transcript WHERE [--bare]: runs $subject on $model; its console into the file. False if it did not come to its end.
transcript() {
	where=$1
	shift
	run_status=0
	"$root/scripts/run.sh" --cpu "$model" --l1 "$BUILD/conform/$subject.elf" --timeout $RUN_SECONDS --out "$folder/$where.run" "$@" \
		> "$folder/$where.output" 2>&1 || run_status=$?
	cp "$folder/$where.run/console.txt" "$results/$subject.$where"
	grep -q '^cases: ' "$results/$subject.$where" && return
	printf '# %s: it did not come to its end (status %d)\n' "$where" $run_status
	tail -n 5 "$folder/$where.output" | sed 's/^/# /'
	return 1
}

# compare: one line of counts (cases, equal, allowed, different), then what is different.
compare() {
	awk -v group="$subject" -v shown="$DIFFERENCES_SHOWN" -v list="$differences" '
	function matches(text, pattern) {
		return text ~ ("^(" pattern ")$")
	}
	function is_allowed(name,    i) {
		for (i = 1; i <= patterns; i++)
			if (matches(name, allowed[i]) && matches(on_l0[name], name ": " answer[i]))
				return 1
		return 0
	}
	function join(before, line) {
		return before == "" ? line : before " | " line
	}
	function tell(name) {
		if (++different > shown) return
		text = text "# bare: " (bare[name] != "" ? bare[name] : "no such case") "\n"
		text = text "# L0:   " (on_l0[name] != "" ? on_l0[name] : "no such case") "\n"
	}
	BEGIN {
		while ((getline line < list) > 0) {
			split(line, part, "\t")
			if (part[1] == group) {
				allowed[++patterns] = part[2]
				answer[patterns] = part[3]
			}
		}
	}
	/^cases: |^turtles-verdict: / { next }
	{
		name = $0
		side = FILENAME ~ /[.]bare$/
		is_wrong = sub(/^WRONG /, "", name)
		sub(/: .*/, "", name)
		if (!(name in seen)) { seen[name] = 1; order[++cases] = name }
		if (is_wrong) broken[name] = 1
		if (side) bare[name] = join(bare[name], $0)
		else on_l0[name] = join(on_l0[name], $0)
	}
	END {
		for (i = 1; i <= cases; i++) {
			name = order[i]
			if (bare[name] == on_l0[name] && !(name in broken)) equal++
			else if (is_allowed(name)) permitted++
			else tell(name)
		}
		printf "%d %d %d %d\n%s", cases, equal, permitted, different, text
	}' "$results/$subject.bare" "$results/$subject.l0"
}

# judge: runs $subject on $model and tells its test point.
judge() {
	number=$((number + 1))
	# shellcheck disable=SC2086 # words
	if ! transcript bare --bare > "$folder/end" || ! transcript l0 $for_l0 >> "$folder/end"; then
		printf 'not ok %d - %s on %s\n' $number "$subject" "$model"
		cat "$folder/end"
		failed=$((failed + 1))
		return
	fi
	compare > "$folder/compared"
	read -r group_cases group_equal group_allowed group_different < "$folder/compared"
	cases=$((cases + group_cases))
	equal=$((equal + group_equal))
	allowed=$((allowed + group_allowed))
	if [ "$group_different" -eq 0 ] && [ "$group_cases" -gt 0 ]; then
		verdict=ok
	else
		verdict='not ok'
		failed=$((failed + 1))
	fi
	printf '%s %d - %s on %s: %d cases, %d equal, %d allowed to differ\n' "$verdict" $number "$subject" "$model" \
		"$group_cases" "$group_equal" "$group_allowed"
	sed 1d "$folder/compared"
}

main() {
	parse "$@"
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	make_quietly conform-images "$BUILD/mkrom" "$BUILD/rom.bin" "$BUILD/turtles.elf"
	number=0 cases=0 equal=0 allowed=0 failed=0
	# shellcheck disable=SC2086 # lists of words
	echo "1..$(($(printf '%s\n' $groups | wc -l) * $(printf '%s\n' $models | wc -l)))"
	for model in $models; do
		results=$BUILD/conform/$model
		mkdir -p "$results"
		for subject in $groups; do
			judge
		done
	done
	printf '# %d cases, %d equal, %d allowed to differ\n' $cases $equal $allowed
	[ $failed -eq 0 ]
}

main "$@"
