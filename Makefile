# SPDX-License-Identifier: GPL-2.0-or-later
#
# The front door: every target does its own set-up. 'make help' lists them.

# The device in make run and make shell: the size of its memory, what it poses
# as, what the guest drives it with, and whether it is the reference device or
# QEMU's emulated one.
HDM ?= 256M
IDENTITY ?= auto
DRIVER ?= auto
IOMMU ?= none
COMMIT ?= firmware
DEVICE ?= reference
GUEST_OPTIONS = --hdm '$(HDM)' --identity '$(IDENTITY)' \
	--driver '$(DRIVER)' --iommu '$(IOMMU)' --commit '$(COMMIT)' \
	--device '$(DEVICE)'
# Of the whole run of make fuzz.
FUZZ_SECONDS ?= 600
DEVICES ?= 1
RANDOM_SECONDS ?= 300

PYTHON := /usr/bin/python3
export PYTHONDONTWRITEBYTECODE := 1
export QEMU_SRC EDIT PREFIX FRESH SANITIZE
INSTALL_OPTIONS = --prefix '$(or $(PREFIX),/usr/local)' \
	--destdir '$(DESTDIR)'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup guest-options map-options run shell map check build \
	unit bench series checkpatch check-commits refresh golden lint \
	mutants coverage fuzz random install uninstall deb-patches \
	check-kernel kernel-shell clean distclean

help: ## list the targets
	@echo 'usage: make TARGET [NAME=VALUE...]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1@\2/p' $(MAKEFILE_LIST) | \
		awk -F@ '{ printf "  %-14s %s\n", $$1, $$2 }'
	@echo
	@echo 'HDM=256M...1T   memory of the device (run, shell, map)'
	@echo 'DRIVER=NAME     sfc, cxl_accel (ours) or none (run, shell)'
	@echo 'IDENTITY=NAME   sfc or accel (run, shell)'
	@echo 'COMMIT=guest    the guest commits the HDM decoders, not QEMU (run, shell, map)'
	@echo 'DEVICE=emulated cxl-type2 of QEMU, not the reference device (run, shell)'
	@echo 'IOMMU=smmuv3    translate the DMA of the device (run, shell)'
	@echo 'QEMU_SRC=PATH   QEMU 10.2.x tree or tarball to use as the base'
	@echo 'EDIT=NAME       the edit that make refresh carries changes to'
	@echo 'GROUP=NAME...   run only these groups of tests (check)'
	@echo 'STAGE=NAME...   run only these stages (check-kernel)'
	@echo 'QUICK=1         fewer sizes, widths and rounds (bench)'
	@echo 'DEVICES=1...16  how many devices (map)'
	@echo 'SAVE=1          keep the picture that README shows in docs/ (bench, map)'
	@echo 'CI=1            also deb, and short forms of mutants and fuzz (check)'
	@echo 'SANITIZE=address,undefined  test a build that has these (check)'
	@echo 'N= SEED= QUICK=1 FILES=PATTERN...   which mutants (mutants)'
	@echo 'FUZZ_SECONDS=N SEED= TARGET=NAME... how to fuzz (fuzz)'
	@echo 'RANDOM_SECONDS=N SEED=  how long, and which way (random)'
	@echo 'PREFIX= DESTDIR=  where to (install, uninstall)'
	@echo 'FRESH=1         look for newer Debian packages now'

setup: ## install the Debian packages that are missing (root or sudo)
	@sh scripts/setup.sh

# A request that cannot be met is refused before anything is built.
guest-options: setup
	@$(PYTHON) scripts/guest_options.py $(GUEST_OPTIONS)

run: guest-options build ## boot a stock Debian guest with the device and report (HDM=)
	@$(PYTHON) scripts/guest_run.py $(GUEST_OPTIONS)

shell: guest-options build ## the same guest with an interactive shell (HDM=)
	@$(PYTHON) scripts/guest_run.py --shell $(GUEST_OPTIONS)

map-options: setup
	@$(PYTHON) scripts/map_run.py $(GUEST_OPTIONS) \
		--devices '$(DEVICES)' --refuse-only

