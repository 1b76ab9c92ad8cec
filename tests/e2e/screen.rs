//! What is to be seen on a machine's screen: read back from the pixels, letter by letter.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use stalecore_model::{framebuffer::Format, screen::glyph};
use tempfile::TempDir;

use crate::{
    dist::{Booted, built},
    fake::Ended,
    host::shares,
    odd_machines::{memory, tree},
};

/// How long a machine may take to get as far as a test wants.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pixels of a letter.
const LETTER: [usize; 2] = [8, 13];

/// A picture: which of its pixels are not black.
struct Picture {
    width: usize,
    height: usize,
    lit: Vec<bool>,
}

impl Picture {
    /// A portable pixmap, as QEMU writes it.
    fn of_ppm(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.splitn(4, |byte| byte.is_ascii_whitespace());
        let mut word = || std::str::from_utf8(words.next()?).ok();
        assert_eq!(word()?, "P6");
        let (width, height) = (word()?.parse().ok()?, word()?.parse().ok()?);
        let pixels = words.next()?.strip_prefix(b"255\n")?;
        let lit: Vec<_> = pixels.chunks(3).map(|pixel| pixel != [0; 3]).collect();
        (lit.len() == width * height).then_some(Self { width, height, lit })
    }

    /// The letters of such a size, line by line; `None` where a place has none.
    fn lines(&self, scale: usize) -> Vec<Vec<Option<char>>> {
        let [width, height] = LETTER.map(|n| n * scale);
        let read = |column: usize, line: usize| {
            let is_lit = |x: usize, y: usize| {
                self.lit[(line * height + y) * self.width + column * width + x]
            };
            let same = |letter: &u8| {
                let rows = glyph(*letter);
                let set = |x: usize, y: usize| rows[y / scale] & 0x80 >> (x / scale) != 0;
                (0..height).all(|y| (0..width).all(|x| set(x, y) == is_lit(x, y)))
            };
            (b' '..=b'~').find(same).map(char::from)
        };
        (0..self.height / height)
            .map(|line| {
                let columns = 0..self.width / width;
                columns.map(|column| read(column, line)).collect()
            })
            .collect()
    }

    /// The words on it, if they are the image's: every place has a letter, and the first are
    /// its name. Its letters have a size that is not known.
    fn words(&self) -> Option<String> {
        (1..=4).find_map(|scale| {
            let lines: Option<Vec<String>> = self
                .lines(scale)
                .into_iter()
                .map(|line| line.into_iter().collect())
                .collect();
            let lines: Vec<String> = lines?.iter().map(|line| line.trim_end().into()).collect();
            let said = lines.join("\n");
            said.starts_with("stalecore ").then_some(said)
        })
    }

    /// Does it show anything?
    fn is_lit(&self) -> bool {
        self.lit.iter().any(|lit| *lit)
    }
}

/// A camera on the monitor of a machine.
struct Camera {
    stream: UnixStream,
    answers: BufReader<UnixStream>,
}

impl Camera {
    fn on(monitor: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(monitor)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let answers = BufReader::new(stream.try_clone()?);
        let mut camera = Self { stream, answers };
        camera.ask("{\"execute\":\"qmp_capabilities\"}")?;
        Ok(camera)
    }

    fn ask(&mut self, command: &str) -> std::io::Result<()> {
        writeln!(self.stream, "{command}")?;
        loop {
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.contains("\"return\"") || line.contains("\"error\"") {
                return Ok(());
            }
        }
    }

    fn picture(&mut self, file: &Path) -> std::io::Result<Option<Picture>> {
        let name = file.display();
        self.ask(&format!(
            "{{\"execute\":\"screendump\",\"arguments\":{{\"filename\":\"{name}\"}}}}"
        ))?;
        Ok(Picture::of_ppm(&fs::read(file).unwrap_or_default()))
    }
}

/// Boots by UEFI with a screen, which is looked at until the machine is gone: all pictures
/// that differ.
fn looked_at(args: &str) -> (Booted, Vec<Picture>) {
    built("stalecore.efi");
    let dir = TempDir::new().unwrap();
    let [monitor, file] = ["monitor", "picture"].map(|name| dir.path().join(name));
    let mut eye = None;
    let booted = Booted::with(&format!("--boot uefi --cpus 4 {args}"), |command| {
        let listen = format!("unix:{},server=on,wait=off", monitor.display());
        for word in ["-device", "ramfb", "-qmp", &listen] {
            command.args(["--qemu-arg", word]);
        }
        let (monitor, file) = (monitor.clone(), file.clone());
        eye = Some(thread::spawn(move || look(&monitor, &file)));
    });
    (booted, eye.unwrap().join().unwrap())
}

