//! Tests that need neither firmware nor QEMU.

use super::*;

#[derive(clap::Parser)]
struct Both {
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    boot: BootArgs,
}

fn both(args: &[&str]) -> Both {
    clap::Parser::parse_from([&["x"], args].concat())
}

fn check(args: &[&str]) -> Result<(), String> {
    let both = both(args);
    both.boot.check(&both.machine)
}

#[test]
fn flags_that_do_not_fit_the_way_are_refused() {
    for (args, part) in [
        (
            &["--boot=uefi", "--image=x"][..],
            "allowed with --boot image and u-boot",
        ),
        (&["--efi=x"], "allowed with --boot uefi and grub"),
        (&["--firmware=x"], "with --boot image; allowed"),
        (&["--boot=u-boot", "--grub=x"], "allowed with --boot grub"),
        (
            &["--boot=u-boot", "--disk=usb"],
            "allowed with --boot uefi and grub",
        ),
        (&["--boot=grub", "--el=3"], "allowed: 1, 2"),
        (&["--boot=u-boot", "--mem=128M"], "allowed: 256M to 8G"),
    ] {
        let error = check(args).unwrap_err();
        assert!(error.contains(part), "{args:?}: {error}");
    }
    for args in [
        &["--image=x", "--el=3", "--mem=64M"][..],
        &["--boot=u-boot", "--image=x", "--firmware=y", "--el=1"],
        &["--boot=grub", "--grub=x", "--efi=y", "--firmware=z"],
    ] {
        assert_eq!(check(args), Ok(()), "{args:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let prepare = |args: &[&str], bootargs: &str| {
        let both = both(args);
        let words = both.boot.prepare(&both.machine, bootargs, scratch.path());
        format!("{:#}", words.unwrap_err())
    };
    let firmware = scratch.path().join("firmware");
    fs::write(&firmware, "").unwrap();
    let firmware = format!("--firmware={}", firmware.display());
    for (args, part) in [
        (
            &["--boot=uefi", "--firmware=/none"][..],
            "--firmware: /none is no file",
        ),
        (
            &["--boot=uefi", &firmware],
            "stalecore.efi is missing; 'make dist'",
        ),
        (
            &["--boot=uefi", &firmware, "--efi=/none"],
            "--efi: /none is no file",
        ),
        (
            &["--boot=uefi", &firmware, "--efi=/dev/null"],
            "--efi: /dev/null is no file",
        ),
        (
            &["--boot=grub", &firmware, "--grub=/none"],
            "--grub: /none is no file",
        ),
        (
            &["--boot=u-boot", &firmware, "--image=/none"],
            "--image: /none",
        ),
    ] {
        let error = prepare(args, "stalecore.ops=none");
        assert!(error.contains(part), "{args:?}: {error}");
    }
    let error = prepare(&["--boot=u-boot", &firmware], &"x".repeat(512));
    assert!(error.contains("512 bytes; allowed: 511"), "{error}");
    let text = scratch.path().join("text");
    fs::write(&text, "MZ, but no header").unwrap();
    let error = prepare(
        &[
            "--boot=uefi",
            &firmware,
            &format!("--efi={}", text.display()),
        ],
        "",
    );
    assert!(error.contains("no UEFI application"), "{error}");
}

#[test]
fn the_image_at_el3_is_entered_through_a_few_instructions() {
    let scratch = tempfile::tempdir().unwrap();
    let image = scratch.path().join("a,b.img");
    let mut bytes = vec![0; 0x100];
    bytes[0x38..0x3c].copy_from_slice(b"ARM\x64");
    bytes[0x10..0x12].copy_from_slice(&0x100_u16.to_le_bytes());
    fs::write(&image, bytes).unwrap();
    let words = |el: &str| {
        let both = both(&[el, &format!("--image={}", image.display())]);
        let words = both.boot.prepare(&both.machine, "a=b", scratch.path());
        let words: Vec<_> = words
            .unwrap()
            .into_iter()
            .map(|w| w.into_string().unwrap())
            .collect();
        words
            .join(" ")
            .replace(&format!("{}/", scratch.path().display()), "")
    };
    assert_eq!(words("--el=2"), "-kernel a,b.img -append a=b");
    assert_eq!(
        words("--el=3"),
        "-kernel el3.elf -device loader,file=a,,b.img,addr=0x40400000,force-raw=on -append a=b"
    );
}

#[test]
fn a_disk_is_virtual_or_a_usb_stick() {
    let words = |disk: Disk| {
        let words = disk.words(Path::new("/a,b"));
        let words: Vec<_> = words.iter().map(|w| w.to_str().unwrap()).collect();
        words.join(" ")
    };
    assert_eq!(
        words(Disk::Virtio),
        "-drive file=/a,,b,format=raw,if=virtio"
    );
    assert_eq!(
        words(Disk::Usb),
        "-drive file=/a,,b,format=raw,if=none,id=stick -device qemu-xhci -device \
         usb-storage,drive=stick"
    );
}

#[test]
fn options_reach_each_firmware_in_its_own_language() {
    let words = "stalecore.ops=ic-ivau stalecore.fabric=deaf=spin";
    assert_eq!(
        ways::grub_cfg(words),
        "set timeout=0\nlinux /stalecore.efi 'stalecore.ops=ic-ivau' \
         'stalecore.fabric=deaf=spin'\nboot\n"
    );
    assert_eq!(
        ways::extlinux_conf(words),
        format!("default stalecore\nlabel stalecore\n  kernel /stalecore.img\n  append {words}\n")
    );
    assert!(!ways::extlinux_conf("").contains("append"));
}
