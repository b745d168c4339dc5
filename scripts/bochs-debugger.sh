# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables come from, and go to, the script that sources this
# The dialog with the emulator's debugger: in a long run it says every now and then how far the machine has come, and when
# the clock ends a run, where each level stands. Sourced by machine-bochs.sh. Commands go to descriptor 5.

# Instructions from one stop to the next. What the machine does is the same with and without.
DEBUGGER_STRIDE=100000000
PROGRESS_SECONDS=${TURTLES_PROGRESS_SECONDS:-15}
PROGRESS_COLUMNS=70

# Where guest_rip lies in the emulator's VMCS: behind a head of 16 bytes there is room for 64 fields of 4 bytes of each width
# and type, of which natural-width guest state is the 15th; SDM "VMCS Field Encoding".
BOCHS_GUEST_RIP=$((16 + (14 * 64 + 0x1e) * 4))

debugger_go_on() {
	[ -z "$progress" ] || echo "sb $DEBUGGER_STRIDE"
	echo c
}

debugger_ask() {
	cpu_number=0
	while [ "$cpu_number" -lt "$cpus" ]; do
		printf 'show "cpu%d.VMX"\nshow "cpu%d.RIP"\n' "$cpu_number" "$cpu_number"
		cpu_number=$((cpu_number + 1))
	done
}

# is_vmcs POINTER: one that a CPU may have loaded, not what stands for none.
is_vmcs() {
	case $1 in
	0x*[!f]*) [ $(($1)) -gt 0 ] ;;
	*) return 1 ;;
	esac
}

# debugger_ask_vmcs VMCS...: the guest_rip of each.
debugger_ask_vmcs() {
	for vmcs in "$@"; do
		! is_vmcs "$vmcs" || printf 'xp /2wx %#x\n' $((vmcs + BOCHS_GUEST_RIP))
	done
}

# What the machine is at, by what it said last.
stage() {
	if [ -s "$out/console.txt" ]; then
		tail -n 3 "$out/console.txt" | tr -d '\r' | tr -c '[:print:]\n' ' ' | grep '[^ ]' | tail -n 1 |
			cut -c "1-$PROGRESS_COLUMNS" | sed 's/^/its console: /'
	elif [ -s "$out/l0.txt" ]; then
		echo 'L0 is up, L1 boots'
	else
		echo 'the machine boots'
	fi
}

# tell_progress INSTRUCTIONS
tell_progress() {
	now=$(date +%s)
	[ $((now - told)) -ge "$PROGRESS_SECONDS" ] || return 0
	told=$now
	say "$((now - began)) s, $(($1 / 1000000)) million instructions; $(stage)"
}

# debugger_dialog: what the debugger says goes from standard input to standard output.
debugger_dialog() {
	told=$began stop_is_ours='' vmcs_seen='' stands=0
	while IFS= read -r said; do
		printf '%s\n' "$said"
		case $said in
		*'Caught time breakpoint'*) stop_is_ours=yes ;;
		'Next at t=0') debugger_go_on >&5 ;;
		'Next at t='*)
			if [ -n "$stop_is_ours" ]; then
				tell_progress "${said#*=}"
				debugger_go_on >&5
			else
				debugger_ask >&5
			fi
			stop_is_ours=''
			;;
		*' vmcsptr = '*) vmcs_seen="$vmcs_seen ${said##* }" ;;
		'RIP = '*)
			stands=$((stands + 1))
			if [ $stands -eq "$cpus" ]; then
				# shellcheck disable=SC2046,SC2086 # words
				debugger_ask_vmcs $(l0_fact vmcs01) $vmcs_seen >&5
				echo q >&5
			fi
			;;
		esac
	done
}

# For each CPU: its number, rip, "guest" (VMX non-root), "root" or "off", the current VMCS. After a timeout.
machine_stand() {
	awk -v OFS='\t' '
	/^show param name: <cpu[0-9]+\./ {
		cpu = $0
		gsub(/^.*<cpu|\..*$/, "", cpu)
		if (cpu >= count) count = cpu + 1
	}
	/^RIP = / { rip[cpu] = $3 }
	$1 == "vmcsptr" { vmcs[cpu] = $3 }
	$1 == "in_vmx" { vmx[cpu] = $3 }
	$1 == "in_vmx_guest" { guest[cpu] = $3 }
	END {
		for (n = 0; n < count; n++)
			print n, rip[n], guest[n] == "true" ? "guest" : vmx[n] == "true" ? "root" : "off", vmcs[n]
	}' "$work/debugger.txt"
}

# machine_guest_rip VMCS: where the guest of that VMCS last left off, or nothing. After a timeout.
machine_guest_rip() {
	is_vmcs "$1" || return 0
	awk -v address="$(printf '0x%016x' $(($1 + BOCHS_GUEST_RIP)))" '
	$1 == address {
		value = substr($NF, 3) substr($(NF - 1), 3)
		sub(/^0+/, "", value)
		if (value != "") print "0x" value
		exit
	}' "$work/debugger.txt"
}
