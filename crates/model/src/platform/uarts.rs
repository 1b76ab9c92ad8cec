//! The UARTs that the image can drive: what names each, and for those that are a few words,
//! which. Firmware has set the line up; only bytes are written and read.
//!
//! Sources: Linux's `drivers/tty/serial` (amba-pl011.c, imx.c and imx_earlycon.c,
//! meson_uart.c, msm_serial.c) and 8250 (8250_bcm2835aux.c, 8250_tegra.c), its
//! `Documentation/devicetree/bindings/serial`, U-Boot's `serial_msm.c`, and the kinds of
//! Microsoft's DBG2 specification.

use UartKind::{Imx, Meson, Msm, Ns16550, Pl011};

use super::UartKind;

/// What names a UART.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// How it is driven.
    pub kind: UartKind,
    /// `compatible` in device trees, the most general that has these registers.
    pub compatible: &'static [&'static str],
    /// Linux's name in `earlycon=`.
    pub earlycon: &'static [&'static str],
    /// The kind in ACPI's SPCR.
    pub spcr: &'static [u8],
    /// Register shift and bytes of an access, where a tree does not say.
    pub usual: (u32, u32),
}

const fn row(
    kind: UartKind,
    compatible: &'static [&'static str],
    earlycon: &'static [&'static str],
    spcr: &'static [u8],
    usual: (u32, u32),
) -> Row {
    Row {
        kind,
        compatible,
        earlycon,
        spcr,
        usual,
    }
}

/// All of them.
pub const ROWS: [Row; 8] = [
    row(Pl011, &["arm,pl011"], &["pl011"], &[0x03], (0, 1)),
    // The SBSA generic UART, a PL011 whose rate software cannot set; 0x0d is the name that
    // it had first.
    row(Pl011, &["arm,sbsa-uart"], &[], &[0x0d, 0x0e], (0, 1)),
    // Also 16450 and what has its parameters in the address structure.
    row(
        Ns16550,
        &["ns16550", "ns16550a", "snps,dw-apb-uart"],
        &["uart8250", "uart"],
        &[0x00, 0x01, 0x12],
        (0, 1),
    ),
    // Raspberry Pi's small UART: words, and its binding has no properties to say so.
    row(
        Ns16550,
        &["brcm,bcm2835-aux-uart"],
        &["bcm2835aux"],
        &[],
        (2, 4),
    ),
    // Nvidia's Tegra.
    row(Ns16550, &["nvidia,tegra20-uart"], &[], &[0x05], (2, 4)),
    // NXP's i.MX, from i.MX21 on.
    row(
        Imx,
        &["fsl,imx21-uart", "fsl,imx53-uart", "fsl,imx6q-uart"],
        &["ec_imx21", "ec_imx6q"],
        &[0x0c],
        (2, 4),
    ),
    row(
        Meson,
        &[
            "amlogic,meson-uart",
            "amlogic,meson-ao-uart",
            "amlogic,meson-gx-uart",
            "amlogic,meson-g12a-uart",
            "amlogic,meson-s4-uart",
        ],
        &["meson"],
        &[],
        (2, 4),
    ),
    // Qualcomm's, before GENI.
    row(
        Msm,
        &["qcom,msm-uartdm-v1.4"],
        &["msm_serial_dm"],
        &[],
        (2, 4),
    ),
];

/// A register's state: these bits of it are that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flag {
    /// Bytes from the UART's first.
    pub at: u16,
    /// Which bits.
    pub mask: u32,
    /// What they are.
    pub is: u32,
}

impl Flag {
    /// Is it so, of this value of the register?
    pub const fn is_in(&self, value: u32) -> bool {
        value & self.mask == self.is
    }
}

/// A UART of a few words of 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Words {
    /// Where a byte to send goes.
    pub send: u16,
    /// What is written before each byte, and where.
    pub before: Option<(u16, u32)>,
    /// There is room for a byte.
    pub room: Flag,
    /// All that was written has left.
    pub idle: Flag,
    /// A byte has come; `None` where the receiver is not a word for each byte.
    pub came: Option<Flag>,
    /// Where it is.
    pub receive: u16,
    /// With these bits it is damaged.
    pub bad: u32,
}

