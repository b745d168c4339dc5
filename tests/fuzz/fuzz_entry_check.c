/*
 * The entry checks against a second version of them that has neither tables nor an order: the SDM's
 * sentences under "Checks on VMX Controls and Host-State Area", one expression each, by their numbers.
 * It covers what L0 may come to offer, too; until then those bits are reserved.
 */
#include "mutate.h"
#include "vmcs_shadow/entry_check.h"

struct state {
	const struct vmcs12 *vmcs12;
	const struct vmx_capabilities *caps;
	u64 pin, proc, proc2, exit, entry;
};

static u64 get(const struct state *s, enum vmcs_field field)
{
	return vmcs12_get(s->vmcs12, field);
}

static u64 msr(const struct state *s, unsigned number)
{
	return s->caps->msr[number - 0x480];
}

static bool bit(u64 value, unsigned n)
{
	return value >> n & 1;
}

static bool implies(bool a, bool b)
{
	return !a || b;
}

static bool within(u64 value, u64 capability)
{
	return (value & (u32)capability) == (u32)capability && (value & ~(capability >> 32)) == 0;
}

static bool address_ok(const struct state *s, u64 address, u64 alignment)
{
	return address % alignment == 0 && address < 1ull << s->caps->maxphyaddr;
}

static bool page_ok(const struct state *s, enum vmcs_field field)
{
	return address_ok(s, get(s, field), 4096);
}

static bool canonical(const struct state *s, enum vmcs_field field)
{
	unsigned unused = bit(msr(s, 0x489), 12) ? 7 : 16;

	return (u64)((s64)(get(s, field) << unused) >> unused) == get(s, field);
}

static bool reserved_ok(const struct state *s)
{
	bool t = bit(msr(s, 0x480), 55);

	return within(s->pin, msr(s, t ? 0x48d : 0x481)) && within(s->proc, msr(s, t ? 0x48e : 0x482)) &&
	       within(s->proc2, msr(s, 0x48b)) && within(s->exit, msr(s, t ? 0x48f : 0x483)) &&
	       within(s->entry, msr(s, t ? 0x490 : 0x484));
}

static bool eptp_ok(const struct state *s)
{
	u64 eptp = get(s, F_ept_pointer), caps = msr(s, 0x48c);

	return ((eptp % 8 == 0 && bit(caps, 8)) || (eptp % 8 == 6 && bit(caps, 14))) && eptp / 8 % 8 == 3 &&
	       bit(caps, 6) && implies(bit(eptp, 6), bit(caps, 21)) && implies(bit(eptp, 7), bit(caps, 23)) &&
	       eptp / 256 % 16 == 0 && eptp < 1ull << s->caps->maxphyaddr;
}

static bool apic_ok(const struct state *s)
{
	bool shadow = bit(s->proc, 21), accesses = bit(s->proc2, 0), x2apic = bit(s->proc2, 4);
	bool registers = bit(s->proc2, 8), delivery = bit(s->proc2, 9), posted = bit(s->pin, 7);

	return implies(shadow, page_ok(s, F_virtual_apic_address)) &&
	       implies(shadow && !delivery, get(s, F_tpr_threshold) < 16) &&
	       implies(!shadow, !x2apic && !registers && !delivery) &&
	       implies(accesses, page_ok(s, F_apic_access_address) && !x2apic) &&
	       implies(delivery, bit(s->pin, 0)) && implies(posted, delivery && bit(s->exit, 15));
}

static bool ept_users_ok(const struct state *s)
{
	bool ept = bit(s->proc2, 1), switching = bit(s->proc2, 13) && bit(get(s, F_vm_function_controls), 0);

	return implies(ept, eptp_ok(s)) && implies(bit(s->proc2, 7), ept) &&
	       implies(bit(s->proc2, 17), ept && page_ok(s, F_pml_address)) &&
	       implies(bit(s->proc2, 13), !(get(s, F_vm_function_controls) & ~msr(s, 0x491))) &&
	       implies(switching, ept && page_ok(s, F_eptp_list_address)) &&
	       implies(bit(s->proc2, 18), page_ok(s, F_virtualization_exception_information_address)) &&
	       implies(bit(s->proc2, 23), ept && page_ok(s, F_sub_page_permission_table_pointer));
}

