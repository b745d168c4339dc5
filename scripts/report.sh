#!/bin/sh
# turtles report: all results on one page, with an explorer for single exits, and the same as Markdown.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
experiments=${TURTLES_EXPERIMENTS:-$root/experiments}
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
# shellcheck source=scripts/exp-lib.sh
. "$root/scripts/exp-lib.sh"

PAGE=$root/report
# Exits of a run that the page holds; of a longer one, a sample.
EXITS=200
RUN_SECONDS=120

usage() {
	cat <<'END'
usage: ./turtles report [--results reference|own] [--trace RUN]... [--out DIR]
  --results reference  of the reference results, experiments/*/results (the default)
  --results own        of your own, build/experiments
  --trace RUN          the explorer shows this run, made by ./turtles run --trace, instead of those that report/traces.tsv
                       names and that are run for it, which takes seconds
  --out DIR            where the report goes (build/report): report.html, one file that any browser opens, report.md,
                       its plots and the traced runs
Exit status: 0 success, 1 something that belongs into the report cannot be had, 2 wrong usage.
END
}

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles report --help tells more"
}

parse() {
	kind=reference given='' out=$BUILD/report
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help)
			usage
			exit 0
			;;
		--results | --trace | --out)
			[ $# -ge 2 ] || wrong "$1 needs a value"
			case $1 in
			--results) kind=$2 ;;
			--trace) given="$given$2$newline" ;;
			--out) out=$2 ;;
			esac
			shift
			;;
		*) wrong "unknown option \"$1\"" ;;
		esac
		shift
	done
	case $kind in
	reference) whose="reference results" ;;
	own) whose="results of one's own" ;;
	*) wrong "--results takes reference or own, not \"$kind\"" ;;
	esac
}

# results_of NAME: the folder with its TSVs, those of the quick form if there are no others; nothing if there are none.
results_of() {
	case $kind in
	reference) set -- "$experiments/$1/results" "$experiments/$1/results/quick" ;;
	own) set -- "$BUILD/experiments/$1/results" "$BUILD/experiments/$1.quick/results" ;;
	esac
	for results_folder in "$@"; do
		for results_file in "$results_folder"/*.tsv; do
			[ ! -e "$results_file" ] || {
				printf '%s\n' "$results_folder"
				return
			}
		done
	done
}

# find_results: name, question and folder of each experiment, to $parts/experiments; the folder is empty if there are none.
find_results() {
	experiment_table | while IFS=$tab read -r name question; do
		printf '%s\t%s\t%s\n' "$name" "$question" "$(results_of "$name")"
	done > "$parts/experiments"
	[ -s "$parts/experiments" ] || die "$STATUS_USAGE" "$experiments: no experiments are there"
	awk -F '\t' '$3 != "" { found = 1 } END { exit !found }' "$parts/experiments" && return
	case $kind in
	reference) die "$STATUS_USAGE" "$experiments: no reference results are there; type: ./turtles exp NAME --record" ;;
	own) die "$STATUS_USAGE" "$BUILD/experiments: no results of your own are there; type: ./turtles exp NAME" ;;
	esac
}

# html FORM ARGUMENT...: what report/FORM.awk makes of them, or of standard input.
html() {
	html_form=$1
	shift
	awk -f "$PAGE/text.awk" -f "$PAGE/$html_form.awk" "$@"
}

escaped() {
	printf '%s\n' "$1" | html escape
}

# shown FILE: a path as it is told, from the tree's top.
shown() {
	printf '%s\n' "${1#"$root/"}"
}

# in_experiment NAME FOLDER COMMAND...: with its script's definitions, in a shell of its own.
# shellcheck disable=SC2030
in_experiment() (
	name=$1 results=$2 quick=''
	shift 2
	[ "$(form_of "$results")" = full ] || quick=yes
	point='' points='' tables='' plots='' configuration=''
	export name results quick point points configuration
	# shellcheck source=/dev/null # known when it runs
	. "$experiments/$name/experiment.sh"
	# shellcheck source=/dev/null # the same
	[ ! -e "$experiments/$name/tables.sh" ] || . "$experiments/$name/tables.sh"
	case $1 in
	tables) printf '%s\n' "$tables" ;;
	plots) printf '%s\n' "$plots" ;;
	draw) draw "$2" "$3" ;;
	esac
)

# draw PLOT FILE: of the tables in $results; within in_experiment.
# shellcheck disable=SC2031
draw() {
	{
		sed -n '/^# /p; /^#/!q' "$(find "$results" -maxdepth 1 -name '*.tsv' | sort | head -n 1)" | plot_head svg "$2"
		plot "$1"
	} | "${GNUPLOT:-gnuplot}" -
}

# in_order FOLDER EXTENSION NAME...: the names of its files, these first, in their order, if they are there.
in_order() {
	in_order_folder=$1 in_order_extension=$2
	shift 2
	{
		printf '%s\n' "$@"
		find "$in_order_folder" -maxdepth 1 -name "*.$in_order_extension" -exec basename {} ".$in_order_extension" \; | sort
	} | awk 'NF && !seen[$0]++'
}

# make_plots NAME FOLDER: its plots, to $out/plots, and their names; those that are not there are drawn of the tables.
make_plots() {
	# shellcheck disable=SC2046 # words
	for plot_name in $(in_order "$2" svg $(in_experiment "$1" "$2" plots)); do
		plot_file=$out/plots/$1-$plot_name.svg
		if [ -e "$2/$plot_name.svg" ]; then
			cp "$2/$plot_name.svg" "$plot_file"
		elif ! in_experiment "$1" "$2" draw "$plot_name" "$plot_file" 2> "$parts/complaint" || [ ! -s "$plot_file" ]; then
			rm -f "$plot_file"
			say "the plot $plot_name of $1 is not there and cannot be drawn: $(grep . "$parts/complaint" | tail -n 1)"
			continue
		fi
		printf '%s\n' "$plot_name"
	done
}

# html_plot EXPERIMENT PLOT: within the page; its ids become its own, for there are several.
html_plot() {
	printf '<figure class="plot"><div class="paper">\n'
	sed -e '/^<?xml/d' -e "s,<title>.*</title>,<title>$1: $2</title>," -e 's/^<svg *$/<svg role="img"/' \
		-e "s/\( id=['\"]\)/\1$1-$2-/g; s/\(href=['\"]#\)/\1$1-$2-/g; s/url(#/&$1-$2-/g" "$out/plots/$1-$2.svg"
	printf '</div><figcaption class="file">%s, drawn of the tables</figcaption></figure>\n' "$2"
}

# heads FOLDER: what the tables' heads say, key and value, each once.
heads() {
	for head_file in "$1"/*.tsv; do
		sed -n "/^#/!q; s/^# \([a-z_ ]*\): /\1$tab/p" "$head_file"
	done | awk -f "$PAGE/heads.awk"
}

# form_of FOLDER: which form of the experiment its results are of.
form_of() {
	case $1 in
	*/results/quick | *.quick/results) echo quick ;;
	*) echo full ;;
	esac
}

