//! What a test needs, and the loud way out where the machine lacks it.

use std::env;
use std::io::Write;
use std::path::PathBuf;

use rustix::thread::CapabilitySet;

/// Something a test cannot do without.
#[derive(Clone, Copy, Debug)]
pub enum Need<'a> {
    /// Root, with the capabilities to make namespaces and links; a container's root may lack them.
    Root,
    /// A program on `PATH`.
    Program(&'a str),
    /// Anything else: whether it is there, and the reason to give when it is not.
    Fact(bool, &'a str),
}

impl Need<'_> {
    /// Why the need is not met, or `None` where it is.
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Root => {
                let wanted = CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
                let holds = rustix::process::geteuid().is_root()
                    && rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted));
                (!holds).then(|| "needs root with CAP_NET_ADMIN and CAP_SYS_ADMIN".to_owned())
            }
            Self::Program(name) => program(name)
                .is_none()
                .then(|| format!("needs the program `{name}` on PATH")),
            Self::Fact(holds, reason) => (!holds).then(|| reason.to_owned()),
        }
    }
}

/// Whether `test` can run here. Where it cannot, says so as [`skip`] does; the test then returns.
///
/// # Panics
/// Under `SIPHON_REQUIRE=1`, when a need is not met.
pub fn require(test: &str, needs: &[Need<'_>]) -> bool {
    match needs.iter().find_map(|need| need.missing()) {
        Some(reason) => {
            skip(test, &reason);
            false
        }
        None => true,
    }
}

/// Prints `SKIPPED test: reason` to stderr itself, as libtest captures what `eprintln!` writes and a passed test's output
/// is never shown.
///
/// # Panics
/// Under `SIPHON_REQUIRE=1`: there a test that cannot run has failed.
pub fn skip(test: &str, reason: &str) {
    assert!(
        env::var_os("SIPHON_REQUIRE").is_none_or(|value| value != "1"),
        "{test} cannot run: {reason}"
    );
    pass_over(test, reason);
}

/// As [`skip`], for want of something that nobody has to have: never a failure.
pub fn pass_over(test: &str, reason: &str) {
    // Nothing is left to tell where stderr is gone.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

/// The program's file, looked up in the [`search_directories`].
pub fn program(name: &str) -> Option<PathBuf> {
    search_directories()
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// `PATH`; behind it the two `sbin` that Debian leaves out of a user's, and where cargo installs programs to, which the
/// environment of a service may lack.
pub fn search_directories() -> impl Iterator<Item = PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let path: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    path.into_iter()
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .chain(cargo_home.map(|home| home.join("bin")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_names_what_is_not() {
        assert!(program("sh").is_some());
        assert_eq!(Need::Program("sh").missing(), None);
        let reason = Need::Program("no-such-program").missing().unwrap();
        assert!(reason.contains("no-such-program"), "{reason}");
        assert_eq!(Need::Fact(false, "no moon").missing().as_deref(), Some("no moon"));
        assert_eq!(Need::Fact(true, "no moon").missing(), None);
    }
}
