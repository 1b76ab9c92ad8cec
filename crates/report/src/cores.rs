//! The cores: where each one is, its role, and, where several ran the operations,
//! which of them were later than the others.

use std::collections::BTreeMap;

use maud::{Markup, html};
use stalecore_model::{
    cpuset::CpuSet,
    record::CaseRecord,
    registers::{affinity, core_name},
    run::Run,
};

use super::{
    text::{counted, three_digits, time},
    view::{Key, View, label},
};

/// The most initiators in the table: the slowest.
const ROWS: usize = 16;

/// The section, with the cores of each run.
pub fn section(view: &View<'_>) -> Markup {
    let known = |run: &Run| !run.cores.is_empty();
    html! {
        @if view.runs.iter().any(known) {
            section id="cores" {
                h2 { "Cores" }
                p { "Cores that share a box share the affinity above it (MPIDR_EL1)." }
                p.keys {
                    span.key { b.core.i { "▶" } "initiator" }
                    span.key { b.core.s { "●" } "stale" }
                    span.key { b.core.w { "◎" } "sentinel" }
                    span.key { b.core { "·" } "parked throughout" }
                }
                @for (nth, run) in view.runs.iter().enumerate().filter(|(_, r)| known(r)) {
                    @if view.runs.len() > 1 { h3 { b.run { (label(nth)) } } }
                    (topology(run))
                    (initiators(view, nth))
                }
            }
        }
    }
}

/// A core's place and nature.
struct Core {
    cpu: usize,
    name: String,
    mpidr: u64,
}

/// Cores by Aff3 and Aff2, then by Aff1.
type Tree = BTreeMap<(u8, u8), BTreeMap<u8, Vec<Core>>>;

fn tree(run: &Run) -> Tree {
    let mut tree = Tree::new();
    for group in &run.cores {
        let name = core_name(group.midr.0);
        for (cpu, mpidr) in group.cpus.iter().zip(&group.mpidr) {
            let [aff3, aff2, aff1, _] = affinity(mpidr.0);
            let core = Core {
                cpu,
                name: name.clone(),
                mpidr: mpidr.0,
            };
            let cluster = tree.entry((aff3, aff2)).or_default();
            cluster.entry(aff1).or_default().push(core);
        }
    }
    for cores in tree.values_mut().flat_map(BTreeMap::values_mut) {
        cores.sort_by_key(|core| core.cpu);
    }
    tree
}

