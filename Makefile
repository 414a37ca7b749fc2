# Each target is a script in scripts/, for machines without make.
.PHONY: demo test build setup bench format lint fuzz install debug asan tsan clean

demo: ; @scripts/demo
test: ; @scripts/test
setup: ; @scripts/setup
build: setup ; @scripts/build release
debug asan tsan: setup ; @scripts/build $@
bench: ; @scripts/bench $(OP)
format: ; @scripts/format
lint: ; @scripts/lint
fuzz: ; @scripts/fuzz
install: build ; @cmake --install build/release --prefix $(or $(PREFIX),/usr/local)
clean: ; @rm -rf build
