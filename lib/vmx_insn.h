/* The VMX instructions, each behind one inline function with one kind of answer. SDM "VMX Instruction Reference". */
#ifndef TURTLES_VMX_INSN_H
#define TURTLES_VMX_INSN_H

#include "vmx.h"

/* CF is VMfailInvalid, ZF is VMfailValid; SDM "Conventions". */
#define VMX_OUTCOME_OF(invalid, valid) ((invalid) ? VMX_FAIL_INVALID : (valid) ? VMX_FAIL_VALID : VMX_SUCCEED)

#define DEFINE_VMX_MEMORY_INSN(name) \
	static inline enum vmx_outcome name(u64 physical) \
	{ \
		bool invalid, valid; \
		__asm__ volatile(#name " %2" : "=@ccc"(invalid), "=@ccz"(valid) : "m"(physical) : "memory"); \
		return VMX_OUTCOME_OF(invalid, valid); \
	}
DEFINE_VMX_MEMORY_INSN(vmxon)
DEFINE_VMX_MEMORY_INSN(vmclear)
DEFINE_VMX_MEMORY_INSN(vmptrld)
#undef DEFINE_VMX_MEMORY_INSN

static inline enum vmx_outcome vmxoff(void)
{
	bool invalid, valid;

	__asm__ volatile("vmxoff" : "=@ccc"(invalid), "=@ccz"(valid) : : "memory");
	return VMX_OUTCOME_OF(invalid, valid);
}

static inline u64 vmptrst(void)
{
	u64 physical;

	__asm__ volatile("vmptrst %0" : "=m"(physical) : : "cc", "memory");
	return physical;
}

/* VMREAD and VMWRITE that tell their outcome. */
static inline enum vmx_outcome vmread_checked(u64 encoding, u64 *value)
{
	bool invalid, valid;

	__asm__ volatile("vmread %3, %2" : "=@ccc"(invalid), "=@ccz"(valid), "=r"(*value) : "r"(encoding));
	return VMX_OUTCOME_OF(invalid, valid);
}

static inline enum vmx_outcome vmwrite_checked(u64 encoding, u64 value)
{
	bool invalid, valid;

	__asm__ volatile("vmwrite %3, %2" : "=@ccc"(invalid), "=@ccz"(valid) : "r"(encoding), "rm"(value) : "memory");
	return VMX_OUTCOME_OF(invalid, valid);
}

/*
 * VMREAD of a field that is known to exist, from a VMCS that is known to be current: it cannot fail.
 * volatile keeps it in order with VMPTRLD.
 */
static inline u64 vmread(u64 encoding)
{
	u64 value;

	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(encoding) : "cc");
	return value;
}

/* VMWRITE that must succeed; what failed and where is told by vmwrite_failed(), which each image has. */
NORETURN void vmwrite_failed(u64 encoding, u64 value);
static inline void vmwrite(u64 encoding, u64 value)
{
	__asm__ goto("vmwrite %1, %0; jna %l[failed]" : : "r"(encoding), "r"(value) : "cc", "memory" : failed);
	return;
failed:
	vmwrite_failed(encoding, value);
}

/*
 * The same on the paths that every exit takes, unchecked: SDM "VMWRITE" lets it fail only without a current VMCS or
 * for a field that the CPU lacks or holds read-only. VMPTRLD is checked, and fields are probed at start.
 */
static inline void vmwrite_sure(u64 encoding, u64 value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"(encoding), "rm"(value) : "cc", "memory");
}

/* The same with the value where it is in memory. */
static inline void vmwrite_from(u64 encoding, const u64 *value)
{
	__asm__ volatile("vmwrite %1, %0" : : "r"(encoding), "m"(*value) : "cc");
}

struct invalidation_descriptor {
	u64 low;  /* INVEPT: EPTP; INVVPID: VPID in bits 15:0 */
	u64 high; /* INVEPT: 0; INVVPID: linear address */
};

static inline enum vmx_outcome invept(u64 type, u64 eptp)
{
	struct invalidation_descriptor d = { eptp, 0 };
	bool invalid, valid;

	__asm__ volatile("invept %2, %3" : "=@ccc"(invalid), "=@ccz"(valid) : "m"(d), "r"(type) : "memory");
	return VMX_OUTCOME_OF(invalid, valid);
}

static inline enum vmx_outcome invvpid(u64 type, u16 vpid, u64 address)
{
	struct invalidation_descriptor d = { vpid, address };
	bool invalid, valid;

	__asm__ volatile("invvpid %2, %3" : "=@ccc"(invalid), "=@ccz"(valid) : "m"(d), "r"(type) : "memory");
	return VMX_OUTCOME_OF(invalid, valid);
}

#endif
