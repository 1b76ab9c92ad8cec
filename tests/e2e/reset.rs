//! A machine that is reset in the middle of a plan: the next boot goes on, and
//! nothing that had ended is lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Cursor, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{
    console::{Line, Lines},
    glossary::{Subject, Verdict},
    record::Record,
};

use crate::dist::{Booted, built};

/// How long the machine may take to get as far as a test wants.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs, and resets the machine each time the console has said something the given
/// number of times, and `settled` after that.
fn reset_at(args: &str, sign: &'static str, times: &'static [usize], settled: Duration) -> Booted {
    reset_under(args, sign, times, settled, &std::env::temp_dir())
}

/// The same, with the command's scratch directory in `scratch`.
fn reset_under(
    args: &str,
    sign: &'static str,
    times: &'static [usize],
    settled: Duration,
    scratch: &Path,
) -> Booted {
    let dir = tempfile::tempdir().unwrap();
    // A monitor beside the command's own.
    let monitor = dir.path().join("reset");
    let mut hand = None;
    let booted = Booted::with(args, |command| {
        command.env("TMPDIR", scratch);
        let listen = format!("unix:{},server=on,wait=off", monitor.display());
        command.args(["--qemu-arg", "-qmp", "--qemu-arg", &listen]);
        let mut words = command.get_args().skip_while(|word| *word != "--out");
        let console = Path::new(words.nth(1).unwrap()).join("console.log");
        let monitor = monitor.clone();
        hand = Some(thread::spawn(move || {
            reset(&monitor, &console, sign, times, settled)
        }));
    });
    let pressed = hand.unwrap().join().unwrap();
    assert_eq!(pressed, times.len(), "{:?}", booted.ended);
    booted
}

/// The hand on the reset button: how often it was pressed.
fn reset(monitor: &Path, log: &Path, sign: &str, times: &[usize], settled: Duration) -> usize {
    let deadline = Instant::now() + PATIENCE;
    for (pressed, times) in times.iter().enumerate() {
        let there =
            || std::fs::read_to_string(log).is_ok_and(|log| log.matches(sign).count() >= *times);
        while !there() {
            if Instant::now() > deadline {
                return pressed;
            }
            thread::sleep(Duration::from_millis(5));
        }
        // So that what was begun is under way.
        thread::sleep(settled);
        if press(monitor).is_err() {
            return pressed;
        }
    }
    times.len()
}

fn press(monitor: &Path) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(monitor)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    for command in ["qmp_capabilities", "system_reset"] {
        writeln!(stream, "{{\"execute\":\"{command}\"}}")?;
        while !answers
            .next()
            .transpose()?
            .is_some_and(|line| line.contains("\"return\""))
        {}
    }
    Ok(())
}

/// How often each case was reported.
fn reports(console: &str) -> BTreeMap<u32, usize> {
    let mut seen = BTreeMap::new();
    let mut lines = Lines::default();
    lines.feed(console.as_bytes(), &mut |line| {
        if let Line::Record(Record::Case(case), _) = line {
            *seen.entry(case.n).or_default() += 1;
        }
    });
    seen
}

/// At each resume: the cases whose record was on the console by then, and those
/// that the recorder has kept.
fn finished(console: &str) -> Vec<(usize, usize)> {
    let (mut told, mut boots) = (BTreeSet::new(), Vec::new());
    let mut lines = Lines::default();
    lines.feed(console.as_bytes(), &mut |line| match line {
        Line::Record(Record::Case(case), _) => {
            told.insert(case.n);
        }
        Line::Record(Record::Resume(resume), _) => {
            boots.push((told.len(), resume.finished as usize))
        }
        _ => {}
    });
    boots
}

/// A reset may hit a case in flight, but proves nothing about it: the reset did not wait
/// for its deadline.
fn but_for_what_it_hit(booted: Booted) -> (Booted, Vec<u32>) {
    let resumes = booted.run.resumes.iter();
    let hit: Vec<_> = resumes.filter_map(|r| r.unfinished).collect();
    (booted.ends(if hit.is_empty() { 0 } else { 6 }, &[]), hit)
}

