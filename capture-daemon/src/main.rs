//! The one binary, `siphon`.

fn main() {}
