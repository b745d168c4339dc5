#include "print.h"
#include "serial.h"
#include "string.h"

#define PRINT_SIZE 512
#define DIGITS_MAX 24

static u16 print_port;

/* What is written so far; length runs on past size, as the result must. */
struct output {
	char *buffer;
	size_t size;
	size_t length;
};

/* A conversion: %[-][0][width][l|ll]letter. */
struct conversion {
	bool left;
	char pad;
	unsigned width;
	unsigned longs;
	char letter;
};

static void put_char(struct output *out, char c)
{
	if (out->length + 1 < out->size)
		out->buffer[out->length] = c;
	out->length++;
}

static void put_chars(struct output *out, char c, size_t count)
{
	while (count--)
		put_char(out, c);
}

/* text in its field; a sign comes before padding zeros. */
static void put_field(struct output *out, const struct conversion *conv, const char *text, size_t length)
{
	size_t fill = conv->width > length ? conv->width - length : 0;

	if (!conv->left) {
		if (conv->pad == '0' && *text == '-') {
			put_char(out, *text++);
			length--;
		}
		put_chars(out, conv->pad, fill);
	}
	while (length--)
		put_char(out, *text++);
	if (conv->left)
		put_chars(out, ' ', fill);
}

static void put_number(struct output *out, const struct conversion *conv, u64 value, unsigned base,
		       bool negative)
{
	char digits[DIGITS_MAX];
	char *first = digits + DIGITS_MAX;

	do
		*--first = "0123456789abcdef"[value % base];
	while (value /= base);
	if (negative)
		*--first = '-';
	put_field(out, conv, first, (size_t)(digits + DIGITS_MAX - first));
}

static const char *parse_conversion(const char *format, struct conversion *conv)
{
	*conv = (struct conversion){ .pad = ' ' };
	for (; *format == '-' || *format == '0'; format++)
		if (*format == '-')
			conv->left = true;
		else
			conv->pad = '0';
	for (; *format >= '0' && *format <= '9'; format++)
		conv->width = conv->width * 10 + (unsigned)(*format - '0');
	for (; *format == 'l' || *format == 'z'; format++)
		conv->longs++;
	conv->letter = *format;
	return *format ? format + 1 : format;
}

/* va_list is passed by pointer, so that the caller goes on after the argument taken here. */
static void put_argument(struct output *out, const struct conversion *conv, va_list *args)
{
	s64 number;
	const char *text;
	char c;

	switch (conv->letter) {
	case 'd':
		number = conv->longs ? va_arg(*args, s64) : va_arg(*args, int);
		put_number(out, conv, number < 0 ? 0 - (u64)number : (u64)number, 10, number < 0);
		break;
	case 'u':
	case 'x':
		put_number(out, conv, conv->longs ? va_arg(*args, u64) : va_arg(*args, unsigned),
			   conv->letter == 'x' ? 16 : 10, false);
		break;
	case 'p':
		put_number(out, conv, (uintptr_t)va_arg(*args, void *), 16, false);
		break;
	case 's':
		text = va_arg(*args, const char *);
		put_field(out, conv, text, strlen(text));
		break;
	case 'c':
		c = (char)va_arg(*args, int);
		put_field(out, conv, &c, 1);
		break;
	default:
		put_char(out, conv->letter);
	}
}

int vsnprintf(char *buffer, size_t size, const char *format, va_list args)
{
	struct output out = { buffer, size, 0 };
	struct conversion conv;
	va_list rest;

	va_copy(rest, args);
	while (*format) {
		if (*format != '%') {
			put_char(&out, *format++);
			continue;
		}
		format = parse_conversion(format + 1, &conv);
		if (conv.letter)
			put_argument(&out, &conv, &rest);
	}
	va_end(rest);
	if (size)
		buffer[out.length < size ? out.length : size - 1] = '\0';
	return (int)out.length;
}

int snprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(buffer, size, format, args);
	va_end(args);
	return length;
}

void print_to_port(u16 serial_port)
{
	print_port = serial_port;
}

void vprint(const char *format, va_list args)
{
	char text[PRINT_SIZE];
	size_t length = (size_t)vsnprintf(text, sizeof(text), format, args);

	serial_write(print_port, text, length < sizeof(text) ? length : sizeof(text) - 1);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprint(format, args);
	va_end(args);
}
