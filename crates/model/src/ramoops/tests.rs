//! What Linux finds after the reset. `as_linux_reads` does what `ram.c` and
//! `ram_core.c` do, from their description.

use super::*;
use proptest::prelude::*;
use std::{string::ToString, vec};

const ARGS: &str = "quiet ramoops.mem_address=0x50000000 ramoops.mem_size=0x10000";

fn region(args: &str) -> Ramoops {
    Ramoops::of_bootargs(args).unwrap().unwrap()
}

/// The text of each zone in use, dumps first: what stands below `/sys/fs/pstore`.
fn as_linux_reads(memory: &[u8], layout: &Ramoops) -> Vec<String> {
    let word = |at: usize| u32::from_le_bytes(memory[at..at + 4].try_into().unwrap()) as usize;
    let dumps = memory.len() - (layout.console + layout.others) as usize;
    let count = dumps / layout.record as usize;
    let zones = (0..count).map(|nth| (nth * (dumps / count), dumps / count, true));
    let console = (layout.console > 0).then_some((dumps, layout.console as usize, false));
    let mut texts = Vec::new();
    for (at, size, is_dump) in zones.chain(console) {
        let [signature, start, used] = [0, 4, 8].map(|offset| word(at + offset));
        let ring = &memory[at + HEAD..at + size];
        if signature != SIGNATURE as usize || used == 0 {
            continue;
        }
        assert!(
            used <= ring.len() && start <= used,
            "Linux takes it for damaged"
        );
        let bytes = [&ring[start..used], &ring[..start]].concat();
        let text = String::from_utf8(bytes).unwrap();
        texts.push(if is_dump {
            text.strip_prefix("====0.000000-D\n").unwrap().to_string()
        } else {
            text
        });
    }
    texts
}

fn barrier() {}

#[test]
fn the_console_s_zone_holds_what_was_written_last() {
    let layout = region(&format!("{ARGS} ramoops.console_size=8K"));
    let mut memory = vec![0xaa; layout.region.size as usize];
    let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
    log.write(b"TAP version 14\n");
    log.write(b"1..2\n");
    assert_eq!(log.lost(), 0);
    let text = "TAP version 14\n1..2\n";
    assert_eq!(as_linux_reads(&memory, &layout), [text]);
    // What does not fit pushes out what came first, and is counted.
    let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
    let all: String = (0..2000).map(|n| format!("# record {n}\n")).collect();
    for line in all.split_inclusive('\n') {
        log.write(line.as_bytes());
    }
    let kept = (8 << 10) - HEAD;
    assert_eq!(log.lost() as usize, all.len() - kept);
    assert_eq!(as_linux_reads(&memory, &layout), [&all[all.len() - kept..]]);
}

#[test]
fn dumps_that_nobody_has_collected_stay() {
    let layout = region(&format!(
        "{ARGS} ramoops.console_size=0 ramoops.record_size=0x2000 ramoops.pmsg_size=0 ramoops.ftrace_size=0"
    ));
    let mut memory = vec![0; layout.region.size as usize];
    // The second of eight holds the crash.
    let at = 0x2000;
    memory[at..at + 4].copy_from_slice(b"DBGC");
    memory[at + 4] = 20;
    memory[at + 8] = 20;
    memory[at + HEAD..at + HEAD + 20].copy_from_slice(b"====0.000000-D\nOops\n");
    let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
    let all: String = (0..1000).map(|n| format!("# record {n}\n")).collect();
    log.write(all.as_bytes());
    assert_eq!(log.lost(), 0);
    let mut texts = as_linux_reads(&memory, &layout);
    assert_eq!(texts.remove(1), "Oops\n");
    assert_eq!(texts.concat(), all);
    // Seven zones, and no more.
    let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
    log.write(&vec![b'x'; 0x10000]);
    let room = (0x2000 - HEAD - DUMP_HEAD.len()) as u64;
    assert_eq!(as_linux_reads(&memory, &layout).len(), 8);
    // Two of eight were taken by the crash and the log before.
    assert_eq!(log_lost(&layout, &mut vec![0; 0x10000]), 0x10000 - 8 * room);
    let why = Log::begin(&mut memory, &layout, barrier).err().unwrap();
    assert!(why.contains("each of the 8 records holds a dump"), "{why}");
}

fn log_lost(layout: &Ramoops, memory: &mut [u8]) -> u64 {
    let mut log = Log::begin(memory, layout, barrier).unwrap();
    log.write(&vec![b'x'; 0x10000]);
    log.lost()
}

/// A console's zone that is too small to be one is none: the records are not a ring.
#[test]
fn a_tiny_console_writes_over_no_dump() {
    let layout = region(&format!("{ARGS} ramoops.console_size=16"));
    let mut memory = vec![0; layout.region.size as usize];
    memory[..4].copy_from_slice(b"DBGC");
    memory[4] = 20;
    memory[8] = 20;
    memory[HEAD..HEAD + 20].copy_from_slice(b"====0.000000-D\nOops\n");
    let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
    log.write(&vec![b'x'; 0x20000]);
    assert!(log.lost() > 0);
    assert_eq!(&memory[HEAD..HEAD + 20], b"====0.000000-D\nOops\n");
}

