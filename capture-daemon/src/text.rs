//! Octets of the network as text.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;

/// `bytes` with whatever is no UTF-8 replaced. Nearly all are letters, which are looked at many at a time.
pub fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Stands for text where only equality counts. Without a secret: the same on every lane and in every run, and whoever makes
/// two texts collide mixes up a call of his own.
pub fn fingerprint(what: impl Hash) -> u64 {
    FixedState::default().hash_one(what)
}
