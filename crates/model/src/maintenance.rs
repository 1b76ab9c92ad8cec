//! The maintenance instructions that EL2 can trap, and what each one sends.

/// What an instruction sends to other cores; printed in the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum MessageClass {
    /// A DVM message: one snoop to every other core of the domain.
    Dvm,
    /// The DVM Sync that a DSB sends when DVM messages were posted before it.
    Sync,
    /// A coherence snoop: only to cores that may hold the line.
    Snoop,
    /// Nothing: it ends in the core that executes it.
    Local,
    /// No maintenance: a line or a register is read, or a line is asked for to write.
    Access,
    /// No maintenance: firmware is called, on this core.
    Firmware,
    /// No maintenance: an interrupt to another core.
    Interrupt,
}

impl MessageClass {
    /// The class as the report prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dvm => "dvm",
            Self::Sync => "dvm-sync",
            Self::Snoop => "snoop",
            Self::Local => "local",
            Self::Access => "access",
            Self::Firmware => "firmware",
            Self::Interrupt => "interrupt",
        }
    }

    /// Is it maintenance of caches and TLBs, or does it wait for that?
    pub const fn is_maintenance(self) -> bool {
        matches!(self, Self::Dvm | Self::Sync | Self::Snoop | Self::Local)
    }

    /// What is sent, in words.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Dvm => "a DVM message to every core (dvm)",
            Self::Sync => "a DVM Sync behind posted DVM messages (dvm-sync)",
            Self::Snoop => "a coherence snoop to cores that may hold the line (snoop)",
            Self::Local => "nothing to other cores (local)",
            Self::Access => "what any load or store sends, and no maintenance (access)",
            Self::Firmware => "nothing by itself: firmware is called (firmware)",
            Self::Interrupt => "an interrupt to one core, and no maintenance (interrupt)",
        }
    }
}

