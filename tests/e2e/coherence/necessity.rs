//! Each of the image's own maintenance instructions is necessary, and so is the DSB behind
//! it: without it the checker finds a hazard. The list is `docs/maintenance-sites.md`, which
//! this test compares with what is executed; `STALECORE_WRITE_SITES=1` rewrites it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

use stalecore_model::hazard::MaintenanceSite;

use crate::{dist::built, fake::Ended};

use super::{
    checked, own,
    sites::{
        ELSEWHERE, FABRIC, FIRST_CORE_STALE, KDUMP, MMU_OFF, MMU_OFF_OFTEN, NECESSARY, NEWER_KDUMP,
        NOT_MISSED, OWN_CODE, PEN, Place, TABLE_WALKS, UEFI, UNDER_TEST,
    },
};

/// The symbol of `symbol+offset`.
fn symbol(at: &str) -> &str {
    at.rsplit_once('+')
        .filter(|(_, offset)| offset.bytes().all(|b| b.is_ascii_digit()))
        .map_or(at, |(symbol, _)| symbol)
}

/// The maintenance and DSBs of a scenario, by place; in each the lowest address first.
fn places(args: &str) -> BTreeMap<(String, String, usize), MaintenanceSite> {
    let run = checked("", args).run;
    let found: Vec<_> = own(&run).collect();
    assert!(found.is_empty(), "{args}: {found:#?}");
    let mut places = BTreeMap::new();
    for site in run.coherence.expect("what was seen").sites {
        let kind = &site.instruction[..2];
        if matches!(kind, "dc" | "ic") || site.instruction == "dsb" {
            let key = (symbol(&site.at).to_string(), site.instruction.clone());
            let nth = (0..)
                .find(|nth| !places.contains_key(&(key.0.clone(), key.1.clone(), *nth)))
                .unwrap_or(0);
            places.insert((key.0, key.1, nth), site);
        }
    }
    places
}

/// Is it on one of the lists?
fn is_listed(place: &(String, String, usize)) -> bool {
    let part = place.0.trim_start_matches('<');
    NECESSARY.iter().any(|(known, ..)| owned(*known) == *place)
        || NOT_MISSED.iter().any(|(known, _)| owned(*known) == *place)
        || UNDER_TEST.iter().any(|known| part.starts_with(known))
        || (place.1 == "dsb" && TABLE_WALKS.iter().any(|known| part.starts_with(known)))
}

/// Executed or not: each is on a list.
#[test]
fn no_maintenance_of_the_image_is_on_no_list() {
    let elf = built("stalecore.elf");
    let mut objdump = Command::new("aarch64-linux-gnu-objdump");
    let ended = Ended::of(objdump.args(["-d", "-C", "--no-show-raw-insn"]).arg(&elf));
    assert_eq!(ended.code, 0, "{}", ended.err);
    let mut symbol = "";
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in ended.out.lines() {
        if let Some((_, name)) = line.split_once(" <").filter(|_| line.ends_with(">:")) {
            symbol = name.trim_end_matches(">:");
        }
        let mut words = line.split_whitespace().skip(1);
        let instruction = match (words.next(), words.next()) {
            (Some(kind @ ("dc" | "ic")), Some(what)) => {
                format!("{kind} {}", what.trim_end_matches(','))
            }
            (Some("dsb"), _) => "dsb".to_string(),
            _ => continue,
        };
        *counts.entry((symbol.to_string(), instruction)).or_default() += 1;
    }
    let necessary = counts
        .keys()
        .filter(|(symbol, _)| symbol == "invalidate_range");
    assert_eq!(necessary.count(), 2, "objdump's words are other ones");
    for ((symbol, instruction), count) in counts {
        let elsewhere = ELSEWHERE.iter().any(|(part, _)| symbol.starts_with(part));
        for nth in 0..count {
            let place = (symbol.clone(), instruction.clone(), nth);
            assert!(elsewhere || is_listed(&place), "{place:?} is on no list");
        }
    }
}

fn owned(place: Place) -> (String, String, usize) {
    (place.0.into(), place.1.into(), place.2)
}

