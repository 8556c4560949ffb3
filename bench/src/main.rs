//! Benchmarks of siphon.
fn main() {}
