# Turtles: L0, the L1 and L2 images, the ROM and its maker, host tests. One file, no recursion.
BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
HOSTCC ?= $(CC)

WARN := -Wall -Wextra -Werror -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-align -Wwrite-strings -Wvla -Wimplicit-fallthrough
INCLUDE := -Iinclude -Ilib -Ivmcs_shadow -Iept_merge -I. -I$(BUILD)/generated
# The same files wherever the tree is, for their length counts in what a machine executes.
COMMON := -std=gnu11 -O2 -g -fdebug-prefix-map=$(CURDIR)=. $(WARN) $(INCLUDE) -MMD -MP
# Code that runs without an operating system; no FPU or vector registers, which belong to the guests.
FREESTANDING := $(COMMON) -ffreestanding -nostdlib -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing -m64 -fpeel-loops
LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments
# The ROM's loader: 32-bit, before any image. -Os, for it has one page.
ROM_FLAGS := $(filter-out -O2 -m64 -mno-red-zone,$(FREESTANDING)) -Os -m32 -march=i686
# Host code; libc's own headers, so not those of lib/.
HOST_FLAGS := $(filter-out -Ilib,$(COMMON))
HOST_TEST_FLAGS := $(HOST_FLAGS) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
# libFuzzer and coverage are clang's. What guides the fuzzer is where it gets to in the pure rooms, not in the tests.
CLANG ?= clang
FUZZ_FLAGS := $(filter-out -O2,$(HOST_FLAGS)) -Itests/host -O1 -fsanitize=address,undefined -fno-sanitize-recover=all
COVERAGE_FLAGS := $(filter-out -O2,$(HOST_FLAGS)) -Itests/host -O1 -fprofile-instr-generate -fcoverage-mapping
# L0 itself, with counters that it prints when it ends.
L0_COVERAGE_FLAGS := -fprofile-arcs -ftest-coverage -fprofile-info-section -fprofile-update=single

