//! What is said over a serial line that works both ways, once a run has ended: the image
//! offers to send records again, the host asks for those that it has not read. Either may
//! be lost or damaged, so the image offers more than once, and a request gives its numbers
//! twice.
//!
//! ```text
//! image  stalecore: again?
//! host   again 5 7 5 7
//! image  # … 5:…
//!        # … 6:…
//!        # … 7:…
//!        stalecore: again?
//! host   again 0 0 0 0
//! image  stalecore: exit 0
//! ```

use alloc::{format, string::String};

/// The image's offer, a line of its own.
pub const OFFER: &str = "stalecore: again?";

/// How often the image offers, [`PAUSE_MS`] apart, before it takes nobody to be there.
pub const OFFERS: u32 = 5;
/// How long the image listens after an offer.
pub const PAUSE_MS: u64 = 1000;
/// How many requests the image answers.
pub const MOST: u32 = 256;
/// A request is no longer than this.
pub const LONGEST: usize = 64;

const HEAD: &[u8] = b"again";

/// What the host asks for: records by their numbers in this boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Request {
    /// The first.
    pub first: u32,
    /// The last, or beyond.
    pub last: u32,
}

impl Request {
    /// Nothing more is wanted.
    pub const DONE: Self = Self { first: 0, last: 0 };

    /// The host's line, after an empty one, which ends whatever noise came before. Both
    /// bytes end each, as telnet has a line end (RFC 854); a server makes of them one or
    /// the other, or leaves both.
    pub fn line(self) -> String {
        let Self { first, last } = self;
        format!("\r\nagain {first} {last} {first} {last}\r\n")
    }

    /// Reads what came between two line ends; `None` if it is no request, or a damaged
    /// one.
    pub fn read(line: &[u8]) -> Option<Self> {
        // As little code as possible, as the image carries it.
        let mut numbers = [None; 4];
        let mut place = numbers.iter_mut();
        let mut number: &mut Option<u32> = &mut None;
        for byte in line.strip_prefix(HEAD)? {
            match byte {
                b' ' => number = place.next()?,
                b'0'..=b'9' => {
                    let digit = u32::from(byte - b'0');
                    *number = Some(number.unwrap_or(0).wrapping_mul(10).wrapping_add(digit));
                }
                _ => return None,
            }
        }
        match numbers {
            [Some(first), Some(last), again, too] if [again, too] == [Some(first), Some(last)] => {
                Some(Self { first, last })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_asked_is_read() {
        for (first, last) in [(5, 7), (0, 0), (1, u32::MAX)] {
            let asked = Request { first, last };
            let line = asked.line();
            assert!(line.len() < LONGEST, "{line:?}");
            let line = line.trim().as_bytes();
            assert_eq!(Request::read(line), Some(asked));
            for at in 0..line.len() {
                for bit in 0..8 {
                    let mut damaged = line.to_vec();
                    damaged[at] ^= 1 << bit;
                    assert_eq!(Request::read(&damaged), None, "{at}");
                }
                let mut damaged = line.to_vec();
                damaged.remove(at);
                assert_eq!(Request::read(&damaged), None, "{at}");
            }
        }
        for wrong in [
            "",
            "again",
            "again 5 7",
            "again 5 7 5 7 5",
            "again 5 7 5 ",
            "again5 7 5 7",
        ] {
            assert_eq!(Request::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_no_request(noise: alloc::vec::Vec<u8>) {
            prop_assert_eq!(Request::read(&noise), None);
        }
    }
}
