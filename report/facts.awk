# Lines of a key and a value to a list of descriptions. After text.awk.
BEGIN { FS = "\t" }
{ printf "<div><dt>%s</dt><dd>%s</dd></div>\n", escape($1), breakable($2) }
