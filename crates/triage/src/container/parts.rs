//! Records in persistent storage come in parts, the newest first.

use super::{super::wording, Row};

/// Puts the parts of each record into the order in which they were printed, and
/// renumbers the lines.
pub fn order<'a>(rows: &[Row<'a>]) -> Option<Vec<Row<'a>>> {
    let part = |row: &Row<'_>| wording::part(row.bytes.trim_ascii());
    let first = rows.iter().position(|row| part(row).is_some())?;
    let mut parts: Vec<(u32, u32, &[Row<'a>])> = Vec::new();
    let mut at = first;
    while at < rows.len() {
        let next = rows[at + 1..].iter().position(|row| part(row).is_some());
        let end = next.map_or(rows.len(), |n| at + 1 + n);
        let (record, number) = part(&rows[at])?;
        parts.push((record, number, &rows[at..end]));
        at = end;
    }
    // Part 1 is the end of the log. Records keep their order.
    let mut records: Vec<u32> = parts.iter().map(|p| p.0).collect();
    records.dedup();
    let place = |record: u32| records.iter().position(|r| *r == record);
    let before: Vec<_> = parts.iter().map(|p| (p.0, p.1)).collect();
    parts.sort_by_key(|(record, number, _)| (place(*record), std::cmp::Reverse(*number)));
    if parts.iter().map(|p| (p.0, p.1)).eq(before) {
        return None;
    }
    let mut found = rows[..first].to_vec();
    for (_, _, lines) in parts {
        found.extend(lines.iter().cloned());
    }
    // Later code tells the order by line numbers.
    for (row, number) in found.iter_mut().zip(1..) {
        row.number = number;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    #[test]
    fn parts_come_in_the_order_of_printing() {
        let file = "Panic#2 Part1\nc\nPanic#2 Part2\nb\nPanic#2 Part3\na\nOops#1 Part1\nz\n";
        let found = read(file).unwrap();
        let lines: Vec<_> = found.iter().map(|(_, line)| line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "Panic#2 Part3",
                "a",
                "Panic#2 Part2",
                "b",
                "Panic#2 Part1",
                "c",
                "Oops#1 Part1",
                "z"
            ]
        );
        assert_eq!(found[1].0, 2);
        assert_eq!(read("Panic#1 Part2\na\nPanic#1 Part1\nb\n"), None);
    }
}
