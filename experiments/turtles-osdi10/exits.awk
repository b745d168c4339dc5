# Reads the table of scripts/transitions.awk, with -v bare=yes that of a run without L0, and prints two kinds of line.
#
# "exit": of each kind of exit of the guest (reason, who handled it) the one that is the median by what it cost: how many
# there were, the guest's instructions before it, those of L1 and of L0 until the guest went on, L1's exits in between,
# and how many of those were VMREADs, VMWRITEs, VMRESUMEs, and others.
#
# "window": between the first and the last CPUID of the guest: instructions of the guest, of L1 and of L0, exits of the
# guest and of L1, without the CPUIDs. With -v each=yes one for each two CPUIDs. Without L0, the hypervisor on the bare CPU counts as L0.

BEGIN { OFS = "\t" }

function note(to, s) {
	for (s in sum) to[s] = sum[s]
}

function window() {
	print "window", ++windows, end["l2"] - start["l2"], end["l1"] - start["l1"], end["l0"] - start["l0"],
		end["exits_l2"] - start["exits_l2"] - 1, end["exits_l1"] - start["exits_l1"]
}

function handled(n, kind) {
	kind = reason OFS (bare || extra == 0 ? "l0" : "l1")
	n = ++count[kind]
	cost[kind, n] = l1 + l0
	line[kind, n] = l2 OFS l1 OFS l0 OFS extra OFS vmreads OFS vmwrites OFS vmresumes OFS others
	sum["l1"] += l1
	sum["l0"] += l0
	sum["exits_l1"] += extra
	if (reason == "cpuid" && (cpuids == 1 || (each && cpuids % 2))) note(start)
}

function left_guest() {
	if (exits++) handled()
	reason = $4
	l2 = $2 - $1
	l1 = l0 = extra = vmreads = vmwrites = vmresumes = others = 0
	sum["l2"] += l2
	sum["exits_l2"]++
	if (reason == "cpuid") {
		cpuids++
		note(end)
		if (each && cpuids % 2 == 0) window()
	}
}

bare || $3 == 2 {
	l0 += $1 - left
	left_guest()
	left = $2
	next
}
{
	l0 += $1 - left
	l1 += $2 - $1
	extra++
	if ($4 == "vmread") vmreads++
	else if ($4 == "vmwrite") vmwrites++
	else if ($4 == "vmresume") vmresumes++
	else others++
	left = $2
}

# Which exit of that kind it is: the last one of those that cost the same.
function median(kind, middle, i, c, below, found) {
	middle = int((count[kind] + 1) / 2)
	split("", times)
	for (i = 1; i <= count[kind]; i++) times[cost[kind, i]]++
	for (i = 1; i <= count[kind]; i++) {
		below = 0
		for (c in times) if (c + 0 < cost[kind, i]) below += times[c]
		if (below < middle && below + times[cost[kind, i]] >= middle) found = i
	}
	return found
}

END {
	for (kind in count) print "exit", kind, count[kind], line[kind, median(kind)]
	if (!each) window()
}
