# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, scripts/exp.sh

# What is asked of both L0s, by the names of l1/bench; and what else the points have counts of.
OPERATIONS="l1_cpuid l1_vmread_rare l1_vmwrite_rare l1_vmptrld l1_invept_single l2_cpuid l2_cpuid_lean l2_out l2_rdmsr \
	l2_cr l2_ept_4k l2_invept l2_interrupt l2_hlt l2_switch_8 l2_first_entry"
ALSO_COUNTED="l1_vmread l1_vmwrite"

# The bench as the first guest of L0, which does the same each time. It learns before it is counted.
bench_on() {
	# shellcheck disable=SC2086 # words
	only=$(echo $OPERATIONS $ALSO_COUNTED | tr ' ' ,)
	TURTLES_STEPS=3 run --l1 bench --memory 128 --timeout 300 --append "ticks=50000 repeats=1 steps=3 only=$only" "$@"
}

# The same image as a guest of a guest: L0 is Debian's KVM, into which Linux's clock breaks now and then.
bench_under_kvm() {
	TURTLES_STEPS=9 run --bare --l1 linux --l2 bench --timeout 1800 --l2-append "ticks=50000 repeats=4 steps=9" \
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
