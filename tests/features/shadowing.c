/* VMCS shadowing in short: L2 reads and writes a shadow VMCS, and exits where L1's bitmaps say so. */
#include "lib/feature.h"
#include "string.h"

#define PATTERN 0x123456789abcdef0ull

static u8 shadow[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 vmread_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));
static u8 vmwrite_bitmap[PAGE_SIZE] __attribute__((aligned(4096)));

static u64 l2_vmread(u64 encoding)
{
	u64 value = 0, outcome;

	__asm__ volatile("vmread %2, %0; mov $0, %1; setc %b1; jnz 1f; or $2, %1; 1:"
			 : "+a"(value), "=&c"(outcome) : "d"(encoding) : "cc");
	return outcome ? outcome : value;
}

static u64 l2_vmwrite(u64 encoding)
{
	enum vmx_outcome outcome = vmwrite_checked(encoding, PATTERN);

	return outcome;
}

static void tell_access(const char *what, l2_code *code, u64 encoding)
{
	struct exit exit = guest_call(code, encoding);

	if (exit.done)
		print("%s of %lx: %lx, error %lu\n", what, encoding, exit.rax, vmread(ENC_vm_instruction_error));
	else
		tell(what, &exit);
}

static u64 current(void)
{
	return vmptrst();
}

static u64 in_shadow(u64 encoding)
{
	u64 ordinary = current(), value = 0;

	vmptrld((u64)shadow);
	vmread_checked(encoding, &value);
	vmptrld(ordinary);
	return value;
}

static void make_shadow(void)
{
	struct vmcs_region_header *header = (struct vmcs_region_header *)shadow;
	u64 ordinary = current();

	memset(shadow, 0, sizeof(shadow));
	header->revision = (u32)((rdmsr(MSR_IA32_VMX_BASIC) & VMX_BASIC_REVISION) | VMCS_REVISION_SHADOW);
	vmclear((u64)shadow);
	vmptrld((u64)shadow);
	vmwrite(ENC_guest_rip, 0x1234);
	vmwrite(ENC_exit_reason, 0x56);
	vmwrite(ENC_tsc_offset, ~PATTERN);
	vmptrld(ordinary);
}

bool feature(void)
{
	static const struct controls controls = { .proc2 = PROC2_vmcs_shadowing };

	if (!offers(&controls, "VMCS shadowing"))
		return true;
	guest_new(&controls, 0);
	vmwrite(ENC_vmread_bitmap_address, (u64)vmread_bitmap);
	vmwrite(ENC_vmwrite_bitmap_address, (u64)vmwrite_bitmap);
	tell_access("without a link, VMREAD", l2_vmread, ENC_guest_rip);
	make_shadow();
	vmwrite(ENC_vmcs_link_pointer, (u64)shadow);
	tell_access("VMREAD", l2_vmread, ENC_guest_rip);
	tell_access("VMREAD", l2_vmread, ENC_exit_reason);
	tell_access("VMREAD", l2_vmread, ENC_tsc_offset | VMCS_ENCODING_HIGH);
	tell_access("VMREAD", l2_vmread, 0x5000);
	tell_access("VMREAD", l2_vmread, BIT(15));
	tell_access("VMWRITE", l2_vmwrite, ENC_guest_rip);
	tell_access("VMWRITE", l2_vmwrite, ENC_guest_tr_limit);
	print("L1 reads %lx, %lx\n", in_shadow(ENC_guest_rip), in_shadow(ENC_guest_tr_limit));
	vmwrite_bitmap[ENC_guest_rip / 8] |= (u8)(1 << ENC_guest_rip % 8);
	tell_access("VMWRITE", l2_vmwrite, ENC_guest_rip);
	tell_access("VMREAD", l2_vmread, ENC_guest_rip);
	vmread_bitmap[ENC_guest_rip / 8] |= (u8)(1 << ENC_guest_rip % 8);
	tell_access("VMREAD", l2_vmread, ENC_guest_rip);
	return true;
}
