//! The instructions that matter to caches, found by their encodings (Arm ARM,
//! C5 and C6.2).

/// Maintenance of a data line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataOp {
    /// `dc ivac`: invalidates to the point of coherency.
    Ivac,
    /// `dc cvac`, `cvap`, `cvadp`: cleans to the point of coherency, or further.
    Cvac,
    /// `dc civac`: cleans and invalidates to the point of coherency.
    Civac,
    /// `dc cvau`: cleans to the point of unification.
    Cvau,
}

/// What an instruction means to caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// Maintenance of the line at the address in a register.
    Data(DataOp, u8),
    /// `dc isw`, `csw`, `cisw`: by set and way, this core's caches only.
    SetWay,
    /// `dc zva`, `gva`, `gzva`: writes a whole block at the address in a register.
    Zero(u8),
    /// `ic ivau` on the address in a register.
    Ivau(u8),
    /// `ic iallu`: this core's caches.
    Iallu,
    /// `ic ialluis`: all cores' caches.
    Ialluis,
    /// Any `tlbi`.
    Tlbi,
    /// `dsb`.
    Dsb {
        /// Does it wait for loads and stores both?
        full: bool,
        /// Does it wait for what other cores have to do?
        shared: bool,
    },
    /// `dmb`.
    Dmb,
    /// `isb`.
    Isb,
    /// `eret`: what comes after is fetched anew.
    Eret,
    /// `smc`, `hvc`: calls to firmware, entered and left by exceptions.
    Call,
    /// `sev`, or an interrupt sent by a system register.
    Signal,
    /// `wfe`, `wfi`: what others did may be seen after it.
    Wait,
    /// A write to a register that decides how addresses are translated.
    Context,
    /// Accesses memory in a way that plugins are not told about: SVE, SME, MOPS.
    Unseen,
}

/// What `code` means to caches, if anything.
pub fn decode(code: u32) -> Option<Event> {
    let rt = (code & 31) as u8;
    let [op1, crn, crm, op2] = [16, 12, 8, 5].map(|at| code >> at & 15);
    let (op1, op2) = (op1 & 7, op2 & 7);
    if code >> 19 == 0xd508_0000 >> 19 {
        return system(op1, crn, crm, op2, rt);
    }
    if code >> 12 == 0xd_5033 {
        return barrier(crm, op2);
    }
    if code >> 20 == 0xd51 {
        return register(code >> 19 & 1, op1, crn, crm, op2);
    }
    match code {
        0xd503_205f | 0xd503_207f => return Some(Event::Wait),
        0xd503_209f => return Some(Event::Signal),
        0xd69f_03e0 | 0xd69f_0bff | 0xd69f_0fff => return Some(Event::Eret),
        _ => {}
    }
    match code & 0xffe0_001f {
        0xd400_0002 | 0xd400_0003 => return Some(Event::Call),
        _ => {}
    }
    // SVE's loads and stores: op0 0010 with the highest bit set; MOPS.
    let sve = code >> 25 & 15 == 0b0010 && code >> 31 == 1;
    let mops = code & 0x3b20_0c00 == 0x1900_0400;
    (sve || mops).then_some(Event::Unseen)
}

fn system(op1: u32, crn: u32, crm: u32, op2: u32, rt: u8) -> Option<Event> {
    use Event::{Data, Iallu, Ialluis, Ivau, SetWay, Zero};
    if crn == 8 || crn == 9 {
        return Some(Event::Tlbi);
    }
    if crn != 7 {
        return None;
    }
    Some(match (op1, crm, op2) {
        (0, 6, 1) => Data(DataOp::Ivac, rt),
        (3, 10 | 12 | 13, 1) => Data(DataOp::Cvac, rt),
        (3, 11, 1) => Data(DataOp::Cvau, rt),
        (3, 14, 1) => Data(DataOp::Civac, rt),
        (0, 6 | 10 | 14, 2) => SetWay,
        (3, 4, 1 | 3 | 4) => Zero(rt),
        (3, 5, 1) => Ivau(rt),
        (0, 5, 0) => Iallu,
        (0, 1, 0) => Ialluis,
        _ => return None,
    })
}

