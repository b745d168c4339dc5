#include "task.h"

#include "vmx.h"

/* SDM "Task-State Segment (TSS)" and "16-Bit Task-State Segment (TSS)" */
#define TSS32_CR3 0x1c
#define TSS32_EIP 0x20
#define TSS32_EFLAGS 0x24
#define TSS32_GPR 0x28
#define TSS32_SELECTOR 0x48
#define TSS32_LDT 0x60
#define TSS32_TRAP 0x64
#define TSS32_SIZE 0x68
#define TSS16_IP 0x0e
#define TSS16_FLAGS 0x10
#define TSS16_GPR 0x12
#define TSS16_SELECTOR 0x22
#define TSS16_SELECTORS 4 /* it knows no FS and GS */
#define TSS16_LDT 0x2a
#define TSS16_SIZE 0x2c
#define UPPER_HALF 0xffff0000u /* of a register that a 16-bit TSS loads */

#define AR_TYPE_WRITE BIT(1) /* of code: read */
#define AR_TYPE_CODE BIT(3)
#define TYPE_LDT 2

#define LIMIT_UNIT_SHIFT 12

const struct tss_layout *tss_layout(bool wide)
{
	static const struct tss_layout layout16 = { TSS16_SIZE, TSS16_IP, TSS16_LDT };
	static const struct tss_layout layout32 = { TSS32_SIZE, TSS32_EIP, TSS32_SELECTOR + SEGMENTS * sizeof(u32) };

	return wide ? &layout32 : &layout16;
}

static void put16(u8 *at, u32 value)
{
	at[0] = (u8)value;
	at[1] = (u8)(value >> 8);
}

static void put32(u8 *at, u32 value)
{
	put16(at, value);
	put16(at + 2, value >> 16);
}

static u16 get16(const u8 *at)
{
	return (u16)(at[0] | at[1] << 8);
}

static u32 get32(const u8 *at)
{
	return get16(at) | (u32)get16(at + 2) << 16;
}

static void save16(u8 *tss, const struct task *task)
{
	put16(tss + TSS16_IP, task->eip);
	put16(tss + TSS16_FLAGS, task->eflags);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		put16(tss + TSS16_GPR + i * sizeof(u16), task->gpr[i]);
	for (unsigned i = 0; i < TSS16_SELECTORS; i++)
		put16(tss + TSS16_SELECTOR + i * sizeof(u16), task->selector[i]);
}

static void save32(u8 *tss, const struct task *task)
{
	put32(tss + TSS32_EIP, task->eip);
	put32(tss + TSS32_EFLAGS, task->eflags);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		put32(tss + TSS32_GPR + i * sizeof(u32), task->gpr[i]);
	for (unsigned i = 0; i < SEGMENTS; i++)
		put16(tss + TSS32_SELECTOR + i * sizeof(u32), task->selector[i]);
}

void tss_save(u8 *tss, bool wide, const struct task *task)
{
	if (wide)
		save32(tss, task);
	else
		save16(tss, task);
}

static void load16(const u8 *tss, struct task *task)
{
	*task = (struct task){ .eip = get16(tss + TSS16_IP), .eflags = get16(tss + TSS16_FLAGS),
			       .ldt = get16(tss + TSS16_LDT) };
	for (unsigned i = 0; i < TASK_GPRS; i++)
		task->gpr[i] = UPPER_HALF | get16(tss + TSS16_GPR + i * sizeof(u16));
	for (unsigned i = 0; i < TSS16_SELECTORS; i++)
		task->selector[i] = get16(tss + TSS16_SELECTOR + i * sizeof(u16));
}

static void load32(const u8 *tss, struct task *task)
{
	*task = (struct task){ .cr3 = get32(tss + TSS32_CR3), .eip = get32(tss + TSS32_EIP),
			       .eflags = get32(tss + TSS32_EFLAGS), .ldt = get16(tss + TSS32_LDT),
			       .trap = tss[TSS32_TRAP] & 1 };
	for (unsigned i = 0; i < TASK_GPRS; i++)
		task->gpr[i] = get32(tss + TSS32_GPR + i * sizeof(u32));
	for (unsigned i = 0; i < SEGMENTS; i++)
		task->selector[i] = get16(tss + TSS32_SELECTOR + i * sizeof(u32));
}