#[test]
fn a_plan_is_finished_over_several_boots() {
    let plan = "--cpus 4 --ops ic-ivau,dc-civac --samples 16 --sweep off";
    let booted = reset_at(plan, "\"case\":", &[7, 19, 33], Duration::ZERO);
    let (booted, hit) = but_for_what_it_hit(booted);
    let run = &booted.run;
    let of = |verdict| {
        let cases = run.cases.iter().filter(move |c| c.verdict == verdict);
        cases.map(|c| c.n).collect::<Vec<_>>()
    };
    assert_eq!(
        (of(Verdict::Blocked), of(Verdict::Inconclusive)),
        (vec![], hit)
    );
    assert_eq!(run.cases.len(), 48, "{:?}", run.notes);
    assert_eq!(run.restarts, 3);
    // What one boot had finished the next did not run again, but for the one
    // whose record was on its way.
    let again = reports(&booted.console())
        .values()
        .filter(|n| **n > 1)
        .count();
    assert!(again <= 3, "{again} cases were run again");
    let boots = finished(&booted.console());
    assert_eq!(boots.len(), 3, "{boots:?}");
    for (told, kept) in boots {
        assert!(kept <= told && told <= kept + 1, "{kept} kept of {told}");
    }
    let verdicts: u32 = run
        .end
        .as_ref()
        .unwrap()
        .verdicts
        .iter()
        .map(|(_, n)| n)
        .sum();
    assert_eq!(verdicts, 48);
}

/// The reset did not wait for the deadline: nothing is proved, and the case is not tried
/// again.
#[test]
fn what_was_in_flight_before_its_deadline_is_inconclusive_and_never_run_again() {
    for sentinel in ["auto", "off"] {
        let plan = format!(
            "--cpus 4 --ops ic-ivau,selftest-hang --stale spin --sweep off --deadline-ms 60000 \
             --sentinel {sentinel}"
        );
        // The self-test has a group of its own, the second.
        let booted = reset_at(&plan, "\"group\":", &[2], Duration::from_millis(1500))
            .ends(6, &["selftest_hang+8", "reset while running"]);
        let run = &booted.run;
        assert_eq!(run.resumes[0].unfinished, Some(2));
        assert_eq!(run.blocks.len(), 0, "{:?}", run.blocks);
        let verdicts: Vec<_> = run.cases.iter().map(|case| case.verdict).collect();
        assert_eq!(verdicts[1], Verdict::Inconclusive, "{verdicts:?}");
        assert_eq!(reports(&booted.console()), BTreeMap::from([(1, 1), (2, 1)]));
    }
}

/// The sentinel had seen the mark stand still, and was on the ladder.
#[test]
fn what_had_stood_still_is_blocked_and_never_run_again() {
    let plan = "--cpus 4 --ops ic-ivau,selftest-hang --stale spin --sweep off --deadline-ms 2000";
    let booted = reset_at(plan, "\"block\":", &[1], Duration::from_millis(200))
        .ends(4, &["selftest_hang+8"]);
    let run = &booted.run;
    assert_eq!(run.resumes[0].unfinished, Some(2));
    // Once, by the boot that saw it: before any rung.
    assert_eq!(run.blocks.len(), 1, "{:?}", run.blocks);
    assert_eq!(
        (
            run.blocks[0].op,
            run.blocks[0].at.as_str(),
            run.blocks[0].seen_by.as_str()
        ),
        (Subject::SelftestHang, "selftest_hang+8", "sentinel")
    );
    let verdicts: Vec<_> = run.cases.iter().map(|case| case.verdict).collect();
    assert_eq!(verdicts[1], Verdict::Blocked, "{verdicts:?}");
    assert_eq!(reports(&booted.console()), BTreeMap::from([(1, 1), (2, 1)]));
}

