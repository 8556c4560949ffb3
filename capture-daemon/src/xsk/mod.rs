//! What siphon asks of the kernel: sockets, rings, and every mapping of memory.

pub mod file_map;
