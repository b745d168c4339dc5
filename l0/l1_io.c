/* The ports that L0 keeps: its log, which is absent to L1, the two that end a run, and what of others could harm it. */
#include "guest_memory.h"
#include "l1_exit.h"
#include "options.h"
#include "self_check.h"

/* SDM "Exit Qualification for I/O Instructions" */
#define IO_SIZE(q) (((q) & 7) + 1)
#define IO_IN BIT(3)
#define IO_STRING BIT(4)
#define IO_REP BIT(5)
#define IO_PORT(q) ((u16)((q) >> 16))
/* Of the instruction information: the segment of OUTS. */
#define IO_SEGMENT(i) ((enum segment)((i) >> 15 & 7))

static void shutdown_byte(struct cpu *cpu, u8 byte)
{
	static const char wanted[] = TURTLES_SHUTDOWN_BYTES;

	if (byte == (u8)wanted[cpu->shutdown_matched])
		cpu->shutdown_matched++;
	else
		cpu->shutdown_matched = byte == (u8)wanted[0];
	if (!wanted[cpu->shutdown_matched]) /* without a status before it: the guest did not say that it is well */
		l0_stop(TURTLES_STATUS_FAILURE);
}

static void port_write(struct cpu *cpu, u16 port, u8 byte)
{
	if (port == TURTLES_PORT_EXIT)
		l0_stop(byte);
	else if (port == TURTLES_PORT_SHUTDOWN)
		shutdown_byte(cpu, byte);
	else if (port == TURTLES_PORT_CHECK)
		self_check();
}

static bool is_kept(u16 port)
{
	return port == TURTLES_PORT_EXIT || port == TURTLES_PORT_SHUTDOWN ||
	       (port == TURTLES_PORT_CHECK && options.self_check) ||
	       (options.log == LOG_com2 && port >= PORT_COM2 && port < PORT_COM2 + PORTS_PER_UART) ||
	       (port == TURTLES_PORT_TRACE && options.trace);
}

#define SYSTEM_CONTROL_A20 BIT(1)
#define OUTPUT_PORT_A20 BIT(1)
enum { KEYBOARD_WRITE_OUTPUT_PORT = 0xd1, KEYBOARD_A20_OFF = 0xdd, KEYBOARD_A20_ON = 0xdf };

/*
 * Address line 20 stays on: without it half of L0's memory would lie elsewhere. SDM "VMXON" has A20M disabled in VMX
 * operation, but not every machine sees to it. All else that is written to these ports goes there.
 */
static u8 with_a20(u16 port, u8 byte)
{
	static bool to_output_port; /* the next byte of data */
	bool is_output_port = port == PORT_KEYBOARD_DATA && to_output_port;

	if (port == PORT_SYSTEM_CONTROL)
		return byte | SYSTEM_CONTROL_A20;
	if (port == PORT_KEYBOARD_DATA || port == PORT_KEYBOARD_COMMAND)
		to_output_port = port == PORT_KEYBOARD_COMMAND && byte == KEYBOARD_WRITE_OUTPUT_PORT;
	if (port == PORT_KEYBOARD_COMMAND && byte == KEYBOARD_A20_OFF)
		return KEYBOARD_A20_ON;
	return is_output_port ? byte | OUTPUT_PORT_A20 : byte;
}

/* An access may lie half on a port of L0's and half on one of L1's. */
static u32 access_ports(struct cpu *cpu, u16 port, unsigned size, bool in, u32 value)
{
	u32 result = 0;

	for (unsigned i = 0; i < size; i++, port++) {
		u8 byte = (u8)(value >> 8 * i);

		if (in)
			byte = is_kept(port) ? 0xff : inb(port);
		else if (is_kept(port))
			port_write(cpu, port, byte);
		else
			outb(port, with_a20(port, byte));
		result |= (u32)byte << 8 * i;
	}
	return result;
}

static void write_accumulator(u64 *rax, u32 value, unsigned size)
{
	if (size == sizeof(u32))
		*rax = value;
	else
		*rax = (*rax & ~BITS(8 * size - 1, 0)) | value;
}

/* The part of a register that this INS or OUTS uses; SDM "Format of the VM-Exit Instruction-Information Field ...". */
static u64 address_mask(void)
{
	switch (vmread(ENC_vm_exit_instruction_information) >> 7 & 7) {
	case 0:
		return BITS(15, 0);
	case 1:
		return BITS(31, 0);
	default:
		return ~0ull;
	}
}

/* As instructions do: 16 bits keep the rest of the register, 32 bits clear it. */
static void add_to_register(u64 *gpr, u64 by, u64 mask)
{
	u64 kept = mask == BITS(15, 0) ? *gpr & ~mask : 0;

	*gpr = kept | ((*gpr + by) & mask);
}

/* Where an element lies; the exit comes before any check of the segment. False if L1 was given a fault instead. */
static bool string_operand(struct cpu *cpu, u64 qualification, u64 mask, u64 *linear)
{
	bool in = qualification & IO_IN;
	struct vmx_operand operand = {
		.segment = in ? SEGMENT_es : IO_SEGMENT(vmread(ENC_vm_exit_instruction_information)),
		.offset = cpu->gpr[in ? GPR_rdi : GPR_rsi] & mask,
	};

	return l1_operand_address(&operand, IO_SIZE(qualification), in, linear) &&
	       guest_probe_linear(cpu, *linear, IO_SIZE(qualification), in);
}

/* One element of INS or OUTS. */
static bool string_element(struct cpu *cpu, u64 qualification, u64 mask)
{
	unsigned size = IO_SIZE(qualification);
	bool in = qualification & IO_IN;
	u64 linear;
	u32 value = 0;

	if (!string_operand(cpu, qualification, mask, &linear))
		return false;
	if (!in && !guest_read_linear(cpu, linear, &value, size))
		return false;
	value = access_ports(cpu, IO_PORT(qualification), size, in, value);
	if (in && !guest_write_linear(cpu, linear, &value, size))
		return false;
	add_to_register(&cpu->gpr[in ? GPR_rdi : GPR_rsi],
			vmread(ENC_guest_rflags) & RFLAGS_DF ? -(u64)size : size, mask);
	return true;
}

/* A REP runs the instruction again until its count is used up. */
static void string_exit(struct cpu *cpu, u64 qualification)
{
	u64 mask = address_mask(), *count = &cpu->gpr[GPR_rcx];
	bool repeats = qualification & IO_REP;

	if (!(repeats && !(*count & mask))) {
		if (!string_element(cpu, qualification, mask))
			return;
		if (repeats)
			add_to_register(count, -1ull, mask);
	}
	if (!repeats || !(*count & mask))
		l1_skip_instruction();
}

void l1_io_exit(struct cpu *cpu)
{
	u64 qualification = vmread(ENC_exit_qualification);
	unsigned size = IO_SIZE(qualification);
	u32 value;

	if (qualification & IO_STRING) {
		string_exit(cpu, qualification);
		return;
	}
	value = access_ports(cpu, IO_PORT(qualification), size, qualification & IO_IN, (u32)cpu->gpr[GPR_rax]);
	if (qualification & IO_IN)
		write_accumulator(&cpu->gpr[GPR_rax], value, size);
	l1_skip_instruction();
}