#[test]
fn the_machine_resets_itself_for_what_nothing_releases() {
    let booted = Booted::new(
        "--cpus 4 --ops selftest-hang --stale spin,wfe --after-block reset --deadline-ms 1000",
    )
    .ends(4, &[]);
    assert_eq!((booted.run.blocks.len(), booted.run.restarts), (2, 1));
    assert!(
        booted
            .run
            .cases
            .iter()
            .all(|case| case.verdict == Verdict::Blocked)
    );
    // By default it ends, and the other case is not reached.
    let booted = Booted::new("--cpus 4 --ops selftest-hang --stale spin,wfe --deadline-ms 1000")
        .ends(4, &[]);
    assert_eq!((booted.run.blocks.len(), booted.run.restarts), (1, 0));
}

/// QEMU's loader device takes the recorder's head away at each reset: memory is lost.
/// The loader knows by its volume that the plan was begun, and it ends.
#[test]
fn a_machine_whose_reset_loses_memory_does_not_begin_for_ever() {
    built("stalecore.efi");
    let booted = Booted::new(
        "--boot uefi --cpus 4 --ops selftest-hang --stale spin,wfe --after-block reset \
         --deadline-ms 1000 --qemu-arg -device --qemu-arg loader,addr=0x60000000,data=0,data-len=8",
    )
    .ends(4, &["this plan was begun before"]);
    assert_eq!((booted.run.restarts, booted.run.resumes.len()), (1, 0));
}

#[test]
fn a_search_for_culprits_goes_on_over_resets() {
    let booted = Booted::new(
        "--cpus 8 --ops ic-ivau --stale spin --fabric deaf=spin@3,heal=never --bisect \
         --after-block reset --sweep off --deadline-ms 1000",
    )
    .ends(4, &["CPU 3"]);
    let found = &booted.run.bisections[0];
    let culprits: Vec<_> = found.culprits.iter().map(ToString::to_string).collect();
    assert!(found.complete && culprits == ["3"], "{found:?}");
    // Each trial that blocked took a reset.
    assert!(booted.run.restarts >= 2, "{}", booted.run.restarts);
}

#[test]
fn a_plan_that_never_gets_further_is_given_up() {
    // Many cores take a while before the first case can begin.
    let plan = "--cpus 48 --ops ic-ivau --stale wfi-masked --sweep off";
    let booted = reset_at(plan, "\"machine\":", &[1, 2, 3], Duration::ZERO);
    assert_eq!(booted.ended.code, 2, "{:?}", booted.ended);
    assert!(
        booted.ended.err.contains("reset 3 times in a row"),
        "{:?}",
        booted.ended
    );
}

#[test]
fn without_a_recorder_the_plan_begins_again() {
    let plan = "--cpus 4 --ops ic-ivau --samples 16 --sweep off --recorder off";
    let booted = reset_at(plan, "\"case\":", &[5], Duration::ZERO).ends(0, &[]);
    assert_eq!((booted.run.restarts, booted.run.resumes.len()), (1, 0));
    let twice = reports(&booted.console())
        .values()
        .filter(|n| **n == 2)
        .count();
    // The last of the five may have been cut off in its line.
    assert!(twice >= 4, "{twice} cases were run again");
    // Whatever the reset cut off, the second boot begins on a new line.
    let console = booted.console();
    let heads = console.lines().filter(|line| *line == "KTAP version 1");
    assert_eq!((heads.count(), &console[..2]), (2, "\r\n"));
}

/// QEMU's loader device writes its word again at each reset: into the middle of
/// what the recorder of a machine of 1 GiB holds.
#[test]
fn damage_is_noticed_and_said() {
    for (at, said, kept) in [
        ("0x6000000c", "head is damaged", false),
        ("0x60001020", "journal is damaged behind entry 1", true),
    ] {
        let plan = format!(
            "--cpus 4 --ops ic-ivau --stale spin,wfe,cpu-off --sweep off \
             --qemu-arg -device --qemu-arg loader,addr={at},data=0xdeadbeef,data-len=4"
        );
        let booted = reset_at(&plan, "\"case\":", &[2], Duration::ZERO);
        let (booted, _) = but_for_what_it_hit(booted);
        let notes = &booted.run.notes;
        assert!(notes.iter().any(|note| note.contains(said)), "{notes:?}");
        assert_eq!(booted.run.cases.len(), 3);
        assert_eq!(booted.run.resumes.len(), usize::from(kept));
    }
}

