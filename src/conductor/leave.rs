//! How the machine is left when the run has ended: to the kernel that was loaded beside
//! the image, if that was asked for.

use spin::Once;
use stalecore_model::{cpuset::CpuSet, exit::ExitCode, options::Then};

use crate::{
    board,
    cores::{
        ask::ask,
        command::Command,
        percpu::{self, Core, core},
    },
    hal::{arch, boot, clock, console::println, exit, gic, psci, sdei, watchdog},
};

/// How the run has ended, for the core that leaves.
static EXIT: Once<ExitCode> = Once::new();
/// How long the core that booted has to take its order, and all others to be off.
const PATIENCE_MS: u64 = 5000;

/// Ends the run on the core that conducts it; these are up.
pub fn end(code: ExitCode, up: &CpuSet) -> ! {
    match percpu::this() {
        Some(own) if board::get().options.then == Then::Kexec && !exit::is_awaited() => {
            EXIT.call_once(|| code);
            ask(
                &up.difference(&CpuSet::one(own.index)),
                Command::Leave,
                |_| 0,
            );
            leave(own)
        }
        _ => exit::end(code),
    }
}

/// This core's part: to the next kernel goes the core that booted, once every other is off.
/// Where one does not follow, the machine is reset.
pub fn leave(own: &Core) -> ! {
    let board = board::get();
    let first = core(board.boot_cpu);
    let boots = own.index == first.index;
    let others = |core: &&Core| core.index != own.index && !psci::is_off(core.cpu.mpidr);
    // Others go once this is seen.
    own.set_online(false);
    let mut missing = None;
    let ready = clock::wait_ms(PATIENCE_MS, || {
        watchdog::refresh();
        missing = match boots {
            true => percpu::all().iter().find(others),
            false => Some(first).filter(|first| first.is_online()),
        };
        missing.is_none()
    });
    let next = board.platform.kexec.as_ref().and_then(|kexec| kexec.next);
    let code = EXIT.get().copied().unwrap_or(ExitCode::Harness);
    match next {
        Some(next) if ready && boots => {
            exit::say(code);
            sdei::leave();
            arch::stop_virtual_timer();
            gic::leave(&board.platform.cpus, own.cpu.mpidr);
            boot::leave(&next, board.entry_el == 2)
        }
        _ if ready => {
            arch::daif_mask();
            let _ = psci::cpu_off();
            loop {
                arch::wfi();
            }
        }
        _ => {
            let cpu = missing.map_or(0, |core| core.index);
            println!("stalecore: no kexec: CPU {cpu} is not off; a reset instead");
            exit::end(code)
        }
    }
}
