# One table out of those of several repetitions of the same points: for each measured column its minimum, median and maximum.
# A row is told by the columns before the first that holds a figure anywhere. A column stays one if its name has no "cycles"
# in it and all repetitions agree on it in every row; the last column has how many repetitions had the row.
BEGIN {
	FS = OFS = "\t"
}

function is_figure(text)
{
	return text ~ /^[-+]?[0-9]+([.][0-9]+)?$/
}

# A table's rows of the same name are told apart by their order.
function row_key(    i, key)
{
	key = ""
	for (i = 1; i <= keys; i++)
		key = key line_cell[l, i] SUBSEP
	key = key (++seen[line_file[l], key])
	if (!(key in number)) {
		number[key] = ++rows
		for (i = 1; i <= keys; i++)
			name[rows, i] = line_cell[l, i]
	}
	return number[key]
}

# sort_cells ROW COLUMN: into sorted[1..], the count.
function sort_cells(r, c,    n, i, value)
{
	for (n = 0; n < count[r]; n++) {
		value = cell[r, c, n + 1]
		for (i = n; i > 0 && sorted[i] + 0 > value + 0; i--)
			sorted[i + 1] = sorted[i]
		sorted[i + 1] = value
	}
	return n
}

function median(n,    middle)
{
	if (n % 2)
		return sorted[(n + 1) / 2]
	middle = (sorted[n / 2] + sorted[n / 2 + 1]) / 2
	return middle == int(middle) ? sprintf("%.0f", middle) : sprintf("%.2f", middle)
}

function is_spread(c,    r, i)
{
	if (head[c] ~ /cycles/)
		return 1
	for (r = 1; r <= rows; r++)
		for (i = 2; i <= count[r]; i++)
			if (cell[r, c, i] != cell[r, c, 1])
				return 1
	return 0
}

# All three are "-" where a repetition has no figure.
function three(r, c,    n, i)
{
	for (i = 1; i <= count[r]; i++)
		if (!is_figure(cell[r, c, i]))
			return "-" OFS "-" OFS "-"
	n = sort_cells(r, c)
	return sorted[1] OFS median(n) OFS sorted[n]
}

FNR == 1 {
	files++
	if (files == 1)
		columns = split($0, head)
	else if ($0 != first_head) {
		print "the columns of two repetitions differ" > "/dev/stderr"
		failed = 1
		exit 1
	}
	first_head = $0
	next
}

{
	line_file[++lines] = files
	for (i = 1; i <= columns; i++) {
		line_cell[lines, i] = $i
		if (is_figure($i) && !(i in figures))
			figures[i] = 1
	}
}

END {
	if (failed)
		exit 1
	for (keys = 0; keys < columns && !((keys + 1) in figures);)
		keys++
	for (l = 1; l <= lines; l++) {
		r = row_key()
		count[r]++
		for (c = keys + 1; c <= columns; c++)
			cell[r, c, count[r]] = line_cell[l, c]
	}
	text = ""
	for (c = 1; c <= columns; c++) {
		spread[c] = c > keys && is_spread(c)
		text = text (spread[c] ? head[c] "_min" OFS head[c] "_median" OFS head[c] "_max" : head[c]) OFS
	}
	print text "repetitions"
	for (r = 1; r <= rows; r++) {
		text = ""
		for (c = 1; c <= columns; c++)
			text = text (c <= keys ? name[r, c] : spread[c] ? three(r, c) : cell[r, c, 1]) OFS
		print text count[r]
	}
}
