//! An Arm host's own cores: what must be there, and each CPU on a core of its
//! own.

use std::{
    fs::OpenOptions,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};
use serde_json::{Value, json};
use stalecore_model::words;

use super::{machine::MachineArgs, qmp::Qmp};

/// The architecture of the image, as Rust names it.
const ARCHITECTURE: &str = "aarch64";

/// Where Linux offers its hypervisor.
const DEVICE: &str = "/dev/kvm";

/// How long QEMU may take to open its monitor, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Checks that this host can run the machine on its own cores.
///
/// # Errors
/// One line with what is missing or allowed.
pub fn check(machine: &MachineArgs) -> Result<(), String> {
    if machine.el != "1" {
        return Err(format!(
            "--el: {} with --accel kvm, whose guests begin at EL1; allowed: 1",
            machine.el
        ));
    }
    check_host(std::env::consts::ARCH, Path::new(DEVICE))?;
    let cores = available()
        .map_err(|e| format!("--accel: kvm: the cores of this host: {e}"))?
        .len();
    if machine.cpus > cores {
        return Err(format!(
            "--cpus: {} with --accel kvm on {}, as each is pinned to one; allowed: {}",
            machine.cpus,
            words::count(cores, "core", "cores"),
            match cores {
                1 => "1".into(),
                n => format!("1 to {n}"),
            }
        ));
    }
    Ok(())
}

fn check_host(architecture: &str, device: &Path) -> Result<(), String> {
    if architecture != ARCHITECTURE {
        return Err(format!(
            "--accel: kvm needs an {ARCHITECTURE} host, this one is {architecture}; allowed: tcg"
        ));
    }
    let open = OpenOptions::new().read(true).write(true).open(device);
    open.map(drop).map_err(|error| {
        format!(
            "--accel: kvm: {}: {error}; allowed: tcg, or a user and a host that have it",
            device.display()
        )
    })
}

/// The cores that this process may run on.
fn available() -> rustix::io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|n| set.is_set(*n)).collect())
}

/// Pins each CPU of a machine that waits to begin, the first to the first core
/// that this process may run on and so on, and lets it begin.
///
/// # Errors
/// QEMU has ended (`alive` tells), its monitor does not answer, or the host
/// refuses.
pub fn pin_and_begin(monitor: &Path, alive: impl FnMut() -> bool) -> anyhow::Result<()> {
    let mut qmp = connect(monitor, alive)?;
    let answer = qmp.command("query-cpus-fast", &json!({}))?;
    let threads = threads(&answer).context("QEMU does not name its CPUs' threads")?;
    let cores = available().context("the cores of this host")?;
    ensure!(
        threads.len() <= cores.len(),
        "{} on {}",
        words::count(threads.len(), "CPU", "CPUs"),
        words::count(cores.len(), "core", "cores")
    );
    for (thread, core) in threads.into_iter().zip(cores) {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(Some(thread), &set)
            .with_context(|| format!("a CPU cannot be pinned to core {core}"))?;
    }
    qmp.command("cont", &json!({}))?;
    Ok(())
}

/// QEMU makes its monitor a moment after it was started.
fn connect(monitor: &Path, mut alive: impl FnMut() -> bool) -> anyhow::Result<Qmp> {
    let until = Instant::now() + PATIENCE;
    loop {
        match Qmp::connect(monitor, PATIENCE) {
            Err(_) if alive() && Instant::now() < until => {
                thread::sleep(Duration::from_millis(10));
            }
            connected => return connected,
        }
    }
}

/// The host's thread of each CPU, in the CPUs' order.
fn threads(answer: &Value) -> Option<Vec<Pid>> {
    let mut threads = Vec::new();
    for cpu in answer.as_array()? {
        let thread = i32::try_from(cpu["thread-id"].as_i64()?).ok()?;
        threads.push((cpu["cpu-index"].as_u64()?, Pid::from_raw(thread)?));
    }
    threads.sort_by_key(|(index, _)| *index);
    Some(threads.into_iter().map(|(_, thread)| thread).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixListener,
    };

    #[test]
    fn a_host_that_cannot_is_told_why() {
        let error = check_host("x86_64", Path::new("/dev/null")).unwrap_err();
        assert!(error.contains("this one is x86_64"), "{error}");
        let error = check_host("aarch64", Path::new("/nonexistent/kvm")).unwrap_err();
        assert!(error.contains("/nonexistent/kvm: No such file"), "{error}");
        assert_eq!(check_host("aarch64", Path::new("/dev/null")), Ok(()));
    }

    #[test]
    fn threads_come_in_the_order_of_the_cpus() {
        let answer = json!([
            {"cpu-index": 1, "thread-id": 12, "target": "aarch64"},
            {"cpu-index": 0, "thread-id": 34, "target": "aarch64"},
        ]);
        let raw = |answer: &Value| {
            threads(answer).map(|all| all.iter().map(|t| t.as_raw_nonzero().get()).collect())
        };
        assert_eq!(raw(&answer), Some(vec![34, 12]));
        for wrong in [
            json!({}),
            json!([{"cpu-index": 0}]),
            json!([{"cpu-index": 0, "thread-id": 0}]),
            json!([{"cpu-index": 0, "thread-id": 1_u64 << 40}]),
        ] {
            assert_eq!(raw(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_machine_that_has_ended_is_not_waited_for() {
        let begin = Instant::now();
        assert!(pin_and_begin(Path::new("/nonexistent/qmp"), || false).is_err());
        assert!(begin.elapsed() < PATIENCE / 2);
    }

    #[test]
    fn cpus_are_pinned_before_the_machine_begins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        // A machine whose only CPU is the thread that answers.
        let machine = thread::spawn(move || {
            let own = rustix::thread::gettid().as_raw_nonzero();
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = BufReader::new(stream.try_clone().unwrap());
            writeln!(stream, "{{\"QMP\": {{}}}}").unwrap();
            for answer in [
                "{}".to_string(),
                format!("[{{\"cpu-index\": 0, \"thread-id\": {own}}}]"),
                "{}".to_string(),
            ] {
                let mut line = String::new();
                asked.read_line(&mut line).unwrap();
                if line.contains("\"cont\"") {
                    let cores = sched_getaffinity(None).unwrap();
                    assert_eq!(cores.count(), 1);
                    assert!(cores.is_set(available().unwrap()[0]));
                }
                writeln!(stream, "{{\"return\": {answer}}}").unwrap();
            }
        });
        pin_and_begin(&path, || true).unwrap();
        machine.join().unwrap();
    }
}
