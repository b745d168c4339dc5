# Keys and values from the heads of several tables, to each key once with all its values. The experiment's name is left out.
BEGIN { FS = "\t" }

# Machines that differ in memory alone are one: "A, 64 MiB; A, 128 MiB" is "A, 64 or 128 MiB".
function machines(text, part, i, n, out, same, last) {
	n = split(text, part, "; ")
	out = part[1]
	for (i = 1; i <= n; i++) {
		same = part[i]
		if (!sub(/, [0-9]+ MiB$/, "", same) || i > 1 && same != last) return text
		if (i > 1) {
			sub(/ MiB$/, "", out)
			out = out " or " substr(part[i], length(same) + 3)
		}
		last = same
	}
	return out
}

$1 == "experiment" || seen[$0]++ { next }
!($1 in value) { order[++keys] = $1; value[$1] = $2; next }
{ value[$1] = value[$1] "; " $2 }
END {
	for (k = 1; k <= keys; k++)
		printf "%s\t%s\n", order[k], order[k] == "machine" ? machines(value[order[k]]) : value[order[k]]
}
