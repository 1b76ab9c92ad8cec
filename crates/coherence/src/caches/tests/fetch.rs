//! Fetches: what makes new code visible.

use super::*;

#[test]
fn new_code_takes_each_of_its_steps() {
    // In this order; with one step left out, what is found.
    for (left_out, expected) in [
        ("", None),
        ("clean", Some(Kind::FetchNotClean)),
        ("first dsb", Some(Kind::FetchNotInvalidated)),
        ("invalidate", Some(Kind::FetchNotInvalidated)),
        ("second dsb", Some(Kind::FetchNotInvalidated)),
        ("isb", Some(Kind::FetchNoIsb)),
    ] {
        let m = machine();
        m.isb(0);
        m.store(0, CACHED);
        let steps: [(&str, &dyn Fn()); 5] = [
            ("clean", &|| m.dc(0, DataOp::Cvau)),
            ("first dsb", &|| m.dsb(0)),
            ("invalidate", &|| m.ivau(0)),
            ("second dsb", &|| m.dsb(0)),
            ("isb", &|| m.isb(0)),
        ];
        for (name, step) in steps {
            if name != left_out {
                step();
            }
        }
        m.fetch(0);
        let kinds: Vec<_> = m.found().iter().map(|(kind, _, _)| *kind).collect();
        assert_eq!(kinds, Vec::from_iter(expected), "without {left_out}");
    }
}

#[test]
fn each_core_discards_what_it_has_fetched_itself() {
    let m = machine();
    m.isb(1);
    m.store(0, CACHED);
    m.dc(0, DataOp::Cvau);
    m.dsb(0);
    m.ivau(0);
    m.dsb(0);
    m.fetch(1);
    assert_eq!(m.found(), [(Kind::FetchNoIsb, 1, 0)]);
    m.isb(1);
    m.fetch(1);
    // A later invalidate by others changes nothing.
    m.ivau(0);
    m.dsb(0);
    m.fetch(1);
    assert_eq!(m.found(), []);
}

#[test]
fn all_lines_at_once() {
    for shared in [true, false] {
        let m = machine();
        m.store(0, CACHED);
        m.dc(0, DataOp::Cvau);
        m.dsb(0);
        m.caches.invalidate_all(who(0, What::Maintenance), shared);
        m.dsb(0);
        for core in 0..2 {
            m.isb(core);
            m.fetch(core);
        }
        let others: &[_] = if shared {
            &[]
        } else {
            &[(Kind::FetchNotInvalidated, 1, 0)]
        };
        assert_eq!(m.found(), others);
    }
}

#[test]
fn ctr_el0_may_make_steps_needless() {
    let m = Machine::new(Traits {
        idc: true,
        dic: false,
        ..Traits::default()
    });
    m.store(0, CACHED);
    m.ivau(0);
    m.dsb(0);
    m.isb(0);
    m.fetch(0);
    assert_eq!(m.found(), []);
    let m = Machine::new(Traits {
        idc: true,
        dic: true,
        ..Traits::default()
    });
    m.store(0, CACHED);
    m.fetch(0);
    assert_eq!(m.found(), [(Kind::FetchNoIsb, 0, 0)]);
    m.isb(0);
    m.fetch(0);
    assert_eq!(m.found(), []);
}

#[test]
fn a_fetch_past_the_caches_sees_memory() {
    let m = machine();
    m.store(0, CACHED);
    m.caches.fetch(who(1, What::Fetch), LINE_AT, false);
    assert_eq!(m.found(), [(Kind::ReadPastDirty, 1, 0)]);
    m.dc(0, DataOp::Cvac);
    m.dsb(0);
    m.caches.fetch(who(1, What::Fetch), LINE_AT, false);
    assert_eq!(m.found(), []);
}

#[test]
fn the_same_bytes_once_more_are_no_new_code() {
    let m = machine();
    m.store(0, CACHED);
    for step in [DataOp::Cvau, DataOp::Cvac] {
        m.dc(0, step);
    }
    m.dsb(0);
    m.ivau(0);
    m.dsb(0);
    m.isb(1);
    m.store_again(0, CACHED);
    m.fetch(1);
    assert_eq!(m.found(), []);
    // Memory has them only once they are clean.
    m.sev(0);
    m.load(1, PAST);
    assert_eq!(m.found(), [(Kind::ReadPastDirty, 1, 0)]);
    m.store(0, CACHED);
    m.fetch(1);
    assert_eq!(m.found(), [(Kind::FetchNotClean, 1, 0)]);
}