impl Words {
    /// Bytes from the UART's first to behind the last that is used.
    pub const USED: u64 = 0x104;
}

const fn flag(at: u16, mask: u32, is: u32) -> Flag {
    Flag { at, mask, is }
}

impl UartKind {
    /// The name.
    pub const fn name(self) -> &'static str {
        match self {
            Pl011 => "PL011",
            Ns16550 => "16550",
            Imx => "i.MX",
            Meson => "Meson",
            Msm => "MSM",
        }
    }

    /// Its registers, of one that is a few words.
    pub const fn words(self) -> Option<Words> {
        Some(match self {
            Pl011 | Ns16550 => return None,
            // UTXD; UTS.TXFULL, USR2.TXDC and RDR; URXD with ERR.
            Imx => Words {
                send: 0x40,
                before: None,
                room: flag(0xb4, 1 << 4, 0),
                idle: flag(0x98, 1 << 3, 1 << 3),
                came: Some(flag(0x98, 1, 1)),
                receive: 0,
                bad: 1 << 14,
            },
            // WFIFO; STATUS: TX_FULL, TX_EMPTY and XMIT_BUSY, RX_EMPTY; RFIFO.
            Meson => Words {
                send: 0,
                before: None,
                room: flag(0xc, 1 << 21, 0),
                idle: flag(0xc, 1 << 22 | 1 << 25, 1 << 22),
                came: Some(flag(0xc, 1 << 20, 0)),
                receive: 4,
                bad: 0,
            },
            // TF of version 1.4, each time after NCF_TX: one byte follows. Only an empty
            // transmitter takes that. Received bytes come four to a word.
            Msm => Words {
                send: 0x100,
                before: Some((0x40, 1)),
                room: flag(0xa4, 1 << 3, 1 << 3),
                idle: flag(0xa4, 1 << 3, 1 << 3),
                came: None,
                receive: 0,
                bad: 0,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn no_name_means_two() {
        fn unique<T: Ord + Copy>(all: impl Iterator<Item = T>) -> bool {
            let mut all: Vec<T> = all.collect();
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            all.len() == count
        }
        assert!(unique(
            ROWS.iter().flat_map(|row| row.compatible.iter().copied())
        ));
        assert!(unique(
            ROWS.iter().flat_map(|row| row.earlycon.iter().copied())
        ));
        assert!(unique(ROWS.iter().flat_map(|row| row.spcr.iter().copied())));
    }

    #[test]
    fn words_are_within_what_is_mapped() {
        for row in ROWS {
            let Some(words) = row.kind.words() else {
                continue;
            };
            assert_eq!(row.usual, (2, 4));
            let flags = [Some(words.room), Some(words.idle), words.came];
            let mut used = [words.send, words.receive].to_vec();
            used.extend(words.before.map(|(at, _)| at));
            used.extend(flags.iter().flatten().map(|flag| flag.at));
            for at in used {
                assert!(u64::from(at) + 4 <= Words::USED && at % 4 == 0, "{at:#x}");
            }
            for flag in flags.iter().flatten() {
                assert_ne!(flag.mask, 0);
                assert_eq!(flag.is & !flag.mask, 0);
            }
        }
    }

    #[test]
    fn flags_are_as_the_drivers_have_them() {
        let room = |kind: UartKind, value| kind.words().unwrap().room.is_in(value);
        let idle = |kind: UartKind, value| kind.words().unwrap().idle.is_in(value);
        // UTS: TXFULL; TXEMPTY does not matter.
        assert!(room(Imx, 0) && room(Imx, 1 << 6) && !room(Imx, 1 << 4));
        assert!(!idle(Imx, 0) && idle(Imx, 1 << 3));
        assert!(room(Meson, 1 << 22) && !room(Meson, 1 << 21));
        assert!(idle(Meson, 1 << 22) && !idle(Meson, 1 << 22 | 1 << 25) && !idle(Meson, 0));
        assert!(room(Msm, 1 << 3) && !room(Msm, 1 << 2));
    }
}
