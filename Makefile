# Each target is a script in scripts/, for machines without make.
.PHONY: demo test build setup format lint install debug asan tsan sanitize bench clean

demo: ; @scripts/demo
test: ; @scripts/test
setup: ; @scripts/setup
build: setup ; @scripts/build release
debug asan tsan: setup ; @scripts/build $@
sanitize: ; @scripts/sanitize
bench: ; @scripts/bench $(OP)
format: ; @scripts/format
lint: ; @scripts/lint
install: build ; @cmake --install build/release --prefix $(or $(PREFIX),/usr/local)
clean: ; @rm -rf build