#[test]
#[ignore = "takes minutes"]
fn each_maintenance_instruction_is_necessary() {
    let scenarios = [
        MMU_OFF,
        MMU_OFF_OFTEN,
        FIRST_CORE_STALE,
        OWN_CODE,
        FABRIC,
        PEN,
        KDUMP,
        NEWER_KDUMP,
        UEFI,
    ];
    let executed: BTreeMap<_, _> = scenarios.iter().map(|args| (*args, places(args))).collect();
    let mut unknown = Vec::new();
    for place in executed.values().flat_map(BTreeMap::keys) {
        if !is_listed(place) {
            unknown.push(place);
        }
    }
    assert!(
        unknown.is_empty(),
        "maintenance that is on no list: {unknown:#?}"
    );
    let mut missed = BTreeMap::new();
    for (place, args, _) in &NECESSARY {
        let site = executed[args].get(&owned(*place));
        let site = site.unwrap_or_else(|| panic!("{place:?} is not executed by {args}"));
        // Whether it is needed depends on the cores' timing: it shows once in a few runs.
        let found = (0..25).find_map(|_| {
            let run = checked(&format!("ignore={}", site.at), args).run;
            own(&run).next().map(|hazard| hazard.kind)
        });
        let kind = found.unwrap_or_else(|| panic!("nobody misses {place:?}"));
        missed.insert(*place, kind);
    }
    for (place, _) in &NOT_MISSED {
        let (args, site) = scenarios
            .iter()
            .find_map(|args| Some((args, executed[args].get(&owned(*place))?)))
            .expect("executed");
        let run = checked(&format!("ignore={}", site.at), args).run;
        let found: Vec<_> = own(&run).collect();
        assert!(found.is_empty(), "{place:?} is missed: {found:#?}");
    }
    hold_against_the_page(&page());
}

/// Which of several, in words.
fn which(nth: usize) -> String {
    if nth > 0 {
        format!(" ({})", nth + 1)
    } else {
        String::new()
    }
}

/// The page, as the tables above have it.
fn page() -> String {
    let mut page = String::from(
        "# The image's own cache maintenance\n\n\
         Written by `tests/e2e/coherence/necessity.rs`, which `.ci/run` runs: the checker of caches\n\
         (`--check-coherence`) passes over one instruction or DSB after the other, and must then\n\
         find a hazard.\n\n\
         ## Necessary\n\n\
         | where | instruction | what it protects | seen with |\n|---|---|---|---|\n",
    );
    for ((symbol, instruction, nth), args, protects) in &NECESSARY {
        let which = which(*nth);
        let _ = writeln!(
            page,
            "| `{symbol}`{which} | `{instruction}` | {protects} | `{args}` |"
        );
    }
    page += "\n## Not missed by the checker\n\nBy a rule that makes it needless, or because the checker cannot see what it is for.\n\n| where | instruction | why |\n|---|---|---|\n";
    for ((symbol, instruction, nth), why) in &NOT_MISSED {
        let which = which(*nth);
        let _ = writeln!(page, "| `{symbol}`{which} | `{instruction}` | {why} |");
    }
    page += "\n## Under test\n\n\
             Operations, routines, stale states and line states that are maintenance themselves,\n\
             and what the capture kernel broadcasts: no caches depend on them, verdicts do.\n\n";
    for part in UNDER_TEST {
        let _ = writeln!(page, "- `{part}`");
    }
    page += "\n## For table walks\n\n\
             The `dsb` behind a change of page tables, which are walked through the caches.\n\n";
    for part in TABLE_WALKS {
        let _ = writeln!(page, "- `{part}`");
    }
    page += "\n## Not executed by name\n\n| where | why |\n|---|---|\n";
    for (part, why) in &ELSEWHERE {
        let _ = writeln!(page, "| `{part}` | {why} |");
    }
    page += "\n## Not seen\n\n\
             TLBs: each `tlbi`. Table walks are seen as reads of the tables. What the\n\
             UEFI loader does runs before the image.\n";
    page
}

/// Compares the page with the one in `docs/`, or writes that.
fn hold_against_the_page(page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/maintenance-sites.md");
    if std::env::var_os("STALECORE_WRITE_SITES").is_some() {
        fs::write(&path, page).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/maintenance-sites.md is not what was found: STALECORE_WRITE_SITES=1 writes it"
    );
}

#[test]
fn the_page_is_what_the_lists_say() {
    hold_against_the_page(&page());
}
