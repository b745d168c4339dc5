# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh
STEPS=9
BENCH="ticks=50000 repeats=4 steps=$STEPS"

# The bench as the first guest of L0.
bench_on() {
	TURTLES_STEPS=$STEPS run --l1 bench --memory 128 --timeout 300 --append "$BENCH" "$@"
}

# The same image as a guest of a guest: L0 is Debian's KVM.
bench_under_kvm() {
	TURTLES_STEPS=$STEPS run --bare --l1 linux --l2 bench --timeout 1800 --l2-append "$BENCH" \
		--append "kvm_intel.enable_shadow_vmcs=$1"
}

# What does not run on Turtles depends on less.
sources_of() {
	case $1 in
	kvm*)
		echo boot include lib tools l1/bench l1/linux l1/minivisor scripts/linux.sh scripts/l1-linux.sh \
			scripts/machine-bochs.sh scripts/steps.awk
		;;
	*) echo Makefile boot ept_merge include l0 l1 lib scripts/machine-bochs.sh scripts/steps.awk tools vmcs_shadow ;;
	esac
}

points() {
	if [ -z "$quick" ]; then
		echo "kvm_shadowing bench_under_kvm 1"
		echo "kvm_no_shadowing bench_under_kvm 0"
	fi
	echo "turtles_default bench_on"
	echo "turtles_no_vmcs_shadowing bench_on --set vmcs_shadowing=off"
	echo "turtles_copy_all bench_on --set vmcs_shadowing=off --set dirty_tracking=off --set lazy_guest_state=off"
}
