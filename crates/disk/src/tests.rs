//! Images read back with another implementation, as firmware would read them.

use super::*;
use fatfs::{FatType, FileSystem, FsOptions};
use std::io::{Cursor, Read};

fn image(files: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("disk.img");
    write(&path, files)?;
    std::fs::read(path)
}

fn partition(image: &[u8]) -> Cursor<Vec<u8>> {
    Cursor::new(image[(START * SECTOR) as usize..].to_vec())
}

#[test]
fn files_are_there_again() {
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i >> 7) as u8).collect();
    let many: Vec<String> = (0..40).map(|i| format!("logs/stalecore-{i}.log")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![
        ("EFI/BOOT/BOOTAA64.EFI", &large),
        ("stalecore.cfg", b"stalecore.samples=3\n"),
        ("efi/boot/grub.cfg", b""),
        ("exactly-one-cluster", &large[..512]),
    ];
    files.extend(many.iter().map(|p| (p.as_str(), p.as_bytes())));
    let image = image(&files).unwrap();
    let volume = FileSystem::new(partition(&image), FsOptions::new()).unwrap();
    assert_eq!(volume.fat_type(), FatType::Fat32);
    assert_eq!(volume.volume_label(), "STALECORE");
    for (path, bytes) in files {
        let mut read = Vec::new();
        let mut file = volume.root_dir().open_file(path).unwrap();
        file.read_to_end(&mut read).unwrap();
        assert!(read == bytes, "{path}");
    }
    let names = |path: &str| -> Vec<String> {
        let entries = volume.root_dir().open_dir(path).unwrap();
        entries.iter().map(|e| e.unwrap().file_name()).collect()
    };
    assert_eq!(names("EFI/BOOT"), [".", "..", "BOOTAA64.EFI", "grub.cfg"]);
    assert_eq!(names("logs").len(), 42);
}

#[test]
fn what_is_free_is_known() {
    let image = image(&[("a", &[1; 1000]), ("b/c", &[2; 1])]).unwrap();
    let volume = FileSystem::new(partition(&image), FsOptions::new()).unwrap();
    let stats = volume.stats().unwrap();
    // Root, 2 clusters of `a`, directory `b`, 1 cluster of `c`.
    assert_eq!(stats.total_clusters() - stats.free_clusters(), 5);
    assert!(stats.total_clusters() >= 65_525, "or it is no FAT32");
}

#[test]
fn a_volume_can_be_written_to() {
    let image = image(&[("stalecore.cfg", b"x")]).unwrap();
    let volume = FileSystem::new(partition(&image), FsOptions::new()).unwrap();
    let root = volume.root_dir();
    let mut log = root.create_file("stalecore-1.log").unwrap();
    log.write_all(&[b'y'; 100_000]).unwrap();
    drop(log);
    let mut read = Vec::new();
    let mut old = root.open_file("stalecore.cfg").unwrap();
    old.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"x");
}

#[test]
fn the_partition_is_where_its_table_says() {
    let image = image(&[]).unwrap();
    assert_eq!(image.len() as u32, (START + LENGTH) * SECTOR);
    assert_eq!(image[510..512], [0x55, 0xaa]);
    assert_eq!(image[446 + 4], 0xef);
    let word = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    assert_eq!((word(454), word(458)), (START, LENGTH));
    let boot_sector = (START * SECTOR) as usize;
    assert_eq!(image[boot_sector + 510..boot_sector + 512], [0x55, 0xaa]);
    assert_eq!(word(boot_sector + 28), START, "hidden sectors");
    assert!(image[462..510].iter().all(|b| *b == 0), "one partition");
}

#[test]
fn the_same_files_make_the_same_image() {
    let make = || image(&[("a/b", b"c")]).unwrap();
    assert!(make() == make());
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |files: &[(&str, &[u8])]| image(files).unwrap_err().to_string();
    let too_much = vec![0; (LENGTH * SECTOR) as usize];
    assert_eq!(refused(&[("big", &too_much)]), "the files do not fit");
    assert_eq!(refused(&[("a/", b"")]), "a/: '' cannot be a file's name");
    assert_eq!(refused(&[("a", b""), ("a/b", b"")]), "a/b: 'a' is a file");
    assert_eq!(refused(&[("a", b""), ("A", b"")]), "A: is there twice");
}
