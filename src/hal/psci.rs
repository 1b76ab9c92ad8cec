//! PSCI through the conduit that the firmware names (Arm DEN0022).

use smccc::{
    Hvc, Smc,
    psci::{self, AffinityState, LowestAffinityLevel, error::Error},
};
use spin::Once;
use stalecore_model::platform::{Conduit, Platform, PsciFunctions};

/// CPU_SUSPEND, SMC64.
const CPU_SUSPEND: u32 = 0xc400_0001;
/// SYSTEM_RESET2, SMC64 (PSCI 1.1).
const SYSTEM_RESET2: u32 = 0xc400_0012;
/// SYSTEM_RESET2's reset type: architectural, SYSTEM_WARM_RESET.
const WARM_RESET: u32 = 0;

/// How firmware is reached, and its function numbers, if they are its own.
#[derive(Clone, Copy)]
struct Firmware {
    conduit: Conduit,
    functions: Option<PsciFunctions>,
}

static FIRMWARE: Once<Option<Firmware>> = Once::new();

/// Takes what the description says about PSCI, once.
pub fn set_up(platform: &Platform) {
    FIRMWARE.call_once(|| {
        platform.psci.map(|conduit| Firmware {
            conduit,
            functions: platform.psci_functions,
        })
    });
}

/// Is there PSCI?
pub fn is_available() -> bool {
    firmware().is_some()
}

fn firmware() -> Option<Firmware> {
    FIRMWARE.get().copied().flatten()
}

/// The conduit of firmware that uses the standard numbers, from PSCI 0.2 on.
fn conduit() -> Option<Conduit> {
    let firmware = firmware()?;
    firmware.functions.is_none().then_some(firmware.conduit)
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

/// Calls one of the functions that a PSCI 0.1 has its own numbers for; `None` if this
/// firmware is not such a one.
fn own(
    number: impl Fn(&PsciFunctions) -> Option<u32>,
    arguments: [u64; 3],
) -> Option<Result<(), Error>> {
    let Firmware { conduit, functions } = firmware()?;
    let Some(number) = number(&functions?) else {
        return Some(Err(Error::NotSupported));
    };
    let mut all = [0; 17];
    all[..3].copy_from_slice(&arguments);
    let answer = match conduit {
        Conduit::Hvc => smccc::hvc64(number, all),
        Conduit::Smc => smccc::smc64(number, all),
    };
    Some(match answer[0] as i32 {
        0 => Ok(()),
        code => Err(code.into()),
    })
}

/// The firmware's PSCI version, major and minor.
pub fn version() -> Option<(u16, u16)> {
    if firmware()?.functions.is_some() {
        return Some((0, 1));
    }
    call!(version()).ok().map(|v| (v.major, v.minor))
}

/// Does firmware say that it has a function? PSCI_FEATURES itself came with 1.0.
///
/// # Errors
/// The firmware's, if it does not.
fn features(function: u32) -> Result<u32, Error> {
    call!(psci_features(function))
}

/// Starts a core at `entry` with `context` in x0.
///
/// # Errors
/// The firmware's.
pub fn cpu_on(mpidr: u64, entry: u64, context: u64) -> Result<(), Error> {
    own(|f| f.cpu_on, [mpidr, entry, context])
        .unwrap_or_else(|| call!(cpu_on(mpidr, entry, context)))
}

/// Turns this core off; returns only if that failed.
///
/// # Errors
/// The firmware's.
pub fn cpu_off() -> Result<(), Error> {
    own(|f| f.cpu_off, [0; 3]).unwrap_or_else(|| call!(cpu_off()))
}

/// Would [`cpu_standby`] be understood? Firmware of PSCI 1.0 or later is asked; an older
/// one must have the function, and is tried.
///
/// # Errors
/// Why not, for the report.
pub fn may_standby() -> Result<(), &'static str> {
    if firmware().is_some_and(|f| f.functions.is_some()) {
        // A power state of 0.1 is the platform's own.
        return Err("this machine's PSCI is 0.1, whose power states are the platform's own");
    }
    if version().is_none_or(|(major, _)| major < 1) {
        return Ok(());
    }
    match features(CPU_SUSPEND) {
        Ok(_) => Ok(()),
        Err(_) => Err("PSCI_FEATURES says that there is no CPU_SUSPEND"),
    }
}

/// The first of these power states that powers a core down. A flag of PSCI_FEATURES says
/// in which of two formats they are.
pub fn power_down_state(states: &[u32]) -> Option<u32> {
    let extended = features(CPU_SUSPEND).ok()? & 2 != 0;
    let flag = if extended { 1 << 30 } else { 1 << 16 };
    states.iter().copied().find(|state| state & flag != 0)
}

/// Powers this core down until an interrupt is pending; it goes on at `entry`, with
/// `context` in x0. Returns only if firmware did not do that.
///
/// # Errors
/// The firmware's.
pub fn cpu_power_down(state: u32, entry: u64, context: u64) -> Result<(), Error> {
    call!(cpu_suspend(state, entry, context))
}

/// Enters standby until an interrupt is pending.
///
/// # Errors
/// The firmware's.
pub fn cpu_standby() -> Result<(), Error> {
    // Power state 0: standby at the core's own level, which keeps its registers. In the
    // extended format (bit 1 of PSCI_FEATURES) 0 is a standby state too, if the platform
    // has one of that number.
    call!(cpu_suspend(0, 0, 0))
}

/// The core's power state, as firmware sees it.
///
/// # Errors
/// The firmware's: it has no AFFINITY_INFO, or no such core.
pub fn affinity(mpidr: u64) -> Result<AffinityState, Error> {
    call!(affinity_info(mpidr, LowestAffinityLevel::All))
}

/// Is the core off?
pub fn is_off(mpidr: u64) -> bool {
    matches!(affinity(mpidr), Ok(AffinityState::Off))
}

/// Does firmware tell whether a core is off? The core must exist.
pub fn tells_affinity(mpidr: u64) -> bool {
    !matches!(affinity(mpidr), Err(Error::NotSupported))
}

/// Turns the machine off; returns only if that failed.
///
/// # Errors
/// The firmware's.
pub fn system_off() -> Result<(), Error> {
    call!(system_off())
}

/// Is there a reset that keeps memory? Only SYSTEM_RESET2's warm one promises to;
/// SYSTEM_RESET is "equivalent to a hardware power-cycle sequence".
pub fn has_warm_reset() -> bool {
    features(SYSTEM_RESET2).is_ok()
}

/// Resets the machine, by the reset that keeps memory if there is one; returns only
/// if that failed.
///
/// # Errors
/// The firmware's.
pub fn system_reset() -> Result<(), Error> {
    if has_warm_reset() {
        // If it is refused all the same, the other reset is better than none.
        let _ = call!(system_reset2(WARM_RESET, 0));
    }
    call!(system_reset())
}
