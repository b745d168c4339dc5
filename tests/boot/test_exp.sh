#!/bin/sh
# turtles exp: the example of docs/experiments.md, from its declaration to its reference results, and what is refused.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

export TURTLES_EXPERIMENTS="$folder/experiments"
example=$TURTLES_EXPERIMENTS/cpuid-models
kept=$folder/kept

# The two files of the example, as the document has them.
write_example() {
	mkdir -p "$example"
	sed -n 's/^    \(# cpuid-models: .*\)/\1/p' "$root/docs/experiments.md" > "$example/README.md"
	awk '/^```$/ { inside = 0 } inside; /^```sh$/ { inside = 1 }' "$root/docs/experiments.md" > "$example/experiment.sh"
}

# An experiment of which no run takes a machine.
write_small() {
	mkdir -p "$TURTLES_EXPERIMENTS/small"
	echo '# small: what is it good for?' > "$TURTLES_EXPERIMENTS/small/README.md"
	cat > "$TURTLES_EXPERIMENTS/small/experiment.sh"
}

finished() {
	ls "$kept/points/corei7_skylake_x/key"
}

# The table has a row for each of the two CPU models, with as many exits as there were to be.
right_table() {
	cat "$kept/results/cost.tsv"
	[ "$(grep -c "^corei7_[a-z0-9_]*${tab}$1${tab}[1-9][0-9]*\$" "$kept/results/cost.tsv")" -eq 2 ] &&
		grep -q '^# machine: Bochs .*corei7_haswell.*; .*corei7_skylake_x' "$kept/results/cost.tsv"
}

same_time() {
	[ "$(cat "$kept/points/corei7_skylake_x/started")" = "$first_start" ]
}

printed() {
	cat "$folder/stdout" "$folder/stderr"
	cat "$folder/stdout" "$folder/stderr" | grep -q -e "$1"
}

# No process is left whose command line has the point's folder or the sleep of the long point.
none_left() {
	for process in /proc/[0-9]*/cmdline; do
		case $(tr '\0' ' ' 2> /dev/null < "$process") in
		*"sleep 5171.$$"*)
			echo "still running: $process"
			return 1
			;;
		esac
	done
}

some_left() {
	! none_left
}

write_example
turtles exp list
ok "list names the experiment and its question" printed '^cpuid-models  *what does a CPUID'
turtles exp cpuid-models --quick --out "$kept" --record
ok "the example of the document runs" status_is 0
ok "its table is right" right_table 100
ok "progress is told" printed 'cpuid-models: 2 of 2 points'
ok "its reference results are recorded" cmp "$kept/results/cost.tsv" "$example/results/quick/cost.tsv"
first_start=$(cat "$kept/points/corei7_skylake_x/started")
turtles exp diff "$example/results/quick" "$kept"
ok "diff: no difference" status_is 0

sleep 1
rm "$kept/points/corei7_haswell_4770/key"
turtles exp cpuid-models --quick --out "$kept"
ok "an interrupted run is taken up again" status_is 0
ok "a finished point is not run again" same_time
sed -i 's/count=100$/count=200/' "$example/experiment.sh"
turtles exp cpuid-models --quick --out "$kept" --jobs 1
ok "a changed experiment is run again" right_table 200

turtles exp diff "$example/results/quick/cost.tsv" "$kept/results/cost.tsv"
ok "diff: a difference is status 1" status_is 1
ok "diff: and told by row and column" printed '^table  corei7_skylake_x  *exits  *100  *200  *2.000'
turtles exp diff "$example/results/quick" "$kept" --within 150
ok "diff: within so many percent it is none" status_is 0
turtles exp diff "$kept" "$example/results/quick" --rise 5
ok "diff: a fall is no rise" status_is 0
turtles exp diff "$example/results/quick" "$kept" --rise 5
ok "diff: a rise is one" status_is 1
sed 's/exits/ratio/' "$example/results/quick/cost.tsv" > "$folder/ratio_a.tsv"
sed 's/exits/ratio/' "$kept/results/cost.tsv" > "$folder/ratio_b.tsv"
turtles exp diff "$folder/ratio_a.tsv" "$folder/ratio_b.tsv" --rise 5
ok "diff: but not of a ratio" status_is 0
sed -i /skylake/d "$kept/results/cost.tsv"
turtles exp diff "$example/results/quick" "$kept" --rise 500
ok "diff: a row that is not there is a difference" printed 'corei7_skylake_x .* no such row'

write_small << 'END'
tables=all
points() { echo 'good true'; echo 'bad echo it broke; false'; }
table() { printf 'name\tvalue\n'; }
END
turtles exp small --out "$folder/small"
ok "a point that fails fails the run" status_is 1
ok "which says why in one line" printed 'the point bad failed:.*it broke.*log$'

write_small << 'EOF'
tables=all
plots=curve
points() { echo 'one true'; }
table() { printf 'x\ty\n1\t2\n2\t4\n'; }
plot() { echo "plot '$results/all.tsv' using \"x\":\"y\" with lines title 'a curve of two points'"; }
EOF
turtles exp small --out "$folder/small" --record
ok "a plot is drawn, with its key and its provenance" grep -q 'a curve of two points' "$folder/small/results/curve.svg"
ok "and has the commit at its foot" grep -q 'commit: ' "$folder/small/results/curve.svg"
ok "the SVG is recorded" cmp "$folder/small/results/curve.svg" "$TURTLES_EXPERIMENTS/small/results/curve.svg"
ok "and there is a PNG" test -s "$folder/small/results/curve.png"
GNUPLOT=$folder/nothing turtles exp small --out "$folder/small"
ok "without gnuplot there are tables" status_is 0
ok "and a line that says what to install" printed 'no plots of small.* gnuplot-nox$'
rm -r "$TURTLES_EXPERIMENTS/small/results"

write_small << END
tables=all
points() { echo 'long sleep 5171.$$'; }
END
"$root/turtles" exp small --out "$folder/small" > "$folder/stdout" 2> "$folder/stderr" &
experiment=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
	none_left > /dev/null || break
	sleep 0.5
done
ok "a point runs" some_left
kill "$experiment"
wait "$experiment" || status=$?
ok "a run that is ended says so" status_is 143
ok "and leaves nothing running" none_left

write_small << 'END'
points() { echo 'one true'; echo 'one true'; }
END
turtles exp small --out "$folder/small"
ok "two points of one name are refused" one_error 'the points of small: one is there twice'
turtles exp frobnicate
ok "an unknown experiment is refused" one_error 'no experiment is called "frobnicate"; there are: cpuid-models small'
turtles exp small --jobs 0
ok "no jobs are refused" one_error 'jobs takes a number from 1, not "0"'
turtles exp small --frobnicate
ok "an unknown option is refused" one_error 'unknown option "--frobnicate"'
turtles exp diff small
ok "diff of one is refused" one_error 'diff takes two sets of results'
turtles exp diff small nowhere
ok "diff of what is not there is refused" one_error 'small has no results'
turtles exp
ok "nothing to do is refused" one_error "takes list, diff or an experiment's name"
plan $number
