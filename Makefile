# `make help` lists the targets. Everything that they make stays in this folder.
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Build scripts run elsewhere: a relative path would point there.
ifdef LIBTORCH
override export LIBTORCH := $(abspath $(LIBTORCH))
endif

RELEASE := target/release
STAGES := lint rust header symbols abi c python julia cli install asan valgrind tsan shuttle fuzz miri doc docs
PREFIX ?= /usr/local

.PHONY: help demo demo-c libtorch build install uninstall dist docs test test-long bench fuzz header format clean distclean $(addprefix test-,$(STAGES))

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' Makefile
	@echo "make test-STAGE     one stage of the tests: $(STAGES)"

demo: build ## embed examples/data/proteins.fasta with the command, on every device
	@model=$$(scripts/demo_model) && rm -rf build/demo/embeddings && mkdir -p build/demo && \
		$(RELEASE)/toolpool embed examples/data/proteins.fasta -m "$$model" -o build/demo/embeddings

demo-c: build build/demo/embed_fasta ## the same with the C example, which prints
	@model=$$(scripts/demo_model) && build/demo/embed_fasta "$$model" examples/data/proteins.fasta

build/demo/embed_fasta: examples/c/embed_fasta.c include/toolpool.h | build
	@echo "demo: compiling examples/c/embed_fasta.c"
	@mkdir -p $(@D)
	@$(CC) -std=c11 -O2 -Wall -Wextra -Iinclude $< -o $@ -L$(RELEASE) -ltoolpool -Wl,-rpath,'$$ORIGIN/../../$(RELEASE)'

libtorch: ## find libtorch, or install it into .venv; LIBTORCH names another
	@scripts/libtorch

build: libtorch ## libtoolpool.so, libtoolpool_torch.so and the command toolpool, in target/release
	@scripts/build

install: ## what `make build` built, in PREFIX (/usr/local); DESTDIR stages it for a package, LIBDIR is lib or another
	@scripts/install "$(PREFIX)" "$(DESTDIR)"

uninstall: ## remove what `make install` put into PREFIX
	@scripts/install --remove "$(PREFIX)" "$(DESTDIR)"

dist: build ## a release in build/dist: the installed tree and the sources, with checksums
	@scripts/dist

docs: ## the reference of the C and C++ API, with these pages, in build/docs
	@scripts/docs

test: ## everything: lint, Rust, C, C++, Python, Julia, sanitizers, documentation
	@scripts/test $(STAGES)

$(addprefix test-,$(STAGES)): test-%:
	@scripts/test $*

test-long: build ## the command, killed 100 times in a run of 5,000 sequences
	@scripts/test_long

bench: build ## the benchmarks: the core, then ESM-2 beside its peers (BENCH_ARGS="--rounds 3")
	@scripts/bench $(BENCH_ARGS)

fuzz: ## fuzz the C surface, device strings and options (FUZZ_SECONDS=600 each, FUZZ_TARGETS=checkpoint)
	@scripts/fuzz $(or $(FUZZ_SECONDS),60) $(FUZZ_TARGETS)

header: ## write include/toolpool.h anew from src/ffi
	TOOLPOOL_WRITE_HEADER=1 cargo test --release --workspace --test header

format: ## format Rust, C, C++ and Python in place
	@scripts/format

clean: ## remove what was built
	rm -rf target build

distclean: clean ## remove what was built and what was installed
	rm -rf .venv .tools fuzz/corpus fuzz/artifacts
	rm -f libtorch
