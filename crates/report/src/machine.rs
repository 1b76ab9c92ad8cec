//! The machine: what firmware says about it, and its identification registers
//! decoded field by field.

use maud::{Markup, html};
use stalecore_model::{
    cpuset::CpuSet,
    record::{Cores, Hex, Machine},
    registers::{self, Cache, Field, Holds},
    run::Run,
    topology::Topology,
    words,
};

use super::{
    text::{Said, bytes, counted, grouped, time},
    view::{View, label},
};

/// The most groups of unlike cores that are shown.
const GROUPS: usize = 32;

/// The section, with the machine of each run.
pub fn section(view: &View<'_>) -> Markup {
    let known = |run: &Run| run.machine.is_some() || !run.cores.is_empty();
    html! {
        @if view.runs.iter().any(known) {
            section id="machine" {
                h2 { "Machine" }
                @for (nth, run) in view.runs.iter().enumerate() {
                    @if view.runs.len() > 1 { h3 { b.run { (label(nth)) } } }
                    @if let Some(like) = same(view.runs, nth) {
                        p { "As in " b.run { (label(like)) } "." }
                    } @else {
                        @if let Some(machine) = &run.machine { (board(machine, run.topology.as_ref())) }
                        (mismatch(&run.cores))
                        @for cores in merged(&run.cores).iter().take(GROUPS) { (group(cores)) }
                    }
                }
            }
        }
    }
}

/// An earlier run on a machine that looks the same, figures aside.
fn same(runs: &[Run], nth: usize) -> Option<usize> {
    let face = |run: &Run| {
        run.machine.as_ref().map(|m| {
            (
                m.model.clone(),
                m.cpus,
                m.gic.clone(),
                m.counter.clone(),
                m.entry_el,
            )
        })
    };
    (0..nth).find(|i| {
        let (one, other) = (&runs[*i], &runs[nth]);
        one.cores == other.cores && one.topology == other.topology && face(one) == face(other)
    })
}

fn board(machine: &Machine, topology: Option<&Topology>) -> Markup {
    let empty = |per_mille| machine.empty.quantile(per_mille);
    let time_of = |ticks: u64| match machine.counter_hz {
        0 => format!("{ticks} ticks"),
        hz => time(ticks as f64 * 1e9 / hz as f64),
    };
    html! {
        dl.facts {
            dt { "Board" } dd { (Said(&machine.model)) " (from " (Said(&machine.source)) ")" }
            dt { "Cores, memory" } dd { (counted(machine.cpus.into(), "core", "cores")) ", " (grouped(machine.memory_mib)) " MiB" }
            @if let Some(topology) = topology {
                (groups("Sockets", &topology.sockets))
                (groups("Clusters", &topology.clusters))
            }
            dt { "Entered at" } dd { "EL" (machine.entry_el) }
            dt { "PSCI" }
            dd {
                @match &machine.psci {
                    Some(conduit) => {
                        @if let Some(version) = &machine.psci_version { (Said(version)) " by " }
                        (Said(conduit))
                    }
                    None => "none",
                }
            }
            dt { "GIC" }
            dd {
                (Said(&machine.gic))
                @if machine.gicr_regions > 0 {
                    ", " (machine.gicr_regions) " redistributor region" @if machine.gicr_regions > 1 { "s" }
                }
            }
            dt { "Console" } dd { (Said(&machine.console)) }
            dt { "Counter" }
            dd {
                (Said(&machine.counter)) " at " (hertz(machine.counter_hz))
                ", CNTFRQ_EL0 " (hertz(machine.cntfrq))
            }
            dt { "Empty block" }
            dd {
                @if let (Some(p50), Some(p99)) = (empty(500), empty(990)) {
                    "median " (time_of(p50)) ", p99 " (time_of(p99)) "; nothing is subtracted from the samples"
                } @else { "not measured" }
            }
        }
    }
}

/// The cores of each socket or cluster.
fn groups(what: &str, groups: &[CpuSet]) -> Markup {
    html! {
        @if !groups.is_empty() {
            dt { (what) }
            dd {
                (groups.len()) ": "
                @if let [only] = groups { (words::cpus(only)) } @else {
                    "CPUs "
                    @for (nth, cpus) in groups.iter().take(GROUPS).enumerate() {
                        @if nth > 0 { " · " }
                        (cpus)
                    }
                }
                @if groups.len() > GROUPS { " · …" }
            }
        }
    }
}

fn hertz(hz: u64) -> String {
    match hz {
        0 => "an unknown frequency".into(),
        hz if hz % 1_000_000 == 0 => format!("{} MHz", grouped(hz / 1_000_000)),
        hz => format!("{} kHz", grouped(hz / 1000)),
    }
}

/// A warning if the cores' line sizes differ.
fn mismatch(cores: &[Cores]) -> Markup {
    let sizes = || cores.iter().map(|c| registers::line_sizes(c.ctr.0));
    let (data, code) = (sizes().map(|s| s.0).min(), sizes().map(|s| s.1).min());
    let differ = sizes().any(|s| Some(s.0) != data || Some(s.1) != code);
    html! {
        @if let (true, Some(data), Some(code)) = (differ, data, code) {
            p.caveat {
                b { "The cores' line sizes differ. " }
                "The smallest are used: " (data) " bytes for data, " (code) " bytes for instructions."
            }
        }
    }
}

