#!/bin/sh
# turtles exp: runs an experiment, point by point, and makes its tables. docs/experiments.md tells how to add one.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
experiments=${TURTLES_EXPERIMENTS:-$root/experiments}
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"
# shellcheck source=scripts/exp-lib.sh
. "$root/scripts/exp-lib.sh"
# shellcheck source=scripts/exp-hosts.sh
. "$root/scripts/exp-hosts.sh"
# shellcheck source=scripts/exp-machine.sh
. "$root/scripts/exp-machine.sh"

POLL_SECONDS=0.2
TELL_SECONDS=30
GNUPLOT=${GNUPLOT:-gnuplot}

usage() {
	cat <<'END'
usage: ./turtles exp list
       ./turtles exp NAME [--quick] [--jobs N] [--hosts FILE] [--machine KIND] [--repeat N] [OPTION]...
       ./turtles exp diff A B [--within PERCENT | --rise PERCENT]
  list               the experiments there are
  NAME               runs that experiment and prints its tables. What was interrupted is taken up again: finished points
                     are not run again while command and sources are the same
    --quick          fewer or shorter points
    --jobs N         points at a time (as many as there are CPUs)
    --hosts FILE     points run on the hosts it names, a line each: [JOBS/][USER@]HOST, by ssh, or [JOBS/]: for here
    --machine KIND   bochs, which counts instructions, or qemu or libvirt, which measure cycles (bochs)
    --accel, --connect   with --machine, as of ./turtles run
    --repeat N       each point N times, and once before that does not count; tables give minimum, median and maximum
                     (where cycles are measured 10)
    --keep           finished points are kept though the sources have changed
    --record         the tables become the reference results, experiments/NAME/results (those of --quick: results/quick)
    --out DIR        where points and tables are kept (build/experiments/NAME, NAME.quick, NAME.KIND)
  diff A B           what changed between two sets of results: each an experiment's name (its reference results), a
                     folder or a TSV file
    --within PERCENT not told: figures that differ by no more than that
    --rise PERCENT   told are only figures that B has so much higher, and rows that one of the two has not; no percentages,
                   ratios and factors
Exit status: 0 success, or no difference; 1 a point failed, or there are differences; 2 wrong usage.
END
}

wrong() {
	die "$STATUS_USAGE" "$1; ./turtles exp --help tells more"
}

parse() {
	name=$1 quick='' jobs='' hosts='' machine=bochs accel='' connect='' repeat='' keep='' record='' out=''
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--quick) quick=yes ;;
		--keep) keep=yes ;;
		--record) record=yes ;;
		--jobs | --hosts | --machine | --accel | --connect | --repeat | --out)
			[ $# -ge 2 ] || wrong "$1 needs a value"
			case $1 in
			--jobs) jobs=$2 ;;
			--hosts) hosts=$2 ;;
			--machine) machine=$2 ;;
			--accel) accel=$2 ;;
			--connect) connect=$2 ;;
			--repeat) repeat=$2 ;;
			--out) out=$2 ;;
			esac
			shift
			;;
		*) wrong "unknown option \"$1\"" ;;
		esac
		shift
	done
	[ -z "$jobs" ] || { is_number "$jobs" && [ "$jobs" -ge 1 ]; } || wrong "--jobs takes a number from 1, not \"$jobs\""
	[ -z "$hosts" ] || hosts_usage
}

# load: the script of $name, which defines $configuration, $tables, points() and table(), and maybe $plots and plot().
load() {
	experiment_table | cut -f 1 | grep -qxF -e "$name" ||
		wrong "no experiment is called \"$name\"; there are: $(names experiment_table)"
	configuration='' tables='' plots='' emulator=''
	# shellcheck source=/dev/null # known when it runs
	. "$experiments/$name/experiment.sh"
	# shellcheck source=/dev/null # the same
	[ ! -e "$experiments/$name/tables.sh" ] || . "$experiments/$name/tables.sh"
}

