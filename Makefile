# Turtles: L0, the L1 and L2 images, the ROM and its maker, host tests. One file, no recursion.
BUILD ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
HOSTCC ?= $(CC)

WARN := -Wall -Wextra -Werror -Wshadow -Wundef -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wcast-align -Wwrite-strings -Wvla -Wimplicit-fallthrough
INCLUDE := -Iinclude -Ilib -Ivmcs_shadow -Iept_merge -I. -I$(BUILD)/generated
COMMON := -std=gnu11 -O2 -g $(WARN) $(INCLUDE) -MMD -MP
# Code that runs without an operating system; no FPU or vector registers, which belong to the guests.
FREESTANDING := $(COMMON) -ffreestanding -nostdlib -fno-pic -no-pie -mno-red-zone -mgeneral-regs-only \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -fno-strict-aliasing -m64
LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments
# The ROM's loader: 32-bit, before any image. -Os, for it has one page.
ROM_FLAGS := $(filter-out -O2 -m64 -mno-red-zone,$(FREESTANDING)) -Os -m32 -march=i686
# Host code; libc's own headers, so not those of lib/.
HOST_FLAGS := $(filter-out -Ilib,$(COMMON))
HOST_TEST_FLAGS := $(HOST_FLAGS) -O1 -fsanitize=address,undefined -fno-sanitize-recover=all

