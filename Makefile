# What can be run. Nothing here does more than the command it shows.

.PHONY: help test race full lint fmt demo

help:            ## this list
	@sed -n 's/^\([a-z]*\): *## */\1\t/p' $(MAKEFILE_LIST)

test:            ## the tests; without redis-server those that need one are skipped
	go test ./...

race:            ## the tests under the race detector
	go test -race ./...

full:            ## each fault as often, and each wait as long, as the claims are about: minutes
	RELOCK_FULL=1 go test -count=1 -timeout 60m -v ./...
	RELOCK_FULL=1 go test -run '^$$' -bench HeldLeases -benchtime 1x .

lint:            ## go vet and golangci-lint
	go vet ./...
	golangci-lint run ./...

fmt:             ## format as gofumpt does
	golangci-lint fmt ./...

demo:            ## one lock, several processes, one of them stopped past its lease
	go run ./cmd/relock demo
