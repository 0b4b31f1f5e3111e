# What can be run. Nothing here does more than the command it shows.

.PHONY: help test race lint fmt demo

help:            ## this list
	@sed -n 's/^\([a-z]*\): *## */\1\t/p' $(MAKEFILE_LIST)

test:            ## the tests; they say what they skip without redis-server
	go test ./...

race:            ## the tests under the race detector
	go test -race ./...

lint:            ## go vet and golangci-lint
	go vet ./...
	golangci-lint run ./...

fmt:             ## format as gofumpt does
	golangci-lint fmt ./...

demo:            ## one lock, several processes, one of them stopped past its lease
	go run ./cmd/relock demo
