//! A command, from its words to what one would type.

use alloc::{format, string::String, vec::Vec};

/// A command line that a shell reads back as these words.
pub fn quoted(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+:,./@%".contains(c);
    let words: Vec<_> = words
        .iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', "'\\''"))
            }
        })
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_quoted_for_the_shell() {
        let words = ["qemu", "-append", "stalecore.ops=ic-ivau quiet", "it's", ""];
        assert_eq!(
            quoted(&words.map(String::from)),
            r"qemu -append 'stalecore.ops=ic-ivau quiet' 'it'\''s' ''"
        );
    }
}
