#include "fail.h"
#include "machine.h"
#include "print.h"
#include "vmx_insn.h"

void fail(const char *format, ...)
{
	va_list args;

	print("minivisor: ");
	va_start(args, format);
	vprint(format, args);
	va_end(args);
	print("\n");
	machine_verdict(false);
}

void assert_failed(const char *what, const char *file, int line)
{
	fail("broken invariant %s (%s:%d)", what, file, line);
}

void vmwrite_failed(u64 encoding, u64 value)
{
	fail("VMWRITE of 0x%lx to field 0x%lx failed", value, encoding);
}
