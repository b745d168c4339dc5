/*
 * kvmrun: runs a multiboot 1 image or a Linux kernel as a guest of KVM. Linux, Documentation/virt/kvm/api.rst.
 *
 * Read main() first: a virtual machine is a file descriptor with memory and interrupt controllers; each of its CPUs
 * is another, with a page shared with KVM; and a thread for each says KVM_RUN, over and over, and answers what comes
 * back: in the main ports of devices.
 */
#include "kvmrun.h"
#include "kvmrun_stats.h"
#include "x86.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CPUS_MAX 16
#define MODULES_MAX 16
#define MEMORY_MIB_LEAST 2
#define MEMORY_MIB_MOST 3072 /* the devices of a PC begin there */
#define CPUID_ENTRIES 128
#define HUGE_PAGE MIB(2)
/* Three pages and one that KVM needs on Intel CPUs, where no guest looks. */
#define TSS_ADDRESS 0xfffbd000u
#define IDENTITY_MAP_ADDRESS 0xfffbc000u

#define CPUID1_ECX_VMX BIT(5)
#define CPUID1_ECX_TSC_DEADLINE BIT(24)
#define CPUID1_ECX_HYPERVISOR BIT(31)

struct settings {
	unsigned cpus, memory_mib, timeout;
	bool vmx, statistics;
	const char *device, *prefix, *log, *image;
	char command_line[COMMAND_LINE_SIZE];
	struct module modules[MODULES_MAX];
	unsigned module_count;
};

struct vcpu {
	int descriptor;
	struct kvm_run *run;
	pthread_t thread;
	struct exit_counts counts;
	u64 rip; /* where it stood when the run ended */
};

u8 *memory;
u64 memory_size;

static struct settings settings = { .cpus = 1, .memory_mib = 64, .device = "/dev/kvm", .prefix = "" };
static struct vcpu vcpus[CPUS_MAX];
static int kvm, vm;
static int run_size;
static sem_t ended;
static volatile bool ending;

static NORETURN void vfail(const char *reason, const char *format, va_list args)
{
	devices_flush();
	fprintf(stderr, "kvmrun: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "%s%s\n", reason ? ": " : "", reason ? reason : "");
	exit(KVMRUN_FAILURE);
}

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfail(NULL, format, args);
}

void fail_errno(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfail(strerror(errno), format, args);
}

void assert_failed(const char *what, const char *file, int line)
{
	fail("%s does not hold at %s:%d", what, file, line);
}

