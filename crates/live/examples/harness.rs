//! The harness without the command: boot arguments in, a console out, for `stalecore read`.

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
fn main() {
    use std::{io, time::Duration};

    use stalecore_live::{Config, allowed, scope, start};
    use stalecore_model::{errata, options::Options, plan::Plan};

    let text: Vec<String> = std::env::args().skip(2).collect();
    let dir = std::env::args().nth(1).expect("a directory");
    let mut options = Options::from_bootargs(&text.join(" ")).expect("boot arguments");
    let left = scope::narrow(&mut options, &[]).expect("options of EL0");
    let allowed = allowed().expect("CPUs");
    let last = allowed.highest().expect("a CPU");
    options.sentinel = stalecore_model::options::Sentinel::Off;
    let machine = errata::Machine::default();
    let plan = Plan::among(&options, last + 1, &allowed, &machine).expect("a plan");
    let config = Config {
        notes: left.told().into_iter().collect(),
        options,
        plan,
        allowed,
        watcher: last,
        fifo: false,
        dir: dir.into(),
    };
    let (mut harness, mut console) = start(config).expect("a harness");
    io::copy(&mut console, &mut io::stdout()).expect("a console");
    let status = harness.wait(Duration::from_secs(5)).expect("an end");
    harness.end(Duration::from_secs(5));
    std::process::exit(status.map_or(2, |status| status >> 8));
}

/// There is nothing to run elsewhere.
#[cfg(not(all(target_arch = "aarch64", target_os = "linux")))]
fn main() {}