static bool execution_ok(const struct state *s)
{
	return get(s, F_cr3_target_count) <= (msr(s, 0x485) >> 16 & 0x1ff) &&
	       implies(bit(s->proc, 25), page_ok(s, F_address_of_io_bitmap_a) &&
			page_ok(s, F_address_of_io_bitmap_b)) &&
	       implies(bit(s->proc, 28), page_ok(s, F_address_of_msr_bitmaps)) && apic_ok(s) &&
	       implies(bit(s->pin, 5), bit(s->pin, 3)) && implies(bit(s->proc, 22), bit(s->pin, 5)) &&
	       implies(bit(s->proc2, 5), get(s, F_virtual_processor_identifier) != 0) && ept_users_ok(s) &&
	       implies(bit(s->proc2, 14), page_ok(s, F_vmread_bitmap_address) &&
			page_ok(s, F_vmwrite_bitmap_address)) &&
	       implies(bit(s->proc2, 25), get(s, F_tsc_multiplier) != 0);
}

static bool list_ok(const struct state *s, enum vmcs_field count, enum vmcs_field address)
{
	u64 bytes = 16 * get(s, count);

	return bytes == 0 || (address_ok(s, get(s, address), 16) &&
			      get(s, address) + bytes <= 1ull << s->caps->maxphyaddr);
}

/* SDM "VM-Entry Control Fields": whether an error code is delivered. */
static bool error_code_ok(const struct state *s, u32 type, u32 vector, bool delivers)
{
	static const bool has[32] = { [8] = true, [10] = true, [11] = true, [12] = true, [13] = true,
				      [14] = true, [17] = true };

	if (type != 3 || !bit(get(s, F_guest_cr0), 0))
		return !delivers;
	return bit(msr(s, 0x480), 56) || vector >= 32 || delivers == has[vector];
}

static bool injection_ok(const struct state *s)
{
	u32 information = (u32)get(s, F_vm_entry_interruption_information);
	u32 type = information >> 8 & 7, vector = information & 0xff;
	u64 length = get(s, F_vm_entry_instruction_length);
	bool mtf = bit(msr(s, bit(msr(s, 0x480), 55) ? 0x48e : 0x482), 32 + 27);

	if (!bit(information, 31))
		return true;
	return type != 1 && implies(type == 7, mtf && vector == 0) && implies(type == 2, vector == 2) &&
	       implies(type == 3, vector <= 31) && error_code_ok(s, type, vector, bit(information, 11)) &&
	       (information & 0x7ffff000) == 0 &&
	       implies(bit(information, 11), get(s, F_vm_entry_exception_error_code) <= 0xffff) &&
	       implies(type >= 4 && type <= 6, length <= 15 && implies(length == 0, bit(msr(s, 0x485), 30)));
}

static bool controls_ok(const struct state *s)
{
	return reserved_ok(s) && execution_ok(s) && implies(bit(s->exit, 22), bit(s->pin, 6)) &&
	       list_ok(s, F_vm_exit_msr_store_count, F_vm_exit_msr_store_address) &&
	       list_ok(s, F_vm_exit_msr_load_count, F_vm_exit_msr_load_address) &&
	       list_ok(s, F_vm_entry_msr_load_count, F_vm_entry_msr_load_address) && injection_ok(s);
}

static bool fixed_ok(const struct state *s, enum vmcs_field field, unsigned fixed0, u64 not_fixed)
{
	u64 ones = msr(s, fixed0) & ~not_fixed, may = msr(s, fixed0 + 1);

	return (get(s, field) & ones) == ones && (get(s, field) | may) == may;
}

