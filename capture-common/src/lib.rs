//! Types the kernel program and the daemon share.
#![no_std]
