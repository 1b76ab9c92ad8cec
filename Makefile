# make run, make test: from a fresh clone to a verdict. `make` alone lists what
# there is. Arguments for the run: make run ARGS='--cpus 4 --ops ic-ivau'

CARGO ?= cargo
ARGS ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
IMAGE_TARGET := aarch64-unknown-none
LINUX_TARGET := aarch64-unknown-linux-musl
UEFI_TARGET := aarch64-unknown-uefi
HOST_CRATES := --workspace --exclude stalecore-image --exclude stalecore-uefi --exclude stalecore-routines

# labgrid and what checks the examples of docs/ci, pinned; made once.
VENV := $(TARGET_DIR)/venv
REQUIREMENTS := docs/ci/labgrid/requirements.txt
LG_ENV ?= docs/ci/labgrid/qemu.yaml
JUNIT ?= $(TARGET_DIR)/labgrid.xml
# The kernels that are crashed and that hand over by kexec: any of these.
KERNELS ?= 5.10 6.1 6.12 newest
PYTEST := PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/pytest -q -p no:cacheprovider --lg-env

# Where `make install` puts things; packagers set DESTDIR, which goes before it.
PREFIX ?= /usr/local
DESTDIR ?=
ROOT := $(DESTDIR)$(PREFIX)
COMMANDS := $(ROOT)/bin
PAGES := $(ROOT)/share/man/man1
DATA := $(ROOT)/share/stalecore
LIBRARY := $(ROOT)/lib/stalecore
DOCS := $(ROOT)/share/doc/stalecore
BASH := $(ROOT)/share/bash-completion/completions/stalecore
ZSH := $(ROOT)/share/zsh/site-functions/_stalecore
FISH := $(ROOT)/share/fish/vendor_completions.d/stalecore.fish

# What a build is told of itself. A copy without git names no commit.
COMMIT = $(shell git describe --always --abbrev=12 --dirty 2>/dev/null)
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# `make release` sets FLAGS so that a build does not show where it was made; nothing
# else does, as other flags compile everything again.
FLAGS ?=
SYSROOT = $(shell rustc --print sysroot)
PLAIN_PATHS := dist/plain-paths.toml
BUILD = $(CARGO) build --locked --release $(FLAGS)

.PHONY: help run test live host-test labgrid ktap linux linux-all linux-crashes linux-live guests bench bench-triage bench-verdicts inject sweep soak fuzz adding schema build dist grub qemu carry
.PHONY: cargo-install install uninstall stage deb release reproduce follow deps deps-live deps-run deps-test venv clean
.DEFAULT_GOAL := help

help:
	@echo 'make run        build, boot the image in QEMU, give a verdict (ARGS=...)'
	@echo 'make test       build, run all tests'
	@echo 'make host-test  run the tests that need neither image nor QEMU'
	@echo 'make labgrid    boot by labgrid (LG_ENV=qemu.yaml or a board, JUNIT=results.xml)'
	@echo 'make ktap       have the parser of the kernel read what the image prints'
	@echo 'make adding     carry out the steps of docs/adding.md on a copy'
	@echo 'make schema     rewrite docs/run.schema.json from the types'
	@echo "make linux      crash Debian's own kernels, and hand over from them by kexec (KERNELS=...)"
	@echo 'make linux-live  stalecore live on them'
	@echo 'make linux-crashes  the crashes alone'
	@echo 'make linux-all  the same in every combination, for an hour or two'
	@echo 'make bench      the speed of image and command, against a bare probe (WHAT=bring-up,...)'
	@echo 'make inject     stall single instructions inside QEMU, and see that each is found (N=100)'
	@echo 'make sweep      many kinds of machines, clean and with a deaf core (MINUTES=10)'
	@echo 'make soak       random plans, faults, resets, kills, full disks, slow readers (MINUTES=60, SEED=1)'
	@echo 'make fuzz       random bytes for everything that reads (SECONDS_EACH=60, WHAT=..., JOBS=1)'
	@echo 'make bench-triage  the speed of triage on 1 GiB of log, against grep'
	@echo 'make bench-verdicts  how often slowed and compare are wrong: some 60 default plans'
	@echo 'make build      leave stalecore, stalecore.elf, stalecore.img in dist/'
	@echo 'make live       leave the command for aarch64 Linux, static, in dist/aarch64-linux (stalecore live, deploy)'
	@echo 'make dist       build, and pack a UEFI loader and a disk image for USB sticks'
	@echo 'make grub       leave GRUB for arm64, from Debian, in dist/ (run --boot grub)'
	@echo 'make qemu       leave a QEMU with newer plugins in dist/ (run --check-coherence)'
	@echo 'make install    install the command, image and loader inside (PREFIX=..., DESTDIR=...)'
	@echo 'make uninstall  remove what make install has installed'
	@echo 'make cargo-install  the command alone, by cargo install'
	@echo 'make deb        leave a Debian package in dist/release/'
	@echo 'make release    leave archive, package, SBOM and SHA256SUMS in dist/release/'
	@echo 'make reproduce  make release in two clones, compare every byte'
	@echo 'make follow     run each command of README.md in a fresh clone'
	@echo 'make deps       install what building, running and testing need'
	@echo 'make clean      remove dist/ and what cargo built'

