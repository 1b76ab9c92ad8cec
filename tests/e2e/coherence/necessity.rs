//! Each maintenance instruction of the image's own is necessary: without it the
//! checker finds a hazard. The list is `docs/maintenance-sites.md`, which this
//! test holds against what is executed;
//! `STALECORE_WRITE_SITES=1` writes it anew.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use stalecore_model::hazard::MaintenanceSite;

use super::{checked, own};

/// An instruction by its symbol and name; the third is which of several.
type Place = (&'static str, &'static str, usize);

/// Scenarios by name, and what is run.
const MMU_OFF: &str = "--ops dc-civac --stale mmu-off --samples 4 --sweep off";
// The same many times over: the answer that nobody reads is rare.
const MMU_OFF_OFTEN: &str =
    "--ops all --lines all --stale spin,mmu-off,cpu-off --samples 4 --sweep off";
// The first core is the one that had its caches on before code was written.
const FIRST_CORE_STALE: &str =
    "--ops dc-civac --stale mmu-off --initiators 2 --stale-cpus 0 --samples 4 --sweep off";
const PEN: &str = "--el 3 --ops dc-civac --stale spin --samples 4 --sweep off";
const KDUMP: &str = "--scenario kdump --kernel 4.18";
const NEWER_KDUMP: &str = "--scenario kdump --kernel 6.12";
const UEFI: &str = "--boot uefi --ops dc-civac --stale spin --samples 4 --sweep off";

/// What would be missed: place, in which scenario, what it protects.
const NECESSARY: [(Place, &str, &str); 13] = [
    (
        ("invalidate_range", "dc ivac", 0),
        MMU_OFF,
        "the early page tables and `mmu_setup`, written with the caches off, from older copies in \
         caches",
    ),
    (
        ("mmu_on", "ic iallu", 0),
        UEFI,
        "a core that starts, from what its instruction cache holds of the memory that the loader \
         has put the image into",
    ),
    (
        ("stalecore_image::hal::boot::set_tables", "dc civac", 0),
        MMU_OFF,
        "`mmu_setup`, which cores read before their caches are on",
    ),
    (
        (
            "stalecore_image::hal::boot::release_from_pen",
            "dc civac",
            0,
        ),
        PEN,
        "the word that cores in the pen poll with the caches off",
    ),
    (
        ("stalecore_image::stuck::table::post_request", "dc civac", 0),
        MMU_OFF,
        "the word that a core in `mmu-off` polls",
    ),
    (
        ("stalecore_image::stuck::table::read_ack", "dc civac", 0),
        MMU_OFF,
        "who reads the answer of a core in `mmu-off`, from an older copy",
    ),
    (
        ("stale_mmu_off", "dc civac", 0),
        MMU_OFF,
        "the core in `mmu-off` from its own dirty copy of the word that it polls",
    ),
    (
        ("stale_mmu_off", "dc civac", 1),
        MMU_OFF,
        "its answer, from its own dirty copy being written back over it",
    ),
    (
        ("stale_mmu_off", "dc ivac", 0),
        MMU_OFF_OFTEN,
        "the core that leaves `mmu-off`, from an older copy of its last answer that nobody has read \
         since, when it writes that word again",
    ),
    (
        ("caches_clean_inval_pou", "dc cvau", 0),
        FIRST_CORE_STALE,
        "the code in initiators' areas: it reaches the point of unification before it is fetched",
    ),
    (
        ("caches_clean_inval_pou", "ic ivau", 0),
        FIRST_CORE_STALE,
        "the same, from what instruction caches hold of that memory",
    ),
    (
        ("__flush_dcache_area", "dc civac", 0),
        KDUMP,
        "kdump's relocation code, list and segments, which are read with the caches off (kernels \
         that flush at the crash)",
    ),
    (
        ("dcache_clean_inval_poc", "dc civac", 0),
        NEWER_KDUMP,
        "the same where the kernel flushes when the crash image is loaded, and memory that the \
         crash image is copied to, from dirty lines",
    ),
];

/// What the checker does not miss, and the rule that makes it needless or the
/// reason why nothing can be seen.
const NOT_MISSED: [(Place, &str); 3] = [
    (
        ("stalecore_image::cores::start::start", "dc civac", 0),
        "a started core reads its `Core` with the MMU and the caches on, and Normal Write-Back \
         memory of the Inner Shareable domain is coherent between the observers of that domain \
         (Arm ARM, Shareable Normal memory): nothing depends on it",
    ),
    (
        (
            "stalecore_image::report::recorder::empty_caches",
            "dc civac",
            0,
        ),
        "the flight recorder's memory is used past the caches from there on, and only firmware may \
         have used it through them before, on an earlier boot too, which the checker does not see. \
         The rules on mismatched memory attributes require it (Arm ARM, Mismatched memory attributes)",
    ),
    (
        ("icache_inval_pou", "ic ivau", 0),
        "the relocation code of kdump runs with SCTLR_EL1.I = 0, so its fetches are Non-cacheable; \
         kernels execute it all the same, and it is part of what is played",
    ),
];

