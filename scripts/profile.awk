# An exact profile: every instruction of L0's in a window of a run, by function, and by stack.
#
# awk -v first=TICK -v last=TICK -v trips=N -v table=FILE -v folded=FILE -f profile.awk INLINED SPANS TRACE
# INLINED: address, tab, the functions that it is in, outermost first with semicolons between (profile.sh makes it).
# SPANS: of transitions.awk, when which VM ran; TRACE: of trace.awk. What is not in a VM is L0's.
# To standard output: who executed how much, and which instructions of L0 a real CPU takes long for. To table: function, instructions of its own, those with what it called. To
# folded: a stack and its instructions a line, which tools that draw flame graphs read. All divided by trips but the last.

BEGIN {
	FS = OFS = "\t"
	dears = split("vmread vmwrite vmptrld vmclear vmlaunch vmresume invept invvpid rdmsr wrmsr", dear_list, " ")
	for (i = 1; i <= dears; i++) dear[dear_list[i]]
}
FNR == 1 { file++ }
file == 1 { functions[$1] = $2; next }
file == 2 {
	if ($2 >= first && $1 <= last) {
		spans++
		entry[spans] = $1
		exit_tick[spans] = $2
		level[spans] = $3
	}
	next
}
$1 < first || $1 > last { next }
{
	while (at < spans && $1 > exit_tick[at + 1]) at++
	if (at < spans && $1 > entry[at + 1]) {
		guest[level[at + 1]]++
		next
	}
	l0++
	if ($3 in dear) executed[$3]++
	follow()
	stack[(depth ? prefix[depth] ";" : "") functions[$2]]++
	if ($3 == "call") prefix[depth + 1] = (depth ? prefix[depth] ";" : "") functions[$2]
	last_mnemonic = $3
}

# A call has been made, or a function left, by the instruction before. What was called before the window is not known.
function follow() {
	if (last_mnemonic == "call") depth++
	else if (last_mnemonic ~ /^ret/ && depth) depth--
}

function row(name, count) {
	if (count) printf "  %-4s %12.1f %6.1f%%\n", name, count / trips, 100 * count / (l0 + guest[1] + guest[2])
}

# The functions of a stack, each once: one that calls itself has executed what it has executed once.
function add_stack(line, count, part, n, i, seen) {
	n = split(line, part, ";")
	self[part[n]] += count
	for (i = 1; i <= n; i++)
		if (!(part[i] in seen)) {
			seen[part[i]] = 1
			total[part[i]] += count
		}
}

END {
	for (line in stack) {
		add_stack(line, stack[line])
		print "L0;" line " " stack[line] | ("LC_ALL=C sort > '" folded "'")
	}
	for (i = 1; i <= 2; i++)
		if (guest[i]) print "L" i " " guest[i] | ("LC_ALL=C sort > '" folded "'")
	for (name in total)
		printf "%s\t%.1f\t%.1f\n", name, self[name] / trips, total[name] / trips > table
	row("L0", l0)
	row("L1", guest[1])
	row("L2", guest[2])
	printf "  of L0:"
	for (i = 1; i <= dears; i++)
		if (dear_list[i] in executed) printf "  %s %.1f", dear_list[i], executed[dear_list[i]] / trips
	print ""
}
