/* Nested VMX: what L0 keeps of L1's VMX operation, and the doors between the files that serve it. */
#ifndef TURTLES_NESTED_H
#define TURTLES_NESTED_H

#include "vmcs_shadow/entry_check.h"
#include "ept_merge/ept02.h"
#include "field_page.h"
#include "memory.h"
#include "vmcs_shadow/direct_set.h"
#include "vmcs_shadow/merge.h"

#define EPT02_SLOTS_MAX 64
#define VPID02_SLOTS 64
#define SLOT_BUCKETS 64
#define NO_BITMAP (~0ull)

/* A page of L1's that L0 holds a merged copy of: L1's next write to it is seen through EPT01. */
struct watch {
	u64 address10;
	struct watch *next; /* of those that are set */
	bool set;      /* address10 is meant */
	bool armed;    /* EPT01 forbids writing it; the copy is good */
	bool mapped02; /* some EPT02 may let L2 write it */
};

/* A bitmap of L1's, merged with L0's own. */
struct merged_page {
	u64 address10; /* L1's; NO_BITMAP if the place is free */
	enum bitmap kind;
	u64 *page;
	struct watch watch;
	struct field_set passes; /* of a VMREAD or VMWRITE bitmap: the fields that L2 accesses in a shadow VMCS */
	u64 used;
};

/* A field of vmcs02 that is written at every entry. */
struct field_write {
	u32 encoding;
	const u64 *value;
	u64 merged; /* the value, where it is none of vmcs12's */
};
#define ALWAYS_MAX 8

/* One VMCS of L1's that is active, or was so last, and the VMCS that the CPU runs in its place. */
struct vmcs_slot {
	struct vmcs12 vmcs12;
	u64 vmptr12; /* L1-physical; VMCS_NO_POINTER if the slot holds none */
	bool active;
	struct vmcs_slot *next; /* of the same bucket */
	struct vmcs12_image *region12; /* that page of L1's; NULL if it is not RAM */
	u64 vmcs02;  /* host physical */
	u64 direct12; /* host physical: the shadow VMCS with the hot fields of vmcs12 */
	/*
	 * A shadow VMCS of L1's. Its vmcs02 is a shadow VMCS too, by which the CPU lets L2 access the fields that are
	 * stale here; it has the others where L2 may read them, unless they are dirty.
	 */
	bool shadow;
	bool direct; /* direct12 is in use: of no shadow VMCS, as L2 changes those, too */
	struct field_accesses *accesses; /* where L1's are counted that exit: before its first entry, or from then on */
	u32 direct_version; /* of the set of fields that direct12 was filled by */
	struct field_set direct_written; /* of that set */
	struct field_page *page; /* of L1's memory, in use instead of direct12; NULL if there is none */
	u64 page_msr;            /* by which L1 named it */
	bool launched02;
	bool prepared02; /* host state and other constants are in vmcs02 */
	bool trying;     /* the CPU is to say whether guest state is valid, before it loads MSRs */
	bool list02;     /* vmcs02 has an MSR-load list, for the first entry of L2 alone */
	bool checked;    /* controls and host state passed the checks as they stand */
	bool checked_long_mode;
	bool saves_timer; /* an exit saves the preemption timer, else vmcs12 keeps its value */
	u64 settled;      /* nested_generation as of the last entry; 0 if the next must look at everything again */
	u64 settled_eptp12; /* the key that ept02 had then; another table of sub-pages is a change of vmcs12 */
	u64 settled_proc12; /* the primary processor-based controls that it was made by */
	bool knows_pat02; /* guest_ia32_pat of vmcs02 is pat02 */
	u64 pat02;
	struct field_write always[ALWAYS_MAX];
	unsigned always_count;
	struct field_set stale_at_exit; /* what an exit leaves in vmcs02 for vmcs12 to see */
	struct field_set read_at_exit;  /* what it saves that vmcs12 gets at once */
	bool reads_at_exit;             /* some of that there is */
	struct field_set always_dirty; /* what L2 may have changed in vmcs02 though vmcs12 must keep its value */
	struct ept02 *ept02;
	/* As of the last entry that was not settled: the other key of ept02; where L1's RAM is that has EPT12's root */
	u64 spptp12;
	const u8 *piece12;
	u64 piece12_start, piece12_size;
	/* L1 has been told of an EPT violation at this L2-physical address, by an access of this kind; 0: of none. */
	u64 awaited20;
	u8 awaited_access;
	struct merge_input input; /* what L0 brings to the merge */
	struct merged_page *merged[BITMAPS]; /* NULL: L0's own serves. It may be another bitmap's by now */
	u64 used;
};

/* The fields that L1 reaches without an exit, by VMCS shadowing; nested_direct.c */
struct direct {
	struct field_set possible;
	struct direct_set set;
	u32 version; /* moves on with the set */
	bool is_read[VMCS_FIELDS + 1]; /* of the set */
	struct direct_field {
		u32 encoding;
		u32 field;
	} written[VMCS_FIELDS]; /* of the set */
	unsigned written_count;
	u64 *vmread_bitmap, *vmwrite_bitmap;

