//! Sends records that were lost on the way to the host again, from the flight recorder,
//! if the host asks; only where the boot arguments allow the line's input to be read.

use stalecore_model::again::{LONGEST, MOST, OFFER, OFFERS, PAUSE_MS, Request};

use super::recorder;
use crate::hal::{
    clock,
    console::{self, println},
    watchdog,
};

/// Offers to send records again, and does so as long as the host asks. To be called
/// once all have been written.
pub fn offer() {
    if !recorder::keeps_all() {
        return;
    }
    for _ in 0..MOST {
        match (0..OFFERS).find_map(|_| asked()) {
            None | Some(Request::DONE) => return,
            Some(asked) => recorder::again(asked, |text| {
                watchdog::refresh();
                println!("# {text}");
            }),
        }
    }
}

/// Makes one offer, and listens for a while.
fn asked() -> Option<Request> {
    watchdog::refresh();
    println!("{OFFER}");
    let mut asked = None;
    let (mut line, mut length) = ([0; LONGEST], 0);
    clock::wait_ms(PAUSE_MS, || {
        match console::heard() {
            Some(b'\r' | b'\n') => {
                asked = line.get(..length).and_then(Request::read);
                length = 0;
            }
            Some(byte) => {
                if let Some(place) = line.get_mut(length) {
                    *place = byte;
                    length += 1;
                }
            }
            None => {}
        }
        asked.is_some()
    });
    asked
}
