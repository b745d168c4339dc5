# Reads the emulator's log of VM entries and exits: a line for each time that a VM ran, in order: the tick of the
# instruction that entered it, the tick at which it exited, the level (1 or 2), the SDM's name of the exit's reason.
# The first VMCS ever entered is L0's for L1; all others run L2.
#
# awk -v names=include/exit_reasons.def -v rest=FILE -f transitions.awk LOG: what is not of the debug level to FILE.

BEGIN {
	OFS = "\t"
	OFMT = CONVFMT = "%.0f" # ticks, of which there may be more than 2^31
	while ((getline line < names) > 0)
		if (line ~ /^R\(/) {
			gsub(/^R\(|\)$/, "", line)
			split(line, part, ", *")
			reason_name[part[1]] = part[2]
		}
	printf "" > rest
}

# The tick before the level's letter: 00000087513d[CPU0  ]
function tick() {
	return substr($0, 1, index($0, "[") - 2) + 0
}

# The log has a line as well for an entry that L1 executes, which then exits.
/VM(LAUNCH|RESUME) VMCS ptr:/ && !running {
	if (first == "") first = $NF
	level = $NF == first ? 1 : 2
	entry = tick()
	running = 1
	next
}
/VMFAIL/ && running && tick() == entry { running = 0 }
/VMEXIT reason = / {
	reason = $0
	sub(/.*reason = /, "", reason)
	print entry, tick(), level, reason_name[reason % 65536] # bit 31 tells of an entry that failed
	running = 0
}
!/^[0-9]*d\[/ { print > rest }
