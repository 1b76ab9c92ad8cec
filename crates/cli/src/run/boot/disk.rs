//! The disk that firmware boots from, as the machine sees it.

use std::{ffi::OsString, path::Path};

use crate::run::machine::escaped;

/// What the disk is to the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Disk {
    /// A virtual disk
    Virtio,
    /// A USB stick
    Usb,
}

impl Disk {
    /// QEMU's words for the disk with this image.
    pub(super) fn words(self, path: &Path) -> Vec<OsString> {
        let mut drive = OsString::from("file=");
        drive.push(escaped(path));
        drive.push(",format=raw,if=");
        match self {
            Self::Virtio => {
                drive.push("virtio");
                vec!["-drive".into(), drive]
            }
            Self::Usb => {
                drive.push("none,id=stick");
                let mut words = vec!["-drive".into(), drive];
                let devices = ["-device", "qemu-xhci", "-device", "usb-storage,drive=stick"];
                words.extend(devices.map(OsString::from));
                words
            }
        }
    }
}