fn look(monitor: &Path, file: &Path) -> Vec<Picture> {
    let begin = Instant::now();
    let mut camera = loop {
        match Camera::on(monitor) {
            Ok(camera) => break camera,
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    let mut pictures: Vec<Picture> = Vec::new();
    while let Ok(picture) = camera.picture(file) {
        if let Some(picture) = picture
            && pictures.last().is_none_or(|last| last.lit != picture.lit)
        {
            pictures.push(picture);
        }
        thread::sleep(Duration::from_millis(50));
    }
    pictures
}

#[test]
fn under_uefi_progress_and_answer_are_on_the_screen() {
    let plan = "--no-semihosting --ops ic-ivau,dc-civac --stale spin,wfe --samples 8 --sweep off";
    let (booted, pictures) = looked_at(plan);
    let booted = booted.ends(0, &[]);
    assert!(booted.console().contains("  screen    0x"));
    let said: Vec<String> = pictures.iter().filter_map(Picture::words).collect();
    let last = said.last().expect("the image has drawn something");
    for part in [
        "4 cores, ",
        "CPU 0 against CPUs 1-2, 8 samples",
        "4 of 4 done; ended after ",
        "this stays for 60 s",
        "exit code 0: every case ended as expected",
    ] {
        assert!(last.contains(part), "{part}: {last}");
    }
    let running = |said: &String| said.contains(" of 4 done; cases ");
    assert!(said.iter().any(running), "{said:#?}");
    // What the host's answer says of slowed cases, on a busy host, is there too.
    let slowed = last.contains("No case blocked or faulted; ");
    assert!(
        slowed || last.contains("No case blocked, faulted or was slowed"),
        "{last}"
    );
}

#[test]
fn where_it_is_refused_nothing_is_drawn() {
    let plan = "--no-semihosting --framebuffer off --ops ic-ivau --stale spin --samples 8 \
                --sweep off";
    let (booted, pictures) = looked_at(plan);
    booted.ends(0, &[]);
    // Firmware has drawn.
    assert!(pictures.iter().any(Picture::is_lit));
    let said: Vec<String> = pictures.iter().filter_map(Picture::words).collect();
    assert!(said.is_empty(), "{said:?}");
}

/// Where QEMU's memory begins, and how much of it there is.
const MEMORY: u64 = 0x4000_0000;
const SIZE: u64 = 1 << 30;

/// A screen in a machine's memory.
struct Node {
    base: u64,
    width: usize,
    height: usize,
    stride: usize,
    format: &'static str,
    /// Does a node of `/reserved-memory` say where it is?
    reserved: bool,
}

/// At the lowest address, where the image would have put its own stacks, in 16 bits with a
/// few bytes between the rows.
const LOW: Node = Node {
    base: MEMORY,
    width: 800,
    height: 600,
    stride: 1616,
    format: "r5g6b5",
    reserved: false,
};
/// At the end of memory, in 32 bits, and so large that letters are.
const HIGH: Node = Node {
    base: MEMORY + SIZE - 0x80_0000,
    width: 1280,
    height: 1024,
    stride: 5120,
    format: "a8b8g8r8",
    reserved: true,
};

impl Node {
    /// As text of a tree.
    fn text(&self) -> String {
        let Self {
            base,
            width,
            height,
            stride,
            format,
            reserved,
        } = self;
        let size = stride * height;
        let reg = format!("reg = <0 {base:#x} 0 {size:#x}>;");
        let (place, beside) = match reserved {
            false => (reg, String::new()),
            true => (
                "memory-region = <&screen>;".into(),
                format!(
                    "reserved-memory {{ #address-cells = <2>; #size-cells = <2>; ranges; \
                     screen: screen@{base:x} {{ {reg} no-map; }}; }};\n"
                ),
            ),
        };
        format!(
            "{beside}framebuffer@{base:x} {{ compatible = \"simple-framebuffer\"; {place} \
             width = <{width}>; height = <{height}>; stride = <{stride}>; \
             format = \"{format}\"; }};\n"
        )
    }

    /// What is to be seen there, and whether the bytes between its rows are as they were.
    fn picture(&self, memory: &mut File) -> (Picture, bool) {
        let mut bytes = vec![0; self.stride * self.height];
        memory.seek(SeekFrom::Start(self.base - MEMORY)).unwrap();
        memory.read_exact(&mut bytes).unwrap();
        let format = Format::from_name(self.format).unwrap();
        let size = usize::from(format.bytes);
        let black = &format.pixel([0; 3]).to_le_bytes()[..size];
        let rows = || bytes.chunks(self.stride);
        let lit = rows().flat_map(|row| {
            let pixels = row[..self.width * size].chunks(size);
            pixels.map(|pixel| pixel != black)
        });
        let untouched = rows().all(|row| row[self.width * size..].iter().all(|b| *b == 0));
        let picture = Picture {
            width: self.width,
            height: self.height,
            lit: lit.collect(),
        };
        (picture, untouched)
    }
}

/// Runs on a machine whose tree has a screen, and whose memory is a file.
fn with_screen(dir: &Path, node: &Node, args: &str) -> (Booted, File) {
    let tree = tree(dir, 4, |source| {
        let end = source.rfind("};").unwrap();
        format!("{}{}}};\n", &source[..end], node.text())
    });
    let (memory, words) = memory(dir, &tree, SIZE);
    let booted = Booted::with(&format!("--cpus 4 --el 1 {args}"), |command| {
        command.args(words);
    });
    (booted, File::open(&memory).unwrap())
}

#[test]
fn a_screen_of_the_device_tree_s_shows_a_block() {
    let plan = "--ops ic-ivau,selftest-hang --stale spin --samples 8 --sweep off --deadline-ms 500";
    for node in [LOW, HIGH] {
        let dir = TempDir::new().unwrap();
        let (booted, mut memory) = with_screen(dir.path(), &node, plan);
        booted.ends(4, &[]);
        let (picture, untouched) = node.picture(&mut memory);
        let said = picture.words().expect("the image has drawn something");
        for part in [
            "case 2: CPU 0 had not returned from selftest_hang+8",
            "Blocked: case 2, selftest-hang, stale cores in spin, made by a self-test",
            "exit code 4: blocked",
        ] {
            assert!(said.contains(part), "{}: {part}: {said}", node.format);
        }
        assert!(untouched, "{}", node.format);
        // An emulator waits for the code: nobody looks.
        assert!(!said.contains("this stays"), "{said}");
    }
}

#[test]
fn why_there_is_no_run_is_on_the_screen() {
    let dir = TempDir::new().unwrap();
    let tree = tree(dir.path(), 2, |source| {
        let end = source.rfind("};").unwrap();
        format!("{}{}}};\n", &source[..end], HIGH.text())
    });
    let _shares = shares("--cpus 2");
    let (memory, words) = memory(dir.path(), &tree, SIZE);
    let mut command = Command::new(built("stalecore"));
    command.args(["run", "--cpus", "2", "--el", "1", "--ops", "none"]);
    // Nothing says where that is.
    command.args(["--ramoops", "on", "--out"]);
    command.arg(dir.path().join("out"));
    command.args(words);
    assert_eq!(Ended::of(&mut command).code, 2);
    let (picture, _) = HIGH.picture(&mut File::open(&memory).unwrap());
    let said = picture.words().expect("the image has drawn something");
    assert!(said.contains("ramoops: nothing says where it is"), "{said}");
}

/// A tree that lies costs the screen, and nothing else; who has asked for it is told.
#[test]
fn a_screen_that_cannot_be_is_told() {
    let dir = TempDir::new().unwrap();
    let plan = "--ops ic-ivau --stale spin --samples 8 --sweep off";
    let narrow = Node {
        stride: 1600 - 2,
        ..LOW
    };
    let (booted, _) = with_screen(dir.path(), &narrow, plan);
    let booted = booted.ends(0, &[]);
    let told = "framebuffer@40000000: a stride of 1598 bytes for rows of 800 pixels";
    let notes = &booted.run.notes;
    assert!(notes.iter().any(|note| note.contains(told)), "{notes:?}");

    let _shares = shares("--cpus 2");
    for (value, parts) in [
        (
            "on",
            ["framebuffer: nothing describes one", "allowed: auto"],
        ),
        // Where QEMU's image is loaded.
        (
            "0x40200000,1024x768,4096,x8r8g8b8",
            ["framebuffer: the one at 0x40200000", "would lie over"],
        ),
        // Its console.
        (
            "0x9000000,640x480,2560,x8r8g8b8",
            ["framebuffer: 0x9000000 is a device's", "not memory"],
        ),
    ] {
        let mut command = Command::new(built("stalecore"));
        command.args([
            "run",
            "--cpus",
            "2",
            "--ops",
            "none",
            "--framebuffer",
            value,
        ]);
        let ended = Ended::of(command.arg("--out").arg(dir.path().join(value)));
        assert_eq!(ended.code, 2, "{value}: {ended:?}");
        for part in parts {
            assert!(ended.err.contains(part), "{value}: {ended:?}");
        }
    }
}