/// What is under test or brings about what is: the operations and routines, the
/// stale states that do maintenance, the line states, the capture kernel's first
/// broadcasts.
const UNDER_TEST: [&str; 10] = [
    "stalecore_routines::probe",
    "stalecore_image::measure::measurement",
    "stalecore_image::measure::routine",
    "stalecore_image::fabric",
    "flush_icache_range",
    "stale_dc_storm",
    "stale_ic_storm",
    "capture_ic_ialluis",
    "__flush_icache_range",
    "icache_inval_pou",
];

/// The symbol of `symbol+offset`.
fn symbol(at: &str) -> &str {
    at.rsplit_once('+')
        .filter(|(_, offset)| offset.bytes().all(|b| b.is_ascii_digit()))
        .map_or(at, |(symbol, _)| symbol)
}

/// The maintenance of a scenario, by place; in each the lowest address first.
fn places(args: &str) -> BTreeMap<(String, String, usize), MaintenanceSite> {
    let run = checked("", args).run;
    let found: Vec<_> = own(&run).collect();
    assert!(found.is_empty(), "{args}: {found:#?}");
    let mut places = BTreeMap::new();
    for site in run.coherence.expect("what was seen").sites {
        if site.instruction.starts_with("dc ") || site.instruction.starts_with("ic ") {
            let key = (symbol(&site.at).to_string(), site.instruction.clone());
            let nth = (0..)
                .find(|nth| !places.contains_key(&(key.0.clone(), key.1.clone(), *nth)))
                .unwrap_or(0);
            places.insert((key.0, key.1, nth), site);
        }
    }
    places
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
        PEN,
        KDUMP,
        NEWER_KDUMP,
        UEFI,
    ];
    let executed: BTreeMap<_, _> = scenarios.iter().map(|args| (*args, places(args))).collect();
    let mut unknown = Vec::new();
    for place in executed.values().flat_map(BTreeMap::keys) {
        let listed = NECESSARY
            .iter()
            .any(|(known, _, _)| owned(*known) == *place)
            || NOT_MISSED.iter().any(|(known, _)| owned(*known) == *place)
            || UNDER_TEST
                .iter()
                .any(|part| place.0.trim_start_matches('<').starts_with(part));
        if !listed {
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
        // Where the cores' timing decides whether it is needed: once in a few.
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
        assert!(
            run.hazards.is_empty(),
            "{place:?} is missed: {:#?}",
            run.hazards
        );
    }
    hold_against_the_page(&page());
}

/// The page, as the tables above have it.
fn page() -> String {
    let mut page = String::from(
        "# The image's own cache maintenance\n\n\
         Written by `tests/e2e/coherence/necessity.rs`, which `.ci/run` runs: the checker of caches\n\
         (`--check-coherence`) passes over one instruction after the other, and must then find a\n\
         hazard.\n\n\
         ## Necessary\n\n\
         | where | instruction | what it protects | seen with |\n|---|---|---|---|\n",
    );
    for ((symbol, instruction, nth), args, protects) in &NECESSARY {
        let which = if *nth > 0 {
            format!(" ({})", nth + 1)
        } else {
            String::new()
        };
        let _ = writeln!(
            page,
            "| `{symbol}`{which} | `{instruction}` | {protects} | `{args}` |"
        );
    }
    page += "\n## Not missed by the checker\n\n| where | instruction | why |\n|---|---|---|\n";
    for ((symbol, instruction, _), why) in &NOT_MISSED {
        let _ = writeln!(page, "| `{symbol}` | `{instruction}` | {why} |");
    }
    page += "\n## Under test\n\n\
             Operations, routines, stale states and line states that are maintenance themselves,\n\
             and what the capture kernel broadcasts: no caches depend on them, verdicts do.\n\n";
    for part in UNDER_TEST {
        let _ = writeln!(page, "- `{part}`");
    }
    page += "\n## Not seen\n\n\
             TLBs: each `tlbi`. Table walks are seen as reads of the tables. Code that is copied\n\
             and runs elsewhere has no name: the `dc ivac` and `ic iallu` of kdump's relocation\n\
             code. What the UEFI loader does runs before the image.\n";
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