void tss_load(const u8 *tss, bool wide, struct task *task)
{
	if (wide)
		load32(tss, task);
	else
		load16(tss, task);
}

struct segment_state descriptor_decode(u64 descriptor)
{
	struct segment_state segment = {
		.base = (descriptor >> 16 & BITS(23, 0)) | (descriptor >> 56) << 24,
		.limit = (u32)((descriptor & BITS(15, 0)) | (descriptor >> 32 & BITS(19, 16))),
		.access_rights = (u32)(descriptor >> 40) & ~AR_RESERVED & ~AR_UNUSABLE,
	};

	if (segment.access_rights & AR_G)
		segment.limit = segment.limit << LIMIT_UNIT_SHIFT | (u32)BITS(LIMIT_UNIT_SHIFT - 1, 0);
	return segment;
}

static unsigned dpl(u32 access_rights)
{
	return access_rights >> AR_DPL_SHIFT & SELECTOR_RPL;
}

static int check_stack(u16 selector, u16 cs, u32 rights)
{
	if (!(rights & AR_S) || (rights & AR_TYPE_CODE) || !(rights & AR_TYPE_WRITE))
		return VECTOR_TS;
	if (!(rights & AR_P))
		return VECTOR_SS;
	return dpl(rights) == (cs & SELECTOR_RPL) && dpl(rights) == (selector & SELECTOR_RPL) ? -1 : VECTOR_TS;
}

static int check_code(u16 cs, u32 rights)
{
	unsigned rpl = cs & SELECTOR_RPL;

	if (!(rights & AR_S) || !(rights & AR_TYPE_CODE))
		return VECTOR_TS;
	if (rights & AR_TYPE_CONFORMING ? dpl(rights) > rpl : dpl(rights) != rpl)
		return VECTOR_TS;
	return rights & AR_P ? -1 : VECTOR_NP;
}

static int check_data(u16 selector, u16 cs, u32 rights)
{
	bool code = rights & AR_TYPE_CODE;

	if (!(rights & AR_S) || (code && !(rights & AR_TYPE_WRITE)))
		return VECTOR_TS;
	if (!(code && (rights & AR_TYPE_CONFORMING)) &&
	    (dpl(rights) < (selector & SELECTOR_RPL) || dpl(rights) < (cs & SELECTOR_RPL)))
		return VECTOR_TS;
	return rights & AR_P ? -1 : VECTOR_NP;
}

int task_segment_check(enum segment which, u16 selector, u16 cs, u32 access_rights)
{
	switch (which) {
	case SEGMENT_ss:
		return check_stack(selector, cs, access_rights);
	case SEGMENT_cs:
		return check_code(selector, access_rights);
	default:
		return check_data(selector, cs, access_rights);
	}
}

int task_ldt_check(u16 selector, u32 access_rights)
{
	bool fits = !(selector & SELECTOR_LDT) && !(access_rights & AR_S) && (access_rights & AR_P) &&
		    (access_rights & AR_TYPE) == TYPE_LDT;

	return fits ? -1 : VECTOR_TS;
}

static bool is_contributory(u32 vector)
{
	return vector == VECTOR_DE || vector == VECTOR_CP || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

static enum interruption_type type_of(u32 event)
{
	return (enum interruption_type)((event & INTR_TYPE) >> INTR_TYPE_SHIFT);
}

enum fault_outcome fault_during_event(u32 event, enum x86_vector vector)
{
	u32 first = event & INTR_VECTOR;
	bool second = is_contributory(vector) || vector == VECTOR_PF;

	if (!(event & INTR_VALID) || type_of(event) != INTR_hardware_exception || !second)
		return FAULT_itself;
	if (first == VECTOR_DF)
		return FAULT_shutdown;
	if (first == VECTOR_PF || first == VECTOR_VE || (is_contributory(first) && vector != VECTOR_PF))
		return FAULT_double;
	return FAULT_itself;
}

bool event_is_external(u32 event)
{
	return event & INTR_VALID && type_of(event) != INTR_software_interrupt &&
	       type_of(event) != INTR_software_exception;
}