/* An ioctl that must not fail. */
static int request(int descriptor, unsigned long number, const char *name, void *argument)
{
	int result = ioctl(descriptor, number, argument);

	if (result < 0)
		fail_errno("%s", name);
	return result;
}
#define REQUEST(descriptor, number, argument) \
	request(descriptor, number, #number, (void *)(uintptr_t)(argument))

static void open_kvm(void)
{
	kvm = open(settings.device, O_RDWR | O_CLOEXEC);
	if (kvm < 0 && errno == ENOENT)
		fail("there is no %s: load kvm_intel or kvm_amd, on a machine whose CPU has VMX or SVM",
		     settings.device);
	if (kvm < 0 && errno == EACCES)
		fail("no right to open %s: become a member of the group that it belongs to", settings.device);
	if (kvm < 0)
		fail_errno("%s", settings.device);
	if (ioctl(kvm, KVM_GET_API_VERSION, NULL) != KVM_API_VERSION)
		fail("%s does not speak version %d of KVM's API", settings.device, KVM_API_VERSION);
	run_size = REQUEST(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
}

/* Aligned and asked for in huge pages, as QEMU does: an EPT violation each where there would be 512. */
static u8 *huge_pages(u64 size)
{
	u8 *block = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1,
			 0);

	if (block == MAP_FAILED)
		fail_errno("%u MiB for the guest", settings.memory_mib);
	block = (u8 *)ALIGN_UP((uintptr_t)block, HUGE_PAGE);
	madvise(block, size, MADV_HUGEPAGE); /* a wish */
	return block;
}

static void create_memory(void)
{
	struct kvm_userspace_memory_region region = { 0 };

	memory_size = MIB(settings.memory_mib);
	memory = huge_pages(memory_size);
	region.memory_size = memory_size;
	region.userspace_addr = (uintptr_t)memory;
	REQUEST(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static void create_vm(void)
{
	u64 identity_map = IDENTITY_MAP_ADDRESS;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	vm = REQUEST(kvm, KVM_CREATE_VM, 0);
	REQUEST(vm, KVM_SET_TSS_ADDR, TSS_ADDRESS);
	REQUEST(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	REQUEST(vm, KVM_CREATE_IRQCHIP, NULL);
	REQUEST(vm, KVM_CREATE_PIT2, &pit);
	create_memory();
}

/* What KVM can give, less VMX where it was not asked for; the number of the CPU where CPUID tells it. */
static void set_cpuid(const struct vcpu *vcpu)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
	} cpuid = { .head.nent = CPUID_ENTRIES };
	u32 id = (u32)(vcpu - vcpus);

	REQUEST(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (u32 i = 0; i < cpuid.head.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid.entries[i];

		if (entry->function == 1) {
			entry->ebx = (entry->ebx & 0xffff) | settings.cpus << 16 | id << 24;
			entry->ecx |= CPUID1_ECX_HYPERVISOR | CPUID1_ECX_TSC_DEADLINE;
			if (!settings.vmx)
				entry->ecx &= ~(u32)CPUID1_ECX_VMX;
			else if (!(entry->ecx & CPUID1_ECX_VMX))
				fail("this KVM gives its guests no VMX: load kvm_intel with nested=1");
		}
		if (entry->function == 0xb || entry->function == 0x1f)
			entry->edx = id;
	}
	REQUEST(vcpu->descriptor, KVM_SET_CPUID2, &cpuid);
}

/* SDM "Segment Descriptors": the types of an accessed code segment and an accessed data segment. */
static struct kvm_segment flat_segment(u16 selector, u8 type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .db = 1, .s = 1, .g = 1,
	};
}

/* 32-bit protected mode, as multiboot and Linux's boot protocol want it; Linux also wants these very selectors. */
static void set_start(const struct vcpu *vcpu, const struct start *start)
{
	static const u64 gdt[] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = start->entry, .rflags = RFLAGS_ONE, .rax = start->eax, .rbx = start->ebx, .rsi = start->esi,
	};

	REQUEST(vcpu->descriptor, KVM_GET_SREGS, &sregs);
	memcpy(memory + GDT_ADDRESS, gdt, sizeof(gdt));
	sregs.gdt.base = GDT_ADDRESS;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cs = flat_segment(0x10, 0xb);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_segment(0x18, 0x3);
	REQUEST(vcpu->descriptor, KVM_SET_SREGS, &sregs);
	REQUEST(vcpu->descriptor, KVM_SET_REGS, &regs);
}

static void create_vcpu(struct vcpu *vcpu)
{
	vcpu->descriptor = REQUEST(vm, KVM_CREATE_VCPU, vcpu - vcpus);
	vcpu->run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->descriptor, 0);
	if (vcpu->run == MAP_FAILED)
		fail_errno("the page shared with KVM");
	set_cpuid(vcpu);
}

/* An IN or OUT, perhaps with REP: count times size bytes, to or from the shared pages. */
static bool answer_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 *data = (u8 *)run + run->io.data_offset;
	u32 value;

	for (u32 i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_IN) {
			value = device_in(run->io.port);
			memcpy(data, &value, run->io.size);
			continue;
		}
		value = 0;
		memcpy(&value, data, run->io.size);
		if (device_out(run->io.port, value) == DEVICE_END)
			return false;
	}
	return true;
}

