//! The fabric: a model of the interconnect that can make maintenance late,
//! blocked or faulted, as a positive control for the harness.
//!
//! EL2 traps the maintenance of EL1 ([`trap`]), puts it to one [`Fabric`] that
//! all cores share, waits for as long as the model says, and executes it. The
//! host reads the same options ([`options`]) and checks the measured latencies
//! against [`FabricOptions::expected_latency_ns`].
//!
//! After the node of CCN-502 (TRM 100052 §2.7) and gem5's Ruby-CHI misc node:
//! - A DVM message is one snoop to every core of the domain but the requester,
//!   all sent when the message is accepted. A core answers unless it is *deaf*
//!   in its present stale state; a deaf one answers as soon as it no longer is.
//! - The node takes the answers to one message one at a time. The answer of a
//!   stale core takes `delay`, unless the core is parked, as that is the control.
//!   So does the answer of a core that was deaf when it was asked. Without a deaf
//!   core a message therefore takes `stale cores × delay`; messages that are open
//!   together do not slow each other.
//! - At most `depth` messages are open. With all places taken, a requester
//!   waits and tries again; only chance decides who is served first.
//! - With early completion a message is complete for its requester once it is
//!   accepted; otherwise when its last answer is in.
//! - A DSB behind DVM messages sends a Sync once that requester's messages are
//!   finished. A Sync is answered like a message, and only one is open in the
//!   whole node. A DSB with nothing posted since the last one sends nothing.
//! - Maintenance of data lines is no DVM message: it snoops the cores that may
//!   hold the line, its requester waits for their answers in the same way, and
//!   it takes no place in the node.
//!
//! Time is the caller's counter. The model reads no clock, takes no lock,
//! allocates nothing, and never waits inside a call.

mod latency;
mod lines;
mod node;
pub mod options;
mod place;
mod presence;
mod ticket;
pub mod trap;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod node_tests;
#[cfg(all(test, not(loom)))]
mod reference_tests;

pub use crate::maintenance::{Maintenance, MessageClass};
pub use latency::Work;
pub use lines::holders;
pub use node::Fabric;
pub use options::{FabricOptions, Heal, Rung};
pub use presence::Presence;
pub use ticket::{Progress, Ticket};

/// How many cores the tables have room for; few for loom, where each atomic costs time.
const CORES: usize = if cfg!(loom) {
    4
} else {
    crate::cpuset::MAX_CPUS
};

/// How many places the node has.
const PLACES: usize = if cfg!(loom) {
    2
} else {
    options::MAX_DEPTH as usize
};
