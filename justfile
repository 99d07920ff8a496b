# Short names for the project's own scripts: what CI calls, by hand. `just` lists them.

default:
    @just --list

# Formatting, lints, unit tests and the suite without its servers and proofs
quick:
    tests/run quick

# Everything, as CI runs it
test:
    tests/run

# One page edited of 10 to 10,000, beside every tool that is installed; or other scenarios by name (docs/benchmarks.md)
bench *args="edit":
    cargo bench --locked --bench publish -- {{ args }}

# The same at 100,000 pages, beside rsync: wants 25 GB of disk
bench-large:
    cargo bench --locked --bench publish -- edit pages=100000 json=target/bench/publish-large.json

# All scenarios: the better part of an hour
bench-all:
    cargo bench --locked --bench publish

# docs/bench.svg, from the last runs of `just bench` and `just bench-large`
plot *args:
    cargo bench --profile dev --locked --bench plot -- {{ args }}

# The pure parts alone: digest, manifest, HTML, flight, checks; how to compare with another commit stands in CONTRIBUTING.md
bench-pure *args:
    cargo bench --locked --bench pure -- {{ args }}

# Where a publish of one changed page spends its time, as a flame graph: wants samply, cargo-flamegraph, or perf with inferno
profile pages="10000":
    CARGO_PROFILE_BENCH_DEBUG=1 CARGO_PROFILE_BENCH_STRIP=none cargo bench --locked --bench profile -- {{ pages }}

# What a rebuild of each site of fixtures/ changes and sends, with the stable build id and without
rebuilds *args:
    cargo bench --locked --bench rebuilds -- {{ args }}

# Builds versions of Next.js from npm, publishes each three times and compares; names of fixtures/versions/versions.json, --next VERSION, or a folder of builds
matrix *args:
    MATRIX="{{ args }}" cargo test --locked --test suite -- --ignored --nocapture faithful::matrix::versions_from_npm

# Fetches exports that others have published (PyPI), publishes two versions of each and compares; wants pip and 400 MB of disk
real:
    cargo test --locked --test suite -- --ignored --nocapture faithful::matrix::exports_of_others

# The suite with its long tests, again and again, until it fails or the rounds are done
soak rounds="20" *args:
    for round in $(seq {{ rounds }}); do echo "round $round"; cargo test --locked --test suite -- --include-ignored {{ args }} || exit 1; done

# Minutes of random edits and of clients that come and go: the preview's memory and open files stay as they are
soak-preview seconds="240":
    SOAK_SECONDS={{ seconds }} cargo test --locked --test suite -- --ignored --nocapture preview::soak

# How soon the preview serves an edit, and requests a second beside nginx (which wants wrk)
bench-preview *args:
    cargo bench --locked --bench preview -- {{ args }}

# What parses the languages of an export, measured alone: hostile texts, and those of fixtures/
bench-parsers *args:
    cargo bench --locked --bench parsers -- {{ args }}

# Twice as many symlinks, tokens, folders to prune, encodings to repair: twice the time?
bench-growth *args:
    cargo bench --locked --bench growth -- {{ args }}

# Texts made at random for one parser, or all of them, for so many seconds each (CONTRIBUTING.md)
fuzz target="all" seconds="60":
    FUZZ_TARGET={{ target }} FUZZ_SECONDS={{ seconds }} cargo test --locked --test suite -- --ignored --nocapture fuzz::

# What a release consists of, in target/release-files: static binaries, SBOM, SHA256SUMS, signed with SIGNING_KEY
dist *targets="x86_64-unknown-linux-musl aarch64-unknown-linux-musl":
    packaging/dist target/release-files {{ targets }}

# A package for Debian from a binary of `just dist`: wants cargo-deb, and DEB_MAINTAINER="Name <address>"
dist-deb binary="target/release-files/syntax-publish-linux-x64":
    packaging/deb target/release-files {{ binary }}

# Installs that package, uses and removes it, as root: wants cargo-deb and lintian
deb-test binary="target/release-files/syntax-publish-linux-x64":
    SYNTAX_PUBLISH_BINARY={{ absolute_path(binary) }} cargo test --locked --test suite -- --ignored offline::packages

# The npm packages of the binaries of `just dist`
dist-npm:
    node packaging/npm/pack.mjs target/release-files $(cd target/release-files && for each in syntax-publish-*-*; do case $each in *.*) ;; *) echo "${each#syntax-publish-}=target/release-files/$each" ;; esac; done)

# Format the sources
fmt:
    cargo fmt

# Build the sites that the tests publish
fixtures:
    for site in site pages; do (cd fixtures/$site && npm ci && npm run build) || exit 1; done

# The documentation of the code, warnings refused
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# The picture of the dashboard, docs/dashboard.png
screenshot:
    cargo test --locked --test suite -- --ignored preview::dashboard::screenshot

# Licences, sources and advisories of the dependencies (wants cargo-deny)
deny:
    cargo deny --locked check