/* Nothing is there: reads as ones. */
static void answer_mmio(struct kvm_run *run)
{
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
}

/* Handles why KVM came back. False if that was the end. */
static bool answer(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO: return answer_io(vcpu);
	case KVM_EXIT_MMIO: answer_mmio(run); return true;
	case KVM_EXIT_SHUTDOWN: fprintf(stderr, "kvmrun: the guest had a triple fault\n"); return false;
	case KVM_EXIT_SYSTEM_EVENT: return false;
	case KVM_EXIT_FAIL_ENTRY:
		fprintf(stderr, "kvmrun: the CPU refused to enter the guest, reason %#llx\n",
			run->fail_entry.hardware_entry_failure_reason);
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		fprintf(stderr, "kvmrun: KVM could not go on, suberror %u\n", run->internal.suberror);
		return false;
	default:
		fprintf(stderr, "kvmrun: unexpected exit %u\n", run->exit_reason);
		return false;
	}
}

static void *run_vcpu(void *argument)
{
	struct vcpu *vcpu = argument;
	struct kvm_regs regs = { 0 };
	bool go_on = true;

	while (go_on && !ending) {
		if (ioctl(vcpu->descriptor, KVM_RUN, NULL) < 0) {
			if (errno != EINTR && errno != EAGAIN)
				fail_errno("KVM_RUN");
			continue;
		}
		count_exit(&vcpu->counts, vcpu->run->exit_reason);
		go_on = answer(vcpu);
	}
	ioctl(vcpu->descriptor, KVM_GET_REGS, &regs);
	vcpu->rip = regs.rip;
	sem_post(&ended);
	return NULL;
}

/* Makes a thread leave KVM_RUN. */
static void kick(int number)
{
	(void)number;
}

static void start_threads(void)
{
	struct sigaction action = { .sa_handler = kick };

	sigaction(SIGUSR1, &action, NULL);
	for (unsigned i = 0; i < settings.cpus; i++)
		if ((errno = pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i])))
			fail_errno("a thread for CPU %u", i);
}

/* Until one CPU ended the run, or the clock did: false. */
static bool wait_for_end(void)
{
	struct timespec deadline;
	int result;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += settings.timeout;
	do
		result = settings.timeout ? sem_timedwait(&ended, &deadline) : sem_wait(&ended);
	while (result && errno == EINTR);
	return !result;
}

static void stop_threads(void)
{
	ending = true;
	for (unsigned i = 0; i < settings.cpus; i++) {
		vcpus[i].run->immediate_exit = 1;
		pthread_kill(vcpus[i].thread, SIGUSR1);
	}
	for (unsigned i = 0; i < settings.cpus; i++)
		pthread_join(vcpus[i].thread, NULL);
	devices_flush();
}

static void tell_statistics(void)
{
	struct exit_counts sum = { 0 };

	for (unsigned i = 0; i < settings.cpus; i++)
		add_counts(&sum, &vcpus[i].counts);
	print_counts(&sum);
	for (unsigned i = 0; i < settings.cpus; i++)
		print_kvm_statistics(vcpus[i].descriptor, i);
}

static int run(void)
{
	bool in_time;

	sem_init(&ended, 0, 0);
	start_threads();
	in_time = wait_for_end();
	stop_threads();
	if (!in_time)
		for (unsigned i = 0; i < settings.cpus; i++)
			fprintf(stderr, "kvmrun: timeout after %u s: cpu %u at rip %#lx\n", settings.timeout, i,
				vcpus[i].rip);
	if (settings.statistics)
		tell_statistics();
	return in_time ? device_status() : KVMRUN_TIMEOUT;
}

