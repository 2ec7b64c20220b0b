# SPDX-License-Identifier: Apache-2.0
#
# make build      bin/mycr
# make test       everything that a change has to pass, ending with counts
# make test-all   the same and what is long: staticcheck, -race of all, peers, every session of each engine, more rounds
# make test-here  the tests that need a systemd session with delegated controllers, in that of whoever types it
# make fuzz       each fuzz target for a minute (FUZZTIME=1m)
# make bench      mycr beside crun in one interleaved run (needs root on Debian)
# make bench-net  networks beside each other and beside the same drivers alone (needs root on Debian)
# make install    to $(DESTDIR)$(PREFIX)/bin

PREFIX  ?= /usr/local
DESTDIR ?=
GO      ?= go
FUZZTIME ?= 1m

# Static and not PIE: a PIE starts 0.5 ms later, and every container pays that five times. Where linux.Entry is written
# for the processor, it comes before mycr's Go runtime.
COMMIT  = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
ENTRY   = $(if $(filter amd64 arm64,$(shell $(GO) env GOARCH)),-E mycr/linux.Entry)
GOBUILD = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -buildmode=exe -ldflags '-s -w $(1) -X mycr/cli.commit=$(COMMIT)'

.PHONY: build test test-all test-here fuzz bench bench-net install clean

build:
	$(call GOBUILD,$(ENTRY)) -o bin/mycr .
	$(call GOBUILD) -o bin/mycr-net ./netns/mycr-net

test:
	GO=$(GO) ./integration/run

test-all:
	GO=$(GO) ./integration/run --all

test-here: build
	cd integration/session && MYCR=$(CURDIR)/bin/mycr $(GO) test -count=1 -v \
		$$(if [ "$$(id -u)" = 0 ]; then echo -run ^TestRoot; else echo -skip ^TestRoot; fi) .

fuzz:
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./integration/fuzz

bench:
	GO=$(GO) ./integration/bench/run

bench-net:
	GO=$(GO) ./integration/bench-net/run

install: build
	install -D -m 0755 bin/mycr $(DESTDIR)$(PREFIX)/bin/mycr
	install -D -m 0755 bin/mycr-net $(DESTDIR)$(PREFIX)/libexec/mycr/mycr-net
	install -D -m 0644 docs/mycr.8 $(DESTDIR)$(PREFIX)/share/man/man8/mycr.8
	install -D -m 0644 docs/mycr.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mycr
	install -D -m 0644 docs/_mycr $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mycr
	install -D -m 0644 docs/mycr.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/mycr.fish

clean:
	rm -rf bin
