#include "transcript.h"
#include "machine.h"
#include "multiboot.h"
#include "print.h"
#include "serial.h"
#include "string.h"

#define LINE_SIZE 512
#define NAME_SIZE 96

static char name[NAME_SIZE], line[LINE_SIZE], complaint[LINE_SIZE];
static size_t line_length;
static unsigned cases, wrong_cases;
u32 multiboot_information;

void conform_main(u32 magic, u32 info);

void case_begin(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	line_length = 0;
	line[0] = complaint[0] = '\0';
}

void observe(const char *format, ...)
{
	va_list args;

	if (line_length + 1 >= sizeof(line))
		return;
	line[line_length++] = ' ';
	va_start(args, format);
	line_length += (size_t)vsnprintf(line + line_length, sizeof(line) - line_length, format, args);
	va_end(args);
	if (line_length >= sizeof(line))
		give_up("the line of case %s is too long", name);
}

void wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(complaint, sizeof(complaint), format, args);
	va_end(args);
}

void case_end(void)
{
	cases++;
	print("%s:%s\n", name, line);
	if (!complaint[0])
		return;
	wrong_cases++;
	print("WRONG %s: %s\n", name, complaint);
}

void give_up(const char *format, ...)
{
	va_list args;

	print("given up after case %s: ", name);
	va_start(args, format);
	vprint(format, args);
	va_end(args);
	print("\n");
	machine_verdict(false);
}

void assert_failed(const char *what, const char *file, int at)
{
	give_up("broken invariant %s (%s:%d)", what, file, at);
}

static const char *vector_name(int vector)
{
	static const char *const names[EXCEPTION_VECTORS] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "?9", "#TS", "#NP", "#SS", "#GP", "#PF",
		"?15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	};

	return vector >= 0 && vector < EXCEPTION_VECTORS && names[vector] ? names[vector] : "?";
}

void observe_fault(const struct probe_result *result)
{
	if (result->vector == PROBE_NO_FAULT)
		observe("fault=-");
	else
		observe("fault=%s(%x) at=%lx", vector_name(result->vector), result->error_code, result->at);
	if (result->vector == VECTOR_PF)
		observe("cr2=%lx", result->cr2);
}

void observe_flags(u64 rflags)
{
	static const struct {
		u64 bit;
		char letter;
	} flags[] = { { RFLAGS_CF, 'C' }, { RFLAGS_PF, 'P' }, { RFLAGS_AF, 'A' },
		      { RFLAGS_ZF, 'Z' }, { RFLAGS_SF, 'S' }, { RFLAGS_OF, 'O' } };
	char text[ARRAY_SIZE(flags) + 1] = "";

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		text[i] = rflags & flags[i].bit ? flags[i].letter : '-';
	observe("flags=%s", text);
}

u64 command_line_number(const char *word, u64 standard)
{
	const struct multiboot_info *info = (const void *)(u64)multiboot_information;
	const char *at = (const char *)(u64)info->cmdline;
	u64 number = 0;

	while (*at && strncmp(at, word, strlen(word)) != 0)
		at++;
	if (!*at)
		return standard;
	for (at += strlen(word); *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (u64)(*at - '0');
	return number;
}

void conform_main(u32 magic, u32 info)
{
	(void)magic;
	multiboot_information = info;
	serial_init(PORT_COM1);
	print_to_port(PORT_COM1);
	probe_init();
	group();
	print("cases: %u, wrong: %u\n", cases, wrong_cases);
	machine_verdict(wrong_cases == 0);
}