# facts NAME FOLDER: what stands above its tables, key and value.
facts() {
	heads "$2"
	case $(form_of "$2") in
	quick) printf 'made by\t./turtles exp %s --quick\n' "$1" ;;
	full) printf 'made by\t./turtles exp %s\n' "$1" ;;
	esac
}

html_missing() {
	printf '<section id="%s" class="experiment"><h2><span class="name">%s</span> %s</h2>\n' "$1" "$1" "$(escaped "$2")"
	printf '<p class="empty">There are no results. <code>./turtles exp %s</code> makes them.</p></section>\n' "$1"
}

# html_experiment NAME QUESTION FOLDER TABLES PLOTS
html_experiment() {
	printf '<section id="%s" class="experiment"><h2><span class="name">%s</span> %s</h2>\n<dl class="facts">\n' "$1" "$1" \
		"$(escaped "$2")"
	facts "$1" "$3" | html facts
	printf '</dl>\n<details class="method"><summary>Method, expectation, source</summary>\n<div>\n'
	sed 1d "$experiments/$1/README.md" | html markdown
	printf '</div></details>\n'
	for plot_name in $5; do
		[ -e "$3/$plot_name.tsv" ] || html_plot "$1" "$plot_name"
	done
	for table_name in $4; do
		[ -e "$3/$table_name.tsv" ] || continue
		! printf '%s\n' "$5" | grep -qxF -e "$table_name" || html_plot "$1" "$table_name"
		html table -v form=html -v name="$table_name" -v file="$(shown "$3/$table_name.tsv")" "$3/$table_name.tsv"
	done
	printf '</section>\n'
}

