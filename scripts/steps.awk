# Reads what the emulator's debugger prints: the instructions, one a line, that ran between XCHG BX, BX and the next. Of
# each such step it makes a line: window, step, and what L0 executed: instructions, VM exits, VM entries, VMREADs and
# so on. A window is as many steps; awk -v steps=N -v rest=FILE -f steps.awk. What is none of that goes to FILE.
#
# L0 begins where a VM exit leads, one place for each VMCS of L0's, by its physical and its linear address: what follows a
# CPUID of a guest. It ends at a VM entry. So the first window of L1, and the first of L2, must be that of a CPUID.

BEGIN {
	OFS = "\t"
	split("vmread vmwrite vmptrld vmclear invept invvpid", counted, " ")
	for (i in counted) counts[counted[i]] = 1
	print "window", "step", "instructions", "exits", "entries", "vmread", "vmwrite", "vmptrld", "vmclear", "invept", "invvpid"
}

function close_step() {
	print window, step, l0, exits, entries, n["vmread"] + 0, n["vmwrite"] + 0, n["vmptrld"] + 0, n["vmclear"] + 0,
		n["invept"] + 0, n["invvpid"] + 0
}

function open_step() {
	l0 = exits = entries = root = 0
	split("", n)
}

/^\(0\) Magic breakpoint/ {
	if (step == 0) window++
	else close_step()
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
	if (where in entry) {
		exits++
		root = 1
		came = tick
	}
	after_cpuid = name == "cpuid" && !root
	if (root) {
		if (name in counts) n[name]++
		else if (name == "vmresume" || name == "vmlaunch") {
			entries++
			l0 += tick - came + 1
			root = 0
		}
	}
	next
}

{ print > rest }
