//! A result that the machine's own cores did not make is marked with its maker, wherever
//! a person or a program looks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use stalecore_model::record::SCHEMA;

use crate::{
    consoles::{PLAN, blocked, fine, sealed},
    dist::Booted,
    fake::{Ended, Fake, stalecore},
};

#[test]
fn what_the_fabric_made_is_said_everywhere() {
    let fake = Fake::new(blocked().text(), "exit 4");
    let ended = fake.run(&format!("{PLAN} --fabric deaf=spin"));
    assert_eq!(ended.code, 4);
    let made = "the fabric, a model";
    assert!(
        ended
            .out
            .starts_with("Made by the fabric, a model: ic-ivau"),
        "{ended:?}"
    );
    assert!(!ended.out.contains("Yes"), "{ended:?}");
    for name in ["run.json", "junit.xml", "report.html"] {
        let text = fs::read_to_string(fake.path("out").join(name)).unwrap();
        assert!(text.contains(made), "{name}");
    }
    let plain = Fake::new(blocked().text(), "exit 4");
    assert!(!plain.run(PLAN).out.contains("made by"));
    // And so in two runs side by side.
    let both = |verb: &str| {
        let mut command = stalecore();
        command
            .arg(verb)
            .args([plain.path("out"), fake.path("out")]);
        if verb == "report" {
            command.arg("-o").arg(fake.path("both.html"));
        }
        Ended::of(&mut command)
    };
    let compared = both("compare");
    assert!(
        compared
            .err
            .contains("the new run was made by the fabric, a model"),
        "{compared:?}"
    );
    assert_eq!(both("report").code, 0);
    assert!(
        fs::read_to_string(fake.path("both.html"))
            .unwrap()
            .contains("made by the fabric")
    );
}

#[test]
fn a_plugin_of_qemu_s_is_said() {
    let fake = Fake::new(fine().text(), "exit 0");
    let ended = fake.run(&format!("{PLAN} --qemu-arg -plugin --qemu-arg x.so"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .out
            .starts_with("With a plugin of QEMU's: all 4 cases"),
        "{ended:?}"
    );
}

/// The console of this run as a board with another name would have written it, each
/// record with the right checksum; lines with `lost` in them never came.
fn as_a_board(console: &str, lost: &[&str]) -> String {
    let boarded = console.replace("linux,dummy-virt", "a board");
    let json = |line: &str| match line.rfind("} ") {
        Some(end) if line.starts_with("# {") => format!("{}\n", &line[..=end]),
        _ => line.to_string(),
    };
    let bare: String = boarded.split_inclusive('\n').map(json).collect();
    let all = sealed(&bare);
    let lines = all.split_inclusive('\n');
    lines
        .filter(|line| !lost.iter().any(|part| line.contains(part)))
        .collect()
}

/// `stalecore read` of a log, into a directory beside it.
fn read(dir: &Path, name: &str, log: &str) -> (Ended, PathBuf) {
    let (file, out) = (dir.join(format!("{name}.log")), dir.join(name));
    fs::write(&file, log).unwrap();
    let mut command = stalecore();
    command.arg("read").arg(file).arg("--out").arg(&out);
    (Ended::of(&mut command), out)
}

#[test]
fn a_log_tells_of_the_fabric_by_itself() {
    let args = "--cpus 4 --fabric deaf=spin --stale spin,wfe --ops ic-ivau --deadline-ms 2000";
    let booted = Booted::new(args).ends(4, &["Made by the fabric, a model: ic-ivau"]);
    let console = booted.console();
    for part in [
        "stalecore.fabric=deaf=spin",
        "\"by\":\"fabric\"",
        "not ok 1 spin # blocked, made by the fabric, a model",
    ] {
        assert!(console.contains(part), "{part}: {console}");
    }
    // A busy host may make it late, which its line says too.
    let told =
        |line: &str| line.contains(" ok 2 wfe #") && line.contains("made by the fabric, a model");
    assert!(console.lines().any(told), "{console}");
    let dir = tempfile::tempdir().unwrap();
    // No flag of the host's, and a name that is nobody's; the plan's record lost too.
    let lost: [&[&str]; 2] = [&[], &["{\"plan\""]];
    for (name, lost) in ["whole", "cut"].into_iter().zip(lost) {
        let (ended, out) = read(dir.path(), name, &as_a_board(&console, lost));
        assert_eq!(ended.code, 4, "{name}: {ended:?}");
        let start = "Made by the fabric, a model: ic-ivau";
        assert!(ended.out.starts_with(start), "{name}: {ended:?}");
        for said in ["Yes", "emulated", "is not known"] {
            assert!(!ended.out.contains(said), "{name}, {said}: {ended:?}");
        }
        let finding = "ic-ivau under spin, made by the fabric, a model";
        assert!(ended.out.contains(finding), "{name}: {ended:?}");
        let file = |name: &str| fs::read_to_string(out.join(name)).unwrap();
        assert!(file("run.json").contains("\"made_by\":[\"fabric\"]"));
        assert!(file("junit.xml").contains("made by the fabric, a model"));
        assert!(file("report.html").contains("<b>Made by the fabric, a model. </b>"));
    }
    let mut compare = stalecore();
    compare
        .arg("compare")
        .args(["whole", "cut"].map(|name| dir.path().join(name)));
    let compared = Ended::of(&mut compare);
    assert!(
        compared.err.contains("made by the fabric, a model")
            || compared.out.contains("made by the fabric"),
        "{compared:?}"
    );
}

#[test]
fn where_no_record_tells_of_a_fabric_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    // As an older image writes them: neither plan nor case names a maker.
    let old = |text: &str| {
        let text = text.replace(&format!("\"schema\":{SCHEMA}"), "\"schema\":2");
        let text = text.replace(
            ",\"options\":\"stalecore.ops=ic-ivau,dc-civac stalecore.stale=spin,wfe\"",
            "",
        );
        as_a_board(&text, &[])
    };
    let unknown = "Whether the fabric, a model, made it is not known.";
    let folded = |ended: &Ended| ended.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let (ended, _) = read(dir.path(), "old", &old(&blocked().text()));
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(folded(&ended).contains(unknown), "{ended:?}");
    let (ended, _) = read(dir.path(), "new", &blocked().text());
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(!folded(&ended).contains(unknown), "{ended:?}");
}