fn topology(run: &Run) -> Markup {
    let tree = tree(run);
    // If each core is alone in its Aff1, boxes around them say nothing.
    let alone = tree
        .values()
        .flat_map(BTreeMap::values)
        .all(|c| c.len() == 1);
    html! {
        div.topology {
            @for ((aff3, aff2), clusters) in &tree {
                div.package {
                    @if tree.len() > 1 {
                        small { @if *aff3 > 0 { "Aff3 " (aff3) ", " } "Aff2 " (aff2) }
                    }
                    @for (aff1, cores) in clusters {
                        @if alone {
                            @for core in cores { (one(run, core)) }
                        } @else {
                            div.cluster {
                                small { "Aff1 " (aff1) }
                                @for core in cores { (one(run, core)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A core's role: its class, its mark and a word.
fn role(run: &Run, cpu: usize) -> (&'static str, &'static str, &'static str) {
    let within = |of: fn(&stalecore_model::record::PlanRecord) -> &CpuSet| {
        run.plan.as_ref().is_some_and(|p| of(p).contains(cpu))
    };
    let sentinel = run.machine.as_ref().and_then(|m| m.sentinel);
    if within(|p| &p.initiators) {
        ("core i", "▶", "initiator")
    } else if within(|p| &p.stale) {
        ("core s", "●", "stale")
    } else if sentinel.is_some_and(|s| s as usize == cpu) {
        ("core w", "◎", "sentinel")
    } else {
        ("core", "·", "parked throughout")
    }
}

fn one(run: &Run, core: &Core) -> Markup {
    let (class, mark, word) = role(run, core.cpu);
    let held_up = run
        .blocks
        .iter()
        .filter(|b| b.initiator as usize == core.cpu)
        .count();
    let [aff3, aff2, aff1, aff0] = affinity(core.mpidr);
    let topology = run.topology.as_ref();
    let (socket, cluster) = topology.map_or((None, None), |t| t.place(core.cpu));
    html! {
        b class={ (class) @if held_up > 0 { " held" } }
          title={ "CPU " (core.cpu) ", " (word) ", " (core.name) ", affinity " (aff3) "." (aff2) "." (aff1) "." (aff0)
                  @if let Some(socket) = socket { ", socket " (socket) }
                  @if let Some(cluster) = cluster { ", cluster " (cluster) }
                  @if held_up > 0 { ", held up in " (counted(held_up as u64, "block report", "block reports")) } } {
            (mark) i { (core.cpu) }
        }
    }
}

/// One initiator over all cases that several ran.
#[derive(Default)]
struct Share {
    /// Sum of the logarithms of its medians against the median initiator's.
    log: f64,
    cases: u32,
    /// Its latest 99th percentile, in nanoseconds, and where.
    worst: Option<(f64, Key)>,
}

fn shares(view: &View<'_>, nth: usize) -> BTreeMap<u32, Share> {
    let mut shares: BTreeMap<u32, Share> = BTreeMap::new();
    for case in &view.runs[nth].cases {
        let Some(middle) = middle(case) else { continue };
        for i in &case.initiators {
            let share = shares.entry(i.cpu).or_default();
            share.log += (i.p50.max(1) as f64 / middle).ln();
            share.cases += 1;
            let p99 = i.p99 as f64 * view.clocks[nth].ns;
            if share.worst.is_none_or(|(most, _)| p99 > most) {
                share.worst = Some((p99, Key::of(case)));
            }
        }
    }
    shares
}

/// The median of the initiators' medians in ticks; none for a single one.
fn middle(case: &CaseRecord) -> Option<f64> {
    let mut medians: Vec<_> = case.initiators.iter().map(|i| i.p50.max(1)).collect();
    medians.sort_unstable();
    (medians.len() > 1).then(|| medians[medians.len() / 2] as f64)
}

fn initiators(view: &View<'_>, nth: usize) -> Markup {
    let mut shares: Vec<_> = shares(view, nth)
        .into_iter()
        .map(|(cpu, share)| ((share.log / f64::from(share.cases)).exp(), cpu, share))
        .collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = shares.len();
    html! {
        @if all > 0 {
            h3 { "Initiators against each other" }
            p {
                "Each initiator's median against that of the median initiator, over all cases"
                @if all > ROWS { "; the slowest " (ROWS) " of " (all) }
                "."
            }
            div.wide {
                table.bars {
                    thead { tr { th { "CPU" } th { "against the others" } th { "latest p99" } th { "in" } } }
                    tbody {
                        @for (ratio, cpu, share) in shares.iter().take(ROWS) {
                            tr {
                                th scope="row" { (cpu) }
                                td { (bar(*ratio)) " " (three_digits(*ratio)) "×" }
                                @if let Some((p99, key)) = &share.worst {
                                    td.num { (time(*p99)) }
                                    td {
                                        a href={ "#case-" (view.cases.get(key).map_or(0, |e| e.id)) } {
                                            (key.op.name()) " under " (key.state.name())
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A bar from 1× on, its length by the logarithm: full at four times.
fn bar(ratio: f64) -> Markup {
    let part = (ratio.max(1.0).log2() / 2.0).clamp(0.01, 1.0);
    html! { span.bar style={ "width:" (format!("{:.1}", part * 8.0)) "em" } {} }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stalecore_synthetic::{self as synthetic, Shape};

    fn run(cpus: usize, initiators: usize) -> Run {
        synthetic::run(&Shape {
            cases: 30,
            cpus,
            stale: 3,
            initiators,
            ..Shape::default()
        })
    }

    #[test]
    fn cores_stand_where_their_affinity_puts_them() {
        let tree = tree(&run(64, 1));
        assert_eq!(tree.len(), 2);
        assert_eq!(tree[&(0, 1)].len(), 8);
        assert!(tree[&(0, 1)][&0].iter().all(|c| (32..36).contains(&c.cpu)));
    }

    #[test]
    fn each_core_is_drawn_once_with_its_role() {
        let runs = [run(64, 2)];
        let text = section(&View::new(&runs)).into_string();
        assert_eq!(text.matches("title=\"CPU ").count(), 64);
        assert!(
            text.contains("CPU 0, initiator, Arm Cortex-A72 r0p3, affinity 0.0.0.0, held up in 1")
        );
        assert!(text.contains("CPU 2, stale") && text.contains("CPU 63, sentinel"));
    }

    #[test]
    fn the_slowest_initiator_comes_first() {
        let runs = [run(64, 8)];
        let view = View::new(&runs);
        assert!(shares(&view, 0).len() == 8);
        let text = initiators(&view, 0).into_string();
        assert!(text.find(">7</th>").unwrap() < text.find(">0</th>").unwrap());
    }

    #[test]
    fn one_initiator_has_nobody_to_be_measured_against() {
        let runs = [run(8, 1)];
        assert_eq!(initiators(&View::new(&runs), 0).into_string(), "");
    }
}
