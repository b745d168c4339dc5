# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# Which machine the points of an experiment run on, and what is done where its time is measured instead of counted: each point
# runs several times, pinned, and a table is made of all. Sourced by exp.sh.

# Where time is measured.
REPEAT_MEASURED=10

machine_usage() {
	case $machine in
	bochs) figure_unit=instructions ;;
	qemu | libvirt) figure_unit=cycles ;;
	metal) wrong "--machine metal: every point would be an image that somebody boots; run one by ./turtles run" ;;
	*) wrong "--machine takes bochs, qemu or libvirt, not \"$machine\"" ;;
	esac
	[ "$figure_unit" = instructions ] || [ -z "$emulator" ] ||
		wrong "$name needs the emulator: $emulator"
	[ "$machine" != bochs ] || [ -z "$accel" ] || wrong "--accel is for --machine qemu and libvirt"
	[ "$machine" = libvirt ] || [ -z "$connect" ] || wrong "--connect is for --machine libvirt"
	[ "$figure_unit" = instructions ] || repeat=${repeat:-$REPEAT_MEASURED}
	[ -z "$repeat" ] || { is_number "$repeat" && [ "$repeat" -ge 1 ]; } ||
		wrong "--repeat takes a number from 1, not \"$repeat\""
	[ "$figure_unit" = instructions ] || jobs=${jobs:-1} # what runs beside a measurement is in it
	[ -z "$record" ] || { [ "$machine" = bochs ] && [ -z "$repeat" ]; } ||
		wrong "--record is for --machine bochs without --repeat: reference results are exact"
	machine_words
}

# machine_words: sets $run_words, which each `turtles run` of a point is given before its own.
machine_words() {
	run_words=''
	[ "$machine" != bochs ] || return 0
	run_words="--machine $machine${accel:+ --accel $accel}${connect:+ --connect $connect}"
	[ -n "$connect" ] || run_words="$run_words --pin auto"
}

# repeated: the lines "ID COMMAND", each once, or as ID@0, which only warms up, and ID@1 to ID@$repeat.
repeated() {
	awk -v repeat="${repeat:-0}" '
	!repeat { print; next }
	{
		id = $1
		sub(/^[^ \t]+/, "")
		for (r = 0; r <= repeat; r++) print id "@" r $0
	}'
}

# table_in_unit NAME FILE: a table, its head in the unit of the figures.
table_in_unit() {
	table "$1" > "$2.raw" || return
	sed "1s/instructions/$figure_unit/g" "$2.raw" > "$2"
	rm "$2.raw"
}

# make_table NAME FILE: from the points; with repetitions, one table of theirs.
make_table() {
	if [ -z "$repeat" ]; then
		table_in_unit "$1" "$2"
		return
	fi
	rm -rf "$state/tables"
	mkdir "$state/tables"
	all_points=$points
	for repetition in $(seq "$repeat"); do
		view_of "$repetition"
		points=$state/repetition
		table_in_unit "$1" "$state/tables/$(printf '%05d' "$repetition")" || return
		points=$all_points
	done
	awk -f "$root/scripts/exp-spread.awk" "$state"/tables/* > "$2" || return
	rm -rf "$state/repetition" "$state/tables"
}

# view_of NUMBER: the points of that repetition by their own names.
view_of() {
	rm -rf "$state/repetition"
	mkdir "$state/repetition"
	for repeated_point in "$all_points"/*@"$1"; do
		ln -s "$repeated_point" "$state/repetition/$(basename "${repeated_point%@*}")"
	done
}

# check_units: no table mixes what runs counted with what runs measured.
check_units() {
	units=$(find "$points" -name run.tsv -exec awk -F '\t' '$1 == "unit" { print $2 }' {} \; | sort -u | paste -s -d ' ' -)
	case $units in
	'' | "$figure_unit") ;;
	*) die "$STATUS_FAILURE" "the points of $name have figures in $units; no table is made of them in $figure_unit" ;;
	esac
}

# What the rest of a table's head says of that.
unit_line() {
	printf '# unit: %s\n' "$figure_unit"
	[ -z "$repeat" ] || printf '# repetitions: %s, and one before them that is thrown away\n' "$repeat"
}