/// A machine without a serial line: what it had finished is on its disk.
#[test]
fn firmware_writes_what_a_reset_left_to_its_volume_and_goes_on() {
    built("stalecore.efi");
    let scratch = tempfile::tempdir().unwrap();
    // The command removes its disk; a second name keeps it.
    let disk = scratch.path().join("kept");
    let place = (scratch.path().to_path_buf(), disk.clone());
    let keeper = thread::spawn(move || keep_disk(&place.0, &place.1));
    let plan = "--boot uefi --cpus 4 --ops ic-ivau,dc-civac --samples 16 --sweep off";
    let booted = reset_under(plan, "\"case\":", &[20], Duration::ZERO, scratch.path());
    keeper.join().unwrap();
    let (booted, hit) = but_for_what_it_hit(booted);
    assert_eq!((booted.run.cases.len(), booted.run.restarts), (48, 1));
    assert!(booted.console().contains("stalecore-1.log"));
    let kept = reports(&on_volume(&disk, "stalecore-1.log"));
    // The last ones may have been on their way.
    let said = booted.run.resumes[0].finished as usize;
    assert!(kept.len() >= 19 && kept.len() == said, "{kept:?} of {said}");
    assert!(kept.values().all(|times| *times == 1), "{hit:?}: {kept:?}");
}

/// Gives the disk that a run makes somewhere below `scratch` a second name.
fn keep_disk(scratch: &Path, name: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for dir in std::fs::read_dir(scratch).unwrap().flatten() {
            if std::fs::hard_link(dir.path().join("disk.img"), name).is_ok() {
                return;
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A file in the root of the only partition of a disk.
fn on_volume(disk: &Path, name: &str) -> String {
    let image = std::fs::read(disk).unwrap();
    let start = u32::from_le_bytes(image[454..458].try_into().unwrap()) as usize * 512;
    let partition = Cursor::new(image[start..].to_vec());
    let volume = fatfs::FileSystem::new(partition, fatfs::FsOptions::new()).unwrap();
    let mut text = String::new();
    let mut file = volume.root_dir().open_file(name).unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// How often the image says that it ends with 2 before it, or the machine, ends: twice is
/// enough.
fn refusals(bootargs: &str) -> usize {
    let mut qemu = Command::new("qemu-system-aarch64")
        .args("-M virt -cpu cortex-a72 -smp 2 -m 256M -nodefaults -display none".split(' '))
        .args(["-serial", "stdio", "-append", bootargs, "-kernel"])
        .arg(built("stalecore.img"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let console = BufReader::new(qemu.stdout.take().unwrap());
    let (say, said) = mpsc::channel();
    thread::spawn(move || {
        console
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| say.send(line))
    });
    let deadline = Instant::now() + PATIENCE;
    let mut ends = 0;
    while ends < 2 {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => ends += usize::from(line.contains("stalecore: exit 2")),
            Err(_) => break,
        }
    }
    // One that was turned off has ended; one that hangs has not.
    let on = ends < 2 && Instant::now() > deadline;
    let _ = qemu.kill();
    qemu.wait().unwrap();
    assert!(!on, "{bootargs}: neither reset nor off");
    ends
}

/// Whoever is far away has the machine back, whatever else is wrong on its command line.
#[test]
fn a_machine_that_is_to_come_back_does_with_a_word_that_is_wrong() {
    assert_eq!(refusals("stalecore.then=reset stalecore.bogus=1"), 2);
    assert_eq!(refusals("stalecore.bogus=1"), 1);
}
