//! The atomics that the fabric is made of: the core library's, or loom's where
//! loom tries every interleaving:
//! `RUSTFLAGS="--cfg loom" cargo test -p stalecore-model --release loom_`.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use under_loom::*;

/// Loom's atomics, with two ways to load and store.
///
/// Loom 0.7 remembers only the last access to an atomic when it looks for
/// accesses to reorder. A thread that loads and then exchanges hides behind its
/// own load what another thread did before, and loom never tries the exchange
/// first. With loads and stores made as exchanges it tries all orders, but each
/// load then sees the newest value. So every test runs both ways: once for all
/// interleavings, once for loads of older values.
#[cfg(loom)]
mod under_loom {
    extern crate std;
    pub(crate) use loom::sync::atomic::Ordering;
    use std::cell::Cell;

    std::thread_local! {
        // Loom runs all threads of a model on the thread of the test.
        static AS_EXCHANGE: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs with loads and stores made as exchanges, or as what they are.
    #[cfg(test)]
    pub(crate) fn with_all_as_exchanges(yes: bool, run: impl FnOnce()) {
        AS_EXCHANGE.set(yes);
        run();
        AS_EXCHANGE.set(false);
    }

    macro_rules! atomic {
        ($name:ident, $value:ty, $nothing:expr) => {
            #[derive(Debug)]
            pub(crate) struct $name(loom::sync::atomic::$name);

            impl $name {
                pub(crate) fn new(value: $value) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                pub(crate) fn load(&self, order: Ordering) -> $value {
                    if AS_EXCHANGE.get() {
                        self.0.fetch_or($nothing, order)
                    } else {
                        self.0.load(order)
                    }
                }

                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    if AS_EXCHANGE.get() {
                        self.0.swap(value, order);
                    } else {
                        self.0.store(value, order);
                    }
                }
            }

            impl core::ops::Deref for $name {
                type Target = loom::sync::atomic::$name;

                fn deref(&self) -> &Self::Target {
                    &self.0
                }
            }
        };
    }

    atomic!(AtomicBool, bool, false);
    atomic!(AtomicU8, u8, 0);
    atomic!(AtomicU64, u64, 0);
}