# md_experiment NAME QUESTION FOLDER TABLES PLOTS
md_experiment() {
	printf '\n## %s: %s\n\n' "$1" "$2"
	facts "$1" "$3" | awk -F '\t' '{ printf "- %s: %s\n", $1, $2 }'
	for plot_name in $5; do
		printf '\n![%s](plots/%s-%s.svg)\n' "$plot_name" "$1" "$plot_name"
	done
	for table_name in $4; do
		[ -e "$3/$table_name.tsv" ] || continue
		printf '\n### %s\n\nFrom %s\n\n' "$table_name" "$(shown "$3/$table_name.tsv")"
		html table -v form=md "$3/$table_name.tsv"
	done
}

make_experiments() {
	while IFS=$tab read -r name question folder; do
		if [ -z "$folder" ]; then
			html_missing "$name" "$question"
			continue
		fi
		plot_names=$(make_plots "$name" "$folder")
		# shellcheck disable=SC2046 # words
		table_names=$(in_order "$folder" tsv $(in_experiment "$name" "$folder" tables))
		html_experiment "$name" "$question" "$folder" "$table_names" "$plot_names"
		md_experiment "$name" "$question" "$folder" "$table_names" "$plot_names" >> "$parts/experiments.md"
	done < "$parts/experiments" > "$parts/experiments.html"
}

# The overview, a row for each experiment, and the way to each.
make_overview() {
	while IFS=$tab read -r name question folder; do
		[ -n "$folder" ] || continue
		heads "$folder" > "$parts/heads"
		printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$question" "$(sed -n "s/^commit$tab//p" "$parts/heads")" \
			"$(sed -n "s/^machine$tab//p" "$parts/heads")" "$(form_of "$folder")"
	done < "$parts/experiments" | html overview > "$parts/overview.html"
	cut -f 1 "$parts/experiments" | awk '{ printf "<li><a href=\"#%s\">%s</a></li>\n", $1, $1 }' > "$parts/nav.html"
}

make_switches() {
	{
		printf 'switch\tdefault\tvalues\tmeaning\n'
		switch_table
	} > "$parts/switches"
	html plain "$parts/switches" > "$parts/switches.html"
}

# Published figures, with the notes above them; the comment that has tabs names the columns.
make_published() {
	for published in "$experiments"/published.tsv "$experiments"/*/published.tsv; do
		[ -e "$published" ] || continue
		printf '<h3>%s</h3>\n<p>%s</p>\n' "$(escaped "$(shown "$published")")" \
			"$(sed -n "/$tab/d; s/^# *//p" "$published" | html escape)"
		sed -n "/$tab/{s/^# *//;p;}" "$published" | html plain
	done > "$parts/published.html"
}

# run_traces: what report/traces.tsv names, each a run with a trace; name, folder, title and command to $parts/runs.
run_traces() {
	grep -v '^#' "$PAGE/traces.tsv" > "$parts/wanted"
	while IFS=$tab read -r name title arguments; do
		# shellcheck disable=SC2086 # words
		"$root/turtles" run --trace $arguments --timeout $RUN_SECONDS --out "$out/traces/$name" \
			> "$parts/log" 2>&1 < /dev/null ||
			die "$STATUS_FAILURE" "the run $name for the explorer failed: $(tail -n 1 "$parts/log")"
		printf '%s\t%s\t%s\t./turtles run --trace %s\n' "$name" "$out/traces/$name" "$title" "$arguments"
	done < "$parts/wanted" > "$parts/runs"
}

# The runs that were given.
take_traces() {
	printf '%s' "$given" | awk '{ printf "own%d\t%s\t%s\t\n", NR, $0, $0 }' > "$parts/runs"
}

