#include "l1_apic.h"
#include "guest_memory.h"
#include "kick.h"
#include "l1_exit.h"
#include "l1_memory.h"
#include "options.h"
#include "print.h"
#include "smp.h"
#include "vmcs_shadow/store.h"

#define CPUIDS 64
#define TICKS_OF_A_CPUID 16
#define SVR_AFTER_INIT 0xffu
#define LVT_MASKED 0x10000u
#define APIC_OFFSET (PAGE_SIZE - 1)
#define ICR_XAPIC_DESTINATION 56

bool icr_intercepted;

/*
 * Bochs 2.7 keeps an INIT that has caused an exit, so that the CPU exits for ever: there no INIT of L1's may reach the
 * hardware. A test for the fault itself would bring it about. What gives the emulator away is its clock: a CPUID, which
 * no hardware executes in less than dozens of cycles and which exits under any hypervisor, is one tick like any other
 * instruction.
 */
static bool is_emulator(void)
{
	u64 start = rdtsc();

	for (unsigned i = 0; i < CPUIDS; i++)
		cpuid(0, 0);
	return rdtsc() - start < CPUIDS * TICKS_OF_A_CPUID;
}

void icr_choose(void)
{
	icr_intercepted = options.icr == ICR_SWITCH_intercept ||
			  (options.icr == ICR_SWITCH_auto && options.cpus > 1 && is_emulator());
}

static u32 read_register(const struct cpu *cpu, enum apic_register offset)
{
	return cpu->apic.address.x2apic ? (u32)rdmsr(APIC_MSR(offset)) : cpu->apic.window[offset / sizeof(u32)];
}

static void write_register(const struct cpu *cpu, enum apic_register offset, u32 value)
{
	if (cpu->apic.address.x2apic)
		wrmsr(APIC_MSR(offset), value);
	else
		cpu->apic.window[offset / sizeof(u32)] = value;
}

void apic_learn(struct cpu *cpu)
{
	struct l1_apic *apic = &cpu->apic;
	u64 base = rdmsr(MSR_IA32_APIC_BASE);
	bool on = base & APIC_BASE_ENABLE, x2apic = on && base & APIC_BASE_X2APIC;

	apic->page = on && !x2apic ? base & APIC_BASE_ADDRESS : NO_APIC_PAGE;
	apic->address = (struct apic_address){ .x2apic = x2apic };
	if (apic->page != NO_APIC_PAGE)
		memory_move_device(apic->window, apic->page);
	if (icr_intercepted)
		l1_memory_guard(cpu->number, apic->page);
	if (!on)
		return;
	apic->address.id = read_register(cpu, APIC_ID);
	apic->address.ldr = read_register(cpu, APIC_LDR);
	if (!x2apic)
		apic->address.dfr = read_register(cpu, APIC_DFR);
}

void apic_init(struct cpu *cpu)
{
	cpu->apic.window = memory_map_device(rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS);
	apic_learn(cpu);
}

static void wait_until_sent(const struct cpu *cpu)
{
	while (read_register(cpu, APIC_ICR_LOW) & ICR_PENDING)
		cpu_relax();
}

void apic_send_nmi(struct cpu *from, const struct cpu *to)
{
	u32 id = to->apic.address.x2apic ? to->apic.address.id : to->apic.address.id >> 24;
	u32 command = ICR_nmi << ICR_MODE_SHIFT | (u32)ICR_ASSERT, l1s;

	if (from->apic.address.x2apic) {
		wrmsr(APIC_MSR(APIC_ICR_LOW), (u64)id << 32 | command);
		return;
	}
	wait_until_sent(from);
	l1s = read_register(from, APIC_ICR_HIGH);
	write_register(from, APIC_ICR_HIGH, id << 24);
	write_register(from, APIC_ICR_LOW, command);
	wait_until_sent(from);
	write_register(from, APIC_ICR_HIGH, l1s);
}

void apic_reset(struct cpu *cpu)
{
	if (cpu->apic.page == NO_APIC_PAGE && !cpu->apic.address.x2apic)
		return;
	write_register(cpu, APIC_INITIAL_COUNT, 0);
	write_register(cpu, APIC_DIVIDE, 0);
	write_register(cpu, APIC_TPR, 0);
	for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 0x10)
		write_register(cpu, (enum apic_register)lvt, LVT_MASKED);
	write_register(cpu, APIC_SVR, SVR_AFTER_INIT);
	if (!cpu->apic.address.x2apic) {
		write_register(cpu, APIC_LDR, 0);
		write_register(cpu, APIC_DFR, ~0u);
	}
	apic_learn(cpu);
}

/* INIT, SIPI and NMI of L1's; false if the hardware is to send the command. */
static bool carry_out(struct cpu *cpu, u64 icr)
{
	enum icr_mode mode = icr_mode(icr);

	if (!icr_intercepted || (mode != ICR_init && mode != ICR_sipi && mode != ICR_nmi))
		return false;
	for (unsigned i = 0; i < cpu_count && !icr_is_deassert(icr); i++) {
		if (!icr_selects(icr, &cpu->apic.address, &cpus[i]->apic.address))
			continue;
		if (mode == ICR_init)
			smp_init(cpus[i]);
		else if (mode == ICR_sipi)
			smp_sipi(cpus[i], (u8)icr);
		else
			wish(cpus[i], WISH_nmi);
		if (cpus[i] != cpu)
			kick(cpus[i]);
	}
	return true;
}

