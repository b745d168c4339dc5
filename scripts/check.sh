#!/bin/sh
# check.sh PART...: runs the gates, the host tests, the fuzz targets and the boot tests (gates, host, fuzz, boot; also xen,
# linux, machines), all of them TAP, as many at a time as there are CPUs, and closes with "N passed, N failed".
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

results=$BUILD/check

part_tests() {
	case $1 in
	gates) printf '%s\n' "$root/scripts/gates.sh" ;;
	host) printf '%s\n' "$root"/tests/host/test_*.c | sed "s,.*/\(.*\)\.c,$BUILD/tests/\1," ;;
	fuzz) printf '%s\n' "$root"/tests/fuzz/fuzz_*.c | sed "s,.*/\(.*\)\.c,$BUILD/fuzzers/\1," ;;
	boot) printf '%s\n' "$root"/tests/boot/test_*.sh ;;
	xen) printf '%s\n' "$root"/tests/xen/test_*.sh ;;
	linux) printf '%s\n' "$root"/tests/linux/test_*.sh ;;
	machines) printf '%s\n' "$root"/tests/machines/test_*.sh ;;
	*) die "$STATUS_USAGE" "check.sh takes gates, host, fuzz, boot, xen, linux and machines, not \"$1\"" ;;
	esac
}

# TAP to one line: passed, failed, remarks. What was planned and not told, or skipped, has failed.
judge_tap() {
	awk -v status="$2" '
	/^1\.\.[0-9]+/ { plans++; planned += substr($1, 4) }
	/^ok / && !/# *(SKIP|skip|TODO|todo)/ { passed++; next }
	/^(not )?ok / { failed++ }
	END {
		told = passed + failed
		if (!plans) { failed++; remark = "no plan" }
		else if (told < planned) { failed += planned - told; remark = "planned " planned ", told " told }
		else if (told > planned) { failed++; remark = "planned " planned ", told " told }
		if (status && !failed) { failed++; remark = "ended with status " status }
		print passed + 0, failed + 0, remark
	}' "$1"
}

# run_one TEST: leaves NAME.tap and NAME.result, and tells of its end.
run_one() {
	name=$(basename "$1" .sh)
	tap=$results/$name.tap
	status=0
	case $1 in
	*/fuzzers/*) set -- "$root/scripts/libfuzzer.sh" check "$name" ;;
	esac
	CMOCKA_MESSAGE_OUTPUT=TAP "$@" > "$tap" 2>&1 < /dev/null || status=$?
	result=$(judge_tap "$tap" "$status")
	printf '%s\n' "$result" > "$results/$name.result"
	passed=${result%% *}
	failed=${result#* }
	if [ "${failed%% *}" -eq 0 ]; then
		printf 'ok      %-26s %3d passed\n' "$name" "$passed"
	else
		{
			printf 'FAILED  %-26s %3d passed, %d failed %s\n' "$name" "$passed" "${failed%% *}" "${failed#* }"
			grep -v '^ok ' "$tap" | tail -n 40 | sed 's/^/        /'
		} > "$results/$name.text"
		cat "$results/$name.text"
	fi
}

close() {
	cat "$results"/*.result | awk '{ passed += $1; failed += $2 }
	END {
		printf "%d passed, %d failed\n", passed, failed
		exit failed > 0 || passed == 0
	}'
}

main() {
	if [ "$1" = --one ]; then
		run_one "$2"
		return
	fi
	rm -rf "$results"
	mkdir -p "$results"
	for part in "$@"; do
		part_tests "$part"
	done > "$results/tests"
	case " $* " in
	*" fuzz "*) make_quietly all tests fuzzers ;;
	*) make_quietly all tests ;;
	esac
	case " $* " in
	*" linux "*) say "Linux and KVM as L1, at length: about ten minutes on two CPUs" ;;
	esac
	case " $* " in
	*" machines "*) say "L0 on KVM under QEMU and under libvirt: about three minutes on two CPUs" ;;
	esac
	xargs -n 1 -P "$(nproc)" "$0" --one < "$results/tests"
	close
}

main "$@"
