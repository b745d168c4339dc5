# shellcheck shell=sh
# shellcheck disable=SC2154 # variables come from the script that sources this
# The host's own view of a run: what its KVM, the level below L0, saw leave. Sourced by the machine kinds on KVM.

# Seconds until perf has opened its tracepoints, and until it has written its file.
PERF_PATIENCE=10

kvm_perf_check() {
	perf --version > /dev/null 2>&1 || die "$STATUS_FAILURE" "no perf on this machine: sudo apt-get install linux-perf"
	perf stat -e kvm:kvm_exit true > "${TMPDIR:-/tmp}/turtles-perf-$$" 2>&1 || kvm_perf_said=no
	rm -f "${TMPDIR:-/tmp}/turtles-perf-$$"
	[ -z "${kvm_perf_said-}" ] ||
		die "$STATUS_FAILURE" "perf cannot see KVM's tracepoints; sudo sysctl kernel.perf_event_paranoid=-1, or run as root"
}

# kvm_perf_start PID: records that process until kvm_perf_stop.
kvm_perf_start() {
	perf kvm stat record -p "$1" -o "$out/perf.data" > "$work/perf.txt" 2>&1 &
	recorder=$!
	kvm_perf_tries=$((PERF_PATIENCE * 5))
	while [ $kvm_perf_tries -gt 0 ]; do
		kvm_perf_tries=$((kvm_perf_tries - 1))
		[ ! -s "$out/perf.data" ] || break
		kill -0 $recorder 2> "$work/kill.txt" || die "$STATUS_FAILURE" "perf ended at once: $(tail -n 1 "$work/perf.txt")"
		sleep 0.2
	done
}

# Leaves perf.data for perf's own tools, and perf.txt, its table by exit reason.
kvm_perf_stop() {
	[ -n "${recorder-}" ] || return 0
	kill -INT "$recorder" 2> "$work/kill.txt" || :
	wait "$recorder" || :
	recorder=''
	perf kvm -i "$out/perf.data" stat report > "$out/perf.txt" 2> "$work/perf-report.txt" ||
		say "perf kvm stat report: $(tail -n 1 "$work/perf-report.txt")"
}
