//! `docs/run.schema.json` and the types that write run.json say the same.

use jsonschema::Validator;
use serde_json::{Value, json};
use stalecore_model::{
    cpuset::CpuSet,
    exit::ExitCode,
    glossary::{LineState, StaleState, Subject, Verdict},
    hazard::{Coverage, Hazard, Kind, MaintenanceSite, Side},
    histogram::Histogram,
    kdump::{KdumpRecord, Step},
    record::{Absent, Dwell, Hex, Late, Maker, Resume, SCHEMA, Starved},
    rounds::{Class, Rounds},
    run::{Boot, Run, SerialLine, TcgThread},
    topology::Topology,
    witness::Reading,
};

use crate::synthetic::{self, Shape};

fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/run.schema.json")).expect("JSON")
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::new(schema).expect("a schema")
}

/// Forbids what the schema does not describe, everywhere.
fn closed(value: &mut Value) {
    if let Value::Object(map) = value {
        if map.contains_key("properties") {
            map.insert("additionalProperties".into(), json!(false));
        }
        map.values_mut().for_each(closed);
    } else if let Value::Array(list) = value {
        list.iter_mut().for_each(closed);
    }
}

/// A run with something in every field.
fn full() -> Value {
    let mut run = synthetic::run(&Shape {
        cases: 3480,
        samples: 64,
        cpus: 64,
        stale: 40,
        initiators: 2,
        sweep: true,
        ..Shape::default()
    });
    for (nth, case) in run.cases.iter_mut().enumerate() {
        case.batch = nth as u32 + 1;
        case.by = Some(Maker::Fabric);
    }
    let mut rounds = Rounds::new(Class::Complete);
    rounds.push(Some(1000), 3000, (10, 10));
    run.cases[0].rounds = Some(rounds);
    let mut samples = Histogram::new();
    samples.add(1000);
    run.cases[0].dwell.push(Dwell {
        ms: 50,
        baseline: samples.clone(),
        samples,
    });
    run.resumes.push(Resume {
        boots: 2,
        finished: 17,
        unfinished: Some(18),
    });
    run.boots.push(Boot {
        exit: 1,
        answer: "answer".into(),
        elapsed_ms: 1000,
        slowed: vec![1],
    });
    run.restarts = 1;
    run.image = "9:995dc9bbdf1939fa".into();
    run.absent.push(Absent {
        cpus: CpuSet::one(63),
        why: "PSCI CPU_ON: denied".into(),
        inherited: true,
    });
    run.blocks[0].baseline = true;
    run.blocks[0].behind = true;
    run.blocks[0].starved = Some(Starved {
        cpu: 3,
        queued_ms: 2390,
        ran_ms: 2,
        of_ms: 2400,
        all: true,
    });
    let n = run.blocks[0].n;
    run.blocks[0].witness.push(Reading {
        n,
        of: "cmn-600".into(),
        at: Hex(0x5000_0000),
        waited_ms: 2400,
        returned: true,
        counts: vec![1, 2, 3, 4],
    });
    run.cases[0].late = Some(Late {
        cpu: 0,
        round: 3,
        complete: true,
        nth: 14,
        operand: Hex(0x4000),
        ticks: 200_000,
        control: 100,
        at_ms: 3214,
        ago_ms: 12,
        starved: run.blocks[0].starved,
    });
    run.tcg_thread = Some(TcgThread::Single);
    run.starved.push(run.blocks[0].clone());
    run.made_by = Maker::ALL.to_vec();
    run.lost = vec![[4, 4], [7, 9]];
    run.unchecked = 1;
    run.followed_by = 2;
    run.serial = Some(SerialLine {
        garbled_bytes: 3,
        lost_bytes: Some(2),
        damaged_bytes: Some(1),
        cuts: 4,
    });
    let side = |what: &str| Side {
        cpu: 1,
        at: "mmu_on+8".into(),
        pc: Hex(0x4020_0008),
        what: what.into(),
    };
    let hazard = |kind: &Kind| Hazard {
        kind: *kind,
        by: side("load"),
        with: side("store"),
        line: Hex(0x4020_0000),
        meant: vec![Subject::DcIvac],
    };
    run.hazards = Kind::ALL.iter().map(hazard).collect();
    run.coherence = Some(Coverage {
        image: Some(Hex(0x4020_0000)),
        other: false,
        accesses: 3,
        fetches: 4,
        sites: vec![MaintenanceSite {
            at: "mmu_on+8".into(),
            address: Hex(0x8),
            instruction: "dc ivac".into(),
            times: 5,
            ignored: false,
        }],
        unseen: vec!["SVE".into()],
    });
    run.topology = Some(Topology {
        sockets: vec![CpuSet::first(64)],
        clusters: vec![CpuSet::one(0), CpuSet::one(1)],
    });
    run.kdump = Step::ALL
        .iter()
        .map(|step| KdumpRecord {
            step: *step,
            at_ms: 12,
            cpu: 3,
            cpus: Some(CpuSet::first(2)),
            detail: Some("said".into()),
        })
        .collect();
    serde_json::to_value(run).expect("JSON")
}

