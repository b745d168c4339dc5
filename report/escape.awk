# Lines of text to HTML. After text.awk.
{ print escape($0) }
