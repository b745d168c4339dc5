#!/bin/sh
# What L0 tells of its own end (registers, a symbolised backtrace, the VMCS), and where it cannot run.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"

ADDRESS='[0-9a-f]\{16\}'
VALUE='[0-9a-f]*'
REGISTERS="rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15"
# Fields that no CPU model of the emulator has; the tigerlake has all others.
ABSENT_FIELDS="encls_exiting_bitmap enclv_exiting_bitmap guest_ia32_bndcfgs guest_ia32_lbr_ctl
guest_ia32_pkrs guest_ia32_rtit_ctl guest_uinv high_pasid_directory_address hlat_pointer hlat_prefix_size
host_ia32_pkrs ia32_spec_ctrl_mask ia32_spec_ctrl_shadow instruction_timeout_control last_pid_pointer_index
low_pasid_directory_address pconfig_exiting_bitmap pid_pointer_table_address
posted_interrupt_descriptor_address posted_interrupt_notification_vector secondary_vm_exit_controls
shared_ept_pointer tertiary_processor_based_controls"

# fault KIND ARGUMENT...: L0 made to fail before L1 runs.
fault() {
	fault_kind=$1
	shift
	run --l1 "$images/hello.elf" --set test_fault="$fault_kind" --timeout 20 "$@"
	tr -d '\r' < "$out/l0.txt" > "$folder/l0"
}

log_has() {
	cat "$folder/l0"
	grep -q -e "$1" "$folder/l0"
}

# L0 ended on purpose, with its verdict as the last line and one line at the terminal.
ended() {
	status_is 1 && [ "$(tail -n 1 "$folder/l0")" = 'turtles-l0-verdict: failure' ] &&
		[ "$(grep -c '^L0 [fs]' "$folder/l0")" -eq 1 ] && one_error "turtles: L0 $1.*$out/l0.txt" &&
		nothing_left
}

# L1 has not run: its console is empty.
l1_is_silent() {
	[ ! -s "$out/console.txt" ]
}

has_registers() {
	for register in $REGISTERS; do
		grep -q "  $register *$ADDRESS" "$folder/l0" && continue
		echo "no $register"
		return 1
	done
	for register in rflags cs cr2 cr3; do
		log_has "  $register $VALUE" || return 1
	done
}

# backtrace_begins LINES PATTERN: so many frames on end, in functions of that name, are the innermost ones.
backtrace_begins() {
	sed -n '/^backtrace/,$p' "$folder/l0" | tail -n +2 | head -n "$1" > "$folder/frames"
	cat "$folder/frames"
	[ "$(grep -c "^  $ADDRESS $2+0x$VALUE\$" "$folder/frames")" -eq "$1" ]
}

# symbol_is_right: the address in the line that tells of the fault lies in the function that it names.
symbol_is_right() {
	where=$(sed -n "s/^L0 fault: .* \($ADDRESS\) \(.*\)+\(0x$VALUE\)\$/0x\1 \2 \3/p" "$folder/l0")
	echo "$where"
	# shellcheck disable=SC2086 # words
	set -- $where
	start=$(nm "$BUILD/turtles.elf" | awk -v name="$2" '$3 == name { print "0x" $1 }')
	[ $(($1 - $3)) -eq $((start)) ]
}

dumped_fields() {
	sed -n "s/^  \([a-z][a-z0-9_]*\) *$ADDRESS\$/\1/p" "$folder/l0" | sort
}

every_field() {
	sed -n 's/^F(\([a-z0-9_]*\),.*/\1/p' "$root/include/vmcs_fields.def" > "$folder/fields"
	# shellcheck disable=SC2086 # words
	printf '%s\n' $ABSENT_FIELDS | sort > "$folder/absent"
	dumped_fields > "$folder/dumped"
	missing=$(sort "$folder/fields" | comm -23 - "$folder/dumped" | comm -23 - "$folder/absent")
	[ -z "$missing" ] && [ "$(wc -l < "$folder/fields")" -gt 150 ] && return
	echo "not dumped: $missing"
	return 1
}

# The dump's EPT pointer is the EPTP01 that L0 told at its start.
eptp_is_right() {
	eptp01=$(sed -n 's/.* EPTP01 //p' "$folder/l0")
	log_has "^  ept_pointer  *0*$eptp01\$"
}

# cannot_run MODEL PATTERN: one line on the console, the same on L0's log and at the terminal.
cannot_run() {
	run --cpu "$1" --l2 cpuid --timeout 20
	ok "$1: status 1" status_is 1
	ok "$1: one line on the console names the feature" console_names "$2"
	ok "$1: L0's log has it, too" grep -qx "$(cat "$out/console.txt")" "$out/l0.txt"
	ok "$1: so has the terminal, and no panic of the emulator" one_error "turtles: L0: .*$2"
	ok "$1: nothing is left" nothing_left
}

console_names() {
	cat "$out/console.txt"
	[ "$(wc -l < "$out/console.txt")" -eq 1 ] && grep -q "^L0: .*$1.*which L0 needs" "$out/console.txt"
}

fault ud
ok "an undefined instruction of L0 ends the run" ended 'fault: vector 6, .*undefined_instruction+0x0'
ok "registers are told" has_registers
ok "the function that failed is told" symbol_is_right
ok "the backtrace begins with who called" backtrace_begins 1 l0_main
ok "L1 has not run" l1_is_silent

fault stack
ok "a stack overflow of L0 ends the run" ended 'fault: vector 14, .*overflow_stack'
ok "registers are told of that, too" has_registers
ok "the function that overflowed the stack is told" symbol_is_right
ok "the backtrace shows it over and over" backtrace_begins 10 'overflow_stack[.a-z0-9]*'
ok "L1 has not run with the stack" l1_is_silent

fault exit --cpu tigerlake
ok "an exit that L0 does not expect ends the run" ended 'stops: unexpected exit of L1'
ok "each VMCS field is dumped" every_field
ok "with the value that it has" eptp_is_right
ok "L1's registers are dumped: EAX is the multiboot magic number" log_has "^  rax  *0*2badb002 "

fault ud --set l1_offset=3 --set ept01_large_pages=off --memory 256
ok "the same with memory laid out otherwise" ended 'fault: vector 6, .*undefined_instruction+0x0'

cannot_run p4_prescott_celeron_336 'no VMX (CPUID.1:ECX.VMX)'
cannot_run atom_n270 'no 64-bit mode (CPUID.80000001H:EDX.LM)'
cannot_run core2_penryn_t9600 'lacks "enable_ept"'
cannot_run corei5_lynnfield_750 'lacks "unrestricted_guest"'
plan $number