impl core::fmt::Display for MessageClass {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

/// `SYS` with op0 = 1 and nothing else set (Arm ARM, C6.2).
const SYS: u32 = 0xd508_0000;

/// Defines the instructions with their `op1, CRn, CRm, op2` (op0 is 1).
macro_rules! maintenance {
    ($($variant:ident = $name:literal, ($op1:literal, $crn:literal, $crm:literal, $op2:literal), $class:ident;)*) => {
        /// A maintenance instruction, named as Arm names it. The encodings are
        /// those of the Arm ARM's A64 system instruction table.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Maintenance {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Maintenance {
            /// Every instruction.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The instruction as an assembler writes it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Its `(op1, CRn, CRm, op2)`.
            pub const fn encoding(self) -> (u8, u8, u8, u8) {
                match self { $(Self::$variant => ($op1, $crn, $crm, $op2)),* }
            }

            /// What it sends to other cores.
            pub const fn class(self) -> MessageClass {
                match self { $(Self::$variant => MessageClass::$class),* }
            }

            /// The instruction of that `op1, CRn, CRm, op2`.
            pub const fn from_encoding(op1: u8, crn: u8, crm: u8, op2: u8) -> Option<Self> {
                match (op1, crn, crm, op2) {
                    $(($op1, $crn, $crm, $op2) => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

maintenance! {
    IcIalluis = "ic ialluis", (0, 7, 1, 0), Dvm;
    IcIallu = "ic iallu", (0, 7, 5, 0), Local;
    IcIvau = "ic ivau", (3, 7, 5, 1), Dvm;
    DcIvac = "dc ivac", (0, 7, 6, 1), Snoop;
    DcIsw = "dc isw", (0, 7, 6, 2), Local;
    DcCsw = "dc csw", (0, 7, 10, 2), Local;
    DcCisw = "dc cisw", (0, 7, 14, 2), Local;
    DcCvac = "dc cvac", (3, 7, 10, 1), Snoop;
    DcCvau = "dc cvau", (3, 7, 11, 1), Snoop;
    DcCvap = "dc cvap", (3, 7, 12, 1), Snoop;
    DcCvadp = "dc cvadp", (3, 7, 13, 1), Snoop;
    DcCivac = "dc civac", (3, 7, 14, 1), Snoop;
    TlbiVmalle1is = "tlbi vmalle1is", (0, 8, 3, 0), Dvm;
    TlbiVae1is = "tlbi vae1is", (0, 8, 3, 1), Dvm;
    TlbiAside1is = "tlbi aside1is", (0, 8, 3, 2), Dvm;
    TlbiVaae1is = "tlbi vaae1is", (0, 8, 3, 3), Dvm;
    TlbiVale1is = "tlbi vale1is", (0, 8, 3, 5), Dvm;
    TlbiVaale1is = "tlbi vaale1is", (0, 8, 3, 7), Dvm;
    TlbiRvae1is = "tlbi rvae1is", (0, 8, 2, 1), Dvm;
    TlbiVmalle1 = "tlbi vmalle1", (0, 8, 7, 0), Local;
    TlbiVae1 = "tlbi vae1", (0, 8, 7, 1), Local;
    TlbiAside1 = "tlbi aside1", (0, 8, 7, 2), Local;
    TlbiVaae1 = "tlbi vaae1", (0, 8, 7, 3), Local;
    TlbiVale1 = "tlbi vale1", (0, 8, 7, 5), Local;
    TlbiVaale1 = "tlbi vaale1", (0, 8, 7, 7), Local;
    TlbiAlle2is = "tlbi alle2is", (4, 8, 3, 0), Dvm;
    TlbiVmalls12e1is = "tlbi vmalls12e1is", (4, 8, 3, 6), Dvm;
}

impl Maintenance {
    /// The instruction that this word is, whatever its register.
    pub fn decode(word: u32) -> Option<Self> {
        if word >> 19 != SYS >> 19 {
            return None;
        }
        let field = |shift: u32, mask: u32| (word >> shift & mask) as u8;
        Self::from_encoding(field(16, 7), field(12, 15), field(8, 15), field(5, 7))
    }

    /// Does it translate its register as an address, so that it can take a
    /// translation fault? Set/way and TLB instructions do not.
    pub const fn can_fault(self) -> bool {
        matches!(
            self,
            Self::IcIvau
                | Self::DcIvac
                | Self::DcCvac
                | Self::DcCvau
                | Self::DcCvap
                | Self::DcCvadp
                | Self::DcCivac
        )
    }
}

impl core::fmt::Display for Maintenance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_is_found_again() {
        for what in Maintenance::ALL {
            let (op1, crn, crm, op2) = what.encoding();
            assert_eq!(Maintenance::from_encoding(op1, crn, crm, op2), Some(*what));
        }
        assert_eq!(Maintenance::from_encoding(3, 7, 4, 1), None, "dc zva");
    }

    #[test]
    fn words_are_decoded_whatever_their_register() {
        for (word, what) in [
            (0xd50b_7520, Some(Maintenance::IcIvau)),
            (0xd50b_753f, Some(Maintenance::IcIvau)),
            (0xd50b_7b24, Some(Maintenance::DcCvau)),
            (0xd508_711f, Some(Maintenance::IcIalluis)),
            (0xd508_8363, Some(Maintenance::TlbiVaae1is)),
            (0xd50b_7420, None), // dc zva
            (0xd503_3b9f, None), // dsb ish
            (0xd52b_7520, None), // sysl
            (0, None),
        ] {
            assert_eq!(Maintenance::decode(word), what, "{word:#x}");
        }
    }

    #[test]
    fn what_says_inner_shareable_is_broadcast_and_data_lines_are_snooped() {
        for what in Maintenance::ALL {
            let broadcast = what.name().ends_with("is") || *what == Maintenance::IcIvau;
            assert_eq!(what.class() == MessageClass::Dvm, broadcast, "{what}");
            let by_address = what.name().starts_with("dc") && !what.name().ends_with("sw");
            assert_eq!(what.class() == MessageClass::Snoop, by_address, "{what}");
        }
    }

    const CLASSES: [MessageClass; 7] = [
        MessageClass::Dvm,
        MessageClass::Sync,
        MessageClass::Snoop,
        MessageClass::Local,
        MessageClass::Access,
        MessageClass::Firmware,
        MessageClass::Interrupt,
    ];

    #[test]
    fn what_is_sent_is_told_with_its_name() {
        for (nth, class) in CLASSES.into_iter().enumerate() {
            let end = alloc::format!(" ({class})");
            assert!(class.about().ends_with(&end), "{}", class.about());
            assert!(
                CLASSES[..nth]
                    .iter()
                    .all(|other| other.name() != class.name())
            );
        }
        // Tables are made of names.
        assert_eq!(alloc::format!("{:>9}|", MessageClass::Sync), " dvm-sync|");
        assert_eq!(alloc::format!("{:9}|", Maintenance::IcIvau), "ic ivau  |");
    }

    #[test]
    fn a_load_an_interrupt_and_a_call_of_firmware_are_no_maintenance() {
        let (maintenance, others) = CLASSES.split_at(4);
        assert!(maintenance.iter().all(|class| class.is_maintenance()));
        assert!(!others.iter().any(|class| class.is_maintenance()));
        assert!(
            Maintenance::ALL
                .iter()
                .all(|what| what.class().is_maintenance())
        );
    }
}
