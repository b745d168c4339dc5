#include "vm.h"
#include "ept.h"
#include "insn.h"
#include "note.h"
#include "program.h"
#include "random.h"
#include "string.h"
#include "vmcs.h"

#define TABLE_ENTRIES 512
#define TSS_OFFSET 0x800
#define TSS_STACK 4
#define TSS_STACK_SELECTOR 8
#define TSS_IO_MAP 0x66
#define VECTORS 256
#define GATE_INTERRUPT 0x8e00ull
#define BEYOND_WIDTH BIT(50)
#define LARGE_PAGE MIB(2)     /* L2-physical; EPT12 maps it by one entry */
#define UNMAPPED 0x12345000ull /* likewise, not mapped */

const char *const vm_mode_name[VM_MODES] = { "64", "compat", "pae", "32", "v8086", "unpaged", "real" };

struct vm vms[VMS];

/* What belongs to a guest, each part on pages of its own. */
static struct vm_memory {
	u8 pages[VM_PAGES][PAGE_SIZE];
	u8 control[CONTROL_PAGES][PAGE_SIZE];
	u8 region[PAGE_SIZE];
	u64 ept[4][TABLE_ENTRIES];
} memory[VMS] __attribute__((aligned(4096)));
static u8 around_large_page[MIB(4)]; /* an ELF image cannot ask for 2 MiB, so there is one in here */

static const u64 gdt[] = {
	[SEL_CODE64 / 8] = 0x00af9b000000ffff,
	[SEL_DATA / 8] = 0x00cf93000000ffff,
	[SEL_CODE32 / 8] = 0x00cf9b000000ffff,
	[SEL_CODE16 / 8] = 0x000f9b000000ffff,
	[SEL_USER_CODE64 / 8] = 0x00affb000000ffff,
	[SEL_USER_DATA / 8] = 0x00cff3000000ffff,
	[SEL_USER_CODE32 / 8] = 0x00cffb000000ffff,
	[SEL_DATA16 / 8] = 0x000f93000000ffff,
	[SEL_TSS / 8] = 0x00008b0000000067 | (VM_ADDRESS(PAGE_GDT) + TSS_OFFSET) << 16,
	0,
};

static u8 *large_page(void)
{
	return (u8 *)ALIGN_UP((u64)around_large_page, MIB(2));
}

unsigned vm_number(const struct vm *vm)
{
	return (unsigned)(vm - vms);
}

static struct vm_memory *memory_of(const struct vm *vm)
{
	return &memory[vm_number(vm)];
}

u8 *vm_page(const struct vm *vm, enum vm_page page)
{
	return memory_of(vm)->pages[page];
}

u8 *vm_control_page(const struct vm *vm, enum vm_control_page page)
{
	return memory_of(vm)->control[page];
}

void *vm_region(const struct vm *vm)
{
	return memory_of(vm)->region;
}

u64 vm_eptp(const struct vm *vm)
{
	return (u64)memory_of(vm)->ept[0] | MEMORY_WB | (EPT_LEVELS - 1) << EPTP_WALK_LENGTH_SHIFT;
}

u64 *vm_ept_entry(const struct vm *vm, unsigned page)
{
	return &memory_of(vm)->ept[3][page];
}

bool vm_is_paged(const struct vm *vm)
{
	return vm->mode < VM_UNPAGED;
}

unsigned vm_code_bits(const struct vm *vm)
{
	if (vm->mode == VM_64)
		return 64;
	return vm->mode == VM_REAL || vm->mode == VM_V8086 ? 16 : 32;
}

static void make_ept(struct vm *vm)
{
	struct vm_memory *own = memory_of(vm);

	memset(own->ept, 0, sizeof(own->ept));
	for (unsigned i = 0; i < 3; i++)
		own->ept[i][0] = (u64)own->ept[i + 1] | EPT_RWX;
	for (unsigned i = 0; i < VM_PAGES; i++)
		if (i != PAGE_ABSENT)
			own->ept[3][i] = (u64)own->pages[i] | EPT_RWX | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT;
	/* Code that cannot be changed has no loops. */
	own->ept[3][PAGE_CODE] &= ~EPT_WRITE;
	own->ept[3][PAGE_HANDLERS] &= ~EPT_WRITE;
	own->ept[2][1] = (u64)large_page() | EPT_RWX | EPT_LARGE | MEMORY_WB << EPT_MEMORY_TYPE_SHIFT;
	if (invept(INVEPT_global, 0) != VMX_SUCCEED)
		give_up("INVEPT failed");
}

