# table.awk -v form=html|md -v name=NAME -v file=FILE FILE: a table of results. Comments are left out. A column whose name has
# "published" is theirs, one whose name has "model" is modelled, both are marked; percentages and the like are computed of others;
# the rest is measured. The leading columns of words name the row. Figures are aligned at their decimal points. After text.awk.
function kind_of(column, text) {
	if (column < first) return ""
	if (text ~ /published/) return "published"
	if (text ~ /model/) return "modelled"
	if (is_text[column]) return ""
	return text ~ /percent|ratio|factor|error/ ? "computed" : "measured"
}

# A column's name for people: "published_l0_exits" is "L0 exits" below the heading "published".
function title_of(text) {
	sub(/^published_/, "", text)
	sub(/^modelled_/, "", text)
	gsub(/percent/, "%", text)
	gsub(/_/, " ", text)
	while (match(text, /(^| )l[0-9]/))
		text = substr(text, 1, RSTART + RLENGTH - 3) "L" substr(text, RSTART + RLENGTH - 1)
	return text
}

# Digits before the point.
function whole_of(text) {
	sub(/^[-+]/, "", text)
	sub(/\..*/, "", text)
	return length(text)
}

function decimals_of(text) {
	return match(text, /\.[0-9]+$/) ? RLENGTH : 0
}

# Thousands are set apart by style alone, so that what is copied is the figure.
function grouped(text, sign, whole, rest, out) {
	sign = text ~ /^[-+]/ ? substr(text, 1, 1) : ""
	whole = substr(text, length(sign) + 1)
	rest = ""
	if (match(whole, /\./)) {
		rest = substr(whole, RSTART)
		whole = substr(whole, 1, RSTART - 1)
	}
	out = ""
	while (length(whole) > 3) {
		out = "<i>" substr(whole, length(whole) - 2) "</i>" out
		whole = substr(whole, 1, length(whole) - 3)
	}
	return sign whole out rest
}

# What a figure lacks in decimals is there unseen, so that all of its column are aligned at the point.
function figure(text, column, shown, missing) {
	shown = widest > 4 ? grouped(text) : text
	missing = decimals[column] - decimals_of(text)
	if (missing <= 0) return shown
	return shown "<s>" substr(".000000000", decimals_of(text) ? 2 : 1, missing) "</s>"
}

function html_cell(row, column, text, class) {
	text = cell[row, column]
	class = kind[column]
	if (class == "measured" || class == "computed") class = ""
	if (is_text[column] && text != "-") {
		if (column == 1)
			return "<th scope=\"row\"" (text == cell[row - 1, 1] && row > 2 ? " class=\"same\"" : "") ">" escape(text) "</th>"
		class = class (class == "" ? "" : " ") "text"
		text = breakable(text)
	} else if (is_number(text)) {
		text = figure(text, column)
	} else {
		class = class (class == "" ? "" : " ") "none"
		text = text == "-" || text == "" ? "&ndash;" : escape(text)
	}
	return "<td" (class == "" ? "" : " class=\"" class "\"") ">" text "</td>"
}

# The row above the names: which columns are whose. Only if not all are measured.
function html_kinds(column, from, out) {
	out = ""
	for (column = 1; column <= columns; column = from) {
		for (from = column; from <= columns && kind[from] == kind[column]; from++) continue
		out = out (kind[column] == "" ? "<td colspan=\"" (from - column) "\"></td>" : "<th scope=\"colgroup\" class=\"kind " \
			kind[column] "\" colspan=\"" (from - column) "\">" kind[column] "</th>")
	}
	print "<tr class=\"kinds\">" out "</tr>"
}

function html_names(column, class) {
	printf "<tr>"
	for (column = 1; column <= columns; column++) {
		class = (kind[column] ~ /^(measured|computed)$/ ? "" : kind[column]) (is_text[column] ? " text" : "")
		sub(/^ /, "", class)
		printf "<th scope=\"col\"%s title=\"%s\">%s</th>", class == "" ? "" : " class=\"" class "\"", escape(cell[1, column]),
			escape(title_of(cell[1, column]))
	}
	print "</tr>"
}

function html(row, column, repeats) {
	for (row = 3; row <= rows; row++)
		if (is_text[1] && cell[row, 1] == cell[row - 1, 1]) repeats = 1
	printf "<figure class=\"table\" data-tsv=\"%s\">\n<figcaption><b>%s</b> <span class=\"file\">%s</span></figcaption>\n",
		escape(file), escape(name), escape(file)
	printf "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"table %s\">\n<table>\n<thead>\n", escape(name)
	if (other) html_kinds()
	html_names()
	print "</thead>\n<tbody>"
	for (row = 2; row <= rows; row++) {
		printf "<tr%s>", (repeats && row > 2 && cell[row, 1] != cell[row - 1, 1] ? " class=\"new\"" : "")
		for (column = 1; column <= columns; column++) printf "%s", html_cell(row, column)
		print "</tr>"
	}
	print "</tbody>\n</table>\n</div>\n</figure>"
}

function md_text(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/\|/, "\\|", text)
	return text
}

function md(row, column, line) {
	for (row = 1; row <= rows; row++) {
		line = "|"
		for (column = 1; column <= columns; column++)
			line = line " " md_text(cell[row, column]) (row == 1 && kind[column] == "published" &&
				cell[1, column] !~ /^published/ ? " (published)" : "") " |"
		print line
		if (row > 1) continue
		line = "|"
		for (column = 1; column <= columns; column++) line = line (is_text[column] ? " --- |" : " ---: |")
		print line
	}
}

BEGIN { FS = "\t" }
/^#/ { next }
{
	rows++
	if (NF > columns) columns = NF
	for (i = 1; i <= NF; i++) {
		cell[rows, i] = $i
		if (rows == 1) continue
		if (is_number($i)) {
			if (decimals_of($i) > decimals[i]) decimals[i] = decimals_of($i)
			if (whole_of($i) > widest) widest = whole_of($i)
			words[i]--
		} else if ($i != "-" && $i != "") {
			words[i]++
		}
	}
}
END {
	for (i = 1; i <= columns; i++) is_text[i] = words[i] > 0
	for (first = 1; first <= columns && is_text[first]; first++) continue
	for (i = 1; i <= columns; i++) {
		kind[i] = kind_of(i, cell[1, i])
		if (kind[i] ~ /^(published|modelled)$/) other = 1
	}
	if (form == "md") md()
	else html()
}