#[test]
fn what_cannot_be_written_is_said() {
    for (args, why) in [
        ("ramoops.mem_address=0x50000000", "no ramoops.mem_size"),
        (
            "ramoops.mem_address=here ramoops.mem_size=1M",
            "'here' is not allowed",
        ),
        (
            "ramoops.mem_address=0x50000000 ramoops.mem_size=1M ramoops.ecc=1",
            "check bits",
        ),
        (
            "ramoops.mem_address=0x50000800 ramoops.mem_size=1M",
            "at a multiple of 4096",
        ),
        (
            "ramoops.mem_address=0x50000000 ramoops.mem_size=1G",
            "to 64 MiB",
        ),
        (
            "ramoops.mem_address=0x50000000 ramoops.mem_size=64K ramoops.console_size=128K",
            "no zone",
        ),
        (
            "ramoops.mem_address=0x50000000 ramoops.mem_size=8K ramoops.console_size=0 \
             ramoops.record_size=64K ramoops.pmsg_size=0 ramoops.ftrace_size=0",
            "no zone",
        ),
    ] {
        let found = Ramoops::of_bootargs(args).and_then(|found| found.unwrap().check());
        let error = found.unwrap_err();
        assert!(error.contains(why), "{args}: {error}");
    }
    assert_eq!(
        Ramoops::of_bootargs("quiet ramoops.console_size=1").unwrap(),
        None
    );
    // Linux rounds down, and what is not given is 4 KiB.
    let layout = region(&format!("{ARGS} ramoops.console_size=12K"));
    assert_eq!(
        (layout.console, layout.record, layout.others),
        (8 << 10, 4096, 8192)
    );
}

proptest! {
    /// Whatever is written, in pieces of any length, is what Linux reads, as far as
    /// there is room.
    #[test]
    fn nothing_is_torn(
        pieces in proptest::collection::vec("[a-z\n]{0,700}", 0..40),
        console in prop_oneof![Just(0_u32), Just(4096), Just(16384)],
        record in prop_oneof![Just(4096_u32), Just(8192)],
        garbage in any::<u8>(),
    ) {
        let layout = region(&format!(
            "{ARGS} ramoops.console_size={console} ramoops.record_size={record}"
        ));
        let mut memory = vec![garbage; layout.region.size as usize];
        let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
        for piece in &pieces {
            log.write(piece.as_bytes());
        }
        let lost = log.lost() as usize;
        let all = pieces.concat();
        let read = as_linux_reads(&memory, &layout).concat();
        let kept = if console > 0 { &all[lost..] } else { &all[..all.len() - lost] };
        prop_assert_eq!(read, kept);
    }

    #[test]
    fn any_arguments_are_read_or_refused(args in "(ramoops\\.(mem_address|mem_size|record_size|console_size|ecc)=[0-9a-fxKMG]{0,20} ?){0,6}") {
        if let Ok(Some(layout)) = Ramoops::of_bootargs(&args)
            && layout.check().is_ok()
        {
            let mut memory = vec![0; layout.region.size as usize];
            if let Ok(mut log) = Log::begin(&mut memory, &layout, barrier) {
                log.write(b"a line\n");
            }
        }
    }
}

#[test]
fn a_console_may_leave_no_room_for_dumps() {
    let layout = region(&format!(
        "{ARGS} ramoops.console_size=32K ramoops.ftrace_size=16K ramoops.pmsg_size=16K"
    ));
    let mut memory = vec![0; layout.region.size as usize];
    let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
    log.write(b"a line\n");
    assert_eq!(as_linux_reads(&memory, &layout), ["a line\n"]);
}

#[test]
fn a_dump_needs_room_behind_its_head() {
    // What user space and the trace leave of the region is one record.
    let of = |left: usize| {
        region(&format!(
            "ramoops.mem_address=0x50000000 ramoops.mem_size={} ramoops.console_size=0 \
             ramoops.record_size=16 ramoops.pmsg_size=2K ramoops.ftrace_size=2K",
            4096 + left
        ))
    };
    let head = HEAD + DUMP_HEAD.len();
    let error = of(head).check().unwrap_err();
    assert!(error.contains("no zone"), "{error}");
    let layout = of(head + 1);
    let mut memory = vec![0; layout.region.size as usize];
    let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
    log.write(b"xy");
    assert_eq!(log.lost(), 1);
    assert_eq!(as_linux_reads(&memory, &layout), ["x"]);
}

#[test]
fn each_dump_stays_wherever_it_is() {
    let layout = region(&format!(
        "{ARGS} ramoops.console_size=0 ramoops.record_size=0x1000 ramoops.pmsg_size=0 ramoops.ftrace_size=0"
    ));
    for nth in 0..16 {
        let mut memory = vec![0; layout.region.size as usize];
        let zone = nth * 0x1000..(nth + 1) * 0x1000;
        let dump = &mut memory[zone.clone()];
        dump[..12].copy_from_slice(b"DBGC\x14\0\0\0\x14\0\0\0");
        dump[HEAD..HEAD + 20].copy_from_slice(b"====0.000000-D\nOops\n");
        let before = dump.to_vec();
        let mut log = Log::begin(&mut memory, &layout, barrier).unwrap();
        log.write(&vec![b'x'; 0x10000]);
        assert!(memory[zone] == before, "record {nth}");
        assert_eq!(as_linux_reads(&memory, &layout).len(), 16);
    }
}
