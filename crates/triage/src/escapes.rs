//! Terminal control sequences, as `dmesg --color` and consoles leave them.

/// Takes terminal control sequences out of a line.
pub fn without_escapes(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != 0x1b {
            plain.push(byte);
            continue;
        }
        match bytes.next() {
            // CSI: up to a letter or `@`..`~`.
            Some(b'[') => {
                bytes.find(|b| (0x40..=0x7e).contains(b));
            }
            // OSC: up to BEL or the escape of its terminator.
            Some(b']') => {
                bytes.find(|b| matches!(b, 0x07 | 0x1b));
            }
            Some(b'(' | b')') => {
                bytes.next();
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_come_off() {
        let line = b"\x1b[32m[   1.000000] \x1b[0m\x1b[33mSMP: \x1b[0mstopping\x1b(B\x1b]0;t\x07!";
        assert_eq!(without_escapes(line), b"[   1.000000] SMP: stopping!");
        assert_eq!(without_escapes(b"cut \x1b[3"), b"cut ");
    }
}
