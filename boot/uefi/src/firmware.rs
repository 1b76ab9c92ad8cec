//! What firmware has left in its configuration table.
#![expect(unsafe_code, reason = "reads firmware's tables where they lie")]

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use stalecore_model::{
    acpi, efi,
    handover::{Described, MAX_TREE, smbios, words::Prefer},
    platform::{Platform, Region, devicetree},
};
use uefi::{
    Guid, Status, guid,
    runtime::{self, ResetType},
    system,
    table::cfg::ConfigTableEntry,
};

use crate::{enter, memory};

/// A flattened device tree (EBBR, chapter 2).
const DEVICE_TREE: Guid = guid!("b1b621d5-f19c-41a5-830b-d9152c69aae0");
/// What a flattened device tree begins with, big-endian.
const TREE_MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// Firmware's name and what it says about the machine.
pub struct Firmware {
    /// Vendor and revisions.
    pub name: String,
    /// The machine's name, from SMBIOS.
    model: String,
    rsdp: Option<u64>,
    tree: Option<&'static [u8]>,
    physical: Physical,
}

/// Looks through the configuration table.
///
/// # Errors
/// Firmware gives no memory map.
pub fn find() -> Result<Firmware, String> {
    let physical = Physical(efi::readable(memory::map()?.into_iter()));
    let address = |guid: Guid| {
        system::with_config_table(|table| {
            let entry = table.iter().find(|e| e.guid == guid)?;
            Some(entry.address as u64)
        })
    };
    let model = address(ConfigTableEntry::SMBIOS3_GUID)
        .and_then(|at| smbios::model(at, |a, l| physical.bytes(a, l)));
    let revision = system::firmware_revision();
    Ok(Firmware {
        name: format!(
            "{}, revision {:#x}, UEFI {}",
            system::firmware_vendor(),
            revision,
            system::uefi_revision()
        ),
        model: model.unwrap_or_else(|| "unnamed".to_string()),
        rsdp: address(ConfigTableEntry::ACPI2_GUID),
        tree: address(DEVICE_TREE).and_then(|at| physical.tree(at)),
        physical,
    })
}

impl Firmware {
    /// Decides who is to describe the machine.
    ///
    /// # Errors
    /// Firmware does not have what is asked for, or has nothing usable.
    pub fn described(&self, prefer: Prefer) -> Result<Described<'_>, String> {
        let acpi = self.rsdp.map(|rsdp| Described::Acpi {
            rsdp,
            model: &self.model,
        });
        let tree = self.tree.map(Described::DeviceTree);
        match prefer {
            Prefer::Acpi => acpi.ok_or_else(|| "acpi=force, but firmware has no ACPI".into()),
            Prefer::DeviceTree => {
                tree.ok_or_else(|| "acpi=off, but firmware has no device tree".into())
            }
            Prefer::Auto => {
                let usable = |t: &&[u8]| devicetree::read(t).is_ok_and(|p| !p.cpus.is_empty());
                match self.tree.filter(usable) {
                    Some(tree) => Ok(Described::DeviceTree(tree)),
                    None => acpi.or(tree).ok_or_else(|| {
                        "firmware has neither ACPI nor a device tree: nothing describes this machine"
                            .into()
                    }),
                }
            }
        }
    }

    /// The memory that the image will read tables in.
    ///
    /// # Errors
    /// The way to the tables is broken.
    pub fn tables(&self, described: &Described<'_>) -> Result<Vec<Region>, String> {
        match described {
            Described::Acpi { rsdp, .. } => {
                acpi::extents(*rsdp, |a, l| self.physical.bytes(a, l)).map_err(|e| e.to_string())
            }
            Described::DeviceTree(_) => Ok(Vec::new()),
        }
    }

    /// Reads the machine out of the tree that is handed over, as the image
    /// will.
    ///
    /// # Errors
    /// What the image would end with.
    pub fn as_the_image_sees_it(&self, tree: &[u8]) -> Result<Platform, String> {
        let platform = devicetree::read(tree)?;
        match platform.rsdp {
            None => Ok(platform),
            Some(rsdp) => acpi::platform(platform, rsdp, enter::midr(), |a, l| {
                self.physical.bytes(a, l)
            })
            .map_err(|e| e.to_string()),
        }
    }
}

/// The memory that can be read.
struct Physical(Vec<Region>);

impl Physical {
    fn bytes(&self, address: u64, length: usize) -> Option<&'static [u8]> {
        let end = address.checked_add(u64::try_from(length).ok()?)?;
        let inside = |r: &Region| r.base <= address && end <= r.end();
        if address == 0 || !self.0.iter().any(inside) {
            return None;
        }
        let start = usize::try_from(address).ok()? as *const u8;
        // SAFETY: firmware maps memory to itself, the range is inside what its
        // map calls memory, and it does not write its tables any more.
        Some(unsafe { core::slice::from_raw_parts(start, length) })
    }

    fn tree(&self, address: u64) -> Option<&'static [u8]> {
        let [a, b, c, d, length @ ..] = *self.bytes(address, 8)?.first_chunk::<8>()?;
        if [a, b, c, d] != TREE_MAGIC {
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        self.bytes(address, length).filter(|_| length <= MAX_TREE)
    }
}

/// Resets the machine, when nothing else is left to do.
pub fn reset() -> ! {
    runtime::reset(ResetType::COLD, Status::ABORTED, None)
}
