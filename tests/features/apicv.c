/*
 * L2's local APIC: TPR shadow, APIC accesses, x2APIC mode, register virtualization, virtual-interrupt delivery. What
 * the emulated CPU cannot do is not asked of it: a fetch from the APIC-access page, a virtual interrupt ending HLT.
 */
#include "lib/feature.h"
#include "l1/minivisor/boot.h"
#include "lib/ept12.h"
#include "string.h"

/* SDM "Local APIC Register Address Map" */
enum {
	APIC_ID = 0x20,
	APIC_TPR = 0x80,
	APIC_PPR = 0xa0,
	APIC_EOI = 0xb0,
	APIC_ISR = 0x100,
	APIC_IRR = 0x200,
	APIC_ICR = 0x300,
	APIC_END = 0x400,
	APIC_STEP = 0x10,
};
#define X2APIC(offset) (MSR_X2APIC_FIRST + (offset) / APIC_STEP)
#define X2APIC_SELF_IPI 0x83f
#define X2APIC_COUNT 0x40
#define ICR_SELF 0x40000u
#define RDMSR_LENGTH 2

/* Two vectors of different priority; both have stubs. */
enum { VECTOR_LOW = 0x21, VECTOR_HIGH = 0x31 };

static u8 *virtual_apic, *access_page, *elsewhere;
static u64 *msr_bitmap, *root;

#define TPR_SHADOW (PROC_use_tpr_shadow | PROC_use_msr_bitmaps)

static u32 *apic_register(unsigned offset)
{
	return (u32 *)(virtual_apic + offset);
}

static void fill_apic(void)
{
	memset(virtual_apic, 0, PAGE_SIZE);
	for (unsigned offset = 0; offset < APIC_END; offset += APIC_STEP)
		if (offset < APIC_ISR || offset >= APIC_IRR + 0x80)
			*apic_register(offset) = 0xa0000000 | offset;
	*apic_register(APIC_TPR) = 0;
	*apic_register(APIC_PPR) = 0;
}

static void start(const struct controls *controls, u64 eptp)
{
	fill_apic();
	guest_new(controls, eptp);
	vmwrite(ENC_address_of_msr_bitmaps, (uintptr_t)msr_bitmap);
	vmwrite(ENC_virtual_apic_address, (uintptr_t)virtual_apic);
	vmwrite(ENC_tpr_threshold, 0);
	if (controls->proc2 & PROC2_virtualize_apic_accesses)
		vmwrite(ENC_apic_access_address, (uintptr_t)access_page);
	if (controls->proc2 & PROC2_virtual_interrupt_delivery) {
		vmwrite(ENC_guest_interrupt_status, 0);
		for (unsigned i = 0; i < 4; i++)
			vmwrite(ENC_eoi_exit_bitmap_0 + 2 * i, 0);
	}
	traps.skip = L2_ACCESS_LENGTH;
	traps.handler = NULL;
	traps.count = 0;
}

static struct exit call(const char *what, l2_code *code, u64 argument)
{
	struct exit exit = guest_call(code, argument);

	tell(what, &exit);
	return exit;
}

static u64 l2_set_tpr(u64 value)
{
	__asm__ volatile("movq %0, %%cr8" : : "r"(value) : "memory");
	return 0;
}

static u64 l2_get_tpr(u64 unused)
{
	u64 value;

	(void)unused;
	__asm__ volatile("movq %%cr8, %0" : "=r"(value) : : "memory");
	return value;
}

/* Accesses of 2 bytes' code; address in the low half, value in the high one. */
static u64 l2_read32(u64 address)
{
	u32 value;

	__asm__ volatile("movl (%%rdi), %%eax; nop" : "=a"(value) : "D"(address) : "memory");
	return value;
}

static u64 l2_write32(u64 address_and_value)
{
	__asm__ volatile("movl %%eax, (%%rdi); nop" : : "a"((u32)(address_and_value >> 32)),
			 "D"((u64)(u32)address_and_value) : "memory");
	return 0;
}

static u64 l2_rdmsr(u64 msr)
{
	return rdmsr((u32)msr);
}

static u64 l2_wrmsr(u64 msr_and_value)
{
	wrmsr((u32)msr_and_value, msr_and_value >> 32);
	return 0;
}

#define WRITE(page, offset, value) (((uintptr_t)(page) + (offset)) | (u64)(value) << 32)
#define WRITE_MSR(msr, value) ((u64)(msr) | (u64)(value) << 32)

static void tell_tpr(void)
{
	print("  virtual TPR %x, PPR %x\n", *apic_register(APIC_TPR), *apic_register(APIC_PPR));
}

