//! What a file may be: a log, compressed or not, an archive of records, or a record that
//! pstore left compressed.

use std::io::Write;

use flate2::{Compression, write};

use super::{
    archive::tests::tar,
    records::tests::{LOG, deflate, parts, read},
    *,
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = write::GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// What is read of a file with this name.
fn text(bytes: &[u8], name: &str) -> Result<Vec<u8>, String> {
    let file = Box::new(Cursor::new(bytes.to_vec()));
    let mut text = Vec::new();
    unpacked(file, name)
        .map_err(|e| format!("{e:#}"))?
        .read_to_end(&mut text)
        .map_err(|e| e.to_string())?;
    Ok(text)
}

#[test]
fn a_log_is_read_as_it_is_and_out_of_gzip() {
    let log = LOG.as_bytes();
    let (front, back) = log.split_at(log.len() / 3);
    for (what, bytes) in [
        ("plain", log.to_vec()),
        ("gzip", gzip(log)),
        ("of several members", [gzip(front), gzip(back)].concat()),
    ] {
        // The name says nothing of it: a pipe has none.
        for name in ["-", "console.log", "console.log.gz"] {
            assert_eq!(text(&bytes, name).unwrap(), log, "{what}, {name}");
        }
    }
    for (bytes, is) in [(Vec::new(), ""), (gzip(b""), ""), (gzip(b"x"), "x")] {
        assert_eq!(text(&bytes, "short.log").unwrap(), is.as_bytes());
    }
}

#[test]
fn archives_of_every_kind_read_as_the_log() {
    let wanted = read(LOG.as_bytes());
    let records: Vec<_> = parts()
        .into_iter()
        .map(|(name, bytes)| (format!("sys/fs/pstore/{name}"), bytes))
        .collect();
    let compressed: Vec<_> = records
        .iter()
        .map(|(name, bytes)| (format!("{name}.enc.z"), deflate(bytes)))
        .collect();
    let joined = [("1709528773/dmesg.txt".to_string(), LOG.into())];
    let kdump = [
        ("crash/vmcore".to_string(), vec![0; 1 << 20]),
        ("crash/vmcore-dmesg.txt".to_string(), LOG.into()),
    ];
    for files in [&records[..], &compressed, &joined, &kdump] {
        let name = &files[0].0;
        for archive in [tar(files), gzip(&tar(files))] {
            assert_eq!(read(&text(&archive, "a").unwrap()), wanted, "{name}");
        }
    }
    assert_eq!(
        text(&deflate(LOG.as_bytes()), "dmesg-efi_pstore-1.enc.z").unwrap(),
        LOG.as_bytes()
    );
}

/// What is damaged is an error that names the file, or ends the reading as one.
#[test]
fn damage_is_told() {
    let log = gzip(LOG.as_bytes());
    assert!(text(&log[..log.len() / 2], "cut.gz").is_err());
    let mut damaged = log.clone();
    let middle = log.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    assert!(text(&damaged, "damaged.gz").is_err());
    let archive = gzip(&tar(&parts()));
    for (bytes, name) in [
        (&b"\x1f\x8b no gzip"[..], "no.gz"),
        (&archive[..archive.len() / 2], "cut.tar.gz"),
        (b"\xff\xff no deflate", "dmesg-1.enc.z"),
    ] {
        let error = text(bytes, name).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    let other = gzip(&tar(&[("a".into(), b"x".into())]));
    let error = text(&other, "a.tar.gz").unwrap_err();
    assert!(error.contains("a.tar.gz holds no record"), "{error}");
}