run: deps-run build
	dist/stalecore run --out out $(ARGS)

# Six tests at a time: most of them wait for something, or for room on the host
# (tests/e2e/host.rs).
test: deps-test venv dist grub qemu live
	RUST_TEST_THREADS=6 $(CARGO) test --locked --release $(HOST_CRATES)
	$(CARGO) test --locked --release -p stalecore-routines -p stalecore-live --target $(LINUX_TARGET)
	$(PYTEST) docs/ci/labgrid/qemu.yaml docs/ci/labgrid tests/ci

host-test: deps-build
	$(CARGO) test --locked --release $(HOST_CRATES) --lib --bins
	$(CARGO) test --locked --release -p stalecore-cli --test house
	$(CARGO) test --locked --release -p stalecore-cli --test e2e -- input mishaps damage

labgrid: deps-test venv build
	$(PYTEST) $(LG_ENV) --junitxml $(JUNIT) docs/ci/labgrid

ktap: deps-test venv build
	@tools/kunit $(TARGET_DIR)/kunit
	KUNIT=$(TARGET_DIR)/kunit PYTHONDONTWRITEBYTECODE=1 $(VENV)/bin/pytest -q \
		-p no:cacheprovider tests/ktap

schema:
	STALECORE_WRITE_SCHEMA=1 $(CARGO) test --locked --release -q -p stalecore-model --lib schema

# Two at a time: each waits for its guest most of the time. Each test bounds what it waits
# for; LIMIT bounds all of them, whatever happens.
LIMIT ?= 40m
ON_LINUX = export LINUX=$(TARGET_DIR)/linux KERNELS='$(KERNELS)' ALL=$(ALL) PYTHONDONTWRITEBYTECODE=1; \
	pytest="timeout --foreground -k 60 $(LIMIT) $(VENV)/bin/pytest -q --tb=short --durations=10 -p no:cacheprovider"
linux-all: ALL := 1
linux-all: LIMIT := 5h
guests: deps-test venv build
	@timeout --foreground 20m tools/linux $(TARGET_DIR)/linux $(KERNELS)
linux-live: guests live
	@$(ON_LINUX); $$pytest tests/linux/test_live.py
linux-crashes: guests
	@$(ON_LINUX); $$pytest tests/linux/test_crash.py
linux linux-all: guests live
	@$(ON_LINUX); \
	$$pytest tests/linux/test_crash.py tests/linux/test_ramoops.py tests/linux/test_deploy.py \
		tests/linux/test_hooks.py > $(TARGET_DIR)/linux/second.log 2>&1 & second=$$!; \
	trap 'kill $$second; exit 2' INT TERM; \
	$$pytest tests/linux/test_kexec.py tests/linux/test_reservation.py tests/linux/test_back.py; \
	first=$$?; \
	wait $$second; second=$$?; cat $(TARGET_DIR)/linux/second.log; \
	test $$second = 0 && exit $$first