static void tpr_shadow(void)
{
	static const struct controls shadow = { .proc = TPR_SHADOW };
	struct exit exit;

	if (!offers(&shadow, "TPR shadow"))
		return;
	start(&shadow, 0);
	call("CR8 = 5", l2_set_tpr, 5);
	tell_tpr();
	exit = call("read CR8", l2_get_tpr, 0);
	print("  L2 reads %lx\n", exit.rax);
	vmwrite(ENC_tpr_threshold, 5);
	call("threshold 5, CR8 = 5", l2_set_tpr, 5);
	call("CR8 = 4", l2_set_tpr, 4);
	tell_tpr();
	call("entry with a TPR below", l2_set_tpr, 9);
	vmwrite(ENC_tpr_threshold, 0x10);
	call("a threshold of 16", l2_set_tpr, 9);
	vmwrite(ENC_tpr_threshold, 0);
	vmwrite(ENC_virtual_apic_address, (uintptr_t)virtual_apic + 8);
	call("a virtual-APIC page that is not aligned", l2_set_tpr, 9);
	start(&(struct controls){ .proc = TPR_SHADOW | PROC_cr8_load_exiting | PROC_cr8_store_exiting }, 0);
	call("CR8 exiting, CR8 = 5", l2_set_tpr, 5);
	call("read CR8", l2_get_tpr, 0);
	tell_tpr();
}

static void tell_read(unsigned offset, struct exit exit)
{
	if (exit.done && traps.count)
		print("  %x: vector %lu\n", offset, traps.vector);
	else if (exit.done)
		print("  %x: %lx\n", offset, exit.rax);
	else
		print("  %x: exit %x, qualification %lx\n", offset, exit.reason, exit.qualification);
	traps.count = 0;
}

static void read_all(const char *what)
{
	print("%s: reads\n", what);
	for (unsigned offset = 0; offset < APIC_END; offset += APIC_STEP)
		tell_read(offset, guest_call(l2_read32, (uintptr_t)access_page + offset));
	tell_read(APIC_TPR + 4, guest_call(l2_read32, (uintptr_t)access_page + APIC_TPR + 4));
	tell_read(APIC_TPR + 2, guest_call(l2_read32, (uintptr_t)access_page + APIC_TPR + 2));
}

static void write_one(unsigned offset)
{
	u32 old = *apic_register(offset);
	struct exit exit = guest_call(l2_write32, WRITE(access_page, offset, 0x10));

	if (exit.done)
		print("  %x: done", offset);
	else
		print("  %x: exit %x, qualification %lx", offset, exit.reason, exit.qualification);
	print(", %x in the page", *apic_register(offset));
	print(exit.reason == REASON_apic_write ? ", a trap\n" : "\n");
	*apic_register(offset) = old;
}

static void write_all(const char *what)
{
	print("%s: writes\n", what);
	for (unsigned offset = 0; offset < APIC_END; offset += APIC_STEP)
		write_one(offset);
}

static void apic_accesses_with(const char *what, const struct controls *controls, u64 eptp)
{
	if (!offers(controls, what))
		return;
	start(controls, eptp);
	read_all(what);
	write_all(what);
	call("beside the page", l2_read32, (uintptr_t)access_page + PAGE_SIZE);
}

static void apic_accesses(void)
{
	static const struct controls no_shadow = { .proc = PROC_use_msr_bitmaps,
						   .proc2 = PROC2_virtualize_apic_accesses };
	static const struct controls shadow = { .proc = TPR_SHADOW, .proc2 = PROC2_virtualize_apic_accesses };
	static const struct controls registers = {
		.proc = TPR_SHADOW, .proc2 = PROC2_virtualize_apic_accesses | PROC2_apic_register_virtualization,
	};

	apic_accesses_with("APIC accesses", &no_shadow, 0);
	apic_accesses_with("APIC accesses with EPT", &no_shadow, ept12_pointer(root, false));
	apic_accesses_with("APIC accesses and TPR shadow", &shadow, 0);
	apic_accesses_with("APIC accesses and TPR shadow with EPT", &shadow, ept12_pointer(root, false));
	apic_accesses_with("register virtualization", &registers, 0);
	apic_accesses_with("register virtualization with EPT", &registers, ept12_pointer(root, false));
	vmwrite(ENC_tpr_threshold, 5);
	call("threshold above the TPR", l2_read32, (uintptr_t)access_page + APIC_ID);
	*apic_register(APIC_TPR) = 0x60;
	call("a TPR above the threshold", l2_write32, WRITE(access_page, APIC_TPR, 0x50));
	call("a TPR below the threshold", l2_write32, WRITE(access_page, APIC_TPR, 0x40));
	tell_tpr();
	*apic_register(APIC_TPR) = 0x60;
	vmwrite(ENC_apic_access_address, (uintptr_t)elsewhere);
	call("another APIC-access page", l2_read32, (uintptr_t)elsewhere + 0x40);
	call("the old one", l2_read32, (uintptr_t)access_page + 0x40);
}

