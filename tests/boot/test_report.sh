#!/bin/sh
# The report: in a browser without a window it has all tables and plots, loads nothing, and its explorer works by clicks and
# keys and says what ./turtles trace says. Text of others stays text. results/README.md names what there is.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/lib_browser.sh
. "$(dirname "$0")/lib_browser.sh"

KIB_AT_MOST=3072
DOWN=$(printf '\356\200\225')

report() {
	TURTLES_EXPERIMENTS=$given turtles report --out "$folder/report" "$@"
}

# reference_files EXTENSION: those of the full form, or of the quick one where there are no others.
reference_files() {
	for results in "$root"/experiments/*/results; do
		[ -n "$(find "$results" -maxdepth 1 -name '*.tsv')" ] || results=$results/quick
		find "$results" -maxdepth 1 -name "*.$1"
	done | sed "s,^$root/,," | sort
}

# Each table's file and rows.
rows_expected() {
	reference_files tsv | while IFS= read -r file; do
		printf '%s %s\n' "$file" $(($(grep -vc '^#' "$root/$file") - 1))
	done
}

# A row of its table has as many cells as there are columns.
tables_are_there() {
	browser_run "return [...document.querySelectorAll('[data-tsv]')].map(table => table.dataset.tsv + ' ' +
		table.querySelectorAll('tbody tr').length).sort().join('\n')" | jq -r . > "$folder/tables"
	rows_expected | diff - "$folder/tables" &&
		browser_is "return [...document.querySelectorAll('[data-tsv] table')].every(table => [...table.rows].slice(-1)[0]
			.cells.length === table.querySelectorAll('thead tr:last-child th').length)"
}

# Those of the results, and those that had to be drawn.
plots_are_there() {
	reference_files svg | sed 's,.*/\([^/]*\)/results/\(quick/\)*,\1-,' | while IFS= read -r plot; do
		[ -s "$folder/report/plots/$plot" ] || printf '%s\n' "$plot"
	done > "$folder/missing"
	! grep . "$folder/missing" && browser_is "return document.querySelectorAll('.plot svg').length ===
		$(find "$folder/report/plots" -name '*.svg' | wc -l)"
}

# Figures as a person copies them are those of the TSV, to the digit.
figures_are() {
	browser_run "const table = document.querySelector('[data-tsv=\"$1\"]');
		return [...table.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => { const shown = cell.cloneNode(true);
		shown.querySelectorAll('s').forEach(unseen => unseen.remove()); return shown.textContent.replace('\u2013', '-'); })
		.join('\t')).join('\n')" | jq -r . > "$folder/cells"
	grep -v '^#' "$root/$1" | sed 1d | diff - "$folder/cells"
}

published_are_marked() {
	published=$(reference_files tsv | sed "s,^,$root/," | xargs grep -h -m 1 -v '^#' | tr '\t' '\n' | grep -c published)
	browser_is "const marked = document.querySelectorAll('[data-tsv] thead tr:last-child th.published').length;
		return marked === $published && marked > 0"
}

loads_nothing() {
	browser_log performance > "$folder/requests"
	jq -r '.[].message | fromjson | .message | select(.method == "Network.requestWillBeSent") | .params |
		select(.documentURL | startswith("chrome:") | not) | .request.url' \
		"$folder/requests" | sed 's/#.*//' | sort -u > "$folder/urls"
	printf 'file://%s\n' "$folder/report/report.html" | diff - "$folder/urls" &&
		! grep -n -E '(src|href|srcset|data|action)="?[a-z]*://|url\(["'\'']?[a-z]*:|@import' "$folder/report/report.html"
}

no_errors() {
	browser_log browser > "$folder/console"
	[ "$(jq length "$folder/console")" -eq 0 ] || {
		cat "$folder/console"
		return 1
	}
}

browser_has_started() {
	[ -n "$browser_session" ] || {
		cat "$folder/started"
		return 1
	}
}

# choose SELECT VALUE: of its options.
choose() {
	browser_click "#$1 option[value=\"$2\"]"
}

