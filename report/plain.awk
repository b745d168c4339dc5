# A TSV of words, its first line the names of the columns, to a table. After text.awk.
function row(tag, i) {
	printf "<tr>"
	for (i = 1; i <= NF; i++)
		if (tag == "th") printf "<th scope=\"col\">%s</th>", escape($i)
		else printf i == 1 ? "<th scope=\"row\">%s</th>" : "<td>%s</td>", breakable($i)
	print "</tr>"
}

BEGIN {
	FS = "\t"
	print "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"table\"><table class=\"prose\">\n<thead>"
}
NR == 1 { row("th"); print "</thead>\n<tbody>"; next }
{ row("td") }
END { print "</tbody></table></div>" }
