//! PSCI through the conduit that the firmware names.

use smccc::{
    Hvc, Smc,
    psci::{self, AffinityState, LowestAffinityLevel, error::Error},
};
use spin::Once;
use stalecore_model::platform::Conduit;

static CONDUIT: Once<Option<Conduit>> = Once::new();

/// Says which conduit there is, once.
pub fn set_conduit(conduit: Option<Conduit>) {
    CONDUIT.call_once(|| conduit);
}

/// Is there PSCI?
pub fn is_available() -> bool {
    conduit().is_some()
}

fn conduit() -> Option<Conduit> {
    CONDUIT.get().copied().flatten()
}

/// Calls a function of `smccc::psci` through the conduit of this machine.
macro_rules! call {
    ($function:ident($($argument:expr),*)) => {
        match conduit() {
            Some(Conduit::Hvc) => psci::$function::<Hvc>($($argument),*),
            Some(Conduit::Smc) => psci::$function::<Smc>($($argument),*),
            None => Err(Error::NotSupported),
        }
    };
}

/// The firmware's PSCI version, major and minor.
pub fn version() -> Option<(u16, u16)> {
    call!(version()).ok().map(|v| (v.major, v.minor))
}

/// Starts a core at `entry` with `context` in x0.
///
/// # Errors
/// The firmware's.
pub fn cpu_on(mpidr: u64, entry: u64, context: u64) -> Result<(), Error> {
    call!(cpu_on(mpidr, entry, context))
}

/// Turns this core off; returns only if that failed.
///
/// # Errors
/// The firmware's.
pub fn cpu_off() -> Result<(), Error> {
    call!(cpu_off())
}

/// Enters standby until an interrupt is pending.
///
/// # Errors
/// The firmware's.
pub fn cpu_standby() -> Result<(), Error> {
    // Power state 0: standby, the core's own level, state keeps its registers.
    call!(cpu_suspend(0, 0, 0))
}

/// Is the core off?
pub fn is_off(mpidr: u64) -> bool {
    matches!(
        call!(affinity_info(mpidr, LowestAffinityLevel::All)),
        Ok(AffinityState::Off)
    )
}

/// Turns the machine off; returns only if that failed.
///
/// # Errors
/// The firmware's.
pub fn system_off() -> Result<(), Error> {
    call!(system_off())
}

/// Resets the machine, its memory kept; returns only if that failed.
///
/// # Errors
/// The firmware's.
pub fn system_reset() -> Result<(), Error> {
    call!(system_reset())
}