static void msrs(const char *what, const struct controls *controls)
{
	if (!offers(controls, what))
		return;
	start(controls, 0);
	traps.skip = RDMSR_LENGTH;
	print("%s: RDMSR\n", what);
	for (unsigned i = 0; i < X2APIC_COUNT; i++)
		tell_read(MSR_X2APIC_FIRST + i, guest_call(l2_rdmsr, MSR_X2APIC_FIRST + i));
	call("WRMSR of the TPR", l2_wrmsr, WRITE_MSR(X2APIC(APIC_TPR), 0x70));
	tell_tpr();
	call("WRMSR of the TPR, too large", l2_wrmsr, WRITE_MSR(X2APIC(APIC_TPR), 0x170));
	tell_traps("  which is");
	vmwrite(ENC_tpr_threshold, 5);
	call("below the threshold", l2_wrmsr, WRITE_MSR(X2APIC(APIC_TPR), 0x40));
	vmwrite(ENC_tpr_threshold, 0);
	call("WRMSR of EOI", l2_wrmsr, WRITE_MSR(X2APIC(APIC_EOI), 0));
	tell_traps("  which is");
}

static void x2apic(void)
{
	static const struct controls plain = { .proc = TPR_SHADOW, .proc2 = PROC2_virtualize_x2apic_mode };
	static const struct controls registers = {
		.proc = TPR_SHADOW, .proc2 = PROC2_virtualize_x2apic_mode | PROC2_apic_register_virtualization,
	};

	msrs("x2APIC mode", &plain);
	msrs("x2APIC mode with register virtualization", &registers);
}

static void set_request(unsigned vector)
{
	*apic_register(APIC_IRR + vector / 32 * APIC_STEP) |= 1u << vector % 32;
	if ((vmread(ENC_guest_interrupt_status) & 0xff) < vector)
		vmwrite(ENC_guest_interrupt_status, (vmread(ENC_guest_interrupt_status) & 0xff00) | vector);
}

static void tell_interrupts(void)
{
	print("  guest_interrupt_status %lx, IRR %x, ISR %x, TPR %x, PPR %x\n", vmread(ENC_guest_interrupt_status),
	      *apic_register(APIC_IRR + APIC_STEP), *apic_register(APIC_ISR + APIC_STEP),
	      *apic_register(APIC_TPR), *apic_register(APIC_PPR));
	if (traps.count)
		tell_traps("  L2 got");
}

static bool by_msr;

static void end_of_interrupt(u64 vector)
{
	(void)vector;
	if (by_msr)
		wrmsr(X2APIC(APIC_EOI), 0);
	else
		*(volatile u32 *)(access_page + APIC_EOI) = 0;
}

static void touch_table(const struct descriptor_pointer *table)
{
	(void)*(volatile u8 *)table->base;
	(void)*(volatile u8 *)(table->base + table->limit);
}

/*
 * An EPT violation during the delivery of a virtual interrupt is beyond the emulated CPU: its IDT-vectoring
 * information tells of an earlier event. So L2 has L0 map what the delivery needs.
 */
static void touch_tables(void)
{
	struct descriptor_pointer table;

	__asm__ volatile("sidt %0" : "=m"(table) : : "memory");
	touch_table(&table);
	__asm__ volatile("sgdt %0" : "=m"(table) : : "memory");
	touch_table(&table);
}

static u64 l2_take_interrupts(u64 unused)
{
	(void)unused;
	touch_tables();
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	return 0;
}

static u64 l2_lower_tpr(u64 value)
{
	touch_tables();
	__asm__ volatile("sti; nop; movq %0, %%cr8; nop; cli" : : "r"(value) : "memory");
	return 0;
}

static void deliver(const char *what, l2_code *code, u64 argument)
{
	call(what, code, argument);
	tell_interrupts();
}

static void priorities(void)
{
	set_request(VECTOR_LOW);
	deliver("interrupts off", l2_get_tpr, 0);
	*apic_register(APIC_TPR) = 0x20;
	deliver("below the TPR", l2_take_interrupts, 0);
	deliver("the TPR lowered", l2_lower_tpr, 1);
	set_request(VECTOR_HIGH);
	set_request(VECTOR_LOW);
	deliver("two at once", l2_take_interrupts, 0);
	set_request(VECTOR_HIGH);
	traps.handler = NULL;
	set_request(VECTOR_LOW);
	deliver("without end of interrupt", l2_take_interrupts, 0);
	set_request(VECTOR_LOW);
	deliver("the same while in service", l2_take_interrupts, 0);
	set_request(VECTOR_HIGH);
	deliver("a higher one while in service", l2_take_interrupts, 0);
	traps.handler = end_of_interrupt;
}

