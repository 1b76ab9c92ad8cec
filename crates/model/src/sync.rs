//! The atomics that the fabric is made of: the core library's, or loom's where
//! loom tries every interleaving:
//! `RUSTFLAGS="--cfg loom" cargo test -p stalecore-model --release loom_`.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use under_loom::*;

/// Loom's atomics, each behind a turnstile.
///
/// Loom 0.7 remembers only the last access to an atomic when it looks for
/// accesses to reorder. A thread that loads and then exchanges hides behind its
/// own load what another thread did before, and loom never tries the exchange
/// first. So each access here first makes an exchange that changes nothing and
/// orders nothing, on an atomic beside it: loom tries those in every
/// order, and still lets each load see older values as far as its order allows.
#[cfg(loom)]
mod under_loom {
    pub(crate) use loom::sync::atomic::Ordering;

    macro_rules! atomic {
        ($name:ident: $value:ty { $($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)* }) => {
            #[derive(Debug)]
            pub(crate) struct $name {
                turnstile: loom::sync::atomic::AtomicBool,
                value: loom::sync::atomic::$name,
            }

            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    Self {
                        turnstile: loom::sync::atomic::AtomicBool::new(false),
                        value: loom::sync::atomic::$name::new(value),
                    }
                }

                $(pub(crate) fn $method(&self, $($argument: $type),*) -> $result {
                    self.turnstile.fetch_or(false, Ordering::Relaxed);
                    self.value.$method($($argument),*)
                })*
            }
        };
    }

    atomic!(AtomicBool: bool {
        load(order: Ordering) -> bool;
        store(value: bool, order: Ordering) -> ();
    });
    atomic!(AtomicU8: u8 {
        load(order: Ordering) -> u8;
        store(value: u8, order: Ordering) -> ();
        fetch_or(bits: u8, order: Ordering) -> u8;
    });
    atomic!(AtomicU64: u64 {
        load(order: Ordering) -> u64;
        store(value: u64, order: Ordering) -> ();
        fetch_max(value: u64, order: Ordering) -> u64;
        fetch_add(value: u64, order: Ordering) -> u64;
        compare_exchange(old: u64, new: u64, order: Ordering, failure: Ordering) -> Result<u64, u64>;
    });
}
