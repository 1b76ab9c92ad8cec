//! What firmware prints about its own exceptions, and what the kernel passes on from
//! error records.

use super::super::{fields, message::Message};

/// Reads one line.
pub fn parse(text: &[u8]) -> Option<Message<'_>> {
    serror(text)
        .or_else(|| hardware(text))
        .or_else(|| own(text))
}

/// `SError Interrupt on CPU5, code 0x00000000be000000 -- SError`, and before
/// 4.16 `Bad mode in Error handler detected on CPU5, code 0xbf000002`.
fn serror(text: &[u8]) -> Option<Message<'_>> {
    for start in [
        &b"SError Interrupt on CPU"[..],
        b"Bad mode in Error handler detected on CPU",
    ] {
        if let Some(rest) = text.strip_prefix(start) {
            let (cpu, rest) = fields::number(rest)?;
            return rest.starts_with(b", code ").then_some(Message::SError(cpu));
        }
    }
    None
}

/// `{1}[Hardware Error]: event severity: fatal`.
fn hardware(text: &[u8]) -> Option<Message<'_>> {
    let text = match text.strip_prefix(b"{") {
        Some(behind) => &behind[memchr::memchr(b'}', behind.get(..8).unwrap_or(behind))? + 1..],
        None => text,
    };
    let said = text.strip_prefix(b"[Hardware Error]:")?.trim_ascii();
    let mpidr = memchr::memmem::find(said, b"MPIDR: ")
        .or_else(|| memchr::memmem::find(said, b"Multiprocessor Affinity Register"));
    if let Some(at) = mpidr
        && let Some(value) = said[at..].windows(2).position(|w| w == b"0x")
    {
        let (value, _) = fields::hexadecimal(&said[at + value..])?;
        return Some(Message::FirmwareRegister(b"mpidr", value));
    }
    Some(Message::HardwareError(said))
}

/// A complaint of TF-A's BL31, or a row of its registers.
fn own(text: &[u8]) -> Option<Message<'_>> {
    let level = [&b"ERROR:"[..], b"NOTICE:", b"INFO:"]
        .iter()
        .find_map(|level| text.strip_prefix(*level))
        .map_or(text, <[u8]>::trim_ascii_start);
    let begins: [&[u8]; 6] = [
        b"Unhandled Exception in EL3",
        b"Unhandled Exception from EL",
        b"Unhandled External Abort received on 0x",
        b"PANIC in EL3",
        b"PANIC at PC",
        b"Unexpected affinity info state",
    ];
    if begins.iter().any(|start| level.starts_with(start)) {
        return Some(Message::FirmwarePanic(level));
    }
    let equals = memchr::memchr(b'=', text)?;
    let name = text[..equals].trim_ascii();
    let (value, rest) = fields::hexadecimal(text[equals + 1..].trim_ascii())?;
    let known = name.ends_with(b"_el3") || name == b"mpidr_el1" || name == b"x30";
    (known && rest.is_empty()).then_some(Message::FirmwareRegister(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_speaks_for_itself() {
        for text in [
            "Unhandled Exception in EL3.",
            "PANIC at PC : 0x0000000005e12345",
            "PANIC in EL3.",
            "ERROR:   Unhandled External Abort received on 0x80000000 from S-EL1",
            "Unhandled Exception from EL0.",
        ] {
            let found = parse(text.as_bytes());
            assert!(matches!(found, Some(Message::FirmwarePanic(_))), "{text}");
        }
        assert_eq!(
            parse(b"esr_el3        = 0x0000000096000007"),
            Some(Message::FirmwareRegister(b"esr_el3", 0x9600_0007))
        );
        assert_eq!(parse(b"NOTICE:  BL31: v2.9"), None);
    }

    #[test]
    fn error_records_name_their_core() {
        assert_eq!(
            parse(b"{1}[Hardware Error]:   MPIDR: 0x0000000081010000"),
            Some(Message::FirmwareRegister(b"mpidr", 0x8101_0000))
        );
        assert_eq!(
            parse(b"{1}[Hardware Error]: event severity: fatal"),
            Some(Message::HardwareError(b"event severity: fatal"))
        );
        assert_eq!(
            parse(b"SError Interrupt on CPU5, code 0x00000000be000000 -- SError"),
            Some(Message::SError(5))
        );
    }
}