chosen_exit() {
	browser_run "return document.querySelector('#exits [aria-selected=true]').dataset.exit" | jq -r .
}

chosen_is() {
	[ "$(chosen_exit)" = "$1" ] || {
		echo "chosen is $(chosen_exit), not $1"
		return 1
	}
}

# What the page shows of the chosen exit: the steps as ./turtles trace has them, and what they sum up to.
page_steps() {
	browser_run "const digits = cell => cell.textContent; return [...document.querySelectorAll('#steps tbody tr')].map(row =>
		[row.cells[1], row.cells[3], row.cells[2].firstChild].map(digits).join(' ')).join('\n') + '\n' +
		[...document.querySelectorAll('#steps tfoot tr')].map(row => [row.cells[1], row.cells[3]].map(digits).join(' '))
		.join(', ')" | jq -r .
}

trace_steps() {
	"$root/turtles" trace "$1" --exit "$2" | awk '
	/^  L[0-2] +[0-9]+ / { who = $1; ticks = $2; sub(/^  L. +[0-9]+ +/, ""); print who, ticks, $0 }
	/^  in all/ { print "L0 " $4 + 0 ", L1 " $6 + 0 }'
}

# The run's folder, whose name the page knows.
agrees_with_trace() {
	agrees_exit=$(chosen_exit)
	page_steps > "$folder/page.steps"
	trace_steps "$folder/report/traces/$1" "$agrees_exit" | diff - "$folder/page.steps" &&
		browser_is "return document.querySelectorAll('#lanes rect.bar').length === $(($(wc -l < "$folder/page.steps") - 1))"
}

# The filter leaves exits of that reason only, as many as it says.
filtered() {
	browser_is "const items = [...document.querySelectorAll('#exits [role=option]')];
		return items.length > 3 && items.every(item => item.querySelector('.what').textContent.startsWith('$1')) &&
		document.getElementById('shown').value.startsWith(items.length + ' of ')"
}

nth_item() {
	browser_run "return document.querySelectorAll('#exits [role=option]')[$1].dataset.exit" | jq -r .
}

same_exit_in() {
	browser_click "#compare [data-run=$1]" && browser_is "return document.getElementById('run').value === '$1'" &&
		filtered cpuid && agrees_with_trace "$1"
}

# All exits in the page, not only those that were clicked: their figures are those of the whole trace.
exits_are_the_trace_s() {
	sed -n '/<script type="application\/json"/,/<\/script>/p' "$folder/report/report.html" |
		sed '1s/.*/[/; $s/.*/]/' > "$folder/embedded"
	for name in $(jq -r '.[].name' "$folder/embedded"); do
		"$root/turtles" trace "$folder/report/traces/$name" --format json |
			jq --slurpfile embedded "$folder/embedded" -e --arg name "$name" '
				.exits as $all | $embedded[0][] | select(.name == $name) |
				.of == ($all | length) and (.exits | length > 40 and length <= 200) and
				(([.exits[] | del(.nth)] - $all) == []) and
				(([$all[] | [.reason, .owner]] | unique) == ([.exits[] | [.reason, .owner]] | unique))' > "$folder/jq" || {
			echo "the exits of $name"
			return 1
		}
	done
}

# looks WIDTH SCHEME: nothing lies beyond the page's right edge, and paper and ink are as that scheme wants them.
looks() {
	browser_looks "$1" 900 "$2" && browser_is "return document.documentElement.scrollWidth <= innerWidth" &&
		browser_is "const light = rgb => rgb.match(/[0-9]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;
			const style = getComputedStyle(document.body);
			return (light(style.backgroundColor) > light(style.color)) === ('$2' === 'light')"
}

contents_stay() {
	browser_run "scrollTo(0, 4000)" > "$folder/ignored"
	browser_is "const box = document.querySelector('nav').getBoundingClientRect(); return box.top >= 0 && box.top < 60"
}

