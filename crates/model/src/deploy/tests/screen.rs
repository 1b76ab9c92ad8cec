//! A screen that Linux has, for an image that is asked to draw.

use super::*;

const ON: &str = "stalecore.framebuffer=on";

/// A machine whose firmware has set up a screen, which this driver of Linux's has.
fn with_screen(driver: &str, owner: &str, size: u64) -> Facts {
    let last = 0x9000_0000 + size - 1;
    let mut facts = good();
    facts.iomem +=
        &format!("90000000-{last:08x} : PCI Bus 0000:01\n  90000000-{last:08x} : {owner}\n");
    facts.screen = Shown {
        name: driver.into(),
        size: "1024,768".into(),
        stride: "4096".into(),
        bits: "32".into(),
    };
    facts
}

/// What the image's command line has of it, or why nothing is loaded.
fn told(facts: &Facts, options: &str, way: usize) -> Result<String, String> {
    match judged(facts, options, "", &image(6 << 20)).ways[way]
        .deed
        .clone()
    {
        Ok(Deed::Load(load)) => Ok(load.bootargs),
        Ok(Deed::Hooks(hooks)) => Ok(hooks.edits[1].text.clone()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

#[test]
fn a_screen_of_firmware_s_is_named_to_the_image() {
    const PLACE: &str = "0x90000000,1024x768,4096,x8r8g8b8";
    for (driver, owner, size) in [
        // Twice what is shown, as efifb maps it.
        ("EFI VGA", "efifb", 0x60_0000),
        ("simple", "BOOTFB", 0x30_0000),
        ("simpledrmdrmfb", "simpledrm", 0x30_0000),
    ] {
        let facts = with_screen(driver, owner, size);
        for way in [0, 1] {
            let said = told(&facts, ON, way).unwrap();
            assert!(
                said.contains(&format!("stalecore.framebuffer={PLACE}")),
                "{said}"
            );
        }
        // In the kernel after the crash no driver has it.
        let hook = told(&facts, ON, 2).unwrap();
        assert!(hook.contains(&format!("--framebuffer={PLACE}")), "{hook}");
        // Who does not ask is given none.
        for options in ["", "stalecore.framebuffer=off"] {
            assert!(!told(&facts, options, 0).unwrap().contains("0x90000000"));
        }
        let other = "stalecore.framebuffer=0x98000000,640x480,2560,x8r8g8b8";
        assert!(told(&facts, other, 0).unwrap().contains("0x98000000"));
    }
}

#[test]
fn a_screen_that_nobody_knows_is_refused_before_anything_is_loaded() {
    type Change = fn(&mut Facts);
    let rows: [(Change, &str); 6] = [
        // The graphics card's own driver has it.
        (
            |f| f.iomem = f.iomem.replace("efifb", "hibmc-drm"),
            "no driver for a screen of firmware's",
        ),
        (|f| f.screen = Shown::default(), "fb0 is not there"),
        // Its rows may be longer than those of the copy that it shows.
        (
            |f| f.screen.name = "simpledrmdrmfb".into(),
            "known to its driver alone",
        ),
        (|f| f.screen.bits = "8".into(), "neither 16, 24 nor 32"),
        (|f| f.screen.stride = "100".into(), "do not agree"),
        (|f| f.screen.size = "1024,9000".into(), "do not agree"),
    ];
    for (change, why) in rows {
        let mut facts = with_screen("EFI VGA", "efifb", 0x60_0000);
        change(&mut facts);
        for way in [0, 1, 2] {
            let refusal = told(&facts, ON, way).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
            assert!(refusal.contains("dmesg | grep efifb"), "{refusal}");
        }
        assert!(told(&facts, "", 0).is_ok());
    }
}

#[test]
fn what_the_tree_says_of_a_screen_counts() {
    let mut facts = with_screen("EFI VGA", "efifb", 0x60_0000);
    facts.tree = tree(|tree| {
        use dtoolkit::model::{DeviceTreeNode, DeviceTreeProperty as Property};
        let mut node = DeviceTreeNode::new_unchecked("framebuffer");
        let place = [0x9800_0000, 0x30_0000].map(u64::to_be_bytes).concat();
        node.add_property(Property::new_unchecked("compatible", "simple-framebuffer"));
        node.add_property(Property::new_unchecked("reg", place));
        for (name, value) in [("width", 1024_u32), ("height", 768), ("stride", 4096)] {
            node.add_property(Property::new_unchecked(name, value));
        }
        node.add_property(Property::new_unchecked("format", "a8b8g8r8"));
        tree.root.add_child(node);
    });
    let said = told(&facts, ON, 0).unwrap();
    assert!(said.contains("stalecore.framebuffer=on"), "{said}");
}

#[test]
fn what_is_no_screen_is_not_drawn_over() {
    for (at, owner) in [
        (0x4200_0000_u64, "Kernel code"),
        (0x5000_0000, "System RAM"),
    ] {
        let asked = std::format!("stalecore.framebuffer={at:#x},1024x768,4096,x8r8g8b8");
        let refusal = told(&good(), &asked, 0).unwrap_err();
        assert!(
            refusal.contains(&std::format!("is no screen, but {owner}")),
            "{refusal}"
        );
    }
    let mut facts = good();
    facts.iomem += "80000000-9fffffff : System RAM\n  90000000-902fffff : simplefb\n";
    for (facts, at) in [
        (&good(), 0x7f00_0000_u64),
        (&good(), 0x9000_0000),
        (&facts, 0x9000_0000),
    ] {
        let asked = std::format!("stalecore.framebuffer={at:#x},1024x768,4096,x8r8g8b8");
        assert!(told(facts, &asked, 0).is_ok());
    }
}