fn faults(schema: &Value, run: &Value) -> Vec<String> {
    let validator = validator(schema);
    let errors = validator.iter_errors(run).take(5);
    errors
        .map(|e| format!("{e} at {}", e.instance_path()))
        .collect()
}

#[test]
fn what_is_written_is_valid_and_described() {
    let mut strict = schema();
    closed(&mut strict);
    assert_eq!(faults(&strict, &full()), Vec::<String>::new());
    let nothing = Run {
        schema: SCHEMA,
        ..Run::default()
    };
    let nothing = serde_json::to_value(nothing).expect("JSON");
    assert_eq!(faults(&strict, &nothing), Vec::<String>::new());
}

/// A full run has every property that the schema describes: none is left over.
#[test]
fn what_is_described_is_written() {
    fn walk(schema: &Value, root: &Value, value: &Value, missing: &mut Vec<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let target = &root[&"$defs"][name.trim_start_matches("#/$defs/")];
            return walk(target, root, value, missing);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            return walk(&any[0], root, value, missing);
        }
        if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
            assert!(!list.is_empty(), "an empty list shows nothing");
            // What one element leaves out, another may have.
            let mut least: Option<Vec<String>> = None;
            for item in list {
                let mut here = Vec::new();
                walk(items, root, item, &mut here);
                least = Some(match least {
                    None => here,
                    Some(before) => before.into_iter().filter(|m| here.contains(m)).collect(),
                });
            }
            missing.extend(least.unwrap_or_default());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            match value.get(name) {
                Some(Value::Null) | None => missing.push(name.clone()),
                Some(inner) => walk(property, root, inner, missing),
            }
        }
    }
    let (schema, mut missing) = (schema(), Vec::new());
    walk(&schema, &schema, &full(), &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn words_are_the_glossary_s() {
    let schema = schema();
    let defs = &schema["$defs"];
    let word = |name: &str, about: &str| json!({ "const": name, "description": about });
    let subjects: Vec<_> = Subject::ALL
        .iter()
        .map(|w| word(w.name(), w.about()))
        .collect();
    let states: Vec<_> = StaleState::ALL
        .iter()
        .map(|w| word(w.name(), w.about()))
        .collect();
    let lines: Vec<_> = LineState::ALL
        .iter()
        .map(|w| word(w.name(), w.about()))
        .collect();
    let verdicts: Vec<_> = Verdict::ALL
        .iter()
        .map(|w| word(w.name(), w.about()))
        .collect();
    assert_eq!(defs["Subject"]["oneOf"], json!(subjects));
    assert_eq!(defs["StaleState"]["oneOf"], json!(states));
    assert_eq!(defs["LineState"]["oneOf"], json!(lines));
    assert_eq!(defs["Verdict"]["oneOf"], json!(verdicts));
    let steps = defs["Step"]["oneOf"].as_array().expect("a list");
    assert!(
        steps
            .iter()
            .map(|step| &step["const"])
            .eq(Step::ALL.map(|s| json!(s)).iter())
    );
    assert_eq!(schema["properties"]["schema"]["const"], json!(SCHEMA));
    let mut codes: Vec<_> = ExitCode::BY_SERIOUSNESS
        .iter()
        .map(|(c, _)| *c as u8)
        .collect();
    codes.sort_unstable();
    assert_eq!(schema["properties"]["exit"]["enum"], json!(codes));
}

#[test]
fn the_histogram_in_the_documentation_is_as_it_says() {
    let wire = "4g-1bc=1(3f)ZZ2";
    assert!(include_str!("../../docs/report-format.md").contains(wire));
    let histogram = Histogram::from_wire(wire).expect("a histogram");
    assert_eq!((histogram.min(), histogram.max()), (Some(160), Some(1704)));
    let buckets: Vec<_> = histogram.buckets().map(|(low, _, n)| (low, n)).collect();
    assert_eq!(buckets, [(160, 1), (168, 123), (1664, 2)]);
}

#[test]
fn what_is_wrong_is_refused() {
    let (schema, good) = (schema(), full());
    let validator = validator(&schema);
    for (place, wrong) in [
        ("/schema", json!(1)),
        ("/exit", json!(7)),
        ("/answer", json!(null)),
        ("/machine/empty", json!("4g")),
        ("/machine/entry_el", json!(-1)),
        ("/cores/0/ctr", json!("84448004")),
        ("/cores/0/cpus", json!("0-")),
        ("/cases/0/op", json!("ic-iva")),
        ("/cases/0/bc", json!("1-2=")),
        ("/cases/0/bc", json!("1-2=1Z")),
        ("/cases/0/bc", json!("4g-1bc@1w,1:3f,1h:2")),
        ("/cases/0/state", json!(null)),
        ("/cases/5/sweep/0/d", json!("4")),
        ("/blocks/0/ladder/0/released", json!(1)),
        ("/icount/more/0", json!(["ic-ivau"])),
        ("/end/verdicts/0", json!(["completed", 3, 4])),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = wrong;
        assert!(!validator.is_valid(&bad), "{place}");
    }
    assert!(validator.is_valid(&good));
}