	/* Learning: rounds from one probe to the next, 0 if there is nothing to learn. */
	u32 rounds, rounds_left;
	u32 entries_left; /* of a round, or of a probe */
	u64 total_before;
	bool probing;
	struct direct_set before_probe;
	struct field_accesses before; /* as of the last look */
};

struct nested {
	bool vmxon;
	u64 vmxon_pointer;
	struct vmcs_slot *current; /* NULL: no current VMCS */
	bool entering; /* the next entry of L2 is one that L1 asked for, not L2 going on after an exit of L0's */
	struct vmcs_slot *slots;
	unsigned slot_count; /* one more than may be active by VMPTRLD: for what a link pointer names */
	unsigned active_slots;
	struct vmcs_slot *bucket[SLOT_BUCKETS]; /* of the slots that hold a VMCS, by its address */
	struct merged_page *merged;
	unsigned merged_count;
	u64 clock;
	struct vmx_capabilities caps12;
	struct field_set writable12; /* what L1 may write by VMWRITE */
	struct ept_features features12;
	struct ept_walk_path path12; /* of EPT12 */
	struct ept02_cache ept02;
	struct ept02 ept02_slots[EPT02_SLOTS_MAX];
	struct page_stack ept02_stack;
	struct ept_pages ept02_pages;
	u16 vpid12_of[VPID02_SLOTS]; /* vpid02 = VPID02_FIRST + place */
	u64 evictions;
	struct direct direct;
	struct field_set paged; /* the fields that a field page has */
	/* L1's VMREADs and VMWRITEs that exited. Those that set a VMCS up for its first entry count apart. */
	struct field_accesses accesses, setup_accesses;
	struct vmx_msr_entry *list02; /* a page: the copy of L1's list, of the slot that has list02 and not trying */
};

/*
 * Moves on whenever something that an entry depends on beside vmcs12 has changed, for any slot: a watch, a VPID.
 */
extern u64 nested_generation;

struct cpu;

#define VPID01 1
#define VPID02_FIRST 2

/* nested_state.c: the slots. */
void nested_init(struct cpu *cpu, u64 ram_bytes);
u64 nested_memory_pages(u64 ram_bytes);
/* The slot of a VMCS of L1's: the one that slot_find() has found, or another, its contents read from L1's memory. */
struct vmcs_slot *slot_activate(struct cpu *cpu, struct vmcs_slot *found, u64 vmptr12, bool shadow);
/*
 * The same for the shadow VMCS that the current VMCS links to; the current one keeps its slot. SDM "Software Use of
 * Virtual-Machine Control Structures": the entry makes it active.
 */
struct vmcs_slot *slot_activate_linked(struct cpu *cpu, u64 vmptr12);
/* The slot of an active VMCS of L1's; NULL if it is not active. */
struct vmcs_slot *slot_find(struct cpu *cpu, u64 vmptr12);
/* Write the vmcs12 back to L1's memory, where it is from now on; SDM "VMCLEAR". */
void slot_release(struct cpu *cpu, struct vmcs_slot *slot);
void nested_vmxoff(struct cpu *cpu);

/* nested_insn.c: L1's VMX instructions. */
void nested_vmxon_exit(struct cpu *cpu);
void nested_vmxoff_exit(struct cpu *cpu);
void nested_vmclear_exit(struct cpu *cpu);
void nested_vmptrld_exit(struct cpu *cpu);
void nested_vmptrst_exit(struct cpu *cpu);
void nested_vmread_exit(struct cpu *cpu);
void nested_vmwrite_exit(struct cpu *cpu);
void nested_vmlaunch_exit(struct cpu *cpu);
void nested_vmresume_exit(struct cpu *cpu);
void nested_invept_exit(struct cpu *cpu);
void nested_invvpid_exit(struct cpu *cpu);
void nested_vmcall_exit(struct cpu *cpu);
void nested_vmfunc_exit(struct cpu *cpu);
void nested_complete(struct cpu *cpu, enum vmx_outcome outcome, u32 number);

/* nested_enter.c, nested_exit.c, nested_switch.c: into L2 and out of it. */
void nested_enter_init(void);
void nested_enter(struct cpu *cpu, bool launch);
/* The CPU, which was to say so, finds nothing wrong with the guest state in vmcs02. */
void nested_guest_state_tried(struct cpu *cpu, struct vmcs_slot *slot);
/*
 * While a slot has list02: have the CPU judge the guest state first, and L0 load the list. For when something is to be
 * done before L2 is entered, which only counts if that entry succeeds.
 */
