# Reads the emulator's log of VM entries and exits and makes of it the table that L0 keeps of itself (exits.tsv), from
# outside: who ran is told by the VMCS, what it ran by the ticks, who handled an exit of L2 by who was entered next.
# The first VMCS ever entered is L0's for L1; all others run L2. An exit counts when a VM is entered after it.
#
# awk -v names=include/exit_reasons.def -v rest=FILE -f witness.awk LOG: the table to standard output, what is not
# of the debug level to FILE.

BEGIN {
	OFS = "\t"
	while ((getline line < names) > 0)
		if (line ~ /^R\(/) {
			gsub(/^R\(|\)$/, "", line)
			split(line, part, ", *")
			reason_name[part[1]] = part[2]
			if (part[1] + 0 > last_reason) last_reason = part[1] + 0
		}
	printf "" > rest
}

# The tick before the level's letter: 00000087513d[CPU0  ]
function tick() {
	return substr($0, 1, index($0, "[") - 2) + 0
}

function entered(level, owner, row, span) {
	if (first == "") first = pointer
	level = pointer == first ? 1 : 2
	span = entering - exit_tick
	if (from) {
		owner = from == 2 && level == 1 ? "l1" : "l0"
		row = from SUBSEP reason SUBSEP owner
		count[row]++
		if (owner == "l1") cause = row
		else l0[row] += span
		if (cause != "") {
			l0_since += span
			if (from == 1) {
				caused[cause]++
				caused_by[cause, reason]++
			}
		}
	}
	if (level == 2) close_cause()
	running = level
	entry_tick = entering
}

# L2 runs again, or the log has ended.
function close_cause() {
	if (cause == "") return
	l0[cause] += l0_since
	l1[cause] += l1_since
	cause = ""
	l0_since = l1_since = 0
}

function exited(now) {
	if (running == 1 && cause != "") l1_since += now - entry_tick
	from = running
	running = ""
	exit_tick = now
}

# An entry succeeds unless the log says otherwise; the tick is that of the instruction that enters. The log has a line
# as well for one that L1 executes, which then exits.
/VM(LAUNCH|RESUME) VMCS ptr:/ && !running {
	pointer = $NF
	entering = tick()
	running = "entering"
	next
}
/VMFAIL/ && running == "entering" { running = "" }
/VMEXIT reason = / {
	if (running == "entering") entered()
	exited(tick())
	reason = $0
	sub(/.*reason = /, "", reason)
	reason %= 65536 # bit 31 tells of an entry that failed
}
!/^[0-9]*d\[/ { print > rest }

function by_reason(row, list, r) {
	for (r = 0; r <= last_reason; r++)
		if ((row, r) in caused_by)
			list = list (list == "" ? "" : ",") reason_name[r] ":" sprintf("%.0f", caused_by[row, r])
	return list
}

END {
	if (running == "entering") entered()
	close_cause()
	print "from", "reason", "owner", "count", "l0_instructions", "l1_instructions", "l1_exits", "l1_exits_by_reason"
	for (f = 1; f <= 2; f++)
		for (r = 0; r <= last_reason; r++)
			for (o = 0; o <= 1; o++) {
				row = f SUBSEP r SUBSEP "l" o
				if (row in count)
					printf "l%d\t%s\tl%d\t%.0f\t%.0f\t%.0f\t%.0f\t%s\n", f, reason_name[r], o,
						count[row], l0[row], l1[row], caused[row], by_reason(row)
			}
}
