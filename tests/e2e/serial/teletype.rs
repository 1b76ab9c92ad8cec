//! The telnet of a console server that holds the host to RFC 854 and 856.

use std::collections::BTreeMap;

const NOP: u8 = 241;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

const BINARY: u8 = 0;
const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;
const TERMINAL_TYPE: u8 = 24;

/// What the server says first: it echoes, and bytes go as they are if so asked.
pub fn greeting(binary: bool) -> Vec<u8> {
    let mut words = vec![[IAC, WILL, ECHO], [IAC, WILL, SUPPRESS_GO_AHEAD]];
    if binary {
        words.extend([[IAC, WILL, BINARY], [IAC, DO, BINARY]]);
    }
    words.concat()
}

/// A line of the board's as the server sends it: commands stand in the middle of it,
/// and an option comes up that was not spoken of.
pub fn sent(line: &[u8]) -> Vec<u8> {
    let (first, rest) = line.split_at(line.len() / 2);
    let quoted = |bytes: &[u8]| -> Vec<u8> {
        let twice = |byte: &u8| vec![*byte; if *byte == IAC { 2 } else { 1 }];
        bytes.iter().flat_map(twice).collect()
    };
    let between = [IAC, NOP, IAC, DO, TERMINAL_TYPE];
    [quoted(first), between.to_vec(), quoted(rest)].concat()
}

/// What the host says, with the commands taken out.
#[derive(Default)]
pub struct Heard {
    pending: Vec<u8>,
    /// The host's word on each option: on its own doing, and on the server's.
    pub does: BTreeMap<u8, bool>,
    pub wants: BTreeMap<u8, bool>,
}

impl Heard {
    /// Takes in what came, and gives the text of it.
    ///
    /// # Panics
    /// It is not as the RFCs have it.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.pending.extend_from_slice(bytes);
        let mut text = Vec::new();
        loop {
            match self.pending[..] {
                [IAC, verb @ WILL..=DONT, option, ..] => {
                    let (words, yes) = match verb {
                        WILL | WONT => (&mut self.does, verb == WILL),
                        _ => (&mut self.wants, verb == DO),
                    };
                    assert_eq!(words.insert(option, yes), None, "{option} said twice");
                    self.pending.drain(..3);
                }
                [IAC, verb, ..] if !(WILL..=DONT).contains(&verb) => panic!("command {verb}"),
                [IAC, ..] | [] | [b'\r'] => return text,
                [b'\r', next, ..] => {
                    let binary = self.does.get(&BINARY) == Some(&true);
                    assert!(binary || next == b'\n' || next == 0, "a bare return");
                    text.push(b'\r');
                    self.pending.drain(..if next == 0 { 2 } else { 1 });
                }
                [byte, ..] => {
                    text.push(byte);
                    self.pending.remove(0);
                }
            }
        }
    }

    /// Has the host answered everything as it should?
    pub fn check(&self, binary: bool) {
        let mut wants = BTreeMap::from([(ECHO, true), (SUPPRESS_GO_AHEAD, true)]);
        let mut does = BTreeMap::from([(TERMINAL_TYPE, false)]);
        if binary {
            wants.insert(BINARY, true);
            does.insert(BINARY, true);
        }
        assert_eq!((&self.wants, &self.does), (&wants, &does));
    }
}
