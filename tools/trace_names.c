#include "trace.h"
#include "ept.h"

static const char *const reason_names[EXIT_REASONS] = {
#define R(number, name) [number] = #name,
#include "exit_reasons.def"
#undef R
};

const char *trace_reason(u32 reason)
{
	reason &= EXIT_REASON_BASIC;
	return reason < EXIT_REASONS && reason_names[reason] ? reason_names[reason] : "unknown";
}

const char *trace_level(unsigned level)
{
	static const char *const names[] = { "L0", "L1", "L2" };

	return names[level];
}

const char *trace_unit(const struct trace *trace)
{
	return trace->tick_is_instruction ? "instructions" : "cycles";
}

static const struct {
	u16 encoding;
	const char *name;
} fields[] = {
#define F(name, encoding, use, hot) { encoding, #name },
#include "vmcs_fields.def"
#undef F
};

static const char *field_name(u64 encoding)
{
	static char text[80];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (encoding == fields[i].encoding)
			return fields[i].name;
		if (encoding == (fields[i].encoding | VMCS_ENCODING_HIGH)) {
			snprintf(text, sizeof(text), "%s_high", fields[i].name);
			return text;
		}
	}
	snprintf(text, sizeof(text), "field 0x%llx", (unsigned long long)encoding);
	return text;
}

static const char *rights(u64 bits)
{
	static char text[4];

	text[0] = bits & EPT_READ ? 'r' : '-';
	text[1] = bits & EPT_WRITE ? 'w' : '-';
	text[2] = bits & EPT_EXECUTE ? 'x' : '-';
	return text;
}

/* SDM "Format of the VM-Entry Interruption-Information Field" */
static const char *event_name(u32 information)
{
	static const char *const types[] = { "external interrupt", "reserved event", "NMI", "exception",
					     "software interrupt", "privileged software exception",
					     "software exception", "other event" };
	static char text[64];

	snprintf(text, sizeof(text), "%s %u", types[(information & INTR_TYPE) >> INTR_TYPE_SHIFT],
		 (unsigned)(information & INTR_VECTOR));
	return text;
}

/* SDM "Exit Qualification for I/O Instructions" */
static void io_detail(char *text, size_t size, u64 q)
{
	snprintf(text, size, "%s%s port 0x%x, %u bytes", q & BIT(3) ? "in" : "out", q & BIT(4) ? "s" : "",
		 (unsigned)(q >> 16 & 0xffff), (unsigned)(q & 7) + 1);
}

/* SDM "Exit Qualification for Control-Register Accesses" */
static void cr_detail(char *text, size_t size, u64 q)
{
	static const char *const access[] = { "mov to", "mov from", "clts,", "lmsw," };

	snprintf(text, size, "%s cr%u", access[(q & CR_ACCESS_TYPE) >> CR_ACCESS_TYPE_SHIFT],
		 (unsigned)(q & CR_ACCESS_NUMBER));
}

const char *trace_detail(const struct trace_exit *exit)
{
	static char text[96];
	unsigned long long detail = exit->detail;

	text[0] = '\0';
	switch (exit->reason & EXIT_REASON_BASIC) {
	case REASON_cpuid:
		snprintf(text, sizeof(text), "leaf 0x%llx", detail);
		break;
	case REASON_vmcall:
		snprintf(text, sizeof(text), "eax 0x%llx", detail);
		break;
	case REASON_rdmsr:
	case REASON_wrmsr:
		snprintf(text, sizeof(text), "msr 0x%llx", detail);
		break;
	case REASON_ept_violation:
		snprintf(text, sizeof(text), "access %s to 0x%llx", rights(exit->qualification), detail);
		break;
	case REASON_ept_misconfiguration:
		snprintf(text, sizeof(text), "at 0x%llx", detail);
		break;
	case REASON_exception_or_nmi:
	case REASON_external_interrupt:
		if (detail & INTR_VALID)
			return event_name((u32)detail);
		break;
	case REASON_io_instruction:
		io_detail(text, sizeof(text), exit->qualification);
		break;
	case REASON_control_register_access:
		cr_detail(text, sizeof(text), exit->qualification);
		break;
	}
	return text;
}

static int vmx_operands(char *text, size_t size, const struct trace_vmx *vmx)
{
	unsigned long long operand = vmx->operand, value = vmx->value;

	switch (vmx->reason) {
	case REASON_vmread:
	case REASON_vmwrite:
		if (vmx->head.flags == TRACE_SUCCEED)
			return snprintf(text, size, " %s = 0x%llx", field_name(operand), value);
		return snprintf(text, size, " %s", field_name(operand));
	case REASON_vmclear:
	case REASON_vmptrld:
	case REASON_vmxon:
		return snprintf(text, size, " 0x%llx", operand);
	case REASON_invept:
		return snprintf(text, size, " type %llu, eptp 0x%llx", operand, value);
	case REASON_invvpid:
		return snprintf(text, size, " type %llu, vpid %llu", operand, value & 0xffff);
	default:
		return 0;
	}
}

static void vmx_note(char *text, size_t size, const struct trace_vmx *vmx)
{
	static const char *const outcomes[TRACE_OUTCOMES] = {
		[TRACE_SUCCEED] = "", [TRACE_FAIL_INVALID] = ": VMfailInvalid", [TRACE_FAIL_VALID] = ": VMfailValid",
		[TRACE_FAULT] = ": faults", [TRACE_ENTERED] = ": enters L2",
		[TRACE_ENTRY_FAILED] = ": the entry fails with an exit",
	};
	int length = snprintf(text, size, "%s", trace_reason(vmx->reason));

	length += vmx_operands(text + length, size - (size_t)length, vmx);
	length += snprintf(text + length, size - (size_t)length, "%s", outcomes[vmx->head.flags]);
	if (vmx->head.flags == TRACE_FAIL_VALID)
		snprintf(text + length, size - (size_t)length, " %llu", (unsigned long long)vmx->value);
}

static void event_note(char *text, size_t size, const struct trace_event *event)
{
	int length = snprintf(text, size, "into L%u at the entry: %s", event->head.level,
			      event_name(event->information));

	if (event->information & INTR_ERROR_CODE)
		length += snprintf(text + length, size - (size_t)length, ", error code 0x%llx",
				   (unsigned long long)event->error_code);
	snprintf(text + length, size - (size_t)length, ", by %s", event->head.flags & TRACE_ASKED ? "L1" : "L0");
}

static void ept_note(char *text, size_t size, const struct trace_ept *ept)
{
	const char *table = ept->head.level == 1 ? "ept01" : "ept02";

	if (ept->size)
		snprintf(text, size, "%s: 0x%llx is in the page at 0x%llx of %llu KiB, %s", table,
			 (unsigned long long)ept->address, (unsigned long long)ept->host,
			 (unsigned long long)ept->size >> 10, rights(ept->head.flags));
	else
		snprintf(text, size, "%s: %u pages mapped", table, ept->pages);
}

const char *trace_note(const union trace_record *record)
{
	static char text[200];

	text[0] = '\0';
	if (record->head.kind == TRACE_vmx)
		vmx_note(text, sizeof(text), &record->vmx);
	else if (record->head.kind == TRACE_event)
		event_note(text, sizeof(text), &record->event);
	else if (record->head.kind == TRACE_ept)
		ept_note(text, sizeof(text), &record->ept);
	return text;
}
