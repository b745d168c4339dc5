# shellcheck shell=sh
# shellcheck disable=SC2154 # variables come from the script that sources this
# What experiments are made of: see docs/experiments.md. Sourced by exp.sh, with $root, and in a point with $point, its
# folder; by tables, with $points, where the folders of all points are.

# experiment_table: name and question of each, a tab between, from the first line of its README.
experiment_table() {
	for experiment_file in "$experiments"/*/README.md; do
		[ -e "$experiment_file" ] || continue
		experiment_name=$(basename "$(dirname "$experiment_file")")
		sed -n "1s,^# *$experiment_name: *,$experiment_name$tab,p" "$experiment_file"
	done
}

# sources_of ID: what a point's figures depend on, beside its command and its experiment; an experiment may know better.
sources_of() {
	echo Makefile boot ept_merge include l0 l1 lib scripts tools vmcs_shadow
}

# run ARGUMENT...: `turtles run`, its folder the point's "run"; run_in NAME ARGUMENT...: the same, "NAME".
run_in() {
	run_folder=$1
	shift
	# shellcheck disable=SC2086 # words
	"$root/turtles" run --out "$point/$run_folder" ${TURTLES_WORDS-} "$@"
}

run() {
	run_in run "$@"
}

# run_fact RUN KEY: a value of its run.tsv.
run_fact() {
	awk -F '\t' -v key="$2" '$1 == key { print $2 }' "$1/run.tsv"
}

# run_exits RUN FROM REASON OWNER COLUMN: a number of its exits.tsv; 0 if there was no such exit. l0_instructions and l1_instructions
# are l0_cycles and l1_cycles of a run that measured those.
run_exits() {
	awk -F '\t' -v from="$2" -v reason="$3" -v owner="$4" -v column="$5" '
	NR == 1 {
		for (i = 1; i <= NF; i++) {
			sub(/_cycles$/, "_instructions", $i)
			if ($i == column) wanted = i
		}
		next
	}
	$1 == from && $2 == reason && $3 == owner { value = $wanted }
	END { print value + 0 }' "$1/exits.tsv"
}

# bench_ticks POINT: of each operation of l1/bench, what one more of it takes.
bench_ticks() {
	tr -d '\r' < "$points/$1/run/console.txt" | sed -n 's/^.*bench: //p' | awk -v OFS='\t' '
	NF == 5 { print $1, ($5 - $3) / ($4 - $2) }'
}

# bench_counts POINT: of each operation of l1/bench, what L0 executed in the step that is the median by its instructions, the
# columns those of steps.tsv from the third on. The VMCALL that tells L1 of the end of what L0 does alone is taken off.
bench_counts() {
	{
		bench_ticks "$1" | sed 's/^/name\t/'
		sed '1d; s/^/step\t/' "$points/$1/run/steps.tsv"
	} | awk -F '\t' -v OFS='\t' '
	$1 == "name" { name[++names] = $2; next }
	{
		line[$2, ++steps[$2]] = $0
		cost[$2, steps[$2]] = $4
		if ($2 > windows) windows = $2
	}
	END {
		for (w = 1; w <= windows; w++) {
			for (i = 1; i <= steps[w]; i++) {
				lower = equal = 0
				for (j = 1; j <= steps[w]; j++) {
					lower += cost[w, j] < cost[w, i]
					equal += cost[w, j] == cost[w, i]
				}
				if (lower <= (steps[w] - 1) / 2 && lower + equal > (steps[w] - 1) / 2) break
			}
			parts = split(line[w, i], part, "\t")
			told = name[w]
			for (i = 4; i <= parts; i++) {
				if (name[w] == "l2_vmcall") vmcall[i] = part[i]
				told = told OFS part[i] - (name[w] ~ /^l0_/ ? vmcall[i] : 0)
			}
			print told
		}
	}'
}

# modelled WHAT PROFILE [TABLE]: the cost model (scripts/cost-model.awk) with the prices of that processor (experiments/costs),
# calibrated by the counts of experiments/cost-model, on those or on TABLE: a TSV with the columns operation, l0 and counts in
# the words of steps.tsv. "modelled price haswell-e5-2630v3 FILE" prints l0:operation, low, value, high of each row of FILE, in
# cycles. Where a machine's time-stamp counter counts cycles they are measured; there is nothing to model.
modelled() {
	[ -e "$experiments/costs/$2.tsv" ] || die "$STATUS_USAGE" "no processor is called \"$2\"; there are: $(processors)"
	awk -v what="$1" -f "$root/scripts/cost-model.awk" "$experiments/costs/$2.tsv" \
		"$experiments/cost-model/points.tsv" "$experiments/cost-model/results/counts.tsv" ${3+"$3"}
}

# processors: those that have prices, in one line.
processors() {
	for processor_file in "$experiments"/costs/*.tsv; do
		basename "$processor_file" .tsv
	done | paste -s -d ' ' -
}

# show_table FILE: a TSV in columns, numbers to the right; comments are left out.
show_table() {
	awk -F '\t' '
	/^#/ { next }
	{
		rows++
		for (i = 1; i <= NF; i++) {
			cell[rows, i] = $i
			if (length($i) > width[i]) width[i] = length($i)
			if (rows > 1 && $i !~ /^[-+]?[0-9.]+$/ && $i != "-") text[i] = 1
		}
		if (NF > columns) columns = NF
	}
	END {
		for (r = 1; r <= rows; r++) {
			line = ""
			for (i = 1; i <= columns; i++)
				line = line sprintf("%" (text[i] ? "-" : "") width[i] "s  ", cell[r, i])
			sub(/ +$/, "", line)
			print line
		}
	}' "$1"
}

# plot_head FORMAT FILE: what begins each plot: where it goes, how tables are read (their columns by name), and below it
# what the figures come from, by the provenance on standard input.
plot_head() {
	case $1 in
	svg) plot_terminal="svg size 960,600 dynamic background rgb 'white' font 'Arial,14'" ;;
	png) plot_terminal="pngcairo size 960,600 font 'Sans,11'" ;;
	esac
	printf "set terminal %s\nset output '%s'\n" "$plot_terminal" "$2"
	printf "%s\n" "set datafile separator tab" "set datafile columnheaders" "set datafile missing '-'" \
		"set bmargin 9" "set grid" "set border 3" "set tics nomirror"
	sed -e 's/^# //' -e "s/'/''/g" | awk '
	{ y = 0.11 - 0.024 * NR; printf "set label '\''%s'\'' at screen 0.01, %.3f left noenhanced font '\'',9'\''\n", $0, y }'
}
