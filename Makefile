# make run, make test: from a fresh clone to a verdict. `make` alone lists what
# there is. Arguments for the run: make run ARGS='--cpus 4 --ops ic-ivau'

CARGO ?= cargo
ARGS ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
IMAGE_TARGET := aarch64-unknown-none
LINUX_TARGET := aarch64-unknown-linux-musl
UEFI_TARGET := aarch64-unknown-uefi
HOST_CRATES := --workspace --exclude stalecore-image --exclude stalecore-uefi

# labgrid and what checks the examples of docs/ci, pinned; made once.
VENV := $(TARGET_DIR)/venv
REQUIREMENTS := docs/ci/labgrid/requirements.txt
LG_ENV ?= docs/ci/labgrid/qemu.yaml
JUNIT ?= $(TARGET_DIR)/labgrid.xml
# Of 5.10, 6.1, 6.12, newest: what kexec is tried from.
KERNELS ?= 6.1 newest
PYTEST := PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/pytest -q -p no:cacheprovider --lg-env

.PHONY: help run test host-test labgrid ktap linux schema build dist grub qemu deps deps-run deps-test venv clean
.DEFAULT_GOAL := help

help:
	@echo 'make run        build, boot the image in QEMU, give a verdict (ARGS=...)'
	@echo 'make test       build, run all tests'
	@echo 'make host-test  run the tests that need neither image nor QEMU'
	@echo 'make labgrid    boot by labgrid (LG_ENV=qemu.yaml or a board, JUNIT=results.xml)'
	@echo 'make ktap       have the parser of the kernel read what the image prints'
	@echo 'make schema     write docs/run.schema.json anew'
	@echo "make linux      hand over from Debian's own kernels by kexec (KERNELS=...)"
	@echo 'make build      leave stalecore, stalecore.elf, stalecore.img in dist/'
	@echo 'make dist       build, and pack a UEFI loader and a disk image for USB sticks'
	@echo 'make grub       leave GRUB for arm64, from Debian, in dist/ (run --boot grub)'
	@echo 'make qemu       leave a QEMU with newer plugins in dist/ (run --check-coherence)'
	@echo 'make deps       install what building, running and testing need'
	@echo 'make clean      remove dist/ and what cargo built'

run: deps-run build
	dist/stalecore run --out out $(ARGS)

# With the firmware of tools/deps, and GRUB.
test: deps-test venv dist grub qemu
	$(CARGO) test --locked --release $(HOST_CRATES)
	$(CARGO) test --locked --release -p stalecore-routines --target $(LINUX_TARGET)
	$(PYTEST) docs/ci/labgrid/qemu.yaml docs/ci/labgrid tests/ci

host-test: deps-build
	$(CARGO) test --locked --release $(HOST_CRATES) --lib --bins
	$(CARGO) test --locked --release -p stalecore-cli --test house
	$(CARGO) test --locked --release -p stalecore-cli --test e2e -- input mishaps

labgrid: deps-test venv build
	$(PYTEST) $(LG_ENV) --junitxml $(JUNIT) docs/ci/labgrid

ktap: deps-test venv build
	@tools/kunit $(TARGET_DIR)/kunit
	KUNIT=$(TARGET_DIR)/kunit PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/pytest -q \
		-p no:cacheprovider tests/ktap

# docs/run.schema.json, from the types that write run.json.
schema:
	STALECORE_WRITE_SCHEMA=1 $(CARGO) test --locked --release -q -p stalecore-model --lib schema

linux: deps-test venv build
	@tools/linux $(TARGET_DIR)/linux $(KERNELS)
	LINUX=$(TARGET_DIR)/linux KERNELS='$(KERNELS)' PYTHONDONTWRITEBYTECODE=1 \
		$(VENV)/bin/pytest -q -p no:cacheprovider tests/linux

build: deps-build
	$(CARGO) build --locked --release -p stalecore-cli -p stalecore-coherence
	$(CARGO) build --locked --release -p stalecore-image --target $(IMAGE_TARGET)
	mkdir -p dist
	install $(TARGET_DIR)/release/stalecore dist/stalecore
	install $(TARGET_DIR)/release/libstalecore_coherence.so dist/libstalecore_coherence.so
	install -m 644 $(TARGET_DIR)/$(IMAGE_TARGET)/release/stalecore-image dist/stalecore.elf
	dist/stalecore flatten dist/stalecore.elf dist/stalecore.img

# The loader carries the image inside; the disk image goes on a USB stick by dd.
dist: deps-dist build
	STALECORE_IMG=$(CURDIR)/dist/stalecore.img \
		$(CARGO) build --locked --release -p stalecore-uefi --target $(UEFI_TARGET)
	install -m 644 $(TARGET_DIR)/$(UEFI_TARGET)/release/stalecore-uefi.efi dist/stalecore.efi
	$(CARGO) run --locked --release -q -p stalecore-disk -- dist/stalecore-esp.img \
		EFI/BOOT/BOOTAA64.EFI=dist/stalecore.efi
	cd dist && sha256sum stalecore stalecore.elf stalecore.img stalecore.efi stalecore-esp.img > SHA256SUMS

grub: dist/grubaa64.efi

# A QEMU that run --check-coherence can use, beside the one that is installed.
qemu: dist/qemu

dist/qemu:
	@tools/qemu $@

dist/grubaa64.efi:
	@tools/grub $@

deps: deps-test

# Each installs what it lacks, and is quiet where nothing is missing.
.PHONY: deps-build
deps-build:
	@tools/deps build
deps-dist:
	@tools/deps build dist
deps-run:
	@tools/deps build run
deps-test:
	@tools/deps build dist run test
venv: deps-test
	@tools/venv $(VENV) $(REQUIREMENTS)

clean:
	$(CARGO) clean
	rm -rf dist