void nested_try_guest_state(struct vmcs_slot *slot);
/* The CPU has entered L2, or L0 has done with the list: the next entry of vmcs02, which is current, has none. */
void nested_list_done(struct vmcs_slot *slot);
/*
 * The CPU refused vmcs02, which is current, with VMfail: true if the cause is the virtual TPR, which is L1's memory. L1
 * runs next and has had VMfail itself or, if L2 was under way already, the exit that says the same.
 * SDM "VM-Execution Control Fields".
 */
bool nested_entry_refused(struct cpu *cpu);
void nested_exit(struct cpu *cpu, u32 full_reason);
/* Hand the exit at hand to L1 with this reason and qualification. */
void nested_reflect(struct cpu *cpu, u32 reason, u64 qualification);
/* The same for an access that L0 made in the place of L2, to these addresses. */
void nested_reflect_access(struct cpu *cpu, u32 reason, u64 qualification, u64 address20, u64 linear);
/* Run L2 again after an EPT violation that L0 has mended. */
void nested_resume(struct cpu *cpu, u64 qualification);
/*
 * An NMI or exception that L1 wants as an exit, though no exit of the CPU's tells of it: with this interruption
 * information.
 */
void nested_reflect_event(struct cpu *cpu, u64 information);
/* The same for INIT and SIPI, which L0 carries out itself. */
void nested_reflect_signal(struct cpu *cpu, u32 reason, u64 qualification);
/* Tables of the current EPT02 may have gone back to their pool: see to it before L2 runs on. */
void nested_renew_eptp02(struct cpu *cpu);
/* Fetch what is still only in vmcs02: all, those of a set, or one such field. */
void nested_fetch_stale(struct cpu *cpu, struct vmcs_slot *slot);
void nested_fetch_fields(struct cpu *cpu, struct vmcs_slot *slot, const struct field_set *fields);
void nested_fetch_field(struct cpu *cpu, struct vmcs_slot *slot, enum vmcs_field field);

/* nested_ept.c */
/* The L1-physical address behind an L2-physical one of the current VMCS12; false if EPT12 forbids reading it. */
bool nested_translate20(struct cpu *cpu, u64 address20, u64 *address10);
void nested_ept_violation(struct cpu *cpu, u64 qualification);
void nested_ept_misconfiguration(struct cpu *cpu);
/*
 * The entry after an EPT violation that L1 was told of: what it has mapped there is composed, so that L2 does not exit
 * again. Nothing that L1 could see is done for it.
 */
void nested_compose_ahead(struct cpu *cpu, struct vmcs_slot *slot);
/*
 * L2's memory for an instruction that L0 carries out: the L1-physical address of an L2-physical one that is accessed so
 * (EPT_READ, EPT_WRITE), for the sake of a linear address: itself, or a paging structure on the way to it. False if the
 * access is an exit to L1, which then runs next, or a #VE.
 */
bool nested_reach(struct cpu *cpu, u64 address20, u64 linear, u8 access, bool itself, u64 *address10);
/* The EPTP for vmcs02 as vmcs12 stands, checked before; what was dropped from its tables is gone from the TLB too. */
u64 nested_eptp02(struct cpu *cpu, struct vmcs_slot *slot);
/* What goes with that EPTP: the table of sub-page write permissions, where vmcs12 uses some. */
u64 nested_spptp02(const struct vmcs_slot *slot);
u16 nested_vpid02(struct cpu *cpu, u16 vpid12);
/* INVVPID by L1, its operands checked. */
void nested_invvpid(struct cpu *cpu, u64 type, u16 vpid12, u64 address);

/* nested_shadow.c: VMCS shadowing for L1. */
/*
 * For a vmcs12 with a link: make the shadow VMCS of the CPU's that L2 is to access, if it is to access one. What vmcs02
 * has to link to. vmcs01 is current.
 */
u64 nested_link_pointer02(struct cpu *cpu, struct vmcs_slot *slot);
/* SDM "Checks on Guest Non-Register State", the link pointer: what is in memory. */
struct entry_verdict nested_check_link(struct cpu *cpu, const struct vmcs_slot *slot);
/* The field that L2's VMREAD or VMWRITE at hand names. */
u64 nested_field_operand(const struct cpu *cpu);
/* L2's VMREAD, or VMWRITE, of a field that the CPU has and L1's does not. */
void nested_refuse_field(struct cpu *cpu, bool write);

/*
 * nested_bitmaps.c: the bitmaps for vmcs02 as vmcs12 stands, merged again where L1 has written to its own. True if they
 * stay good until nested_generation moves on.
 */
bool nested_bitmaps_refresh(struct cpu *cpu, struct vmcs_slot *slot);
void nested_bitmaps_init(struct cpu *cpu);
u64 nested_bitmaps_pages(void);
/* The slot's vmcs02 is to have L0's own. */
void nested_bitmaps_init_slot(struct vmcs_slot *slot);
/* Let go of all of L1's bitmaps. */
void nested_bitmaps_forget_all(struct cpu *cpu);

#endif
