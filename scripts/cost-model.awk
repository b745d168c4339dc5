# The cost model: cycles = counts x prices, with a range where prices have one. docs/measurement.md tells what it is worth.
#
#   awk -f scripts/cost-model.awk -v what=WHAT PROFILE POINTS COUNTS...
#
# PROFILE is the prices of a processor (experiments/costs/README.md), POINTS published costs with the counts that they stand
# for, COUNTS tables of counts, a row each for what is counted. WHAT is printed, without a header:
#
#   prices    each price: low, value, high, kind; what was calibrated is solved
#   fit       the calibration points:  point, published, modelled, low, high, error in percent, source
#   tests     the test points:         the same, and a verdict before the source
#   asked     the points of which nothing is published:  point, low, value, high, source
#   price     each row of the COUNTS, of the second where there are two: its name, low, value, high
#   compare   each operation that both have, with -v peer=NAME -v own=NAME: low, value, high of each, and of their ratio
#   terms     each row of the COUNTS whose operation is that of -v operation=NAME: what each price has in its value
#
# One price at most is calibrated: it is what makes the calibration points right, in the sense of least squares of relative
# errors, and exactly where there is one point. It depends on the other prices, so a range is that of the whole: where a
# free price is higher, the calibrated one is lower. It has a floor, beyond which no combination of prices is looked at.
# Where the middle of all ranges lies there, the free prices of what calibration points have counts of go down, by the same
# part of their way to their low, until the calibrated one is at its floor. Test points have no part in any of that.

BEGIN {
	FS = OFS = "\t"
	parameters = split("exit_and_entry instruction vmread vmwrite vmptrld vmclear invept invvpid cpuid rdmsr wrmsr rdtsc" \
		" serializing locked rep world_switch", parameter, " ")
	for (i = 1; i <= parameters; i++) known[parameter[i]] = i
	NEAR_PERCENT = 25
	if (what !~ /^(prices|fit|tests|asked|price|compare|terms)$/) die("what=" what ": must be prices, fit, tests, asked, price, compare or terms")
	if (ARGC < 4) die("give a profile, a table of points, and tables of counts")
}

function die(message) {
	print "cost-model: " message > "/dev/stderr"
	failed = 1
	exit 1
}

function bad(message) {
	die(FILENAME ", line " FNR ": " message)
}

function is_number(text) {
	return text ~ /^[0-9]+(\.[0-9]+)?$/
}

FNR == 1 { file++; head = 0 }
/^#/ || /^$/ { next }
!head { head = 1; if (file == 1) profile_head(); else if (file == 2) points_head(); else counts_head(); next }
file == 1 { read_price(); next }
file == 2 { read_point(); next }
{ read_counts() }

# The profile.

