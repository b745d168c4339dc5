# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
configuration="L1: the bench; peer: Debian's Linux and KVM, mitigations=off, kvmrun as VMM; instructions of L0, net of (a)"
emulator="its figures are traced by the debugger of Bochs"
STEPS=5
[ -z "$quick" ] || STEPS=3
BENCH="ticks=50000 repeats=4 steps=$STEPS"

# The settings of Turtles: the default, and each other value of each switch that is for speed. A name and what is set.
settings() {
	echo "default"
	if [ -n "$quick" ]; then
		echo "no_vmcs_shadowing vmcs_shadowing=off"
		return
	fi
	switch_table | awk -F '\t' '
	$1 ~ /^(l1|icr|tick|test_fault|log)$/ { next }
	$3 == "on|off" && $2 == "on" { print "no_" $1, $1 "=off" }
	$3 != "on|off" && $3 ~ /[|]/ {
		n = split($3, value, "|")
		for (i = 1; i <= n; i++) if (value[i] != $2) print $1 "_" value[i], $1 "=" value[i]
	}'
}

# The machine for which the bench is L0's own first guest.
bench_on() {
	TURTLES_STEPS=$STEPS run --l1 bench --memory 128 --timeout 300 --append "$BENCH" "$@"
}

# The same image under KVM: a guest of a guest of the bare CPU.
bench_under_kvm() {
	TURTLES_STEPS=$STEPS run --bare --l1 linux --l2 bench --timeout 1800 --l2-append "$BENCH" \
		--append "kvm_intel.enable_shadow_vmcs=$1"
}

# What does not run on Turtles depends on less.
sources_of() {
	case $1 in
	bare | kvm*)
		echo boot include lib tools l1/bench l1/linux l1/minivisor scripts/linux.sh scripts/l1-linux.sh \
			scripts/machine-bochs.sh scripts/steps.awk
		;;
	*) echo Makefile boot ept_merge include l0 l1 lib scripts tools vmcs_shadow ;;
	esac
}

points() {
	if [ -z "$quick" ]; then
		echo "kvm_shadowing bench_under_kvm 1"
		echo "kvm_no_shadowing bench_under_kvm 0"
	fi
	echo "bare bench_on --bare"
	settings | while read -r setting switch; do
		echo "turtles_$setting bench_on${switch:+ --set $switch}"
	done
}