map: map-options build ## draw the guest's address map (HDM= DEVICES= SAVE=)
	@$(PYTHON) scripts/map_run.py $(GUEST_OPTIONS) \
		--devices '$(DEVICES)' $(if $(SAVE),--save)

check: setup ## run every test; the last line counts them (GROUP=)
	@$(PYTHON) scripts/check.py $(if $(CI),--ci) $(GROUP)

build: setup ## make build/tree and build the emulator and the device
	@$(PYTHON) scripts/build.py

check-kernel: setup ## pass the emulated device through with a real kernel (STAGE=)
	@$(PYTHON) scripts/kernel_run.py $(STAGE)

kernel-shell: setup ## the host machine of check-kernel, interactively
	@$(PYTHON) scripts/kernel_run.py --shell

unit: setup ## rebuild and run the unit tests only
	@$(PYTHON) scripts/check.py unit

bench: build ## measure bandwidth, cost by size and number, boot (QUICK= SAVE=)
	@$(PYTHON) scripts/bench.py $(if $(QUICK),--quick) $(if $(SAVE),--save)

series: setup ## export the patches with cover letter to build/series (PREFIX=)
	@$(PYTHON) scripts/export.py patches

checkpatch: setup ## run QEMU's checkpatch.pl on every commit
	@$(PYTHON) scripts/export.py checkpatch

check-commits: setup ## build every commit of the series by itself
	@$(PYTHON) scripts/export.py commits

refresh: setup ## carry changes made in build/tree back into edits/ (EDIT=)
	@$(PYTHON) scripts/refresh.py

random: setup ## let a guest do anything, against a model (RANDOM_SECONDS= SEED=)
	@$(PYTHON) scripts/random_run.py --seconds $(RANDOM_SECONDS) \
		$(if $(SEED),--seed $(SEED))

golden: setup ## make the golden ACPI tables anew, and record them in series
	@$(PYTHON) scripts/acpi_tables.py

mutants: setup ## break the C code line by line: do tests notice? (N= SEED=)
	@$(PYTHON) scripts/mutants.py $(if $(N),--number $(N)) \
		$(if $(SEED),--seed $(SEED)) $(if $(QUICK),--quick) \
		$(if $(FILES),--files $(foreach f,$(FILES),'$(f)'))

coverage: setup ## which lines and branches of our files the tests reach
	@$(PYTHON) scripts/coverage.py

fuzz: ## fuzz the parsers and register models (FUZZ_SECONDS= TARGET=)
	@sh scripts/setup.sh fuzz
	@$(PYTHON) scripts/fuzz.py --seconds $(FUZZ_SECONDS) \
		$(if $(SEED),--seed $(SEED)) $(TARGET)

install: build ## emulator, device and tools to PREFIX=/usr/local (DESTDIR=)
	@$(PYTHON) scripts/install.py install $(INSTALL_OPTIONS)

uninstall: ## take away what make install put there (PREFIX= DESTDIR=)
	@$(PYTHON) scripts/install.py uninstall $(INSTALL_OPTIONS)

deb-patches: ## the series for Debian's source package; proves it applies
	@sh scripts/setup.sh deb
	@$(PYTHON) scripts/deb_patches.py

lint: setup ## check scripts, series and edits; builds nothing
	@$(PYTHON) scripts/static_checks.py

clean: ## remove what was built; keep build/tree and fetched tools
	@rm -rf build/out build/commits build/series build/log build/guest \
		build/map build/module build/kernel build/bootroms build/acpi \
		build/sanitize-* build/fuzz build/mutants build/coverage \
		build/docs build/deb-patches build/deb-source \
		build/install-* build/qemu-system-aarch64 \
		build/vfio-user-cxl

distclean: ## remove build/ altogether (FORCE=1: changes in it as well)
	@if [ -d build/tree/.git ] && [ -z "$(FORCE)" ]; then \
		$(PYTHON) scripts/tree.py --refuse-if-changed; fi
	@rm -rf build