/// Puts cores with equal registers together: one record only names cores that came up
/// at the same time.
fn merged(cores: &[Cores]) -> Vec<Cores> {
    let mut groups: Vec<Cores> = Vec::new();
    for next in cores {
        let same = groups.iter_mut().find(|group| {
            let alone = |c: &Cores| Cores {
                cpus: CpuSet::EMPTY,
                mpidr: Vec::new(),
                ..c.clone()
            };
            alone(group) == alone(next)
        });
        match same {
            Some(group) => group.cpus = group.cpus.union(&next.cpus),
            None => groups.push(next.clone()),
        }
    }
    groups
}

fn group(cores: &Cores) -> Markup {
    let ccsidr: Vec<u64> = cores.ccsidr.iter().map(|c| c.0).collect();
    html! {
        article.cores {
            h3 { (registers::core_name(cores.midr.0)) small { " " (words::cpus(&cores.cpus)) } }
            div.columns {
                div {
                    (register("CTR_EL0", cores.ctr, &registers::ctr(cores.ctr.0)))
                }
                div {
                    (caches(&registers::caches(cores.clidr.0, &ccsidr)))
                    (register("CLIDR_EL1", cores.clidr, &registers::clidr_levels(cores.clidr.0)))
                    dl.facts {
                        dt { "MIDR_EL1" } dd { code { (cores.midr) } }
                        dt { "REVIDR_EL1" } dd { code { (cores.revidr) } }
                        dt { "DCZID_EL0" }
                        dd {
                            code { (cores.dczid) } " "
                            @match registers::dc_zva_block(cores.dczid.0) {
                                Some(size) => { "dc zva clears " (bytes(size)) }
                                None => "dc zva is prohibited",
                            }
                        }
                        dt { "CNTFRQ_EL0" } dd { (hertz(cores.cntfrq)) }
                        dt { "PMU" }
                        dd {
                            @match cores.pmu {
                                Some(counters) => (counted(counters.into(), "event counter", "event counters")),
                                None => "none",
                            }
                        }
                    }
                }
            }
        }
    }
}

fn register(name: &str, value: Hex, fields: &[Field]) -> Markup {
    html! {
        table.register {
            caption { (name) " = " code { (value) } }
            thead { tr { th { "field" } th { "bits" } th { "value" } th { "meaning" } } }
            tbody {
                @for field in fields {
                    tr {
                        th scope="row" { (field.name) }
                        td.num { (field.high) @if field.high != field.low { ":" (field.low) } }
                        td.num { (field.value) }
                        td { (field.meaning) }
                    }
                }
            }
        }
    }
}

fn caches(caches: &[Cache]) -> Markup {
    let holds = |holds| match holds {
        Holds::Data => "data",
        Holds::Instructions => "instructions",
        Holds::Both => "both",
    };
    html! {
        table.register {
            caption { "Caches" }
            thead { tr { th { "level" } th { "holds" } th { "size" } th { "ways × sets × line" } } }
            tbody {
                @for cache in caches {
                    tr {
                        th scope="row" { "L" (cache.level) }
                        td { (holds(cache.holds)) }
                        @match cache.geometry {
                            Some(g) => {
                                td.num { (bytes(g.size())) }
                                td.num { (g.ways) " × " (g.sets) " × " (g.line) }
                            }
                            None => { td { "not read" } td {} }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    #[test]
    fn registers_are_shown_field_by_field() {
        let runs = [synthetic::run(&Shape::default())];
        let text = section(&View::new(&runs))
            .into_string()
            .replace('\u{a0}', " ");
        for part in [
            "Arm Cortex-A72 r0p3",
            "CTR_EL0 = <code>0x8444c004</code>",
            "<th scope=\"row\">IminLine</th><td class=\"num\">3:0</td>",
            "PIPT: physical index",
            "16 × 1024 × 64",
            "1 MiB",
            "dc zva clears 64 bytes",
            "1,000 MHz",
        ] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn sockets_and_clusters_are_told_where_firmware_does() {
        let mut runs = [synthetic::run(&Shape::default())];
        let page = |runs: &[Run]| section(&View::new(runs)).into_string();
        assert!(!page(&runs).contains("Sockets"));
        runs[0].topology = Some(Topology {
            sockets: vec![CpuSet::first(8)],
            clusters: (0..GROUPS + 8).map(CpuSet::one).collect(),
        });
        let page = page(&runs);
        assert!(
            page.contains("<dt>Sockets</dt><dd>1: CPUs 0-7</dd>"),
            "{page}"
        );
        assert!(page.contains("<dd>40: CPUs 0 · 1 · "), "{page}");
        assert!(page.contains(" · 31 · …</dd>"), "{page}");
    }

    #[test]
    fn unlike_line_sizes_are_a_warning() {
        let mut run = synthetic::run(&Shape {
            cpus: 64,
            ..Shape::default()
        });
        assert_eq!(mismatch(&run.cores).into_string(), "");
        run.cores[1].ctr = Hex(0x8445_c003);
        let text = mismatch(&run.cores).into_string();
        assert!(
            text.contains("64 bytes for data, 32 bytes for instructions"),
            "{text}"
        );
    }

    #[test]
    fn cores_that_came_up_at_different_times_are_one_group() {
        let run = synthetic::run(&Shape {
            cpus: 64,
            ..Shape::default()
        });
        let mut cores = run.cores.clone();
        cores[1].midr = cores[0].midr;
        let merged = merged(&cores);
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].cpus.to_string(), "0-63");
    }

    #[test]
    fn the_same_machine_is_shown_once() {
        let runs = [
            synthetic::run(&Shape::default()),
            synthetic::run(&Shape {
                seed: 2,
                ..Shape::default()
            }),
        ];
        let text = section(&View::new(&runs)).into_string();
        assert_eq!(text.matches("CTR_EL0 =").count(), 1);
        assert!(text.contains("As in"));
    }
}
