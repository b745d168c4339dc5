# What the other programs here share; given to awk before them.
function escape(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	gsub(/>/, "\\&gt;", text)
	gsub(/"/, "\\&quot;", text)
	return text
}

# breakable TEXT: escaped; a long name may break behind an underscore.
function breakable(text) {
	text = escape(text)
	if (length(text) > 28) gsub(/_/, "_<wbr>", text)
	return text
}

function is_number(text) {
	return text ~ /^[-+]?[0-9]+(\.[0-9]+)?$/
}
