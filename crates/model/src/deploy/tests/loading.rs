//! What is loaded, and where.

use super::*;

#[test]
fn what_is_loaded_lies_where_nothing_is() {
    let load = load(&good(), Way::Now);
    // Behind the kernel, at the first multiple of 2 MiB.
    assert_eq!(load.image().base, 0x4280_0000);
    let pieces = |load: &Load| -> Vec<_> { load.pieces.iter().map(|p| p.region).collect() };
    for (nth, piece) in pieces(&load).iter().enumerate() {
        assert_eq!((piece.base % 0x1_0000, piece.size % 0x1_0000), (0, 0));
        assert!(load.pieces[nth].bytes.len() as u64 <= piece.size);
        for other in &pieces(&load)[nth + 1..] {
            assert!(!piece.overlaps(other));
        }
    }
    // Without a reservation around it, all memory may be used.
    assert_eq!(chosen(&load, "linux,usable-memory-range"), None);
    assert_eq!(chosen(&load, "linux,booted-from-kexec"), Some(vec![]));
}

#[test]
fn a_crash_kernel_stays_in_the_reservation() {
    let load = load(&good(), Way::Crash);
    let reservation = Region {
        base: 0x6000_0000,
        size: 256 << 20,
    };
    for piece in &load.pieces {
        assert_eq!(piece.region.common(&reservation), Some(piece.region));
    }
    let range = [0x6000_0000_u64, 256 << 20].map(u64::to_be_bytes).concat();
    assert_eq!(chosen(&load, "linux,usable-memory-range"), Some(range));
    let seen = crate::platform::devicetree::read(&load.pieces[1].bytes).unwrap();
    assert_eq!(seen.memory, [reservation]);
    // A reservation that is off by a megabyte serves as well, if there is room.
    let mut facts = good();
    facts.iomem = facts.iomem.replace("60000000-", "60100000-");
    let load = self::load(&facts, Way::Crash);
    assert_eq!(load.image().base, 0x6020_0000);
}

#[test]
fn a_kernel_after_a_crash_stays_in_its_memory() {
    let mut facts = good();
    facts.vmcore = true;
    facts.iomem = "60000000-6fffffff : System RAM\n  60000000-61ffffff : Kernel code\n".into();
    let range = [0x6000_0000_u64, 256 << 20].map(u64::to_be_bytes).concat();
    let with_range = range.clone();
    facts.tree = tree(|tree| {
        let chosen = tree.root.child_mut("chosen").unwrap();
        let name = "linux,usable-memory-range";
        chosen.add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(
            name, with_range,
        ));
    });
    let load = load(&facts, Way::Now);
    assert_eq!(load.image().base, 0x6200_0000);
    assert_eq!(chosen(&load, "linux,usable-memory-range"), Some(range));
}

#[test]
fn a_tree_that_lies_about_memory_is_put_right() {
    let mut facts = good();
    // The tree has a gigabyte from 0x40000000; Linux uses less.
    facts.iomem = facts
        .iomem
        .replace("40000000-7fffffff", "40000000-6fffffff");
    let outcome = outcome(&facts, Way::Now);
    let said = outcome.warns.join("; ");
    assert!(
        said.contains("the tree has memory from 0x40000000 to 0x80000000, Linux uses 0x40000000 to 0x70000000: the image is told what Linux uses"),
        "{said}"
    );
    let Ok(Deed::Load(load)) = outcome.deed else {
        panic!("{:?}", outcome.deed)
    };
    let seen = crate::platform::devicetree::read(&load.pieces[1].bytes).unwrap();
    let memory = Region {
        base: 0x4000_0000,
        size: 0x3000_0000,
    };
    assert_eq!(seen.memory, [memory]);
    assert!(
        self::outcome(&good(), Way::Now)
            .warns
            .iter()
            .all(|w| !w.contains("tree"))
    );
}

#[test]
fn the_first_instructions_give_the_tree_and_jump() {
    let load = load(&good(), Way::Now);
    let [image, tree, first] = &load.pieces[..] else {
        panic!("{} pieces", load.pieces.len())
    };
    assert_eq!(load.entry, first.region.base);
    assert_eq!(first.bytes.len(), 40);
    assert_eq!(first.bytes[24..32], tree.region.base.to_le_bytes());
    assert_eq!(first.bytes[32..40], image.region.base.to_le_bytes());
    // ldr x0 and ldr x4 reach those words: imm19 is in words, from bit 5.
    let word = |nth: usize| u32::from_le_bytes(first.bytes[4 * nth..][..4].try_into().unwrap());
    for (nth, register, target) in [(0, 0, 24), (1, 4, 32)] {
        assert_eq!(word(nth) >> 24, 0x58);
        assert_eq!(word(nth) & 31, register);
        assert_eq!(4 * nth as u32 + 4 * (word(nth) >> 5 & 0x7ffff), target);
    }
}