/* What one of the other views shows. */
static u64 random_view(const struct vm *vm)
{
	static const u8 shown[] = { PAGE_DATA, PAGE_MORE, PAGE_STACK, PAGE_READ_ONLY, PAGE_APIC, PAGE_ABSENT };
	u64 page = vm->physical + VM_ADDRESS(shown[random_below(ARRAY_SIZE(shown))]);
	u64 rights = PTE_PRESENT | (random64() & (PTE_WRITE | PTE_USER | PTE_PCD | PTE_PWT | PTE_GLOBAL));

	switch (random_below(8)) {
	case 0:
		return page | (rights & ~PTE_PRESENT);
	case 1:
		return vm->mode == VM_32 ? 0 : page | rights | BEYOND_WIDTH;
	case 2:
		return vm->ept ? LARGE_PAGE | rights : 0;
	case 3:
		return vm->ept ? UNMAPPED | rights : 0;
	default:
		return page | rights;
	}
}

static u64 page_entry(const struct vm *vm, unsigned page)
{
	u64 entry = (vm->physical + VM_ADDRESS(page)) | PTE_PRESENT | PTE_WRITE;

	if (page >= VM_VIEWS)
		return random_view(vm);
	if (!vm->ept && ((page >= PAGE_TABLES && page < PAGE_APIC) || page == PAGE_ABSENT))
		return 0;
	if (page == PAGE_READ_ONLY || page == PAGE_CODE || page == PAGE_HANDLERS)
		entry &= ~PTE_WRITE;
	return vm->ring || page == PAGE_MORE ? entry | PTE_USER : entry;
}

static void put_entry(struct vm *vm, unsigned table, unsigned index, u64 entry)
{
	u8 *page = vm_page(vm, (enum vm_page)(PAGE_TABLES + table));

	if (vm->mode == VM_32 || vm->mode == VM_V8086)
		((u32 *)page)[index] = (u32)entry;
	else
		((u64 *)page)[index] = entry;
}

static void make_page_tables(struct vm *vm)
{
	u64 flags = PTE_PRESENT | PTE_WRITE | PTE_USER;
	u64 next = vm->physical + VM_ADDRESS(PAGE_TABLES);

	if (!vm_is_paged(vm))
		return;
	for (unsigned i = 0; i < VM_LINEAR_PAGES; i++)
		put_entry(vm, 3, i, page_entry(vm, i));
	if (vm->mode == VM_32 || vm->mode == VM_V8086) {
		put_entry(vm, 0, 0, (next + VM_ADDRESS(3)) | flags);
		return;
	}
	put_entry(vm, 2, 0, (next + VM_ADDRESS(3)) | flags);
	if (vm->mode == VM_PAE) {
		put_entry(vm, 0, 0, (next + VM_ADDRESS(2)) | PTE_PRESENT);
		return;
	}
	put_entry(vm, 1, 0, (next + VM_ADDRESS(2)) | flags);
	put_entry(vm, 0, 0, (next + VM_ADDRESS(1)) | flags);
}

/* A gate of the mode's own size and kind; a few are not as they should be. */
static void make_gate(struct vm *vm, unsigned vector)
{
	u64 *table = (u64 *)vm_page(vm, PAGE_IDT);
	u64 handler = VM_ADDRESS(PAGE_HANDLERS) + vector * HANDLER_SIZE;
	u64 type = GATE_INTERRUPT;

	if (vm->mode == VM_REAL) {
		((u32 *)table)[vector] = (u32)handler;
		return;
	}
	if (one_in(4))
		type ^= one_in(8) ? 0x8000 : one_in(2) ? 0x6000 : 0x100;
	if (vm->mode == VM_64 || vm->mode == VM_COMPATIBILITY)
		table[2 * vector] = handler | (u64)SEL_CODE64 << 16 | type << 32;
	else
		table[vector] = handler | (u64)SEL_CODE32 << 16 | type << 32;
}

static void make_descriptor_tables(struct vm *vm)
{
	u8 *page = vm_page(vm, PAGE_GDT), *tss = page + TSS_OFFSET;

	memcpy(page, gdt, sizeof(gdt));
	*(u32 *)(tss + TSS_STACK) = VM_ADDRESS(PAGE_STACK) + PAGE_SIZE / 2;
	if (vm->mode != VM_64 && vm->mode != VM_COMPATIBILITY)
		*(u32 *)(tss + TSS_STACK_SELECTOR) = SEL_DATA;
	*(u16 *)(tss + TSS_IO_MAP) = 0x68;
	for (unsigned vector = 0; vector < VECTORS; vector++)
		make_gate(vm, vector);
}

