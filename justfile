# Everything here can be had without just, too: see the scripts in package.json. `ready` runs the steps of
# scripts/test.mjs.

export RUSTDOCFLAGS := "-D warnings"

set windows-shell := ["powershell.exe", "-NoLogo", "-Command"]

# What there is.
default:
    @just --list

# Installs the development dependencies and builds the addon (quick), unless both are up to date.
init:
    node scripts/setup.mjs

# Builds the addon: quick or release.
build kind="quick":
    node scripts/build.mjs {{kind}}

# All steps, or some: just test --only vitest,types
test *args:
    npm test -- {{args}}

# Measures against the counterpart: just bench --quick
bench *args:
    npm run bench -- {{args}}

# Runs jobs over and over and watches what grows: just soak --minutes 30
soak *args:
    npm run soak -- {{args}}

# Renders a video: just demo --frames
demo *args:
    npm run demo -- {{args}}

# Everything that must hold before a commit. Stops at the first failure.
ready: init rust
    node scripts/test.mjs --bail --only dts,prettier,oxlint,types,vitest,vitest-threads,vitest-vm,jest

# Format, lints, tests and documentation of the crate, with and without the Node bindings.
rust:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --all-targets --no-default-features -- -D warnings
    cargo test --no-default-features
    cargo test --lib
    cargo doc --no-deps --document-private-items