# An experiment that nobody trusts, one without results, and a plot that is yet to be drawn.
# shellcheck disable=SC2016 # text, not variables
make_experiments() {
	mkdir -p "$given/hostile/results" "$given/untried"
	printf '# untried: was it run?\n' > "$given/untried/README.md"
	printf '# hostile: is <b class="evil">this</b> & "that" text?\n\n%s\n' \
		'**Method.** <script>evil()</script> `a < b` & [a](javascript:x)' > "$given/hostile/README.md"
	printf '# commit: <i class="evil">\n# machine: "M"\nname\tmodelled_cycles\n<b class="evil">&amp;</b>\t12345.5\nplain\t7\n' \
		> "$given/hostile/results/odd.tsv"
	printf 'tables=odd\nplots=odd\nplot() { printf "plot '\''%%s/odd.tsv'\'' using 0:2\\n" "$results"; }\n' \
		> "$given/hostile/experiment.sh"
}

stays_text() {
	browser_is "return document.querySelectorAll('.evil').length === 0 && typeof evil === 'undefined' &&
		document.querySelector('#hostile h2').textContent.includes('is <b class=\"evil\">this</b> & \"that\" text?') &&
		document.querySelector('#hostile .method').textContent.includes('<script>evil()</script> a < b & a') &&
		document.querySelector('#hostile tbody th').textContent === '<b class=\"evil\">&amp;</b>' &&
		document.querySelectorAll('a[href^=javascript]').length === 0"
}

# refused STATUS PATTERN ARGUMENT...: with one line.
refused() {
	refused_status=$1 refused_pattern=$2
	shift 2
	report "$@"
	status_is "$refused_status" && one_error "$refused_pattern"
}

