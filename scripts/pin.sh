# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# Which CPU of the host each CPU of a machine runs on, with --pin. Sourced by the machine kinds that measure time.

CPUS_ISOLATED=${CPUS_ISOLATED:-/sys/devices/system/cpu/isolated}

# cpu_list TEXT: "0,2-4" as a line each.
cpu_list() {
	printf '%s\n' "$1" | tr , '\n' | awk -F - 'NF { for (i = $1; i <= $NF; i++) print i }'
}

# pin_usage: sets $pin to as many CPUs of the host as the machine has, with spaces between. "auto" takes those that Linux keeps
# free of all else (isolcpus), or the last ones that this process may use.
pin_usage() {
	[ -n "$pin" ] || return 0
	case $pin in
	auto) pin=$(pin_auto) ;;
	*[!0-9,-]* | -* | *- | *--*) wrong "--pin takes a list of this host's CPUs as 2,3 or 4-7, or auto, not \"$pin\"" ;;
	*) pin=$(cpu_list "$pin" | paste -s -d ' ' -) ;;
	esac
	# shellcheck disable=SC2086 # words
	set -- $pin
	[ $# -ge "$cpus" ] || wrong "--pin has $# CPUs of this host for $cpus of the machine"
	[ -z "$connect" ] || return 0 # the CPUs of another host
	for pin_cpu in "$@"; do
		taskset -c "$pin_cpu" true 2> /dev/null || wrong "--pin: CPU $pin_cpu of this host is not there to be used"
	done
}

pin_auto() {
	{
		cpu_list "$(cat "$CPUS_ISOLATED" 2> /dev/null)"
		cpu_list "$(taskset -c -p $$ | sed 's/.*: //')" | sort -rn
	} | awk '!seen[$1]++' | head -n "$cpus" | paste -s -d ' ' -
}

# pin_cpu_of NUMBER: the host's CPU for that of the machine.
pin_cpu_of() {
	# shellcheck disable=SC2086 # words
	printf '%s\n' $pin | sed -n "$(($1 + 1))p"
}