static bool pat_ok(u64 pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		u64 type = pat >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static bool efer_ok(u64 efer, bool long_mode, bool paging)
{
	return (efer & ~0xd01ull) == 0 && bit(efer, 10) == long_mode &&
	       implies(paging, bit(efer, 8) == long_mode);
}

static bool host_selectors_ok(const struct state *s)
{
	u64 any = get(s, F_host_es_selector) | get(s, F_host_cs_selector) | get(s, F_host_ss_selector) |
		  get(s, F_host_ds_selector) | get(s, F_host_fs_selector) | get(s, F_host_gs_selector) |
		  get(s, F_host_tr_selector);

	return any % 8 == 0 && get(s, F_host_cs_selector) && get(s, F_host_tr_selector) &&
	       (get(s, F_host_ss_selector) || bit(s->exit, 9));
}

static bool s_cet_ok(const struct state *s, enum vmcs_field field)
{
	u64 value = get(s, field);

	return (value & ~s->caps->s_cet) == 0 && value / 0x400 % 4 != 3;
}

static bool host_cet_ok(const struct state *s, bool long_mode)
{
	u64 ssp = get(s, F_host_ssp);

	return s_cet_ok(s, F_host_ia32_s_cet) && canonical(s, F_host_ia32_interrupt_ssp_table_addr) && ssp % 4 == 0 &&
	       implies(long_mode, canonical(s, F_host_ia32_s_cet) && canonical(s, F_host_ssp)) &&
	       implies(!long_mode, get(s, F_host_ia32_s_cet) <= 0xffffffff && ssp <= 0xffffffff);
}

static bool host_ok(const struct state *s, bool l1_long_mode)
{
	bool long_mode = bit(s->exit, 9);

	return fixed_ok(s, F_host_cr0, 0x486, 0) && fixed_ok(s, F_host_cr4, 0x488, 0) &&
	       address_ok(s, get(s, F_host_cr3), 1) && canonical(s, F_host_ia32_sysenter_esp) &&
	       canonical(s, F_host_ia32_sysenter_eip) &&
	       implies(bit(s->exit, 19), pat_ok(get(s, F_host_ia32_pat))) &&
	       implies(bit(s->exit, 21), efer_ok(get(s, F_host_ia32_efer), long_mode, true)) &&
	       implies(bit(get(s, F_host_cr4), 23), bit(get(s, F_host_cr0), 16)) &&
	       implies(bit(s->exit, 28), host_cet_ok(s, long_mode)) &&
	       host_selectors_ok(s) && canonical(s, F_host_fs_base) && canonical(s, F_host_gs_base) &&
	       canonical(s, F_host_gdtr_base) && canonical(s, F_host_idtr_base) &&
	       canonical(s, F_host_tr_base) &&
	       long_mode == l1_long_mode &&
	       implies(!long_mode, !bit(s->entry, 9) && !bit(get(s, F_host_cr4), 17) &&
			get(s, F_host_rip) <= 0xffffffff) &&
	       implies(long_mode, bit(get(s, F_host_cr4), 5) && canonical(s, F_host_rip));
}

/* What entry_check.h says it checks of guest state; the CPU checks the rest. */
static bool guest_ok(const struct state *s)
{
	u64 cr0 = get(s, F_guest_cr0);

	return fixed_ok(s, F_guest_cr0, 0x486, bit(s->proc2, 7) ? 0x80000001 : 0) &&
	       implies(bit(cr0, 31), bit(cr0, 0)) && implies(bit(s->entry, 9), bit(cr0, 31)) &&
	       fixed_ok(s, F_guest_cr4, 0x488, 0) &&
	       implies(bit(s->entry, 2), (get(s, F_guest_ia32_debugctl) & 0xffffffffffff0038) == 0 &&
			get(s, F_guest_dr7) <= 0xffffffff) &&
	       implies(bit(s->entry, 14), pat_ok(get(s, F_guest_ia32_pat))) &&
	       implies(bit(s->entry, 15), efer_ok(get(s, F_guest_ia32_efer), bit(s->entry, 9), bit(cr0, 31)));
}

static bool link_pointer_ok(const struct state *s)
{
	return get(s, F_vmcs_link_pointer) == ~0ull || page_ok(s, F_vmcs_link_pointer);
}

static struct state state_of(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps)
{
	struct state s = { .vmcs12 = vmcs12, .caps = caps };

	s.pin = get(&s, F_pin_based_controls);
	s.proc = get(&s, F_primary_processor_based_controls);
	s.proc2 = bit(s.proc, 31) ? get(&s, F_secondary_processor_based_controls) : 0;
	s.exit = get(&s, F_primary_vm_exit_controls);
	s.entry = get(&s, F_vm_entry_controls);
	return s;
}

/* A verdict as it has to be: and the field that is blamed is one that the check says it reads. */
static void check_verdict(struct entry_verdict verdict, enum entry_result result, u32 number,
			  const union field_bits *fields)
{
	AGREE(verdict.result == result);
	AGREE(verdict.number == number);
	AGREE((verdict.rule == NULL) == (result == ENTRY_ok));
	AGREE(result == ENTRY_ok ? verdict.field == VMCS_FIELDS : field_set_has(&fields->set, verdict.field));
}

static void check_all(const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps, bool l1_long_mode)
{
	const struct entry_context context = { .l1_long_mode = l1_long_mode };
	struct state s = state_of(vmcs12, caps);
	bool controls = controls_ok(&s), host = host_ok(&s, l1_long_mode), guest = guest_ok(&s);
	u32 failure = guest ? 4 : 0;

	check_verdict(entry_check_controls(vmcs12, caps), controls ? ENTRY_ok : ENTRY_vmfail,
		      controls ? 0 : 7, &entry_check_controls_fields);
	check_verdict(entry_check_host(vmcs12, caps, &context), host ? ENTRY_ok : ENTRY_vmfail,
		      host ? 0 : 8, &entry_check_host_fields);
	guest = guest && link_pointer_ok(&s);
	check_verdict(entry_check_guest(vmcs12, caps), guest ? ENTRY_ok : ENTRY_failure,
		      guest ? 0 : failure, &entry_check_guest_fields);
}

/* What the first four bytes of the region that the link names must be, and which region not. */
static void check_link(struct fuzz_input *input, const struct vmcs12 *vmcs12, const struct vmx_capabilities *caps)
{
	struct state s = state_of(vmcs12, caps);
	u32 good = (u32)(msr(&s, 0x480) & 0x7fffffff) | (bit(s.proc2, 14) ? 0x80000000 : 0);
	u32 header = good ^ (fuzz_bool(input) ? 0 : 1u << fuzz_below(input, 32));
	u64 link = get(&s, F_vmcs_link_pointer), vmptr12 = link ^ (u64)fuzz_below(input, 3) << 12;
	bool ok = header == good && link != vmptr12;

	check_verdict(entry_check_link(vmcs12, caps, vmptr12, header), ok ? ENTRY_ok : ENTRY_failure, ok ? 0 : 4,
		      &entry_check_guest_fields);
}

static bool same(struct entry_verdict a, struct entry_verdict b)
{
	return a.result == b.result && a.number == b.number && a.field == b.field;
}

/* A field that a check does not read changes nothing of its verdict. */
static void check_unread(struct fuzz_input *input, const struct vmcs12 *vmcs12,
			 const struct vmx_capabilities *caps, bool l1_long_mode)
{
	const struct entry_context context = { .l1_long_mode = l1_long_mode };
	enum vmcs_field field = mutate_pick(input);
	struct vmcs12 other = *vmcs12;

	vmcs12_set(&other, field, mutate_value(input, field, vmcs12_get(vmcs12, field)));
	if (!field_set_has(&entry_check_controls_fields.set, field))
		AGREE(same(entry_check_controls(vmcs12, caps), entry_check_controls(&other, caps)));
	if (!field_set_has(&entry_check_host_fields.set, field))
		AGREE(same(entry_check_host(vmcs12, caps, &context),
			   entry_check_host(&other, caps, &context)));
	if (!field_set_has(&entry_check_guest_fields.set, field))
		AGREE(same(entry_check_guest(vmcs12, caps), entry_check_guest(&other, caps)));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = fuzz_begin(data, size);
	struct vmx_capabilities host = mutate_host(&input), caps12;
	bool long_mode, l1_long_mode;
	struct vmcs12 vmcs12;

	capabilities_for_l1(&caps12, &host, &vmx_policy_default);
	do {
		long_mode = !fuzz_bool(&input);
		l1_long_mode = fuzz_below(&input, 16) ? long_mode : !long_mode;
		vmcs12 = fake_vmcs12(long_mode);
		mutate_vmcs12(&input, &vmcs12, &caps12);
		check_all(&vmcs12, &caps12, l1_long_mode);
		check_unread(&input, &vmcs12, &caps12, l1_long_mode);
		check_link(&input, &vmcs12, &caps12);
	} while (fuzz_goes_on(&input));
	return 0;
}
