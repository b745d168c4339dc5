# A table of gcov's own summary: one line for each file of ours, lines and branches, how many of them ran.
function hits(share, of) {
	return int(share * of / 100 + 0.5)
}
function row(name, lines, hit, branches, taken) {
	printf "%-38s %6d %6d %7.1f%% %9d %6d %7s\n", name, lines, hit, lines ? 100 * hit / lines : 100, branches, taken,
		branches ? sprintf("%.1f%%", 100 * taken / branches) : "-"
}
function numbers(text) {
	gsub(/[^0-9.]+/, " ", text)
	split(text, number, " ")
}
BEGIN { printf "%-38s %6s %6s %8s %9s %6s %7s\n", "file", "lines", "hit", "", "branches", "hit", "" }
/^$/ { wanted = 0 }
/^File '/ {
	file = $2
	gsub(/'/, "", file)
	wanted = file ~ /^(l0|vmcs_shadow|ept_merge)\/.*\.c$/
}
wanted && /^Lines executed/ && !(file in lines) {
	numbers($0)
	lines[file] = number[2]
	lines_hit[file] = hits(number[1], number[2])
	order[++files] = file
}
wanted && /^Taken at least once/ && !(file in branches) {
	numbers($0)
	branches[file] = number[2]
	branches_hit[file] = hits(number[1], number[2])
}
END {
	for (i = 1; i <= files; i++) {
		file = order[i]
		row(file, lines[file], lines_hit[file], branches[file], branches_hit[file])
		all[1] += lines[file]
		all[2] += lines_hit[file]
		all[3] += branches[file]
		all[4] += branches_hit[file]
	}
	row("all", all[1], all[2], all[3], all[4])
}