fn barrier(crm: u32, op2: u32) -> Option<Event> {
    let full = crm & 3 == 3;
    let shared = crm >> 2 != 1;
    match op2 {
        // With nXS: the two upper bits give the domain; loads and stores both.
        1 if crm & 3 == 2 => Some(Event::Dsb { full: true, shared }),
        // 0 and 4 are SSBB and PSSBB, which complete nothing.
        4 if crm & 11 == 0 => None,
        4 => Some(Event::Dsb { full, shared }),
        5 => Some(Event::Dmb),
        6 => Some(Event::Isb),
        _ => None,
    }
}

/// `o0` is the lowest bit of op0, which is 2 or 3.
fn register(o0: u32, op1: u32, crn: u32, crm: u32, op2: u32) -> Option<Event> {
    if o0 == 0 {
        return None;
    }
    match (crn, crm, op2) {
        // SCTLR, HCR, SCR; TTBR0, TTBR1, TCR, VTTBR, VTCR; MAIR; VBAR.
        (1, 0 | 1, _) | (2, _, _) | (10, 2, 0) | (12, 0, 0) => Some(Event::Context),
        // ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1.
        (12, 11, 5..=7) if op1 == 0 => Some(Event::Signal),
        _ => None,
    }
}

/// The instruction's name, where [`decode`] knows it.
pub fn name(code: u32) -> &'static str {
    match decode(code) {
        Some(Event::Data(DataOp::Ivac, _)) => "dc ivac",
        Some(Event::Data(DataOp::Cvac, _)) => "dc cvac",
        Some(Event::Data(DataOp::Civac, _)) => "dc civac",
        Some(Event::Data(DataOp::Cvau, _)) => "dc cvau",
        Some(Event::SetWay) => "dc by set and way",
        Some(Event::Zero(_)) => "dc zva",
        Some(Event::Ivau(_)) => "ic ivau",
        Some(Event::Iallu) => "ic iallu",
        Some(Event::Ialluis) => "ic ialluis",
        Some(Event::Tlbi) => "tlbi",
        Some(Event::Dsb { .. }) => "dsb",
        Some(Event::Dmb) => "dmb",
        Some(Event::Isb) => "isb",
        Some(Event::Eret) => "eret",
        Some(Event::Call) => "smc or hvc",
        Some(Event::Signal) => "signal",
        Some(Event::Wait) => "wait",
        Some(Event::Context) => "msr",
        Some(Event::Unseen) => "SVE, SME or MOPS",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::{DataOp::*, Event::*, *};

    /// Encodings as `aarch64-linux-gnu-as` gives them.
    #[test]
    fn maintenance_barriers_and_calls() {
        for (code, event) in [
            (0xd508_7620, Some(Data(Ivac, 0))),
            (0xd50b_7a21, Some(Data(Cvac, 1))),
            (0xd50b_7b22, Some(Data(Cvau, 2))),
            (0xd50b_7e23, Some(Data(Civac, 3))),
            (0xd50b_7c24, Some(Data(Cvac, 4))),
            (0xd508_7e45, Some(SetWay)),
            (0xd50b_7426, Some(Zero(6))),
            (0xd50b_7527, Some(Ivau(7))),
            (0xd508_751f, Some(Iallu)),
            (0xd508_711f, Some(Ialluis)),
            (0xd508_871f, Some(Tlbi)),
            (
                0xd503_3f9f,
                Some(Dsb {
                    full: true,
                    shared: true,
                }),
            ),
            (
                0xd503_3b9f,
                Some(Dsb {
                    full: true,
                    shared: true,
                }),
            ),
            (
                0xd503_379f,
                Some(Dsb {
                    full: true,
                    shared: false,
                }),
            ),
            (
                0xd503_3a9f,
                Some(Dsb {
                    full: false,
                    shared: true,
                }),
            ),
            (0xd503_309f, None),
            (0xd503_3fbf, Some(Dmb)),
            (0xd503_3fdf, Some(Isb)),
            (0xd503_209f, Some(Signal)),
            (0xd503_205f, Some(Wait)),
            (0xd503_201f, None),
            (0xd69f_03e0, Some(Eret)),
            (0xd400_0003, Some(Call)),
            (0xd400_0002, Some(Call)),
            (0xd518_1004, Some(Context)),
            (0xd51c_1100, Some(Context)),
            (0xd518_2003, Some(Context)),
            (0xd518_a201, Some(Context)),
            (0xd518_cba0, Some(Signal)),
            (0xd538_1004, None),
            (0xa940_0861, None),
            (0xf900_0020, None),
        ] {
            assert_eq!(decode(code), event, "{code:#x}");
        }
    }
}
