//! Where the captures lie: the project's own, and those of others, which are not in the repository as their licences
//! differ. Who has them puts them into the folder `shared/pcaps` beside the working copy.

use std::path::{Path, PathBuf};

use xtask::lab::pass_over;

/// A capture in the repository; always there.
pub fn own(_: &str, name: &str) -> Option<PathBuf> {
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name))
}

/// A file made by others; `None`, with a word on stderr, where it is not there.
pub fn foreign(test: &str, name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/pcaps")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    pass_over(test, &format!("{} is not there; it is optional", path.display()));
    None
}

/// Names of the captures in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| [".pcap", ".pcapng", ".cap"].iter().any(|end| name.ends_with(end)))
        .collect();
    names.sort();
    names
}