/* Every vector leads to a VMCALL of its own, so that an exit tells which it was. */
static void make_handlers(struct vm *vm)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1 };

	for (unsigned vector = 0; vector < VECTORS; vector++)
		memcpy(vm_page(vm, PAGE_HANDLERS) + vector * HANDLER_SIZE, vmcall, sizeof(vmcall));
}

static void make_data(struct vm *vm)
{
	u64 *data = (u64 *)vm_page(vm, PAGE_DATA);

	for (unsigned i = 0; i < PAGE_SIZE / sizeof(*data); i++)
		data[i] = i % 4 ? i * 0x0101010101010101ull : VM_ADDRESS(PAGE_DATA) + 8 * i;
	for (unsigned i = 0; i < 16; i++)
		vm->registers.gpr[i] = random_odd(64);
	vm->registers.gpr[RSI] = VM_ADDRESS(PAGE_DATA) + 8 * random_below(128);
	vm->registers.gpr[RDI] = VM_ADDRESS(PAGE_DATA) + 8 * random_below(256);
	vm->registers.gpr[RBX] = VM_ADDRESS(PAGE_MORE) + random_below(PAGE_SIZE / 2);
	vm->registers.gpr[RBP] = VM_ADDRESS(PAGE_STACK) + PAGE_SIZE / 4;
}

u64 vm_capabilities(void)
{
	static u64 capabilities;

	if (!capabilities)
		capabilities = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	return capabilities;
}

static void choose(struct vm *vm)
{
	bool unrestricted = has_controls(PROC2_CTLS, PROC2_unrestricted_guest);

	memset(vm, 0, sizeof(*vm));
	vm->mode = one_in(2) ? VM_64 : (enum vm_mode)random_below(unrestricted ? VM_MODES : VM_UNPAGED);
	vm->ept = !vm_is_paged(vm) || !one_in(5);
	vm->ring = vm->mode == VM_V8086 || (vm_is_paged(vm) && one_in(4)) ? 3 : 0;
	vm->watched = !one_in(4);
	vm->physical = vm->ept ? 0 : (u64)memory_of(vm)->pages;
}

void vm_start_case(void)
{
	memset(large_page(), 0, PAGE_SIZE);
	memset(vms, 0, sizeof(vms));
}

void vm_make(struct vm *vm)
{
	struct vm_memory *own = memory_of(vm);

	choose(vm);
	memset(own->pages, 0, sizeof(own->pages));
	memset(own->control, 0, sizeof(own->control));
	make_ept(vm);
	make_page_tables(vm);
	make_descriptor_tables(vm);
	make_handlers(vm);
	make_data(vm);
	program_make(vm);
	vmcs_make_random(vm);
	tell("vm %u: %s-bit mode, ring %u, %s\n", vm_number(vm), vm_mode_name[vm->mode], vm->ring,
	     vm->ept ? "ept" : "no ept");
}

void vm_use(const struct vm *vm)
{
	if (vmptrld((u64)vm_region(vm)) != VMX_SUCCEED)
		give_up("VMPTRLD of a good region failed");
}

void vm_next_piece(struct vm *vm)
{
	vmcs_set_start(vm, VM_ADDRESS(PAGE_CODE) + vm->piece % PIECES * PIECE_SIZE);
	vm->piece++;
}

void vm_note_end(const struct vm *vm)
{
	struct vm_memory *own = memory_of(vm);
	struct virtualization_exception_information *information =
		(struct virtualization_exception_information *)own->control[CONTROL_VE_INFORMATION];

	if (one_in(4) && vmclear((u64)own->region) != VMX_SUCCEED)
		give_up("VMCLEAR failed");
	vm_use(vm);
	vmcs_note();
	note_memory("memory", own->pages, sizeof(own->pages));
	for (unsigned i = 0; i < ARRAY_SIZE(own->ept); i++)
		note_memory("ept12", own->ept[i], VM_LINEAR_PAGES * sizeof(u64));
	/* The emulated CPU takes it from whichever VMCS it last loaded it of. */
	information->eptp_index = 0;
	note_memory("control", own->control, sizeof(own->control));
	note_memory("large", large_page(), PAGE_SIZE);
}
