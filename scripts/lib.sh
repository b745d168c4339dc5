# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# What the scripts share; sourced, with $root set to the tree's top.

STATUS_FAILURE=1
STATUS_USAGE=2
STATUS_TIMEOUT=124

# What a run may leave in its folder.
RUN_FILES="console.txt l0.txt summary.txt exits.tsv fields.tsv run.tsv machine.log witness.tsv steps.tsv visits.tsv trace.tsv trace.bin
	turtles.iso domain.xml perf.data perf.txt l1-perf.tsv"

# Where make builds, as make is told, and for the scripts from any place.
build_name=${BUILD:-build}
case $build_name in
/*) BUILD=$build_name ;;
*) BUILD=$root/$build_name ;;
esac
tab=$(printf '\t')
newline='
'

# say MESSAGE: one line for the person at the terminal.
say() {
	printf 'turtles: %s\n' "$*" >&2
}

# die STATUS MESSAGE
die() {
	die_status=$1
	shift
	say "$*"
	exit "$die_status"
}

# is_number TEXT: a decimal number of at most nine digits.
is_number() {
	case $1 in
	'' | *[!0-9]* | ??????????*) return 1 ;;
	esac
}

# switch_table: name, default, values, meaning of L0's boot switches, a line each, tabs between.
switch_table() {
	awk -F '"' '/^OPTION\(/ {
		name = $1
		gsub(/^OPTION\(|[, ]+$/, "", name)
		printf "%s\t%s\t%s\t%s\n", name, $2, $4, $6
	}' "$root/l0/options.def"
}

# slow_settings: each switch that is an optimization, at its slow setting, a line each; slots are slowest with one. drw is
# none: it is an offer, which L1 can see.
slow_settings() {
	switch_table | while IFS=$tab read -r switch_name switch_standard switch_values _; do
		case $switch_name,$switch_standard,$switch_values in
		drw,*) ;;
		*,on,on\|off) echo "$switch_name=off" ;;
		*_slots,*,*..*) echo "$switch_name=${switch_values%..*}" ;;
		shadow_fields,*)
			printf '%s\n' "$switch_values" | tr '|' '\n' | grep -vx "$switch_standard" | sed "s/^/$switch_name=/"
			;;
		esac
	done
}

# guest_table: name, what it does of the L2 payloads, from each one's first line.
guest_table() {
	for guest_file in "$root"/l1/guests/*.c; do
		[ -e "$guest_file" ] || continue
		guest_name=${guest_file##*/}
		sed -n '1s,^/\* *'"${guest_name%.c}"': *\(.*[^ ]\) *\*/ *$,'"${guest_name%.c}$tab"'\1,p' "$guest_file"
	done
}

# cpu_table: model, yes or no (has VMX), remark.
cpu_table() {
	grep -v '^#' "$root/scripts/cpu-models.txt"
}

# names TABLE-COMMAND: its first column in one line.
names() {
	"$1" | cut -f 1 | paste -s -d ' ' -
}

# make_quietly ARGUMENT...: builds, one make at a time; its output is shown only if that fails. Targets are named as
# make knows them, below the tree's top.
make_quietly() {
	mkdir -p "$BUILD"
	for make_argument in "$@"; do
		shift
		set -- "$@" "${make_argument#"$root/"}"
	done
	if ! make_output=$(flock "$BUILD/.lock" "${MAKE:-make}" -s -j"$(nproc)" -C "$root" BUILD="$build_name" "$@" 2>&1); then
		printf '%s\n' "$make_output" >&2
		die "$STATUS_FAILURE" "the build failed, see above"
	fi
}

# package_table GROUP...: group, package, what it is known by.
package_table() {
	for group in "$@"; do
		grep "^$group$tab" "$root/scripts/packages.txt"
	done
}

# is_present PROBE: a file, or a command.
is_present() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" > /dev/null ;;
	esac
}

# missing_packages GROUP...: their names in one line.
missing_packages() {
	package_table "$@" | while IFS=$tab read -r group package probe; do
		is_present "$probe" || printf '%s\n' "$package"
	done | paste -s -d ' ' -
}

install_command() {
	printf 'apt-get install --yes --no-install-recommends %s\n' "$1"
}

# is_linux FILE: a bzImage, by the magic of its setup header.
is_linux() {
	[ "$(dd if="$1" bs=1 skip=514 count=4 2> /dev/null | tr -d '\0')" = HdrS ]
}
