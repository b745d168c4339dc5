# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# Debian's Linux as L1, with kvmrun and what it is to run as L2. Sourced by run.sh, which has parsed and checked.

LINUX_L2_MEMORY=256
# Linux's clock ticks 250 times a second: every 800,000 instructions then. A real CPU executes more in that time.
BOCHS_IPS=${BOCHS_IPS:-200000000}
BOCHS_IGNORE_BAD_MSRS=${BOCHS_IGNORE_BAD_MSRS:-1}

# What both kernels are told. No random addresses and no random numbers of the CPU's, which Bochs makes from the time of
# day, so that each run is like the other. No tests of every cipher, which would be a third of the boot. No mitigations
# of what an emulated CPU does not have.
LINUX_WORDS="console=ttyS0 quiet nokaslr clearcpuid=rdrand,rdseed mitigations=off cryptomgr.notests=1"
# L1 has the machine's clock; of the emulated one no CPUID tells the rate, and its XSAVES has sizes that Linux does not
# believe.
linux_l1_words() {
	[ "$machine" != bochs ] || printf 'tsc=reliable tsc_early_khz=%s noxsaves' $((BOCHS_IPS / 1000))
}

# shellcheck source=scripts/l1-linux-vmm.sh
. "$root/scripts/l1-linux-vmm.sh"

# linux_tick: what one tick of the TSC is, for an L0 that is a guest here.
linux_tick() {
	if [ "$machine" = bochs ]; then
		echo instruction
	else
		echo cycle
	fi
}

# linux_l3_modules: kvmrun's options for the payloads of the minivisor.
linux_l3_modules() {
	for l3_name in $(printf '%s' "$l3" | tr , ' '); do
		printf " --module '%s.bin count=%s%s'" "$l3_name" "$count" "${what:+ what=$what}"
	done
}

# The line of /l2/run for one L2; payloads report by their exit status. Turtles as L2 runs the minivisor, whose
# payloads are then one level higher.
linux_l2_line() {
	printf "kvmrun --cpus %s --prefix '[%s] ' --statistics " "$l2_cpus" "$1"
	case $1 in
	linux)
		printf -- '--memory %s --module l2.cpio vmlinuz %s\n' $LINUX_L2_MEMORY "$LINUX_WORDS"
		;;
	minivisor)
		printf -- '--memory %s --vmx%s minivisor.elf%s\n' $VMM_MEMORY "$(linux_l3_modules)" "${l2_append:+ $l2_append}"
		;;
	turtles)
		printf -- "--memory %s --vmx --log /dev/null --module 'minivisor.elf%s'%s turtles.elf turtles tick=%s\\n" \
			$VMM_MEMORY "${l2_append:+ $l2_append}" "$(linux_l3_modules)" "$(linux_tick)"
		;;
	bench) printf -- '--vmx bench.elf%s\n' "${l2_append:+ $l2_append}" ;;
	*) printf -- '%s.elf count=%s%s\n' "$1" "$count" "${what:+ what=$what}" ;;
	esac
}

# linux_l2_files NAME
linux_l2_files() {
	case $1 in
	linux) printf '%s\n' "$BUILD/linux/vmlinuz" "$BUILD/linux/l2.cpio" ;;
	minivisor | turtles)
		printf '%s\n' "$BUILD/minivisor.elf"
		[ "$1" = minivisor ] || printf '%s\n' "$BUILD/turtles.elf"
		for l3_name in $(printf '%s' "$l3" | tr , ' '); do
			printf '%s\n' "$BUILD/guests/$l3_name.bin"
		done
		;;
	bench) printf '%s\n' "$BUILD/bench.elf" ;;
	*) printf '%s\n' "$BUILD/guests/$1.elf" ;;
	esac
}

linux_targets() {
	printf '%s\n' "$BUILD/linux/vmlinuz"
	if [ "$l1" = linux-workload ]; then
		printf '%s\n' "$BUILD/linux/l2.cpio"
		return
	fi
	printf '%s\n' "$BUILD/linux/l1.cpio"
	for name in $(printf '%s' "$l2" | tr , ' '); do
		linux_l2_files "$name"
	done
}

# linux_initramfs OUT: L1's own, and behind it this run's.
linux_initramfs() {
	mkdir -p "$work/initramfs/l2"
	{
		echo 'status=0'
		for name in $(printf '%s' "$l2" | tr , ' '); do
			if [ "$vmm" != kvmrun ]; then
				printf '(cd %s && exec vmm-%s %s disk.img %s %s) || status=1\n' "$name" "$vmm" "$name" $VMM_MEMORY "$l2_cpus"
				vmm_l2 "$name" "$work/initramfs/l2/$name"
				continue
			fi
			printf '%s || status=1\n' "$(linux_l2_line "$name")"
			linux_l2_files "$name" | while IFS= read -r file; do
				cp "$file" "$work/initramfs/l2/"
			done
		done
		# shellcheck disable=SC2016 # for L1's shell
		echo 'exit $status'
	} > "$work/initramfs/l2/run"
	if [ -n "$l1_perf" ]; then
		perf_files "$work/initramfs"
		mv "$work/initramfs/l2/run" "$work/initramfs/l2/run-l2"
		echo 'exec perf-kvm sh ./run-l2' > "$work/initramfs/l2/run"
	fi
	[ "$vmm" = kvmrun ] || vmm_files "$work/initramfs"
	"$root/scripts/linux.sh" archive "$work/initramfs" "$work/run.cpio"
	cat "$BUILD/linux/l1.cpio" "$work/run.cpio" > "$1"
}

# linux_forecast: what is ahead, in instructions and time of a CPU that has nothing else to do.
linux_forecast() {
	case $l1,,$l2, in
	linux,*,linux,*) say "Linux boots as L1 and as L2: 2600 million instructions, a minute; $timeout s are the limit" ;;
	*) say "Linux boots as L1: 1200 million instructions, half a minute; $timeout s are the limit" ;;
	esac
}

# l1_linux: L1's kernel, its command line and its initramfs; the linux-workload is what else is an L2.
l1_linux() {
	needs_bios=yes
	linux_forecast
	l1_file=$BUILD/linux/vmlinuz
	l1_line="linux $LINUX_WORDS $(linux_l1_words)"
	if [ "$l1" = linux-workload ]; then
		own_modules="$BUILD/linux/l2.cpio${tab}initramfs$newline"
	else
		linux_initramfs "$work/initramfs.cpio"
		own_modules="$work/initramfs.cpio${tab}initramfs$newline"
	fi
}
