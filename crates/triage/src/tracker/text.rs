//! A line as its writer meant it: without what others have put around it, before it or
//! into it.

use std::borrow::Cow;

use super::super::{
    crash::Crash,
    escapes::without_escapes,
    fields,
    mark::Place,
    message::Message,
    prefix::{self, Stamp},
    wording,
};

/// The line without what terminals and programs put around it.
pub(super) fn plain(bytes: &[u8]) -> Cow<'_, [u8]> {
    let bytes = if memchr::memchr(0x1b, bytes).is_some() {
        Cow::Owned(without_escapes(bytes))
    } else {
        Cow::Borrowed(bytes)
    };
    if !bytes.ends_with(b"}") && !bytes.ends_with(b"},") {
        return bytes;
    }
    match prefix::unwrap(&bytes) {
        Some(inside) => Cow::Owned(inside.into_owned()),
        None => bytes,
    }
}

/// A message after a vendor's prefix, after another writer's text, or after a prompt.
pub(super) fn in_mid_line<'a>(
    bytes: &'a [u8],
    stamp: Stamp<'a>,
    text: &'a [u8],
    complete: bool,
) -> (Stamp<'a>, Option<Message<'a>>) {
    if stamp.logged
        && let Some(message) = prefix::peel(text).find_map(|rest| wording::parse(rest, complete))
    {
        return (stamp, Some(message));
    }
    if let Some((stamp, text)) = prefix::split_before(bytes, bytes.len()) {
        let message = wording::parse(text, complete)
            .or_else(|| prefix::peel(text).find_map(|rest| wording::parse(rest, complete)));
        if message.is_some() {
            return (stamp, message);
        }
    }
    let behind = if stamp.logged {
        None
    } else {
        prefix::behind_prompt(bytes)
    };
    let message = behind.and_then(|text| wording::parse(text, complete));
    let begins = matches!(
        message,
        Some(
            Message::SysrqCrash
                | Message::Panic(_)
                | Message::SoftLockup { .. }
                | Message::HardLockup { .. }
                | Message::Oops(_)
        )
    );
    (stamp, message.filter(|_| begins))
}

/// Frames of which only the names are left: no search word finds their lines.
pub(super) fn bare_frames(crash: &mut Crash, behind: &[u8], at: &Place<'_>) {
    let mut frames = Vec::new();
    let lines = behind
        .split(|b| matches!(b, b'\n' | b'\r'))
        .filter(|line| !line.is_empty());
    for line in lines {
        let line = plain(line);
        let (stamp, text) = prefix::split(&line);
        if fields::symbol(text).is_some() {
            // The search words find these.
            return;
        }
        if stamp.logged != at.stamp.logged || fields::bare_symbol(text).is_none() {
            break;
        }
        frames.push(text.trim_ascii().to_vec());
    }
    // A single word is no trace.
    if frames.len() > 1 {
        for frame in frames {
            crash.take(Message::Frame(&frame), *at);
        }
    }
}