bool l1_write_x2apic_icr(struct cpu *cpu, u64 value)
{
	if (cpu->apic.address.x2apic && carry_out(cpu, value))
		return true;
	return wrmsr_safe(APIC_MSR(APIC_ICR_LOW), value);
}

static u64 device_read(const volatile void *at, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile u8 *)at;
	case 2:
		return *(const volatile u16 *)at;
	case 4:
		return *(const volatile u32 *)at;
	default:
		return *(const volatile u64 *)at;
	}
}

static void device_write(volatile void *at, u64 value, unsigned size)
{
	switch (size) {
	case 1:
		*(volatile u8 *)at = (u8)value;
		break;
	case 2:
		*(volatile u16 *)at = (u16)value;
		break;
	case 4:
		*(volatile u32 *)at = (u32)value;
		break;
	default:
		*(volatile u64 *)at = value;
	}
}

static bool carry_out_xapic(struct cpu *cpu, u64 value)
{
	u64 destination = read_register(cpu, APIC_ICR_HIGH) >> 24;

	return carry_out(cpu, destination << ICR_XAPIC_DESTINATION | (u32)value);
}

/* Where the page is another CPU's APIC alone, this CPU has there what EPT01 says: a device, or memory. */
static volatile char *open_window(struct cpu *cpu, u64 address10)
{
	struct ept_leaf leaf;
	void *ram = l1_pointer(ALIGN_DOWN(address10, PAGE_SIZE), PAGE_SIZE);

	if (cpu->apic.page == ALIGN_DOWN(address10, PAGE_SIZE))
		return (volatile char *)cpu->apic.window;
	if (ram) {
		watch_written(address10);
		return ram;
	}
	ept01_lookup(NULL, address10, &leaf);
	memory_move_device(cpu->apic.window, leaf.address);
	return (volatile char *)cpu->apic.window;
}

/* False if the store cannot be made in one page. */
static bool make_store(struct cpu *cpu, const struct store *store, u64 address10)
{
	u64 offset = address10 & APIC_OFFSET, old = 0, value, rflags = vmread(ENC_guest_rflags);
	bool own = cpu->apic.page == ALIGN_DOWN(address10, PAGE_SIZE);
	volatile char *page;

	if (offset + store->size > PAGE_SIZE)
		return false;
	page = open_window(cpu, address10);
	if (store->operation != STORE_mov)
		old = device_read(page + offset, store->size);
	value = store_result(store, cpu->gpr, old, &rflags);
	if (!own || offset != APIC_ICR_LOW || !carry_out_xapic(cpu, value))
		device_write(page + offset, value, store->size);
	if (store->operation == STORE_xchg)
		store_exchange(store, cpu->gpr, old);
	vmwrite(ENC_guest_rflags, rflags);
	if (!own || offset == APIC_ID || offset == APIC_LDR || offset == APIC_DFR)
		apic_learn(cpu);
	return true;
}

static enum code_size guest_code_size(void)
{
	u64 rights = vmread(ENC_guest_cs_access_rights);

	if (vmread(ENC_guest_ia32_efer) & EFER_LMA && rights & AR_L)
		return CODE_64;
	return rights & AR_DB ? CODE_32 : CODE_16;
}

/* Other CPUs that wait for a SIPI in L0 have to do so where the hardware's gets to them. */
static void give_up(const u8 *code, unsigned length)
{
	print("L1's APIC is written to by an instruction that L0 does not know; its INITs are no longer intercepted:");
	for (unsigned i = 0; i < length; i++)
		print(" %02x", code[i]);
	print("\n");
	icr_intercepted = false;
	for (unsigned i = 0; i < cpu_count; i++) {
		l1_memory_guard(i, NO_APIC_PAGE);
		if (cpus[i]->wishes & WISH_wait)
			kick(cpus[i]);
	}
}

/* And not that of an event's delivery, or of a walk of page tables; SDM "Exit Qualification for EPT Violations". */
static bool is_the_instructions(void)
{
	u64 linear = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_LINEAR_TRANSLATED;

	return (vmread(ENC_exit_qualification) & linear) == linear &&
	       !(vmread(ENC_idt_vectoring_information) & INTR_VALID);
}

void l1_guarded_write(struct cpu *cpu, u64 address10)
{
	u8 code[INSTRUCTION_BYTES_MAX];
	unsigned length = guest_fetch(cpu, code, sizeof(code));
	struct store store;

	if (!length)
		return; /* the code was unmapped meanwhile, as far as L0 can tell: the guest finds out by itself */
	cpu->gpr[GPR_rsp] = vmread(ENC_guest_rsp);
	if (!is_the_instructions() || !store_decode(code, length, guest_code_size(), &store) ||
	    !make_store(cpu, &store, address10)) {
		give_up(code, length);
		return;
	}
	if (UNLIKELY(store.operation == STORE_xchg && store.source == GPR_rsp))
		vmwrite(ENC_guest_rsp, cpu->gpr[GPR_rsp]);
	l1_advance_by(store.length, vmread(ENC_guest_rflags));
}
