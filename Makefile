# The two commands of the README, and what they are made of. `make help` lists them.
# The tests that have homes on the engine. They wait for it, and go on beside those that only compute.
HOMES := compose engine homeassistant small stillness systemd
OTHERS := $(filter-out $(HOMES),$(notdir $(basename $(wildcard tests/*.rs))))

.PHONY: help demo test test-homes test-others check image packages bench bench-hold

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## Back up the Home Assistant that runs here, or show a small one lost and brought back
	@tests/lab/demo

test: ## Set up what the tests need and run them all
	@tests/lab/prepare tests
	@tests/lab/tools cargo-deb & tests/lab/images && wait $$!
	cargo test --locked --no-run
	@$(MAKE) --no-print-directory -j2 test-others test-homes

# Cargo is no make, and would look in vain for make's means to share processors.
test-homes test-others: export MAKEFLAGS =

# Most of all the small ones wait: one more at a time costs no processor anything.
test-homes:
	cargo test --locked $(patsubst %,--test %,$(filter-out small,$(HOMES)))
	cargo test --locked --test small -- --test-threads $$(($$(nproc) + 1))

test-others:
	cargo test --locked --lib $(OTHERS:%=--test %)
	cargo test --locked --doc

check: ## What a change must pass besides the tests
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo deny --locked check bans licenses sources

image: ## Build the image `hearthkeep` from the Dockerfile
	docker build --tag hearthkeep $(IMAGE) \
	    --build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)" \
	    --build-arg REVISION="$$(git rev-parse HEAD)" .

packages: ## Make the .deb and the .rpm (into target/debian and target/generate-rpm)
	@for tool in cargo-deb cargo-generate-rpm; do cargo --list | grep -qw "$${tool#cargo-}" || \
	    { echo "$$tool is missing: cargo install --locked cargo-deb cargo-generate-rpm" >&2; exit 1; }; done
	cargo build --locked --release
	@packaging/words target/release/hearthkeep
	cargo deb --locked --no-build
	cargo generate-rpm

bench: ## Compare with securetar and tar on generated homes, and weigh memory (as root)
	@tests/lab/prepare bench
	cargo bench --locked --bench archive -- $(BENCH)

bench-hold: ## Compare how long a home stands still with "stop, tar and gzip, start" (as root)
	@tests/lab/prepare bench
	@tests/lab/images homeassistant
	cargo bench --locked --bench hold -- $(BENCH)
