# sample.awk -v budget=N FILE FILE: of the exits in `turtles trace --format json`, which is read twice, at most some N. Each
# kind (a reason, and who handles it) has its fair share, spread evenly from its first to its last; what rare kinds leave
# goes to the others. Each exit is told which one of its kind it is: nth.
function kind_of(line) {
	match(line, /"reason":"[^"]*"/)
	kind = substr(line, RSTART, RLENGTH)
	match(line, /"owner":("L[01]"|null)/)
	return kind substr(line, RSTART, RLENGTH)
}

# The largest share with which all kinds together stay within the budget.
function fair_share(share, total, k) {
	for (share = budget; share > 1; share--) {
		total = 0
		for (k in count) total += count[k] < share ? count[k] : share
		if (total <= budget) return share
	}
	return 1
}

# Is the nth of so many among the share? The first and the last are.
function is_taken(n, of, share) {
	if (of <= share || n == 1) return 1
	return int((n - 1) * (share - 1) / (of - 1)) > int((n - 2) * (share - 1) / (of - 1))
}

!/^{"exit":/ { next }
NR == FNR { count[kind_of($0)]++; next }
{
	if (!share) share = fair_share()
	kind = kind_of($0)
	nth[kind]++
	if (!is_taken(nth[kind], count[kind], share)) next
	sub(/^{/, "{\"nth\":" nth[kind] ",")
	sub(/,$/, "")
	print
}
