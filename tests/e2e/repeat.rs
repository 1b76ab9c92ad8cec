//! `run --repeat`: several boots, one result.

use crate::{
    consoles::{PLAN, blocked, fine},
    fake::{Ended, Fake, stalecore},
};

/// The second boot's console, where the first is fine: an emulator that counts.
fn twice(second: &str, code: u8) -> Fake {
    let fake = Fake::new(
        "",
        "here=$(dirname \"$0\"); \
         if [ -f $here/again ]; then cat $here/second; exit $(cat $here/code); fi; \
         touch $here/again; cat $here/first; exit 0",
    );
    std::fs::write(fake.path("first"), fine().text()).unwrap();
    std::fs::write(fake.path("second"), second).unwrap();
    std::fs::write(fake.path("code"), code.to_string()).unwrap();
    fake
}

#[test]
fn boots_are_one_result_and_each_is_kept() {
    let fake = twice(&fine().text(), 0);
    let ended = fake.run(&format!("{PLAN} --repeat 2 --quiet"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("over 2 boots"), "{ended:?}");
    assert_eq!(ended.err, "", "{ended:?}");
    let run = fake.saved();
    assert_eq!(run.boots.len(), 2);
    for file in ["run.json", "console.log", "report.html", "junit.xml"] {
        assert!(fake.path("out/boot-2").join(file).exists(), "{file}");
    }
    assert!(fake.path("out/report.html").exists() && fake.path("out/junit.xml").exists());
    // A comparison reads the boots.
    let mut compare = stalecore();
    compare
        .arg("compare")
        .args([fake.path("out"), fake.path("out")]);
    let compared = Ended::of(&mut compare);
    assert_eq!(compared.code, 0, "{compared:?}");
    let flat = compared.out.replace('\n', " ");
    assert!(flat.contains("in all of 2 and 2 runs"), "{compared:?}");
    assert!(!flat.contains("One run a side"), "{compared:?}");
    // The same directory again.
    let ended = fake.run(&format!("{PLAN} --repeat 2 --quiet"));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_block_in_one_boot_is_a_block() {
    let fake = twice(&blocked().text(), 4);
    let ended = fake.run(&format!("{PLAN} --repeat 2 --quiet"));
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.out.contains("had not returned"), "{ended:?}");
}

#[test]
fn a_boot_that_says_nothing_is_no_answer_and_the_last() {
    let fake = twice("", 0);
    let ended = fake.run(&format!("{PLAN} --repeat 3 --quiet"));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("No answer: boot 2 of 3"), "{ended:?}");
    assert!(!fake.path("out/boot-3").exists());
    assert_eq!(fake.run(&format!("{PLAN} --repeat 1")).code, 2);
}

#[test]
fn as_json_it_is_one_document_of_all_boots() {
    let fake = twice(&fine().text(), 0);
    let ended = fake.run(&format!("{PLAN} --repeat 2 --json"));
    assert_eq!(ended.code, 0, "{ended:?}");
    let run: stalecore_model::run::Run = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(run.boots.len(), 2);
    assert_eq!(run.answer, fake.saved().answer);
    for said in ["boot 1 of 2", "boot 2 of 2", "results: "] {
        assert_eq!(ended.err.matches(said).count(), 1, "{ended:?}");
    }
}

/// What cannot be drawn leaves the measurements, and is no answer's code.
#[test]
fn a_page_that_cannot_be_written_is_told_of_behind_the_answer() {
    let fake = twice(&fine().text(), 0);
    assert_eq!(fake.run(&format!("{PLAN} --repeat 2 --quiet")).code, 0);
    std::fs::remove_file(fake.path("out/report.html")).unwrap();
    std::fs::create_dir(fake.path("out/report.html")).unwrap();
    std::fs::remove_file(fake.path("again")).unwrap();
    let ended = fake.run(&format!("{PLAN} --repeat 2 --quiet"));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("over 2 boots"), "{ended:?}");
    assert!(ended.err.contains("report.html"), "{ended:?}");
    assert!(ended.err.contains("what was measured is in"), "{ended:?}");
    assert_eq!(fake.saved().boots.len(), 2);
}
