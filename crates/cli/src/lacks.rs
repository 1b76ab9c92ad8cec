//! What was lost of a run on the way, in words.

use stalecore_model::{
    run::{Run, Unread},
    words,
};

/// What was not read of a run, without a capital and a full stop.
pub fn lacks(run: &Run, unread: &Unread) -> String {
    let read = unread.read;
    let were = words::with(read, "was", "were");
    let cases = match unread.of {
        Some(of) if read == of && unread.results => {
            "the cases that were read do not end as the closing record counts them".to_string()
        }
        Some(of) if read == of => format!("{} {were} read", words::all_cases(of)),
        Some(of) if read == 0 => format!("of {} none was read", words::cases(of)),
        Some(of) => format!("of {} {read} {were} read", words::cases(of)),
        None => format!(
            "{} {were} read, of how many is not known",
            words::cases(read)
        ),
    };
    match run.lost_records() {
        0 => cases,
        lost => format!(
            "{cases}; {} {} of the console {} lost",
            words::with(lost as usize, "record", "records"),
            words::ranges(&run.lost),
            words::with(lost as usize, "was", "were")
        ),
    }
}