# What is left of earlier runs, and what is built for these, is in $(TARGET_DIR)/bench.
BENCH_VENV := $(TARGET_DIR)/venv-bench
.PHONY: bench-venv
bench-venv: deps-test
	@tools/venv $(BENCH_VENV) tests/bench/requirements.txt
bench: deps-test build qemu
	@tests/bench/bench
inject: bench-venv build qemu
	@$(BENCH_VENV)/bin/python tests/bench/inject
sweep: bench-venv dist
	@$(BENCH_VENV)/bin/python tests/bench/sweep
soak: bench-venv build qemu
	@$(BENCH_VENV)/bin/python tests/bench/soak

fuzz: deps-build
	@tests/fuzz/run

bench-triage: deps-build
	$(BUILD) -p stalecore-cli
	crates/triage/bench/triage-speed $(TARGET_DIR)/release/stalecore

bench-verdicts: build
	tests/bench/verdicts

adding: deps-run
	$(CARGO) test --locked --release -p stalecore-cli --test house -- --ignored adding

build: deps-build
	$(BUILD) -p stalecore-cli -p stalecore-coherence
	$(CARGO) build --locked --profile image $(FLAGS) -p stalecore-image --target $(IMAGE_TARGET)
	mkdir -p dist
	@# Each keeps its time where it is the same; what was packed of an older one goes.
	install -C $(TARGET_DIR)/release/stalecore dist/stalecore
	install $(TARGET_DIR)/release/libstalecore_coherence.so dist/libstalecore_coherence.so
	install -C -m 644 $(TARGET_DIR)/$(IMAGE_TARGET)/image/stalecore-image dist/stalecore.elf
	dist/stalecore flatten dist/stalecore.elf $(TARGET_DIR)/stalecore.img
	install -C -m 644 $(TARGET_DIR)/stalecore.img dist/stalecore.img
	@cd dist; gone() { [ -z "$$(find $$2 -newer $$1 2> /dev/null)" ] || rm $$1; }; \
	gone stalecore.efi stalecore.img; gone stalecore-esp.img stalecore.img; \
	gone SHA256SUMS 'stalecore stalecore.elf stalecore.img'

# The command for aarch64 Linux, static: what measures such a machine with no reboot, or
# hands it over to the image, which it has inside.
live: deps-live build
	STALECORE_IMG=$(CURDIR)/dist/stalecore.img \
		$(BUILD) -p stalecore-cli --features carry-image --target $(LINUX_TARGET)
	mkdir -p dist/aarch64-linux
	install $(TARGET_DIR)/$(LINUX_TARGET)/release/stalecore dist/aarch64-linux/stalecore

# The loader carries the image inside; the disk image goes on a USB stick by dd.
dist: deps-dist build
	STALECORE_IMG=$(CURDIR)/dist/stalecore.img \
		$(BUILD) -p stalecore-uefi --target $(UEFI_TARGET)
	install -m 644 $(TARGET_DIR)/$(UEFI_TARGET)/release/stalecore-uefi.efi dist/stalecore.efi
	$(CARGO) run --locked --release $(FLAGS) -q -p stalecore-disk -- dist/stalecore-esp.img \
		EFI/BOOT/BOOTAA64.EFI=dist/stalecore.efi
	cd dist && sha256sum stalecore stalecore.elf stalecore.img stalecore.efi stalecore-esp.img > SHA256SUMS

# The command with image and loader inside, and the commit in its --version.
CARRY = STALECORE_COMMIT=$(COMMIT) \
	STALECORE_IMG=$(CURDIR)/dist/stalecore.img STALECORE_EFI=$(CURDIR)/dist/stalecore.efi

carry: dist
	$(CARRY) $(BUILD) -p stalecore-cli --features carry
	mkdir -p dist/carry
	install -s $(TARGET_DIR)/release/stalecore dist/carry/stalecore
	rm -rf dist/carry/man && dist/carry/stalecore man dist/carry/man
	for shell in bash zsh fish; do \
		dist/carry/stalecore completions $$shell > dist/carry/stalecore.$$shell || exit; done

cargo-install: dist
	$(CARRY) $(CARGO) install --locked --path crates/cli --features carry $(ARGS)