PURE_SRC := $(wildcard vmcs_shadow/*.c ept_merge/*.c)
# What tells of a trace, but for its main program.
TRACE_SRC := $(wildcard tools/trace_*.c)
LIB_SRC := $(wildcard lib/*.c)
L0_SRC := $(wildcard l0/*.c l0/*.S l0/boot/*.c l0/boot/*.S)
MINIVISOR_SRC := $(wildcard l1/minivisor/*.c l1/minivisor/*.S)
GUEST_SRC := $(wildcard l1/guests/*.c)
ROM_SRC := boot/rom/start.S boot/rom/loader.c boot/stop.c
DISK_SRC := boot/disk/start.S boot/disk/loader.c boot/stop.c
HOST_TEST_SRC := $(wildcard tests/host/test_*.c)
HOST_HELPER_SRC := $(filter-out $(HOST_TEST_SRC),$(wildcard tests/host/*.c))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
# What a target is linked with: its random numbers are the input's, not those of host_test.c.
FUZZ_HELPER_SRC := $(filter-out $(FUZZ_SRC),$(wildcard tests/fuzz/*.c)) $(filter-out %/host_test.c,$(HOST_HELPER_SRC))
# Images of the tests: one assembly file each, or one C file on parts of lib/.
IMAGE_SRC := $(wildcard tests/images/*.[Sc])
# L1s that print what they see of VMX, on parts of the minivisor.
FEATURE_SRC := $(wildcard tests/features/*.c)

# The conformance suite: one image for each group, all on the same library.
CONFORM_SRC := $(wildcard tests/conform/*.c)

# The differential fuzzer: one image on the same library.
DIFF_SRC := $(wildcard tests/diff/*.c)

# An object's place says how it was compiled: obj/ bare metal, rom/ 32-bit, host/ with sanitizers.
object = $(addsuffix .o,$(basename $(addprefix $(BUILD)/$(1)/,$(2))))
L0_OBJ := $(call object,obj,$(L0_SRC))
MINIVISOR_OBJ := $(call object,obj,$(MINIVISOR_SRC))
PURE_OBJ := $(call object,obj,$(PURE_SRC))
LIB_OBJ := $(call object,obj,$(LIB_SRC))
GUEST_RUNTIME_OBJ := $(call object,obj,$(wildcard l1/guests/runtime/*.[cS]))
CONFORM_LIB_OBJ := $(call object,obj,$(wildcard tests/conform/lib/*.[cS]) l1/minivisor/enter.S)
# The attack suite is one image on the library of the conformance suite.
ATTACK_OBJ := $(call object,obj,$(wildcard tests/attack/*.[cS]))
ROM_OBJ := $(call object,rom,$(ROM_SRC))
DISK_OBJ := $(call object,rom,$(DISK_SRC))
HOST_OBJ := $(call object,host,$(PURE_SRC) $(HOST_HELPER_SRC) $(TRACE_SRC) lib/trace_pack.c)
FUZZ_OBJ := $(call object,fuzz,$(PURE_SRC) $(FUZZ_HELPER_SRC))
L0_COVERAGE_OBJ := $(call object,l0-coverage,$(L0_SRC) $(PURE_SRC) $(LIB_SRC))
COVERAGE_HOST_OBJ := $(call object,coverage,$(PURE_SRC) $(HOST_HELPER_SRC) $(TRACE_SRC) lib/trace_pack.c)
COVERAGE_FUZZ_OBJ := $(call object,coverage,$(PURE_SRC) $(FUZZ_HELPER_SRC))

# The bench: an L1 of its own on parts of the minivisor.
BENCH_OBJ := $(call object,obj,$(wildcard l1/bench/*.c) \
	$(addprefix l1/minivisor/,start.S enter.S fault_entry.S boot.c cpu.c ept_map.c fail.c fields.c options.c timer.c vmcs.c \
	vmx_root.c))
GUESTS := $(patsubst l1/guests/%.c,$(BUILD)/guests/%.bin,$(GUEST_SRC))
CONFORM := $(patsubst tests/conform/%.c,$(BUILD)/conform/%.elf,$(CONFORM_SRC))
DIFF := $(BUILD)/diff/diff.elf
HOST_TESTS := $(patsubst tests/host/%.c,$(BUILD)/tests/%,$(HOST_TEST_SRC))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzzers/%,$(FUZZ_SRC))
COVERAGE_TESTS := $(patsubst tests/host/%.c,$(BUILD)/coverage/%,$(HOST_TEST_SRC))
COVERAGE_FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/coverage/%,$(FUZZ_SRC))
C_IMAGES := $(patsubst tests/images/%.c,$(BUILD)/images/%.elf,$(wildcard tests/images/*.c))
TRAP_IMAGES := $(filter-out $(BUILD)/images/info.elf,$(C_IMAGES))
# What a BIOS boots is linked elsewhere.
IMAGES := $(addprefix $(BUILD)/images/,$(addsuffix .elf,$(notdir $(basename $(filter-out tests/images/bios.S,$(IMAGE_SRC))))))
FEATURES := $(patsubst tests/features/%.c,$(BUILD)/features/%.elf,$(FEATURE_SRC))
FEATURE_LIB_OBJ := $(call object,obj,$(wildcard tests/features/lib/*.[cS]) l1/guests/runtime/traps.S \
	$(addprefix l1/minivisor/,start.S enter.S fault_entry.S boot.c cpu.c fail.c timer.c vmx_root.c))
HEADER_FOLDERS := include lib l1/linux l0 l0/boot vmcs_shadow ept_merge l1/minivisor l1/bench l1/guests l1/guests/runtime boot tools \
	tests/host tests/features/lib tests/conform/lib tests/attack tests/diff tests/fuzz tests/images/lib
HEADER_CHECKS := $(patsubst %.h,$(BUILD)/headers/%.h.ok,$(wildcard $(addsuffix /*.h,$(HEADER_FOLDERS))))
ROM := $(BUILD)/rom.bin
MKROM := $(BUILD)/mkrom
DISK := $(BUILD)/disk.bin
MKDISK := $(BUILD)/mkdisk
PLAN_OBJ := $(patsubst tools/%.c,$(BUILD)/tools/%.o,$(wildcard tools/plan*.c))
TRACE := $(BUILD)/trace
TRACE_OBJ := $(patsubst tools/%.c,$(BUILD)/tools/%.o,$(TRACE_SRC)) $(BUILD)/tools/lib/trace_pack.o
VERSION := $(BUILD)/generated/version.h
LINUX := $(BUILD)/linux/vmlinuz
KVMRUN := $(BUILD)/linux/kvmrun
KVMRUN_OBJ := $(patsubst l1/linux/%.c,$(BUILD)/linux/%.o,$(wildcard l1/linux/kvmrun*.c))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all demo check check-host check-fuzz check-boot gates headers packages clean tests fuzzers fuzz coverage
.PHONY: l0-coverage check-xen coverage-programs conform conform-images l0 minivisor guests rom images features FORCE
.PHONY: bench kvmrun linux check-linux check-machines image
.PHONY: attack-image diff-image soak-image soak

all: l0 minivisor bench guests rom kvmrun
l0: $(BUILD)/turtles.elf
minivisor: $(BUILD)/minivisor.elf
bench: $(BUILD)/bench.elf
guests: $(GUESTS)
rom: $(ROM) $(MKROM) $(DISK) $(MKDISK) $(TRACE)
images: $(IMAGES) $(addprefix $(BUILD)/images/,kludge.bin bzimage.bin bios.bin)
features: $(FEATURES)
conform-images: $(CONFORM)
attack-image: $(BUILD)/attack.elf
soak-image: $(BUILD)/soak.elf
diff-image: $(DIFF)
tests: $(HOST_TESTS) images features conform-images attack-image diff-image soak-image
fuzzers: $(FUZZERS)
coverage-programs: $(COVERAGE_TESTS) $(COVERAGE_FUZZERS)
kvmrun: $(KVMRUN)
linux: $(LINUX) $(BUILD)/linux/l1.cpio $(BUILD)/linux/l2.cpio

$(BUILD)/obj/%.o: %.c Makefile | $(VERSION)
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) -c $< -o $@

$(BUILD)/obj/%.o: %.S Makefile | $(VERSION)
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) -c $< -o $@

$(BUILD)/lib.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/pure.a: $(PURE_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# L0 is linked twice: the first link's symbols make the table of the second, which lies behind all text.
L0_LINK = $(CC) -m64 $(LDFLAGS) -Wl,-T,l0/boot/l0.ld $(L0_OBJ) $(PURE_OBJ) $(LIB_OBJ)
L0_DEPS := $(L0_OBJ) $(PURE_OBJ) $(LIB_OBJ) l0/boot/l0.ld

$(BUILD)/generated/symbols.pass1.c: scripts/symbols.sh
	@mkdir -p $(@D)
	scripts/symbols.sh < /dev/null > $@

$(BUILD)/turtles.pass1.elf: $(L0_DEPS) $(BUILD)/obj/symbols.pass1.o
	$(L0_LINK) $(BUILD)/obj/symbols.pass1.o -o $@

$(BUILD)/generated/symbols.pass2.c: $(BUILD)/turtles.pass1.elf scripts/symbols.sh
	nm $< | scripts/symbols.sh > $@

$(BUILD)/obj/symbols.%.o: $(BUILD)/generated/symbols.%.c
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) -c $< -o $@

$(BUILD)/turtles.elf: $(BUILD)/obj/symbols.pass2.o $(BUILD)/turtles.pass1.elf
	$(L0_LINK) $< -o $@
	@nm $@ | scripts/symbols.sh | cmp - $(BUILD)/generated/symbols.pass2.c

$(BUILD)/l0-coverage/%.o: %.c Makefile | $(VERSION)
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) $(L0_COVERAGE_FLAGS) -c $< -o $@

$(BUILD)/l0-coverage/%.o: %.S Makefile | $(VERSION)
	@mkdir -p $(@D)
	$(CC) $(FREESTANDING) -c $< -o $@

$(BUILD)/l0-coverage/turtles.elf: $(L0_COVERAGE_OBJ) $(BUILD)/obj/tests/coverage/dump.o $(BUILD)/obj/symbols.pass1.o l0/boot/l0.ld
	$(CC) -m64 $(LDFLAGS) -Wl,--wrap=machine_end -Wl,-T,l0/boot/l0.ld $(filter %.o,$^) -lgcov -o $@

$(BUILD)/minivisor.elf: $(MINIVISOR_OBJ) $(BUILD)/pure.a $(BUILD)/lib.a l1/minivisor/minivisor.ld
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld $(MINIVISOR_OBJ) $(BUILD)/pure.a $(BUILD)/lib.a -o $@

$(BUILD)/bench.elf: $(BENCH_OBJ) $(BUILD)/lib.a l1/minivisor/minivisor.ld
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld -Wl,--defsym=minivisor_main=bench_main $(BENCH_OBJ) \
		$(BUILD)/lib.a -o $@

$(GUESTS:.bin=.elf): $(BUILD)/guests/%.elf: $(BUILD)/obj/l1/guests/%.o $(GUEST_RUNTIME_OBJ) $(BUILD)/lib.a l1/guests/guest.ld
	@mkdir -p $(@D)
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/guests/guest.ld $(GUEST_RUNTIME_OBJ) $< $(BUILD)/lib.a -o $@

$(GUESTS): $(BUILD)/guests/%.bin: $(BUILD)/guests/%.elf
	objcopy -O binary $< $@

$(CONFORM): $(BUILD)/conform/%.elf: $(BUILD)/obj/tests/conform/%.o $(CONFORM_LIB_OBJ) $(BUILD)/lib.a l1/minivisor/minivisor.ld
	@mkdir -p $(@D)
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld $(CONFORM_LIB_OBJ) $< $(BUILD)/lib.a -o $@

$(BUILD)/attack.elf: $(ATTACK_OBJ) $(CONFORM_LIB_OBJ) $(BUILD)/lib.a l1/minivisor/minivisor.ld
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld $(CONFORM_LIB_OBJ) $(ATTACK_OBJ) $(BUILD)/lib.a -o $@

$(BUILD)/soak.elf: $(BUILD)/obj/tests/soak/soak.o $(CONFORM_LIB_OBJ) $(BUILD)/lib.a l1/minivisor/minivisor.ld
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld $(CONFORM_LIB_OBJ) $< $(BUILD)/lib.a -o $@

$(DIFF): $(call object,obj,$(DIFF_SRC)) $(CONFORM_LIB_OBJ) $(BUILD)/lib.a l1/minivisor/minivisor.ld
	@mkdir -p $(@D)
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld $(filter %.o,$^) $(BUILD)/lib.a -o $@

$(BUILD)/rom/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ROM_FLAGS) -c $< -o $@

$(BUILD)/rom/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(CC) $(ROM_FLAGS) -c $< -o $@

$(BUILD)/rom.elf: $(ROM_OBJ) boot/rom/rom.ld
	$(CC) -m32 $(LDFLAGS) -Wl,-T,boot/rom/rom.ld $(ROM_OBJ) -o $@

$(ROM): $(BUILD)/rom.elf
	objcopy -O binary $< $@

$(BUILD)/disk.elf: $(DISK_OBJ) boot/disk/disk.ld
	$(CC) -m32 $(LDFLAGS) -Wl,-T,boot/disk/disk.ld $(DISK_OBJ) -o $@

$(DISK): $(BUILD)/disk.elf
	objcopy -O binary $< $@

$(BUILD)/tools/%.o: tools/%.c Makefile
	@mkdir -p $(@D)
	$(HOSTCC) -D_GNU_SOURCE $(HOST_FLAGS) -c $< -o $@

$(MKROM) $(MKDISK): $(BUILD)/%: $(BUILD)/tools/%.o $(PLAN_OBJ)
	$(HOSTCC) $(filter %.o,$^) -o $@

$(BUILD)/tools/lib/%.o: lib/%.c Makefile
	@mkdir -p $(@D)
	$(HOSTCC) -D_GNU_SOURCE $(HOST_FLAGS) -c $< -o $@

$(TRACE): $(BUILD)/tools/trace.o $(TRACE_OBJ) $(BUILD)/tools/plan.o
	$(HOSTCC) $^ -o $@

# Programs of the Linux that is L1 or L2: static, for there is no C library.
$(BUILD)/linux/%.o: l1/linux/%.c Makefile
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_FLAGS) -c $< -o $@

$(KVMRUN): $(KVMRUN_OBJ)
	$(HOSTCC) -static -pthread $^ -o $@

$(BUILD)/linux/machine: $(BUILD)/linux/machine.o
	$(HOSTCC) -static $^ -o $@

$(BUILD)/linux/workload: $(BUILD)/linux/workload.o
	$(HOSTCC) -static $^ -o $@

# Debian's kernel, its modules and busybox; the script names its packages. And the two initramfs.
$(LINUX): scripts/linux.sh
	scripts/linux.sh kernel

$(BUILD)/linux/l1.cpio: l1/linux/init $(KVMRUN) $(BUILD)/linux/machine $(LINUX)
	scripts/linux.sh l1

$(BUILD)/linux/l2.cpio: l1/linux/init-l2 $(BUILD)/linux/machine $(BUILD)/linux/workload $(LINUX)
	scripts/linux.sh l2

$(BUILD)/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_TEST_FLAGS) -c $< -o $@

$(HOST_TESTS): $(BUILD)/tests/%: $(BUILD)/host/tests/host/%.o $(HOST_OBJ)
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_TEST_FLAGS) $^ -lcmocka -o $@

$(BUILD)/fuzz/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_FLAGS) $(if $(filter tests/%,$<),,-fsanitize=fuzzer-no-link) -c $< -o $@

$(FUZZERS): $(BUILD)/fuzzers/%: $(BUILD)/fuzz/tests/fuzz/%.o $(FUZZ_OBJ)
	@mkdir -p $(@D)
	$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ -lcmocka -o $@

$(BUILD)/coverage/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CLANG) $(COVERAGE_FLAGS) -c $< -o $@

$(COVERAGE_TESTS): $(BUILD)/coverage/%: $(BUILD)/coverage/tests/host/%.o $(COVERAGE_HOST_OBJ)
	$(CLANG) $(COVERAGE_FLAGS) $^ -lcmocka -o $@

$(COVERAGE_FUZZERS): $(BUILD)/coverage/%: $(BUILD)/coverage/tests/fuzz/%.o $(COVERAGE_FUZZ_OBJ)
	$(CLANG) $(COVERAGE_FLAGS) -fsanitize=fuzzer $^ -lcmocka -o $@

# Where an image is linked: bzimage.S, at its pref_address but for its setup sectors.
IMAGE_TEXT := 0x100000
$(BUILD)/images/bzimage.elf: IMAGE_TEXT := 0xfffc00
IMAGE_LINK = $(CC) -m32 $(LDFLAGS) -Wl,-n,-Ttext=$(IMAGE_TEXT),-e,start

$(filter-out $(C_IMAGES),$(IMAGES)): $(BUILD)/images/%.elf: $(BUILD)/rom/tests/images/%.o
	@mkdir -p $(@D)
	$(IMAGE_LINK) $< -o $@

$(BUILD)/images/%.bin: $(BUILD)/images/%.elf
	objcopy -O binary $< $@

$(BUILD)/images/bios.elf: $(BUILD)/rom/tests/images/bios.o
	@mkdir -p $(@D)
	$(CC) -m32 $(LDFLAGS) -Wl,-n,-Ttext=0x7c00,-e,start $< -o $@

$(BUILD)/images/task.elf: $(call object,rom,tests/images/lib/task_stubs.S)
$(TRAP_IMAGES): $(call object,rom,tests/images/lib/traps.S tests/images/lib/trap_image.c)
$(C_IMAGES): $(BUILD)/images/%.elf: $(call object,rom,tests/images/lib/start.S lib/serial.c) $(BUILD)/rom/tests/images/%.o
	@mkdir -p $(@D)
	$(IMAGE_LINK) $^ -o $@

# The minivisor's start calls minivisor_main, which is feature_main here.
$(FEATURES): $(BUILD)/features/%.elf: $(BUILD)/obj/tests/features/%.o $(FEATURE_LIB_OBJ) $(BUILD)/lib.a l1/minivisor/minivisor.ld
	@mkdir -p $(@D)
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld -Wl,--defsym=minivisor_main=feature_main \
		$(FEATURE_LIB_OBJ) $< $(BUILD)/lib.a -o $@

# Debian's Xen with one domain: our own, and a Linux. The script names its packages.
$(BUILD)/xen/domain.elf: $(BUILD)/rom/l1/xen/domain.o l1/xen/domain.ld
	@mkdir -p $(@D)
	$(CC) -m32 $(LDFLAGS) -Wl,-T,l1/xen/domain.ld $< -o $@

XEN_DEPS := scripts/xen.sh scripts/debian.sh l1/xen/init $(MKDISK) $(DISK)

$(BUILD)/xen/domain.img: $(BUILD)/xen/domain.elf l1/xen/domain.cfg $(XEN_DEPS)
	scripts/xen.sh domain $@

$(BUILD)/xen/linux.img: l1/xen/linux.cfg l1/xen/init-linux $(XEN_DEPS)
	@mkdir -p $(@D)
	scripts/xen.sh linux $@

# Rewritten only when the commit changes, so that a plain make builds nothing.
$(VERSION): FORCE
	@mkdir -p $(@D)
	@printf '#define TURTLES_COMMIT "%s"\n' "$$(scripts/version.sh)" > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Each header compiled as a source file of its own; those of host tests and fuzz targets with libc's headers.
headers: $(HEADER_CHECKS)

$(BUILD)/headers/%.h.ok: %.h Makefile | $(VERSION)
	@mkdir -p $(@D)
	@echo '#include "$<"' | $(CC) $(if $(filter tests/host/% tests/fuzz/% l1/linux/%,$<),$(HOST_FLAGS),$(FREESTANDING)) \
		-iquote $(<D) -Itests/host -MF $@.d -MT $@ -fsyntax-only -x c -
	@touch $@

packages:
	@scripts/packages.sh build emulator check

demo:
	@scripts/packages.sh build emulator
	+@scripts/demo.sh

check:
	@scripts/packages.sh build emulator check machines plots hosts browser
	+@scripts/check.sh gates host fuzz boot

conform:
	@scripts/packages.sh build emulator
	+@scripts/conform.sh

check-host:
	+@scripts/check.sh host

check-fuzz:
	@scripts/packages.sh build check
	+@scripts/check.sh fuzz

check-boot:
	+@scripts/check.sh boot

# Linux and KVM as L1, at length.
check-linux:
	@scripts/packages.sh build emulator linux
	+@scripts/check.sh linux

# Each fuzz target for so long; a corpus is kept in $(BUILD)/fuzz/corpus/.
FUZZ_SECONDS ?= 30
fuzz:
	@scripts/packages.sh build check
	+@scripts/libfuzzer.sh run $(FUZZ_SECONDS)

coverage:
	@scripts/packages.sh build check coverage
	+@scripts/coverage.sh

l0-coverage:
	@scripts/packages.sh build emulator check coverage
	+@scripts/l0-coverage.sh

# Ten million exits: 16 minutes of a CPU.
soak: l0 rom soak-image
	@scripts/packages.sh build emulator
	+@SOAK_EXITS=10000000 SOAK_SECONDS=7200 tests/boot/test_soak.sh

# An ISO for a PC or a USB stick, with what `./turtles run` would boot: make image ARGS='--l1 linux --set vpid02=off'.
ARGS ?=
image:
	@scripts/packages.sh build emulator machines
	+@./turtles run --machine metal --out $(BUILD)/image $(ARGS)

# L0 as the guest of Debian's QEMU and libvirt, on KVM, on the emulated CPU: 1 min 35 s on two CPUs.
check-machines:
	@scripts/packages.sh build emulator machines
	+@scripts/check.sh machines

check-xen:
	@scripts/packages.sh build emulator xen
	+@scripts/check.sh xen

gates:
	+@scripts/check.sh gates

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
