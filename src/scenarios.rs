//! Which scenario runs: the plan, or the report's own `kdump`.

use spin::Mutex;
use stalecore_model::{exit::ExitCode, options::Scenario};

use crate::{
    board,
    conductor::{self, Conductor},
    hal::exit,
    kdump,
};

static CONDUCTOR: Mutex<Option<Conductor>> = Mutex::new(None);

/// Leaves the run for the core that conducts it.
pub fn install(conductor: Conductor) {
    *CONDUCTOR.lock() = Some(conductor);
}

/// Conducts the run that was installed, and ends the image.
pub extern "C" fn conduct() -> ! {
    let Some(conductor) = CONDUCTOR.lock().take() else {
        exit::end(ExitCode::Harness);
    };
    match board::get().options.scenario {
        Scenario::Plan => conductor::run_plan(&conductor),
        Scenario::Kdump => kdump::stage(conductor),
    }
}