function profile_head() {
	if ($0 != "parameter" OFS "low" OFS "value" OFS "high" OFS "unit" OFS "source")
		bad("the columns must be parameter, low, value, high, unit, source")
	profile = FILENAME
	sub(/.*\//, "", profile)
	sub(/\.tsv$/, "", profile)
}

function read_price(name) {
	name = $1
	if (NF != 6) bad("there must be 6 columns, not " NF)
	if (!(name in known)) bad("no parameter is called \"" name "\"; experiments/costs/README.md lists them")
	if (name in kind) bad(name " is there twice")
	if ($5 != "cycles") bad("the unit must be cycles, not \"" $5 "\"")
	if ($6 ~ /^ *$/) bad(name " has no source; where nothing is published it is \"free: WHY THIS RANGE\"")
	if ($6 ~ /^calibrated/) {
		if ($3 $4 != "--" || !is_number($2)) bad(name " is calibrated: low is its floor, value and high are -")
		if (solved != "") bad(name " and " solved " are both calibrated; one at most can be solved")
		solved = name
		floor = $2
		kind[name] = "calibrated"
		return
	}
	if (!is_number($2) || !is_number($3) || !is_number($4)) bad(name ": low, value and high must be numbers")
	if ($2 + 0 > $3 + 0 || $3 + 0 > $4 + 0) bad(name ": must be low <= value <= high")
	kind[name] = $6 ~ /^free: *[^ ]/ ? "free" : "published"
	if ($6 ~ /^free/ && kind[name] != "free") bad(name " is free; say why this range: \"free: WHY\"")
	if (kind[name] == "free" && ($2 + $4) / 2 != $3 + 0)
		bad(name " is free, so its value must be the middle of its range, " ($2 + $4) / 2)
	low[name] = $2
	value[name] = $3
	high[name] = $4
}

# The points.

function points_head() {
	if ($0 != "profile" OFS "role" OFS "point" OFS "counts" OFS "published" OFS "unit" OFS "source")
		bad("the columns must be profile, role, point, counts, published, unit, source")
}

function read_point(n, figure) {
	if (NF != 7) bad("there must be 7 columns, not " NF)
	if ($2 !~ /^(calibration|test|asked)$/) bad("the role must be calibration, test or asked, not \"" $2 "\"")
	if (($1, $3) in named) bad("the point " $3 " of " $1 " is there twice")
	if ($2 == "asked" ? $5 $6 != "--" : !is_number($5) || $5 + 0 == 0)
		bad("the published cost must be a number above 0, with its unit; only what is asked has -, and no unit")
	if ($2 != "asked" && $6 != "cycles" && $6 !~ /^us@[0-9]+(\.[0-9]+)?GHz$/)
		bad("the unit must be cycles or, as us@2.5GHz, microseconds")
	if ($7 == "") bad("the point " $3 " has no source")
	named[$1, $3] = 1
	figure = $7 OFS $5
	if ($2 != "asked" && figure in role && role[figure] != $2)
		bad("the same figure of " $7 " is a calibration point and a test point")
	role[figure] = $2
	if ($1 != profile) return
	n = ++points
	point[n] = $3
	point_role[n] = $2
	point_counts[n] = $4
	point_where[n] = FILENAME ", line " FNR
	if ($2 != "asked") published[n] = $6 == "cycles" ? $5 : $5 * 1000 * substr($6, 4, length($6) - 6)
	point_source[n] = $7
}

# The counts. What counts as an instruction of its own price is taken out of the instructions.

function column_parameter(name) {
	if (name == "instructions") return "instruction"
	if (name == "exits") return "exit_and_entry"
	return name
}

function counts_head(i) {
	columns = NF
	split("", column)
	entries = operation_at = l0_at = exits_at = 0
	for (i = 1; i <= NF; i++) {
		column[i] = column_parameter($i)
		if ($i == "entries") entries = i
		else if (!(column[i] in known)) column[i] = $i ~ /^(operation|l0)$/ ? "" : "?" $i
		if ($i == "operation") operation_at = i
		if ($i == "l0") l0_at = i
		if ($i == "exits") exits_at = i
	}
	if (!operation_at || !l0_at) bad("a table of counts must have the columns operation and l0")
}

function read_counts(key, i, p, plain) {
	key = (file > 3 ? "@" : "") $l0_at ":" $operation_at
	if (NF != columns) bad("there must be " columns " columns, not " NF)
	if (entries && $entries != $exits_at)
		bad(key " has " $exits_at " exits and " $entries " entries, and they have one price together")
	for (i = 1; i <= NF; i++) {
		p = column[i]
		if (p == "" || i == entries) continue
		if (!is_number($i)) bad(key ": \"" $i "\" is no count")
		if (substr(p, 1, 1) == "?") {
			if ($i + 0) bad("there is no price for " substr(p, 2) ", of which " key " has " $i)
			continue
		}
		count[key, p] = $i
	}
	plain = count[key, "instruction"]
	for (i in known)
		if (i !~ /^(exit_and_entry|instruction|world_switch)$/) plain -= count[key, i]
	plain -= count[key, "exit_and_entry"]
	if (plain < 0) bad(key " has more VMREADs and other instructions than instructions")
	count[key, "instruction"] = plain
	if (!(key in counted)) {
		counted[key] = FILENAME
		order[++keys] = key
	}
}

# evaluate EXPRESSION INTO: such as "a:x + 2*b:y - exit_and_entry", rows of counts and parameters, spaces between.
function evaluate(expression, into, where, terms, term, n, i, p, sign, times) {
	for (p in known) into[p] = 0
	n = split(expression, terms, " ")
	sign = 1
	for (i = 1; i <= n; i++) {
		term = terms[i]
		if (term == "+" || term == "-") {
			sign = term == "+" ? 1 : -1
			continue
		}
		times = sign
		if (match(term, /^[0-9]+\*/)) {
			times *= substr(term, 1, RLENGTH - 1)
			term = substr(term, RLENGTH + 1)
		}
		if (term in known) into[term] += times
		else if (term in counted) for (p in known) into[p] += times * count[term, p]
		else die(where ": no counts are called \"" term "\"")
		sign = 1
	}
	for (p in known) {
		if (into[p] < 0) die(where ": the counts come to " into[p] " of " p)
		if (into[p] && !(p in kind)) die(where ": " profile " has no price for " p ", of which there are " into[p])
	}
}

# What the calibrated price is: base less the sum of slope x price, over all other prices.
function calibrate(n, p, weight, squares, used) {
	if (solved == "") return
	for (n = 1; n <= points; n++) {
		if (point_role[n] != "calibration") continue
		evaluate(point_counts[n], used, point_where[n])
		if (used["world_switch"]) die(point_where[n] ": a calibration point must be of a single level")
		if (!used[solved]) die(point_where[n] ": a calibration point must have a count of " solved)
		weight = 1 / published[n] ^ 2
		squares += weight * used[solved] ^ 2
		base += weight * used[solved] * published[n]
		for (p in known) slope[p] += weight * used[solved] * used[p]
	}
	if (!squares) die(profile ": " solved " is calibrated, but there is no calibration point")
	base /= squares
	for (p in known) slope[p] /= squares
	go_to_floor()
	for (p in known) none[p] = 0
	none[solved] = 1
	model(none)
	low[solved] = m["low"]
	value[solved] = m["value"]
	high[solved] = m["high"]
}

# go_to_floor: takes free prices down where their middle leaves the calibrated one less than its floor.
function go_to_floor(p, excess, room) {
	excess = floor - base
	for (p in kind) {
		if (p == solved) continue
		excess += slope[p] * value[p]
		if (kind[p] == "free") room += slope[p] * (value[p] - low[p])
	}
	if (excess <= 0) return
	if (excess > room)
		die(profile ": " solved " comes to less than " floor " even with the lowest prices; some are too high")
	for (p in kind)
		if (kind[p] == "free" && slope[p] > 0) value[p] -= (value[p] - low[p]) * excess / room
}

# cost COUNTS PRICES: with the calibrated price that these leave.
function cost(counts, prices, p, sum) {
	sum = solved == "" ? 0 : counts[solved] * base
	for (p in kind) if (p != solved) sum += coefficient(counts, p) * prices[p]
	return sum
}

# coefficient COUNTS PARAMETER: what a cycle more of that price adds, by way of the calibrated one as well.
function coefficient(counts, p) {
	return counts[p] - (solved == "" ? 0 : counts[solved] * slope[p])
}

# corner PULL INTO: the prices at which the sum of pull x price is greatest: each at an end of its range. Where that leaves
# the calibrated price less than its floor, those come down whose part in the sum is least for what they leave.
function corner(pull, into, p, excess, cheapest, down) {
	excess = floor - base
	for (p in kind) {
		if (p == solved) continue
		into[p] = pull[p] > 0 ? high[p] : low[p]
		excess += slope[p] * into[p]
	}
	while (solved != "" && excess > 1e-9) {
		cheapest = ""
		for (p in kind) {
			if (p == solved || slope[p] <= 0 || into[p] <= low[p]) continue
			if (cheapest == "" || pull[p] / slope[p] < pull[cheapest] / slope[cheapest]) cheapest = p
		}
		if (cheapest == "") break
		down = into[cheapest] - low[cheapest]
		if (down * slope[cheapest] > excess) down = excess / slope[cheapest]
		into[cheapest] -= down
		excess -= down * slope[cheapest]
	}
}

# pulls A B RATIO SIGN INTO: of A - ratio x B.
function pulls(a, b, ratio, sign, into, p) {
	for (p in kind) if (p != solved) into[p] = sign * (coefficient(a, p) - ratio * (ratio ? coefficient(b, p) : 0))
}

# model COUNTS: sets m.
function model(counts, pull, at) {
	m["value"] = cost(counts, value)
	pulls(counts, counts, 0, 1, pull)
	corner(pull, at)
	m["high"] = cost(counts, at)
	pulls(counts, counts, 0, -1, pull)
	corner(pull, at)
	m["low"] = cost(counts, at)
}

# ratio_end A B SIGN: the greatest (1) or least (-1) ratio of two costs at the same prices: at the greatest ratio r no prices
# make A - r x B greater than 0, so r is raised to what the prices give that make it greatest, until nothing is left.
function ratio_end(a, b, sign, ratio, before, pull, at, rounds) {
	ratio = cost(a, value) / cost(b, value)
	do {
		before = ratio
		pulls(a, b, before, sign, pull)
		corner(pull, at)
		ratio = cost(a, at) / cost(b, at)
	} while (sign * (ratio - before) > 1e-9 && ++rounds < 100)
	return ratio
}

function cycles() {
	return sprintf("%.0f\t%.0f\t%.0f", m["low"], m["value"], m["high"])
}

function print_prices(i, p) {
	for (i = 1; i <= parameters; i++) {
		p = parameter[i]
		if (p in kind) print profile, p, sprintf("%.3f\t%.3f\t%.3f", low[p], value[p], high[p]), kind[p]
	}
}

function print_points(wanted_role, n, used, error, verdict) {
	for (n = 1; n <= points; n++) {
		if (point_role[n] != wanted_role) continue
		evaluate(point_counts[n], used, point_where[n])
		model(used)
		if (wanted_role == "asked") {
			print profile, point[n], cycles(), point_source[n]
			continue
		}
		error = sprintf("%.1f", 100 * (m["value"] / published[n] - 1)) + 0
		if (published[n] >= m["low"] && published[n] <= m["high"]) verdict = "in_range"
		else verdict = error <= NEAR_PERCENT && error >= -NEAR_PERCENT ? "near" : "poor"
		print profile, point[n], sprintf("%.0f", published[n]), sprintf("%.0f", m["value"]),
			sprintf("%.0f\t%.0f\t%.1f", m["low"], m["high"], error),
			(wanted_role == "test" ? verdict OFS : "") point_source[n]
	}
}

function print_rows(i, used, name) {
	for (i = 1; i <= keys; i++) {
		name = order[i]
		if (file > 3 && !sub(/^@/, "", name)) continue
		evaluate(order[i], used, counted[order[i]])
		model(used)
		print name, cycles()
	}
}

function print_terms(i, j, p, used) {
	for (i = 1; i <= keys; i++) {
		if (substr(order[i], index(order[i], ":") + 1) != operation) continue
		evaluate(order[i], used, counted[order[i]])
		for (j = 1; j <= parameters; j++) {
			p = parameter[j]
			if (used[p]) print profile, order[i], p, used[p], sprintf("%.0f", used[p] * value[p])
		}
	}
}

function print_comparison(i, name, a, b, peer_cycles, own_cycles) {
	for (i = 1; i <= keys; i++) {
		name = order[i]
		if (!sub("^" peer ":", "", name) || !((own ":" name) in counted)) continue
		evaluate(order[i], a, counted[order[i]])
		evaluate(own ":" name, b, counted[own ":" name])
		model(a)
		if (!m["value"]) continue
		peer_cycles = cycles()
		model(b)
		if (!m["value"]) continue
		own_cycles = cycles()
		model(a)
		m["ratio"] = m["value"]
		model(b)
		print profile, name, peer_cycles, own_cycles,
			sprintf("%.2f\t%.2f\t%.2f", ratio_end(a, b, -1), m["ratio"] / m["value"], ratio_end(a, b, 1))
	}
}

END {
	if (failed) exit 1
	if (profile == "") die("the profile " ARGV[1] " is empty")
	calibrate()
	if (what == "prices") print_prices()
	else if (what == "fit") print_points("calibration")
	else if (what == "tests") print_points("test")
	else if (what == "asked") print_points("asked")
	else if (what == "price") print_rows()
	else if (what == "terms") print_terms()
	else print_comparison()
}