# Under sudo, root seldom has a toolchain: install what the user has built.
install:
	@if [ -z "$$SUDO_USER" ]; then $(MAKE) --no-print-directory carry; \
	elif [ ! -x dist/carry/stalecore ]; then \
		echo 'stalecore: nothing is built yet; run first, without sudo: make carry' >&2; exit 2; fi
	@$(MAKE) --no-print-directory stage

stage:
	install -d $(COMMANDS) $(PAGES) $(DATA) $(LIBRARY) $(DOCS) $(dir $(BASH) $(ZSH) $(FISH))
	install dist/carry/stalecore $(COMMANDS)/stalecore
	install -m 644 dist/carry/man/*.1 $(PAGES)
	install -m 644 dist/carry/stalecore.bash $(BASH)
	install -m 644 dist/carry/stalecore.zsh $(ZSH)
	install -m 644 dist/carry/stalecore.fish $(FISH)
	install -m 644 dist/stalecore.elf dist/stalecore.img dist/stalecore.efi $(DATA)
	install -m 644 dist/libstalecore_coherence.so $(LIBRARY)
	install -m 644 README.md LICENSE-MIT LICENSE-APACHE docs/*.md docs/run.schema.json $(DOCS)

uninstall:
	rm -f $(COMMANDS)/stalecore $(PAGES)/stalecore.1 $(PAGES)/stalecore-*.1
	rm -f $(BASH) $(ZSH) $(FISH)
	rm -rf $(DATA) $(LIBRARY) $(DOCS)

RELEASE := dist/release
NAME = stalecore-$(VERSION)-$(shell rustc -vV | sed -n 's/^host: //p')
STAGED := $(CURDIR)/dist/staged

deb: carry
	rm -rf $(STAGED) && mkdir -p $(RELEASE)
	$(MAKE) --no-print-directory stage DESTDIR=$(STAGED) PREFIX=/usr
	tools/deb $(STAGED) $(VERSION) $(RELEASE)
	rm -rf $(STAGED)

release:
	rm -rf $(RELEASE) $(STAGED) && mkdir -p dist
	printf "[target.'cfg(all())']\nrustflags = [\n" > $(PLAIN_PATHS)
	printf '"--remap-path-prefix=%s",\n' $(CURDIR)=/stalecore \
		$(abspath $(TARGET_DIR))=/target $(or $(CARGO_HOME),$(HOME)/.cargo)=/cargo \
		$(SYSROOT)/lib/rustlib/src/rust=/rust >> $(PLAIN_PATHS)
	echo ']' >> $(PLAIN_PATHS)
	$(MAKE) --no-print-directory deb FLAGS='--config $(PLAIN_PATHS)'
	$(MAKE) --no-print-directory stage DESTDIR=$(STAGED)/$(NAME) PREFIX=
	cp dist/stalecore-esp.img $(STAGED)/$(NAME)/share/stalecore
	chmod -R u=rwX,go=rX $(STAGED)
	tar --sort=name --mtime=@$(SOURCE_DATE_EPOCH) --owner=0 --group=0 --numeric-owner \
		--format=ustar -C $(STAGED) -cf - $(NAME) | gzip -9n > $(RELEASE)/$(NAME).tar.gz
	rm -rf $(STAGED)
	CARGO=$(CARGO) tools/sbom $(RELEASE)/$(NAME).cdx.json $(NAME:stalecore-$(VERSION)-%=%)
	cd $(RELEASE) && sha256sum $$(ls | grep -v SHA256SUMS) > SHA256SUMS

reproduce:
	tools/reproduce

follow:
	tools/follow

grub: dist/grubaa64.efi

qemu: dist/qemu

dist/qemu:
	@tools/qemu $@

dist/grubaa64.efi:
	@tools/grub $@

deps: deps-test

# Each installs what is missing, and is quiet where nothing is.
.PHONY: deps-build
deps-build:
	@tools/deps build
deps-dist:
	@tools/deps build dist
deps-live:
	@tools/deps build live
deps-run:
	@tools/deps build run
deps-test:
	@tools/deps build dist run test
venv: deps-test
	@tools/venv $(VENV) $(REQUIREMENTS)

clean:
	$(CARGO) clean
	rm -rf dist