static void resume_delivery(const char *what)
{
	struct exit exit = guest_resume();

	tell(what, &exit);
	tell_interrupts();
}

static void eoi_exits(void)
{
	*apic_register(APIC_ISR + APIC_STEP) = 0;
	*apic_register(APIC_IRR + APIC_STEP) = 0;
	*apic_register(APIC_TPR) = 0;
	vmwrite(ENC_guest_interrupt_status, 0);
	vmwrite(ENC_eoi_exit_bitmap_0, BIT(VECTOR_LOW));
	set_request(VECTOR_LOW);
	deliver("with its bit in the EOI-exit bitmap", l2_take_interrupts, 0);
	resume_delivery("then");
	set_request(VECTOR_HIGH);
	deliver("without its bit", l2_take_interrupts, 0);
	vmwrite(ENC_eoi_exit_bitmap_0, 0);
}

static void self_ipi(void)
{
	if (by_msr)
		deliver("self IPI", l2_wrmsr, WRITE_MSR(X2APIC_SELF_IPI, VECTOR_LOW));
	else
		deliver("self IPI", l2_write32, WRITE(access_page, APIC_ICR, ICR_SELF | VECTOR_LOW));
	deliver("which is taken", l2_take_interrupts, 0);
	if (!by_msr) {
		deliver("IPI to another", l2_write32, WRITE(access_page, APIC_ICR, VECTOR_LOW));
		deliver("then", l2_take_interrupts, 0);
	}
}

static void delivery_with(const char *what, u32 mode, u64 eptp)
{
	struct controls controls = {
		.pin = PIN_external_interrupt_exiting, .proc = TPR_SHADOW,
		.proc2 = PROC2_virtual_interrupt_delivery | PROC2_apic_register_virtualization | mode,
		.exit = EXIT_acknowledge_interrupt_on_exit,
	};

	if (!offers(&controls, what))
		return;
	print("%s\n", what);
	start(&controls, eptp);
	by_msr = mode == PROC2_virtualize_x2apic_mode;
	traps.handler = end_of_interrupt;
	priorities();
	eoi_exits();
	self_ipi();
}

static void check(const char *what, u32 pin, u32 proc, u32 proc2)
{
	struct controls controls = { .pin = pin, .proc = proc, .proc2 = proc2 };

	if (!offers(&controls, what))
		return;
	start(&controls, 0);
	call(what, l2_get_tpr, 0);
}

static void entry_checks(void)
{
	check("delivery without external-interrupt exiting", 0, TPR_SHADOW, PROC2_virtual_interrupt_delivery);
	check("delivery without TPR shadow", PIN_external_interrupt_exiting, PROC_use_msr_bitmaps,
	      PROC2_virtual_interrupt_delivery);
	check("register virtualization without TPR shadow", 0, PROC_use_msr_bitmaps,
	      PROC2_apic_register_virtualization);
	check("x2APIC mode without TPR shadow", 0, PROC_use_msr_bitmaps, PROC2_virtualize_x2apic_mode);
	check("APIC accesses and x2APIC mode", 0, TPR_SHADOW,
	      PROC2_virtualize_apic_accesses | PROC2_virtualize_x2apic_mode);
	check("delivery and register virtualization alone", PIN_external_interrupt_exiting, TPR_SHADOW,
	      PROC2_virtual_interrupt_delivery | PROC2_apic_register_virtualization);
}

bool feature(void)
{
	virtual_apic = memory_take_zeroed(PAGE_SIZE);
	access_page = memory_take_zeroed(2 * PAGE_SIZE);
	elsewhere = memory_take_zeroed(PAGE_SIZE);
	msr_bitmap = memory_take_zeroed(PAGE_SIZE);
	root = ept12_new();
	ept12_split(root, (uintptr_t)access_page);
	tpr_shadow();
	apic_accesses();
	x2apic();
	delivery_with("delivery, APIC accesses", PROC2_virtualize_apic_accesses, 0);
	delivery_with("delivery, APIC accesses, EPT", PROC2_virtualize_apic_accesses, ept12_pointer(root, false));
	delivery_with("delivery, x2APIC mode", PROC2_virtualize_x2apic_mode, 0);
	entry_checks();
	return true;
}
