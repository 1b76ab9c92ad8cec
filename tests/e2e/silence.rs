//! Nobody in the machine watches: the host finds what does not return, and does not
//! confuse it with a machine that works or that cannot be asked.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{glossary::Verdict, run::Run};

use crate::{
    dist::{Booted, built},
    fake::{Ended, stalecore},
    host::alone,
};

#[test]
fn the_host_tells_what_the_sentinel_would_have() {
    let booted = Booted::new(
        "--sentinel off --stale spin --ops dc-civac,ic-ivau --fabric deaf=spin@3 --deadline-ms 1500",
    )
    .ends(4, &["ic ivau", "seen by the host", "stale, spin"]);
    let run = &booted.run;
    assert!(run.end.is_none());
    let [block] = run.blocks.as_slice() else {
        panic!("{:?}", run.blocks);
    };
    assert_eq!(
        (block.n, block.initiator, block.instruction.as_str()),
        (2, 0, "ic ivau")
    );
    assert!(block.address.is_some_and(|address| address.0 != 0));
    assert!((1500..20_000).contains(&block.waited_ms), "{block:?}");
    let cpus: usize = block.cores.iter().map(|c| c.cpus.len()).sum();
    assert_eq!(cpus, 8);
    for core in &block.cores {
        let at = core.at.as_deref().unwrap_or_default();
        match core.role.as_str() {
            "initiator" => assert_eq!(core.doing, "held up"),
            // By program counter, where its state says that it is.
            _ => assert!(
                core.doing == "spin" && at.starts_with("stale_spin+"),
                "{core:?}"
            ),
        }
    }
    // What returned before it is not lost.
    let [first, last] = run.cases.as_slice() else {
        panic!("{:?}", run.cases);
    };
    let returned = [Verdict::Completed, Verdict::Slowed];
    assert!(first.n == 1 && returned.contains(&first.verdict));
    assert!(first.complete.count() > 0 && first.base_complete.count() > 0);
    assert_eq!((last.n, last.verdict), (2, Verdict::Blocked));
    assert!(booted.file("registers.txt").contains("CPU#7"));
}

#[test]
fn in_a_routine_it_has_the_report_s_offset_and_can_be_expected() {
    let booted = Booted::new(
        "--sentinel off --stale wfe --ops flush-icache-range --fabric deaf=wfe,heal=never \
         --deadline-ms 1500 --expect blocked",
    )
    .ends(0, &["As expected (blocked)"]);
    assert_eq!(booted.run.blocks[0].at, "flush_icache_range+92");
    assert_eq!(booted.run.blocks[0].seen_by, "host");
}

#[test]
fn without_el2_and_fabric_a_core_that_hangs_is_seen_too() {
    let booted = Booted::new(
        "--sentinel off --el 1 --cpus 3 --stale branch-self --ops selftest-hang --deadline-ms 1000",
    )
    .ends(4, &["selftest_hang+8"]);
    assert!(
        booted.run.blocks[0].cores.iter().any(|c| c
            .at
            .as_ref()
            .is_some_and(|at| at.starts_with("stale_branch_self+"))),
        "{:?}",
        booted.run.blocks
    );
}

#[test]
fn a_machine_that_is_quiet_but_works_is_left_alone() {
    // Long enough for many looks at marks that move.
    let booted = Booted::new(
        "--sentinel off --cpus 3 --stale spin --ops ic-ivau --samples 400000 --deadline-ms 2000",
    )
    .ends(0, &["the case returned"]);
    assert!(booted.run.blocks.is_empty());
    assert!(booted.took > Duration::from_secs(1), "{:?}", booted.took);
}

#[test]
fn a_machine_that_never_starts_is_silent() {
    let booted = Booted::new("--sentinel off --timeout 10 --qemu-arg -S").ends(124, &[]);
    assert!(
        booted
            .ended
            .err
            .contains("not over after 10 s before the first case")
    );
    let notes = booted.run.notes.join("\n");
    for cpus in ["silence: CPU 0 at 0x", "silence: CPUs 1-7 at 0x"] {
        assert!(notes.contains(cpus), "{notes}");
    }
}

/// While time stands still, a mark that does not move says nothing.
#[test]
fn a_machine_that_was_stopped_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let guard = alone();
    let child = stalecore()
        .args(["run", "--image"])
        .arg(built("stalecore.img"))
        .args(["--out".as_ref(), dir.path().as_os_str()])
        .args("--sentinel off --cpus 2 --stale spin --ops ic-ivau".split(' '))
        .args("--samples 100000000 --deadline-ms 300 --timeout 6".split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let console = dir.path().join("console.log");
    let end = Instant::now() + Duration::from_secs(20);
    while !fs::read_to_string(&console).is_ok_and(|text| text.contains("# {\"group\"")) {
        assert!(Instant::now() < end, "the run did not begin");
        thread::sleep(Duration::from_millis(10));
    }
    stop(&saved(dir.path()));
    let ended = Ended::from(child.wait_with_output().unwrap());
    drop(guard);
    assert_eq!(ended.code, 124, "{ended:?}");
    let run = saved(dir.path());
    assert!(run.blocks.is_empty(), "{:?}", run.blocks);
    assert!(
        run.notes
            .iter()
            .any(|note| note.starts_with("silence: CPU"))
    );
}

fn saved(dir: &Path) -> Run {
    serde_json::from_slice(&fs::read(dir.join("run.json")).unwrap()).unwrap()
}

/// Stops the machine of a run through its monitor.
fn stop(run: &Run) {
    let words = &run.machine_command;
    let at = words.iter().position(|word| word == "-qmp").unwrap();
    let path = words[at + 1].strip_prefix("unix:").unwrap();
    let path = path.split(',').next().unwrap();
    let mut monitor = BufReader::new(UnixStream::connect(path).unwrap());
    let mut line = String::new();
    monitor.read_line(&mut line).unwrap();
    for command in ["qmp_capabilities", "stop"] {
        let text = format!("{{\"execute\":\"{command}\"}}\n");
        monitor.get_mut().write_all(text.as_bytes()).unwrap();
        loop {
            line.clear();
            assert!(monitor.read_line(&mut line).unwrap() > 0, "{command}");
            if line.contains("\"return\"") {
                break;
            }
        }
    }
}