# read_trace RUN: its exits to $parts/exits, a sample of them to $parts/sample, its run.tsv as JSON to $parts/facts.
read_trace() {
	trace_status=0
	"$root/turtles" trace "$1" --format json < /dev/null > "$parts/exits" 2> "$parts/complaint" || trace_status=$?
	[ $trace_status -eq 0 ] || die $trace_status "$(sed 's/^turtles: //' "$parts/complaint")"
	awk -v budget=$EXITS -f "$PAGE/sample.awk" "$parts/exits" "$parts/exits" > "$parts/sample"
	trace_facts=$1/run.tsv
	[ -d "$1" ] || trace_facts=$(dirname "$1")/run.tsv
	[ -e "$trace_facts" ] || trace_facts=/dev/null
	jq -R -s '[split("\n")[] | select(. != "") | split("\t") | { (.[0]): .[1] }] | add // {}' "$trace_facts" > "$parts/facts"
}

# trace_json NAME FOLDER TITLE COMMAND: the run that was read last, as the explorer wants it, in one line.
trace_json() {
	jq -c -s --arg name "$1" --arg folder "$(shown "$2")" --arg title "$3" --arg command "$4" \
		--arg unit "$(sed -n '1s/^{"unit":"\([a-z]*\)".*/\1/p' "$parts/exits")" \
		--argjson of "$(grep -c '^{"exit":' "$parts/exits" || :)" --slurpfile facts "$parts/facts" \
		'{ name: $name, folder: $folder, title: $title, command: $command, unit: $unit, of: $of, facts: $facts[0], exits: . }' \
		"$parts/sample"
}

# md_trace FOLDER TITLE COMMAND: of the run that was read last the exit in the middle of those that L1 handled, as a tree.
md_trace() {
	md_exit=$(jq -s '[.[] | select(.owner == "L1") | .exit] | sort | .[length / 2 | floor] // empty' "$parts/sample")
	printf '\n### %s\n\n' "$2"
	[ -z "$3" ] || printf '    %s\n' "$3"
	[ -n "$md_exit" ] || return 0
	printf '    ./turtles trace %s --exit %s\n\n' "$(shown "$1")" "$md_exit"
	"$root/turtles" trace "$1" --exit "$md_exit" < /dev/null | sed '/^$/d; s/^/    /'
}

make_traces() {
	rm -rf "$out/traces"
	if [ -n "$given" ]; then
		take_traces
	else
		run_traces
	fi
	while IFS=$tab read -r name folder title command; do
		read_trace "$folder"
		trace_json "$name" "$folder" "$title" "$command"
		md_trace "$folder" "$title" "$command" >> "$parts/traces.md"
	done < "$parts/runs" > "$parts/traces"
	# Within a script element "<" is all that could end it.
	sed 's/</\\u003c/g; $!s/$/,/' "$parts/traces" > "$parts/traces.json"
}

# make_page: report/page.html, in which @FILE@ stands for one of $parts.
make_page() {
	cp "$PAGE/page.css" "$PAGE/page.js" "$parts/"
	"$root/scripts/version.sh" > "$parts/version.html"
	escaped "$whose" > "$parts/whose.html"
	awk -v parts="$parts" -f "$PAGE/fill.awk" "$PAGE/page.html" > "$parts/report.html"
	mv "$parts/report.html" "$out/report.html"
}

make_markdown() {
	{
		printf '# Turtles: report\n\nOf %s, made by Turtles %s.\n' "$whose" "$("$root/scripts/version.sh")"
		printf 'Figures are measured unless their column says published or modelled. Published ones are of other machines, in\n'
		printf 'their own unit. On the emulated CPU an instruction is one tick: figures are instructions and counts, not cycles.\n'
		cat "$parts/experiments.md"
		printf '\n## Single exits of L2, and what they caused\n'
		cat "$parts/traces.md"
		printf '\n## Switches of L0\n\n'
		html table -v form=md "$parts/switches"
	} > "$out/report.md"
}

parse "$@"
mkdir -p "$out" 2> /dev/null || wrong "--out $out: cannot make that folder"
out=$(cd "$out" && pwd -P)
is_present jq || die "$STATUS_FAILURE" "jq is missing; type: $(install_command jq)"
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
find_results
rm -rf "$out/plots"
mkdir -p "$out/plots"
make_traces
make_experiments
make_overview
make_switches
make_published
make_page
make_markdown
printf '%s\n' "$out/report.html"
