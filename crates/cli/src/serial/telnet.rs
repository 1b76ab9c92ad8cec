//! Telnet as console servers speak it: takes its commands out of the stream
//! and answers them so that the server sends bytes as they are.
//!
//! RFC 854 (commands), 856 (binary), 857 (echo), 858 (no go-ahead).

const SE: u8 = 240;
const SB: u8 = 250;
const WILL: u8 = 251;
const WONT: u8 = 252;
const DO: u8 = 253;
const DONT: u8 = 254;
const IAC: u8 = 255;

const BINARY: u8 = 0;
const ECHO: u8 = 1;
const SUPPRESS_GO_AHEAD: u8 = 3;

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Text,
    /// After a carriage return, which a NUL may follow that means nothing.
    Return,
    Command,
    /// After WILL or DO; the others need no answer.
    Option(u8),
    /// After WONT or DONT.
    Ignored,
    Negotiation,
    NegotiationCommand,
}

/// A connection's state.
#[derive(Debug, Default)]
pub struct Telnet {
    state: State,
    /// WILL and DO that were answered, as bits by option: answering answers would
    /// never end.
    answered: [[u64; 4]; 2],
}

impl Telnet {
    /// Takes in what came: leaves the text at the beginning of `bytes`, appends
    /// what is to be sent to `answer`, and gives the text's length.
    pub fn take(&mut self, bytes: &mut [u8], answer: &mut Vec<u8>) -> usize {
        let mut length = 0;
        for at in 0..bytes.len() {
            let byte = bytes[at];
            if self.is_text(byte, answer) {
                bytes[length] = byte;
                length += 1;
            }
        }
        length
    }

    fn is_text(&mut self, byte: u8, answer: &mut Vec<u8>) -> bool {
        let state = std::mem::take(&mut self.state);
        match (state, byte) {
            (State::Text | State::Return, IAC) => self.state = State::Command,
            (State::Return, 0) => {}
            (State::Text | State::Return, _) => {
                if byte == b'\r' {
                    self.state = State::Return;
                }
                return true;
            }
            // The byte itself, sent twice.
            (State::Command, IAC) => return true,
            (State::Command, WILL | DO) => self.state = State::Option(byte),
            (State::Command, WONT | DONT) => self.state = State::Ignored,
            (State::Command, SB) => self.state = State::Negotiation,
            (State::Command | State::Ignored, _) => {}
            (State::Option(verb), option) => self.answer(verb, option, answer),
            (State::Negotiation, IAC) => self.state = State::NegotiationCommand,
            (State::NegotiationCommand, SE) => {}
            (State::Negotiation | State::NegotiationCommand, _) => self.state = State::Negotiation,
        }
        false
    }

    fn answer(&mut self, verb: u8, option: u8, answer: &mut Vec<u8>) {
        let seen = &mut self.answered[usize::from(verb == DO)][usize::from(option / 64)];
        let bit = 1 << (option % 64);
        if *seen & bit != 0 {
            return;
        }
        *seen |= bit;
        let yes = matches!(option, BINARY | SUPPRESS_GO_AHEAD);
        let verb = match (verb, yes || option == ECHO) {
            (WILL, true) => DO,
            (WILL, false) => DONT,
            _ if yes => WILL,
            _ => WONT,
        };
        answer.extend([IAC, verb, option]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text and answers of a stream that comes in pieces.
    fn through(bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<u8>) {
        let (mut telnet, mut text, mut answer) = (Telnet::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            let mut piece = piece.to_vec();
            let length = telnet.take(&mut piece, &mut answer);
            text.extend_from_slice(&piece[..length]);
        }
        (text, answer)
    }

    #[test]
    fn a_console_server_s_greeting() {
        let mut stream = vec![IAC, WILL, ECHO, IAC, WILL, SUPPRESS_GO_AHEAD, IAC, DO, 24];
        stream.extend(b"login\r\0\r\n");
        stream.extend([
            IAC, SB, 24, 1, IAC, IAC, SE, IAC, SE, IAC, IAC, IAC, 241, b'x',
        ]);
        // Said again, it is not answered again.
        stream.extend([IAC, WILL, ECHO, IAC, WILL, 200, IAC, DONT, ECHO]);
        let (text, answer) = through(&stream, 1000);
        assert_eq!(text, b"login\r\r\n\xffx");
        assert_eq!(
            answer,
            [
                [IAC, DO, ECHO],
                [IAC, DO, SUPPRESS_GO_AHEAD],
                [IAC, WONT, 24],
                [IAC, DONT, 200]
            ]
            .concat()
        );
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(bytes in prop::collection::vec(prop::sample::select(vec![
            IAC, SB, SE, WILL, WONT, DO, DONT, 0, 1, 3, b'\r', b'\n', b'x']), 0..200), piece in 1_usize..9) {
            prop_assert_eq!(through(&bytes, piece), through(&bytes, 1000));
        }

        #[test]
        fn answers_are_bounded(bytes: Vec<u8>, times in 1_usize..50) {
            let (_, answer) = through(&bytes.repeat(times), 64);
            prop_assert!(answer.len() <= 2 * 256 * 3);
        }

        #[test]
        fn any_byte_can_be_sent(bytes: Vec<u8>) {
            // As a server sends it: the command byte and a NUL after a return
            // are the only ones that change.
            let mut stream = Vec::new();
            for byte in &bytes {
                stream.push(*byte);
                match *byte {
                    IAC => stream.push(IAC),
                    b'\r' => stream.push(0),
                    _ => {}
                }
            }
            prop_assert_eq!(through(&stream, 64).0, bytes);
        }
    }
}