# list_points: the script's lines, checked: "ID COMMAND"; where points are repeated, a line each time.
list_points() {
	points > "$state/declared"
	awk '
	$1 !~ /^[A-Za-z0-9][A-Za-z0-9_.-]*$/ { print "line " NR " has no name of letters, digits, _ . and -"; exit }
	NF < 2 { print $1 " has no command"; exit }
	$1 in seen { print $1 " is there twice"; exit }
	{ seen[$1] = 1 }
	END { if (!NR) print "there are none" }' "$state/declared" > "$state/complaint"
	[ ! -s "$state/complaint" ] || die "$STATUS_FAILURE" "the points of $name: $(head -n 1 "$state/complaint")"
	repeated < "$state/declared" > "$state/points.txt"
}

# source_sum ID: of what the point's figures depend on, beside its command.
source_sum() {
	(
		cd "$root"
		# shellcheck disable=SC2046 # words
		find $(sources_of "$1") -type f -exec cksum {} + | sort | cksum
		cksum < "$experiments/$name/experiment.sh"
	) | paste -s -d ' ' -
}

# point_key ID COMMAND
point_key() {
	source_sum "${1%@*}"
	printf '%s\n' "$2" ${run_words:+"$run_words"}
}

# is_finished ID COMMAND: true if the point need not run.
is_finished() {
	[ -e "$points/$1/key" ] || return 1
	[ -n "$keep" ] || point_key "$1" "$2" | cmp -s - "$points/$1/key"
}

# queue_points: what is still to be run, to $state/queue.
queue_points() {
	while read -r id command; do
		is_finished "$id" "$command" && continue
		rm -f "$points/$id/key"
		printf '%s %s\n' "$id" "$command"
	done < "$state/points.txt" > "$state/queue"
}

# start_point ID COMMAND: in a session of its own, so that all it has started can be ended.
start_point() {
	rm -rf "${points:?}/$1"
	mkdir -p "$points/$1"
	point_key "$1" "$2" > "$points/$1/key.new"
	date +%s > "$points/$1/started"
	TURTLES_QUICK=$quick TURTLES_POINTS=$points TURTLES_WORDS=$run_words setsid "$0" --point "$name" "$1" \
		> "$points/$1/log" 2>&1 < /dev/null &
	running="$running $!:$1"
	busy=$((busy + 1))
}

# The process of a point itself, by start_point.
run_point() {
	name=$1 quick=$TURTLES_QUICK points=$TURTLES_POINTS point=$TURTLES_POINTS/$2
	export quick point
	load
	command=$(points | awk -v id="${2%@*}" '$1 == id { sub(/^[^ \t]+[ \t]+/, ""); print }')
	cd "$root"
	eval "$command"
}

has_ended() {
	stat=$(cat "/proc/$1/stat" 2> "$state/ignored") || return 0
	case $stat in
	*') Z '*) return 0 ;;
	esac
	return 1
}

# end_point PID ID: the process of a point has ended.
end_point() {
	point_status=0
	wait "$1" || point_status=$?
	read -r started < "$points/$2/started"
	note_end "$2" $point_status $(($(date +%s) - started))
}

# note_end ID STATUS SECONDS: what became of a point.
note_end() {
	if [ "$2" -ne 0 ]; then
		failed="$failed $1"
		return
	fi
	mv "$points/$1/key.new" "$points/$1/key"
	printf '%s %s\n' "$1" "$3" >> "$state/times"
}

reap() {
	still=''
	for process in $running; do
		if has_ended "${process%%:*}"; then
			end_point "${process%%:*}" "${process#*:}"
			busy=$((busy - 1))
		else
			still="$still $process"
		fi
	done
	running=$still
}

