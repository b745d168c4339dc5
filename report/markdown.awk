# Markdown, as far as the READMEs of experiments use it, to HTML: paragraphs, lists, tables, indented and fenced code, headings,
# `code`, **bold**, *emphasis*; of a link its text. After text.awk.
function between(text, mark, tag, out, from, to) {
	out = ""
	while ((from = index(text, mark)) && (to = index(substr(text, from + length(mark)), mark)) > 1 &&
			substr(text, from + length(mark), 1) != " ") {
		out = out substr(text, 1, from - 1) "<" tag ">" substr(text, from + length(mark), to - 1) "</" tag ">"
		text = substr(text, from + length(mark) * 2 + to - 1)
	}
	return out text
}

function prose(text) {
	while (match(text, /\[[^]]*\]\([^)]*\)/)) {
		link = substr(text, RSTART + 1, RLENGTH - 1)
		sub(/\].*/, "", link)
		text = substr(text, 1, RSTART - 1) link substr(text, RSTART + RLENGTH)
	}
	return between(between(text, "**", "b"), "*", "em")
}

# What is code stays as it is.
function inline(text, out, part, n, i) {
	n = split(escape(text), part, "`")
	out = ""
	for (i = 1; i <= n; i++)
		out = out (i % 2 ? prose(part[i]) : i < n ? "<code>" part[i] "</code>" : "`" part[i])
	return out
}

function finish() {
	if (block == "p" || block == "li") print "<" block ">" inline(text) "</" block ">"
	if (block == "li") list = 1
	if (block == "pre") print "<pre>" text "</pre>"
	if (block == "table") print "</tbody></table></div>"
	block = text = ""
}

function end_list() {
	if (list) print "</ul>"
	list = 0
}

# A bar within code, or escaped, divides nothing.
function table_row(line, tag, cells, n, i) {
	gsub(/\\\|/, "\001", line)
	sub(/^\| */, "", line)
	sub(/ *\|$/, "", line)
	n = split(line, cells, / *\| */)
	printf "<tr>"
	for (i = 1; i <= n; i++) {
		gsub(/\001/, "|", cells[i])
		printf "<%s>%s</%s>", tag, inline(cells[i]), tag
	}
	print "</tr>"
}

/^```/ {
	if (fenced) {
		fenced = 0
		finish()
	} else {
		finish()
		end_list()
		fenced = 1
		block = "pre"
	}
	next
}
fenced || block == "pre" && /^    / {
	if (!fenced) sub(/^    /, "")
	text = text (text == "" ? "" : "\n") escape($0)
	next
}
/^[ \t]*$/ { finish(); next }
/^#+ / {
	finish()
	end_list()
	sub(/^#+ */, "")
	print "<h4>" inline($0) "</h4>"
	next
}
/^- / {
	finish()
	if (!list) print "<ul>"
	list = 1
	block = "li"
	text = substr($0, 3)
	next
}
/^\|/ {
	if (block != "table") {
		finish()
		end_list()
		block = "table"
		print "<div class=\"scroll\"><table class=\"prose\"><thead>"
		table_row($0, "th")
		print "</thead><tbody>"
	} else if ($0 !~ /^\|[-: |]+$/) {
		table_row($0, "td")
	}
	next
}
/^    / && block == "" {
	end_list()
	block = "pre"
	text = escape(substr($0, 5))
	next
}
{
	if (block != "p" && block != "li") {
		finish()
		end_list()
		block = "p"
	}
	sub(/^ +/, "")
	text = text (text == "" ? "" : " ") $0
}
END { finish(); end_list() }