PURE_SRC := $(wildcard vmcs_shadow/*.c ept_merge/*.c)
LIB_SRC := $(wildcard lib/*.c)
L0_SRC := $(wildcard l0/*.c l0/*.S l0/boot/*.c l0/boot/*.S)
MINIVISOR_SRC := $(wildcard l1/minivisor/*.c l1/minivisor/*.S)
GUEST_SRC := $(wildcard l1/guests/*.c)
ROM_SRC := boot/rom/start.S boot/rom/loader.c
HOST_TEST_SRC := $(wildcard tests/host/test_*.c)
HOST_HELPER_SRC := $(filter-out $(HOST_TEST_SRC),$(wildcard tests/host/*.c))
# Images of the tests: one assembly file each, or one C file entered through start.S.
IMAGE_SRC := $(filter-out tests/images/start.S,$(wildcard tests/images/*.[Sc]))

# The conformance suite: one image for each group, all on the same library.
CONFORM_SRC := $(wildcard tests/conform/*.c)

# An object's place says how it was compiled: obj/ bare metal, rom/ 32-bit, host/ with sanitizers.
object = $(addsuffix .o,$(basename $(addprefix $(BUILD)/$(1)/,$(2))))
L0_OBJ := $(call object,obj,$(L0_SRC))
MINIVISOR_OBJ := $(call object,obj,$(MINIVISOR_SRC))
PURE_OBJ := $(call object,obj,$(PURE_SRC))
LIB_OBJ := $(call object,obj,$(LIB_SRC))
GUEST_RUNTIME_OBJ := $(call object,obj,$(wildcard l1/guests/runtime/*.[cS]))
CONFORM_LIB_OBJ := $(call object,obj,$(wildcard tests/conform/lib/*.[cS]) l1/minivisor/enter.S)
ROM_OBJ := $(call object,rom,$(ROM_SRC))
HOST_OBJ := $(call object,host,$(PURE_SRC) $(HOST_HELPER_SRC))

GUESTS := $(patsubst l1/guests/%.c,$(BUILD)/guests/%.bin,$(GUEST_SRC))
CONFORM := $(patsubst tests/conform/%.c,$(BUILD)/conform/%.elf,$(CONFORM_SRC))
HOST_TESTS := $(patsubst tests/host/%.c,$(BUILD)/tests/%,$(HOST_TEST_SRC))
IMAGES := $(addprefix $(BUILD)/images/,$(addsuffix .elf,$(notdir $(basename $(IMAGE_SRC)))))
HEADER_FOLDERS := include lib l0 l0/boot vmcs_shadow ept_merge l1/minivisor l1/guests l1/guests/runtime boot/rom \
	tests/host tests/conform/lib
HEADER_CHECKS := $(patsubst %.h,$(BUILD)/headers/%.h.ok,$(wildcard $(addsuffix /*.h,$(HEADER_FOLDERS))))
ROM := $(BUILD)/rom.bin
MKROM := $(BUILD)/mkrom
VERSION := $(BUILD)/generated/version.h

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all demo check check-host check-boot conform gates headers packages clean tests conform-images l0 minivisor \
	guests rom images FORCE

all: l0 minivisor guests rom
l0: $(BUILD)/turtles.elf
minivisor: $(BUILD)/minivisor.elf
guests: $(GUESTS)
rom: $(ROM) $(MKROM)
images: $(IMAGES) $(BUILD)/images/kludge.bin
conform-images: $(CONFORM)
tests: $(HOST_TESTS) images conform-images

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

$(BUILD)/minivisor.elf: $(MINIVISOR_OBJ) $(BUILD)/pure.a $(BUILD)/lib.a l1/minivisor/minivisor.ld
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld $(MINIVISOR_OBJ) $(BUILD)/pure.a $(BUILD)/lib.a -o $@

$(GUESTS:.bin=.elf): $(BUILD)/guests/%.elf: $(BUILD)/obj/l1/guests/%.o $(GUEST_RUNTIME_OBJ) $(BUILD)/lib.a l1/guests/guest.ld
	@mkdir -p $(@D)
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/guests/guest.ld $(GUEST_RUNTIME_OBJ) $< $(BUILD)/lib.a -o $@

$(GUESTS): $(BUILD)/guests/%.bin: $(BUILD)/guests/%.elf
	objcopy -O binary $< $@

$(CONFORM): $(BUILD)/conform/%.elf: $(BUILD)/obj/tests/conform/%.o $(CONFORM_LIB_OBJ) $(BUILD)/lib.a l1/minivisor/minivisor.ld
	@mkdir -p $(@D)
	$(CC) -m64 $(LDFLAGS) -Wl,-T,l1/minivisor/minivisor.ld $(CONFORM_LIB_OBJ) $< $(BUILD)/lib.a -o $@

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

$(MKROM): tools/mkrom.c
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_FLAGS) $< -o $@

$(BUILD)/host/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_TEST_FLAGS) -c $< -o $@

$(HOST_TESTS): $(BUILD)/tests/%: $(BUILD)/host/tests/host/%.o $(HOST_OBJ)
	@mkdir -p $(@D)
	$(HOSTCC) $(HOST_TEST_FLAGS) $^ -lcmocka -o $@

IMAGE_LINK = $(CC) -m32 $(LDFLAGS) -Wl,-n,-Ttext=0x100000,-e,start

$(filter-out $(BUILD)/images/info.elf,$(IMAGES)): $(BUILD)/images/%.elf: $(BUILD)/rom/tests/images/%.o
	@mkdir -p $(@D)
	$(IMAGE_LINK) $< -o $@

$(BUILD)/images/%.bin: $(BUILD)/images/%.elf
	objcopy -O binary $< $@

$(BUILD)/images/info.elf: $(call object,rom,tests/images/start.S tests/images/info.c lib/serial.c)
	@mkdir -p $(@D)
	$(IMAGE_LINK) $^ -o $@

# Rewritten only when the commit changes, so that a plain make builds nothing.
$(VERSION): FORCE
	@mkdir -p $(@D)
	@printf '#define TURTLES_COMMIT "%s"\n' "$$(scripts/version.sh)" > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# Each header compiled as a source file of its own; those of tests/host with libc's headers.
headers: $(HEADER_CHECKS)

$(BUILD)/headers/%.h.ok: %.h Makefile | $(VERSION)
	@mkdir -p $(@D)
	@echo '#include "$<"' | $(CC) $(if $(findstring tests/host,$<),$(HOST_FLAGS),$(FREESTANDING)) \
		-iquote $(<D) -MF $@.d -MT $@ -fsyntax-only -x c -
	@touch $@

packages:
	@scripts/packages.sh build emulator check

demo:
	@scripts/packages.sh build emulator
	+@scripts/demo.sh

check:
	@scripts/packages.sh build emulator check
	+@scripts/check.sh gates host boot

conform:
	@scripts/packages.sh build emulator
	+@scripts/conform.sh

check-host:
	+@scripts/check.sh host

check-boot:
	+@scripts/check.sh boot

gates:
	+@scripts/check.sh gates

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