# progress: how many of the points are finished, and the time left, by what each took before or the others take now.
progress() {
	{
		sed 's/^/time /' "$state/times"
		for process in $running; do
			read -r started < "$points/${process#*:}/started"
			printf 'running %s %s\n' "${process#*:}" "$started"
		done
		sed 's/^/queued /' "$state/queue"
		for id in $failed; do
			printf 'failed %s\n' "$id"
		done
		while read -r id _; do
			[ ! -e "$points/$id/key" ] || printf 'finished %s\n' "$id"
		done < "$state/points.txt"
	} | awk -v now="$(date +%s)" -v jobs="$jobs" -v all="$(wc -l < "$state/points.txt")" -v name="$name" '
	$1 == "time" { took[$2] = $3; sum += $3; known++ }
	$1 == "running" { since[$2] = $3; runs = runs " " $2 }
	$1 == "queued" { queued[$2] = 1 }
	$1 == "failed" { bad[$2] = 1; failures++ }
	$1 == "finished" { done[$2] = 1; finished++ }
	END {
		for (id in queued) {
			if (id in done || id in bad) continue
			expected = id in took ? took[id] : known ? sum / known : -1
			if (expected < 0) unknown = 1
			spent = id in since ? now - since[id] : 0
			here = expected > spent ? expected - spent : 1
			if (here > longest) longest = here
			left += here
		}
		left /= jobs
		if (left < longest) left = longest
		when = unknown ? "" : sprintf(", %d min %02d s left", left / 60, left % 60)
		printf "%s: %d of %d points%s%s%s\n", name, finished, all, failures ? ", " failures " failed" : "", when,
			runs == "" ? "" : "; now" runs
	}'
}

# tell: over the line before on a terminal; else now and then, and when a point has ended.
tell() {
	told_now=$(date +%s)
	if [ -t 2 ]; then
		[ "$told_now" -ne "$told" ] || return 0
		printf '\r\033[Kturtles: %s' "$(progress)" >&2
	else
		[ "$busy" -ne "$told_busy" ] || [ "$((told_now - told))" -ge $TELL_SECONDS ] || return 0
		say "$(progress)"
	fi
	told=$told_now told_busy=$busy
}

run_points() {
	jobs=${jobs:-$(nproc)}
	running='' busy=0 failed='' told=0 told_busy=-1
	exec 3< "$state/queue"
	while :; do
		reap
		while [ $busy -lt "$jobs" ] && read -r id command <&3; do
			start_point "$id" "$command"
		done
		[ $busy -gt 0 ] || break
		tell
		sleep $POLL_SECONDS
	done
	exec 3<&-
	[ ! -t 2 ] || printf '\r\033[K' >&2
	say "$(progress)"
}

tell_failures() {
	for id in $failed; do
		say "the point $id failed: $(tail -n 1 "$points/$id/log"); all of it is in $points/$id/log"
	done
	[ -z "$failed" ] || exit "$STATUS_FAILURE"
}

# What the points ran on; all of it, if not all ran on the same.
machines() {
	find "$points" -name run.tsv -exec awk -F '\t' '
	{ fact[$1] = $2 }
	END {
		print fact["emulator_version"] ", " fact["cpu_model"] ", " fact["cpus"] " CPU, " fact["memory_mib"] " MiB"
	}' {} \; | sort -u | paste -s -d ';' - | sed 's/;/; /g'
}

# commits: what the points' runs were of; with kept ones it may be more than one.
commits() {
	find "$points" -name run.tsv -exec awk -F '\t' '$1 == "commit" { print $2 }' {} + | sort | uniq -c | awk '
	{ runs[NR] = $1; commit[NR] = $2; all += $1 }
	END {
		for (i = 1; i <= NR; i++)
			printf "%s%s%s", (i > 1 ? ", " : ""), commit[i], (NR > 1 ? " (" runs[i] " of " all " runs)" : "")
	}'
}

