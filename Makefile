# SPDX-License-Identifier: Apache-2.0
#
# make build      bin/mycr
# make test       everything that a change has to pass, ending with counts
# make test-all   the same and the long matrices: peers, more rounds, the validation programs in every situation
# make fuzz       each fuzz target for a minute (FUZZTIME=1m)
# make bench      mycr beside crun in one interleaved run (needs root on Debian)
# make install    to $(DESTDIR)$(PREFIX)/bin

PREFIX  ?= /usr/local
DESTDIR ?=
GO      ?= go
FUZZTIME ?= 1m

# Static and not PIE: a PIE starts 0.5 ms later, and every container pays that five times.
GOBUILD = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -buildmode=exe -ldflags '-s -w'

.PHONY: build test test-all fuzz bench install clean

build:
	$(GOBUILD) -o bin/mycr .

test:
	GO=$(GO) ./integration/run

test-all:
	GO=$(GO) ./integration/run --all

fuzz:
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./integration/fuzz

bench:
	GO=$(GO) ./integration/bench/run

install: build
	install -D -m 0755 bin/mycr $(DESTDIR)$(PREFIX)/bin/mycr

clean:
	rm -rf bin
