//! Block reports and faults: what an operation that did not return, or took an
//! exception, looked like from outside.

use maud::{Markup, html};
use stalecore_model::{
    record::{BisectRecord, Block, Fault, INHERITED_SDEI, INHERITED_SGI, Release, Rung, WAITED},
    run::Run,
    witness::{Reading, told},
    words,
};

use super::{
    text::{Said, counted, grouped, time},
    view::{View, label},
};

/// The most blocks that are shown in full; the others are a line each.
const FULL: usize = 40;
/// The most interconnects that are shown of one block.
const WITNESSES: usize = 16;
/// The most rows of cores or rungs in one block, and of faults.
const ROWS: usize = 600;

/// The sections, where there is something to show.
pub fn section(view: &View<'_>) -> Markup {
    let blocks = view.runs.iter().any(|r| !r.blocks.is_empty());
    let faults = view.runs.iter().any(|r| !r.faults.is_empty());
    html! {
        @if blocks {
            section id="blocks" {
                h2 { "Block reports" }
                p { "An operation that had not returned when its deadline passed, what every other core was doing, and what released it." }
                @for (nth, run) in view.runs.iter().enumerate() {
                    @for (at, block) in run.blocks.iter().enumerate().take(FULL) {
                        (card(view, nth, at, block))
                    }
                    (others(view, nth, run))
                }
            }
        }
        @if faults {
            section id="faults" {
                h2 { "Faults" }
                div.wide {
                    table {
                        thead { tr { th { "case" } th { "at" } th { "exception" } th { "ESR_EL1" } th { "FAR_EL1" } th { "ELR_EL1" } th { "returned" } } }
                        tbody {
                            @for (nth, run) in view.runs.iter().enumerate() {
                                @for fault in run.faults.iter().take(ROWS) { (fault_row(view, nth, fault)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The case of that number, as a link where the page has it.
fn case_link(view: &View<'_>, nth: usize, number: u32) -> Markup {
    html! {
        @if let Some(link) = view.link(nth, number) {
            a href=(link) { "case " (number) }
        } @else {
            "case " (number)
        }
    }
}

fn card(view: &View<'_>, nth: usize, at: usize, block: &Block) -> Markup {
    html! {
        article.block id={ "b" (nth) "-" (at) } {
            h3 {
                @if view.runs.len() > 1 { b.run { (label(nth)) } " " }
                i.v5 { "■" } " CPU " (block.initiator) " at " code { (Said(&block.place())) }
            }
            p {
                (case_link(view, nth, block.n)) " (" (block.op.name()) "): "
                @if block.behind { "it had returned, and its core did not go on; " } @else { "had not returned " }
                b { (block.waited()) }
                @if block.baseline { ", with " b { "every other core parked" } " (its baseline)" }
                @if let Some(address) = &block.address { ", on address " code { (address) } }
                "; " (counted(block.returned, "operation", "operations")) " of the case had returned before it. Seen by the "
                (Said(&block.seen_by)) "."
            }
            div.wide {
                table {
                    thead { tr { th { "cores" } th { "role" } th { "doing" } th { "last proof of life" } th { "at" } } }
                    tbody {
                        @for core in block.cores.iter().take(ROWS) {
                            tr {
                                td.num { (core.cpus) }
                                td { (Said(&core.role)) }
                                td { (Said(&core.doing)) }
                                td { (Said(&core.proof)) }
                                td { @if let Some(at) = &core.at { code { (Said(at)) } } }
                            }
                        }
                    }
                }
            }
            (witnesses(&block.witness))
            (ladder(block))
            @for found in view.runs[nth].bisections.iter().filter(|b| b.n == block.n) { (culprits(found)) }
        }
    }
}

/// What counters in the interconnect stood at, a table for each, and what moved while the
/// operation had not returned.
fn witnesses(readings: &[Reading]) -> Markup {
    let first_of = |(nth, reading): &(usize, &Reading)| {
        let mut before = readings[..*nth].iter();
        !before.any(|other| other.at == reading.at)
    };
    html! {
        @for (_, one) in readings.iter().enumerate().filter(first_of).take(WITNESSES) {
            div.wide {
                table.witness {
                    thead { tr {
                        th { "DVM in " (Said(&one.of)) " " code { (one.at) } }
                        @for name in told(&one.of) { th { (name) } }
                    } }
                    tbody {
                        @for reading in readings.iter().filter(|r| r.at == one.at).take(ROWS) {
                            tr {
                                td { (when(reading)) }
                                @for (_, count) in reading.named() { td.num { (grouped(count)) } }
                            }
                        }
                    }
                }
            }
        }
        @for (first, last) in Reading::spans(readings).iter().take(WITNESSES) {
            p { "While it had not returned: " (Said(&first.until(last))) "." }
        }
    }
}

fn when(reading: &Reading) -> String {
    match (reading.waited_ms, reading.returned) {
        (0, _) => "before its operations".into(),
        (ms, false) => format!("not returned for {ms} ms"),
        (ms, true) => format!("returned, at {ms} ms"),
    }
}

/// Which of the stale cores it takes to block.
fn culprits(found: &BisectRecord) -> Markup {
    html! {
        p.culprits {
            b { "Which cores it takes: " }
            @if found.culprits.is_empty() {
                "no smaller set of " (words::cpus(&found.stale)) " was found"
            } @else {
                @for (i, set) in found.culprits.iter().take(ROWS).enumerate() {
                    @if i > 0 { " or " }
                    "CPU" @if set.len() > 1 { "s" } " " b { (set) }
                }
                ", of " (words::cpus(&found.stale)) " that " (words::with(found.stale.len(), "was", "were")) " stale"
            }
            @match found.trials {
                0 => "; the case was not run again",
                n => { "; the case was run " (counted(n.into(), "more time", "more times")) }
            }
            @if !found.complete { ", and there may be other sets" }
            @if let Some(why) = &found.why { " (" (Said(why)) ")" }
            "."
        }
    }
}

fn ladder(block: &Block) -> Markup {
    let what = |rung: &Rung| match rung.rung.as_str() {
        WAITED => Some("nothing done: a longer wait"),
        "sev" => Some("an event to all cores"),
        "unlock" => Some("the lock released"),
        "sgi" => Some("an interrupt to the stale cores"),
        "sdei" => Some("an event of firmware's, taken even when masked"),
        "el2" => Some("a kick at EL2, taken even when masked"),
        "psci" => Some("power control"),
        INHERITED_SGI => Some("an interrupt to the cores that were stuck before this boot"),
        INHERITED_SDEI => Some("an event of firmware's to the cores that were stuck before"),
        // Of threads: `stalecore live`.
        "signal" => Some("a signal to the stale threads"),
        "online" => Some("the CPUs back online"),
        _ => None,
    };
    html! {
        @if block.ladder.is_empty() {
            p { "No rung of the release ladder was tried." }
        } @else {
            ol.ladder {
                @for rung in block.ladder.iter().take(ROWS) {
                    li.released[rung.released] {
                        b { (Said(&rung.rung)) }
                        " " span { (time(rung.us as f64 * 1e3)) }
                        @if let Some(what) = what(rung) { small { (what) } }
                        em { (what_came(block, rung)) }
                    }
                }
            }
            @if block.release() == Release::None { p { "Nothing released it." } }
        }
    }
}

fn what_came(block: &Block, rung: &Rung) -> String {
    match block.release() {
        _ if !rung.released => "no effect".into(),
        Release::By(_) => format!("✓ released it{}", block.or_chance()),
        _ => "returned meanwhile, cause not known".into(),
    }
}

fn released_by(block: &Block) -> &str {
    match block.release() {
        Release::By(rung) => rung,
        Release::Unknown(_) => "not known",
        Release::None => "nothing",
    }
}

fn others(view: &View<'_>, nth: usize, run: &Run) -> Markup {
    html! {
        @if run.blocks.len() > FULL {
            details {
                summary { (counted((run.blocks.len() - FULL) as u64, "more block", "more blocks")) }
                div.wide {
                    table {
                        thead { tr { th { "case" } th { "CPU" } th { "at" } th { "waited" } th { "released by" } } }
                        tbody {
                            @for (at, block) in run.blocks.iter().enumerate().skip(FULL) {
                                tr id={ "b" (nth) "-" (at) } {
                                    td { (case_link(view, nth, block.n)) " " (block.op.name()) }
                                    td.num { (block.initiator) }
                                    td { code { (Said(&block.at)) } }
                                    td.num { @if block.waited_ms > 0 { (time(block.waited_ms as f64 * 1e6)) } @else { "reset" } }
                                    td { (Said(released_by(block))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn fault_row(view: &View<'_>, nth: usize, fault: &Fault) -> Markup {
    html! {
        tr {
            td {
                @if view.runs.len() > 1 { b.run { (label(nth)) } " " }
                (case_link(view, nth, fault.n)) ", " (fault.op.name()) " on CPU " (fault.initiator)
            }
            td { code { (Said(&fault.at)) } }
            td { (Said(&fault.syndrome)) }
            td.num { code { (fault.esr) } }
            td.num { code { (fault.far) } }
            td.num { code { (fault.elr) } }
            td.num { (fault.returned) @if fault.returned == -14 { " (-EFAULT)" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_model::record::Hex;
    use stalecore_synthetic::{self as synthetic, Shape};

    #[test]
    fn a_block_shows_all_cores_and_what_released_it() {
        let runs = [synthetic::run(&Shape::default())];
        let text = section(&View::new(&runs)).into_string();
        for part in [
            "CPU 0",
            "flush_icache_range+92",
            "0x40123440",
            ">1-6<",
            "heartbeat 3, 2400 ms ago",
            "✓ released it",
            "a kick at EL2",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn what_the_interconnect_counted_is_shown() {
        let mut run = synthetic::run(&Shape::default());
        let reading = |at, waited_ms, returned, count| Reading {
            n: run.blocks[0].n,
            of: "cmn-600".into(),
            at: Hex(at),
            waited_ms,
            returned,
            counts: vec![count, 2, 0, 41_000],
        };
        run.blocks[0].witness = vec![
            reading(0x5000_0000, 0, false, 7),
            reading(0x6000_0000, 0, false, 9),
            reading(0x5000_0000, 2400, false, 7),
            reading(0x5000_0000, 2700, false, 7),
            reading(0x5000_0000, 2701, true, 8),
        ];
        let text = section(&View::new(&[run])).into_string();
        for part in [
            "DVM in cmn-600 <code>0x50000000</code>",
            "<code>0x60000000</code>",
            "occupancy",
            "41,000",
            "before its operations",
            "not returned for 2400 ms",
            "returned, at 2701 ms",
            "from 2400 to 2700 ms: operations stood still at 7",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_cores_that_a_block_takes_are_named() {
        let runs = [synthetic::run(&Shape::default())];
        let text = section(&View::new(&runs)).into_string();
        assert!(
            text.contains("CPU <b>3</b> or CPUs <b>1,5</b>, of CPUs 1-6"),
            "{text}"
        );
    }

    #[test]
    fn what_nothing_released_is_said() {
        let mut run = synthetic::run(&Shape::default());
        run.blocks[0]
            .ladder
            .iter_mut()
            .for_each(|r| r.released = false);
        let text = section(&View::new(&[run])).into_string();
        assert!(text.contains("Nothing released it."));
    }

    #[test]
    fn thousands_of_blocks_stay_short() {
        let mut run = synthetic::run(&Shape::default());
        run.blocks = vec![run.blocks[0].clone(); 3000];
        let text = section(&View::new(&[run])).into_string();
        assert!(text.contains("2,960 more blocks"));
        assert!(text.len() < 700_000, "{}", text.len());
    }

    #[test]
    fn without_blocks_and_faults_there_is_no_section() {
        assert_eq!(section(&View::new(&[Run::default()])).into_string(), "");
    }
}