# provenance: the head of every table.
provenance() {
	printf '# experiment: %s%s\n' "$name" "${quick:+ --quick}"
	commits=$(commits)
	printf '# commit: %s\n' "${commits:-$("$root/scripts/version.sh")}"
	printf '# machine: %s\n' "$(machines)"
	printf '# configuration: %s\n' "$(printf '%s' "$configuration" | sed "s/instructions/$figure_unit/g")"
	unit_line
}

make_tables() {
	rm -rf "$results"
	mkdir -p "$results"
	for table_name in $tables; do
		make_table "$table_name" "$state/table" || die "$STATUS_FAILURE" "the table $table_name of $name cannot be made"
		{
			provenance
			cat "$state/table"
		} > "$results/$table_name.tsv"
		printf '\n%s\n' "$table_name"
		show_table "$results/$table_name.tsv"
	done
}

# make_plots: of each of $plots an SVG and a PNG beside the tables. What is wrong with one is told; the tables are there.
make_plots() {
	[ -n "$plots" ] || return 0
	if [ -n "$repeat" ]; then
		say "no plots of $name: they are of single figures, and points were repeated"
		return 0
	fi
	if ! command -v "$GNUPLOT" > /dev/null; then
		say "no plots of $name, for there is no gnuplot; type: $(install_command "$(package_table plots | cut -f 2)")"
		return 0
	fi
	for plot_name in $plots; do
		for plot_format in svg png; do
			{
				provenance | plot_head $plot_format "$results/$plot_name.$plot_format"
				plot "$plot_name"
			} | "$GNUPLOT" - 2> "$state/complaint" ||
				say "the plot $plot_name.$plot_format of $name cannot be made: $(grep . "$state/complaint" | tail -n 1)"
		done
	done
}

record_tables() {
	reference=$experiments/$name/results${quick:+/quick}
	mkdir -p "$reference"
	rm -f "$reference"/*.tsv "$reference"/*.svg
	cp "$results"/*.tsv "$reference/"
	for plot_name in $plots; do
		[ ! -e "$results/$plot_name.svg" ] || cp "$results/$plot_name.svg" "$reference/"
	done
	say "recorded in $reference"
}

# shellcheck disable=SC2317 # called by trap
end_all() {
	trap '' INT TERM HUP
	hosts_end
	for process in ${running-}; do
		kill -- -"${process%%:*}" 2> "$state/ignored" || :
		wait "${process%%:*}" || :
	done
	[ -z "${state-}" ] || rm -f "$state/ignored" "$state/complaint" "$state/table" "$state/declared"
}

run_experiment() {
	parse "$@"
	load
	machine_usage
	out=${out:-$BUILD/experiments/$name${quick:+.quick}$([ "$machine" = bochs ] || echo ".$machine")}
	mkdir -p "$out/points" 2> /dev/null || wrong "--out $out: cannot make that folder"
	out=$(cd "$out" && pwd -P)
	state=$out points=$out/points results=$out/results
	touch "$state/times"
	trap end_all EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	list_points
	queue_points
	if [ -n "$hosts" ]; then
		run_points_on_hosts
	else
		run_points
	fi
	tell_failures
	check_units
	make_tables
	make_plots
	printf '\n%s\n' "$results"
	[ -z "$record" ] || record_tables
}

case ${1-} in
'') wrong "exp takes list, diff or an experiment's name" ;;
-h | --help) usage ;;
list)
	[ $# -eq 1 ] || wrong "list takes no more"
	experiment_table | awk -F '\t' '{ printf "%-20s  %s\n", $1, $2 }'
	;;
diff)
	shift
	exec "$root/scripts/exp-diff.sh" "$@"
	;;
--point) run_point "$2" "$3" ;;
--serve) serve_point "$2" "$3" "$4" "$5" "$6" ;;
--prepare) prepare_here "$2" ;;
--prepare-host)
	hosts_sum=$3 spread=$4
	hosts_prepare_one "$2"
	;;
-*) wrong "unknown option \"$1\"" ;;
*) run_experiment "$@" ;;
esac
