#!/bin/sh
# turtles exp diff A B: what changed between two sets of an experiment's results.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
experiments=${TURTLES_EXPERIMENTS:-$root/experiments}
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
# shellcheck source=scripts/exp-lib.sh
. "$root/scripts/exp-lib.sh"

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles exp --help tells more"
}

percent() {
	case $2 in
	'' | *[!0-9.]* | *.*.* | .) wrong "$1 takes a number of percent, not \"$2\"" ;;
	esac
}

parse() {
	first='' second='' within=0 rise=''
	while [ $# -gt 0 ]; do
		case $1 in
		--within | --rise)
			[ $# -ge 2 ] || wrong "$1 needs a value"
			percent "$1" "$2"
			within=$2
			[ "$1" = --within ] || rise=yes
			shift
			;;
		-*) wrong "unknown option \"$1\"" ;;
		*)
			if [ -z "$first" ]; then
				first=$1
			elif [ -z "$second" ]; then
				second=$1
			else
				wrong "diff takes two sets of results, not \"$1\" as well"
			fi
			;;
		esac
		shift
	done
	[ -n "$second" ] || wrong "diff takes two sets of results"
}

# result_files WHAT: its TSV files, one a line.
result_files() {
	if [ -f "$1" ]; then
		printf '%s\n' "$1"
		return
	fi
	set -- "$1" "$1"
	if [ -f "$experiments/$1/README.md" ]; then
		set -- "$1" "$experiments/$1/results"
	elif ! [ -d "$1" ]; then
		wrong "$1: neither an experiment nor a folder or file of results"
	elif [ -d "$1/results" ]; then
		set -- "$1" "$1/results"
	fi
	found=$(find "$2" -maxdepth 1 -name '*.tsv' 2> /dev/null | sort)
	[ -n "$found" ] || wrong "$1 has no results"
	printf '%s\n' "$found"
}

# head_of KEY LIST: the values of that line of the heads of the files on the list, one after the other.
head_of() {
	tr '\n' '\0' < "$2" | xargs -0 sed -n "s/^# $1: //p" | sort -u | paste -s -d ';' - | sed 's/;/; /g'
}

# sets $unit_a, $unit_b: what their figures are. Results from before there was such a line are of the emulator.
units() {
	unit_a=$(head_of unit "$folder/first") unit_b=$(head_of unit "$folder/second")
	unit_a=${unit_a:-instructions} unit_b=${unit_b:-instructions}
	case $unit_a$unit_b in
	*';'*) wrong "one of the two has figures in several units" ;;
	esac
}

# What to know of the two before their figures: where they come from, if not from the same; what is not compared.
tell_heads() {
	machine_a=$(head_of machine "$folder/first") machine_b=$(head_of machine "$folder/second")
	[ "$machine_a" = "$machine_b" ] || printf 'A: %s\nB: %s\n' "$machine_a" "$machine_b"
	[ "$unit_a" = "$unit_b" ] ||
		echo "A is in $unit_a, B in $unit_b, which do not compare: only counts are held against each other"
}

# side LETTER FILE...: each line of the tables, behind the letter and the table's name.
side() {
	side_letter=$1
	while IFS= read -r file; do
		[ "$single" = no ] || file_table=table
		[ "$single" = yes ] || file_table=$(basename "$file" .tsv)
		sed -e '/^#/d' -e "s/^/$side_letter$tab$file_table$tab/" "$file"
	done
}

# A row's key are the columns before the first that holds a number in any row of either side.
compare() {
	awk -F '\t' -v OFS='\t' -v within="$within" -v rise="$rise" -v counts="$([ "$unit_a" = "$unit_b" ] || echo yes)" '
	function is_figure(text) { return text ~ /^[-+]?[0-9]+([.][0-9]+)?$/ }
	function differs(a, b) {
		if (a == b) return 0
		if (!is_figure(a) || !is_figure(b)) return 1
		if (rise && b + 0 <= a + 0) return 0
		limit = (a < 0 ? -a : a) * within / 100
		return (b > a ? b - a : a - b) > limit + 1e-9
	}
	# Of different machines only what is a count by its name. A column of a single figure is held against the median.
	function is_left_out(t, column) {
		if (rise && is_derived(column)) return 1
		if (counts && (column !~ /exits|traps|switches|entries|count|^vm[a-z]*$|^inv[a-z]*$/ ||
			column ~ /percent|ratio|factor|_per_|instr|cycles/)) return 1
		if (column == "repetitions") return 1
		if (sub(/_(min|median|max)$/, "", column)) return is_single(t, column)
		return 0
	}
	function is_single(t, column) { return (("A", t, column) in titled) || (("B", t, column) in titled) }
	function value_of(side, t, k, column) {
		if ((side, t, k, column) in value) return value[side, t, k, column]
		if ((side, t, k, column "_median") in value) return value[side, t, k, column "_median"]
		return "none"
	}
	# What is computed from several figures may rise because one of them falls.
	function is_derived(column) { return column ~ /percent|ratio|factor/ }
	function tell(table, key, column, a, b) {
		print table, key, column, a, b, is_figure(a) && is_figure(b) && a + 0 ? sprintf("%.3f", b / a) : "-"
		found = 1
	}
	!(($1, $2) in header) {
		header[$1, $2] = 1
		if (!($2 in columns)) keys[$2] = NF - 2
		for (i = 3; i <= NF; i++) {
			name[$1, $2, i] = $i
			titled[$1, $2, $i] = 1
			if (!(($2, $i) in has)) { has[$2, $i] = 1; list[$2, ++columns[$2]] = $i }
		}
		next
	}
	{
		lines++
		line[lines] = $0
		for (i = 3; i <= NF; i++)
			if (is_figure($i) && i - 3 < keys[$2]) keys[$2] = i - 3
	}
	END {
		print "table", "row", "column", "A", "B", "B/A"
		for (l = 1; l <= lines; l++) {
			n = split(line[l], part, "\t")
			key = ""
			for (i = 3; i < 3 + keys[part[2]]; i++) key = key (key == "" ? "" : " ") part[i]
			if (key == "") key = "-"
			if (!((part[2], key) in row)) { row[part[2], key] = 1; rows++; table_of[rows] = part[2]; key_of[rows] = key }
			there[part[1], part[2], key] = 1
			for (; i <= n; i++) value[part[1], part[2], key, name[part[1], part[2], i]] = part[i]
		}
		for (r = 1; r <= rows; r++) {
			t = table_of[r]
			k = key_of[r]
			if (!(("A", t, k) in there)) { tell(t, k, "-", "no such row", "-"); continue }
			if (!(("B", t, k) in there)) { tell(t, k, "-", "-", "no such row"); continue }
			for (c = 1; c <= columns[t]; c++) {
				column = list[t, c]
				if (is_left_out(t, column)) continue
				a = value_of("A", t, k, column)
				b = value_of("B", t, k, column)
				if (differs(a, b)) tell(t, k, column, a, b)
			}
		}
		exit found
	}'
}

parse "$@"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
result_files "$first" > "$folder/first"
result_files "$second" > "$folder/second"
single=no
if [ -f "$first" ] && [ -f "$second" ]; then
	single=yes
fi
units
tell_heads
status=0
{
	side A < "$folder/first"
	side B < "$folder/second"
} | compare > "$folder/differences" || status=$?
if [ $status -eq 0 ]; then
	echo "no difference"
else
	show_table "$folder/differences"
fi
exit $status
