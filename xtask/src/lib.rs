//! The laboratory: namespaces, links and real programs that tests, the demo and the bench start.

pub mod lab;
