# Reads what the emulator's debugger prints: the instructions, one a line, that ran between XCHG BX, BX and the next. Of
# each such step it makes a line: window, step, and what L0 executed: instructions, VM exits, VM entries, VMREADs and
# so on. A window is as many steps; awk -v steps=N -v rest=FILE -f steps.awk. What is none of that goes to FILE. With
# -v visits=FILE the same goes there of each visit of a step, from a VM exit to the next VM entry.
#
# L0 begins where a VM exit leads, one place for each VMCS of L0's, by its physical and its linear address: what follows a
# CPUID of a guest. It ends at a VM entry. So the first window of L1, and the first of L2, must be that of a CPUID.
#
# "serializing" are the instructions that the SDM calls so ("Serializing Instructions") and that have no column of their
# own; "rep" are the iterations of string instructions, each of which is an instruction of the emulator's clock.

BEGIN {
	OFS = "\t"
	columns = split("exits entries vmread vmwrite vmptrld vmclear invept invvpid cpuid rdmsr wrmsr rdtsc serializing" \
		" locked rep", column, " ")
	for (i = 3; i <= 12; i++) counts[column[i]] = 1
	for (i = split("invd invlpg invpcid lgdt lidt lldt ltr wbinvd iret iretd iretq rsm", name_of, " "); i; i--)
		serializes[name_of[i]] = 1
	print "window", "step", head()
	if (visits != "") print "window", "step", "visit", head() > visits
}

function head(line, i) {
	line = "instructions"
	for (i = 1; i <= columns; i++) line = line OFS column[i]
	return line
}

# row TABLE INSTRUCTIONS: its counts.
function row(table, instructions, line, i) {
	line = instructions + 0
	for (i = 1; i <= columns; i++) line = line OFS table[column[i]] + 0
	return line
}

function open_step() {
	l0 = root = visit = 0
	split("", n)
	split("", seen)
}

function open_visit() {
	root = 1
	came = tick
	before = ""
	n["exits"]++
}

function close_visit(now, i) {
	n["entries"]++
	l0 += tick - came + 1
	root = 0
	if (visits != "") {
		for (i in n) now[i] = n[i] - seen[i]
		print window, step, ++visit, row(now, tick - came + 1) > visits
		for (i in n) seen[i] = n[i]
	}
}

# kind NAME OPERANDS: the column that an instruction counts in, beside that of all.
function kind(name, operands) {
	if (name in counts) return name
	if (name ~ /^rep/) return "rep"
	if (name in serializes || (name == "mov" && operands ~ /^[cd]r[0-7],/)) return "serializing"
	if (name == "lock" || (name == "xchg" && operands ~ /ptr/)) return "locked"
	return ""
}

/^\(0\) Magic breakpoint/ {
	if (step == 0) window++
	else print window, step, row(n, l0)
	step = step == steps ? 0 : step + 1
	open_step()
	next
}

# (0).[2004529] [0x0000001007b0] 0008:00000000001007b0 (unk. ctxt): cpuid          ; 0fa2
/^\(0\)\.\[/ {
	tick = substr($1, 6) + 0
	where = $2 $3
	name = $6
	if (after_cpuid) entry[where] = 1
	if (where in entry) open_visit()
	after_cpuid = name == "cpuid" && !root
	if (root) {
		if (before == "rep") n["rep"] += tick - began
		else if (before != "") n[before]++
		before = kind(name, $7)
		began = tick
		if (name == "vmresume" || name == "vmlaunch") close_visit()
	}
	next
}

{ print > rest }
