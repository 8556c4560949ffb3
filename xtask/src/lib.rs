//! The laboratory: namespaces, links and real programs that tests, the demo and the bench start; and the build of the
//! kernel program, which all of them need.

pub mod ebpf;
pub mod lab;
