//! No path and no word of what is read is followed: each text of the input names a file in
//! a directory that is watched, in every way in which a careless program would follow it.

use std::{ffi::OsString, fs, mem::MaybeUninit, path::Path};

use rustix::{
    fd::OwnedFd,
    fs::inotify::{self, CreateFlags, Reader, WatchFlags},
};
use stalecore_model::record::{Note, Record, SEALED};

use crate::{
    setup::stalecore,
    synthetic::{self, Shape},
};

/// A directory with a file in it that nobody may touch.
struct Bait {
    watch: OwnedFd,
}

impl Bait {
    fn new(dir: &Path) -> Self {
        fs::write(dir.join("file"), "bait").unwrap();
        let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, dir, WatchFlags::ALL_EVENTS).unwrap();
        Self { watch }
    }

    /// What has happened there since this was asked last.
    fn events(&self) -> Vec<String> {
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.watch, &mut room);
        let mut found = Vec::new();
        while let Ok(event) = reader.next() {
            found.push(format!("{:?} {:?}", event.events(), event.file_name()));
        }
        found
    }
}

#[test]
fn no_path_of_the_input_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let bait = dir.path().join("bait");
    let work = dir.path().join("work");
    for dir in [&bait, &work] {
        fs::create_dir(dir).unwrap();
    }
    let watched = Bait::new(&bait);
    assert_eq!(watched.events(), [""; 0]);
    let at = bait.display().to_string();
    for text in [
        format!("{at}/file"),
        format!("{at}/made"),
        "../bait/file".into(),
        "../bait/made".into(),
        format!("file://{at}/file"),
        format!("$(touch {at}/made)"),
        format!("`touch {at}/made`"),
        format!("x; touch {at}/made;"),
        format!("'; touch {at}/made; '"),
        format!("| touch {at}/made"),
        format!("--out={at}/made"),
        format!("@{at}/file"),
        format!("x\n. {at}/file\n"),
    ] {
        let [base, new, log, crash, out] =
            ["base", "new", "console.log", "crash.log", "out"].map(|name| work.join(name));
        let run = synthetic::run(&Shape {
            cases: 8,
            samples: 32,
            stale: 4,
            ..Shape::default()
        });
        let (mut run, many) = synthetic::poisoned(&run, &text);
        assert!(many > 20, "{many} texts");
        for dir in [&base, &new] {
            fs::create_dir_all(dir).unwrap();
            fs::write(dir.join("run.json"), serde_json::to_vec(&run).unwrap()).unwrap();
            run.host.push('2');
        }
        // One that was broken off, and says that its own emulator is the bait.
        let broken = work.join("broken");
        fs::create_dir_all(&broken).unwrap();
        run.end = None;
        run.command = ["stalecore", "run", "--qemu", &text, "--image", &text]
            .map(Into::into)
            .to_vec();
        fs::write(broken.join("run.json"), serde_json::to_vec(&run).unwrap()).unwrap();
        fs::write(broken.join("console.log"), "").unwrap();
        let mut machine = run.machine.clone().unwrap();
        machine.schema = SEALED - 1;
        let mut records = vec![Record::Machine(Box::new(machine))];
        records.push(Record::Note(Note { text: text.clone() }));
        records.extend(
            run.cases
                .iter()
                .map(|case| Record::Case(Box::new(case.clone()))),
        );
        records.extend(run.blocks.iter().cloned().map(Record::Block));
        let lines = records
            .iter()
            .map(|record| format!("# {}\n", record.to_json().unwrap()));
        fs::write(&log, lines.collect::<String>()).unwrap();
        let kernel = include_str!("../triage/soft-lockup-4.18-stopped.log");
        let kernel = kernel
            .replace("kworker", &text)
            .replace("Comm: ", &format!("Comm: {text}"))
            .replace("Hardware name: ", &format!("Hardware name: {text}"));
        fs::write(&crash, kernel).unwrap();
        let words = |words: &[&str], paths: &[&Path]| -> Vec<OsString> {
            let words = words.iter().map(Into::into);
            words.chain(paths.iter().map(Into::into)).collect()
        };
        for words in [
            words(&["report"], &[&base]),
            words(&["compare", "--all", "--noise"], &[&base, &new]),
            words(&["compare", "--json"], &[&base, &new]),
            words(&["triage"], &[&crash]),
            words(&["triage", "--json"], &[&crash]),
            words(&["read", "-v", "--all-states", "--out"], &[&out, &log]),
            words(&["run", "--resume"], &[&base]),
            words(&["run", "--resume"], &[&broken]),
            words(&["run", "--list", "--resume"], &[&broken]),
        ] {
            stalecore()
                .current_dir(&work)
                .args(&words)
                .output()
                .unwrap();
            assert_eq!(watched.events(), [""; 0], "{text:?}: {words:?}");
        }
        // Nothing but what the commands were to make.
        let names = fs::read_dir(&work).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(
            names,
            ["base", "broken", "console.log", "crash.log", "new", "out"]
        );
    }
    // The watch sees what it is for.
    fs::read(bait.join("file")).unwrap();
    assert!(!watched.events().is_empty());
    stalecore()
        .arg("triage")
        .arg(bait.join("file"))
        .output()
        .unwrap();
    assert!(!watched.events().is_empty());
}
