//! The kernel that comes next.

use super::*;

/// A kernel of 40 MiB in memory, and a ramdisk.
const KERNEL: u64 = 40 << 20;

fn with_next(facts: &Facts, options: &str, kernel: &[u8]) -> Outlook {
    let initrd = vec![7; 100_000];
    let next = Next {
        kernel,
        initrd: &initrd,
    };
    judged_with(facts, options, "", &image(6 << 20), Some(next))
}

#[test]
fn the_next_kernel_is_loaded_beside_the_image() {
    let facts = good();
    let outlook = with_next(&facts, "stalecore.then=kexec", &image(KERNEL));
    let Ok(Deed::Load(load)) = &outlook.ways[0].deed else {
        panic!("{:?}", outlook.ways[0].deed)
    };
    let [own, own_tree, _, first, tree, kernel, initrd] = &load.pieces[..] else {
        panic!("{} pieces", load.pieces.len())
    };
    // All of it is free memory, in whole pages, and nothing overlaps.
    let free = iomem::Iomem::read(&facts.iomem).free();
    for (nth, piece) in load.pieces.iter().enumerate() {
        let region = piece.region;
        assert!(free.iter().any(|part| part.common(&region) == Some(region)));
        assert_eq!((region.base % 0x1_0000, region.size % 0x1_0000), (0, 0));
        assert!(piece.bytes.len() as u64 <= region.size);
        let others = &load.pieces[nth + 1..];
        assert!(others.iter().all(|other| !other.region.overlaps(&region)));
    }
    assert_eq!(
        (own.region.base % (2 << 20), kernel.region.base % (2 << 20)),
        (0, 0)
    );
    // The image is told of one range, which begins with the first instructions, and takes
    // none of it.
    let next = load.next.unwrap();
    assert_eq!(next.base, first.region.base);
    for piece in [first, tree, kernel, initrd] {
        assert_eq!(next.common(&piece.region), Some(piece.region));
    }
    assert!(!next.overlaps(&own.region));
    let seen = crate::platform::devicetree::read(&own_tree.bytes).unwrap();
    assert!(seen.reserved.contains(&next));
    assert_eq!(seen.kexec.unwrap().next, Some(next));
    // They give the kernel its tree, which has this Linux's arguments and the ramdisk.
    assert_eq!(first.bytes[24..32], tree.region.base.to_le_bytes());
    assert_eq!(first.bytes[32..40], kernel.region.base.to_le_bytes());
    let fdt = Fdt::new(&tree.bytes).unwrap();
    let chosen = fdt.root().child("chosen").unwrap();
    let value = |name| {
        chosen
            .property(name)
            .map(|property| property.value().to_vec())
    };
    let cmdline = [facts.cmdline.as_bytes(), &[0]].concat();
    assert_eq!(value("bootargs"), Some(cmdline));
    let start = initrd.region.base;
    assert_eq!(
        value("linux,initrd-start"),
        Some(start.to_be_bytes().to_vec())
    );
    let end = (start + 100_000).to_be_bytes().to_vec();
    assert_eq!(value("linux,initrd-end"), Some(end));
    assert_eq!(value("stalecore,next"), None);
    // It is the whole machine's: memory is what it was.
    assert!(fdt.root().child("memory@40000000").is_some());
}

#[test]
fn a_next_kernel_that_cannot_be_started_is_refused() {
    let then = "stalecore.then=kexec";
    let refused = |outlook: Outlook, way: usize| outlook.ways[way].deed.clone().unwrap_err();
    let good_kernel = image(KERNEL);
    let none = judged(&good(), then, "", &image(6 << 20));
    assert!(refused(none, 0).what.contains("no kernel to be started"));
    let packed = with_next(&good(), then, &[0x1f; 100]);
    assert!(
        refused(packed, 0)
            .what
            .contains("the next kernel: the image has no arm64 header")
    );
    let large = with_next(&good(), then, &image(2 << 30));
    assert!(
        refused(large, 0)
            .what
            .contains("no 2053 MiB of free memory")
    );
    // After a crash nothing is known of what still runs.
    let crash = with_next(&good(), then, &good_kernel);
    for way in [1, 2] {
        let refusal = refused(crash.clone(), way);
        assert!(refusal.what.contains("after a crash"), "{refusal}");
        assert_eq!(refusal.mend, "--then reset");
    }
    let mut facts = good();
    facts.tree = tree(|tree| {
        tree.root.remove_child("psci");
    });
    let refusal = refused(with_next(&facts, then, &good_kernel), 0);
    assert!(refusal.what.contains("no PSCI from 0.2 on"), "{refusal}");
    let fabric = "stalecore.then=kexec stalecore.fabric=deaf=spin";
    let refusal = refused(with_next(&good(), fabric, &good_kernel), 0);
    assert!(refusal.what.contains("the fabric keeps EL2"), "{refusal}");
}

#[test]
fn a_next_kernel_that_is_cut_short_is_refused() {
    // An EFI program with one section, which ends behind 8 KiB.
    let mut kernel = image(KERNEL);
    kernel[..2].copy_from_slice(b"MZ");
    kernel[0x3c] = 128;
    kernel[128 + 6] = 1;
    let section = 128 + 24;
    kernel[section + 16..section + 20].copy_from_slice(&4096_u32.to_le_bytes());
    kernel[section + 20..section + 24].copy_from_slice(&4096_u32.to_le_bytes());
    let refusal = |kernel: &[u8]| {
        let outlook = with_next(&good(), "stalecore.then=kexec", kernel);
        outlook.ways[0]
            .deed
            .clone()
            .err()
            .map(|refusal| refusal.what)
    };
    let cut = refusal(&kernel).unwrap();
    assert!(cut.contains("it is cut short: 4096 bytes of 8192"), "{cut}");
    kernel.resize(8192, 0);
    assert_eq!(refusal(&kernel), None);
    assert!(refusal(&kernel[..140]).unwrap().contains("it is cut short"));
}

#[test]
fn a_tree_that_grows_by_the_next_kernel_s_place_does_not_reach_it() {
    let with_tree_of = |bytes: usize| {
        let mut facts = good();
        facts.tree = tree(|tree| {
            tree.root
                .add_property(dtoolkit::model::DeviceTreeProperty::new_unchecked(
                    "pad",
                    vec![0_u8; bytes],
                ));
        });
        let outlook = with_next(&facts, "stalecore.then=kexec", &image(KERNEL));
        match outlook.ways[0].deed.clone() {
            Ok(Deed::Load(load)) => load,
            other => panic!("{other:?}"),
        }
    };
    // Without that place it ends with a page, and the first instructions with 2 MiB.
    let page_before = (2 << 20) - (64 << 10);
    let pad = 1 << 20;
    let length = with_tree_of(pad).pieces[1].bytes.len();
    let load = with_tree_of(pad + page_before + 4 - length);
    let behind = load.pieces[1].bytes.len() - page_before;
    assert!((1..16).contains(&behind), "{behind}");
    let next = load.next.unwrap();
    for own in &load.pieces[..3] {
        assert!(!own.region.overlaps(&next), "{:?} {next:?}", own.region);
    }
}