static const char usage[] =
	"usage: kvmrun [OPTION]... IMAGE [WORD]...\n"
	"Runs a multiboot 1 image or a bzImage under KVM; the words are its command line.\n"
	"  --cpus N           how many CPUs (1)\n"
	"  --memory MB        the guest's memory (64)\n"
	"  --module FILE      a multiboot module, or Linux's initramfs; \"FILE WORDS\" gives it a command line\n"
	"  --vmx              the guest's CPU has VMX: a level more\n"
	"  --timeout SECONDS  end it then (never)\n"
	"  --device FILE      KVM's (/dev/kvm)\n"
	"  --prefix TEXT      before each line of the guest's console, COM1, on standard output\n"
	"  --log FILE         where COM2 goes (standard error)\n"
	"  --statistics       at the end, how often the guest exited and why\n"
	"Ends with the status that the guest writes to port 0xf4 (0 success, 1 failure), 1 if it ends otherwise, 2\n"
	"for wrong usage, 124 for the time limit.\n";

static NORETURN void wrong_usage(const char *what, const char *word)
{
	fprintf(stderr, "kvmrun: %s \"%s\"; kvmrun --help tells more\n", what, word);
	exit(KVMRUN_USAGE);
}

static unsigned number(const char *word, unsigned least, unsigned most)
{
	char *end;
	unsigned long value = strtoul(word, &end, 10);

	if (!*word || *end || value < least || value > most) {
		fprintf(stderr, "kvmrun: \"%s\" is not a number from %u to %u\n", word, least, most);
		exit(KVMRUN_USAGE);
	}
	return (unsigned)value;
}

static void add_module(char *words)
{
	if (settings.module_count == MODULES_MAX)
		fail("more than %u modules", MODULES_MAX);
	settings.modules[settings.module_count].text = strdup(words);
	settings.modules[settings.module_count++].file = strtok(words, " ");
}

static void parse_option(const char *name, char *value)
{
	if (!strcmp(name, "--cpus"))
		settings.cpus = number(value, 1, CPUS_MAX);
	else if (!strcmp(name, "--memory"))
		settings.memory_mib = number(value, MEMORY_MIB_LEAST, MEMORY_MIB_MOST);
	else if (!strcmp(name, "--timeout"))
		settings.timeout = number(value, 1, 1000000);
	else if (!strcmp(name, "--device"))
		settings.device = value;
	else if (!strcmp(name, "--prefix"))
		settings.prefix = value;
	else if (!strcmp(name, "--log"))
		settings.log = value;
	else if (!strcmp(name, "--module"))
		add_module(value);
	else
		wrong_usage("unknown option", name);
}

/* The image and the words behind it. */
static void parse_image(char **words)
{
	size_t length = 0;

	settings.image = *words;
	while (*++words) {
		length += strlen(*words) + 1;
		if (length > sizeof(settings.command_line) - 1)
			fail("the command line has more than %u characters", COMMAND_LINE_SIZE - 2);
		strcat(settings.command_line, settings.command_line[0] ? " " : "");
		strcat(settings.command_line, *words);
	}
}

static void parse(char **words)
{
	for (; *words && !strncmp(*words, "--", 2); words++) {
		if (!strcmp(*words, "--help")) {
			fputs(usage, stdout);
			exit(KVMRUN_SUCCESS);
		}
		if (!strcmp(*words, "--vmx")) {
			settings.vmx = true;
		} else if (!strcmp(*words, "--statistics")) {
			settings.statistics = true;
		} else {
			if (!words[1])
				wrong_usage("a value is missing behind", *words);
			parse_option(words[0], words[1]);
			words++;
		}
	}
	if (!*words)
		wrong_usage("no image behind", words[-1]);
	parse_image(words);
}

int main(int argc, char **argv)
{
	struct start start;

	(void)argc;
	parse(argv + 1);
	open_kvm();
	create_vm();
	devices_init(vm, settings.prefix, settings.log);
	start = image_load(settings.image, settings.command_line, settings.modules, settings.module_count);
	acpi_write(settings.cpus);
	for (unsigned i = 0; i < settings.cpus; i++)
		create_vcpu(&vcpus[i]);
	set_start(&vcpus[0], &start);
	return run();
}
