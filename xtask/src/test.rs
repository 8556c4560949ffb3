//! `cargo xtask test`: everything that must hold before a change goes in, on this machine and with nothing skipped.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::setup::Purpose;
use xtask::ebpf;

use crate::step::{cargo, step, tell};
use crate::{build, fuzz, setup};

/// Seconds each fuzz target runs: a short form, which finds what is broken at once. `cargo xtask fuzz` runs them longer.
const FUZZ_SECONDS: u32 = 3;

/// Integration tests whose name begins so need the machine for themselves: they run after all others, one by one.
const ALONE: &str = "live";

/// Runs every step until one fails.
///
/// # Errors
/// The first failure, with the name of its step.
pub fn run() -> Result<()> {
    step("setup", || setup::run(Purpose::Test))?;
    step("build-ebpf", build::ebpf)?;
    step("format", format)?;
    step("clippy", clippy)?;
    step("licences, bans and sources", deny)?;
    step("documentation", documentation)?;
    step("fuzz", || fuzz::run(&[], FUZZ_SECONDS, false))?;
    let (alone, together): (Vec<_>, Vec<_>) = test_targets()?.into_iter().partition(|name| name.starts_with(ALONE));
    let mut results = Results::default();
    let tested = step("tests", || tests(&mut results, &together))
        .and_then(|()| step("live tests", || live_tests(&mut results, &alone)));
    let Results { passed, failed } = results;
    println!("{passed} passed, {failed} failed");
    tested
}

fn format() -> Result<()> {
    tell(&mut cargo("fmt --all --check")?)?;
    tell(&mut cargo("fmt --manifest-path capture-ebpf/Cargo.toml --check")?)
}

fn clippy() -> Result<()> {
    tell(&mut cargo(
        "clippy --quiet --workspace --all-targets --locked -- -D warnings",
    )?)?;
    ebpf::lint()
}

/// Without the database of advisories: it changes by itself, and what passes today must pass tomorrow.
fn deny() -> Result<()> {
    println!("advisories are not looked up here; `cargo deny check advisories` does it");
    for manifest in ["Cargo.toml", "capture-ebpf/Cargo.toml"] {
        let words = format!("deny --manifest-path {manifest} --locked --log-level error check --hide-inclusion-graph");
        tell(cargo(&words)?.args(["licenses", "bans", "sources"]))?;
    }
    Ok(())
}

fn documentation() -> Result<()> {
    tell(cargo("doc --quiet --workspace --no-deps --locked")?.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Names of the workspace's integration tests.
fn test_targets() -> Result<Vec<String>> {
    let text = xtask::lab::process::run(&mut cargo("metadata --no-deps --format-version 1 --locked")?)?;
    let metadata: Value = serde_json::from_str(&text).context("read `cargo metadata`")?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let mut names = Vec::new();
    for target in packages
        .iter()
        .filter_map(|package| package["targets"].as_array())
        .flatten()
    {
        if target["kind"][0] == "test" {
            names.push(target["name"].as_str().context("a target without a name")?.to_owned());
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn tests(results: &mut Results, names: &[String]) -> Result<()> {
    let mut command = cargo("test --workspace --locked --no-fail-fast --lib --bins --examples")?;
    for name in names {
        command.args(["--test", name]);
    }
    results.of(&mut command)?;
    results.of(&mut cargo("test --workspace --locked --no-fail-fast --doc")?)
}

fn live_tests(results: &mut Results, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut command = cargo("test --workspace --locked --no-fail-fast")?;
    for name in names {
        command.args(["--test", name]);
    }
    results.of(command.args(["--", "--test-threads=1"]))
}

/// Test results summed over runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Results {
    passed: u64,
    failed: u64,
}

impl Results {
    /// Runs `cargo test`, shows what it prints, and adds its results. Nothing may be skipped.
    fn of(&mut self, command: &mut Command) -> Result<()> {
        let mut child = command
            .env("SIPHON_REQUIRE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .context("start cargo test")?;
        let stdout = child.stdout.take().context("cargo test has no stdout")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            println!("{line}");
            self.add(&line);
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("cargo test: {status}");
        }
        Ok(())
    }

    /// Takes up libtest's last line: `test result: ok. 6 passed; 0 failed; 0 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split(['.', ';']) {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn results_are_summed() {
        let mut results = Results::default();
        results.add("test result: ok. 6 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s");
        results.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out");
        results.add("test passes ... ok");
        assert_eq!(results, Results { passed: 8, failed: 1 });
    }

    #[test]
    fn this_crates_tests_are_found() {
        let names = test_targets().unwrap();
        assert!(names.iter().any(|name| name == "lab"), "{names:?}");
    }
}