# Each result in the tree is named, as `name` or name.tsv, by results/README.md or its experiment's.
results_are_named() {
	find "$root"/experiments/*/results -name '*.tsv' -o -name '*.svg' | sort > "$folder/results"
	[ -s "$folder/results" ] || return 1
	while IFS= read -r file; do
		name=$(basename "${file%.*}")
		cat "$root/results/README.md" "${file%/results/*}/README.md" | tr -c 'A-Za-z0-9_\n' ' ' | tr ' ' '\n' |
			grep -qxF -e "$name" || printf '%s: what is it?\n' "$file"
	done < "$folder/results" > "$folder/unnamed"
	! grep . "$folder/unnamed"
}

run_files_are_named() {
	for file in $RUN_FILES; do
		grep -qF "\`$file\`" "$root/results/README.md" || {
			echo "$file: what is it?"
			return 1
		}
	done
}

given=$root/experiments
report
ok "of the reference results" status_is 0
ok "it says where it is" grep -qx "$folder/report/report.html" "$folder/stdout"
ok "it is small" [ "$(du -k "$folder/report/report.html" | cut -f 1)" -lt $KIB_AT_MOST ]
browser_start 1400 900 > "$folder/started" 2>&1
ok "a browser starts" browser_has_started
ok "and opens it" browser_open "file://$folder/report/report.html"
ok "each table is there, with each row" tables_are_there
ok "its figures are those of the TSV" figures_are experiments/exit-multiplication/results/depth.tsv
ok "published columns are marked" published_are_marked
ok "each plot of the results is there" plots_are_there
ok "with its lines" browser_is "return [...document.querySelectorAll('.plot svg')].every(plot =>
	plot.querySelectorAll('path').length > 5)"
ok "no id is there twice" browser_is "const ids = [...document.querySelectorAll('[id]')].map(node => node.id);
	return new Set(ids).size === ids.length"
ok "each switch is there" browser_is "return document.querySelectorAll('#switches tbody tr').length ===
	$(switch_table | wc -l)"
ok "an exit is chosen from the start" agrees_with_trace default
ok "its exits are the traces'" exits_are_the_trace_s

ok "another run" choose run unshadowed
ok "one reason" choose reason "cpuid L1"
ok "leaves its exits only" filtered cpuid
third=$(nth_item 2) fourth=$(nth_item 3)
ok "a click" browser_click "#exits [role=option]:nth-child(3)"
ok "chooses an exit" chosen_is "$third"
ok "its steps and sums are those of turtles trace" agrees_with_trace unshadowed
ok "the button" browser_click "#next"
ok "goes to the next" chosen_is "$fourth"
ok "with its own steps" agrees_with_trace unshadowed
ok "and back" browser_click "#previous"
ok "to the one before" chosen_is "$third"
ok "a key in the list" browser_type "#exits" "$DOWN"
ok "goes down" chosen_is "$fourth"
ok "to scale" browser_click "[name=scale][value=linear]"
ok "each step still has a bar" agrees_with_trace unshadowed
ok "the same exit of another run" same_exit_in kvm87
ok "a word" browser_type "#search" "leaf 0x80000000"
ok "finds the exits that have it" browser_is "const found = [...document.querySelectorAll('#exits .what small')];
	return found.length > 0 && found.every(detail => detail.textContent === 'leaf 0x80000000')"
ok "what nothing has" browser_type "#search" "nonesuch"
ok "leaves none, and says so" browser_is "return document.getElementById('exit').hidden &&
	document.getElementById('exits').textContent === 'No exit is like that.'"
ok "an address that names an exit" browser_open "file://$folder/report/report.html#exit=ept:1"
ok "shows it" browser_is "return document.getElementById('title').textContent.startsWith('Exit 1: ept_violation') &&
	document.getElementById('run').value === 'ept'"
ok "wide and light" looks 1400 light
ok "the contents stay in view" contents_stay
ok "narrow and dark" looks 390 dark
ok "and there too" contents_stay
ok "it loads nothing but itself" loads_nothing
ok "no errors" no_errors
ok "in Markdown each table is there" [ "$(grep -c '^From .*\.tsv$' "$folder/report/report.md")" -eq \
	"$(reference_files tsv | wc -l)" ]

trace=$folder/trace
mv "$folder/report/traces/ept" "$trace"
given=$folder/experiments
make_experiments
report --trace "$trace"
ok "of other experiments, with a run of one's own" status_is 0
ok "opens" browser_open "file://$folder/report/report.html"
ok "text stays text" stays_text
ok "the missing plot is drawn" browser_is "return document.querySelectorAll('#hostile .plot svg path').length > 5"
ok "what is modelled is marked" browser_is "return document.querySelectorAll('#hostile td.modelled').length === 2"
ok "what was not run is told" browser_is "return document.querySelector('#untried .empty').textContent
	.includes('exp untried')"
ok "that run is in the explorer" browser_is "return document.querySelectorAll('#run option').length === 1 &&
	document.getElementById('origin').textContent.includes('$trace')"
ok "no errors here" no_errors

# An experiment's own results, in short form, where ./turtles exp leaves them.
mine=mine$$
mkdir -p "$given/$mine" "$BUILD/experiments/$mine.quick/results"
printf '# %s: whose?\n' $mine > "$given/$mine/README.md"
printf 'tables=t\n' > "$given/$mine/experiment.sh"
printf '# commit: c\nname\tcount\nx\t42\n' > "$BUILD/experiments/$mine.quick/results/t.tsv"
report --results own --trace "$trace"
rm -r "$BUILD/experiments/$mine.quick"
ok "of one's own results" status_is 0
ok "which are there, and told as such" grep -q "<td>42</td>" "$folder/report/report.html"
ok "with the command that makes them" grep -q "exp $mine --quick" "$folder/report/report.html"

ok "refused: no results of one's own" refused 2 'no results of your own are there; type: ./turtles exp NAME' --results own
ok "refused: a run without a trace" refused 2 'it has no trace.bin' --trace "$given"
rm -r "$given/hostile"
ok "refused: no reference results" refused 2 'no reference results are there; type: ./turtles exp NAME --record'
ok "refused: whose results" refused 2 'takes reference or own, not "both"' --results both
ok "refused: an unknown option" refused 2 'unknown option "--pdf"' --pdf
ok "results/README.md names each result" results_are_named
ok "and each file of a run" run_files_are_named
plan $number
